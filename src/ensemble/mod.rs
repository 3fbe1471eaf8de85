//! The ensemble: noise per member, members one by one, and their statistics, on any device and in any number of shares. No IO of its own,
//! no clock.

pub(crate) mod dice;
mod draw;
mod frame;
mod ground;
mod input;
mod noise;
mod parts;
mod rounding;
mod satellite_view;
mod scene;
mod statistics;
mod store;
mod transfer;

use ndarray::Array2;

pub use draw::{
    Drawer, EnsembleError, Listener, Plan, Share, Work, draw, draw_share, draw_together, regress,
};
pub use noise::{member_noise, standard_normal};
pub use parts::Parts;
pub use rounding::relative_difference;
pub use satellite_view::{EDGE_TOLERANCE_M, INNER_TOLERANCE_M, SatelliteView, SeenDifference};
pub use statistics::{Counts, Sums, distribution};
#[cfg(test)]
pub(crate) use store::conformance;
pub use store::{InMemory, MemberStore};

/// Side of a cell, km: networks are trained on cells of this size, and know no other.
const CELL_KM: f64 = 3.0;

/// Mean and spread of the members, from one pass over them as they came.
#[derive(Debug, Clone)]
pub struct Statistics {
    /// Number of members.
    pub members: usize,
    /// Mean of the effective thickness, m; NaN outside the mask.
    pub mean_m: Array2<f32>,
    /// Standard deviation between the members (divisor members - 1), m; NaN outside the mask.
    pub spread_m: Array2<f32>,
    /// The same of what is added to the low-resolution thickness: what the inputs leave open, m; NaN outside the mask.
    pub fine_spread_m: Array2<f32>,
    /// The same of the low-resolution thickness that each member started from: the input's own uncertainty, m; NaN outside the
    /// mask. None where all started from the same.
    pub input_spread_m: Option<Array2<f32>>,
    /// True where at least one member is held at 0 m.
    pub clamped: Array2<bool>,
    /// Share of all members' cells inside the mask that would be below 0 m and are held there.
    pub clamped_fraction: f64,
}

/// What the members say of each cell, beyond mean and spread.
#[derive(Debug, Clone)]
pub struct Distribution {
    /// Quantiles.
    pub quantiles: Quantiles,
    /// Shares of the members that are thinner than thresholds, in the order in which these were asked for.
    pub thinner: Vec<Thinner>,
}

/// How many of the members are thinner than a threshold.
#[derive(Debug, Clone)]
pub struct Thinner {
    /// The threshold of the effective thickness, m.
    pub threshold_m: f64,
    /// The share of the members, 0..1; NaN outside the mask.
    pub share: Array2<f32>,
}

/// Exact quantiles over the members, one array for each probability; NaN outside the mask.
#[derive(Debug, Clone)]
pub struct Quantiles {
    /// Probabilities, rising, each in 0..1.
    pub probabilities: Vec<f64>,
    /// The quantiles of the effective thickness, m, in the same order.
    pub values_m: Vec<Array2<f32>>,
}
