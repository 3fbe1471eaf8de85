//! How to train.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::batch::BatchOptions;
use super::held_out::HeldOut;
use crate::config::Precision;
use crate::model::{CheckpointInfo, Features, NetworkConfiguration, Objective, Schedule, Target};

/// How to train. The default is D3.1's recipe, with holes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainOptions {
    /// Name of the checkpoint.
    pub name: String,
    /// The checkpoint whose weights, standardisation and scale the training begins with; without one weights are random and the rest is
    /// the archive's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub begin_with: Option<PathBuf>,
    /// Size of the network.
    pub network: NetworkConfiguration,
    /// What the network learns to give.
    pub objective: Objective,
    /// What is drawn with it.
    pub target: Target,
    /// What it is shown beside thickness and mask.
    pub features: Features,
    /// Passes over the training days; as many windows as days make one pass.
    pub epochs: u64,
    /// Optimiser steps instead of epochs.
    pub steps: Option<u64>,
    /// Samples in a step.
    pub batch: usize,
    /// Cells along a side of a sample.
    pub window: usize,
    /// Learning rate before its two factors: one for the warm-up, one that falls along a cosine.
    pub learning_rate: f64,
    /// Steps over which the first factor rises from 0 to 1.
    pub warm_up: u64,
    /// The second factor falls along a cosine over all steps, from 1 to this share; 1 keeps it.
    pub last_rate: f64,
    /// Largest length of the gradient of all weights together; a longer one is shortened.
    pub clip_gradient: Option<f64>,
    /// Decay of the averaged weights.
    pub ema_decay: f64,
    /// The noise.
    pub schedule: Schedule,
    /// Share of the samples of each batch, rounded, whose diffusion times are even in the logarithm of signal over noise: 0 draws all
    /// evenly, as D3.1 does.
    pub log_snr_share: f64,
    /// Whether the anomaly's scale grows with the thickness.
    pub scale_grows_with_thickness: bool,
    /// Share of samples whose deformation is taken away.
    pub drop_deformation: f64,
    /// Share of samples with holes in their inputs.
    pub holes: f64,
    /// Share of the samples with holes in which thickness and drift are filled.
    pub fill_holes: f64,
    /// Number format of the convolutions; weights, normalisation and loss are f32.
    pub precision: Precision,
    /// Number format in which the optimiser's moments are saved.
    pub moments: Precision,
    /// Seed of weights, windows, holes, times and noise.
    pub seed: u64,
    /// The days that are kept for validation.
    pub validation_days: HeldOut,
    /// Steps between two validations.
    pub validate_every: u64,
    /// Steps between two savings of the state; it is saved with every best checkpoint, too.
    pub save_every: u64,
}

impl Default for TrainOptions {
    fn default() -> Self {
        Self {
            name: "nilas".into(),
            begin_with: None,
            network: NetworkConfiguration::reference(),
            objective: Objective::default(),
            target: Target::default(),
            features: Features::default(),
            epochs: 250,
            steps: None,
            batch: 4,
            window: 128,
            learning_rate: 1e-3,
            warm_up: 100,
            last_rate: 0.02,
            clip_gradient: None,
            ema_decay: 0.999,
            schedule: Schedule::default(),
            log_snr_share: 0.0,
            scale_grows_with_thickness: false,
            drop_deformation: 0.1,
            holes: 0.5,
            fill_holes: 0.5,
            precision: Precision::F32,
            moments: Precision::F32,
            seed: 1,
            validation_days: HeldOut::default(),
            validate_every: 500,
            save_every: 100,
        }
    }
}

impl TrainOptions {
    /// The same, but for a network with the weights of a checkpoint: what these mean is not open any more.
    #[must_use]
    pub fn for_weights_of(self, checkpoint: &CheckpointInfo) -> Self {
        Self {
            network: checkpoint.network.clone(),
            objective: checkpoint.objective,
            target: checkpoint.target,
            features: checkpoint.features,
            schedule: checkpoint.schedule,
            scale_grows_with_thickness: checkpoint.target_scale.per_metre > 0.0,
            ..self
        }
    }

    pub(super) fn total_steps(&self, training_days: usize) -> u64 {
        self.steps.unwrap_or_else(|| (self.epochs * training_days as u64).div_ceil(self.batch as u64)).max(1)
    }

    pub(super) fn learning_rate_at(&self, step: u64, total: u64) -> f64 {
        let warm = (step as f64 / self.warm_up.max(1) as f64).min(1.0);
        let cosine = 0.5 * (1.0 + (std::f64::consts::PI * step as f64 / total as f64).cos());
        self.learning_rate * warm * (self.last_rate + (1.0 - self.last_rate) * cosine)
    }

    pub(super) fn batches(&self) -> BatchOptions {
        BatchOptions {
            batch: self.batch,
            window: self.window,
            drop_deformation: self.drop_deformation,
            holes: self.holes,
            fill_holes: self.fill_holes,
            target: self.target,
            features: self.features,
            schedule: self.schedule,
            log_snr_share: self.log_snr_share,
            seed: self.seed,
        }
    }

    /// Says which option cannot be used, by its name on the command line.
    ///
    /// # Errors
    /// A sentence that names the option and what it may be.
    pub fn validate(&self) -> Result<(), String> {
        let share = |value: f64| (0.0..=1.0).contains(&value);
        let above_zero = |value: f64| value.is_finite() && value > 0.0;
        let Schedule { min_signal_rate: low, max_signal_rate: high } = self.schedule;
        let rules = [
            (
                self.network.is_buildable(),
                "--widths, --block-depth: give 2 to 8 widths from 1 to 4096 and a depth from 1 to 64",
            ),
            (
                0.0 < low && low < high && high < 1.0,
                "--min-signal-rate, --max-signal-rate: need 0 < min < max < 1",
            ),
            (above_zero(self.learning_rate), "--learning-rate: need a number above 0"),
            (share(self.last_rate), "--last-rate: need a share from 0 to 1"),
            (self.clip_gradient.is_none_or(above_zero), "--clip-gradient: need a number above 0"),
            (share(self.log_snr_share), "--log-snr-share: need a share from 0 to 1"),
            (
                (0.0..1.0).contains(&self.ema_decay) && share(self.drop_deformation),
                "--ema-decay, --drop-deformation: need 0 <= decay < 1 and a share from 0 to 1",
            ),
            (share(self.holes) && share(self.fill_holes), "--holes, --fill-holes: need shares from 0 to 1"),
            (
                self.batch > 0 && self.window >= 8,
                "--batch, --window: need at least 1 sample of at least 8 cells",
            ),
            (
                self.target == Target::Anomaly || !self.scale_grows_with_thickness,
                "--scale-grows-with-thickness: goes with --target anomaly only",
            ),
            (
                self.validate_every > 0 && self.save_every > 0,
                "--validate-every, --save-every: need at least 1 step",
            ),
        ];
        rules.into_iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, what)| Err(what.to_owned()))
    }
}
