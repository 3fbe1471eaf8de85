//! The training loop: steps, validation, and a state on disk from which a killed training goes on as if nothing had happened.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tch::{Kind, Tensor};

use super::batch::{Batch, Drawn, TrainingSet};
use super::beginning::Beginning;
use super::log::Log;
use super::optimiser::Optimiser;
use super::state::{Best, DAYS, Progress, Store};
use super::{TrainError, TrainOptions, report};
use crate::archive::Archive;
use crate::config::Precision;
use crate::model::{
    CONTEXT_CHANNELS, Checkpoint, CheckpointInfo, MEAN_VARIANCE, Network, Objective, Placement, Rates,
    Sampler, TargetScale, TrainingRecord, channels_last,
};
use crate::progress::Bar;
use crate::time::Clock;

/// Batches of a validation.
const VALIDATION_BATCHES: u64 = 8;
/// Batches drawn ahead of the step that needs them.
const AHEAD: usize = 2;
/// The best checkpoint so far of a training that has not ended.
const BEST: &str = "best.safetensors";
/// How the names of files begin that are to replace others.
const PARTIAL: &str = ".tmp";

/// When to end before the last step.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Limits {
    /// Saves and ends after this time; the same training can go on from there.
    pub time: Option<Duration>,
    /// Ends for good after so many validations in a row that are not better than the best one.
    pub patience: Option<u64>,
}

/// Why a training ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// All steps are done.
    Steps,
    /// Validation got no better for long.
    Patience,
    /// The time was over; there is more to do.
    Time,
}

/// What a training has come to.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The checkpoint with the best validation; none when the time was over before the first one.
    pub best: Option<BestCheckpoint>,
    /// Steps done in all.
    pub steps: u64,
    /// Steps that there are to do.
    pub total_steps: u64,
    /// Step that this run began at; above 0 when it went on where an earlier one had ended.
    pub began_at: u64,
    /// Why it ended.
    pub end: End,
}

/// The checkpoint with the best validation.
#[derive(Debug, Clone, PartialEq)]
pub struct BestCheckpoint {
    /// Where it lies.
    pub path: PathBuf,
    /// The step that it is of.
    pub step: u64,
    /// Its validation loss.
    pub loss: f64,
}

/// Losses over mask cells, of averaged weights.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Losses {
    /// Mean squared error of the noise; of the field itself where that is what the network gives.
    pub noise: f64,
    /// Mean squared error of the field that the estimate implies, in units of the target's scale.
    pub image: f64,
}

/// Losses on held-out days.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Validation {
    /// With the inputs as they are.
    pub plain: Losses,
    /// With holes in every sample.
    pub holes: Losses,
}

/// Trains on an archive and writes `<name>.safetensors`, `log.csv`, `report.html` and the state into `out`. If a state lies there,
/// goes on from it.
///
/// # Errors
/// [`TrainError`].
pub fn train(
    archive: &Archive,
    options: &TrainOptions,
    limits: Limits,
    placement: Placement,
    out: &Path,
    clock: &dyn Clock,
) -> Result<Outcome, TrainError> {
    let begin = clock.monotonic();
    options.validate().map_err(TrainError::Option)?;
    let _lock = lock(out)?;
    clear_partial_files(out)?;
    let beginning = options.begin_with.as_ref().map(|path| Beginning::read(path, options)).transpose()?;
    let mut set = TrainingSet::read(archive, options.window, &options.validation_days)?;
    let scale = match &beginning {
        Some(beginning) => {
            beginning.lend_to(&mut set);
            beginning.info().target_scale
        }
        None => set.target_scale(options.target, options.scale_grows_with_thickness),
    };
    let total = options.total_steps(set.training_days());
    let mut training = Training::new(options, placement, &set, scale, beginning.as_ref(), out)?;
    training.restore()?;
    let began_at = training.progress.step;
    let log = Log::open(out, began_at)?;
    let bar = Bar::new("train", total as usize);
    bar.jump_to(began_at as usize);
    let elapsed = || clock.monotonic().saturating_sub(begin);
    let first_step = elapsed();
    let end = thread::scope(|scope| {
        let (sender, drawn) = mpsc::sync_channel(AHEAD);
        let (set, batches) = (&set, options.batches());
        // Ends when it has drawn everything or the receiver is gone.
        scope.spawn(move || {
            (began_at + 1..=total).all(|step| sender.send(set.training_batch(batches, scale, step)).is_ok())
        });
        let mut end = training.end_of_patience(limits);
        if end.is_some() {
            return Ok(end);
        }
        for (step, drawn) in (began_at + 1..=total).zip(drawn) {
            let learning_rate = options.learning_rate_at(step, total);
            let loss = training.step(&drawn, step, learning_rate)?;
            let (last, mut saved) = (step == total, false);
            if last || step.is_multiple_of(options.validate_every) {
                saved = training.validated(&log, learning_rate)?;
                end = training.end_of_patience(limits);
            }
            if !last && end.is_none() && limits.time.is_some_and(|limit| elapsed() >= limit) {
                end = Some(End::Time);
            }
            if !saved && (last || end.is_some() || step.is_multiple_of(options.save_every)) {
                training.save()?;
            }
            bar.step();
            let seconds = elapsed().saturating_sub(first_step).as_secs_f64();
            bar.say(format!("loss {loss:.4}, {:.2} steps/s", (step - began_at) as f64 / seconds));
            if end.is_some() {
                break;
            }
        }
        Ok::<_, TrainError>(end)
    })?;
    training.outcome(end.unwrap_or(End::Steps), total, began_at)
}

/// Keeps a second training out of the folder until dropped.
fn lock(out: &Path) -> Result<File, TrainError> {
    let path = out.join(".lock");
    let refuse = |source| TrainError::File { path: path.clone(), source };
    fs::create_dir_all(out).map_err(refuse)?;
    let file = File::create(&path).map_err(refuse)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(TrainError::Busy { folder: out.to_owned() }),
        Err(TryLockError::Error(source)) => Err(refuse(source)),
    }
}

/// Removes what a process left that was killed while it replaced a file.
fn clear_partial_files(out: &Path) -> Result<(), TrainError> {
    let refuse = |source| TrainError::File { path: out.to_owned(), source };
    for entry in fs::read_dir(out).map_err(refuse)? {
        let entry = entry.map_err(refuse)?;
        if entry.file_name().to_string_lossy().starts_with(PARTIAL) {
            fs::remove_file(entry.path())
                .map_err(|source| TrainError::File { path: entry.path(), source })?;
        }
    }
    Ok(())
}

/// A training in the middle of its steps.
struct Training<'a> {
    options: &'a TrainOptions,
    placement: Placement,
    set: &'a TrainingSet,
    scale: TargetScale,
    beginning: Option<&'a Beginning>,
    network: Network,
    optimiser: Optimiser,
    progress: Progress,
    store: Store,
    out: &'a Path,
}

impl<'a> Training<'a> {
    fn new(
        options: &'a TrainOptions,
        placement: Placement,
        set: &'a TrainingSet,
        scale: TargetScale,
        beginning: Option<&'a Beginning>,
        out: &'a Path,
    ) -> Result<Self, TrainError> {
        tch::manual_seed(options.seed as i64);
        let mut network = network(options, placement);
        if let Some(beginning) = beginning {
            beginning.assign(&mut network)?;
        }
        let optimiser = Optimiser::new(&network, options.ema_decay, options.clip_gradient);
        let (progress, store) = (Progress::default(), Store::new(out));
        Ok(Self { options, placement, set, scale, beginning, network, optimiser, progress, store, out })
    }

    /// One optimiser step; gives its loss.
    fn step(&mut self, drawn: &Drawn, step: u64, learning_rate: f64) -> Result<f64, TrainError> {
        let question = Question::put(drawn.on(self.placement.device), self.options);
        let estimate = question.ask(&self.network, true)?;
        question.loss(&estimate).backward();
        self.optimiser.step(learning_rate, step);
        let loss = question.losses(&estimate).noise;
        if !loss.is_finite() {
            return Err(TrainError::Diverged { step, loss });
        }
        self.progress.step = step;
        self.progress.loss_sum += loss;
        self.progress.loss_count += 1;
        Ok(loss)
    }

    /// Validates, writes the line of the log, and keeps the checkpoint if it is the best so far, with the state that knows of it, so that
    /// a training which goes on does not name another one; says whether it was.
    fn validated(&mut self, log: &Log, learning_rate: f64) -> Result<bool, TrainError> {
        let validation = self.validate()?;
        let step = self.progress.step;
        let loss = self.progress.loss_sum / self.progress.loss_count as f64;
        (self.progress.loss_sum, self.progress.loss_count) = (0.0, 0);
        log.write(step, learning_rate, loss, &validation)?;
        report::write(self.out, self.options, &self.set.provenance, &log.rows()?)?;
        tracing::info!(
            step,
            loss,
            validation_noise = validation.plain.noise,
            validation_image = validation.plain.image,
            "validated"
        );
        let found = Best { step, loss: self.options.score(&validation) };
        let is_best = self.progress.best.is_none_or(|best| found.loss < best.loss);
        if is_best {
            self.progress.best = Some(found);
            let info = self.describe(step, validation.plain);
            Checkpoint::save(&self.out.join(BEST), &info, &self.optimiser.averages())?;
            self.save()?;
        }
        Ok(is_best)
    }

    /// The losses of the averaged weights on held-out samples.
    fn validate(&self) -> Result<Validation, TrainError> {
        let averages = self.optimiser.averages();
        let mut network = network(self.options, self.placement);
        let find = |name: &str| {
            averages.iter().find(|(known, _)| known == name).map(|(_, tensor)| tensor.shallow_clone())
        };
        network.assign(find).map_err(TrainError::Option)?;
        let losses = |with_holes: bool| {
            let mut sum = Losses::default();
            for number in 0..VALIDATION_BATCHES {
                let options = self.options.batches();
                let drawn = self.set.validation_batch(options, self.scale, number, with_holes);
                let question = Question::put(drawn.on(self.placement.device), self.options);
                let estimate = tch::no_grad(|| question.ask(&network, false))?;
                let losses = question.losses(&estimate);
                sum.noise += losses.noise;
                sum.image += losses.image;
            }
            let count = VALIDATION_BATCHES as f64;
            Ok::<_, TrainError>(Losses { noise: sum.noise / count, image: sum.image / count })
        };
        Ok(Validation { plain: losses(false)?, holes: losses(true)? })
    }

    fn end_of_patience(&self, limits: Limits) -> Option<End> {
        let (patience, best) = (limits.patience?, self.progress.best?);
        let since = (self.progress.step - best.step) / self.options.validate_every;
        (since >= patience.max(1)).then_some(End::Patience)
    }

    fn describe(&self, steps: u64, validation: Losses) -> CheckpointInfo {
        CheckpointInfo {
            name: self.options.name.clone(),
            network: self.options.network.clone(),
            channels: 1 + CONTEXT_CHANNELS,
            statistics: self.set.statistics,
            target_scale: self.scale,
            schedule: self.options.schedule,
            sampler: Sampler::usual(self.options.schedule),
            calibration: None,
            objective: self.options.objective,
            target: self.options.target,
            features: self.options.features,
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

    fn save(&self) -> Result<(), TrainError> {
        self.store.save(&self.optimiser.state(self.options.moments), &self.progress, self.identity()?)
    }

    /// What must be the same when a training goes on: its options, what the archive makes of them, its days, and the checkpoint that it
    /// begins with, wherever that lies.
    fn identity(&self) -> Result<Value, TrainError> {
        let refuse = |error: serde_json::Error| TrainError::Option(error.to_string());
        let mut identity = serde_json::to_value(self.options).map_err(refuse)?;
        if let Some(beginning) = self.beginning {
            identity["begin_with"] = beginning.sha256().into();
        }
        let archive = (&self.set.provenance, self.set.measured, self.scale);
        identity["archive"] = serde_json::to_value(archive).map_err(refuse)?;
        let days = (&self.set.days, self.set.measured_held_out);
        identity[DAYS] = serde_json::to_value(days).map_err(refuse)?;
        Ok(identity)
    }

    /// Takes over the state in the folder, if there is one.
    fn restore(&mut self) -> Result<(), TrainError> {
        if let Some((progress, tensors)) = self.store.load(&self.identity()?)? {
            self.optimiser
                .restore(&tensors)
                .map_err(|reason| TrainError::State { path: self.out.to_owned(), reason })?;
            self.progress = progress;
        }
        Ok(())
    }

    /// Says what has come out; of a training that has ended, the best checkpoint gets its name.
    fn outcome(self, end: End, total_steps: u64, began_at: u64) -> Result<Outcome, TrainError> {
        let mut path = self.out.join(BEST);
        if end != End::Time {
            let named = self.out.join(format!("{}.safetensors", self.options.name));
            let copied = fs::read(&path).and_then(|bytes| crate::sys::replace_file(&named, &bytes));
            copied.map_err(|source| TrainError::File { path: named.clone(), source })?;
            path = named;
        }
        let best = self.progress.best.map(|Best { step, loss }| BestCheckpoint { path, step, loss });
        Ok(Outcome { best, steps: self.progress.step, total_steps, began_at, end })
    }
}

/// A fresh network that computes as the options say.
fn network(options: &TrainOptions, placement: Placement) -> Network {
    let mut network = Network::new(&options.network, placement.device);
    network.use_channels_last();
    if options.precision == Precision::Bf16 {
        network.compute_in_bfloat16();
    }
    network
}

impl TrainOptions {
    /// The number that the best checkpoint has the least of.
    fn score(&self, validation: &Validation) -> f64 {
        let Validation { plain, holes } = validation;
        // Errors of noise and field add up to that of the velocity.
        let of = |losses: &Losses| match self.objective {
            Objective::Velocity => losses.noise + losses.image,
            Objective::Noise | Objective::Mean => losses.noise,
        };
        if self.holes > 0.0 { 0.5 * (of(plain) + of(holes)) } else { of(plain) }
    }
}

/// What the network is asked, and what it should answer.
struct Question {
    batch: Batch,
    field: Tensor,
    variances: Vec<f64>,
    answer: Tensor,
    /// What an error of the answer is as one of the noise, and as one of the field: factors for each sample.
    as_noise: Tensor,
    as_image: Tensor,
}

impl Question {
    fn put(batch: Batch, options: &TrainOptions) -> Self {
        let rates: Vec<_> = batch.times.iter().map(|&time| options.schedule.rates(time)).collect();
        let device = batch.target.device();
        let column = |factor: &dyn Fn(&Rates) -> f64| {
            let values: Vec<f32> = rates.iter().map(|rates| factor(rates) as f32).collect();
            Tensor::from_slice(&values).reshape([-1, 1, 1, 1]).to_device(device)
        };
        let (signal, noise) = (column(&|at| at.signal), column(&|at| at.noise));
        let noisy = || channels_last(&(&batch.target * &signal + &batch.noise * &noise));
        let one = || Tensor::ones([1], (Kind::Float, device));
        let (field, answer, as_noise, as_image) = match options.objective {
            Objective::Noise => {
                (noisy(), batch.noise.shallow_clone(), one(), column(&|at| at.noise / at.signal))
            }
            Objective::Velocity => {
                let velocity = &batch.noise * &signal - &batch.target * &noise;
                (noisy(), velocity, signal.shallow_clone(), noise.shallow_clone())
            }
            Objective::Mean => (batch.target.zeros_like(), batch.target.shallow_clone(), one(), one()),
        };
        let variance = |at: &Rates| {
            if options.objective == Objective::Mean { MEAN_VARIANCE } else { at.noise * at.noise }
        };
        let variances = rates.iter().map(variance).collect();
        Self { batch, field, variances, answer, as_noise, as_image }
    }

    fn ask(&self, network: &Network, training: bool) -> Result<Tensor, TrainError> {
        Ok(network.forward(&self.field, &self.batch.context, &self.variances, training)?)
    }

    /// What training makes small.
    fn loss(&self, estimate: &Tensor) -> Tensor {
        mean_over(&(estimate - &self.answer).square(), &self.batch.mask)
    }

    fn losses(&self, estimate: &Tensor) -> Losses {
        let error = (estimate - &self.answer).detach();
        let of = |factor: &Tensor| mean_over(&(&error * factor).square(), &self.batch.mask).double_value(&[]);
        Losses { noise: of(&self.as_noise), image: of(&self.as_image) }
    }
}

fn mean_over(values: &Tensor, mask: &Tensor) -> Tensor {
    (values * mask).sum(Kind::Float) / mask.sum(Kind::Float).clamp_min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::NetworkConfiguration;
    use crate::train::batch::tests::{options, set};

    #[test]
    fn the_state_is_saved_with_a_best_checkpoint_and_not_with_another() {
        let (out, set) = (tempfile::tempdir().unwrap(), set());
        let options = TrainOptions {
            network: NetworkConfiguration { widths: vec![4, 6], block_depth: 1 },
            batch: 2,
            window: 32,
            ..TrainOptions::default()
        };
        let scale = TargetScale { constant_m: 0.2, per_metre: 0.0 };
        let mut training = Training::new(&options, Placement::CPU, &set, scale, None, out.path()).unwrap();
        let log = Log::open(out.path(), 0).unwrap();
        let drawn = set.training_batch(options.batches(), scale, 1);
        let saved = |training: &Training<'_>| {
            let (progress, _) = training.store.load(&training.identity().unwrap()).unwrap().unwrap();
            (progress.step, progress.best.map(|best| best.step))
        };
        training.step(&drawn, 1, 1e-3).unwrap();
        assert!(training.validated(&log, 1e-3).unwrap());
        assert!(out.path().join(BEST).exists());
        assert_eq!(saved(&training), (1, Some(1)));

        // No loss is below this one.
        training.progress.best = Some(Best { step: 1, loss: 0.0 });
        training.step(&drawn, 2, 1e-3).unwrap();
        assert!(!training.validated(&log, 1e-3).unwrap());
        assert_eq!(saved(&training), (1, Some(1)));
    }

    /// What errors of an answer by 0.1 mean for noise and field, found by turning the answer into both.
    #[test]
    fn errors_of_every_answer_are_told_as_those_of_noise_and_field() {
        for objective in [Objective::Noise, Objective::Velocity] {
            let set = set();
            let wanted = TrainOptions { objective, ..TrainOptions::default() };
            let scale = TargetScale { constant_m: 0.2, per_metre: 0.0 };
            let drawn = set.training_batch(options(), scale, 3).on(Placement::CPU.device);
            let question = Question::put(drawn, &wanted);
            let estimate = &question.answer + 0.1;
            let (z, variance) =
                (&question.field, Tensor::from_slice(&question.variances).reshape([-1, 1, 1, 1]));
            let signal = (variance.ones_like() - &variance).sqrt();
            let rate = variance.sqrt();
            let noise = match objective {
                Objective::Velocity => &estimate * &signal + z * &rate,
                Objective::Noise | Objective::Mean => estimate.shallow_clone(),
            };
            let image = (z - &noise * &rate) / &signal;
            let error = |found: Tensor, right: &Tensor| {
                mean_over(&(found - right).square(), &question.batch.mask).double_value(&[])
            };
            let losses = question.losses(&estimate);
            let noise = error(noise, &question.batch.noise);
            let image = error(image, &question.batch.target);
            assert!((losses.noise / noise - 1.0).abs() < 1e-3, "{objective}: {losses:?}, {noise}");
            assert!((losses.image / image - 1.0).abs() < 1e-3, "{objective}: {losses:?}, {image}");
        }
    }
}
