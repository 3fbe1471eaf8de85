//! How much signal and how much noise there is at a diffusion time.

use serde::{Deserialize, Serialize};

/// The schedule of D3.1 section 3: an angle that grows linearly with the diffusion time t in 0..1; signal rate = cos,
/// noise rate = sin.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// Signal rate at t = 0.
    pub max_signal_rate: f64,
    /// Signal rate at t = 1.
    pub min_signal_rate: f64,
}

/// Signal and noise rate at one diffusion time; their squares add up to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// Weight of the clean field.
    pub signal: f64,
    /// Weight of the noise.
    pub noise: f64,
}

impl Default for Schedule {
    /// The rates of D3.1 section 6.3: 0.95 to 0.02.
    fn default() -> Self {
        Self { max_signal_rate: 0.95, min_signal_rate: 0.02 }
    }
}

impl Schedule {
    /// The least noise that a network of this schedule was trained for: the noise rate at t = 0.
    #[must_use]
    pub fn lowest_noise_rate(&self) -> f64 {
        self.max_signal_rate.acos().sin()
    }

    /// The diffusion time at which the logarithm of signal over noise has gone this share, in 0..1, of its way down.
    #[must_use]
    pub fn time_of_log_snr(&self, share: f64) -> f64 {
        let (first, last) = (self.max_signal_rate.acos(), self.min_signal_rate.acos());
        let log_noise_to_signal = |angle: f64| angle.tan().ln();
        let (from, to) = (log_noise_to_signal(first), log_noise_to_signal(last));
        ((from + share * (to - from)).exp().atan() - first) / (last - first)
    }

    /// The rates at diffusion time `t` in 0..1.
    #[must_use]
    pub fn rates(&self, t: f64) -> Rates {
        let (first, last) = (self.max_signal_rate.acos(), self.min_signal_rate.acos());
        let angle = first + t * (last - first);
        Rates { signal: angle.cos(), noise: angle.sin() }
    }
}

#[cfg(test)]
mod tests {
    use approx::assert_abs_diff_eq;

    use super::*;

    #[test]
    fn the_ends_are_the_given_rates() {
        let schedule = Schedule::default();
        assert_abs_diff_eq!(schedule.rates(0.0).signal, 0.95, epsilon = 1e-12);
        assert_abs_diff_eq!(schedule.rates(1.0).signal, 0.02, epsilon = 1e-12);
        assert_abs_diff_eq!(schedule.rates(1.0 / 40.0).noise, 0.341, epsilon = 5e-4);
    }

    #[test]
    fn times_are_even_in_the_logarithm_of_signal_over_noise() {
        let schedule = Schedule { max_signal_rate: 0.9998, min_signal_rate: 0.005 };
        let log_snr = |share: f64| {
            let Rates { signal, noise } = schedule.rates(schedule.time_of_log_snr(share));
            (signal / noise).ln()
        };
        let (first, last) = (log_snr(0.0), log_snr(1.0));
        assert_abs_diff_eq!(schedule.time_of_log_snr(0.0), 0.0, epsilon = 1e-9);
        assert_abs_diff_eq!(schedule.time_of_log_snr(1.0), 1.0, epsilon = 1e-9);
        assert_abs_diff_eq!(log_snr(0.3), first + 0.3 * (last - first), epsilon = 1e-6);
    }
}
