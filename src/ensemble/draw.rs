//! Drawing members.

use std::io;
use std::ops::Range;

use ndarray::{Array2, Array3, ArrayView2, Axis, Zip};
use tch::{Device, Tensor};

use super::{MemberStore, Statistics, Streaming, member_noise};
use crate::model::{AtLeast, Checkpoint, ModelError, Sampler};
use crate::prepare;
use crate::progress::Bar;
use crate::time::ProductDay;

/// The sampler's estimate of a member keeps thickness at 0 or more from this noise rate on: in the last calls of every sampler.
const BOUNDED_BELOW_NOISE_RATE: f64 = 0.5;

/// A cell that the bound holds at 0 m comes back from the units of the network with so much at most, m.
const ROUNDED_TO_ZERO_M: f32 = 1e-5;

/// What to draw.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Day of the product; part of the key of every member's noise.
    pub day: ProductDay,
    /// Number of members.
    pub members: usize,
    /// The sampler.
    pub sampler: Sampler,
    /// Seed of the noise.
    pub seed: u64,
    /// Members handled at once on a GPU. On a CPU the network is always called for one member: larger batches gain nothing
    /// there, and so a member is bit-equal whatever the batch.
    pub batch: usize,
}

/// What can go wrong while drawing.
#[derive(Debug, thiserror::Error)]
pub enum EnsembleError {
    /// The model failed.
    #[error("member {member}: {source}")]
    Model {
        /// The member (the first of its batch).
        member: usize,
        /// Whether it was on a GPU.
        on_gpu: bool,
        /// What the model said.
        source: ModelError,
    },
    /// A member could not be kept or read again.
    #[error("member {member} could not be kept in the scratch file: {source}; free space in folders.cache")]
    Store {
        /// The member.
        member: usize,
        /// What the store met.
        source: io::Error,
    },
    /// The model gave something that is not a number.
    #[error(
        "member {member} has {cells} cells that are not numbers; the checkpoint {checkpoint} does not fit these inputs"
    )]
    NotANumber {
        /// The member.
        member: usize,
        /// How many of its cells.
        cells: usize,
        /// The checkpoint's name.
        checkpoint: String,
    },
}

/// Draws the members of `plan` from `context` (`[4, row, column]`, before standardising, see [`prepare::context`]) and hands each to
/// `store`: effective thickness, m, at least 0, NaN outside the mask. Steps `bar` once for every network call and member.
///
/// # Errors
/// [`EnsembleError`]; the members kept so far stay in the store.
pub fn draw(
    checkpoint: &Checkpoint,
    context: &Array3<f32>,
    plan: Plan,
    store: &mut dyn MemberStore,
    bar: &Bar,
) -> Result<Statistics, EnsembleError> {
    let scene = Scene::new(checkpoint, context);
    let on_gpu = scene.device != Device::Cpu;
    let mut batches = Batches::new(plan.members, if on_gpu { plan.batch } else { 1 });
    let mut streaming = Streaming::new(scene.low.dim());
    while let Some(batch) = batches.current() {
        let anomalies = match scene.sample(plan, batch.clone(), || batch.clone().for_each(|_| bar.step())) {
            Ok(anomalies) => anomalies,
            Err(error) if error.is_out_of_memory() && batches.halve() => {
                tracing::warn!(at_once = batches.at_once, "{error}; fewer members are drawn at once");
                continue;
            }
            Err(source) => return Err(EnsembleError::Model { member: batch.start, on_gpu, source }),
        };
        for (member, anomaly) in batch.zip(anomalies.axis_iter(Axis(0))) {
            let (field, clamped) = scene.member(anomaly);
            let broken = Zip::from(&field)
                .and(&scene.mask)
                .fold(0, |n, v, &inside| n + usize::from(inside && !v.is_finite()));
            if broken > 0 {
                let checkpoint = checkpoint.info.name.clone();
                return Err(EnsembleError::NotANumber { member, cells: broken, checkpoint });
            }
            store.append(field.view()).map_err(|source| EnsembleError::Store { member, source })?;
            streaming.add(&field, clamped);
            bar.say(format!("member {}", member + 1));
        }
        batches.advance();
    }
    Ok(streaming.finish(&scene.mask))
}

/// What a network that was trained for the mean says of `context`: effective thickness, m, at least 0, NaN outside the mask.
///
/// # Errors
/// [`EnsembleError::Model`] when the network fails or was trained for noise.
pub fn regress(checkpoint: &Checkpoint, context: &Array3<f32>) -> Result<Array2<f32>, EnsembleError> {
    let scene = Scene::new(checkpoint, context);
    let on_gpu = scene.device != Device::Cpu;
    let mean = checkpoint.mean(&scene.context);
    let mean = mean.map_err(|source| EnsembleError::Model { member: 0, on_gpu, source })?;
    Ok(scene.member(scene.to_arrays(&mean).index_axis(Axis(0), 0)).0)
}

/// Members that are drawn together. As each has noise of its own, a batch that was too large is drawn again in halves.
struct Batches {
    members: usize,
    first: usize,
    at_once: usize,
}

impl Batches {
    fn new(members: usize, at_once: usize) -> Self {
        Self { members, first: 0, at_once }
    }

    /// The members to draw now; `None` when all are.
    fn current(&self) -> Option<Range<usize>> {
        (self.first < self.members).then(|| self.first..self.members.min(self.first + self.at_once))
    }

    fn advance(&mut self) {
        self.first = (self.first + self.at_once).min(self.members);
    }

    /// Half as many at once from now on; false where that is not possible.
    fn halve(&mut self) -> bool {
        let possible = self.at_once > 1;
        self.at_once = (self.at_once / 2).max(1);
        possible
    }
}

/// What all members of a day share.
struct Scene<'a> {
    checkpoint: &'a Checkpoint,
    device: Device,
    /// Standardised context on the device, `[1, 4, row, column]`.
    context: Tensor,
    /// Thickness is at least 0.
    bound: AtLeast,
    /// Low-resolution effective thickness, m.
    low: Array2<f32>,
    mask: Array2<bool>,
}

impl<'a> Scene<'a> {
    fn new(checkpoint: &'a Checkpoint, context: &Array3<f32>) -> Self {
        let low = context.index_axis(Axis(0), 1).to_owned();
        let mask = context.index_axis(Axis(0), 3).mapv(|inside| inside > 0.5);
        let statistics = &checkpoint.info.statistics;
        let mut standardised = context.clone();
        prepare::standardise(&mut standardised, statistics.mean, statistics.standard_deviation);
        checkpoint.info.features.hide_unused(&mut standardised);
        let (rows, columns) = low.dim();
        let values: Vec<f32> = standardised.iter().copied().collect();
        let device = checkpoint.network.device();
        let context =
            Tensor::from_slice(&values).reshape([1, 4, rows as i64, columns as i64]).to_device(device);
        let info = &checkpoint.info;
        let least = |&low: &f32| -info.target.base_m(statistics, low) / info.target_scale.at(low);
        let least: Vec<f32> = low.iter().map(least).collect();
        let least = Tensor::from_slice(&least).reshape([1, 1, rows as i64, columns as i64]).to_device(device);
        let bound = AtLeast { least, below_noise_rate: BOUNDED_BELOW_NOISE_RATE };
        Self { checkpoint, device, context, bound, low, mask }
    }

    /// The anomalies of some members in units of the target's scale, `[member, row, column]`.
    fn sample(
        &self,
        plan: Plan,
        members: Range<usize>,
        after_call: impl FnMut(),
    ) -> Result<Array3<f32>, ModelError> {
        let (rows, columns) = self.low.dim();
        let count = members.len();
        let noise: Vec<f32> =
            members.flat_map(|member| member_noise(plan.seed, plan.day, member, rows * columns)).collect();
        let size = [count as i64, 1, rows as i64, columns as i64];
        let noise = Tensor::from_slice(&noise).reshape(size).to_device(self.device);
        let context = self.context.expand([count as i64, -1, -1, -1], false);
        let clean = self.checkpoint.sample(plan.sampler, &self.bound, &noise, &context, after_call)?;
        Ok(self.to_arrays(&clean))
    }

    /// Fields `[n, 1, row, column]` as arrays `[n, row, column]`.
    fn to_arrays(&self, fields: &Tensor) -> Array3<f32> {
        let (rows, columns) = self.low.dim();
        let count = fields.size()[0] as usize;
        let mut values = vec![0.0_f32; fields.numel()];
        fields.to_device(Device::Cpu).contiguous().copy_data(&mut values, fields.numel());
        Array3::from_shape_fn((count, rows, columns), |(k, r, c)| values[(k * rows + r) * columns + c])
    }

    /// A member from its anomaly: effective thickness, m, with the number of cells that the bound holds at 0.
    fn member(&self, anomaly: ArrayView2<'_, f32>) -> (Array2<f32>, usize) {
        let info = &self.checkpoint.info;
        let scale = info.target_scale;
        let mut clamped = 0;
        let field =
            Zip::from(anomaly).and(&self.low).and(&self.mask).map_collect(|&anomaly, &low, &inside| {
                let thickness = info.target.base_m(&info.statistics, low) + scale.at(low) * anomaly;
                let at_zero = thickness < ROUNDED_TO_ZERO_M;
                clamped += usize::from(inside && at_zero);
                if inside { if at_zero { 0.0 } else { thickness } } else { f32::NAN }
            });
        (field, clamped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_that_is_too_large_is_drawn_in_halves_and_no_member_twice() {
        const FITS: usize = 3;
        for (members, at_once) in [(30, 8), (30, 16), (7, 64), (5, 1), (1, 4)] {
            let mut batches = Batches::new(members, at_once);
            let mut drawn = Vec::new();
            while let Some(batch) = batches.current() {
                if batch.len() > FITS {
                    assert!(batches.halve());
                    continue;
                }
                drawn.extend(batch);
                batches.advance();
            }
            assert_eq!(drawn, (0..members).collect::<Vec<_>>());
        }
    }

    #[test]
    fn one_member_is_the_least() {
        let mut batches = Batches::new(4, 2);
        assert!(batches.halve());
        assert!(!batches.halve());
        assert_eq!(batches.current(), Some(0..1));
    }
}
