//! How noise becomes a member: the samplers, and where they call the network.

use serde::{Deserialize, Serialize};

/// How noise becomes a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
pub enum SamplerKind {
    /// The sampler of SuperIce deliverable 3.1 section 4: first order, many calls.
    #[serde(rename = "ddim")]
    #[value(name = "ddim")]
    Ddim,
    /// DPM-Solver++ 2M (Lu et al. 2022, <https://arxiv.org/abs/2211.01095>): second order, few calls.
    #[serde(rename = "dpm-solver++")]
    #[value(name = "dpm-solver++")]
    DpmSolverPlusPlus,
}

impl SamplerKind {
    /// The name in products and on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ddim => "ddim",
            Self::DpmSolverPlusPlus => "dpm-solver++",
        }
    }
}

/// How the network calls of a sampler are spread between much and little noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum TimeGrid {
    /// Uniform in the angle whose cosine is the signal rate, as D3.1's diffusion time.
    Angle,
    /// Uniform in the logarithm of the signal rate over the noise rate.
    LogSnr,
    /// The grid of EDM with rho = 7 (Karras et al. 2022, <https://arxiv.org/abs/2206.00364>) in the noise rate over the signal rate.
    Edm,
}

impl TimeGrid {
    /// The name in products and on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Angle => "angle",
            Self::LogSnr => "log-snr",
            Self::Edm => "edm",
        }
    }
}

/// What somebody says about the sampler; what is left out is said by the checkpoint, else it is usual for the sampler.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SamplerChoice {
    /// The sampler.
    pub kind: Option<SamplerKind>,
    /// Network calls per member, 1 to [`Self::MOST_STEPS`].
    pub steps: Option<usize>,
    /// How the calls are spread.
    pub time_grid: Option<TimeGrid>,
    /// The noise rate that the sampler goes down to, above 0 and below 1.
    pub lowest_noise_rate: Option<f64>,
}

impl SamplerChoice {
    /// The most network calls that a member may take.
    pub const MOST_STEPS: usize = 500;
}
