//! From satellite fields on their own grids to the network's inputs on the product grid. No IO, no clock.
//!
//! `docs/method.md` says what is computed, exactly.

mod features;

use ndarray::Array2;

pub use features::{context, standardise};

/// What is known of a cell, as bits. The bits are the published ones (`status_flag`).
pub mod flag {
    /// The cell is land.
    pub const LAND: u16 = 1;
    /// Sea with less than 15 % ice, or outside what the inputs cover.
    pub const OPEN_WATER: u16 = 2;
    /// Inside the ice mask: the product has a value here.
    pub const ICE: u16 = 4;
    /// The deformation was filled from its neighbourhood.
    pub const FILLED_DRIFT: u16 = 8;
    /// The thickness was filled from its neighbourhood.
    pub const FILLED_THICKNESS: u16 = 16;
    /// Ice by its concentration, but an input is missing and could not be filled.
    pub const MISSING_INPUT: u16 = 32;

    /// The whole product is provisional; set on every cell when it is published, never here.
    pub const PROVISIONAL: u16 = 64;

    /// Every flag with its name in `flag_meanings`.
    pub const ALL: [(u16, &str); 7] = [
        (LAND, "land"),
        (OPEN_WATER, "open_water"),
        (ICE, "ice"),
        (FILLED_DRIFT, "filled_drift"),
        (FILLED_THICKNESS, "filled_thickness"),
        (MISSING_INPUT, "missing_input"),
        (PROVISIONAL, "provisional"),
    ];
}

/// Sea ice is where the smoothed concentration is at least this, as a fraction.
pub const ICE_EDGE: f32 = 0.15;

/// The prepared fields of one day on the product grid, `[row, column]`, NaN where there is no value.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// Sea-ice concentration, fraction 0..1, smoothed.
    pub concentration: Array2<f32>,
    /// Mean thickness over the ice of a cell, m, smoothed and filled.
    pub thickness_m: Array2<f32>,
    /// Volume per cell area: thickness times concentration, m.
    pub effective_thickness_m: Array2<f32>,
    /// Divergence of the ice motion, 1/day.
    pub divergence_per_day: Array2<f32>,
    /// Shear of the ice motion, 1/day.
    pub shear_per_day: Array2<f32>,
    /// Total deformation, 1/day.
    pub deformation_per_day: Array2<f32>,
    /// True where the product has a value.
    pub mask: Array2<bool>,
    /// Bits of [`flag`].
    pub flags: Array2<u16>,
}
