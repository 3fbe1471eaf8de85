//! Drawing members.

use std::io;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;

use ndarray::{Array2, Array3};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use tch::Device;

use super::ground::{Ground, Question, ice};
use super::scene::{Drawn, Finisher, Scene};
use super::statistics::RunningSums;
use super::transfer::{Lane, array, arrays};
use super::{MemberStore, Statistics, Sums};
use crate::config::Consistency;
use crate::model::{Checkpoint, ModelError, Sampler};
use crate::progress::Bar;
use crate::time::ProductDay;

/// What to draw.
#[derive(Debug, Clone, Copy)]
pub struct Plan<'a> {
    /// Day of the product; part of the key of every member's noise.
    pub day: ProductDay,
    /// Number of members.
    pub members: usize,
    /// The sampler.
    pub sampler: Sampler,
    /// Seed of the noise.
    pub seed: u64,
    /// Members handled at once on a GPU, 0 for as many as fit, see [`Checkpoint::batch`].
    pub batch: usize,
    /// Whether the spread is that which was fitted, where the checkpoint has a calibration.
    pub calibrated: bool,
    /// In what members are moved to agree with what they started from; None leaves them as they came.
    pub consistency: Option<Consistency>,
    /// Standard deviation of the low-resolution effective thickness, m, `[row, column]`; each member then starts from a
    /// thickness of its own. None takes the thickness as it is.
    pub input_uncertainty_m: Option<&'a Array2<f32>>,
}

impl Plan<'_> {
    /// Members as they are published, but for the uncertainty of the input, which is not known here; one at a time.
    #[must_use]
    pub fn new(day: ProductDay, members: usize, sampler: Sampler, seed: u64) -> Self {
        Self {
            day,
            members,
            sampler,
            seed,
            batch: 1,
            calibrated: true,
            consistency: Some(Consistency::default()),
            input_uncertainty_m: None,
        }
    }
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
    /// Whoever draws beside this process failed.
    #[error("the process that draws on {device} failed: {reason}")]
    Elsewhere {
        /// Its device.
        device: String,
        /// Whether it was a GPU that failed.
        on_gpu: bool,
        /// What happened, and what to do.
        reason: String,
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

/// Which of the members somebody draws: every `step`-th one from `first` on, so that those next in order are drawn at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    first: usize,
    step: usize,
}

impl Share {
    /// How many there are of an ensemble of so many.
    #[must_use]
    pub fn count(self, all: usize) -> usize {
        (self.first..all).step_by(self.step).len()
    }

    fn members(self, all: usize) -> Vec<usize> {
        (self.first..all).step_by(self.step).collect()
    }
}

/// What a share of the members is drawn from.
#[derive(Debug, Clone, Copy)]
pub struct Work<'a> {
    /// `[4, row, column]`, before standardising, see [`crate::prepare::context`].
    pub context: &'a Array3<f32>,
    /// The whole ensemble.
    pub plan: Plan<'a>,
    /// The members of it.
    pub share: Share,
}

/// Who is told of what is drawn, while it is drawn.
pub trait Listener: Sync {
    /// The network was called for a member.
    fn called(&self);

    /// The next member of the share is there: effective thickness, m, at least 0, `[row, column]`, NaN outside the mask. False where no
    /// more are wanted.
    fn drawn(&self, field: Array2<f32>) -> bool;
}

/// Whoever draws a share of the members beside this process, on another device.
pub trait Drawer: Send {
    /// Draws the share; None where no more of it was wanted.
    ///
    /// # Errors
    /// [`EnsembleError`].
    fn draw(self: Box<Self>, work: Work<'_>, listener: &dyn Listener) -> Result<Option<Sums>, EnsembleError>;
}

impl EnsembleError {
    /// Whether a GPU failed, so that the CPU may do.
    #[must_use]
    pub fn is_of_gpu(&self) -> bool {
        matches!(self, Self::Model { on_gpu: true, .. } | Self::Elsewhere { on_gpu: true, .. })
    }
}

/// Draws the members of `plan` from `context` (`[4, row, column]`, before standardising, see [`crate::prepare::context`]) and hands each to
/// `store`: effective thickness, m, at least 0, NaN outside the mask. Steps `bar` once for every network call and member.
///
/// # Errors
/// [`EnsembleError`]; the members kept so far stay in the store.
pub fn draw(
    checkpoint: &Checkpoint,
    context: &Array3<f32>,
    plan: Plan<'_>,
    store: &mut (dyn MemberStore + Send),
    bar: &Bar,
) -> Result<Statistics, EnsembleError> {
    draw_together(checkpoint, Vec::new(), context, plan, store, bar)
}

/// [`draw`] by this process and others that share the members. Whoever draws a member, it is the same.
///
/// # Errors
/// [`EnsembleError`]; the members kept so far stay in the store. Where one fails the others end at their next member.
pub fn draw_together(
    checkpoint: &Checkpoint,
    others: Vec<Box<dyn Drawer>>,
    context: &Array3<f32>,
    plan: Plan<'_>,
    store: &mut (dyn MemberStore + Send),
    bar: &Bar,
) -> Result<Statistics, EnsembleError> {
    let drawers = 1 + others.len();
    let work = |first| Work { context, plan, share: Share { first, step: drawers } };
    let (frame, mask) = ice(checkpoint, context);
    thread::scope(|scope| {
        let mut given = Vec::new();
        let mut teller = || {
            let (give, taken) = mpsc::sync_channel(1);
            given.push(taken);
            Teller { give, bar }
        };
        let own = teller();
        let others: Vec<_> = (1..)
            .zip(others)
            .map(|(first, other)| {
                let teller = teller();
                scope.spawn(move || other.draw(work(first), &teller))
            })
            .collect();
        let keeping = scope.spawn(move || keep(plan.members, given, store, bar));
        let own = {
            // Gone when it has nothing more to tell.
            let teller = own;
            draw_share(checkpoint, work(0), &teller)
        };
        let others: Vec<_> = others.into_iter().map(ended).collect();
        // Who keeps the members tells first: the others end without an error when it does not listen any more.
        ended(keeping)?;
        let (own, others) = (own?, others.into_iter().collect::<Result<Vec<_>, _>>()?);
        // Nobody was told to stop where nobody failed.
        let sums = others.iter().flatten().fold(own, Sums::with);
        Ok(sums.finish(&mask).put_back(&frame))
    })
}

/// What a thread came to.
fn ended<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Tells whoever keeps the members of those of one share. Its end, however it comes about, also by a panic of libtorch, is heard there.
struct Teller<'a> {
    give: SyncSender<Array2<f32>>,
    bar: &'a Bar,
}

impl Listener for Teller<'_> {
    fn called(&self) {
        self.bar.step();
    }

    fn drawn(&self, field: Array2<f32>) -> bool {
        self.give.send(field).is_ok()
    }
}

/// Keeps members in the order of their numbers; the shares take turns in it.
fn keep(
    members: usize,
    given: Vec<Receiver<Array2<f32>>>,
    store: &mut (dyn MemberStore + Send),
    bar: &Bar,
) -> Result<(), EnsembleError> {
    for (member, share) in (0..members).zip(given.iter().cycle()) {
        // Whoever should have drawn it has failed and says why; nobody draws on for what cannot be an ensemble any more.
        let Ok(field) = share.recv() else { break };
        store.append(field.view()).map_err(|source| EnsembleError::Store { member, source })?;
        bar.say(format!("member {}", member + 1));
    }
    Ok(())
}

/// Draws a share of the members on the device of `checkpoint`.
///
/// What comes before the network and after it is done by threads of their own while it is at work: noise and inputs of the next members;
/// bounds, statistics and the way to the host of those before.
///
/// # Errors
/// [`EnsembleError`].
pub fn draw_share(
    checkpoint: &Checkpoint,
    work: Work<'_>,
    listener: &dyn Listener,
) -> Result<Sums, EnsembleError> {
    let Work { context, plan, share } = work;
    let ground = Ground::new(checkpoint, context).for_members(plan);
    let scene = Scene::new(checkpoint, &ground, context);
    let scene = scene.map_err(|source| failed(checkpoint.network.device(), share.first, source))?;
    let (lane, members) = (scene.lane(), share.members(plan.members));
    let at_once = checkpoint.batch(plan.batch, lane.shape).min(members.len()).max(1);
    // The next questions are made while these are drawn, and no more.
    let (ask, asked) = mpsc::sync_channel(0);
    let (give, given) = mpsc::sync_channel(1);
    let ground = &ground;
    thread::scope(|scope| {
        scope.spawn(move || {
            for some in members.chunks(at_once) {
                let questions: Vec<_> =
                    some.par_iter().map(|&member| ground.question(plan, member)).collect();
                // Whoever does not want to hear any more has met an error, which is told elsewhere.
                if questions.into_iter().any(|question| ask.send(question).is_err()) {
                    break;
                }
            }
        });
        let threads = tch::get_num_threads();
        let finishing = scope.spawn(move || {
            // With one thread it asks for none of the network's, and gives the same to the bit however many these are. What is set is
            // this thread's number, and that of threads which begin later.
            tch::set_num_threads(1);
            let sums = finish(ground, plan, lane, given, listener);
            tch::set_num_threads(threads);
            sums
        });
        let drawing = draw_asked(&scene, plan, at_once, asked, give, listener);
        let sums = ended(finishing);
        drawing?;
        sums
    })
}

/// Draws what is asked until there is no more, or nobody takes it.
fn draw_asked(
    scene: &Scene<'_>,
    plan: Plan<'_>,
    mut at_once: usize,
    asked: Receiver<Question>,
    give: SyncSender<Drawn>,
    listener: &dyn Listener,
) -> Result<(), EnsembleError> {
    loop {
        let questions: Vec<_> = asked.iter().take(at_once).collect();
        let Some(first) = questions.first().map(|question| question.member) else { return Ok(()) };
        let draw = |questions: &[Question]| {
            scene.draw(plan, questions, || questions.iter().for_each(|_| listener.called()))
        };
        let parts = in_parts(&questions, &mut at_once, draw);
        for drawn in parts.map_err(|source| failed(scene.lane().device, first, source))? {
            if give.send(drawn).is_err() {
                return Ok(());
            }
        }
    }
}

/// Draws some members together, in smaller parts where the memory does not suffice for `at_once`, which is less from then on. As each
/// has noise of its own, drawing one again changes nothing.
fn in_parts<Q, A>(
    questions: &[Q],
    at_once: &mut usize,
    mut draw: impl FnMut(&[Q]) -> Result<A, ModelError>,
) -> Result<Vec<A>, ModelError> {
    let mut answers = Vec::new();
    let mut left = questions;
    while !left.is_empty() {
        let (part, rest) = left.split_at(left.len().min(*at_once));
        match draw(part) {
            Ok(drawn) => {
                answers.push(drawn);
                left = rest;
            }
            Err(error) if error.is_out_of_memory() && *at_once > 1 => {
                *at_once /= 2;
                tracing::warn!(at_once, "{error}; fewer members are drawn at once");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(answers)
}

/// Turns what was drawn into members, sums them up, brings them to the host and hands them on.
fn finish(
    ground: &Ground<'_>,
    plan: Plan<'_>,
    lane: Lane,
    given: Receiver<Drawn>,
    listener: &dyn Listener,
) -> Result<Sums, EnsembleError> {
    let finisher = Finisher::new(ground, plan.consistency, lane.device);
    let mut sums = RunningSums::new(lane, plan.input_uncertainty_m.is_some());
    for drawn in given {
        let members = finisher.members(&drawn);
        sums.add(&members.fields, &drawn.low);
        let first = drawn.members.first().copied().unwrap_or_default();
        // The device counts the cells behind sending the fields: with the numbers these are there, too.
        let there = lane.to_host(&members.fields).and_then(|fields| Ok((fields, members.broken_cells()?)));
        let (fields, broken) = there.map_err(|source| failed(lane.device, first, source))?;
        for ((member, field), cells) in drawn.members.into_iter().zip(arrays(&fields)).zip(broken) {
            if cells > 0 {
                let checkpoint = ground.info.name.clone();
                return Err(EnsembleError::NotANumber { member, cells, checkpoint });
            }
            if !listener.drawn(ground.frame.put_back(&field, f32::NAN)) {
                return Ok(sums.ended());
            }
        }
    }
    Ok(sums.ended())
}

/// What the model's error is, at a member, as one of the ensemble.
pub(super) fn failed(device: Device, member: usize, source: ModelError) -> EnsembleError {
    EnsembleError::Model { member, on_gpu: device != Device::Cpu, source }
}

/// What a network that was trained for the mean says of `context`: effective thickness, m, at least 0, NaN outside the mask.
///
/// # Errors
/// [`EnsembleError::Model`] when the network fails or was trained for noise.
pub fn regress(checkpoint: &Checkpoint, context: &Array3<f32>) -> Result<Array2<f32>, EnsembleError> {
    let ground = Ground::new(checkpoint, context);
    let device = checkpoint.network.device();
    let drawn = Scene::new(checkpoint, &ground, context).and_then(|scene| scene.mean(&ground.low));
    let drawn = drawn.map_err(|source| failed(device, 0, source))?;
    let mean = Finisher::new(&ground, None, device).members(&drawn);
    Ok(ground.frame.put_back(&array(&mean.fields), f32::NAN))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ensemble::InMemory;

    #[test]
    fn nobody_draws_on_when_one_is_lost() {
        let bar = Bar::hidden();
        let (lost, of_lost) = mpsc::sync_channel(1);
        let (give, of_other) = mpsc::sync_channel(1);
        let (lost, other) = (Teller { give: lost, bar: &bar }, Teller { give, bar: &bar });
        let mut store = InMemory::default();
        thread::scope(|scope| {
            let lost = scope.spawn(move || {
                assert!(lost.drawn(Array2::zeros((1, 1))));
                panic!("CUDA error: device lost");
            });
            scope.spawn(move || while other.drawn(Array2::ones((1, 1))) {});
            keep(30, vec![of_lost, of_other], &mut store, &bar).unwrap();
            lost.join().unwrap_err();
        });
        assert_eq!(store.into_members(), [ndarray::array![[0.0_f32]], ndarray::array![[1.0]]]);
    }

    #[test]
    fn every_member_is_in_one_share_and_shares_are_equal() {
        for (drawers, members) in [(1, 30), (2, 30), (4, 30), (8, 3), (3, 0)] {
            let shares: Vec<_> =
                (0..drawers).map(|first| Share { first, step: drawers }.members(members)).collect();
            let sizes = shares.iter().map(Vec::len);
            assert!(sizes.clone().max().unwrap() - sizes.min().unwrap() <= 1, "{shares:?}");
            let mut all = shares.concat();
            all.sort_unstable();
            assert_eq!(all, (0..members).collect::<Vec<_>>());
        }
    }

    fn out_of_memory() -> ModelError {
        ModelError::Torch {
            task: "running the network",
            source: tch::TchError::Torch("CUDA out of memory".into()),
        }
    }

    #[test]
    fn what_is_too_large_is_drawn_in_parts_and_no_member_twice() {
        const FITS: usize = 3;
        for (members, batch) in [(8, 8), (16, 16), (7, 64), (1, 4)] {
            let questions: Vec<usize> = (0..members).collect();
            let mut at_once = batch;
            let draw =
                |part: &[usize]| if part.len() > FITS { Err(out_of_memory()) } else { Ok(part.to_vec()) };
            assert_eq!(in_parts(&questions, &mut at_once, draw).unwrap().concat(), questions);
            assert!(at_once <= FITS || members <= FITS, "{at_once}");
        }
    }

    #[test]
    fn one_member_is_the_least() {
        let mut at_once = 4;
        let error = in_parts(&[0, 1, 2, 3], &mut at_once, |_| Err::<(), _>(out_of_memory()));
        assert!(error.unwrap_err().is_out_of_memory());
        assert_eq!(at_once, 1);
    }
}
