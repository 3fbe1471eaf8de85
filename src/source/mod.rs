//! The satellite products: their names, versions, layouts and flags, and which of their files make a day.
//!
//! * `names`: a file's name says what it is. `choice`: which of the files on offer serve a day, the best first. `news`: names that
//!   look like a product nobody has configured yet. `availability`: whether a file that is not there is waited for.
//! * [`osisaf_concentration`], [`osisaf_drift`], [`merged_thickness`]: one reader a product. Each gives fields on the
//!   product's own grid, row 0 at the top, NaN where there is no value, or says why the file is refused.
//! * [`decode()`] takes the reader that a file's name asks for, and [`measure()`] says what the file is and what its values are like. Both
//!   are done in a process of its own, which a bad file may kill: an [`Inspector`] starts it and brings back [`Inspected`];
//!   [`InspectionProgram::decode`] brings back the fields, which go from one process to the other by `handover`.
//! * `vetting` (are these bytes NetCDF, and all of them?), `netcdf_file` (variables unpacked), `native_grid` with
//!   `projection_parameters` (is this the grid it should be?) `file_time` (is this the day it should be?)
//!   and `range` (can these values be right?) serve them, and `flags` with `flag_text` (do flags mean what they should?).
//! * [`deliver()`] goes the other way: synthetic days as files that these readers take.
//!
//! `docs/method.md` ("Which files make day D", "Decoding") says what is done; the only user of NetCDF files here is this room.

mod availability;
mod choice;
mod decoded;
mod delivery;
mod error;
mod file_time;
mod flag_text;
mod flags;
mod handover;
mod inspection;
mod measure;
pub mod merged_thickness;
mod names;
mod native_grid;
mod netcdf_file;
mod news;
pub mod osisaf_concentration;
pub mod osisaf_drift;
mod projection_parameters;
mod range;
mod vetting;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::config::{Checks, Input, Inputs, Limits, Measure};
use crate::text::excerpt;

pub use availability::{Availability, Season, days_to_list, due, season, window_end};
pub use choice::{Candidate, candidates, expected_names, folders, is_taken};
pub use decoded::{Decoded, OtherRole, decode};
pub use delivery::{DeliveryError, Satellites, deliver};
pub use error::SourceError;
pub use flag_text::bits_in;
pub use flags::FlagCounts;
pub use handover::hand_over;
pub use inspection::{INSPECTOR_GREETING, Inspected, InspectionProgram, Inspector, Refusal};
pub use measure::{Measured, measure};
pub use names::{KnownName, Product, ThicknessLayout, ThicknessRelease, recognise};
pub use native_grid::{ease2_125, ease2_250, osisaf_100, osisaf_625};
pub use news::unknown_shape;

/// What an input gives to a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Sea-ice concentration.
    Concentration,
    /// Sea-ice thickness.
    Thickness,
    /// Sea-ice drift.
    Drift,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Concentration, Self::Thickness, Self::Drift];

    /// What the configuration says of it.
    #[must_use]
    pub fn input(self, inputs: &Inputs) -> &Input {
        match self {
            Self::Concentration => &inputs.concentration,
            Self::Thickness => &inputs.thickness,
            Self::Drift => &inputs.drift,
        }
    }

    /// The limits that the configuration sets to it.
    #[must_use]
    pub fn checks(self, checks: &Checks) -> &BTreeMap<Measure, Limits> {
        match self {
            Self::Concentration => &checks.concentration,
            Self::Thickness => &checks.thickness,
            Self::Drift => &checks.drift,
        }
    }

    /// Its name in messages, products and the ledger.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Concentration => "concentration",
            Self::Thickness => "thickness",
            Self::Drift => "drift",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// Which file a field comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The product and its version as the file states them, such as `OSI-408-a 1.0`; plain and short, whatever the file states.
    pub product: String,
    /// The file's name.
    pub name: String,
}

impl Identity {
    fn new(product: &str, version: Option<&str>, path: &Path) -> Self {
        let product = version.map_or_else(|| product.to_owned(), |version| format!("{product} {version}"));
        let product = excerpt(&product);
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Self { product, name }
    }
}
