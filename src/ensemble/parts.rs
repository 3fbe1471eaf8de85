//! The way of members in its parts, so that each can be timed by itself.

use ndarray::Array3;
use rayon::prelude::*;

use super::draw::failed;
use super::ground::{Ground, Question};
use super::scene::{Drawn, Finisher, Scene, given};
use super::statistics::RunningSums;
use super::transfer::{Lane, arrays};
use super::{EnsembleError, Plan};
use crate::model::{Checkpoint, ModelError};

/// The members of a plan, drawn by nobody: where the network would have given fields there is noise. Each part can be done any number of
/// times, and has ended when it returns.
pub struct Parts<'a> {
    plan: Plan<'a>,
    ground: Ground<'a>,
    scene: Scene<'a>,
    finisher: Finisher<'a>,
    host_finisher: Finisher<'a>,
    questions: Vec<Question>,
    drawn: Drawn,
}

impl<'a> Parts<'a> {
    /// All members of the plan together, as one batch.
    ///
    /// # Errors
    /// [`EnsembleError::Model`] when the device fails.
    pub fn new(
        checkpoint: &'a Checkpoint,
        context: &Array3<f32>,
        plan: Plan<'a>,
    ) -> Result<Self, EnsembleError> {
        let ground = Ground::new(checkpoint, context).for_members(plan);
        let questions: Vec<_> = (0..plan.members).map(|member| ground.question(plan, member)).collect();
        let device = checkpoint.network.device();
        let scene = Scene::new(checkpoint, &ground, context);
        let made = scene.and_then(|scene| {
            let (values, low) = given(&questions, scene.lane())?;
            Ok((scene, Drawn { members: (0..plan.members).collect(), values, low }))
        });
        let (scene, drawn) = made.map_err(|source| failed(device, 0, source))?;
        let finisher = Finisher::new(&ground, plan.consistency, device);
        let host_finisher = Finisher::new(&ground, plan.consistency, tch::Device::Cpu);
        Ok(Self { plan, ground, scene, finisher, host_finisher, questions, drawn })
    }

    /// Noise and inputs.
    pub fn ask(&self) {
        let (ground, plan) = (&self.ground, self.plan);
        let _: Vec<_> =
            (0..plan.members).into_par_iter().map(|member| ground.question(plan, member)).collect();
    }

    /// Noise and inputs to the device, through memory that it fetches from by itself or not.
    ///
    /// # Errors
    /// [`EnsembleError::Model`].
    pub fn to_device(&self, is_pinned: bool) -> Result<(), EnsembleError> {
        let lane = self.lane(is_pinned);
        let there = given(&self.questions, lane);
        lane.wait();
        self.told(there.map(|_| ()))
    }

    /// Bounds, calibration, consistency and statistics, where the network is.
    pub fn finish(&self) {
        let lane = self.lane(true);
        finish(&self.finisher, &self.drawn, lane);
        lane.wait();
    }

    /// The same on the host, the way there included.
    ///
    /// # Errors
    /// [`EnsembleError::Model`].
    pub fn finish_on_host(&self) -> Result<(), EnsembleError> {
        let drawn = self.drawn.on_host();
        let drawn = self.told(drawn)?;
        finish(&self.host_finisher, &drawn, Lane::new(tch::Device::Cpu, self.scene.lane().shape));
        Ok(())
    }

    /// Members to the host, into memory that the device writes to by itself or not.
    ///
    /// # Errors
    /// [`EnsembleError::Model`].
    pub fn to_host(&self, is_pinned: bool) -> Result<(), EnsembleError> {
        let lane = self.lane(is_pinned);
        let fields = self.told(lane.to_host(&self.drawn.values))?;
        lane.wait();
        arrays(&fields).for_each(drop);
        Ok(())
    }

    fn lane(&self, is_pinned: bool) -> Lane {
        let lane = self.scene.lane();
        Lane { is_pinned: is_pinned && lane.is_pinned, ..lane }
    }

    fn told<T>(&self, result: Result<T, ModelError>) -> Result<T, EnsembleError> {
        result.map_err(|source| failed(self.scene.lane().device, 0, source))
    }
}

fn finish(finisher: &Finisher<'_>, drawn: &Drawn, lane: Lane) {
    // As many threads as it has beside the network.
    let threads = tch::get_num_threads();
    tch::set_num_threads(1);
    let members = finisher.members(drawn);
    RunningSums::new(lane, true).add(&members.fields, &drawn.low);
    tch::set_num_threads(threads);
}
