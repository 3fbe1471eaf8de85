//! Drawing members.

use std::collections::BTreeMap;
use std::io;
use std::iter;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Mutex, PoisonError};
use std::thread;

use ndarray::{Array2, Array3, Zip};
use rayon::prelude::*;

use super::scene::{Ground, Question, Scene};
use super::{MemberStore, Statistics, Streaming};
use crate::config::Consistency;
use crate::model::{Checkpoint, ModelError, Sampler};
use crate::progress::{Bar, Processor};
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
    /// Members handled at once on a GPU. On a CPU the network is always called for one member: larger batches gain nothing
    /// there, and so a member is bit-equal whatever the batch.
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

/// [`draw`] by several devices that share the members: `helpers` are the same checkpoint on others.
///
/// What comes before the network and after it is done by threads of their own while it is at work: noise and inputs of the next members,
/// bounds, statistics and storing of those before.
///
/// # Errors
/// [`EnsembleError`]; the members kept so far stay in the store.
pub fn draw_together(
    checkpoint: &Checkpoint,
    helpers: Vec<Checkpoint>,
    context: &Array3<f32>,
    plan: Plan<'_>,
    store: &mut (dyn MemberStore + Send),
    bar: &Bar,
) -> Result<Statistics, EnsembleError> {
    let plan = Plan { batch: share(plan.batch, plan.members, 1 + helpers.len()), ..plan };
    let ground = Ground::new(checkpoint, context).for_members(plan);
    let name = &checkpoint.info.name;
    let (ask, asked) = mpsc::sync_channel(plan.batch);
    let (give, given) = mpsc::sync_channel(plan.batch);
    let queue = Queue(Mutex::new(Some(asked)));
    let (ground, queue) = (&ground, &queue);
    thread::scope(|scope| {
        scope.spawn(move || {
            for first in (0..plan.members).step_by(plan.batch) {
                let members = first..plan.members.min(first + plan.batch);
                let questions: Vec<_> =
                    members.into_par_iter().map(|member| (member, ground.question(plan, member))).collect();
                // Whoever does not want to hear any more has met an error, which is told elsewhere.
                if questions.into_iter().any(|question| ask.send(question).is_err()) {
                    break;
                }
            }
        });
        let keeping = scope.spawn(move || keep(ground, given, store, name, bar));
        let others: Vec<_> = helpers
            .into_iter()
            .map(|helper| {
                let give = give.clone();
                scope.spawn(move || draw_from((&helper, context), ground, queue, &give, plan, bar))
            })
            .collect();
        let own = draw_from((checkpoint, context), ground, queue, &give, plan, bar);
        drop(give);
        let others = others.into_iter().map(ended).collect::<Vec<_>>();
        // Who keeps the members tells first: the others end without an error when it does not listen any more.
        let streaming = ended(keeping)?;
        own.and(others.into_iter().collect::<Result<(), _>>())?;
        Ok(streaming.finish(&ground.mask).put_back(&ground.frame))
    })
}

/// How many of the members a device takes at once, so that none is idle while another one draws what both could.
fn share(batch: usize, members: usize, devices: usize) -> usize {
    batch.min(members.div_ceil(devices)).max(1)
}

/// What a thread came to.
fn ended<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// The members that are to be drawn, for several devices to take from.
struct Queue<Q>(Mutex<Option<Receiver<(usize, Q)>>>);

impl<Q> Queue<Q> {
    /// The next members, at most so many; none when there are no more.
    fn take(&self, most: usize) -> (Vec<usize>, Vec<Q>) {
        let receiver = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        receiver.iter().flat_map(Receiver::iter).take(most).unzip()
    }
}

/// Closes a queue when it goes: nobody gets anything from it any more, and whoever asks does not wait to be taken from.
struct Closing<'a, Q>(&'a Queue<Q>);

impl<Q> Drop for Closing<'_, Q> {
    fn drop(&mut self) {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// A field of the network with the number of the member and the thickness that it started from.
type Drawn = (usize, Vec<f32>, Array2<f32>);

/// Draws members until there are no more. On a CPU one at a time: larger batches gain nothing there.
fn draw_from(
    (checkpoint, context): (&Checkpoint, &Array3<f32>),
    ground: &Ground<'_>,
    queue: &Queue<Question>,
    give: &SyncSender<Drawn>,
    plan: Plan<'_>,
    bar: &Bar,
) -> Result<(), EnsembleError> {
    // However this ends, also by a panic of libtorch: a production that waits for ever is worse than one that died.
    let _closing = Closing(queue);
    let scene = Scene::new(checkpoint, context, &ground.frame).map_err(failed(checkpoint, 0))?;
    let mut at_once = if scene.is_on_gpu() { plan.batch } else { 1 };
    loop {
        let (members, questions) = queue.take(at_once);
        let Some(&member) = members.first() else { return Ok(()) };
        let draw = |questions: &[Question]| {
            scene.draw(plan, questions, || questions.iter().for_each(|_| bar.step()))
        };
        let fields = in_parts(&questions, &mut at_once, draw).map_err(failed(checkpoint, member))?;
        for ((member, field), question) in members.into_iter().zip(fields).zip(questions) {
            if give.send((member, field, question.low)).is_err() {
                return Ok(());
            }
        }
    }
}

/// What the model's error is, at a member, as one of the ensemble.
fn failed(checkpoint: &Checkpoint, member: usize) -> impl FnOnce(ModelError) -> EnsembleError {
    let on_gpu = checkpoint.placement().processor() == Processor::Gpu;
    move |source| EnsembleError::Model { member, on_gpu, source }
}

/// Draws some members together, in smaller parts where the memory does not suffice for `at_once`, which is less from then on. As each
/// has noise of its own, drawing one again changes nothing.
fn in_parts<Q, A>(
    questions: &[Q],
    at_once: &mut usize,
    mut draw: impl FnMut(&[Q]) -> Result<Vec<A>, ModelError>,
) -> Result<Vec<A>, ModelError> {
    let mut answers = Vec::new();
    while answers.len() < questions.len() {
        let left = &questions[answers.len()..];
        match draw(&left[..left.len().min(*at_once)]) {
            Ok(drawn) => answers.extend(drawn),
            Err(error) if error.is_out_of_memory() && *at_once > 1 => {
                *at_once /= 2;
                tracing::warn!(at_once, "{error}; fewer members are drawn at once");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(answers)
}

/// Turns fields into members, in the order of their numbers, keeps them, and sums them up.
fn keep(
    ground: &Ground<'_>,
    given: Receiver<Drawn>,
    store: &mut (dyn MemberStore + Send),
    checkpoint: &str,
    bar: &Bar,
) -> Result<Streaming, EnsembleError> {
    let mut streaming = Streaming::new(ground.frame.shape(), ground.has_differing_inputs());
    let mut early = BTreeMap::new();
    let mut next = 0;
    while let Ok(first) = given.recv() {
        let arrived: Vec<Drawn> = iter::once(first).chain(given.try_iter()).collect();
        let members =
            arrived.into_par_iter().map(|(number, field, low)| (number, ground.member(&field, low)));
        early.extend(members.collect::<Vec<_>>());
        while let Some(member) = early.remove(&next) {
            let broken = Zip::from(&member.field)
                .and(&ground.mask)
                .fold(0, |n, v, &inside| n + usize::from(inside && !v.is_finite()));
            if broken > 0 {
                let checkpoint = checkpoint.to_owned();
                return Err(EnsembleError::NotANumber { member: next, cells: broken, checkpoint });
            }
            store
                .append(ground.frame.put_back(&member.field, f32::NAN).view())
                .map_err(|source| EnsembleError::Store { member: next, source })?;
            streaming.add(&member);
            bar.say(format!("member {}", next + 1));
            next += 1;
        }
    }
    Ok(streaming)
}

/// What a network that was trained for the mean says of `context`: effective thickness, m, at least 0, NaN outside the mask.
///
/// # Errors
/// [`EnsembleError::Model`] when the network fails or was trained for noise.
pub fn regress(checkpoint: &Checkpoint, context: &Array3<f32>) -> Result<Array2<f32>, EnsembleError> {
    let ground = Ground::new(checkpoint, context);
    let scene = Scene::new(checkpoint, context, &ground.frame);
    let mean = scene.and_then(|scene| scene.mean()).map_err(failed(checkpoint, 0))?;
    Ok(ground.frame.put_back(&ground.member(&mean, ground.low()).field, f32::NAN))
}

#[cfg(test)]
mod tests {
    use std::panic::{self, AssertUnwindSafe};

    use super::*;

    #[test]
    fn nobody_waits_for_a_device_that_was_lost() {
        let (ask, asked) = mpsc::sync_channel(1);
        let queue = Queue(Mutex::new(Some(asked)));
        ask.send((0, "question")).unwrap();
        let lost = panic::catch_unwind(AssertUnwindSafe(|| {
            let _closing = Closing(&queue);
            assert_eq!(queue.take(1), (vec![0], vec!["question"]));
            panic!("CUDA error: device lost");
        }));
        lost.unwrap_err();
        // With room for one only, the second would wait.
        assert!((1..=2).all(|member| ask.send((member, "question")).is_err()));
        assert_eq!(queue.take(1), (vec![], vec![]));
    }

    #[test]
    fn every_device_has_work() {
        for (batch, members, devices, expected) in [
            (16, 30, 1, 16),
            (16, 30, 2, 15),
            (16, 30, 4, 8),
            (16, 30, 8, 4),
            (1, 30, 8, 1),
            (16, 3, 8, 1),
            (4, 0, 2, 1),
        ] {
            assert_eq!(share(batch, members, devices), expected, "{batch} {members} {devices}");
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
            assert_eq!(in_parts(&questions, &mut at_once, draw).unwrap(), questions);
            assert!(at_once <= FITS || members <= FITS, "{at_once}");
        }
    }

    #[test]
    fn one_member_is_the_least() {
        let mut at_once = 4;
        let error = in_parts(&[0, 1, 2, 3], &mut at_once, |_| Err::<Vec<()>, _>(out_of_memory()));
        assert!(error.unwrap_err().is_out_of_memory());
        assert_eq!(at_once, 1);
    }
}
