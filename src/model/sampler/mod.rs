//! From noise to a field.

mod solvers;
mod time_grid;

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::config::{SamplerChoice, SamplerKind, TimeGrid};

use super::{ModelError, Rates, Schedule};

/// The channel of the context that is 1 inside the mask.
const MASK_CHANNEL: i64 = 3;

/// Network calls of D3.1's sampler.
const DDIM_STEPS: usize = 40;
/// Network calls of DPM-Solver++ 2M: more change little (see the closed form in the tests).
const DPM_SOLVER_STEPS: usize = 10;
/// The noise rate that DPM-Solver++ goes down to where the network knows it: below it nothing is left to gain.
const DPM_SOLVER_NOISE_RATE: f64 = 0.02;
/// Rates in files have few digits; a noise rate is not below another one by less than this.
const SAME_NOISE_RATE: f64 = 1e-4;

/// Something that estimates the noise in a noisy field.
pub trait NoisePredictor {
    /// The noise in `noisy` `[n, 1, rows, columns]`, given `context` `[n, 4, rows, columns]` and the variance of the noise.
    ///
    /// # Errors
    /// [`ModelError::Torch`] when the prediction fails.
    fn predict(&self, noisy: &Tensor, context: &Tensor, noise_variance: f64) -> Result<Tensor, ModelError>;
}

/// A predictor that answers outside the mask (context channel 3) as training was: nothing but noise is there.
///
/// The loss counts cells inside the mask only, so that the network's own answer outside it means nothing. Left alone, the
/// field there runs away over the steps, and the convolutions carry it across every coast and ice edge.
pub struct WithinMask<'a>(pub &'a dyn NoisePredictor);

impl NoisePredictor for WithinMask<'_> {
    fn predict(&self, noisy: &Tensor, context: &Tensor, noise_variance: f64) -> Result<Tensor, ModelError> {
        let estimate = self.0.predict(noisy, context, noise_variance)?;
        let mask = context.narrow(1, MASK_CHANNEL, 1);
        let all_noise = noisy / noise_variance.sqrt();
        Ok(&estimate * &mask + all_noise * (1.0 - mask))
    }
}

/// What is known of the clean field beforehand. A sampler goes on from the clean field that was put right.
pub trait Constraint {
    /// The clean field `[n, 1, rows, columns]` put right, or `None` where nothing is asked of it at this noise rate.
    fn hold(&self, clean: &Tensor, noise_rate: f64) -> Option<Tensor>;
}

/// Nothing is known beforehand.
#[derive(Debug, Clone, Copy)]
pub struct Unconstrained;

impl Constraint for Unconstrained {
    fn hold(&self, _clean: &Tensor, _noise_rate: f64) -> Option<Tensor> {
        None
    }
}

/// The clean field has a least value in every cell.
///
/// With much noise the estimate of the clean field is a mean over many fields, which breaks no bound that single fields keep; only
/// below a noise rate is it a field of its own.
#[derive(Debug)]
pub struct AtLeast {
    /// The least values, `[n, 1, rows, columns]` or what expands to it.
    pub least: Tensor,
    /// The noise rate from which on they hold.
    pub below_noise_rate: f64,
}

impl Constraint for AtLeast {
    fn hold(&self, clean: &Tensor, noise_rate: f64) -> Option<Tensor> {
        (noise_rate < self.below_noise_rate).then(|| clean.maximum(&self.least))
    }
}

/// A sampler with all that its result depends on, beside noise and network.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sampler {
    /// Which one.
    pub kind: SamplerKind,
    /// Network calls per member.
    pub steps: usize,
    /// How the calls are spread between much and little noise.
    pub time_grid: TimeGrid,
    /// The noise rate that it goes down to. The last call of DPM-Solver++ is there; that of `ddim` is one step before.
    pub lowest_noise_rate: f64,
}

impl Sampler {
    /// The sampler that `wanted` names, with what it leaves open as `usual` says (the checkpoint), if that speaks of the
    /// same one, else as is usual for it. It goes down to what the network was trained for, DPM-Solver++ to 0.02 at most.
    ///
    /// # Errors
    /// [`ModelError::Sampler`] for a number of steps or a noise rate that cannot be, or a noise rate below those of `schedule`.
    pub fn resolve(
        wanted: SamplerChoice,
        usual: SamplerChoice,
        schedule: Schedule,
    ) -> Result<Self, ModelError> {
        let usual_kind = usual.kind.unwrap_or(SamplerKind::Ddim);
        let kind = wanted.kind.unwrap_or(usual_kind);
        let usual = if kind == usual_kind { usual } else { SamplerChoice::default() };
        let trained = schedule.lowest_noise_rate();
        let (steps, time_grid, lowest) = match kind {
            SamplerKind::Ddim => (DDIM_STEPS, TimeGrid::Angle, trained),
            SamplerKind::DpmSolverPlusPlus => {
                (DPM_SOLVER_STEPS, TimeGrid::LogSnr, trained.max(DPM_SOLVER_NOISE_RATE))
            }
        };
        let sampler = Self {
            kind,
            steps: wanted.steps.or(usual.steps).unwrap_or(steps),
            time_grid: wanted.time_grid.or(usual.time_grid).unwrap_or(time_grid),
            lowest_noise_rate: wanted.lowest_noise_rate.or(usual.lowest_noise_rate).unwrap_or(lowest),
        };
        sampler.check(schedule).map_err(|reason| ModelError::Sampler { name: kind.name(), reason })?;
        Ok(sampler)
    }

    /// What is usual for a network that was trained with `schedule`: DPM-Solver++ where it knows the noise rate that this goes down
    /// to, else D3.1's.
    #[must_use]
    pub fn usual(schedule: Schedule) -> SamplerChoice {
        let down = schedule.lowest_noise_rate() <= DPM_SOLVER_NOISE_RATE + SAME_NOISE_RATE;
        let kind = if down { SamplerKind::DpmSolverPlusPlus } else { SamplerKind::Ddim };
        SamplerChoice { kind: Some(kind), ..SamplerChoice::default() }
    }

    /// The choice that leaves nothing open.
    #[must_use]
    pub fn choice(&self) -> SamplerChoice {
        SamplerChoice {
            kind: Some(self.kind),
            steps: Some(self.steps),
            time_grid: Some(self.time_grid),
            lowest_noise_rate: Some(self.lowest_noise_rate),
        }
    }

    fn check(&self, schedule: Schedule) -> Result<(), String> {
        let (lowest, trained) = (self.lowest_noise_rate, schedule.lowest_noise_rate());
        if !(1..=SamplerChoice::MOST_STEPS).contains(&self.steps) {
            return Err(format!("{} network calls; give 1 to {}", self.steps, SamplerChoice::MOST_STEPS));
        }
        if lowest.is_nan() || lowest < trained - SAME_NOISE_RATE {
            return Err(format!(
                "it would go down to a noise rate of {lowest}, but the network was trained for {trained:.4} and more (signal rates up to {}); give a noise rate that it knows, or a checkpoint that was trained further down",
                schedule.max_signal_rate
            ));
        }
        let highest = schedule.rates(1.0).noise;
        if lowest >= highest {
            return Err(format!("a lowest noise rate of {lowest}; give one below {highest:.4}"));
        }
        Ok(())
    }

    /// The clean field in the units of the network, `[n, 1, rows, columns]`, from `noise` of that shape and the context
    /// `[n, 4, rows, columns]`. Deterministic; `after_call` is told of every network call.
    ///
    /// # Errors
    /// Those of the predictor.
    pub fn sample(
        &self,
        predictor: &dyn NoisePredictor,
        schedule: Schedule,
        constraint: &dyn Constraint,
        noise: &Tensor,
        context: &Tensor,
        after_call: impl FnMut(),
    ) -> Result<Tensor, ModelError> {
        let (first, last) = (schedule.rates(1.0), Rates::of_noise(self.lowest_noise_rate));
        let points = |steps| time_grid::points(self.time_grid, first, last, steps);
        let scene = solvers::Scene { predictor, constraint, context };
        match self.kind {
            SamplerKind::Ddim => solvers::ddim(scene, &points(self.steps), noise, after_call),
            SamplerKind::DpmSolverPlusPlus => {
                solvers::dpm_solver(scene, &points(self.steps - 1), noise, after_call)
            }
        }
    }
}

#[cfg(test)]
mod tests;
