//! The diffusion model: a network that predicts the noise in a field, the schedule of noise, and the samplers that turn
//! noise into fields. Tensors only; it knows no geography.
//!
//! The method is that of SuperIce (ESA/NERSC deliverable 3.1, 2025): a conditional, continuous-time DDIM over the thickness
//! anomaly. Tensors are `[sample, channel, row, column]`, f32 outside the network.

mod calibration;
mod checkpoint;
mod device;
mod network;
mod quantity;
mod sampler;
mod schedule;
mod workload;

use std::path::PathBuf;

pub use calibration::{Calibration, SpreadFactor};
pub use checkpoint::{
    Checkpoint, CheckpointInfo, FeatureStatistics, Features, MEAN_VARIANCE, Objective, Target, TargetScale,
    TrainingRecord, read_tensors, write_tensors,
};
pub use device::{Placement, has_bfloat16, open_device, select_placement, select_placements, thread_count};
pub use network::{CONTEXT_CHANNELS, InferenceNetwork, Network, NetworkConfiguration, channels_last};
pub use quantity::Quantity;
pub use sampler::{AtLeast, Constraint, NoisePredictor, Sampler, Unconstrained, WithinMask};
pub use schedule::{Rates, Schedule};
pub use workload::{Workload, closed_ice};

/// What can go wrong with a model.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A file could not be read or written.
    #[error("{path}: {source}; see that the file exists and may be read, or its folder written")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is not a checkpoint of Nilas, or not a whole one.
    #[error(
        "checkpoint {path}: {reason}; name a file written by `nilas train` (model.checkpoint, --checkpoint)"
    )]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A tensor file lacks a tensor or has it in another shape.
    #[error("tensors {path}: {reason}; `nilas model --help` says what is read")]
    Tensors {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The checkpoint was trained for another meaning of thickness.
    #[error(
        "checkpoint {path} was trained for {found} thickness, but Nilas works with effective thickness (volume per cell area); use a checkpoint trained for that"
    )]
    ThicknessDefinition {
        /// The file.
        path: PathBuf,
        /// The definition that the checkpoint states.
        found: String,
    },
    /// A network is asked for what it was not trained for.
    #[error(
        "checkpoint {name} was trained with --objective {found}, but here one with --objective {wanted} is needed (members are drawn with noise or velocity, regressions are made with mean); name such a one (model.checkpoint, --checkpoint, --regression)"
    )]
    Objective {
        /// Name of the checkpoint.
        name: String,
        /// What it gives.
        found: Objective,
        /// What it should give.
        wanted: Objective,
    },
    /// CUDA was asked for and is not to be had.
    #[error(
        "no CUDA device can be used: {reason}; set model.device, or --device, to auto or cpu, or put the folder of a CUDA build of libtorch 2.11 into LD_LIBRARY_PATH"
    )]
    NoCuda {
        /// Why not.
        reason: String,
    },
    /// The sampler cannot be used, or not with this network.
    #[error(
        "sampler {name}: {reason} (ensemble.sampler, steps, lowest_noise_rate; the options of the same names)"
    )]
    Sampler {
        /// Its name.
        name: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// libtorch failed.
    #[error(
        "libtorch failed while {task}: {source}; if it was memory, give a smaller ensemble.batch, or --batch, or bf16 as model.precision, or --precision"
    )]
    Torch {
        /// What was being done.
        task: &'static str,
        /// libtorch's words.
        source: tch::TchError,
    },
}

impl ModelError {
    /// Whether it may be the fault of a CUDA device, so that the CPU may do.
    #[must_use]
    pub fn is_of_cuda(&self) -> bool {
        matches!(self, Self::NoCuda { .. } | Self::Torch { .. })
    }

    /// Whether a device had too little memory, so that less at once may do.
    #[must_use]
    pub fn is_out_of_memory(&self) -> bool {
        matches!(self, Self::Torch { source, .. } if source.to_string().contains("out of memory"))
    }
}
