//! Drawing members.

use std::io;
use std::ops::Range;

use ndarray::{Array2, Array3, Zip};

use super::scene::Scene;
use super::{MemberStore, Statistics, Streaming};
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
    /// Members handled at once on a GPU. On a CPU the network is always called for one member: larger batches gain nothing
    /// there, and so a member is bit-equal whatever the batch.
    pub batch: usize,
    /// Whether the spread is that which was fitted, where the checkpoint has a calibration.
    pub calibrated: bool,
    /// Whether members are moved until their coarse mean is that of what they started from.
    pub consistent: bool,
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
            consistent: true,
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
    store: &mut dyn MemberStore,
    bar: &Bar,
) -> Result<Statistics, EnsembleError> {
    let scene = Scene::new(checkpoint, context).for_members(plan);
    let on_gpu = scene.is_on_gpu();
    let mut batches = Batches::new(plan.members, if on_gpu { plan.batch } else { 1 });
    let mut streaming = Streaming::new(scene.shape(), plan.input_uncertainty_m.is_some());
    while let Some(batch) = batches.current() {
        let members = match scene.draw(plan, batch.clone(), || batch.clone().for_each(|_| bar.step())) {
            Ok(members) => members,
            Err(error) if error.is_out_of_memory() && batches.halve() => {
                tracing::warn!(at_once = batches.at_once, "{error}; fewer members are drawn at once");
                continue;
            }
            Err(source) => return Err(EnsembleError::Model { member: batch.start, on_gpu, source }),
        };
        for (member, drawn) in batch.zip(members) {
            let broken = Zip::from(&drawn.field)
                .and(&scene.mask)
                .fold(0, |n, v, &inside| n + usize::from(inside && !v.is_finite()));
            if broken > 0 {
                let checkpoint = checkpoint.info.name.clone();
                return Err(EnsembleError::NotANumber { member, cells: broken, checkpoint });
            }
            store.append(drawn.field.view()).map_err(|source| EnsembleError::Store { member, source })?;
            streaming.add(&drawn);
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
    scene.mean().map_err(|source| EnsembleError::Model { member: 0, on_gpu: scene.is_on_gpu(), source })
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
