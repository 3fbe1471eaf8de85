//! The options that say how noise becomes a member, as every verb that samples has them.

use clap::Args;

use crate::config::{SamplerChoice, SamplerKind, TimeGrid};

/// The sampler; what is not said is as the configuration and then the checkpoint say.
#[derive(Args)]
pub(super) struct SamplerOptions {
    /// The sampler.
    #[arg(long)]
    sampler: Option<SamplerKind>,
    /// Network calls per member.
    #[arg(long)]
    steps: Option<usize>,
    /// How the calls are spread between much and little noise.
    #[arg(long)]
    time_grid: Option<TimeGrid>,
    /// The noise rate that the sampler goes down to.
    #[arg(long)]
    lowest_noise_rate: Option<f64>,
}

impl SamplerOptions {
    pub(super) fn choice(&self) -> SamplerChoice {
        SamplerChoice {
            kind: self.sampler,
            steps: self.steps,
            time_grid: self.time_grid,
            lowest_noise_rate: self.lowest_noise_rate,
        }
    }
}
