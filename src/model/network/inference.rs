//! The network made ready for drawing: the same function of the same weights as [`Network`], with nothing done twice and little
//! moved through memory.
//!
//! - Normalisation is folded into the convolution behind it. Its zero is the running mean, so the frame of zeros that the
//!   convolution would see is a frame of means: exact up to rounding.
//! - The noise embedding is the same in every cell. Its 32 channels become one, which is 1 inside the field, with weights that are
//!   worked out for each call.
//! - Activation and sum are done by the convolutions themselves (on the CPU).
//! - A block goes through a field in strips of rows, so that what lies between its convolutions stays in the processor's cache.
//! - Of each strip only the columns are computed that cells of the mask see (on the CPU). Elsewhere the answer is finite and means nothing.

use std::ops::Range;

use tch::{Device, Kind, TchError, Tensor};

use super::needed::{BLOCK_REACH, Needed, Wanted};
use super::{
    EMBEDDING_CHANNELS, NORM_EPSILON, Network, NetworkConfiguration, ResidualBlock, channels_last, embed, nn,
    pad_sides,
};
use crate::config::Precision;
use crate::model::{ModelError, NoisePredictor};
use crate::sys::fused_convolution::{self, Kernel};

/// What a strip of the inputs of a block may take on the CPU.
const STRIP_BYTES: i64 = 16 << 20;
/// The fewest rows in a strip: one above and one below each are computed twice.
const FEWEST_ROWS: i64 = 16;
/// The most: the lower a strip is, the closer it fits around the mask.
const MOST_ROWS: i64 = 48;

/// A network that predicts and cannot be trained.
#[derive(Debug)]
pub struct InferenceNetwork {
    configuration: NetworkConfiguration,
    parameters: i64,
    device: Device,
    kind: Kind,
    stem: Convolution,
    entry: Entry,
    /// The blocks of each level on the way down; those of the first level but for the entry.
    down: Vec<Vec<Block>>,
    middle: Vec<Block>,
    up: Vec<Vec<Block>>,
    head: Convolution,
}

impl Network {
    /// The same network, made ready for drawing.
    #[must_use]
    pub fn for_inference(&self, precision: Precision) -> InferenceNetwork {
        let kind = match precision {
            Precision::F32 => Kind::Float,
            Precision::Bf16 => Kind::BFloat16,
        };
        tch::no_grad(|| self.folded(kind))
    }

    fn folded(&self, kind: Kind) -> InferenceNetwork {
        let plain = |blocks: &[ResidualBlock]| -> Vec<Block> {
            blocks.iter().map(|block| Block::folded(block, &[block.channels()], kind)).collect()
        };
        let down = self.down.iter().enumerate();
        let mut skips: Vec<i64> = self.down.iter().flatten().map(ResidualBlock::width).collect();
        let mut joined = |block: &ResidualBlock| {
            let skip = skips.pop().unwrap_or_default();
            Block::folded(block, &[block.channels() - skip, skip], kind)
        };
        InferenceNetwork {
            configuration: self.configuration.clone(),
            parameters: self.parameter_count(),
            device: self.device(),
            kind,
            stem: Convolution::of(&self.stem, kind),
            entry: Entry::folded(&self.down[0][0], self.configuration.widths[0], kind),
            down: down.map(|(level, blocks)| plain(&blocks[usize::from(level == 0)..])).collect(),
            middle: plain(&self.middle),
            up: self.up.iter().map(|blocks| blocks.iter().map(&mut joined).collect()).collect(),
            head: Convolution::of(&self.head, kind),
        }
    }
}

impl InferenceNetwork {
    /// The size of the network.
    #[must_use]
    pub fn configuration(&self) -> &NetworkConfiguration {
        &self.configuration
    }

    /// Number of parameters that training changed.
    #[must_use]
    pub fn parameter_count(&self) -> i64 {
        self.parameters
    }

    /// The number format that it computes in.
    #[must_use]
    pub fn precision(&self) -> Precision {
        if self.kind == Kind::BFloat16 { Precision::Bf16 } else { Precision::F32 }
    }

    /// Where the network lies.
    #[must_use]
    pub fn device(&self) -> Device {
        self.device
    }

    fn run(&self, noisy: &Tensor, context: &Tensor, noise_variance: f64) -> Result<Tensor, TchError> {
        let (rows, columns) = (noisy.size()[2], noisy.size()[3]);
        let input = Tensor::f_cat(&[noisy, context], 1)?.to_kind(self.kind);
        let input = channels_last(&pad_sides(&input, self.configuration.side_multiple())?);
        let embedding = embed(&[noise_variance]).to_kind(Kind::Double).to_device(self.device);
        let wanted = Wanted::of(context, &input, &self.configuration)?;
        let mut needs = wanted.by_block().into_iter();
        let mut next = || needs.next().ok_or_else(|| TchError::Shape("no block is left".into()));
        let mut field = self.entry.at(&embedding).run(&[self.stem.run(&input)?], &next()?)?;
        let mut skips = vec![field.shallow_clone()];
        for blocks in &self.down {
            for block in blocks {
                field = block.run(&[field], &next()?)?;
                skips.push(field.shallow_clone());
            }
            field = field.f_avg_pool2d([2, 2], [2, 2], [0, 0], false, true, None)?;
        }
        for block in &self.middle {
            field = block.run(&[field], &next()?)?;
        }
        for blocks in &self.up {
            let size = field.size();
            field = field.f_upsample_bilinear2d([2 * size[2], 2 * size[3]], false, None, None)?;
            for block in blocks {
                let skip = skips.pop().ok_or_else(|| TchError::Shape("no skip is left".into()))?;
                field = block.run(&[field, skip], &next()?)?;
            }
        }
        let noise = self.head.run(&field)?;
        Ok(noise.f_narrow(2, 0, rows)?.f_narrow(3, 0, columns)?.to_kind(Kind::Float).contiguous())
    }
}

impl NoisePredictor for InferenceNetwork {
    fn predict(&self, noisy: &Tensor, context: &Tensor, noise_variance: f64) -> Result<Tensor, ModelError> {
        tch::no_grad(|| self.run(noisy, context, noise_variance))
            .map_err(|source| ModelError::Torch { task: "running the network", source })
    }
}

/// The weights of a convolution, channels-last, in the kind that it computes in.
#[derive(Debug)]
struct Convolution {
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Convolution {
    fn new(weight: &Tensor, bias: Option<&Tensor>, kind: Kind) -> Self {
        Self { weight: channels_last(&weight.to_kind(kind)), bias: bias.map(|bias| bias.to_kind(kind)) }
    }

    fn shallow_clone(&self) -> Self {
        Self { weight: self.weight.shallow_clone(), bias: self.bias.as_ref().map(Tensor::shallow_clone) }
    }

    fn of(layer: &nn::Conv2D, kind: Kind) -> Self {
        Self::new(&layer.ws, layer.bs.as_ref(), kind)
    }

    /// Of a 1x1 convolution.
    fn run(&self, input: &Tensor) -> Result<Tensor, TchError> {
        self.convolve(input, [0, 0], false)
    }

    fn convolve(&self, input: &Tensor, padding: [i64; 2], silu: bool) -> Result<Tensor, TchError> {
        if input.device() == Device::Cpu {
            return fused_convolution::convolve(input, self.kernel(padding), silu);
        }
        let result = input.f_conv2d(&self.weight, self.bias.as_ref(), [1, 1], padding, [1, 1], 1)?;
        if silu { { result }.f_silu_() } else { Ok(result) }
    }

    fn add_to(&self, sum: &mut Tensor, input: &Tensor, padding: [i64; 2]) -> Result<(), TchError> {
        if input.device() == Device::Cpu {
            return fused_convolution::add_convolution(sum, input, self.kernel(padding));
        }
        sum.f_add_(&self.convolve(input, padding, false)?).map(|_| ())
    }

    fn kernel(&self, padding: [i64; 2]) -> Kernel<'_> {
        Kernel { weight: &self.weight, bias: self.bias.as_ref(), padding }
    }
}

/// A residual block with its normalisation folded in. Its input is one field, or two that lie in memory apart: laying them side by
/// side would take longer than convolving each and adding up.
#[derive(Debug)]
struct Block {
    /// For each input.
    entrances: Vec<Entrance>,
    second: Convolution,
}

/// What a block does to one of its inputs.
#[derive(Debug)]
struct Entrance {
    /// What the input is framed with: the value of each channel that normalisation makes 0, `[1, channels, 1, 1]`.
    frame: Tensor,
    /// Whether the last channel of the framed field is no input but 1 inside.
    marks_inside: bool,
    first: Convolution,
    /// The way around, 1x1; none where the block keeps the number of channels.
    around: Option<Convolution>,
}

/// Normalisation as weights and biases, in double precision.
#[derive(Debug)]
struct Folded {
    weight: Tensor,
    bias: Tensor,
    mean: Tensor,
}

impl Folded {
    /// The first convolution of a block, for fields before normalisation. The bias is for inputs whose zero is their mean.
    fn of(block: &ResidualBlock, kind: Kind) -> Self {
        let variance = block.running_variance.to_kind(Kind::Double);
        let scale = (variance + NORM_EPSILON).rsqrt().reshape([1, -1, 1, 1]);
        // Rounded as it is used, so that the bias takes away what the weights bring in.
        let weight = (block.first.ws.to_kind(Kind::Double) * scale).to_kind(kind).to_kind(Kind::Double);
        let mean = block.running_mean.to_kind(kind).to_kind(Kind::Double).reshape([1, -1, 1, 1]);
        let bias = block.first.bs.as_ref().map_or_else(
            || Tensor::zeros([weight.size()[0]], (Kind::Double, weight.device())),
            |bias| bias.to_kind(Kind::Double),
        );
        Self { weight, bias, mean }
    }

    /// The bias that makes the means of the first `channels` channels count as 0.
    fn bias_for(&self, channels: i64) -> Tensor {
        let taken_away = self.weight.narrow(1, 0, channels) * self.mean.narrow(1, 0, channels);
        &self.bias - taken_away.sum_dim_intlist([1_i64, 2, 3].as_slice(), false, Kind::Double)
    }
}

impl Block {
    /// `parts` are the channels of each input.
    fn folded(block: &ResidualBlock, parts: &[i64], kind: Kind) -> Self {
        let folded = Folded::of(block, kind);
        let first = split(&folded.weight, Some(&folded.bias_for(block.channels())), parts, kind);
        let mut around =
            block.shortcut.iter().flat_map(|layer| split(&layer.ws, layer.bs.as_ref(), parts, kind));
        let mut begin = 0;
        let entrances = parts.iter().zip(first).map(|(&channels, first)| {
            let frame = folded.mean.narrow(1, begin, channels).to_kind(kind);
            begin += channels;
            Entrance { frame, marks_inside: false, first, around: around.next() }
        });
        Self { entrances: entrances.collect(), second: Convolution::of(&block.second, kind) }
    }

    /// The block over what is `needed` of its output; 0 elsewhere.
    fn run(&self, inputs: &[Tensor], needed: &Needed<'_>) -> Result<Tensor, TchError> {
        let size = inputs[0].size();
        let (samples, rows, columns) = (size[0], size[2], size[3]);
        let width = self.second.weight.size()[0];
        let out = zeros([samples, width, rows, columns], &inputs[0])?;
        let strip_rows = self.strip_rows(&inputs[0]);
        let widest = self.entrances.iter().map(Entrance::channels).max().unwrap_or(0);
        let count = samples * widest * (strip_rows + 2 * BLOCK_REACH) * (columns + 2);
        let buffer = Tensor::f_empty([count], (out.kind(), out.device()))?;
        for first in (0..rows).step_by(strip_rows as usize) {
            let strip = first..rows.min(first + strip_rows);
            let wanted = needed.columns(strip.clone(), columns);
            if !wanted.is_empty() {
                self.run_strip(inputs, &buffer, strip, wanted, &out)?;
            }
        }
        Ok(out)
    }

    /// Rows of the field in a strip. All of them where there are several samples, whose rows do not follow each other in memory, and on
    /// a GPU, which is best with all of a field.
    fn strip_rows(&self, input: &Tensor) -> i64 {
        let size = input.size();
        if size[0] > 1 || input.device() != Device::Cpu {
            return size[2];
        }
        let channels: i64 = self.entrances.iter().map(Entrance::channels).sum();
        let row_bytes = size[3] * channels * input.kind().elt_size_in_bytes() as i64;
        (STRIP_BYTES / row_bytes.max(1)).clamp(FEWEST_ROWS, MOST_ROWS)
    }

    fn run_strip(
        &self,
        inputs: &[Tensor],
        buffer: &Tensor,
        rows: Range<i64>,
        wanted: Range<i64>,
        out: &Tensor,
    ) -> Result<(), TchError> {
        // At a cut the second convolution sees zeros beside it, so it is made one column farther out.
        let columns = 0.max(wanted.start - 1)..out.size()[3].min(wanted.end + 1);
        let hidden = self.hidden(inputs, buffer, &rows, &columns)?;
        let kept =
            |field: &Tensor, begin: i64| field.f_narrow(3, wanted.start - begin, wanted.end - wanted.start);
        let mut place = kept(&out.f_narrow(2, rows.start, rows.end - rows.start)?, 0)?;
        let strip = |input: &Tensor| {
            let strip = input.f_narrow(2, rows.start, rows.end - rows.start)?;
            strip.f_narrow(3, columns.start, columns.end - columns.start)
        };
        let mut sum: Option<Tensor> = None;
        for (entrance, input) in self.entrances.iter().zip(inputs) {
            let Some(around) = &entrance.around else { continue };
            match &mut sum {
                None => sum = Some(around.run(&strip(input)?)?),
                Some(sum) => around.add_to(sum, &strip(input)?, [0, 0])?,
            }
        }
        let Some(mut sum) = sum else {
            let residual = self.second.convolve(&hidden, [0, 1], false)?;
            let input = strip(&inputs[0])?;
            let _ = kept(&residual, columns.start)?.f_add_out(&place, &kept(&input, columns.start)?)?;
            return Ok(());
        };
        self.second.add_to(&mut sum, &hidden, [0, 1])?;
        place.f_copy_(&kept(&sum, columns.start)?)
    }

    /// What lies between the two convolutions, with a row more above and below.
    fn hidden(
        &self,
        inputs: &[Tensor],
        buffer: &Tensor,
        rows: &Range<i64>,
        columns: &Range<i64>,
    ) -> Result<Tensor, TchError> {
        let alone = self.entrances.len() == 1;
        let mut sum: Option<Tensor> = None;
        for (entrance, input) in self.entrances.iter().zip(inputs) {
            let framed = entrance.framed(input, buffer, rows, columns)?;
            match &mut sum {
                None => sum = Some(entrance.first.convolve(&framed, [0, 0], alone)?),
                Some(sum) => entrance.first.add_to(sum, &framed, [0, 0])?,
            }
        }
        let mut hidden = sum.ok_or_else(|| TchError::Shape("a block without input".into()))?;
        if !alone {
            hidden = hidden.f_silu_()?;
        }
        // Outside the field the second convolution sees zeros, not what the first one gives there.
        for (outside, row) in
            [(rows.start == 0, 0), (rows.end == inputs[0].size()[2], rows.end - rows.start + 1)]
        {
            if outside {
                let _ = hidden.f_narrow(2, row, 1)?.f_zero_()?;
            }
        }
        Ok(hidden)
    }
}

/// A convolution of several fields side by side as a sum of one of each; the bias goes with the first.
fn split(weight: &Tensor, bias: Option<&Tensor>, parts: &[i64], kind: Kind) -> Vec<Convolution> {
    let begins = parts.iter().scan(0, |end, &channels| {
        *end += channels;
        Some(*end - channels)
    });
    let part = |(&channels, begin): (&i64, i64)| {
        Convolution::new(&weight.narrow(1, begin, channels), bias.filter(|_| begin == 0), kind)
    };
    parts.iter().zip(begins).map(part).collect()
}

impl Entrance {
    /// Channels of the framed input.
    fn channels(&self) -> i64 {
        self.frame.size()[1]
    }

    /// The input from two rows before `rows` to two behind them and one column more on each side than `columns`, laid into `buffer`; the
    /// frame where the input has none.
    fn framed(
        &self,
        input: &Tensor,
        buffer: &Tensor,
        rows: &Range<i64>,
        columns: &Range<i64>,
    ) -> Result<Tensor, TchError> {
        let size = input.size();
        let (height, width) = (rows.end - rows.start + 2 * BLOCK_REACH, columns.end - columns.start + 2);
        let channels = self.channels();
        let strides = [height * width * channels, 1, width * channels, channels];
        let framed = buffer.f_as_strided([size[0], channels, height, width], strides, 0)?;
        let part = |top: i64, left: i64, rows: i64, columns: i64| {
            framed.f_narrow(2, top, rows)?.f_narrow(3, left, columns)
        };
        let begin = [0.max(rows.start - BLOCK_REACH), 0.max(columns.start - 1)];
        let end = [size[2].min(rows.end + BLOCK_REACH), size[3].min(columns.end + 1)];
        let (top, left) = (begin[0] - (rows.start - BLOCK_REACH), begin[1] - (columns.start - 1));
        let (inner_rows, inner_columns) = (end[0] - begin[0], end[1] - begin[1]);
        let inside = part(top, left, inner_rows, inner_columns)?;
        let from = input.f_narrow(2, begin[0], inner_rows)?.f_narrow(3, begin[1], inner_columns)?;
        inside.f_narrow(1, 0, size[1])?.f_copy_(&from)?;
        if self.marks_inside {
            let _ = inside.f_narrow(1, size[1], 1)?.f_fill_(1.0)?;
        }
        let (bottom, right) = (top + inner_rows, left + inner_columns);
        for mut outside in [
            part(0, 0, top, width)?,
            part(bottom, 0, height - bottom, width)?,
            part(0, 0, height, left)?,
            part(0, right, height, width - right)?,
        ] {
            if outside.numel() > 0 {
                outside.f_copy_(&self.frame.expand_as(&outside))?;
            }
        }
        Ok(framed)
    }
}

/// A field of zeros that lies channels-last.
fn zeros([samples, channels, rows, columns]: [i64; 4], like: &Tensor) -> Result<Tensor, TchError> {
    Ok(Tensor::f_zeros([samples, rows, columns, channels], (like.kind(), like.device()))?
        .permute([0, 3, 1, 2]))
}

/// The first block, which sees the noise embedding beside the field. Its weights are kept in double precision.
#[derive(Debug)]
struct Entry {
    kind: Kind,
    /// Channels of the field; those of the embedding come behind them.
    channels: i64,
    first: Folded,
    second: Convolution,
    around: Vec<Convolution>,
}

impl Entry {
    fn folded(block: &ResidualBlock, channels: i64, kind: Kind) -> Self {
        let parts = [channels, EMBEDDING_CHANNELS];
        Self {
            kind,
            channels,
            first: Folded::of(block, kind),
            second: Convolution::of(&block.second, kind),
            around: block
                .shortcut
                .as_ref()
                .map_or(Vec::new(), |layer| split(&layer.ws, layer.bs.as_ref(), &parts, Kind::Double)),
        }
    }

    /// The block for one embedding, `[1, 32, 1, 1]`.
    fn at(&self, embedding: &Tensor) -> Block {
        let Folded { weight, mean, .. } = &self.first;
        let of_field = |tensor: &Tensor| tensor.narrow(1, 0, self.channels);
        let of_embedding = |tensor: &Tensor| tensor.narrow(1, self.channels, EMBEDDING_CHANNELS);
        let over_channels = |tensor: Tensor| tensor.sum_dim_intlist(1, true, Kind::Double);
        let inside = over_channels(of_embedding(weight) * (embedding - of_embedding(mean)));
        let weight = Tensor::cat(&[of_field(weight), inside], 1);
        let mean = of_field(mean);
        let around = match &self.around[..] {
            [field, constant] => {
                let added = over_channels(&constant.weight * embedding).reshape([-1]);
                let bias = field.bias.as_ref().map_or(added.shallow_clone(), |bias| bias + &added);
                Some(Convolution::new(&field.weight, Some(&bias), self.kind))
            }
            _ => None,
        };
        let entrance = Entrance {
            frame: Tensor::cat(&[&mean, &mean.narrow(1, 0, 1).zeros_like()], 1).to_kind(self.kind),
            marks_inside: true,
            first: Convolution::new(&weight, Some(&self.first.bias_for(self.channels)), self.kind),
            around,
        };
        Block { entrances: vec![entrance], second: self.second.shallow_clone() }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};

    use super::*;
    use crate::model::has_bfloat16;

    /// A network whose every tensor is random: statistics of the normalisation, biases and the last layer among them.
    fn network() -> Network {
        let configuration = NetworkConfiguration { widths: vec![8, 12, 16], block_depth: 2 };
        let mut network = Network::new(&configuration, Device::Cpu);
        tch::manual_seed(1);
        let tensors: std::collections::BTreeMap<_, _> = network.tensors().into_iter().collect();
        network
            .assign(|name| {
                let tensor = tensors.get(name)?;
                let size = tensor.size();
                let fan_in: i64 = size.iter().skip(1).product();
                let random = Tensor::randn(&size, (Kind::Float, Device::Cpu));
                Some(if name.ends_with("running_var") {
                    random.abs() + 0.3
                } else {
                    random * (1.0 / fan_in.max(3) as f64).sqrt()
                })
            })
            .unwrap();
        network
    }

    fn question(samples: i64, rows: i64, columns: i64) -> (Tensor, Tensor) {
        tch::manual_seed(2);
        let random = |channels| Tensor::randn([samples, channels, rows, columns], (Kind::Float, Device::Cpu));
        (random(1), random(4))
    }

    /// The largest difference and the standard deviation of what was expected.
    fn difference(precision: Precision, (noisy, context): &(Tensor, Tensor)) -> (f64, f64) {
        let network = network();
        let expected = tch::no_grad(|| network.predict(noisy, context, 0.3)).unwrap();
        let found = network.for_inference(precision).predict(noisy, context, 0.3).unwrap();
        assert_eq!((found.size(), found.kind()), (expected.size(), expected.kind()));
        let largest = (found - &expected).abs().max().double_value(&[]);
        (largest, expected.std(true).double_value(&[]))
    }

    #[test]
    fn it_is_the_same_function_to_the_edges_of_the_field() {
        for (samples, rows, columns) in [(1, 16, 24), (1, 37, 21), (3, 20, 16), (1, 1, 5)] {
            let (difference, deviation) = difference(Precision::F32, &question(samples, rows, columns));
            assert!(difference < 2e-5 * deviation.max(0.1), "{samples} x {rows} x {columns}: {difference}");
        }
    }

    #[test]
    fn strips_leave_no_seams() {
        let question = question(1, 403, 64);
        assert!(question.0.size()[2] > 4 * MOST_ROWS, "the field is several strips high");
        let (difference, deviation) = difference(Precision::F32, &question);
        assert!(difference < 2e-5 * deviation, "{difference}");
    }

    /// Holds what is computed around a mask against what is computed everywhere, within a share of the field's deviation.
    fn where_the_mask_is_it_is_the_same(precision: Precision, most: f64) {
        let (noisy, context) = question(1, 400, 300);
        let inside =
            |row: i64, column: i64| (row - 150).pow(2) + (column - 40).pow(2) < 30_i64.pow(2) || row > 397;
        let mask: Vec<f32> =
            (0..400 * 300).map(|cell| f32::from(u8::from(inside(cell / 300, cell % 300)))).collect();
        let mask = Tensor::from_slice(&mask).reshape([1, 1, 400, 300]);
        let context = Tensor::cat(&[&context.narrow(1, 0, 3), &mask], 1);
        let network = network();
        let expected = tch::no_grad(|| network.predict(&noisy, &context, 0.3)).unwrap();
        let found = network.for_inference(precision).predict(&noisy, &context, 0.3).unwrap();
        assert!(bool::try_from(found.isfinite().all()).unwrap());
        let difference = ((&found - &expected) * &mask).abs().max().double_value(&[]);
        assert!(difference < most * expected.std(true).double_value(&[]), "{difference}");
    }

    #[test]
    fn where_the_mask_is_it_is_the_same_though_little_else_is_computed() {
        where_the_mask_is_it_is_the_same(Precision::F32, 2e-5);
    }

    /// Says that a test is skipped where nothing can compute in bfloat16.
    fn can_round() -> bool {
        let can = has_bfloat16();
        if !can {
            writeln!(io::stdout(), "skipped: this processor has no instructions for bfloat16").unwrap();
        }
        can
    }

    #[test]
    fn in_bfloat16_it_is_near_where_the_mask_is() {
        if can_round() {
            where_the_mask_is_it_is_the_same(Precision::Bf16, 0.1);
        }
    }

    #[test]
    fn what_lies_out_of_reach_changes_nothing() {
        let network = network().for_inference(Precision::F32);
        let reach = network.configuration().reach_cells() as i64;
        let size = 2 * reach + 40;
        let (noisy, context) = question(1, 24, size);
        let whole = network.predict(&noisy, &context, 0.3).unwrap();
        let cut = |tensor: &Tensor| tensor.narrow(3, 0, size - 16);
        let part = network.predict(&cut(&noisy), &cut(&context), 0.3).unwrap();
        let difference = |columns: i64| {
            let inside = |field: &Tensor| field.narrow(3, 0, columns);
            (inside(&whole) - inside(&part)).abs().max().double_value(&[])
        };
        assert!(difference(size - 16 - reach) < 1e-6, "{}", difference(size - 16 - reach));
        assert!(difference(size - 16) > 1e-3, "at the cut it does change");
    }

    #[test]
    fn bfloat16_is_near() {
        if !can_round() {
            return;
        }
        let (difference, deviation) = difference(Precision::Bf16, &question(1, 64, 48));
        assert!(difference > 0.0 && difference < 0.1 * deviation, "{difference} of {deviation}");
    }

    #[test]
    fn what_libtorch_refuses_is_an_error() {
        let (noisy, context) = question(1, 16, 16);
        let short = context.narrow(1, 0, 3);
        let error = network().for_inference(Precision::F32).predict(&noisy, &short, 0.3).unwrap_err();
        assert!(error.to_string().contains("running the network"), "{error}");
    }
}
