//! The options that say where a network runs, as the verbs have them that run one on tensors or archives.

use clap::Args;

use crate::config::{DeviceChoice, Precision};
use crate::model::{ModelError, Placement, select_placement};

/// Where a network runs, and in which numbers.
#[derive(Args)]
pub(super) struct PlacementOptions {
    /// Where the network runs.
    #[arg(long, default_value = "auto")]
    pub(super) device: DeviceChoice,
    /// Number format of the network.
    #[arg(long, default_value = "f32")]
    pub(super) precision: Precision,
    /// Threads on the CPU; 0 takes as many as the process may use.
    #[arg(long, default_value_t = 0)]
    pub(super) threads: usize,
}

impl PlacementOptions {
    /// The first of the devices that are meant.
    ///
    /// # Errors
    /// Those of [`select_placement`].
    pub(super) fn place(&self) -> Result<Placement, ModelError> {
        select_placement(self.device, self.threads, self.precision)
    }
}
