//! Publishing: the files of a day, all or nothing.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::config::Publisher;
use crate::ensemble::{MemberStore, Quantiles, Statistics};
use crate::grid::Grid;
use crate::prepare::Prepared;
use crate::progress::StageTiming;
use crate::time::{ProductDay, Window};

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

/// Where a product comes from: with it, anyone can make the product again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lineage {
    /// The input files.
    pub inputs: Vec<InputRecord>,
    /// The checkpoint's name.
    pub checkpoint: String,
    /// SHA-256 of the checkpoint file, hexadecimal.
    pub checkpoint_sha256: String,
    /// What the checkpoint says of its training data, in one sentence.
    pub training_data: String,
    /// The sampler.
    pub sampler: String,
    /// Network calls per member.
    pub steps: usize,
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
    /// The members.
    pub members: &'a dyn MemberStore,
    /// Where it comes from.
    pub lineage: &'a Lineage,
    /// Who publishes.
    pub publisher: &'a Publisher,
    /// How long the stages before publishing took.
    pub timings: &'a [StageTiming],
}
