//! The state of a training on disk: tensors in files of a size that can be carried about, and an index that makes them valid
//! all at once.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tch::Tensor;

use super::{TrainError, TrainOptions};
use crate::model::{ModelError, read_tensors, write_tensors};
use crate::sys;

/// Most bytes of tensors in a file: with its header a file stays below 16 MB.
const LARGEST_FILE: usize = 15_500_000;
const FOLDER: &str = "state";
const INDEX: &str = "state.json";
/// The entry of a training that names the days of its archive; states of older versions lack it.
pub(super) const DAYS: &str = "days";

/// What a training knows beside its tensors.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Progress {
    /// Steps done.
    pub(super) step: u64,
    /// Sum of the training losses since the last validation.
    pub(super) loss_sum: f64,
    /// Their number.
    pub(super) loss_count: u64,
    /// The best validation so far.
    pub(super) best: Option<Best>,
}

/// The validation that was the best so far.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Best {
    /// Its step.
    pub(super) step: u64,
    /// Its loss.
    pub(super) loss: f64,
}

/// The index: what the files belong to.
#[derive(Debug, Serialize, Deserialize)]
struct Index {
    progress: Progress,
    files: Vec<String>,
    /// The options, and what the archive made of them.
    training: Value,
}

/// A state: what is known beside the tensors, and the tensors by name.
pub(super) type Saved = (Progress, BTreeMap<String, Tensor>);

/// The state of the training in a folder.
#[derive(Debug)]
pub(super) struct Store {
    out: PathBuf,
}

impl Store {
    pub(super) fn new(out: &Path) -> Self {
        Self { out: out.to_owned() }
    }

    /// Writes a state. Until the index is replaced the one before stays valid, whenever the process dies.
    pub(super) fn save(
        &self,
        tensors: &[(String, Tensor)],
        progress: &Progress,
        training: Value,
    ) -> Result<(), TrainError> {
        let mut files = Vec::new();
        for (number, part) in parts(tensors).into_iter().enumerate() {
            let name = format!("{}-{}.safetensors", progress.step, number + 1);
            write_tensors(&self.out.join(FOLDER).join(&name), part, None)?;
            files.push(name);
        }
        let index = Index { progress: progress.clone(), files, training };
        let path = self.out.join(INDEX);
        let text =
            serde_json::to_vec_pretty(&index).map_err(|error| TrainError::Option(error.to_string()))?;
        sys::replace_file(&path, &text).map_err(|source| TrainError::File { path, source })?;
        self.clear(&index.files)
    }

    /// Removes what no index names any more.
    fn clear(&self, keep: &[String]) -> Result<(), TrainError> {
        let folder = self.out.join(FOLDER);
        let refuse = |source| TrainError::File { path: folder.clone(), source };
        for entry in fs::read_dir(&folder).map_err(refuse)? {
            let entry = entry.map_err(refuse)?;
            if !keep.iter().any(|name| **name == *entry.file_name()) {
                fs::remove_file(entry.path())
                    .map_err(|source| TrainError::File { path: entry.path(), source })?;
            }
        }
        Ok(())
    }

    /// The state that was saved by the same training; `None` when there is none.
    pub(super) fn load(&self, training: &Value) -> Result<Option<Saved>, TrainError> {
        let path = self.out.join(INDEX);
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            read => read.map_err(|source| TrainError::File { path: path.clone(), source })?,
        };
        let index: Index = serde_json::from_slice(&bytes)
            .map_err(|error| TrainError::State { path: path.clone(), reason: error.to_string() })?;
        let differing = differing_entries(&index.training, training);
        if !differing.is_empty() {
            return Err(TrainError::OtherTraining { path, differing: differing.join(", ") });
        }
        let mut tensors = BTreeMap::new();
        for name in &index.files {
            let part = read_tensors(&self.out.join(FOLDER).join(name)).map_err(|error| match error {
                ModelError::Tensors { path, reason } => TrainError::State { path, reason },
                other => other.into(),
            })?;
            tensors.extend(part);
        }
        Ok(Some((index.progress, tensors)))
    }
}

/// The tensors in parts of at most [`LARGEST_FILE`]; a larger tensor is a part of its own.
fn parts(tensors: &[(String, Tensor)]) -> Vec<&[(String, Tensor)]> {
    let bytes = |tensor: &Tensor| tensor.numel() * tensor.kind().elt_size_in_bytes();
    let (mut parts, mut begin, mut size) = (Vec::new(), 0, 0);
    for (index, (_, tensor)) in tensors.iter().enumerate() {
        if size + bytes(tensor) > LARGEST_FILE && index > begin {
            parts.push(&tensors[begin..index]);
            (begin, size) = (index, 0);
        }
        size += bytes(tensor);
    }
    parts.push(&tensors[begin..]);
    parts
}

/// Names of the entries in which a stored training differs from `wanted`. An option that a stored training does not know
/// had its default, and days that it does not know are not compared; one that is not known any more differs.
fn differing_entries(stored: &Value, wanted: &Value) -> Vec<String> {
    let defaults = serde_json::to_value(TrainOptions::default()).unwrap_or_default();
    let entries = |of: &Value| of.as_object().cloned().unwrap_or_default();
    let differs = |name: &String| {
        let known = stored.get(name).or_else(|| defaults.get(name));
        known != wanted.get(name) && (known.is_some() || name != DAYS)
    };
    let names: BTreeSet<String> =
        entries(wanted).into_iter().chain(entries(stored)).map(|(name, _)| name).collect();
    names.into_iter().filter(differs).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tch::{Device, Kind};

    use super::*;

    fn tensor(count: i64) -> Tensor {
        Tensor::arange(count, (Kind::Float, Device::Cpu))
    }

    #[test]
    fn a_large_state_lies_in_files_that_can_be_carried_and_comes_back_whole() {
        let out = tempfile::tempdir().unwrap();
        let tensors: Vec<_> = (0..9).map(|index| (format!("t{index}"), tensor(1_000_000 + index))).collect();
        let store = Store::new(out.path());
        let training = json!({ "seed": 1 });
        for step in [5, 6] {
            let progress = Progress { step, ..Progress::default() };
            store.save(&tensors, &progress, training.clone()).unwrap();
        }
        let files: Vec<_> = fs::read_dir(out.path().join(FOLDER)).unwrap().map(Result::unwrap).collect();
        assert_eq!(files.len(), 3, "{files:?}");
        assert!(files.iter().all(|file| file.metadata().unwrap().len() < 16_000_000));
        let (progress, found) = store.load(&training).unwrap().unwrap();
        assert_eq!(progress.step, 6);
        assert!(tensors.iter().all(|(name, tensor)| found[name].equal(tensor)) && found.len() == 9);
    }

    #[test]
    fn files_without_an_index_are_not_a_state() {
        let out = tempfile::tempdir().unwrap();
        let store = Store::new(out.path());
        let training = json!({ "seed": 1 });
        let first = Progress { step: 1, ..Progress::default() };
        store.save(&[("t".into(), tensor(3))], &first, training.clone()).unwrap();
        // As if the process had died before it could replace the index.
        write_tensors(&out.path().join(FOLDER).join("2-1.safetensors"), &[("t".into(), tensor(4))], None)
            .unwrap();
        let (progress, found) = store.load(&training).unwrap().unwrap();
        assert_eq!((progress.step, found["t"].numel()), (1, 3));
    }

    #[test]
    fn a_state_that_is_not_whole_is_told_with_its_file() {
        let out = tempfile::tempdir().unwrap();
        let store = Store::new(out.path());
        let training = json!({ "seed": 1 });
        store.save(&[("t".into(), tensor(3))], &Progress::default(), training.clone()).unwrap();
        for damaged in [out.path().join(FOLDER).join("0-1.safetensors"), out.path().join(INDEX)] {
            fs::write(&damaged, "no state").unwrap();
            let error = store.load(&training).unwrap_err();
            assert!(matches!(&error, TrainError::State { path, .. } if *path == damaged), "{error}");
        }
    }

    #[test]
    fn an_option_that_a_state_does_not_know_had_its_default() {
        let wanted = serde_json::to_value(TrainOptions::default()).unwrap();
        let mut stored = wanted.clone();
        stored.as_object_mut().unwrap().remove("log_snr_share");
        assert!(differing_entries(&stored, &wanted).is_empty());
        stored["seed"] = json!(7);
        stored["dropped_since"] = json!(1.2);
        assert_eq!(differing_entries(&stored, &wanted), ["dropped_since", "seed"]);
    }

    #[test]
    fn days_are_compared_where_a_state_knows_them() {
        let wanted = json!({ "seed": 1, "days": ["2001-01-01"] });
        assert!(differing_entries(&json!({ "seed": 1 }), &wanted).is_empty());
        let other = json!({ "seed": 1, "days": ["2001-01-02"] });
        assert_eq!(differing_entries(&other, &wanted), ["days"]);
    }
}
