//! The solvers: each turns noise into a clean field by calls of the network at given points between much and little noise.

use tch::Tensor;

use super::{Constraint, NoisePredictor};
use crate::model::{ModelError, Rates};

/// What stays the same over all calls.
#[derive(Clone, Copy)]
pub(super) struct Scene<'a> {
    pub(super) predictor: &'a dyn NoisePredictor,
    pub(super) constraint: &'a dyn Constraint,
    pub(super) context: &'a Tensor,
}

/// What is seen in a noisy field.
struct Estimate {
    clean: Tensor,
    noise: Tensor,
}

impl Scene<'_> {
    fn look(&self, noisy: &Tensor, rates: Rates) -> Result<Estimate, ModelError> {
        let noise = self.predictor.predict(noisy, self.context, rates.noise * rates.noise)?;
        let clean = (noisy - &noise * rates.noise) / rates.signal;
        Ok(match self.constraint.hold(&clean, rates.noise) {
            None => Estimate { clean, noise },
            // What is not clean is noise, also after the clean field was put right.
            Some(held) => Estimate { noise: (noisy - &held * rates.signal) / rates.noise, clean: held },
        })
    }
}

/// The sampler of D3.1 section 4: a call at every point but the last; gives the clean field of the last call.
pub(super) fn ddim(
    scene: Scene<'_>,
    points: &[Rates],
    noise: &Tensor,
    mut after_call: impl FnMut(),
) -> Result<Tensor, ModelError> {
    let mut noisy = noise.shallow_clone();
    let mut clean = noise.zeros_like();
    for pair in points.windows(2) {
        let estimate = scene.look(&noisy, pair[0])?;
        noisy = &estimate.clean * pair[1].signal + &estimate.noise * pair[1].noise;
        clean = estimate.clean;
        after_call();
    }
    Ok(clean)
}

/// DPM-Solver++ 2M (Lu et al. 2022, algorithm 2): a call at every point, the last one included, where it gives the clean
/// field that it sees. Between two points the clean field is taken to go on as it went from the point before; the first
/// step has none and is that of `ddim`.
pub(super) fn dpm_solver(
    scene: Scene<'_>,
    points: &[Rates],
    noise: &Tensor,
    mut after_call: impl FnMut(),
) -> Result<Tensor, ModelError> {
    let mut noisy = noise.shallow_clone();
    let mut clean = noise.zeros_like();
    let mut length_before = None;
    for (number, &here) in points.iter().enumerate() {
        let before = clean;
        clean = scene.look(&noisy, here)?.clean;
        after_call();
        let Some(&next) = points.get(number + 1) else { break };
        let length = next.log_snr() - here.log_snr();
        let ahead = match length_before {
            None => clean.shallow_clone(),
            Some(length_before) => &clean + (&clean - before) * (0.5 * length / length_before),
        };
        noisy = noisy * (next.noise / here.noise) - ahead * (next.signal * (-length).exp_m1());
        length_before = Some(length);
    }
    Ok(clean)
}
