//! The training loop: steps, validation, and a state on disk from which a killed training goes on as if nothing had happened.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tch::{Kind, Tensor};

use super::TrainError;
use super::batch::{Batch, BatchOptions, TrainingSet, dice, share};
use super::optimiser::Optimiser;
use crate::archive::Archive;
use crate::config::SamplerChoice;
use crate::model::{
    CONTEXT_CHANNELS, Checkpoint, CheckpointInfo, Network, NetworkConfiguration, Placement, Schedule,
    TargetScale, TrainingRecord, channels_last, read_tensors, write_tensors,
};
use crate::progress::Bar;
use crate::sys;
use crate::time::Clock;

/// Steps over which the learning rate rises from 0.
const WARM_UP: u64 = 100;
/// The learning rate falls along a cosine to this share of its highest value.
const LAST_RATE: f64 = 0.02;
/// The entry of a state's metadata that says which training it belongs to.
const IDENTITY: &str = "training";
/// Batches of a validation.
const VALIDATION_BATCHES: u64 = 8;

/// How to train. The default is D3.1's recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainOptions {
    /// Name of the checkpoint.
    pub name: String,
    /// Size of the network.
    pub network: NetworkConfiguration,
    /// Passes over the training days; as many windows as days make one pass.
    pub epochs: u64,
    /// Optimiser steps instead of epochs.
    pub steps: Option<u64>,
    /// Samples in a step.
    pub batch: usize,
    /// Cells along a side of a sample.
    pub window: usize,
    /// Highest learning rate.
    pub learning_rate: f64,
    /// Decay of the averaged weights.
    pub ema_decay: f64,
    /// The noise.
    pub schedule: Schedule,
    /// Whether the anomaly's scale grows with the thickness.
    pub scale_grows_with_thickness: bool,
    /// Share of samples whose deformation is taken away.
    pub drop_deformation: f64,
    /// Seed of weights, windows, times and noise.
    pub seed: u64,
    /// Steps between two validations.
    pub validate_every: u64,
    /// Steps between two savings of the state.
    pub save_every: u64,
}

impl Default for TrainOptions {
    fn default() -> Self {
        Self {
            name: "nilas".into(),
            network: NetworkConfiguration::reference(),
            epochs: 250,
            steps: None,
            batch: 4,
            window: 128,
            learning_rate: 1e-3,
            ema_decay: 0.999,
            schedule: Schedule::default(),
            scale_grows_with_thickness: false,
            drop_deformation: 0.1,
            seed: 1,
            validate_every: 500,
            save_every: 100,
        }
    }
}

impl TrainOptions {
    fn total_steps(&self, training_days: usize) -> u64 {
        self.steps.unwrap_or_else(|| (self.epochs * training_days as u64).div_ceil(self.batch as u64)).max(1)
    }

    fn learning_rate_at(&self, step: u64, total: u64) -> f64 {
        let warm = (step as f64 / WARM_UP as f64).min(1.0);
        let cosine = 0.5 * (1.0 + (std::f64::consts::PI * step as f64 / total as f64).cos());
        self.learning_rate * warm * (LAST_RATE + (1.0 - LAST_RATE) * cosine)
    }

    fn batches(&self) -> BatchOptions {
        BatchOptions {
            batch: self.batch,
            window: self.window,
            drop_deformation: self.drop_deformation,
            seed: self.seed,
        }
    }
}

/// What a training has come to.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The checkpoint.
    pub checkpoint: PathBuf,
    /// Steps done in all.
    pub steps: u64,
    /// Step that this run began at; above 0 when it went on where an earlier one had ended.
    pub began_at: u64,
    /// The last validation.
    pub validation: Losses,
}

/// Losses over mask cells, of averaged weights.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Losses {
    /// Mean squared error of the noise.
    pub noise: f64,
    /// Mean squared error of the field that the estimate implies, in units of the target's scale.
    pub image: f64,
}

/// Trains on an archive and writes `<name>.safetensors`, `log.csv` and the state into `out`. If a state lies there, goes on from it.
///
/// # Errors
/// [`TrainError`].
pub fn train(
    archive: &Archive,
    options: &TrainOptions,
    placement: Placement,
    out: &Path,
    clock: &dyn Clock,
) -> Result<Outcome, TrainError> {
    let _lock = lock(out)?;
    let set = TrainingSet::read(archive, options.window)?;
    let scale = set.target_scale(options.scale_grows_with_thickness);
    let total = options.total_steps(set.training_days());
    let mut training = Training::new(options, placement, &set, scale);
    let state = out.join("state.safetensors");
    let began_at = training.restore(&state, options)?;
    let log = Log::open(out, began_at)?;
    let bar = Bar::new("train", total as usize);
    bar.jump_to(began_at as usize);
    let begin = clock.monotonic();
    let mut validation = None;
    for step in began_at + 1..=total {
        let loss = training.step(step, options.learning_rate_at(step, total))?;
        let last = step == total;
        if last || step % options.validate_every == 0 {
            let losses = training.validate()?;
            log.write(step, loss, losses)?;
            tracing::info!(
                step,
                loss,
                validation_noise = losses.noise,
                validation_image = losses.image,
                "validated"
            );
            validation = Some(losses);
        }
        if last || step % options.save_every == 0 {
            training.save(&state, options, step)?;
        }
        let seconds = clock.monotonic().saturating_sub(begin).as_secs_f64();
        bar.step();
        bar.say(format!("loss {loss:.4}, {:.2} steps/s", (step - began_at) as f64 / seconds));
    }
    let validation = validation.map_or_else(|| training.validate(), Ok)?;
    let checkpoint = out.join(format!("{}.safetensors", options.name));
    Checkpoint::save(&checkpoint, &training.describe(total, validation), &training.optimiser.averages())?;
    Ok(Outcome { checkpoint, steps: total, began_at, validation })
}

/// Keeps a second training out of the folder until dropped.
fn lock(out: &Path) -> Result<File, TrainError> {
    let path = out.join(".lock");
    let refuse = |source| TrainError::File { path: path.clone(), source };
    std::fs::create_dir_all(out).map_err(refuse)?;
    let file = File::create(&path).map_err(refuse)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(TrainError::Busy { folder: out.to_owned() }),
        Err(TryLockError::Error(source)) => Err(refuse(source)),
    }
}

/// A training in the middle of its steps.
struct Training<'a> {
    options: &'a TrainOptions,
    placement: Placement,
    set: &'a TrainingSet,
    scale: TargetScale,
    network: Network,
    optimiser: Optimiser,
}

impl<'a> Training<'a> {
    fn new(
        options: &'a TrainOptions,
        placement: Placement,
        set: &'a TrainingSet,
        scale: TargetScale,
    ) -> Self {
        tch::manual_seed(options.seed as i64);
        let mut network = Network::new(&options.network, placement.device);
        network.use_channels_last();
        let optimiser = Optimiser::new(&network, options.ema_decay);
        Self { options, placement, set, scale, network, optimiser }
    }

    /// One optimiser step; gives its noise loss.
    fn step(&mut self, step: u64, learning_rate: f64) -> Result<f64, TrainError> {
        let batch = self.set.training_batch(self.options.batches(), self.scale, step, self.placement.device);
        let noisy = Noisy::make(&batch, self.options, &format!("noise|{}|{step}", self.options.seed));
        let estimate = self.network.forward(&noisy.field, &batch.context, &noisy.variances, true)?;
        let loss = mean_over(&(estimate - &noisy.noise).square(), &batch.mask);
        loss.backward();
        self.optimiser.step(learning_rate, step);
        let loss = loss.double_value(&[]);
        if loss.is_finite() { Ok(loss) } else { Err(TrainError::Diverged { step, loss }) }
    }

    /// The losses of the averaged weights on held-out samples.
    fn validate(&self) -> Result<Losses, TrainError> {
        let averages = self.optimiser.averages();
        let mut network = Network::new(&self.options.network, self.placement.device);
        let find = |name: &str| {
            averages.iter().find(|(known, _)| known == name).map(|(_, tensor)| tensor.shallow_clone())
        };
        network.assign(find).map_err(TrainError::Option)?;
        network.use_channels_last();
        let mut sum = Losses { noise: 0.0, image: 0.0 };
        for number in 0..VALIDATION_BATCHES {
            let batch =
                self.set.validation_batch(self.options.batches(), self.scale, number, self.placement.device);
            let noisy = Noisy::make(&batch, self.options, &format!("validation noise|{number}"));
            let estimate =
                tch::no_grad(|| network.forward(&noisy.field, &batch.context, &noisy.variances, false))?;
            let image = (&noisy.field - &estimate * &noisy.noise_rates) / &noisy.signal_rates;
            sum.noise += mean_over(&(estimate - &noisy.noise).square(), &batch.mask).double_value(&[]);
            sum.image += mean_over(&(image - &batch.target).square(), &batch.mask).double_value(&[]);
        }
        let count = VALIDATION_BATCHES as f64;
        Ok(Losses { noise: sum.noise / count, image: sum.image / count })
    }

    fn describe(&self, steps: u64, validation: Losses) -> CheckpointInfo {
        CheckpointInfo {
            name: self.options.name.clone(),
            network: self.options.network.clone(),
            channels: 1 + CONTEXT_CHANNELS,
            statistics: self.set.statistics,
            target_scale: self.scale,
            schedule: self.options.schedule,
            sampler: SamplerChoice::default(),
            thickness_definition: self.set.provenance.thickness_definition.clone(),
            degradation: self.set.provenance.degradation.clone(),
            training: TrainingRecord {
                data: self.set.provenance.origin.clone(),
                steps,
                batch: self.options.batch,
                window: self.options.window,
                learning_rate: self.options.learning_rate,
                ema_decay: self.options.ema_decay,
                seed: self.options.seed,
                validation_noise_loss: validation.noise,
                device: self.placement.device_name(),
                code_version: env!("CARGO_PKG_VERSION").into(),
            },
        }
    }

    fn save(&self, path: &Path, options: &TrainOptions, step: u64) -> Result<(), TrainError> {
        let mut state = self.optimiser.state();
        state.push(("step".into(), Tensor::from_slice(&[step as i64])));
        let identity = self.identity(options)?.to_string();
        Ok(write_tensors(path, &state, Some((IDENTITY, identity)))?)
    }

    /// What must be the same when a training goes on: its options, and what the archive makes of them.
    fn identity(&self, options: &TrainOptions) -> Result<Value, TrainError> {
        let mut identity =
            serde_json::to_value(options).map_err(|error| TrainError::Option(error.to_string()))?;
        let archive = (&self.set.provenance, self.set.statistics, self.scale);
        identity["archive"] =
            serde_json::to_value(archive).map_err(|error| TrainError::Option(error.to_string()))?;
        Ok(identity)
    }

    /// Takes over the state in `path`, if there is one; gives the number of steps already done.
    fn restore(&mut self, path: &Path, options: &TrainOptions) -> Result<u64, TrainError> {
        if !path.exists() {
            return Ok(0);
        }
        let differing = differing_entries(path, &self.identity(options)?)?;
        if !differing.is_empty() {
            return Err(TrainError::OtherTraining { path: path.to_owned(), differing: differing.join(", ") });
        }
        let state = read_tensors(path)?;
        self.optimiser
            .restore(&state)
            .map_err(|reason| TrainError::Option(format!("{}: {reason}", path.display())))?;
        Ok(state.get("step").map_or(0, |step| step.int64_value(&[0]) as u64))
    }
}

/// Samples with noise in them.
struct Noisy {
    field: Tensor,
    noise: Tensor,
    variances: Vec<f64>,
    signal_rates: Tensor,
    noise_rates: Tensor,
}

impl Noisy {
    /// Draws a diffusion time and noise for each sample; the same key gives the same.
    fn make(batch: &Batch, options: &TrainOptions, key: &str) -> Self {
        let size = batch.target.size();
        let mut dice = dice(key);
        let rates: Vec<_> = (0..size[0]).map(|_| options.schedule.rates(share(&mut dice))).collect();
        let normals = crate::ensemble::standard_normal(key, batch.target.numel());
        let device = batch.target.device();
        let noise = Tensor::from_slice(&normals).reshape(&size).to_device(device);
        let column = |values: Vec<f32>| Tensor::from_slice(&values).reshape([-1, 1, 1, 1]).to_device(device);
        let signal_rates = column(rates.iter().map(|rate| rate.signal as f32).collect());
        let noise_rates = column(rates.iter().map(|rate| rate.noise as f32).collect());
        Self {
            field: channels_last(&(&batch.target * &signal_rates + &noise * &noise_rates)),
            noise,
            variances: rates.iter().map(|rate| rate.noise * rate.noise).collect(),
            signal_rates,
            noise_rates,
        }
    }
}

fn mean_over(values: &Tensor, mask: &Tensor) -> Tensor {
    (values * mask).sum(Kind::Float) / mask.sum(Kind::Float).clamp_min(1.0)
}

/// Names of the entries in which a stored training differs from `wanted`.
fn differing_entries(path: &Path, wanted: &Value) -> Result<Vec<String>, TrainError> {
    let refuse = |reason: String| TrainError::Option(format!("{}: {reason}", path.display()));
    let bytes = std::fs::read(path).map_err(|source| TrainError::File { path: path.to_owned(), source })?;
    let (_, metadata) =
        safetensors::SafeTensors::read_metadata(&bytes).map_err(|error| refuse(error.to_string()))?;
    let text =
        metadata.metadata().as_ref().and_then(|entries| entries.get(IDENTITY)).cloned().unwrap_or_default();
    let stored: Value = serde_json::from_str(&text).map_err(|error| refuse(error.to_string()))?;
    let names = wanted.as_object().into_iter().flatten();
    Ok(names.filter(|(name, value)| stored.get(name) != Some(value)).map(|(name, _)| name.clone()).collect())
}

/// The losses as a table that anything can read.
struct Log {
    path: PathBuf,
}

impl Log {
    /// Opens the log; lines beyond the step that a resumed training begins at are dropped, since they will come again.
    fn open(out: &Path, began_at: u64) -> Result<Self, TrainError> {
        let path = out.join("log.csv");
        let refuse = |source| TrainError::File { path: path.clone(), source };
        let before = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            found => found.map_err(refuse)?,
        };
        let step_of = |line: &str| line.split(',').next().and_then(|step| step.parse::<u64>().ok());
        let mut text = "step,training_noise_loss,validation_noise_loss,validation_image_loss\n".to_owned();
        for line in before.lines().filter(|line| step_of(line).is_some_and(|step| step <= began_at)) {
            text.push_str(line);
            text.push('\n');
        }
        sys::replace_file(&path, text.as_bytes()).map_err(refuse)?;
        Ok(Self { path })
    }

    fn write(&self, step: u64, loss: f64, validation: Losses) -> Result<(), TrainError> {
        let refuse = |source| TrainError::File { path: self.path.clone(), source };
        let mut file = OpenOptions::new().append(true).open(&self.path).map_err(refuse)?;
        writeln!(file, "{step},{loss:.6},{:.6},{:.6}", validation.noise, validation.image).map_err(refuse)
    }
}
