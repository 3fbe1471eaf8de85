//! What is published: a product with its lineage, and the figures that sum it up.

use chrono::{DateTime, Utc};
use ndarray::{Array2, Zip};
use serde::{Deserialize, Serialize};

use crate::config::{Consistency, Publisher, SamplerKind, TimeGrid};
use crate::ensemble::{MemberStore, Quantiles, Statistics, Thinner};
use crate::grid::{Grid, Regions};
use crate::model::Calibration;
use crate::prepare::{ICE_EDGE, Prepared};
use crate::progress::StageTiming;
use crate::time::{ProductDay, Window};

use super::PublishError;
use super::geography::Geography;

/// How settled a product is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Made with older inputs than the final product will have; their ages are in the product.
    Provisional,
    /// Made with the inputs that belong to its day.
    Final,
}

/// One input file of a product.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InputRecord {
    /// What it gives: `concentration`, `thickness` or `drift`.
    pub role: String,
    /// The file's name at its provider.
    pub name: String,
    /// The product's identity as the file states it, such as `OSI-408-a`.
    pub product: String,
    /// SHA-256 of the file, hexadecimal.
    pub sha256: String,
    /// What stretch of time it observes.
    pub window: Window,
    /// Days from the centre of that window to noon of the product's day.
    pub age_days: f64,
}

/// Windows of some products end a second early or late; an input of the day's own is never this old, days.
const AGED: f64 = 0.5;

impl InputRecord {
    /// Whether the input is older than that of the day.
    #[must_use]
    pub fn is_aged(&self) -> bool {
        self.age_days > AGED
    }
}

/// Where a product comes from: with it, anyone can make the product again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lineage {
    /// The input files.
    pub inputs: Vec<InputRecord>,
    /// The inputs whose file of the day will never come, such as `thickness`: the product stays provisional.
    pub declared_gaps: Vec<String>,
    /// The checkpoint's name.
    pub checkpoint: String,
    /// SHA-256 of the checkpoint file, hexadecimal.
    pub checkpoint_sha256: String,
    /// What the checkpoint says of its training data, in one sentence.
    pub training_data: String,
    /// The sampler.
    pub sampler: SamplerKind,
    /// Network calls per member.
    pub steps: usize,
    /// How the sampler spread them; products of early versions do not say so.
    #[serde(default)]
    pub time_grid: Option<TimeGrid>,
    /// The noise rate that the sampler went down to.
    #[serde(default)]
    pub lowest_noise_rate: Option<f64>,
    /// How the spread was fitted to the truth; none where it was not, or was not asked for.
    #[serde(default)]
    pub calibration: Option<Calibration>,
    /// Whether each member started from a low-resolution thickness of its own, within the uncertainty of the input.
    #[serde(default)]
    pub input_perturbed: bool,
    /// In what each member agrees with the thickness that it started from.
    #[serde(default)]
    pub consistency: Consistency,
    /// Seed of the members' noise.
    pub seed: u64,
    /// The device that the network ran on.
    pub device: String,
    /// Number format of the network.
    pub precision: String,
    /// Hash of the configuration.
    pub config_hash: String,
    /// Version of Nilas.
    pub code_version: String,
    /// What is worse than it should be beside aged inputs, in a sentence, such as a device that failed.
    #[serde(default)]
    pub degradation: Option<String>,
}

/// Everything that is published for a day.
pub struct Product<'a> {
    /// The day.
    pub day: ProductDay,
    /// How settled it is.
    pub status: Status,
    /// When it was made.
    pub created: DateTime<Utc>,
    /// The grid.
    pub grid: &'a Grid,
    /// The network's inputs.
    pub prepared: &'a Prepared,
    /// Mean and spread.
    pub statistics: &'a Statistics,
    /// Quantiles.
    pub quantiles: &'a Quantiles,
    /// Probabilities of ice thinner than thresholds.
    pub thinner: &'a [Thinner],
    /// The members.
    pub members: &'a dyn MemberStore,
    /// Whether the NetCDF file has them.
    pub with_members: bool,
    /// True where an input of the network lies far from those that it was trained with.
    pub outside_training_range: &'a Array2<bool>,
    /// The seas that figures are given for, where the grid has some.
    pub regions: Option<&'a Regions>,
    /// Days that the animation in the product root shows.
    pub animation_days: u32,
    /// Where it comes from.
    pub lineage: &'a Lineage,
    /// Who publishes.
    pub publisher: &'a Publisher,
    /// How long the stages before publishing took.
    pub timings: &'a [StageTiming],
}

impl<'a> Product<'a> {
    /// The quantile of a probability.
    pub(super) fn quantile(&self, probability: f64) -> Result<&'a Array2<f32>, PublishError> {
        let quantiles = self.quantiles;
        let known = quantiles.probabilities.iter().zip(&quantiles.values_m);
        known
            .filter(|(known, _)| (**known - probability).abs() < 1e-9)
            .map(|(_, values)| values)
            .next()
            .ok_or(PublishError::Quantile { probability })
    }
}

/// A product in a few numbers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Cells inside the ice mask.
    pub ice_cells: usize,
    /// True area of the ice inside the mask: cell area times concentration, km2.
    pub ice_area_km2: f64,
    /// The same of ice that has no estimate, because its thickness is missing, km2; products of early versions do not say so.
    #[serde(default)]
    pub ice_area_without_estimate_km2: f64,
    /// Volume of the ice inside the mask, km3.
    pub ice_volume_km3: f64,
    /// Mean over the mask of the effective thickness, weighted by the cells' area, m.
    pub mean_thickness_m: f64,
    /// Mean over the mask of the spread, weighted by the cells' area, m.
    pub mean_spread_m: f64,
}

impl Figures {
    pub(super) fn of(product: &Product<'_>, geography: &Geography) -> Self {
        let prepared = product.prepared;
        let (mut cells, mut area, mut ice_area, mut volume, mut spread) = (0, 0.0, 0.0, 0.0, 0.0);
        let mut without_estimate = 0.0;
        Zip::from(&prepared.mask)
            .and(&geography.cell_area_m2)
            .and(&prepared.concentration)
            .and(&product.statistics.mean_m)
            .and(&product.statistics.spread_m)
            .for_each(|&ice, &cell_m2, &concentration, &mean_m, &spread_m| {
                let cell_km2 = f64::from(cell_m2) / 1e6;
                if !ice && concentration >= ICE_EDGE {
                    without_estimate += cell_km2 * f64::from(concentration);
                }
                if ice {
                    cells += 1;
                    area += cell_km2;
                    ice_area += cell_km2 * f64::from(concentration);
                    volume += cell_km2 * f64::from(mean_m) / 1e3;
                    spread += cell_km2 * f64::from(spread_m);
                }
            });
        let over_mask = |sum: f64| if area > 0.0 { sum / area } else { 0.0 };
        Self {
            ice_cells: cells,
            ice_area_km2: ice_area,
            ice_area_without_estimate_km2: without_estimate,
            ice_volume_km3: volume,
            mean_thickness_m: over_mask(volume * 1e3),
            mean_spread_m: over_mask(spread),
        }
    }
}

/// The network's inputs of a day and what is said about them.
#[derive(Debug, Clone, Copy)]
pub struct Features<'a> {
    /// The day.
    pub day: ProductDay,
    /// When they were made.
    pub created: DateTime<Utc>,
    /// The grid.
    pub grid: &'a Grid,
    /// The fields.
    pub prepared: &'a Prepared,
    /// The files that they come from.
    pub inputs: &'a [InputRecord],
    /// Who publishes.
    pub publisher: &'a Publisher,
}
