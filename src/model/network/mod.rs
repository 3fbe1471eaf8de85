//! The conditional residual U-Net of D3.1: the topology of the Keras DDIM example with block depth 4.

mod inference;
mod needed;

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};
use tch::nn::{self, ConvConfig, Path, VarStore};
use tch::{Device, Kind, Tensor};

use super::{ModelError, NoisePredictor};

pub use inference::InferenceNetwork;

/// Channels of the context: concentration, effective thickness, logarithm of the deformation, mask.
pub const CONTEXT_CHANNELS: i64 = 4;
/// Channels of the noise embedding: 16 sines, then 16 cosines.
const EMBEDDING_CHANNELS: i64 = 32;
/// Frequencies of the embedding run from 1 to this, evenly in the logarithm.
const HIGHEST_FREQUENCY: f64 = 1000.0;
const NORM_EPSILON: f64 = 1e-3;
/// libtorch's momentum is the weight of the new batch: 1 - 0.99.
const NORM_MOMENTUM: f64 = 0.01;

/// The size of a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkConfiguration {
    /// Channels of each level, the bottom last.
    pub widths: Vec<i64>,
    /// Residual blocks on each level, on each side.
    pub block_depth: usize,
}

impl NetworkConfiguration {
    /// The network of D3.1: 3 890 465 parameters.
    #[must_use]
    pub fn reference() -> Self {
        Self { widths: vec![32, 64, 96, 128], block_depth: 4 }
    }

    /// A network for two CPU cores: 490 961 parameters.
    #[must_use]
    pub fn small() -> Self {
        Self { widths: vec![16, 32, 48, 64], block_depth: 2 }
    }

    /// The configuration of a built-in name: `small` or `reference`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "small" => Some(Self::small()),
            "reference" => Some(Self::reference()),
            _ => None,
        }
    }

    /// True when a network can be built: at least two levels of at least one channel, at least one block.
    #[must_use]
    pub fn is_buildable(&self) -> bool {
        let widths = &self.widths;
        (2..=8).contains(&widths.len())
            && widths.iter().all(|width| (1..=4096).contains(width))
            && (1..=64).contains(&self.block_depth)
    }

    /// How far a cell of the result looks in any direction, cells: what lies beyond changes nothing there.
    #[must_use]
    pub fn reach_cells(&self) -> usize {
        let bottom = self.widths.len() - 1;
        // Each convolution of a level sees one of its cells; halving and the way back up see another one each.
        let seen = |level: usize| if level == bottom { 2 * self.block_depth } else { 4 * self.block_depth };
        (0..=bottom).map(|level| (seen(level) + 2) << level).sum()
    }

    /// Numbers that a call holds at a time for each cell of the field, about: what the way up still needs of the way down, and the
    /// widest block at work.
    #[must_use]
    pub(crate) fn values_per_cell(&self) -> f64 {
        let levels = self.widths.iter().enumerate().take(self.widths.len() - 1);
        let skips: f64 = levels
            .map(|(level, &width)| (self.block_depth as i64 * width) as f64 / 4_f64.powi(level as i32))
            .sum();
        skips + (4 * self.widths[0] + 2 * self.widths[1]) as f64
    }

    /// Sides are padded to a multiple of this: one halving for each level above the bottom.
    #[must_use]
    pub fn side_multiple(&self) -> i64 {
        1 << (self.widths.len() - 1)
    }
}

/// The network f(z, t, x) -> noise, with its variables.
#[derive(Debug)]
pub struct Network {
    configuration: NetworkConfiguration,
    /// What the convolutions compute in.
    kind: Kind,
    variables: VarStore,
    stem: nn::Conv2D,
    down: Vec<Vec<ResidualBlock>>,
    middle: Vec<ResidualBlock>,
    up: Vec<Vec<ResidualBlock>>,
    head: nn::Conv2D,
}

impl Network {
    /// A fresh network on `device`: random weights from libtorch's generator, the last layer zero.
    #[must_use]
    pub fn new(configuration: &NetworkConfiguration, device: Device) -> Self {
        let variables = VarStore::new(device);
        let root = variables.root();
        let depth = configuration.block_depth;
        let (levels, bottom) = configuration.widths.split_at(configuration.widths.len() - 1);
        let first = levels[0];
        let stem = nn::conv2d(&root / "stem", 1 + CONTEXT_CHANNELS, first, 1, ConvConfig::default());

        let mut channels = first + EMBEDDING_CHANNELS;
        let mut skips = Vec::new();
        let mut down = Vec::new();
        for (level, &width) in levels.iter().enumerate() {
            let path = &root / "down" / level;
            down.push(
                (0..depth).map(|block| ResidualBlock::new(&(&path / block), &mut channels, width)).collect(),
            );
            skips.extend(std::iter::repeat_n(width, depth));
        }
        let path = &root / "mid";
        let middle =
            (0..depth).map(|block| ResidualBlock::new(&(&path / block), &mut channels, bottom[0])).collect();
        let mut up = Vec::new();
        for (level, &width) in levels.iter().rev().enumerate() {
            let path = &root / "up" / level;
            let mut blocks = Vec::new();
            for block in 0..depth {
                channels += skips.pop().unwrap_or_default();
                blocks.push(ResidualBlock::new(&(&path / block), &mut channels, width));
            }
            up.push(blocks);
        }
        let zero = ConvConfig { ws_init: nn::Init::Const(0.0), ..ConvConfig::default() };
        let head = nn::conv2d(&root / "head", first, 1, 1, zero);
        Self {
            configuration: configuration.clone(),
            kind: Kind::Float,
            variables,
            stem,
            down,
            middle,
            up,
            head,
        }
    }

    /// The size of the network.
    #[must_use]
    pub fn configuration(&self) -> &NetworkConfiguration {
        &self.configuration
    }

    /// Where the network lies.
    #[must_use]
    pub fn device(&self) -> Device {
        self.variables.device()
    }

    /// Every tensor by its name in a checkpoint, sorted by name: weights, biases and running statistics.
    #[must_use]
    pub fn tensors(&self) -> Vec<(String, Tensor)> {
        let mut tensors: Vec<_> = self.variables.variables().into_iter().collect();
        tensors.sort_by(|a, b| a.0.cmp(&b.0));
        tensors
    }

    /// The tensors that training changes, sorted by name.
    #[must_use]
    pub fn trainable(&self) -> Vec<(String, Tensor)> {
        self.tensors().into_iter().filter(|(_, tensor)| tensor.requires_grad()).collect()
    }

    /// Number of trainable parameters; running statistics do not count.
    #[must_use]
    pub fn parameter_count(&self) -> i64 {
        self.trainable().iter().map(|(_, tensor)| tensor.numel() as i64).sum()
    }

    /// Copies values into the tensors; gives the first name that is missing or has another shape.
    ///
    /// # Errors
    /// A sentence that names the tensor.
    pub fn assign(&mut self, find: impl Fn(&str) -> Option<Tensor>) -> Result<(), String> {
        for (name, mut tensor) in self.tensors() {
            let value = find(&name).ok_or_else(|| format!("tensor {name} is missing"))?;
            if value.size() != tensor.size() {
                return Err(format!(
                    "tensor {name} has shape {:?} instead of {:?}",
                    value.size(),
                    tensor.size()
                ));
            }
            tch::no_grad(|| tensor.copy_(&value));
        }
        Ok(())
    }

    /// Lays the convolution weights out channels-last, which CPU and GPU kernels are fastest with.
    pub fn use_channels_last(&mut self) {
        for (_, mut tensor) in self.tensors() {
            if tensor.dim() == 4 {
                tensor.set_data(&channels_last(&tensor.detach()));
            }
        }
    }

    /// Lets the convolutions compute in bfloat16 while the weights, which training moves by less than that can tell, stay f32.
    pub fn compute_in_bfloat16(&mut self) {
        self.kind = Kind::BFloat16;
    }

    /// The noise in `noisy` `[n, 1, rows, columns]` given `context` `[n, 4, rows, columns]`, one noise variance a sample.
    /// With `training` the normalisation uses and updates the statistics of the batch.
    ///
    /// # Errors
    /// [`ModelError::Torch`] when libtorch fails, most often for want of memory.
    pub fn forward(
        &self,
        noisy: &Tensor,
        context: &Tensor,
        noise_variances: &[f64],
        training: bool,
    ) -> Result<Tensor, ModelError> {
        self.try_forward(noisy, context, noise_variances, training)
            .map_err(|source| ModelError::Torch { task: "running the network", source })
    }

    fn try_forward(
        &self,
        noisy: &Tensor,
        context: &Tensor,
        noise_variances: &[f64],
        training: bool,
    ) -> Result<Tensor, tch::TchError> {
        let kind = self.kind;
        let (rows, columns) = (noisy.size()[2], noisy.size()[3]);
        let input = Tensor::f_cat(&[noisy, context], 1)?.to_kind(kind);
        let input = channels_last(&pad_sides(&input, self.configuration.side_multiple())?);
        let embedding = embed(noise_variances).to_device(noisy.device()).to_kind(kind);
        let size = input.size();
        let embedding = embedding.f_expand([size[0], EMBEDDING_CHANNELS, size[2], size[3]], false)?;
        // Of one layout with the convolution: else the first block, the widest, would be normalised by libtorch's slow kernels.
        let embedding = channels_last(&embedding);
        let mut field = Tensor::f_cat(&[convolve(&self.stem, &input)?, embedding], 1)?;
        let mut skips = Vec::new();
        for level in &self.down {
            for block in level {
                field = block.forward(&field, training)?;
                skips.push(field.shallow_clone());
            }
            field = field.f_avg_pool2d([2, 2], [2, 2], [0, 0], false, true, None)?;
        }
        for block in &self.middle {
            field = block.forward(&field, training)?;
        }
        for level in &self.up {
            let size = field.size();
            field = field.f_upsample_bilinear2d([2 * size[2], 2 * size[3]], false, None, None)?;
            for block in level {
                let skip = skips.pop().ok_or_else(|| tch::TchError::Shape("no skip is left".into()))?;
                field = block.forward(&Tensor::f_cat(&[field, skip], 1)?, training)?;
            }
        }
        let noise = convolve(&self.head, &field)?;
        Ok(noise.f_narrow(2, 0, rows)?.f_narrow(3, 0, columns)?.to_kind(Kind::Float).contiguous())
    }
}

impl NoisePredictor for Network {
    fn predict(&self, noisy: &Tensor, context: &Tensor, noise_variance: f64) -> Result<Tensor, ModelError> {
        self.forward(noisy, context, &vec![noise_variance; noisy.size()[0] as usize], false)
    }
}

/// Normalisation, two 3x3 convolutions, and a way around them.
#[derive(Debug)]
struct ResidualBlock {
    shortcut: Option<nn::Conv2D>,
    running_mean: Tensor,
    running_variance: Tensor,
    first: nn::Conv2D,
    second: nn::Conv2D,
}

impl ResidualBlock {
    /// Channels of the input.
    fn channels(&self) -> i64 {
        self.first.ws.size()[1]
    }

    /// Channels of the output.
    fn width(&self) -> i64 {
        self.first.ws.size()[0]
    }

    /// A block from `channels` to `width` channels; `channels` is `width` afterwards.
    fn new(path: &Path<'_>, channels: &mut i64, width: i64) -> Self {
        let input = std::mem::replace(channels, width);
        let same = ConvConfig { padding: 1, ..ConvConfig::default() };
        let norm = path / "norm";
        Self {
            shortcut: (input != width)
                .then(|| nn::conv2d(path / "shortcut", input, width, 1, ConvConfig::default())),
            running_mean: norm.zeros_no_train("running_mean", &[input]),
            running_variance: norm.ones_no_train("running_var", &[input]),
            first: nn::conv2d(path / "conv1", input, width, 3, same),
            second: nn::conv2d(path / "conv2", width, width, 3, same),
        }
    }

    fn forward(&self, input: &Tensor, training: bool) -> Result<Tensor, tch::TchError> {
        let normed = input.f_batch_norm::<&Tensor>(
            None,
            None,
            Some(&self.running_mean),
            Some(&self.running_variance),
            training,
            NORM_MOMENTUM,
            NORM_EPSILON,
            true,
        )?;
        let residual = convolve(&self.second, &convolve(&self.first, &normed)?.f_silu()?)?;
        match &self.shortcut {
            Some(shortcut) => residual.f_add(&convolve(shortcut, input)?),
            None => residual.f_add(input),
        }
    }
}

/// A convolution that reports a failure instead of panicking: a large field may not fit into memory.
fn convolve(layer: &nn::Conv2D, input: &Tensor) -> Result<Tensor, tch::TchError> {
    let padding = layer.ws.size()[2] / 2;
    let weight = layer.ws.f_to_kind(input.kind())?;
    let bias = layer.bs.as_ref().map(|bias| bias.f_to_kind(input.kind())).transpose()?;
    if input.device() == Device::Cpu {
        // oneDNN by name: left to itself, libtorch takes another kernel for 1x1 convolutions when it has a single thread, and
        // the members would depend on the number of threads.
        input.f_mkldnn_convolution(&weight, bias, [padding, padding], [1, 1], [1, 1], 1)
    } else {
        input.f_conv2d(&weight, bias, [1, 1], [padding, padding], [1, 1], 1)
    }
}

/// Sines, then cosines, of 16 frequencies of the noise variance: `[n, 32, 1, 1]`. Angles are taken in f64: the highest is
/// 2000 pi, where f32 has lost three digits.
fn embed(noise_variances: &[f64]) -> Tensor {
    let half = EMBEDDING_CHANNELS / 2;
    let values: Vec<f32> = noise_variances
        .iter()
        .flat_map(|variance| {
            let angle = move |index: i64| {
                let frequency = (HIGHEST_FREQUENCY.ln() * index as f64 / (half - 1) as f64).exp();
                2.0 * PI * frequency * variance
            };
            (0..half)
                .map(move |index| angle(index).sin())
                .chain((0..half).map(move |index| angle(index).cos()))
        })
        .map(|value| value as f32)
        .collect();
    Tensor::from_slice(&values).reshape([noise_variances.len() as i64, EMBEDDING_CHANNELS, 1, 1])
}

/// Repeats the last row and column until both sides are multiples of `multiple`.
fn pad_sides(field: &Tensor, multiple: i64) -> Result<Tensor, tch::TchError> {
    let missing = |side: i64| (multiple - side % multiple) % multiple;
    let (below, right) = (missing(field.size()[2]), missing(field.size()[3]));
    if below == 0 && right == 0 {
        return Ok(field.shallow_clone());
    }
    field.f_replication_pad2d([0, right, 0, below])
}

/// The same tensor with its channels innermost in memory.
pub fn channels_last(tensor: &Tensor) -> Tensor {
    tensor.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2])
}
