//! Where between much and little noise a sampler calls the network.

use crate::config::TimeGrid;
use crate::model::Rates;

/// The exponent of EDM's grid: larger values take smaller steps where there is little noise.
const EDM_RHO: f64 = 7.0;

impl Rates {
    /// The rates whose noise rate is `noise`.
    pub(super) fn of_noise(noise: f64) -> Self {
        Self { signal: (1.0 - noise * noise).sqrt(), noise }
    }

    fn of_angle(angle: f64) -> Self {
        Self { signal: angle.cos(), noise: angle.sin() }
    }

    /// The rates whose quotient noise / signal is `quotient`.
    fn of_quotient(quotient: f64) -> Self {
        let signal = 1.0 / quotient.hypot(1.0);
        Self { signal, noise: quotient * signal }
    }

    /// ln(signal / noise).
    pub(super) fn log_snr(self) -> f64 {
        (self.signal / self.noise).ln()
    }
}

/// The points from `first` (much noise) to `last` (little noise): `steps` steps apart, so `steps` + 1 of them.
pub(super) fn points(grid: TimeGrid, first: Rates, last: Rates, steps: usize) -> Vec<Rates> {
    let between = |from: f64, to: f64, share: f64| from + share * (to - from);
    let at = |share: f64| match grid {
        TimeGrid::Angle => Rates::of_angle(between(first.signal.acos(), last.signal.acos(), share)),
        TimeGrid::LogSnr => Rates::of_quotient((-between(first.log_snr(), last.log_snr(), share)).exp()),
        TimeGrid::Edm => {
            let root = |rates: Rates| (rates.noise / rates.signal).powf(1.0 / EDM_RHO);
            Rates::of_quotient(between(root(first), root(last), share).powf(EDM_RHO))
        }
    };
    (0..=steps).map(|step| at(step as f64 / steps.max(1) as f64)).collect()
}

#[cfg(test)]
mod tests {
    use approx::assert_abs_diff_eq;

    use super::*;

    #[test]
    fn every_grid_goes_from_the_first_rates_to_the_last_with_ever_less_noise() {
        let (first, last) = (Rates::of_noise(0.9998), Rates::of_noise(0.02));
        for grid in [TimeGrid::Angle, TimeGrid::LogSnr, TimeGrid::Edm] {
            let points = points(grid, first, last, 9);
            assert_eq!(points.len(), 10);
            for (found, expected) in [(points[0], first), (points[9], last)] {
                assert_abs_diff_eq!(found.noise, expected.noise, epsilon = 1e-9);
                assert_abs_diff_eq!(found.signal, expected.signal, epsilon = 1e-9);
            }
            assert!(points.windows(2).all(|pair| pair[1].noise < pair[0].noise), "{grid:?}");
            assert!(points.iter().all(|rates| (rates.signal.hypot(rates.noise) - 1.0).abs() < 1e-12));
        }
    }

    #[test]
    fn grids_are_uniform_in_what_they_are_named_after() {
        let (first, last) = (Rates::of_noise(0.99), Rates::of_noise(0.1));
        let middle = |grid| points(grid, first, last, 2)[1];
        let mean = |of: fn(Rates) -> f64| 0.5 * (of(first) + of(last));
        assert_abs_diff_eq!(
            middle(TimeGrid::Angle).signal.acos(),
            mean(|rates| rates.signal.acos()),
            epsilon = 1e-9
        );
        assert_abs_diff_eq!(middle(TimeGrid::LogSnr).log_snr(), mean(Rates::log_snr), epsilon = 1e-9);
        let root: fn(Rates) -> f64 = |rates| (rates.noise / rates.signal).powf(1.0 / 7.0);
        assert_abs_diff_eq!(root(middle(TimeGrid::Edm)), mean(root), epsilon = 1e-9);
    }

    #[test]
    fn no_step_is_the_first_point() {
        let points = points(TimeGrid::LogSnr, Rates::of_noise(0.9), Rates::of_noise(0.1), 0);
        assert_eq!(points.len(), 1);
        assert_abs_diff_eq!(points[0].noise, 0.9, epsilon = 1e-12);
    }
}
