//! What a device does: from noise to thickness.

use ndarray::{Array2, Array3, Axis};
use tch::{Device, Kind, Tensor};

use super::Plan;
use super::ground::{Ground, Question, THICKNESS_CHANNEL};
use super::satellite_view::SatelliteView;
use super::transfer::{Lane, in_transfer, tensor};
use crate::config::Consistency;
use crate::model::{AtLeast, Calibration, Checkpoint, CheckpointInfo, ModelError};
use crate::prepare;

/// The sampler's estimate of a member keeps thickness at 0 or more from this noise rate on: in the last calls of every sampler.
const BOUNDED_BELOW_NOISE_RATE: f64 = 0.5;

/// A cell that the bound holds at 0 m comes back from the units of the network with so much at most, m.
const ROUNDED_TO_ZERO_M: f64 = 1e-5;

/// Between the units of a network and metres of effective thickness.
#[derive(Clone, Copy)]
struct Units<'a> {
    info: &'a CheckpointInfo,
    calibration: Option<&'a Calibration>,
}

impl<'a> Units<'a> {
    fn of(ground: &Ground<'a>) -> Self {
        Self { info: ground.info, calibration: ground.calibration }
    }

    /// The thickness, m, that values of the network's field mean at a low-resolution thickness, m. What is calibrated is the anomaly,
    /// whatever the network draws.
    fn thickness(self, values: &Tensor, low: &Tensor) -> Tensor {
        let typical = self.info.target_scale.at(low.shallow_clone());
        let drawn =
            self.info.target.base_m(&self.info.statistics, low.shallow_clone()) - low + &typical * values;
        match self.calibration {
            None => drawn + low,
            Some(fitted) => fitted.anomaly(drawn, low.shallow_clone(), typical) + low,
        }
    }

    /// The values of the network's field that mean 0 m.
    fn of_no_ice(self, low: &Tensor) -> Tensor {
        let typical = self.info.target_scale.at(low.shallow_clone());
        let drawn = match self.calibration {
            None => low.neg(),
            Some(fitted) => fitted.drawn(low.neg(), low.shallow_clone(), typical.shallow_clone()),
        };
        (drawn + low - self.info.target.base_m(&self.info.statistics, low.shallow_clone())) / typical
    }

    /// What the network sees of a thickness where `mask` is 1.
    fn standardised(self, low: &Tensor, mask: &Tensor) -> Tensor {
        let statistics = &self.info.statistics;
        let [mean, deviation] =
            [&statistics.mean, &statistics.standard_deviation].map(|of| of[THICKNESS_CHANNEL]);
        (low - f64::from(mean)) / f64::from(deviation) * mask
    }
}

/// What a network has drawn, with what it was drawn from, on its device; `[n, 1, row, column]`.
pub(super) struct Drawn {
    /// The numbers of the members.
    pub(super) members: Vec<usize>,
    /// In the units of the network.
    pub(super) values: Tensor,
    /// The low-resolution thickness of each, m.
    pub(super) low: Tensor,
}

impl Drawn {
    /// The same on the host.
    pub(super) fn on_host(&self) -> Result<Self, ModelError> {
        let [values, low] =
            [&self.values, &self.low].map(|field| field.f_to_device(Device::Cpu).map_err(in_transfer));
        Ok(Self { members: self.members.clone(), values: values?, low: low? })
    }
}

/// A checkpoint on its device with what it sees of a day.
pub(super) struct Scene<'a> {
    checkpoint: &'a Checkpoint,
    units: Units<'a>,
    lane: Lane,
    /// Standardised context on the device, `[1, 4, row, column]`.
    context: Tensor,
}

impl<'a> Scene<'a> {
    /// `context` is that of the whole grid, `[4, row, column]`, before standardising.
    pub(super) fn new(
        checkpoint: &'a Checkpoint,
        ground: &Ground<'a>,
        context: &Array3<f32>,
    ) -> Result<Self, ModelError> {
        let statistics = &checkpoint.info.statistics;
        let mut standardised = context.clone();
        prepare::standardise(&mut standardised, statistics.mean, statistics.standard_deviation);
        checkpoint.info.features.hide_unused(&mut standardised);
        let channels = standardised.axis_iter(Axis(0)).map(|channel| ground.frame.cut(channel));
        let channels: Vec<_> = channels.map(|channel| tensor(channel.view())).collect();
        let lane = Lane::new(checkpoint.network.device(), ground.frame.shape());
        let context = Tensor::cat(&channels, 1).f_to_device(lane.device).map_err(in_transfer)?;
        Ok(Self { checkpoint, units: Units::of(ground), lane, context })
    }

    pub(super) fn lane(&self) -> Lane {
        self.lane
    }

    /// The network's fields of some members.
    pub(super) fn draw(
        &self,
        plan: Plan<'_>,
        questions: &[Question],
        after_call: impl FnMut(),
    ) -> Result<Drawn, ModelError> {
        let (noise, low) = given(questions, self.lane)?;
        let bound = AtLeast { least: self.units.of_no_ice(&low), below_noise_rate: BOUNDED_BELOW_NOISE_RATE };
        let context = self.context_of(&low)?;
        let values = self.checkpoint.sample(plan.sampler, &bound, &noise, &context, after_call)?;
        Ok(Drawn { members: questions.iter().map(|question| question.member).collect(), values, low })
    }

    /// The field of a network that was trained for the mean.
    pub(super) fn mean(&self, low: &Array2<f32>) -> Result<Drawn, ModelError> {
        let low = tensor(low.view()).f_to_device(self.lane.device).map_err(in_transfer)?;
        Ok(Drawn { members: vec![0], values: self.checkpoint.mean(&self.context)?, low })
    }

    /// What the network sees of members of these thicknesses: all else is the same.
    fn context_of(&self, low: &Tensor) -> Result<Tensor, ModelError> {
        let shared = self.context.expand([low.size()[0], -1, -1, -1], false);
        let [before, after, mask] =
            [(0, 1), (2, 2), (3, 1)].map(|(from, channels)| shared.narrow(1, from, channels));
        Tensor::f_cat(&[before, self.units.standardised(low, &mask), after], 1).map_err(in_transfer)
    }
}

/// What some members are drawn from, on a device: their noise and their thickness.
pub(super) fn given(questions: &[Question], lane: Lane) -> Result<(Tensor, Tensor), ModelError> {
    let noise = lane.to_device(questions.iter().map(|question| question.noise.as_slice()))?;
    let low = lane.to_device(questions.iter().map(|question| question.low.as_slice()))?;
    Ok((noise, low))
}

/// Turns what a network has drawn into members, on its device.
pub(super) struct Finisher<'a> {
    units: Units<'a>,
    held_to: Option<(Consistency, SatelliteView)>,
    /// True where there is no ice, `[1, 1, row, column]`.
    outside: Tensor,
}

/// Members on their device.
pub(super) struct Members {
    /// Effective thickness, m, at least 0, `[n, 1, row, column]`; NaN outside the mask.
    pub(super) fields: Tensor,
    /// Cells of each inside the mask that are no numbers, `[n]`.
    broken: Tensor,
}

impl Members {
    /// Numbers of such cells, when the device has counted them, and done all that it was told before.
    pub(super) fn broken_cells(&self) -> Result<Vec<usize>, ModelError> {
        let counts = Vec::<i64>::try_from(&self.broken.f_to_device(Device::Cpu).map_err(in_transfer)?);
        Ok(counts.map_err(in_transfer)?.into_iter().map(|count| count as usize).collect())
    }
}

impl<'a> Finisher<'a> {
    /// For members that are moved until they agree in `consistency` with what they started from.
    pub(super) fn new(ground: &Ground<'a>, consistency: Option<Consistency>, device: Device) -> Self {
        let view = |consistency| match consistency {
            Consistency::Seen => SatelliteView::of_day(&ground.mask, ground.concentration.view()),
            Consistency::Means => SatelliteView::of_means(&ground.mask),
        };
        Self {
            units: Units::of(ground),
            held_to: consistency.map(|consistency| (consistency, view(consistency).on(device))),
            outside: tensor(ground.mask.mapv(|inside| !inside).view()).to_device(device),
        }
    }

    pub(super) fn members(&self, drawn: &Drawn) -> Members {
        let mut fields = self.units.thickness(&drawn.values, &drawn.low);
        let of_network = self.broken_cells(&fields);
        let _ = fields.masked_fill_(&fields.lt(ROUNDED_TO_ZERO_M), 0.0);
        let _ = fields.masked_fill_(&self.outside, f64::NAN);
        let fields = match &self.held_to {
            Some((Consistency::Seen, view)) => view.hold(fields, &drawn.low),
            Some((Consistency::Means, view)) => view.hold(fields, &view.seen(&drawn.low)),
            None => fields,
        };
        // What is no number makes others none where it is smoothed.
        let broken = of_network.where_self(&of_network.gt(0), &self.broken_cells(&fields));
        Members { fields, broken }
    }

    /// Cells of each field inside the mask that are no numbers, `[n]`.
    fn broken_cells(&self, fields: &Tensor) -> Tensor {
        let broken = fields.isfinite().logical_or(&self.outside).logical_not();
        broken.sum_dim_intlist(&[1_i64, 2, 3][..], false, Kind::Int64)
    }
}

#[cfg(test)]
mod tests {
    use crate::ensemble::transfer::arrays;
    use crate::model::{NetworkConfiguration, Placement, closed_ice};

    use super::*;

    #[test]
    fn each_member_of_several_is_bounded_and_counted_for_itself() {
        const BROKEN: f32 = f32::NAN;
        let checkpoint = Checkpoint::untrained(&NetworkConfiguration::small(), Placement::CPU);
        let mut context = closed_ice(1, 4);
        context[[3, 0, 3]] = 0.0;
        let ground = Ground::new(&checkpoint, &context);
        let lane = Lane::new(Device::Cpu, (1, 4));
        // Ice of 2 m, and 0.3 m for each unit of the network.
        let (first, second) = ([1.0, -9.0, -6.6666, BROKEN], [BROKEN, f32::NEG_INFINITY, 0.0, BROKEN]);
        let fields = |values: [[f32; 4]; 2]| lane.to_device(values.iter().map(<[f32; 4]>::as_slice)).unwrap();
        let drawn =
            Drawn { members: vec![0, 1], values: fields([first, second]), low: fields([[2.0; 4]; 2]) };
        let members = Finisher::new(&ground, None, Device::Cpu).members(&drawn);
        assert_eq!(members.broken_cells().unwrap(), [0, 2]);
        let found: Vec<_> = arrays(&members.fields).collect();
        for (at, expected) in [2.3, 0.0, 2e-5].into_iter().enumerate() {
            assert!((found[0][[0, at]] - expected).abs() < 1e-6, "{}", found[0]);
        }
        assert!(found.iter().all(|field| field[[0, 3]].is_nan()) && (found[1][[0, 2]] - 2.0).abs() < 1e-6);
    }

    #[test]
    fn the_least_that_a_network_may_draw_is_no_ice() {
        let mut checkpoint = Checkpoint::untrained(&NetworkConfiguration::small(), Placement::CPU);
        let factor = |thickness_m, factor| crate::model::SpreadFactor { thickness_m, factor };
        let fitted = Calibration {
            noise_temperature: 1.0,
            stretch: 0.1,
            spread_factors: vec![factor(0.5, 1.2), factor(2.0, 0.9)],
            fitted_on: "nothing".into(),
        };
        for calibration in [None, Some(fitted)] {
            checkpoint.info.calibration = calibration;
            let units = Units { info: &checkpoint.info, calibration: checkpoint.info.calibration.as_ref() };
            let low = Tensor::from_slice(&[0.1_f32, 0.6, 1.7, 4.0]);
            let thickness = units.thickness(&units.of_no_ice(&low), &low);
            assert!(thickness.abs().max().double_value(&[]) < 1e-5, "{thickness}");
        }
    }
}
