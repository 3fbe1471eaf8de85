//! What a training begins with instead of random weights: those of a checkpoint, and what they mean.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tch::Tensor;

use super::{TrainError, TrainOptions, TrainingSet};
use crate::model::{CheckpointInfo, ModelError, Network, read_tensors};
use crate::sys;

/// A checkpoint that a training begins with. Its standardisation and scale are kept, because its weights know no others.
#[derive(Debug)]
pub(super) struct Beginning {
    path: PathBuf,
    info: CheckpointInfo,
    weights: BTreeMap<String, Tensor>,
    sha256: String,
}

impl Beginning {
    /// Reads a checkpoint, and refuses one whose weights mean something else than the options want.
    pub(super) fn read(path: &Path, options: &TrainOptions) -> Result<Self, TrainError> {
        let refuse = |source| ModelError::File { path: path.to_owned(), source };
        let sha256 = sys::sha256_of_file(path).map_err(refuse)?;
        let (info, weights) = (CheckpointInfo::read(path)?, read_tensors(path)?);
        if options.clone().for_weights_of(&info) != *options {
            return Err(TrainError::Beginning { path: path.to_owned() });
        }
        Ok(Self { path: path.to_owned(), info, weights, sha256 })
    }

    /// Makes the standardisation of the set that of the checkpoint, and has its provenance tell both data.
    pub(super) fn lend_to(&self, set: &mut TrainingSet) {
        let CheckpointInfo { name, statistics, training, .. } = &self.info;
        set.statistics = *statistics;
        let (origin, steps) = (&set.provenance.origin, training.steps);
        // The sentence stands in every product: data that are the same need no second telling.
        let before = match training.data.strip_prefix(origin.as_str()) {
            Some(further) => format!("the same{further}"),
            None => training.data.clone(),
        };
        set.provenance.origin = format!(
            "{origin}; begun with the weights of {name} (SHA-256 {}), {steps} steps on {before}",
            self.sha256
        );
    }

    /// Gives the weights to a network.
    pub(super) fn assign(&self, network: &mut Network) -> Result<(), TrainError> {
        let find = |name: &str| self.weights.get(name).map(Tensor::shallow_clone);
        let refuse = |reason| ModelError::Checkpoint { path: self.path.clone(), reason };
        Ok(network.assign(find).map_err(refuse)?)
    }

    pub(super) fn info(&self) -> &CheckpointInfo {
        &self.info
    }

    /// SHA-256 of the checkpoint, hexadecimal.
    pub(super) fn sha256(&self) -> &str {
        &self.sha256
    }
}
