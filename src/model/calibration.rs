//! What was learnt, after training, about the spread of a network's samples.

use serde::{Deserialize, Serialize};

use super::Quantity;

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
    pub fn anomaly<Q: Quantity>(&self, drawn_m: Q, thickness_m: Q, typical_m: Q) -> Q {
        let stretched = Q::from(1.0) + Q::from(self.stretch) * drawn_m.size() / typical_m;
        self.spread_factor(thickness_m) * drawn_m * stretched
    }

    /// The inverse of [`Self::anomaly`]: what the network has to draw, m, for an anomaly.
    #[must_use]
    pub fn drawn<Q: Quantity>(&self, anomaly_m: Q, thickness_m: Q, typical_m: Q) -> Q {
        let linear = anomaly_m / self.spread_factor(thickness_m);
        // The root of a quadratic, in the form that holds without a stretch, too.
        let root = (Q::from(1.0) + Q::from(4.0 * self.stretch) * linear.size() / typical_m).root();
        Q::from(2.0) * linear / (Q::from(1.0) + root)
    }

    /// The factor on the anomaly at a low-resolution effective thickness, m.
    #[must_use]
    pub fn spread_factor<Q: Quantity>(&self, thickness_m: Q) -> Q {
        let first = self.spread_factors.first().map_or(1.0, |thinnest| thinnest.factor);
        self.spread_factors.windows(2).fold(Q::from(first), |factor, pair| {
            let (from, to) = (pair[0], pair[1]);
            let beyond = thickness_m.again() - Q::from(from.thickness_m);
            let share = (beyond / Q::from(to.thickness_m - from.thickness_m)).between(0.0, 1.0);
            factor + Q::from(to.factor - from.factor) * share
        })
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
    use tch::Tensor;

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
    fn a_field_is_calibrated_as_its_numbers_are() {
        let fitted = Calibration { stretch: 0.1, ..calibration(&[(0.5, 1.2), (1.5, 1.0), (3.5, 0.8)]) };
        let (drawn, low) = ([-0.4_f32, 0.0, 0.3, 2.0], [0.1_f32, 1.1, 2.0, 5.0]);
        let field = |values: &[f32]| Tensor::from_slice(values);
        let anomalies = fitted.anomaly(field(&drawn), field(&low), Tensor::from(0.4_f32));
        let back = fitted.drawn(anomalies.again(), field(&low), Tensor::from(0.4_f32));
        for (at, (drawn, low)) in drawn.into_iter().zip(low).enumerate() {
            let place = [at as i64];
            let expected = f64::from(fitted.anomaly(drawn, low, 0.4));
            assert!((anomalies.double_value(&place) - expected).abs() < 1e-6, "{drawn} at {low}");
            assert!((back.double_value(&place) - f64::from(drawn)).abs() < 1e-6, "{drawn} at {low}");
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
