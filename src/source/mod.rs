//! The satellite products: their names, versions, layouts and flags, and which of their files make a day.
//!
//! * `names`: a file's name says what it is.
//! * `selection`: which of the listed files make day D, final or provisional.
//! * [`osisaf_concentration`], [`osisaf_drift`], [`merged_thickness`]: one reader a product. Each gives fields on the
//!   product's own grid, row 0 at the top, NaN where there is no value, or says why the file is refused.
//! * `vetting` (are these bytes NetCDF, and all of them?), `netcdf_file` (variables unpacked), `native_grid` with
//!   `projection_parameters` (is this the grid it should be?) `file_time` (is this the day it should be?)
//!   and `range` (can these values be right?) serve them.
//!
//! `docs/method.md` ("Which files make day D", "Decoding") says what is done; the only user of NetCDF files here is this room.

mod error;
mod file_time;
pub mod merged_thickness;
mod names;
mod native_grid;
mod netcdf_file;
pub mod osisaf_concentration;
pub mod osisaf_drift;
mod projection_parameters;
mod range;
mod selection;
mod vetting;

use std::fmt;
use std::path::Path;

pub use error::{MissingRole, SourceError};
pub use names::{KnownName, Processing, Product, Radiometer, ThicknessLayout, ThicknessRelease, recognise};
pub use native_grid::{ease2_125, ease2_250, osisaf_100, osisaf_625};
pub use selection::{Selected, SelectedFile, select};

/// What an input gives to a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Sea-ice concentration.
    Concentration,
    /// Sea-ice thickness.
    Thickness,
    /// Sea-ice drift.
    Drift,
}

impl fmt::Display for Role {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Concentration => "concentration",
            Self::Thickness => "thickness",
            Self::Drift => "drift",
        })
    }
}

/// Which file a field comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The product and its version as the file states them, such as `OSI-408-a 1.0`.
    pub product: String,
    /// The file's name.
    pub name: String,
}

impl Identity {
    fn new(product: &str, version: Option<&str>, path: &Path) -> Self {
        let product = version.map_or_else(|| product.to_owned(), |version| format!("{product} {version}"));
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Self { product, name }
    }
}
