//! From noise to a field.

use tch::Tensor;

use super::{ModelError, Schedule};

/// The channel of the context that is 1 inside the mask.
const MASK_CHANNEL: i64 = 3;

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

/// The sampler of D3.1 section 4: deterministic, `steps` calls, the noise is drawn once, by the caller.
/// Gives the clean field in the units of the network, `[n, 1, rows, columns]`. `after_call` is told of every call.
///
/// # Errors
/// Those of the predictor.
pub fn ddim(
    predictor: &dyn NoisePredictor,
    schedule: Schedule,
    noise: &Tensor,
    context: &Tensor,
    steps: usize,
    mut after_call: impl FnMut(),
) -> Result<Tensor, ModelError> {
    let mut noisy = noise.shallow_clone();
    let mut clean = noise.zeros_like();
    for step in 0..steps {
        let rates = schedule.rates(1.0 - step as f64 / steps as f64);
        let next = schedule.rates(1.0 - (step + 1) as f64 / steps as f64);
        let estimate = predictor.predict(&noisy, context, rates.noise * rates.noise)?;
        clean = (&noisy - &estimate * rates.noise) / rates.signal;
        noisy = &clean * next.signal + &estimate * next.noise;
        after_call();
    }
    Ok(clean)
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;

    /// The exact prediction for Gaussian data of one variance in every cell.
    struct Exact {
        variance: f64,
    }

    impl NoisePredictor for Exact {
        fn predict(
            &self,
            noisy: &Tensor,
            _context: &Tensor,
            noise_variance: f64,
        ) -> Result<Tensor, ModelError> {
            let signal_variance = 1.0 - noise_variance;
            Ok(noisy * (noise_variance.sqrt() / (signal_variance * self.variance + noise_variance)))
        }
    }

    fn power_ratio(variance: f64, schedule: Schedule, steps: usize) -> f64 {
        let noise = Tensor::ones([1, 1, 1, 1], (Kind::Double, Device::Cpu));
        let clean = ddim(&Exact { variance }, schedule, &noise, &noise, steps, || {}).unwrap();
        clean.double_value(&[0, 0, 0, 0]).powi(2) / variance
    }

    #[test]
    fn an_exact_prediction_gives_the_closed_form_share_of_power() {
        let table = [
            (0.001, 0.008),
            (0.01, 0.070),
            (0.1, 0.424),
            (0.3, 0.676),
            (1.0, 0.851),
            (3.0, 0.910),
            (10.0, 0.911),
        ];
        for (variance, expected) in table {
            let ratio = power_ratio(variance, Schedule::default(), 40);
            assert!((ratio - expected).abs() < 1e-3, "variance {variance}: {ratio} instead of {expected}");
        }
    }

    #[test]
    fn a_schedule_that_goes_on_to_little_noise_keeps_the_fine_scales() {
        let schedule = Schedule { max_signal_rate: 0.9998, ..Schedule::default() };
        for (variance, expected) in [(0.001, 0.217), (0.01, 0.663), (0.1, 0.891), (1.0, 0.941)] {
            let ratio = power_ratio(variance, schedule, 40);
            assert!((ratio - expected).abs() < 1e-3, "variance {variance}: {ratio} instead of {expected}");
        }
    }

    /// Says that there is no noise at all, anywhere.
    struct Blind;

    impl NoisePredictor for Blind {
        fn predict(
            &self,
            noisy: &Tensor,
            _context: &Tensor,
            _noise_variance: f64,
        ) -> Result<Tensor, ModelError> {
            Ok(noisy.zeros_like())
        }
    }

    #[test]
    fn outside_the_mask_the_field_stays_what_training_showed() {
        let noise = Tensor::from_slice(&[1.0_f32, -2.0]).reshape([1, 1, 1, 2]);
        let context = Tensor::from_slice(&[0.0_f32, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0]).reshape([1, 4, 1, 2]);
        let clean = ddim(&WithinMask(&Blind), Schedule::default(), &noise, &context, 5, || {}).unwrap();
        assert!(clean.double_value(&[0, 0, 0, 0]).abs() > 1.0, "inside, the answer of the predictor counts");
        assert!(clean.double_value(&[0, 0, 0, 1]).abs() < 1e-4, "outside, the clean field is 0");
    }

    #[test]
    fn every_call_is_told_of() {
        let noise = Tensor::ones([1, 1, 1, 1], (Kind::Double, Device::Cpu));
        let mut calls = 0;
        let _ =
            ddim(&Exact { variance: 1.0 }, Schedule::default(), &noise, &noise, 7, || calls += 1).unwrap();
        assert_eq!(calls, 7);
    }
}
