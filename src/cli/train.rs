//! `nilas train`: a checkpoint from an archive.

use std::path::PathBuf;

use clap::Args;

use super::failure::Failure;
use super::print;
use crate::archive::Archive;
use crate::config::{DeviceChoice, Precision};
use crate::model::{NetworkConfiguration, Placement, Schedule, select_device};
use crate::time::SystemClock;
use crate::train::{TrainError, TrainOptions, train};

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
    /// Highest learning rate.
    #[arg(long, default_value_t = TrainOptions::default().learning_rate)]
    learning_rate: f64,
    /// Decay of the averaged weights, which are what is saved.
    #[arg(long, default_value_t = TrainOptions::default().ema_decay)]
    ema_decay: f64,
    /// Signal rate at diffusion time 0.
    #[arg(long, default_value_t = Schedule::default().max_signal_rate)]
    max_signal_rate: f64,
    /// Signal rate at diffusion time 1.
    #[arg(long, default_value_t = Schedule::default().min_signal_rate)]
    min_signal_rate: f64,
    /// Let the anomaly's scale grow with the thickness instead of one standard deviation.
    #[arg(long)]
    scale_grows_with_thickness: bool,
    /// Share of samples whose deformation is taken away.
    #[arg(long, default_value_t = TrainOptions::default().drop_deformation)]
    drop_deformation: f64,
    /// Seed of weights, windows, diffusion times and noise.
    #[arg(long, default_value_t = TrainOptions::default().seed)]
    seed: u64,
    /// Steps between two validations.
    #[arg(long, default_value_t = TrainOptions::default().validate_every, value_parser = clap::value_parser!(u64).range(1..))]
    validate_every: u64,
    /// Steps between two savings of the state.
    #[arg(long, default_value_t = TrainOptions::default().save_every, value_parser = clap::value_parser!(u64).range(1..))]
    save_every: u64,
    /// Where to train.
    #[arg(long, default_value = "auto")]
    device: DeviceChoice,
    /// Threads on CPU; 0 takes as many as the process may use.
    #[arg(long, default_value_t = 0)]
    threads: usize,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let options = arguments.options()?;
    let archive = Archive::open(&arguments.archive).map_err(TrainError::from)?;
    let device = select_device(arguments.device, arguments.threads)?;
    let placement = Placement { device, precision: Precision::F32 };
    let outcome = train(&archive, &options, placement, &arguments.out, &SystemClock::new())?;
    print(format_args!("checkpoint        {}", outcome.checkpoint.display()));
    print(format_args!("steps             {} (this run began at {})", outcome.steps, outcome.began_at));
    print(format_args!(
        "validation loss   noise {:.4}, image {:.4}",
        outcome.validation.noise, outcome.validation.image
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
        let refuse = |text: &str| Err(Failure::Usage(text.to_owned()));
        if !network.is_buildable() {
            return refuse(
                "--widths, --block-depth: give 2 to 8 widths from 1 to 4096 and a depth from 1 to 64",
            );
        }
        if !(0.0 < schedule.min_signal_rate
            && schedule.min_signal_rate < schedule.max_signal_rate
            && schedule.max_signal_rate < 1.0)
        {
            return refuse("--min-signal-rate, --max-signal-rate: need 0 < min < max < 1");
        }
        if !(self.learning_rate.is_finite() && self.learning_rate > 0.0) {
            return refuse("--learning-rate: need a number above 0");
        }
        if !(0.0..1.0).contains(&self.ema_decay) || !(0.0..=1.0).contains(&self.drop_deformation) {
            return refuse("--ema-decay, --drop-deformation: need 0 <= decay < 1 and a share from 0 to 1");
        }
        if self.batch == 0 || self.window < 8 {
            return refuse("--batch, --window: need at least 1 sample of at least 8 cells");
        }
        Ok(TrainOptions {
            name: self.name.clone(),
            network,
            epochs: self.epochs,
            steps: self.steps,
            batch: self.batch,
            window: self.window,
            learning_rate: self.learning_rate,
            ema_decay: self.ema_decay,
            schedule,
            scale_grows_with_thickness: self.scale_grows_with_thickness,
            drop_deformation: self.drop_deformation,
            seed: self.seed,
            validate_every: self.validate_every,
            save_every: self.save_every,
        })
    }
}
