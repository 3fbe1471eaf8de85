//! What a product has beside mean, spread and quantiles.

use serde::{Deserialize, Serialize};

use super::validation::Wrong;

/// What is published of a day.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Publication {
    /// Whether the NetCDF file has the members themselves.
    pub members: bool,
    /// Thresholds of the effective thickness, m, rising: each gets the probability of ice thinner than it.
    pub thinner_than_m: Vec<f64>,
    /// Days that the animation in the product root shows; 0 makes none.
    pub animation_days: u32,
}

impl Default for Publication {
    /// As `config/nilas.toml` ships it.
    fn default() -> Self {
        Self { members: true, thinner_than_m: vec![0.1, 0.3, 0.7, 1.2, 2.0], animation_days: 30 }
    }
}

/// Thicker ice than this is none that a threshold is wanted for, m.
const LARGEST_THRESHOLD_M: f64 = 20.0;
/// Each threshold costs a field in memory and in the files.
const MOST_THRESHOLDS: usize = 20;

pub(super) fn wrong(publication: &Publication) -> Option<Wrong> {
    let Publication { thinner_than_m: thresholds, animation_days, .. } = publication;
    let in_range = |&threshold: &f64| threshold > 0.0 && threshold <= LARGEST_THRESHOLD_M;
    let rising = thresholds.windows(2).all(|pair| pair[0] < pair[1]);
    let right =
        (1..=MOST_THRESHOLDS).contains(&thresholds.len()) && thresholds.iter().all(in_range) && rising;
    let remedy =
        "give 1 to 20 thicknesses above 0 m and up to 20 m, rising; [0.10, 0.30, 0.70, 1.20, 2.00] is usual";
    Wrong::unless(right, "publication.thinner_than_m", format!("{thresholds:?}"), remedy).or_else(|| {
        let remedy = "give 0 (no animation) to 366 days; 30 is usual";
        Wrong::unless(*animation_days <= 366, "publication.animation_days", animation_days, remedy)
    })
}
