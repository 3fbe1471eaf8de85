//! What the members of a day share, and the way of one of them: from noise to thickness.

use ndarray::{Array2, Array3, Axis, Zip};
use tch::{Cuda, Device, Kind, TchError, Tensor};

use super::frame::Frame;
use super::input::{input_field, perturbed};
use super::satellite_view::SatelliteView;
use super::{Plan, member_noise};
use crate::config::Consistency;
use crate::model::{AtLeast, Calibration, Checkpoint, CheckpointInfo, ModelError};
use crate::prepare;

/// The sampler's estimate of a member keeps thickness at 0 or more from this noise rate on: in the last calls of every sampler.
const BOUNDED_BELOW_NOISE_RATE: f64 = 0.5;

/// A cell that the bound holds at 0 m comes back from the units of the network with so much at most, m.
const ROUNDED_TO_ZERO_M: f32 = 1e-5;

/// The channel of the context that has the effective thickness.
const THICKNESS_CHANNEL: usize = 1;

/// A member with what it started from, effective thickness, m, in the frame.
pub(super) struct Member {
    /// NaN outside the mask.
    pub(super) field: Array2<f32>,
    /// Its own low-resolution thickness.
    pub(super) low: Array2<f32>,
    /// Cells inside the mask that the bound holds at 0.
    pub(super) at_zero: usize,
}

/// What a device is given to draw a member from; fields of the frame, row by row.
pub(super) struct Question {
    /// Its own low-resolution thickness, m.
    pub(super) low: Array2<f32>,
    /// What it begins with.
    noise: Vec<f32>,
    /// The least values of the network's field that keep it at 0 m or more.
    least: Vec<f32>,
    /// What the network sees of its thickness, standardised; None where all members see the same.
    thickness: Option<Vec<f32>>,
}

/// What all members of a day share, apart from what lies on a device: threads look at it together.
pub(super) struct Ground<'a> {
    info: &'a CheckpointInfo,
    calibration: Option<&'a Calibration>,
    held_to: Option<(Consistency, SatelliteView)>,
    uncertainty_m: Option<Array2<f32>>,
    pub(super) frame: Frame,
    /// Low-resolution concentration, fraction.
    concentration: Array2<f32>,
    /// Low-resolution effective thickness, m.
    low: Array2<f32>,
    pub(super) mask: Array2<bool>,
}

impl<'a> Ground<'a> {
    /// `context` is that of the whole grid, `[4, row, column]`, before standardising.
    pub(super) fn new(checkpoint: &'a Checkpoint, context: &Array3<f32>) -> Self {
        let mask = context.index_axis(Axis(0), 3).mapv(|inside| inside > 0.5);
        let network = checkpoint.network.configuration();
        let frame = Frame::around(&mask, network.reach_cells(), network.side_multiple() as usize);
        Self {
            info: &checkpoint.info,
            calibration: None,
            held_to: None,
            uncertainty_m: None,
            concentration: frame.cut(&context.index_axis(Axis(0), prepare::CONCENTRATION_CHANNEL).to_owned()),
            low: frame.cut(&context.index_axis(Axis(0), THICKNESS_CHANNEL).to_owned()),
            mask: frame.cut(&mask),
            frame,
        }
    }

    /// Ready for members, whose spread may be calibrated and which may be held to what they start from.
    pub(super) fn for_members(mut self, plan: Plan<'_>) -> Self {
        self.held_to = plan.consistency.map(|consistency| {
            let view = match consistency {
                Consistency::Seen => SatelliteView::of_day(&self.mask, self.concentration.view()),
                Consistency::Means => SatelliteView::of_means(&self.mask),
            };
            (consistency, view)
        });
        self.calibration = self.info.calibration.as_ref().filter(|_| plan.calibrated);
        self.uncertainty_m = plan.input_uncertainty_m.map(|uncertainty_m| self.frame.cut(uncertainty_m));
        self
    }

    /// Whether each member starts from a low-resolution thickness of its own.
    pub(super) fn has_differing_inputs(&self) -> bool {
        self.uncertainty_m.is_some()
    }

    /// What all members start from where they start from the same, m.
    pub(super) fn low(&self) -> Array2<f32> {
        self.low.clone()
    }

    pub(super) fn question(&self, plan: Plan<'_>, member: usize) -> Question {
        let (rows, columns) = self.frame.whole();
        let temperature = self.calibration.map_or(1.0, |fitted| fitted.noise_temperature) as f32;
        let mut noise = self.frame.cut_flat(&member_noise(plan.seed, plan.day, member, rows * columns));
        for value in &mut noise {
            *value *= temperature;
        }
        let low = match &self.uncertainty_m {
            None => self.low(),
            Some(uncertainty_m) => {
                let field = input_field(plan.seed, plan.day, member, self.frame.whole());
                perturbed(&self.low, uncertainty_m, &self.mask, &self.frame.cut(&field))
            }
        };
        Question {
            noise,
            least: low.iter().map(|&low| self.value_of_no_ice(low)).collect(),
            thickness: self.has_differing_inputs().then(|| self.standardised_thickness(&low)),
            low,
        }
    }

    fn standardised_thickness(&self, low: &Array2<f32>) -> Vec<f32> {
        let statistics = &self.info.statistics;
        let (mean, deviation) =
            (statistics.mean[THICKNESS_CHANNEL], statistics.standard_deviation[THICKNESS_CHANNEL]);
        low.iter()
            .zip(&self.mask)
            .map(|(&low, &inside)| if inside { (low - mean) / deviation } else { 0.0 })
            .collect()
    }

    /// The thickness, m, that a value of the network's field means at a low-resolution thickness, m. What is calibrated is the anomaly,
    /// whatever the network draws.
    fn thickness(&self, value: f32, low: f32) -> f32 {
        let typical = self.info.target_scale.at(low);
        let drawn = self.info.target.base_m(&self.info.statistics, low) - low + typical * value;
        low + self.calibration.map_or(drawn, |fitted| fitted.anomaly(drawn, low, typical))
    }

    /// The value of the network's field that means 0 m.
    fn value_of_no_ice(&self, low: f32) -> f32 {
        let typical = self.info.target_scale.at(low);
        let drawn = self.calibration.map_or(-low, |fitted| fitted.drawn(-low, low, typical));
        (drawn + low - self.info.target.base_m(&self.info.statistics, low)) / typical
    }

    /// The member that a field of the network is, `[row, column]` row by row, with the thickness that it started from.
    pub(super) fn member(&self, field: &[f32], low: Array2<f32>) -> Member {
        let columns = self.frame.shape().1;
        let mut field =
            Array2::from_shape_fn(self.frame.shape(), |(row, column)| field[row * columns + column]);
        Zip::from(&mut field).and(&low).and(&self.mask).for_each(|value, &low, &inside| {
            let thickness = self.thickness(*value, low);
            *value = match inside {
                false => f32::NAN,
                true if thickness < ROUNDED_TO_ZERO_M => 0.0,
                true => thickness,
            };
        });
        match &self.held_to {
            Some((Consistency::Seen, view)) => view.hold(&mut field, low.view()),
            Some((Consistency::Means, view)) => view.hold(&mut field, view.of(low.view()).view()),
            None => {}
        }
        let at_zero = field.iter().filter(|&&value| value <= 0.0).count();
        Member { field, low, at_zero }
    }
}

/// A checkpoint on its device with what it sees of a day.
pub(super) struct Scene<'a> {
    checkpoint: &'a Checkpoint,
    device: Device,
    shape: (usize, usize),
    /// Standardised context on the device, `[1, 4, row, column]`.
    context: Tensor,
}

impl<'a> Scene<'a> {
    /// `context` is that of the whole grid, `[4, row, column]`, before standardising.
    pub(super) fn new(
        checkpoint: &'a Checkpoint,
        context: &Array3<f32>,
        frame: &Frame,
    ) -> Result<Self, ModelError> {
        let statistics = &checkpoint.info.statistics;
        let mut standardised = context.clone();
        prepare::standardise(&mut standardised, statistics.mean, statistics.standard_deviation);
        checkpoint.info.features.hide_unused(&mut standardised);
        let channels = standardised.axis_iter(Axis(0)).map(|channel| frame.cut(&channel.to_owned()));
        let values: Vec<f32> = channels.flatten().collect();
        let (rows, columns) = frame.shape();
        let device = checkpoint.network.device();
        let context = Tensor::from_slice(&values).reshape([1, 4, rows as i64, columns as i64]);
        let context = context.f_to_device(device).map_err(in_transfer)?;
        Ok(Self { checkpoint, device, shape: (rows, columns), context })
    }

    pub(super) fn is_on_gpu(&self) -> bool {
        self.device != Device::Cpu
    }

    /// The network's field of some members, each row by row.
    pub(super) fn draw(
        &self,
        plan: Plan<'_>,
        questions: &[Question],
        after_call: impl FnMut(),
    ) -> Result<Vec<Vec<f32>>, ModelError> {
        let together = |of: fn(&Question) -> &[f32]| self.to_device(questions.iter().map(of));
        let bound = AtLeast {
            least: together(|question| &question.least)?,
            below_noise_rate: BOUNDED_BELOW_NOISE_RATE,
        };
        let noise = together(|question| &question.noise)?;
        let context = self.context_of(questions)?;
        let clean = self.checkpoint.sample(plan.sampler, &bound, &noise, &context, after_call)?;
        self.to_host(&clean)
    }

    /// What the field of a network that was trained for the mean is, row by row.
    pub(super) fn mean(&self) -> Result<Vec<f32>, ModelError> {
        let mean = self.to_host(&self.checkpoint.mean(&self.context)?)?;
        Ok(mean.into_iter().flatten().collect())
    }

    /// What the network sees of these members: thickness of their own, all else is the same.
    fn context_of(&self, questions: &[Question]) -> Result<Tensor, ModelError> {
        let shared = self.context.expand([questions.len() as i64, -1, -1, -1], false);
        let own: Option<Vec<&[f32]>> =
            questions.iter().map(|question| question.thickness.as_deref()).collect();
        let Some(own) = own else { return Ok(shared) };
        let [before, after] = [(0, 1), (2, 2)].map(|(from, channels)| shared.narrow(1, from, channels));
        let own = self.to_device(own.into_iter())?;
        Tensor::f_cat(&[before, own, after], 1).map_err(in_transfer)
    }

    /// Fields, each row by row, as `[n, 1, row, column]` on the device; to a GPU through memory that it fetches from by itself.
    fn to_device<'b>(&self, fields: impl Iterator<Item = &'b [f32]>) -> Result<Tensor, ModelError> {
        let (rows, columns) = self.shape;
        let fields: Vec<_> = fields
            .map(|field| Tensor::from_slice(field).reshape([1, 1, rows as i64, columns as i64]))
            .collect();
        let together = Tensor::cat(&fields, 0);
        if !self.is_on_gpu() {
            return Ok(together);
        }
        let pinned = together.f_pin_memory(self.device);
        pinned
            .and_then(|pinned| pinned.f_to_device_(self.device, Kind::Float, true, false))
            .map_err(in_transfer)
    }

    /// Fields `[n, 1, row, column]`, each row by row.
    fn to_host(&self, fields: &Tensor) -> Result<Vec<Vec<f32>>, ModelError> {
        // From a GPU into memory that it writes to by itself; what is in it counts when the GPU has ended its work.
        let fields = fields
            .f_contiguous()
            .and_then(|fields| fields.f_to_device_(Device::Cpu, Kind::Float, self.is_on_gpu(), false))
            .map_err(in_transfer)?;
        if let Device::Cuda(index) = self.device {
            Cuda::synchronize(index as i64);
        }
        let cells = self.shape.0 * self.shape.1;
        let copied = |number| {
            let mut values = vec![0.0_f32; cells];
            fields.get(number).contiguous().copy_data(&mut values, cells);
            values
        };
        Ok((0..fields.size()[0]).map(copied).collect())
    }
}

fn in_transfer(source: TchError) -> ModelError {
    ModelError::Torch { task: "moving fields between the machine and the device", source }
}
