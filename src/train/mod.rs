//! Training: the batches drawn from an archive, and the loop.
//!
//! The recipe is that of D3.1 section 3 unless options say otherwise: noise loss, Adam with a learning-rate schedule, batches
//! of 4, 250 epochs, averaged weights.

mod batch;
mod beginning;
mod held_out;
mod holes;
mod log;
mod optimiser;
mod options;
mod report;
mod state;
mod trainer;

pub use batch::{BatchOptions, TrainingSet};
pub use held_out::HeldOut;
pub use options::TrainOptions;
pub use trainer::{BestCheckpoint, End, Limits, Outcome, train};

use std::path::PathBuf;

use crate::archive::ArchiveError;
use crate::model::ModelError;

/// What can go wrong with training.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The archive cannot be used.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The model cannot be used.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A file could not be read or written.
    #[error("{path}: {source}; see that the folder of --out may be written and has space")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another process trains in the folder.
    #[error("another training runs in {folder}; wait for it, or name another --out")]
    Busy {
        /// The folder.
        folder: PathBuf,
    },
    /// An option cannot be used with this archive.
    #[error("{0}")]
    Option(String),
    /// The weights to begin with are for another network, or mean something else.
    #[error(
        "{path} cannot be begun with: network, objective, target, features, signal rates and scale have to be its own; leave these options out"
    )]
    Beginning {
        /// The checkpoint.
        path: PathBuf,
    },
    /// The folder holds the state of a training with other options.
    #[error(
        "{path} is the state of a training with other options or another archive ({differing}); give the same ones to go on, or another --out to begin anew"
    )]
    OtherTraining {
        /// The state file.
        path: PathBuf,
        /// The options that differ.
        differing: String,
    },
    /// The folder holds the state of a training that is not whole.
    #[error(
        "{path}: the state of the training cannot be gone on with ({reason}); put the folder back as it was saved, or give another --out to \
         begin anew"
    )]
    State {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The loss is no longer a number.
    #[error("the loss at step {step} is {loss}; begin again with a lower --learning-rate")]
    Diverged {
        /// The step.
        step: u64,
        /// The loss.
        loss: f64,
    },
}
