//! What the members of a day share on the host, and what each of them begins with.

use ndarray::{Array2, Array3, Axis};

use super::frame::Frame;
use super::input::{input_field, perturbed};
use super::{Plan, member_noise};
use crate::model::{Calibration, Checkpoint, CheckpointInfo};
use crate::prepare;

/// The channel of the context that has the effective thickness.
pub(super) const THICKNESS_CHANNEL: usize = 1;

/// What a device is given to draw a member from; fields of the frame, row by row.
pub(super) struct Question {
    pub(super) member: usize,
    /// Its own low-resolution thickness, m.
    pub(super) low: Vec<f32>,
    /// What it begins with.
    pub(super) noise: Vec<f32>,
}

/// The frame that a network needs around the ice of a context, and the ice in it.
pub(super) fn ice(checkpoint: &Checkpoint, context: &Array3<f32>) -> (Frame, Array2<bool>) {
    let mask = context.index_axis(Axis(0), 3).mapv(|inside| inside > 0.5);
    let network = checkpoint.network.configuration();
    let frame = Frame::around(&mask, network.reach_cells(), network.side_multiple() as usize);
    let mask = frame.cut(mask.view());
    (frame, mask)
}

/// What all members of a day share, apart from what lies on a device: threads look at it together.
pub(super) struct Ground<'a> {
    pub(super) info: &'a CheckpointInfo,
    pub(super) frame: Frame,
    /// Low-resolution concentration, fraction.
    pub(super) concentration: Array2<f32>,
    /// Low-resolution effective thickness, m.
    pub(super) low: Array2<f32>,
    pub(super) mask: Array2<bool>,
    uncertainty_m: Option<Array2<f32>>,
    /// None where the spread is that of the network.
    pub(super) calibration: Option<&'a Calibration>,
}

impl<'a> Ground<'a> {
    /// `context` is that of the whole grid, `[4, row, column]`, before standardising.
    pub(super) fn new(checkpoint: &'a Checkpoint, context: &Array3<f32>) -> Self {
        let (frame, mask) = ice(checkpoint, context);
        Self {
            info: &checkpoint.info,
            concentration: frame.cut(context.index_axis(Axis(0), prepare::CONCENTRATION_CHANNEL)),
            low: frame.cut(context.index_axis(Axis(0), THICKNESS_CHANNEL)),
            mask,
            frame,
            uncertainty_m: None,
            calibration: None,
        }
    }

    /// Ready for members, whose spread may be calibrated, and each of which may start from a thickness of its own.
    pub(super) fn for_members(mut self, plan: Plan<'_>) -> Self {
        self.uncertainty_m =
            plan.input_uncertainty_m.map(|uncertainty_m| self.frame.cut(uncertainty_m.view()));
        self.calibration = self.info.calibration.as_ref().filter(|_| plan.calibrated);
        self
    }

    pub(super) fn question(&self, plan: Plan<'_>, member: usize) -> Question {
        let (rows, columns) = self.frame.whole();
        let mut noise = self.frame.cut_flat(&member_noise(plan.seed, plan.day, member, rows * columns));
        let temperature = self.calibration.map_or(1.0, |fitted| fitted.noise_temperature) as f32;
        for value in &mut noise {
            *value *= temperature;
        }
        let low = match &self.uncertainty_m {
            None => self.low.iter().copied().collect(),
            Some(uncertainty_m) => {
                let field = input_field(plan.seed, plan.day, member, self.frame.whole());
                let own = perturbed(&self.low, uncertainty_m, &self.mask, &self.frame.cut(field.view()));
                own.iter().copied().collect()
            }
        };
        Question { member, low, noise }
    }
}
