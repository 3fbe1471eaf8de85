//! `nilas train`: a checkpoint from an archive.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::failure::Failure;
use super::print;
use super::sweep::Sweep;
use crate::archive::Archive;
use crate::config::{DeviceChoice, Precision};
use crate::model::{
    CheckpointInfo, Features, NetworkConfiguration, Objective, Schedule, Target, select_placement,
};
use crate::time::SystemClock;
use crate::train::{BestCheckpoint, End, HeldOut, Limits, Outcome, TrainError, TrainOptions, train};

/// What the weights of a checkpoint mean, which is not to be chosen when a training begins with them.
const MEANING: [&str; 10] = [
    "network",
    "widths",
    "block_depth",
    "objective",
    "target",
    "without_concentration",
    "without_deformation",
    "max_signal_rate",
    "min_signal_rate",
    "scale_grows_with_thickness",
];

/// Trains a network on an archive. Run it again with the same options to go on after an interruption. Defaults are
/// the recipe of SuperIce deliverable 3.1.
#[derive(Args)]
pub(super) struct Arguments {
    /// Folder of the archive (the one that holds model/features).
    #[arg(long)]
    archive: PathBuf,
    /// Folder for the checkpoint, the log and the state.
    #[arg(long)]
    out: PathBuf,
    /// Name of the checkpoint.
    #[arg(long, default_value = "nilas")]
    name: String,
    /// Begin with the weights of a checkpoint instead of random ones, for instance to adapt a model to an archive of one's own. What its
    /// weights mean (network, objective, target, features, signal rates, standardisation, scale) is kept.
    #[arg(long, value_name = "CHECKPOINT", conflicts_with_all = MEANING)]
    begin_with: Option<PathBuf>,
    /// Size of the network: small or reference.
    #[arg(long, default_value = "reference")]
    network: String,
    /// Channels of each level instead of a named size, the bottom last: 32,64,96,128.
    #[arg(long, value_delimiter = ',')]
    widths: Option<Vec<i64>>,
    /// Residual blocks on each level instead of a named size.
    #[arg(long)]
    block_depth: Option<usize>,
    /// Passes over the training days.
    #[arg(long, default_value_t = TrainOptions::default().epochs)]
    epochs: u64,
    /// Optimiser steps instead of epochs.
    #[arg(long)]
    steps: Option<u64>,
    /// Samples in a step.
    #[arg(long, default_value_t = TrainOptions::default().batch)]
    batch: usize,
    /// Cells along a side of a sample.
    #[arg(long, default_value_t = TrainOptions::default().window)]
    window: usize,
    /// What the network learns to give: the noise or the velocity, with which fields are drawn, or the mean (a regression to measure
    /// others by).
    #[arg(long, value_enum, default_value_t = Objective::default())]
    objective: Objective,
    /// What is drawn.
    #[arg(long, value_enum, default_value_t = Target::default())]
    target: Target,
    /// Do not show the concentration to the network.
    #[arg(long)]
    without_concentration: bool,
    /// Do not show the deformation to the network.
    #[arg(long)]
    without_deformation: bool,
    /// Learning rate, before the factors of the warm-up and of the cosine.
    #[arg(long, default_value_t = TrainOptions::default().learning_rate)]
    learning_rate: f64,
    /// Steps over which the factor of the warm-up rises from 0 to 1.
    #[arg(long, default_value_t = TrainOptions::default().warm_up)]
    warm_up: u64,
    /// Where the factor of the cosine, which falls from 1 over all steps, ends; 1 keeps it.
    #[arg(long, default_value_t = TrainOptions::default().last_rate)]
    last_rate: f64,
    /// Shorten the gradient of all weights together to this length.
    #[arg(long)]
    clip_gradient: Option<f64>,
    /// Decay of the averaged weights, which are what is saved.
    #[arg(long, default_value_t = TrainOptions::default().ema_decay)]
    ema_decay: f64,
    /// Signal rate at diffusion time 0.
    #[arg(long, default_value_t = Schedule::default().max_signal_rate)]
    max_signal_rate: f64,
    /// Signal rate at diffusion time 1.
    #[arg(long, default_value_t = Schedule::default().min_signal_rate)]
    min_signal_rate: f64,
    /// Share of each batch, rounded to samples, whose diffusion times are even in the logarithm of signal over noise: more with little
    /// noise and with much.
    #[arg(long, default_value_t = TrainOptions::default().log_snr_share)]
    log_snr_share: f64,
    /// Let the anomaly's scale grow with the thickness instead of one standard deviation.
    #[arg(long)]
    scale_grows_with_thickness: bool,
    /// Share of samples whose deformation is taken away.
    #[arg(long, default_value_t = TrainOptions::default().drop_deformation)]
    drop_deformation: f64,
    /// Share of samples with holes in their inputs: along coasts, around a pole, in the drift, in the concentration.
    #[arg(long, default_value_t = TrainOptions::default().holes)]
    holes: f64,
    /// Share of the samples with holes whose drift and thickness are filled as in production; in the others the deformation is hidden
    /// in holes, and the ice mask ends where thickness or concentration is missing.
    #[arg(long, default_value_t = TrainOptions::default().fill_holes)]
    fill_holes: f64,
    /// Number format of the convolutions; weights, normalisation and loss are f32. Only f32 goes on to the bit after an interruption.
    #[arg(long, value_enum, default_value_t = TrainOptions::default().precision)]
    precision: Precision,
    /// Number format in which the optimiser's moments are saved; bf16 makes the state smaller, and going on no longer exact.
    #[arg(long, value_enum, default_value_t = TrainOptions::default().moments)]
    moments: Precision,
    /// Seed of weights, windows, holes, diffusion times and noise.
    #[arg(long, default_value_t = TrainOptions::default().seed)]
    seed: u64,
    /// The days kept for validation: a share, taken from the end of the archive, or a list such as 2020-10-18,2021-03-01.
    #[arg(long, default_value_t = HeldOut::default())]
    validation_days: HeldOut,
    /// Steps between two validations.
    #[arg(long, default_value_t = TrainOptions::default().validate_every, value_parser = clap::value_parser!(u64).range(1..))]
    validate_every: u64,
    /// Steps between two savings of the state.
    #[arg(long, default_value_t = TrainOptions::default().save_every, value_parser = clap::value_parser!(u64).range(1..))]
    save_every: u64,
    /// Save and end after so many minutes; the same command goes on from there.
    #[arg(long)]
    minutes: Option<f64>,
    /// End after so many validations in a row that are not better than the best.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    patience: Option<u64>,
    /// Train a table of runs (TOML, see docs/training.md) into folders of --out, score each on the held-out days, and draw the measures.
    /// The other options hold for every run that does not change them.
    #[arg(long)]
    sweep: Option<PathBuf>,
    /// Where to train.
    #[arg(long, default_value = "auto")]
    device: DeviceChoice,
    /// Threads on CPU; 0 takes as many as the process may use.
    #[arg(long, default_value_t = 0)]
    threads: usize,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut options = arguments.options()?;
    let archive = Archive::open(&arguments.archive).map_err(TrainError::from)?;
    let placement = select_placement(arguments.device, arguments.threads, arguments.precision)?;
    options.precision = placement.precision;
    let time = arguments.minutes.map(|minutes| Duration::try_from_secs_f64(60.0 * minutes)).transpose();
    let time = time.map_err(|error| Failure::Usage(format!("--minutes: {error}")))?;
    let limits = Limits { time, patience: arguments.patience };
    let clock = SystemClock::new();
    if let Some(file) = &arguments.sweep {
        let sweep = Sweep {
            archive: &archive,
            folder: &arguments.archive,
            options: &options,
            limits,
            placement,
            out: &arguments.out,
            clock: &clock,
        };
        return sweep.run(file);
    }
    let outcome = train(&archive, &options, limits, placement, &arguments.out, &clock)?;
    let Outcome { best, steps, total_steps, began_at, end } = outcome;
    match best {
        Some(BestCheckpoint { path, step, loss }) => {
            print(format_args!("checkpoint        {}", path.display()));
            print(format_args!("validation loss   {loss:.4} at step {step}, the best"));
        }
        None => print(format_args!("checkpoint        none before the first validation (--validate-every)")),
    }
    print(format_args!("steps             {steps} of {total_steps} (this run began at {began_at})"));
    print(format_args!(
        "ended             {}",
        match end {
            End::Steps => "with the last step",
            End::Patience => "because validation got no better (--patience)",
            End::Time => "after --minutes; the same command goes on",
        }
    ));
    Ok(())
}

impl Arguments {
    fn options(&self) -> Result<TrainOptions, Failure> {
        let named = NetworkConfiguration::named(&self.network).ok_or_else(|| {
            Failure::Usage(format!("--network {}: the sizes are small and reference", self.network))
        })?;
        let network = NetworkConfiguration {
            widths: self.widths.clone().unwrap_or(named.widths),
            block_depth: self.block_depth.unwrap_or(named.block_depth),
        };
        let schedule =
            Schedule { max_signal_rate: self.max_signal_rate, min_signal_rate: self.min_signal_rate };
        let features =
            Features { concentration: !self.without_concentration, deformation: !self.without_deformation };
        let options = TrainOptions {
            name: self.name.clone(),
            begin_with: self.begin_with.clone(),
            network,
            objective: self.objective,
            target: self.target,
            features,
            epochs: self.epochs,
            steps: self.steps,
            batch: self.batch,
            window: self.window,
            learning_rate: self.learning_rate,
            warm_up: self.warm_up,
            last_rate: self.last_rate,
            clip_gradient: self.clip_gradient,
            ema_decay: self.ema_decay,
            schedule,
            log_snr_share: self.log_snr_share,
            scale_grows_with_thickness: self.scale_grows_with_thickness,
            drop_deformation: self.drop_deformation,
            holes: self.holes,
            fill_holes: self.fill_holes,
            precision: self.precision,
            moments: self.moments,
            seed: self.seed,
            validation_days: self.validation_days.clone(),
            validate_every: self.validate_every,
            save_every: self.save_every,
        };
        let options = match &self.begin_with {
            Some(checkpoint) => options.for_weights_of(&CheckpointInfo::read(checkpoint)?),
            None => options,
        };
        options.validate().map_err(Failure::Usage)?;
        Ok(options)
    }
}
