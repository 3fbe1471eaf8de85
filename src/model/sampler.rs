//! From noise to a field.

use tch::Tensor;

use super::{ModelError, Schedule};

/// Something that estimates the noise in a noisy field.
pub trait NoisePredictor {
    /// The noise in `noisy` `[n, 1, rows, columns]`, given `context` `[n, 4, rows, columns]` and the variance of the noise.
    ///
    /// # Errors
    /// [`ModelError::Torch`] when the prediction fails.
    fn predict(&self, noisy: &Tensor, context: &Tensor, noise_variance: f64) -> Result<Tensor, ModelError>;
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

    #[test]
    fn every_call_is_told_of() {
        let noise = Tensor::ones([1, 1, 1, 1], (Kind::Double, Device::Cpu));
        let mut calls = 0;
        let _ =
            ddim(&Exact { variance: 1.0 }, Schedule::default(), &noise, &noise, 7, || calls += 1).unwrap();
        assert_eq!(calls, 7);
    }
}
