//! What can be scored: baselines, and members of a network.

use ndarray::Array2;
use serde::Serialize;

use crate::config::{Consistency, SamplerKind};
use crate::ensemble::{self, EnsembleError, InMemory, Plan, standard_normal};
use crate::model::{Calibration, Checkpoint, Sampler};
use crate::progress::Bar;
use crate::score::{AnomalyStatistics, RandomFields, normals_needed};

use super::scenes::SceneFields;
use super::{EvaluateError, EvaluateOptions};

/// What is done to members on their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Variant {
    /// All that is done to published members unless the configuration says otherwise, but for the uncertainty of the input.
    Published,
    /// The spread as the network has it, not as it was fitted.
    Uncalibrated,
    /// Held to means of the input, not to what the thickness product would see.
    Means,
    /// As they came, whatever the thickness product would see in them.
    Inconsistent,
    /// Neither calibrated nor made consistent.
    Raw,
}

impl Variant {
    fn name(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Uncalibrated => "uncalibrated",
            Self::Means => "means",
            Self::Inconsistent => "inconsistent",
            Self::Raw => "raw",
        }
    }

    fn meaning(self) -> &'static str {
        match self {
            Self::Published => {
                "as they are published: calibrated, if the checkpoint is, and moved until the thickness product would see the input in them"
            }
            Self::Uncalibrated => {
                "not calibrated, but moved until the thickness product would see the input in them"
            }
            Self::Means => {
                "calibrated, if the checkpoint is, and moved until their means through a Gaussian of 26 km are those of the input"
            }
            Self::Inconsistent => "calibrated, if the checkpoint is, but not moved towards the input",
            Self::Raw => "neither calibrated nor moved towards the input",
        }
    }

    fn is_calibrated(self) -> bool {
        matches!(self, Self::Published | Self::Means | Self::Inconsistent)
    }

    fn consistency(self) -> Option<Consistency> {
        match self {
            Self::Published | Self::Uncalibrated => Some(Consistency::Seen),
            Self::Means => Some(Consistency::Means),
            Self::Inconsistent | Self::Raw => None,
        }
    }
}

/// Something that says how thick the ice is.
pub(super) enum Forecast<'a> {
    /// The low-resolution field itself.
    Low,
    /// The low-resolution field and a random field with the truth's spectrum and variances.
    Random(AnomalyStatistics),
    /// The mean that a network of its own was trained for.
    Regression(&'a Checkpoint),
    /// Members of a network.
    Members {
        /// The network.
        checkpoint: &'a Checkpoint,
        /// How it is asked.
        sampler: Sampler,
        /// What is done to its members.
        variant: Variant,
    },
}

impl Forecast<'_> {
    /// The name of its row.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Low => "low resolution".into(),
            Self::Random(_) => "random field".into(),
            Self::Regression(checkpoint) => format!("{} regression", checkpoint.info.name),
            Self::Members { checkpoint, sampler, variant } => {
                let suffix = match variant {
                    Variant::Published => String::new(),
                    other => format!(" {}", other.name()),
                };
                format!("{} {}:{}{suffix}", checkpoint.info.name, sampler.kind.name(), sampler.steps)
            }
        }
    }

    /// What it does, in a sentence.
    pub(super) fn meaning(&self) -> String {
        match self {
            Self::Low => "the low-resolution field as it is".into(),
            Self::Random(_) => {
                "the low-resolution field plus a Gaussian random field with the spectrum of the truth's anomaly over all scored days, and its variance in each thickness class".into()
            }
            Self::Regression(checkpoint) => {
                format!(
                    "{}, a network of the same kind that was trained for the mean ({} steps) and is called once",
                    checkpoint.info.name, checkpoint.info.training.steps
                )
            }
            Self::Members { checkpoint, sampler, variant } => {
                let calibration = checkpoint.info.calibration.as_ref().filter(|_| variant.is_calibrated());
                let calibration = calibration.map_or("none".to_owned(), Calibration::in_words);
                let order = match sampler.kind {
                    SamplerKind::Ddim => "first order",
                    SamplerKind::DpmSolverPlusPlus => "second order",
                };
                format!(
                    "members of {} ({} steps of training; {order}, {} network calls, grid {}, down to noise rate {:.3}), {}; calibration: {calibration}",
                    checkpoint.info.name,
                    checkpoint.info.training.steps,
                    sampler.steps,
                    sampler.time_grid.name(),
                    sampler.lowest_noise_rate,
                    variant.meaning()
                )
            }
        }
    }

    /// The device that its network is on, and the number format; empty where it has none.
    fn place(&self) -> String {
        let place = |checkpoint: &Checkpoint| {
            let placement = checkpoint.placement();
            format!("{}|{}", placement.device_name(), placement.precision.name())
        };
        self.checkpoint().map(place).unwrap_or_default()
    }

    /// The checkpoint that it needs.
    pub(super) fn checkpoint(&self) -> Option<&Checkpoint> {
        match self {
            Self::Low | Self::Random(_) => None,
            Self::Regression(checkpoint) | Self::Members { checkpoint, .. } => Some(checkpoint),
        }
    }

    /// All that its members depend on beside scene, seed and their number.
    pub(super) fn identity(&self) -> String {
        match self {
            Self::Low => "low".into(),
            Self::Random(statistics) => format!("random|{statistics:?}"),
            Self::Regression(checkpoint) => format!("regression|{}|{}", checkpoint.sha256, self.place()),
            Self::Members { checkpoint, sampler, variant } => {
                format!("members|{}|{sampler:?}|{variant:?}|{}", checkpoint.sha256, self.place())
            }
        }
    }

    /// Network calls for all members of a scene.
    pub(super) fn calls(&self, members: usize) -> usize {
        match self {
            Self::Low | Self::Random(_) => 0,
            Self::Regression(_) => 1,
            Self::Members { sampler, .. } => sampler.steps * members,
        }
    }

    /// Its members on a scene, m: numbers inside the mask.
    pub(super) fn members(
        &self,
        scene: &SceneFields,
        options: &EvaluateOptions,
        bar: &Bar,
    ) -> Result<Vec<Array2<f32>>, EvaluateError> {
        match self {
            Self::Low => Ok(vec![scene.low_m.clone()]),
            Self::Random(statistics) => Ok(random_members(scene, options, statistics)),
            Self::Regression(checkpoint) => {
                let mean = ensemble::regress(checkpoint, &scene.context);
                Ok(vec![mean.map_err(|source| self.failed(scene, source))?])
            }
            Self::Members { checkpoint, sampler, variant } => {
                let plan = Plan {
                    batch: options.batch,
                    calibrated: variant.is_calibrated(),
                    consistency: variant.consistency(),
                    ..Plan::new(scene.day, options.members, *sampler, options.seed)
                };
                let mut members = InMemory::default();
                ensemble::draw(checkpoint, &scene.context, plan, &mut members, bar)
                    .map_err(|source| self.failed(scene, source))?;
                Ok(members.into_members())
            }
        }
    }

    fn failed(&self, scene: &SceneFields, source: EnsembleError) -> EvaluateError {
        EvaluateError::Ensemble { row: self.name(), day: scene.day, source }
    }
}

fn random_members(
    scene: &SceneFields,
    options: &EvaluateOptions,
    statistics: &AnomalyStatistics,
) -> Vec<Array2<f32>> {
    let shape = scene.mask.dim();
    let Some(fields) = RandomFields::new(shape, &statistics.spectrum) else {
        return vec![scene.low_m.clone()];
    };
    let pairs = (0..options.members.div_ceil(2)).flat_map(|pair| {
        let key = format!("random field|{}|{}|{pair}", options.seed, scene.day);
        fields.pair(&standard_normal(&key, normals_needed(shape)), shape)
    });
    let members = pairs.take(options.members);
    members.map(|field| RandomFields::on_low(&scene.low_m, &field, statistics)).collect()
}
