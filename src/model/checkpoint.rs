//! Checkpoints: a network's weights in a safetensors file, with all that is needed to use it in one JSON text.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use ndarray::{Array3, Axis};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use super::{
    CONTEXT_CHANNELS, Calibration, Constraint, InferenceNetwork, ModelError, Network, NetworkConfiguration,
    NoisePredictor, Placement, Quantity, Sampler, Schedule, Unconstrained, WithinMask,
};
use crate::config::SamplerChoice;
use crate::sys;

/// The key of the JSON text in the file's metadata.
const KEY: &str = "nilas";
/// The meaning of thickness that features, target and members have inside Nilas.
pub(super) const EFFECTIVE: &str = "effective";
/// The noise variance that a network trained for the mean is told: its noisy field is nothing, as if all of it were noise.
pub const MEAN_VARIANCE: f64 = 1.0;
/// The channel of the context that holds the effective thickness.
const THICKNESS_CHANNEL: usize = 1;

/// What a checkpoint says of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointInfo {
    /// Name of the checkpoint, as products carry it.
    pub name: String,
    /// Size of the network.
    pub network: NetworkConfiguration,
    /// Input channels: the noisy field and the context.
    pub channels: i64,
    /// Standardisation of the features.
    pub statistics: FeatureStatistics,
    /// Scale of the target.
    pub target_scale: TargetScale,
    /// The noise that the network was trained for.
    pub schedule: Schedule,
    /// The sampler that serves it best; what is left open is usual for the sampler, and without a word it is `ddim` in 40 calls.
    #[serde(default)]
    pub sampler: SamplerChoice,
    /// How the spread of its samples was fitted to the truth; without a word it was not.
    #[serde(default)]
    pub calibration: Option<Calibration>,
    /// What the network gives.
    #[serde(default)]
    pub objective: Objective,
    /// What is drawn.
    #[serde(default)]
    pub target: Target,
    /// What the network is shown beside thickness and mask.
    #[serde(default)]
    pub features: Features,
    /// What thickness means: `effective` (volume per cell area).
    pub thickness_definition: String,
    /// The observation operator that made the low-resolution fields of the training data.
    pub degradation: String,
    /// How it was trained.
    pub training: TrainingRecord,
}

impl CheckpointInfo {
    /// Reads what a checkpoint says of itself, and that the file is whole; builds no network.
    ///
    /// # Errors
    /// [`ModelError`] when the file is not a whole checkpoint or was trained for another meaning of thickness.
    pub fn read(path: &Path) -> Result<Self, ModelError> {
        Self::of(&read(path)?, path)
    }

    fn of(bytes: &[u8], path: &Path) -> Result<Self, ModelError> {
        let refuse = |reason: String| ModelError::Checkpoint { path: path.to_owned(), reason };
        SafeTensors::deserialize(bytes).map_err(|error| refuse(error.to_string()))?;
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|error| refuse(error.to_string()))?;
        let text = metadata
            .metadata()
            .as_ref()
            .and_then(|entries| entries.get(KEY))
            .ok_or_else(|| refuse("its metadata has no entry \"nilas\"".into()))?;
        let info: Self = serde_json::from_str(text).map_err(|error| refuse(format!("metadata: {error}")))?;
        if info.thickness_definition != EFFECTIVE {
            return Err(ModelError::ThicknessDefinition {
                path: path.to_owned(),
                found: info.thickness_definition,
            });
        }
        info.validate().map_err(refuse)?;
        Ok(info)
    }

    /// The sampler that `wanted` names, completed by what this checkpoint says.
    ///
    /// # Errors
    /// [`ModelError::Sampler`] when it cannot be used with this network.
    pub fn sampler(&self, wanted: SamplerChoice) -> Result<Sampler, ModelError> {
        Sampler::resolve(wanted, self.sampler, self.schedule)
    }

    /// Refuses a network that is not for what those of an objective are for: to draw fields, or to give their mean.
    ///
    /// # Errors
    /// [`ModelError::Objective`].
    pub fn refuse_unless(&self, objective: Objective) -> Result<(), ModelError> {
        if self.objective.draws() == objective.draws() {
            return Ok(());
        }
        Err(ModelError::Objective { name: self.name.clone(), found: self.objective, wanted: objective })
    }

    /// Says what makes this description unusable.
    fn validate(&self) -> Result<(), String> {
        let FeatureStatistics { mean, standard_deviation } = &self.statistics;
        let (scale, schedule) = (&self.target_scale, &self.schedule);
        let rates_rise =
            0.0 < schedule.min_signal_rate && schedule.min_signal_rate < schedule.max_signal_rate;
        let rules = [
            (self.network.is_buildable(), "its network cannot be built"),
            (self.channels == 1 + CONTEXT_CHANNELS, "its network does not have 5 input channels"),
            (mean.iter().all(|mean| mean.is_finite()), "a mean of its features is not a number"),
            (
                standard_deviation.iter().all(|deviation| deviation.is_finite() && *deviation > 0.0),
                "a standard deviation of its features is not above 0",
            ),
            (
                scale.constant_m.is_finite()
                    && scale.constant_m > 0.0
                    && scale.per_metre.is_finite()
                    && scale.per_metre >= 0.0,
                "its target scale is not above 0",
            ),
            (rates_rise && schedule.max_signal_rate < 1.0, "its signal rates are not 0 < min < max < 1"),
        ];
        if let Some((_, what)) = rules.into_iter().find(|(holds, _)| !holds) {
            return Err(what.to_owned());
        }
        self.calibration.as_ref().map_or(Ok(()), Calibration::validate)?;
        self.sampler(SamplerChoice::default()).map(|_| ()).map_err(|error| error.to_string())
    }
}

/// What a network gives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Objective {
    /// The noise in a noisy field; fields are drawn with it.
    #[default]
    Noise,
    /// The velocity of a noisy field: signal rate times noise less noise rate times field (Salimans and Ho 2022, section 4). Fields are
    /// drawn with it. Where almost all is noise an error of the noise is a large one of the field; one of the velocity is not.
    Velocity,
    /// The mean of the target given the context: a regression, to measure the others by.
    Mean,
}

impl Objective {
    /// Whether fields are drawn with it.
    fn draws(self) -> bool {
        self != Self::Mean
    }
}

impl std::fmt::Display for Objective {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Noise => "noise",
            Self::Velocity => "velocity",
            Self::Mean => "mean",
        })
    }
}

/// What is drawn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// The difference between high- and low-resolution thickness.
    #[default]
    Anomaly,
    /// The high-resolution thickness itself; D3.1 found that it biases the large scales.
    Full,
}

impl Target {
    /// What is added to the network's field times its scale, m, where the low-resolution effective thickness is
    /// `effective_thickness_m`.
    #[must_use]
    pub fn base_m<Q: Quantity>(self, statistics: &FeatureStatistics, effective_thickness_m: Q) -> Q {
        match self {
            Self::Anomaly => effective_thickness_m,
            Self::Full => Q::from(statistics.mean[THICKNESS_CHANNEL]),
        }
    }
}

/// What a network is shown beside thickness and mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Features {
    /// Concentration.
    pub concentration: bool,
    /// Logarithm of the deformation.
    pub deformation: bool,
}

impl Default for Features {
    fn default() -> Self {
        Self { concentration: true, deformation: true }
    }
}

impl Features {
    /// Sets the channels that the network does not know to 0 in a standardised context, `[4, row, column]`.
    pub fn hide_unused(self, context: &mut Array3<f32>) {
        for (used, channel) in [(self.concentration, 0), (self.deformation, 2)] {
            if !used {
                context.index_axis_mut(Axis(0), channel).fill(0.0);
            }
        }
    }
}

/// Means and standard deviations of concentration (fraction), effective thickness (m) and ln deformation, over mask cells.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeatureStatistics {
    /// The means.
    pub mean: [f32; 3],
    /// The standard deviations.
    pub standard_deviation: [f32; 3],
}

/// The anomaly is divided by `constant_m + per_metre * low-resolution effective thickness`. D3.1 has one standard
/// deviation, that is `per_metre` = 0.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetScale {
    /// The part that does not depend on the thickness, m.
    pub constant_m: f32,
    /// The part that grows with the thickness, m per m.
    pub per_metre: f32,
}

impl TargetScale {
    /// The scale for a low-resolution effective thickness, m.
    #[must_use]
    pub fn at<Q: Quantity>(&self, effective_thickness_m: Q) -> Q {
        Q::from(self.constant_m) + Q::from(self.per_metre) * effective_thickness_m
    }
}

/// How a checkpoint was trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingRecord {
    /// The training data in one sentence; says so where it is synthetic.
    pub data: String,
    /// Optimiser steps done.
    pub steps: u64,
    /// Samples in a step.
    pub batch: usize,
    /// Cells along a side of a sample.
    pub window: usize,
    /// Highest learning rate.
    pub learning_rate: f64,
    /// Decay of the averaged weights.
    pub ema_decay: f64,
    /// Seed of everything random.
    pub seed: u64,
    /// Mean noise loss on held-out samples at the end.
    pub validation_noise_loss: f64,
    /// Device it was trained on.
    pub device: String,
    /// Version of Nilas that trained it.
    pub code_version: String,
}

/// A network that is ready to use, with its description.
#[derive(Debug)]
pub struct Checkpoint {
    /// The network.
    pub network: InferenceNetwork,
    /// What it says of itself.
    pub info: CheckpointInfo,
    /// SHA-256 of the file, hexadecimal.
    pub sha256: String,
}

impl NoisePredictor for Checkpoint {
    fn predict(&self, noisy: &Tensor, context: &Tensor, noise_variance: f64) -> Result<Tensor, ModelError> {
        let given = self.network.predict(noisy, context, noise_variance)?;
        if self.info.objective != Objective::Velocity {
            return Ok(given);
        }
        let (signal, noise) = ((1.0 - noise_variance).max(0.0).sqrt(), noise_variance.sqrt());
        Ok(given * signal + noisy * noise)
    }
}

impl Checkpoint {
    /// Reads a checkpoint and puts its network on a device, ready for drawing.
    ///
    /// # Errors
    /// [`ModelError`] when the file is not a whole checkpoint or was trained for another meaning of thickness.
    pub fn load(path: &Path, placement: Placement) -> Result<Self, ModelError> {
        let refuse = |reason: String| ModelError::Checkpoint { path: path.to_owned(), reason };
        let bytes = read(path)?;
        let info = CheckpointInfo::of(&bytes, path)?;
        let tensors = parse_tensors(&bytes).map_err(refuse)?;
        let mut network = Network::new(&info.network, placement.device);
        network.assign(|name| tensors.get(name).map(Tensor::shallow_clone)).map_err(refuse)?;
        Ok(Self { network: network.for_inference(placement.precision), info, sha256: sys::sha256(&bytes) })
    }

    /// The noise that the network sees: reads `z` `[n, 1, h, w]`, `context` `[n, 4, h, w]` and `noise_variance` (one number) from
    /// `input`, writes `noise` to `out`.
    ///
    /// # Errors
    /// [`ModelError`] when a file or tensor is not there, or the network fails.
    pub fn apply_file(&self, input: &Path, out: &Path) -> Result<(), ModelError> {
        let wanted = [("z", Some(1)), ("context", Some(CONTEXT_CHANNELS)), ("noise_variance", None)];
        let [noisy, context, variance] = &self.read_inputs(input, wanted)?;
        let variance = variance.to_kind(Kind::Double).reshape([-1]).double_value(&[0]);
        let noise = tch::no_grad(|| self.predict(noisy, context, variance))?;
        write_tensors(out, &[("noise".into(), noise)], None)
    }

    /// Samples: the anomaly in units of the target's scale, `[n, 1, rows, columns]`, 0 outside the mask.
    ///
    /// # Errors
    /// [`ModelError::Torch`] when the network fails, [`ModelError::Objective`] when it gives the mean.
    pub fn sample(
        &self,
        sampler: Sampler,
        constraint: &dyn Constraint,
        noise: &Tensor,
        context: &Tensor,
        after_call: impl FnMut(),
    ) -> Result<Tensor, ModelError> {
        self.info.refuse_unless(Objective::Noise)?;
        let predictor = WithinMask(self);
        tch::no_grad(|| {
            sampler.sample(&predictor, self.info.schedule, constraint, noise, context, after_call)
        })
    }

    /// What a network trained for the mean says of `context` `[n, 4, rows, columns]`: the target in units of its scale,
    /// `[n, 1, rows, columns]`, 0 outside the mask.
    ///
    /// # Errors
    /// [`ModelError::Torch`] when the network fails, [`ModelError::Objective`] when it is for drawing fields.
    pub fn mean(&self, context: &Tensor) -> Result<Tensor, ModelError> {
        self.info.refuse_unless(Objective::Mean)?;
        let mask = context.narrow(1, CONTEXT_CHANNELS - 1, 1);
        let nothing = mask.zeros_like();
        let mean = tch::no_grad(|| self.network.predict(&nothing, context, MEAN_VARIANCE))?;
        Ok(mean * mask)
    }

    /// Samples: reads `noise` `[n, 1, h, w]` and `context` `[n, 4, h, w]` from `input`, writes `anomaly`, in units of the
    /// target's scale, to `out`.
    ///
    /// # Errors
    /// [`ModelError`] when a file or tensor is not there or has another shape, the network fails, or the sampler does not fit it.
    pub fn sample_file(&self, input: &Path, out: &Path, wanted: SamplerChoice) -> Result<(), ModelError> {
        let sampler = self.info.sampler(wanted)?;
        let [noise, context] =
            &self.read_inputs(input, [("noise", Some(1)), ("context", Some(CONTEXT_CHANNELS))])?;
        let anomaly = self.sample(sampler, &Unconstrained, noise, context, || {})?;
        write_tensors(out, &[("anomaly".into(), anomaly)], None)
    }

    /// The named tensors of a file, on the network's device: fields `[n, channels, h, w]` of one n, h and w, or single numbers.
    fn read_inputs<const N: usize>(
        &self,
        path: &Path,
        wanted: [(&str, Option<i64>); N],
    ) -> Result<[Tensor; N], ModelError> {
        let refuse = |reason: String| ModelError::Tensors { path: path.to_owned(), reason };
        let tensors = read_tensors(path)?;
        let mut extent = None;
        for (name, channels) in wanted {
            let tensor = tensors.get(name).ok_or_else(|| refuse(format!("it holds no tensor `{name}`")))?;
            let size = tensor.size();
            let fits = match (channels, &size[..]) {
                (None, _) => tensor.numel() == 1,
                (Some(channels), &[n, found, rows, columns]) => {
                    let first = *extent.get_or_insert((n, rows, columns));
                    found == channels && first == (n, rows, columns) && n * rows * columns > 0
                }
                _ => false,
            };
            if !fits {
                let shape = channels.map_or("one number".to_owned(), |channels| {
                    format!("[n, {channels}, h, w] as the others")
                });
                return Err(refuse(format!("tensor `{name}` is {size:?}, but must be {shape}")));
            }
        }
        Ok(wanted.map(|(name, _)| tensors[name].to_device(self.network.device())))
    }

    /// Writes a checkpoint through a temporary file.
    ///
    /// # Errors
    /// [`ModelError::File`].
    pub fn save(path: &Path, info: &CheckpointInfo, tensors: &[(String, Tensor)]) -> Result<(), ModelError> {
        let text = serde_json::to_string(info)
            .map_err(|error| ModelError::Checkpoint { path: path.to_owned(), reason: error.to_string() })?;
        write_tensors(path, tensors, Some((KEY, text)))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, ModelError> {
    fs::read(path).map_err(|error| ModelError::Checkpoint {
        path: path.to_owned(),
        reason: format!("cannot be read ({error})"),
    })
}

/// Reads every tensor of a safetensors file, onto the CPU, by name.
///
/// # Errors
/// [`ModelError::File`], or [`ModelError::Tensors`] when the file is none or holds a number format not used here.
pub fn read_tensors(path: &Path) -> Result<BTreeMap<String, Tensor>, ModelError> {
    let bytes = fs::read(path).map_err(|source| ModelError::File { path: path.to_owned(), source })?;
    parse_tensors(&bytes).map_err(|reason| ModelError::Tensors { path: path.to_owned(), reason })
}

/// Writes tensors (f32, f64, bf16 or i64) through a temporary file, with one text in the metadata if given.
///
/// # Errors
/// [`ModelError::File`], or [`ModelError::Tensors`] for a number format not used here.
pub fn write_tensors(
    path: &Path,
    tensors: &[(String, Tensor)],
    metadata: Option<(&str, String)>,
) -> Result<(), ModelError> {
    let refuse = |reason: String| ModelError::Tensors { path: path.to_owned(), reason };
    let buffers = tensors
        .iter()
        .map(|(name, tensor)| {
            let dtype =
                dtype_of(tensor.kind()).ok_or_else(|| refuse(format!("{name} is {:?}", tensor.kind())))?;
            let shape: Vec<usize> = tensor.size().into_iter().map(|side| side as usize).collect();
            let tensor = tensor.detach().to_device(Device::Cpu).contiguous();
            let mut bytes = vec![0; tensor.numel() * tensor.kind().elt_size_in_bytes()];
            tensor.copy_data_u8(&mut bytes, tensor.numel());
            Ok((name, dtype, shape, bytes))
        })
        .collect::<Result<Vec<_>, ModelError>>()?;
    let views = buffers
        .iter()
        .map(|(name, dtype, shape, bytes)| Ok((*name, TensorView::new(*dtype, shape.clone(), bytes)?)))
        .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
        .map_err(|error| refuse(error.to_string()))?;
    let metadata = metadata.map(|(key, text)| HashMap::from([(key.to_owned(), text)]));
    let bytes = safetensors::serialize(views, metadata).map_err(|error| refuse(error.to_string()))?;
    sys::replace_file(path, &bytes).map_err(|source| ModelError::File { path: path.to_owned(), source })
}

fn parse_tensors(bytes: &[u8]) -> Result<BTreeMap<String, Tensor>, String> {
    let file = SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?;
    file.iter()
        .map(|(name, view)| {
            let kind = kind_of(view.dtype()).ok_or_else(|| format!("tensor {name} is {:?}", view.dtype()))?;
            let shape: Vec<i64> = view.shape().iter().map(|&side| side as i64).collect();
            Ok((name.to_owned(), Tensor::from_data_size(view.data(), &shape, kind)))
        })
        .collect()
}

fn dtype_of(kind: Kind) -> Option<Dtype> {
    [
        (Kind::Float, Dtype::F32),
        (Kind::Double, Dtype::F64),
        (Kind::BFloat16, Dtype::BF16),
        (Kind::Int64, Dtype::I64),
    ]
    .into_iter()
    .find_map(|(known, dtype)| (known == kind).then_some(dtype))
}

fn kind_of(dtype: Dtype) -> Option<Kind> {
    [Kind::Float, Kind::Double, Kind::BFloat16, Kind::Int64]
        .into_iter()
        .find(|&kind| dtype_of(kind) == Some(dtype))
}
