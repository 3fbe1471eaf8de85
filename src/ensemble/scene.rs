//! What the members of a day share, and one batch of them: from noise to thickness.

use std::ops::Range;

use ndarray::{Array2, Array3, ArrayView2, Axis, Zip};
use tch::{Device, Tensor};

use super::coarse::CoarseMean;
use super::input::{input_field, perturbed};
use super::{Plan, member_noise};
use crate::model::{AtLeast, Calibration, Checkpoint, ModelError};
use crate::prepare;

/// The sampler's estimate of a member keeps thickness at 0 or more from this noise rate on: in the last calls of every sampler.
const BOUNDED_BELOW_NOISE_RATE: f64 = 0.5;

/// A cell that the bound holds at 0 m comes back from the units of the network with so much at most, m.
const ROUNDED_TO_ZERO_M: f32 = 1e-5;

/// The channel of the context that has the effective thickness.
const THICKNESS_CHANNEL: usize = 1;

/// A member with what it started from, effective thickness, m.
pub(super) struct Member {
    /// NaN outside the mask.
    pub(super) field: Array2<f32>,
    /// Its own low-resolution thickness.
    pub(super) low: Array2<f32>,
    /// Cells inside the mask that the bound holds at 0.
    pub(super) at_zero: usize,
}

/// What all members of a day share.
pub(super) struct Scene<'a> {
    checkpoint: &'a Checkpoint,
    calibration: Option<&'a Calibration>,
    device: Device,
    /// Standardised context on the device, `[1, 4, row, column]`.
    context: Tensor,
    /// Low-resolution effective thickness, m.
    low: Array2<f32>,
    pub(super) mask: Array2<bool>,
    coarse: Option<CoarseMean>,
}

impl<'a> Scene<'a> {
    pub(super) fn new(checkpoint: &'a Checkpoint, context: &Array3<f32>) -> Self {
        let low = context.index_axis(Axis(0), THICKNESS_CHANNEL).to_owned();
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
        Self { checkpoint, calibration: None, device, context, low, mask, coarse: None }
    }

    /// Ready for members, whose spread may be calibrated and which may be held to the coarse input.
    pub(super) fn for_members(mut self, plan: Plan<'_>) -> Self {
        self.coarse = plan.consistent.then(|| CoarseMean::over(&self.mask));
        self.calibration = self.checkpoint.info.calibration.as_ref().filter(|_| plan.calibrated);
        self
    }

    pub(super) fn is_on_gpu(&self) -> bool {
        self.device != Device::Cpu
    }

    pub(super) fn shape(&self) -> (usize, usize) {
        self.low.dim()
    }

    /// Draws some members.
    pub(super) fn draw(
        &self,
        plan: Plan<'_>,
        members: Range<usize>,
        after_call: impl FnMut(),
    ) -> Result<Vec<Member>, ModelError> {
        let lows: Vec<_> = members.clone().map(|member| self.low_of(plan, member)).collect();
        let (rows, columns) = self.shape();
        let cells = rows * columns;
        let temperature = self.calibration.map_or(1.0, |fitted| fitted.noise_temperature);
        let noise: Vec<f32> =
            members.flat_map(|member| member_noise(plan.seed, plan.day, member, cells)).collect();
        let noise = self.to_device(&noise, lows.len()) * temperature;
        let bound = AtLeast { least: self.least(&lows), below_noise_rate: BOUNDED_BELOW_NOISE_RATE };
        let context = self.context_of(plan, &lows);
        let clean = self.checkpoint.sample(plan.sampler, &bound, &noise, &context, after_call)?;
        let fields = self.to_arrays(&clean);
        Ok(lows
            .into_iter()
            .zip(fields.axis_iter(Axis(0)))
            .map(|(low, field)| self.member(field, low))
            .collect())
    }

    /// What a network that was trained for the mean says: effective thickness, m, NaN outside the mask.
    pub(super) fn mean(&self) -> Result<Array2<f32>, ModelError> {
        let mean = self.to_arrays(&self.checkpoint.mean(&self.context)?);
        Ok(self.member(mean.index_axis(Axis(0), 0), self.low.clone()).field)
    }

    /// Fields `[n, 1, row, column]` as arrays `[n, row, column]`.
    fn to_arrays(&self, fields: &Tensor) -> Array3<f32> {
        let (rows, columns) = self.shape();
        let count = fields.size()[0] as usize;
        let mut values = vec![0.0_f32; fields.numel()];
        fields.to_device(Device::Cpu).contiguous().copy_data(&mut values, fields.numel());
        Array3::from_shape_fn((count, rows, columns), |(k, r, c)| values[(k * rows + r) * columns + c])
    }

    /// The low-resolution thickness that a member starts from.
    fn low_of(&self, plan: Plan<'_>, member: usize) -> Array2<f32> {
        match plan.input_uncertainty_m {
            None => self.low.clone(),
            Some(uncertainty_m) => {
                let field = input_field(plan.seed, plan.day, member, self.shape());
                perturbed(&self.low, uncertainty_m, &self.mask, &field)
            }
        }
    }

    /// What the network sees of these members: thickness of their own, all else is the same.
    fn context_of(&self, plan: Plan<'_>, lows: &[Array2<f32>]) -> Tensor {
        let shared = self.context.expand([lows.len() as i64, -1, -1, -1], false);
        if plan.input_uncertainty_m.is_none() {
            return shared;
        }
        let statistics = &self.checkpoint.info.statistics;
        let (mean, deviation) =
            (statistics.mean[THICKNESS_CHANNEL], statistics.standard_deviation[THICKNESS_CHANNEL]);
        let own: Vec<f32> = lows
            .iter()
            .flat_map(|low| low.iter().zip(&self.mask))
            .map(|(&low, &inside)| if inside { (low - mean) / deviation } else { 0.0 })
            .collect();
        let [before, after] = [(0, 1), (2, 2)].map(|(from, channels)| shared.narrow(1, from, channels));
        Tensor::cat(&[before, self.to_device(&own, lows.len()), after], 1)
    }

    /// The least values of the network's field that keep these members at 0 m or more.
    fn least(&self, lows: &[Array2<f32>]) -> Tensor {
        let least = |&low: &f32| {
            let (offset, scale) = self.thickness_of(low);
            -offset / scale
        };
        let least: Vec<f32> = lows.iter().flat_map(|low| low.iter().map(least)).collect();
        self.to_device(&least, lows.len())
    }

    /// The thickness, m, where the network's field is 0 and by how much it grows with it, at a low-resolution thickness.
    fn thickness_of(&self, low: f32) -> (f32, f32) {
        let info = &self.checkpoint.info;
        let factor = self.calibration.map_or(1.0, |fitted| fitted.spread_factor(low));
        // The factor is on the anomaly, whatever the network draws.
        let base = low + factor * (info.target.base_m(&info.statistics, low) - low);
        (base, factor * info.target_scale.at(low))
    }

    fn to_device(&self, values: &[f32], members: usize) -> Tensor {
        let (rows, columns) = self.shape();
        Tensor::from_slice(values)
            .reshape([members as i64, 1, rows as i64, columns as i64])
            .to_device(self.device)
    }

    fn member(&self, anomaly: ArrayView2<'_, f32>, low: Array2<f32>) -> Member {
        let mut field =
            Zip::from(anomaly).and(&low).and(&self.mask).map_collect(|&anomaly, &low, &inside| {
                let (base, scale) = self.thickness_of(low);
                let thickness = base + scale * anomaly;
                match inside {
                    false => f32::NAN,
                    true if thickness < ROUNDED_TO_ZERO_M => 0.0,
                    true => thickness,
                }
            });
        if let Some(coarse) = &self.coarse {
            coarse.hold(&mut field, low.view());
        }
        let at_zero = field.iter().filter(|&&value| value <= 0.0).count();
        Member { field, low, at_zero }
    }
}
