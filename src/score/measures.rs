//! The measures: what is read off the sums of scenes.

use super::{FINE_KM, MEDIUM_KM, Tally, largest_deviation};

/// One number that says how good members are.
#[derive(Debug, Clone, Copy)]
pub struct Measure {
    /// Its name in `metrics.json`, with the unit.
    pub name: &'static str,
    /// What it says, in a few words.
    pub meaning: &'static str,
    /// Its value; `None` where the sums do not have it.
    pub of: fn(&Tally) -> Option<f64>,
}

/// Every measure, in the order in which they are told.
pub const MEASURES: [Measure; 33] = [
    Measure { name: "low_rmse_m", meaning: "RMSE of the low-resolution field, m", of: low_rmse },
    Measure { name: "mean_rmse_m", meaning: "RMSE of the members' mean, m", of: mean_rmse },
    Measure {
        name: "fair_mean_rmse_m",
        meaning: "RMSE that the mean of endlessly many members would have, m",
        of: |tally| {
            let noise = tally.points.variance / (tally.points.cells * tally.members as f64);
            Some((mean_rmse(tally)?.powi(2) - noise).max(0.0).sqrt())
        },
    },
    Measure {
        name: "mean_bias_m",
        meaning: "members' mean minus truth, m",
        of: |tally| per_cell(tally, tally.points.mean_error),
    },
    Measure {
        name: "low_bias_m",
        meaning: "low resolution minus truth, m",
        of: |tally| per_cell(tally, tally.points.low_error),
    },
    Measure {
        name: "spread_m",
        meaning: "root of the mean variance between the members, m",
        of: |tally| per_cell(tally, tally.points.variance).filter(|_| tally.members > 1).map(f64::sqrt),
    },
    Measure { name: "spread_skill", meaning: "spread over error of the mean; 1 is right", of: spread_skill },
    Measure { name: "fair_crps_m", meaning: "fair CRPS of the members, m", of: crps },
    Measure {
        name: "crps_of_low_m",
        meaning: "CRPS of the low-resolution field (its mean absolute error), m",
        of: |tally| per_cell(tally, tally.points.low_absolute),
    },
    Measure {
        name: "crps_over_low",
        meaning: "fair CRPS over the mean absolute error of the low-resolution field",
        of: |tally| Some(crps(tally)? / per_cell(tally, tally.points.low_absolute)?),
    },
    Measure {
        name: "deviation_ratio",
        meaning: "standard deviation of the members' anomaly over the truth's; 1 is right",
        of: |tally| class_ratio(tally, 0),
    },
    CLASS_MEASURES[0],
    CLASS_MEASURES[1],
    CLASS_MEASURES[2],
    CLASS_MEASURES[3],
    CLASS_MEASURES[4],
    Measure {
        name: "deviation_m",
        meaning: "standard deviation of the members' anomaly, m",
        of: |tally| tally.classes.first()?.deviation_m(),
    },
    Measure {
        name: "truth_deviation_m",
        meaning: "standard deviation of the truth's anomaly, m",
        of: |tally| tally.classes.first()?.truth_deviation_m(),
    },
    Measure {
        name: "fine_scale_bias",
        meaning: "power of the members over the truth's at 6 to 20 km; 1 is right",
        of: |tally| tally.spectra.power_ratio(&FINE_KM),
    },
    Measure {
        name: "medium_scale_ratio",
        meaning: "power of the members over the truth's at 20 to 100 km; 1 is right",
        of: |tally| tally.spectra.power_ratio(&MEDIUM_KM),
    },
    Measure {
        name: "rank_deviation",
        meaning: "farthest bin of the rank histogram, share of a bin's due",
        of: |tally| largest_deviation(&tally.ranks.all),
    },
    Measure {
        name: "rank_deviation_thin",
        meaning: "the same for ice below 0.5 m",
        of: |tally| largest_deviation(&tally.ranks.thin),
    },
    Measure {
        name: "seen_inner_m",
        meaning: "what the thickness product sees in members from what it saw, farther than 45 km from the mask's edge, m",
        of: |tally| tally.coarse.seen.inner_m(),
    },
    Measure {
        name: "seen_edge_m",
        meaning: "the same within 45 km of the mask's edge, m",
        of: |tally| tally.coarse.seen.edge_m(),
    },
    Measure {
        name: "coarse_inner_m",
        meaning: "members from the low resolution, both smoothed by 26 km, farther than 45 km from the mask's edge, m",
        of: |tally| tally.coarse.close.inner_m(),
    },
    Measure {
        name: "coarse_edge_m",
        meaning: "the same within 45 km of the mask's edge, m",
        of: |tally| tally.coarse.close.edge_m(),
    },
    Measure {
        name: "truth_seen_inner_m",
        meaning: "what the thickness product sees in the truth from what it saw, farther than 45 km from the mask's edge, m",
        of: |tally| tally.coarse_of_truth.seen.inner_m(),
    },
    Measure {
        name: "truth_seen_edge_m",
        meaning: "the same within 45 km of the mask's edge, m",
        of: |tally| tally.coarse_of_truth.seen.edge_m(),
    },
    Measure {
        name: "truth_coarse_inner_m",
        meaning: "the truth from the low resolution, both smoothed by 26 km, farther than 45 km from the mask's edge, m",
        of: |tally| tally.coarse_of_truth.close.inner_m(),
    },
    Measure {
        name: "truth_coarse_edge_m",
        meaning: "the same within 45 km of the mask's edge, m",
        of: |tally| tally.coarse_of_truth.close.edge_m(),
    },
    Measure {
        name: "similarity",
        meaning: "structural similarity of the members to the truth",
        of: |tally| {
            tally.similarity.as_ref().filter(|sum| sum.cells > 0.0).map(|sum| sum.members / sum.cells)
        },
    },
    Measure {
        name: "low_similarity",
        meaning: "structural similarity of the low resolution to the truth",
        of: |tally| tally.similarity.as_ref().filter(|sum| sum.cells > 0.0).map(|sum| sum.low / sum.cells),
    },
    Measure {
        name: "ice_cells",
        meaning: "cells of ice that were scored",
        of: |tally| Some(tally.points.cells),
    },
];

/// The ratio of standard deviations in each class of low-resolution thickness.
pub const CLASS_MEASURES: [Measure; 5] = [
    Measure {
        name: "deviation_ratio_0.3_0.8",
        meaning: "the same where the low resolution has 0.3 to 0.8 m",
        of: |tally| class_ratio(tally, 1),
    },
    Measure {
        name: "deviation_ratio_0.8_1.3",
        meaning: "the same where the low resolution has 0.8 to 1.3 m",
        of: |tally| class_ratio(tally, 2),
    },
    Measure {
        name: "deviation_ratio_1.3_2",
        meaning: "the same where the low resolution has 1.3 to 2 m",
        of: |tally| class_ratio(tally, 3),
    },
    Measure {
        name: "deviation_ratio_2_3",
        meaning: "the same where the low resolution has 2 to 3 m",
        of: |tally| class_ratio(tally, 4),
    },
    Measure {
        name: "deviation_ratio_3_5",
        meaning: "the same where the low resolution has 3 to 5 m",
        of: |tally| class_ratio(tally, 5),
    },
];

/// The measure of a name.
#[must_use]
pub fn measure(name: &str) -> Option<Measure> {
    MEASURES.into_iter().find(|measure| measure.name == name)
}

fn per_cell(tally: &Tally, sum: f64) -> Option<f64> {
    (tally.points.cells > 0.0).then(|| sum / tally.points.cells)
}

fn low_rmse(tally: &Tally) -> Option<f64> {
    per_cell(tally, tally.points.low_squared).map(f64::sqrt)
}

fn mean_rmse(tally: &Tally) -> Option<f64> {
    per_cell(tally, tally.points.mean_squared).map(f64::sqrt)
}

fn crps(tally: &Tally) -> Option<f64> {
    per_cell(tally, tally.points.crps)
}

/// A mean of M members errs by more than an endless one; a spread that fits makes this 1 whatever M is (Fortin et al. 2014).
fn spread_skill(tally: &Tally) -> Option<f64> {
    let count = tally.members as f64;
    let spread = ((count + 1.0) / count * per_cell(tally, tally.points.variance)?).sqrt();
    (tally.members > 1).then_some(spread / mean_rmse(tally)?)
}

fn class_ratio(tally: &Tally, class: usize) -> Option<f64> {
    tally.classes.get(class)?.ratio()
}
