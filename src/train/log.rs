//! The losses as a table that anything can read.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::TrainError;
use super::trainer::Validation;
use crate::sys;

const NAME: &str = "log.csv";
const HEADER: &str = "step,learning_rate,training_loss,validation_noise_loss,validation_image_loss,\
                      validation_noise_loss_with_holes,validation_image_loss_with_holes";

/// The table of a training.
#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
}

impl Log {
    /// Opens the log; lines beyond the step that a resumed training begins at are dropped, since they will come again.
    pub(super) fn open(out: &Path, began_at: u64) -> Result<Self, TrainError> {
        let path = out.join(NAME);
        let refuse = |source| TrainError::File { path: path.clone(), source };
        let before = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            found => found.map_err(refuse)?,
        };
        let step_of = |line: &str| line.split(',').next().and_then(|step| step.parse::<u64>().ok());
        let mut text = format!("{HEADER}\n");
        for line in before.lines().filter(|line| step_of(line).is_some_and(|step| step <= began_at)) {
            text.push_str(line);
            text.push('\n');
        }
        sys::replace_file(&path, text.as_bytes()).map_err(refuse)?;
        Ok(Self { path })
    }

    /// Every line: the numbers of [`HEADER`] in their order, those that cannot be read as NaN.
    pub(super) fn rows(&self) -> Result<Vec<Vec<f64>>, TrainError> {
        let refuse = |source| TrainError::File { path: self.path.clone(), source };
        let text = std::fs::read_to_string(&self.path).map_err(refuse)?;
        let row = |line: &str| line.split(',').map(|cell| cell.parse().unwrap_or(f64::NAN)).collect();
        Ok(text.lines().skip(1).map(row).collect())
    }

    /// Adds the line of a validation; `loss` is the mean of the training losses since the line before.
    pub(super) fn write(
        &self,
        step: u64,
        learning_rate: f64,
        loss: f64,
        validation: &Validation,
    ) -> Result<(), TrainError> {
        let refuse = |source| TrainError::File { path: self.path.clone(), source };
        let mut file = OpenOptions::new().append(true).open(&self.path).map_err(refuse)?;
        let Validation { plain, holes } = validation;
        let losses = [loss, plain.noise, plain.image, holes.noise, holes.image];
        let losses: Vec<_> = losses.iter().map(|loss| format!("{loss:.6}")).collect();
        writeln!(file, "{step},{learning_rate:.6e},{}", losses.join(",")).map_err(refuse)
    }
}
