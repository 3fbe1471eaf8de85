//! What was learnt, after training, about the spread of a network's samples.

use serde::{Deserialize, Serialize};

/// How samples are spread more or less than the network would by itself, so that they differ as much as the truth does from them.
/// Both parts change each sample for itself, whatever the others are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// Factor on the noise that a sample begins with; 1 leaves it.
    pub noise_temperature: f64,
    /// By how much more an anomaly counts for each typical anomaly that it is large: where ice is rough it gets rougher, where it is smooth
    /// smoother, beside the factors. 0 leaves the shape of their distribution.
    #[serde(default)]
    pub stretch: f32,
    /// Factors on the anomaly by thickness, thin to thick; empty leaves it.
    #[serde(default)]
    pub spread_factors: Vec<SpreadFactor>,
    /// The data that it was fitted on, in a sentence.
    pub fitted_on: String,
}

/// The factor on the anomaly at one thickness. Between two it goes linearly, beyond the ends it stays.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpreadFactor {
    /// Low-resolution effective thickness, m.
    pub thickness_m: f32,
    /// The factor.
    pub factor: f32,
}

/// No calibration that is worth its name changes a spread by more.
const LARGEST_FACTOR: f64 = 4.0;
/// Beyond it a distribution is of the calibration's making, not of the network's.
const LARGEST_STRETCH: f32 = 1.0;

impl Calibration {
    /// The anomaly, m, that one is which the network drew, at a low-resolution effective thickness, m, where a typical anomaly is
    /// `typical_m`.
    #[must_use]
    pub fn anomaly(&self, drawn_m: f32, thickness_m: f32, typical_m: f32) -> f32 {
        self.spread_factor(thickness_m) * drawn_m * (1.0 + self.stretch * drawn_m.abs() / typical_m)
    }

    /// The inverse of [`Self::anomaly`]: what the network has to draw, m, for an anomaly.
    #[must_use]
    pub fn drawn(&self, anomaly_m: f32, thickness_m: f32, typical_m: f32) -> f32 {
        let linear = anomaly_m / self.spread_factor(thickness_m);
        // The root of a quadratic, in the form that holds without a stretch, too.
        2.0 * linear / (1.0 + (1.0 + 4.0 * self.stretch * linear.abs() / typical_m).sqrt())
    }

    /// The factor on the anomaly at a low-resolution effective thickness, m.
    #[must_use]
    pub fn spread_factor(&self, thickness_m: f32) -> f32 {
        let next = self.spread_factors.partition_point(|known| known.thickness_m <= thickness_m);
        let (thinner, thicker) =
            (next.checked_sub(1).and_then(|at| self.spread_factors.get(at)), self.spread_factors.get(next));
        match (thinner, thicker) {
            (Some(a), Some(b)) => {
                let share = (thickness_m - a.thickness_m) / (b.thickness_m - a.thickness_m);
                a.factor + share * (b.factor - a.factor)
            }
            (Some(only), None) | (None, Some(only)) => only.factor,
            (None, None) => 1.0,
        }
    }

    /// In words, as products carry it.
    #[must_use]
    pub fn in_words(&self) -> String {
        let factors: Vec<_> =
            self.spread_factors.iter().map(|at| format!("{} at {} m", at.factor, at.thickness_m)).collect();
        let factors = if factors.is_empty() { "none".to_owned() } else { factors.join(", ") };
        format!(
            "noise temperature {}; stretch {}; factors on the anomaly: {factors}",
            self.noise_temperature, self.stretch
        )
    }

    /// Says what makes it unusable.
    pub(super) fn validate(&self) -> Result<(), String> {
        let usable = |factor: f64| factor > 0.0 && factor <= LARGEST_FACTOR;
        let rising = self.spread_factors.windows(2).all(|pair| pair[0].thickness_m < pair[1].thickness_m);
        let thicknesses = self.spread_factors.iter().all(|at| at.thickness_m.is_finite());
        let rules = [
            (
                usable(self.noise_temperature),
                "the noise temperature of its calibration is not above 0 and at most 4",
            ),
            (
                (0.0..=LARGEST_STRETCH).contains(&self.stretch),
                "the stretch of its calibration is not from 0 to 1",
            ),
            (
                self.spread_factors.iter().all(|at| usable(f64::from(at.factor))),
                "a spread factor of its calibration is not above 0 and at most 4",
            ),
            (rising && thicknesses, "the thicknesses of its calibration do not rise"),
        ];
        rules.into_iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, what)| Err(what.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calibration(factors: &[(f32, f32)]) -> Calibration {
        let factor = |&(thickness_m, factor): &(f32, f32)| SpreadFactor { thickness_m, factor };
        Calibration {
            noise_temperature: 1.1,
            stretch: 0.0,
            spread_factors: factors.iter().map(factor).collect(),
            fitted_on: "numbers".into(),
        }
    }

    #[test]
    fn factors_go_linearly_between_thicknesses_and_stay_beyond() {
        let fitted = calibration(&[(0.5, 1.2), (1.5, 1.0), (3.5, 0.8)]);
        for (thickness, expected) in [(0.0, 1.2), (0.5, 1.2), (1.0, 1.1), (1.5, 1.0), (2.5, 0.9), (9.0, 0.8)]
        {
            let factor = fitted.spread_factor(thickness);
            assert!((factor - expected).abs() < 1e-6, "{thickness} m: {factor}");
        }
        assert!((calibration(&[]).spread_factor(1.0) - 1.0).abs() < 1e-9);
        assert!((calibration(&[(1.0, 0.9)]).spread_factor(0.2) - 0.9).abs() < 1e-6);
    }

    #[test]
    fn far_anomalies_are_stretched_and_the_way_back_is_exact() {
        for stretch in [0.0, 0.05, 0.4] {
            let fitted = Calibration { stretch, ..calibration(&[(0.5, 1.2), (1.5, 0.9)]) };
            for drawn in [-2.0, -0.3, -1e-4, 0.0, 0.1, 3.0] {
                let anomaly = fitted.anomaly(drawn, 1.0, 0.4);
                let expected = 1.05 * (drawn + stretch * drawn * drawn.abs() / 0.4);
                assert!((anomaly - expected).abs() < 1e-5, "{stretch} {drawn}: {anomaly}");
                assert!((fitted.drawn(anomaly, 1.0, 0.4) - drawn).abs() < 1e-5, "{stretch} {drawn}");
            }
        }
    }

    #[test]
    fn what_cannot_be_is_refused_and_what_can_is_said() {
        let good = calibration(&[(0.5, 1.2), (1.5, 1.0)]);
        assert_eq!(good.validate(), Ok(()));
        assert_eq!(
            good.in_words(),
            "noise temperature 1.1; stretch 0; factors on the anomaly: 1.2 at 0.5 m, 1 at 1.5 m"
        );
        for (wrong, word) in [
            (Calibration { noise_temperature: 0.0, ..good.clone() }, "temperature"),
            (Calibration { noise_temperature: f64::NAN, ..good.clone() }, "temperature"),
            (Calibration { stretch: -0.1, ..good.clone() }, "stretch"),
            (Calibration { stretch: f32::NAN, ..good }, "stretch"),
            (calibration(&[(0.5, 5.0)]), "spread factor"),
            (calibration(&[(0.5, 1.0), (0.5, 1.1)]), "rise"),
            (calibration(&[(f32::NAN, 1.0)]), "rise"),
        ] {
            assert!(wrong.validate().unwrap_err().contains(word), "{wrong:?}");
        }
    }
}
