//! How sure a measure is: days drawn again, with repetition.

use serde::{Deserialize, Serialize};

use super::{MEASURES, Measure, Tally};

/// A measure with what other days might have made of it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// Of all days.
    pub value: f64,
    /// Standard deviation over the draws.
    pub standard_error: f64,
    /// Fifth percentile of the draws.
    pub low: f64,
    /// Ninety-fifth percentile of the draws.
    pub high: f64,
}

/// Every measure of the pooled days, in the order of [`MEASURES`]; `draws` sets of as many days are drawn with numbers in 0..1.
#[must_use]
pub fn estimates(days: &[Tally], draws: usize, share: &mut dyn FnMut() -> f64) -> Vec<Option<Estimate>> {
    let all = Tally::sum(days);
    let drawn: Vec<Tally> = (0..draws).map(|_| draw(days, share)).collect();
    let of = |measure: &Measure| {
        let value = (measure.of)(&all)?;
        let values: Vec<f64> = drawn.iter().filter_map(|tally| (measure.of)(tally)).collect();
        Some(estimate(value, values))
    };
    MEASURES.iter().map(of).collect()
}

/// The ratio of two measures of two rows on the same days; each set of days is drawn for both, as they share what is hard about a day.
#[must_use]
pub fn ratio(
    (days, of): (&[Tally], Measure),
    (other_days, other_of): (&[Tally], Measure),
    draws: usize,
    share: &mut dyn FnMut() -> f64,
) -> Option<Estimate> {
    let quotient = |tally: &Tally, other: &Tally| Some((of.of)(tally)? / (other_of.of)(other)?);
    if days.is_empty() || days.len() != other_days.len() {
        return None;
    }
    let value = quotient(&Tally::sum(days), &Tally::sum(other_days))?;
    let drawn = (0..draws).filter_map(|_| {
        let indices = drawn_indices(days.len(), share);
        let sum = |days: &[Tally]| Tally::sum(indices.iter().map(|&index| &days[index]));
        quotient(&sum(days), &sum(other_days))
    });
    Some(estimate(value, drawn.collect()))
}

/// For each element of a curve of the pooled days: its fifth percentile, value and ninety-fifth percentile. Draws in which it is no
/// number do not count; without any other the percentiles are NaN.
#[must_use]
pub fn bands(
    days: &[Tally],
    draws: usize,
    share: &mut dyn FnMut() -> f64,
    curve: impl Fn(&Tally) -> Vec<f64>,
) -> Vec<[f64; 3]> {
    let drawn: Vec<Vec<f64>> = (0..draws).map(|_| curve(&draw(days, share))).collect();
    let elements = curve(&Tally::sum(days)).into_iter().enumerate();
    let band = |(index, value): (usize, f64)| {
        let of_draws = drawn.iter().filter_map(|curve| curve.get(index).copied());
        // A draw of days without a window is 0/0.
        let of_draws: Vec<f64> = of_draws.filter(|value| value.is_finite()).collect();
        if of_draws.is_empty() {
            return [f64::NAN, value, f64::NAN];
        }
        let Estimate { low, high, .. } = estimate(value, of_draws);
        [low, value, high]
    };
    elements.map(band).collect()
}

fn draw(days: &[Tally], share: &mut dyn FnMut() -> f64) -> Tally {
    Tally::sum(drawn_indices(days.len(), share).into_iter().map(|index| &days[index]))
}

fn drawn_indices(count: usize, share: &mut dyn FnMut() -> f64) -> Vec<usize> {
    (0..count).map(|_| ((share() * count as f64) as usize).min(count - 1)).collect()
}

fn estimate(value: f64, mut draws: Vec<f64>) -> Estimate {
    draws.sort_unstable_by(f64::total_cmp);
    let count = draws.len() as f64;
    let mean = draws.iter().sum::<f64>() / count;
    let squares: f64 = draws.iter().map(|draw| (draw - mean).powi(2)).sum();
    let at = |share: f64| {
        let index = (share * (count - 1.0)).round().max(0.0) as usize;
        draws.get(index).copied().unwrap_or(value)
    };
    let standard_error = if draws.len() > 1 { (squares / (count - 1.0)).sqrt() } else { 0.0 };
    Estimate { value, standard_error, low: at(0.05), high: at(0.95) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::PointTally;
    use crate::score::tally::fixtures::Numbers;

    /// Days whose bias is normal with deviation 1: the bias of 25 of them is known to 1/5.
    #[test]
    fn the_standard_error_of_a_mean_is_that_of_the_formula() {
        let mut numbers = Numbers::new(13);
        let days: Vec<Tally> = (0..25)
            .map(|_| Tally {
                members: 2,
                points: PointTally {
                    cells: 10.0,
                    mean_error: 10.0 * f64::from(numbers.normal()),
                    ..PointTally::default()
                },
                ..Tally::default()
            })
            .collect();
        let found = estimates(&days, 500, &mut || numbers.share());
        let index = MEASURES.iter().position(|measure| measure.name == "mean_bias_m").unwrap();
        let bias = found[index].unwrap();
        let deviations: Vec<f64> = days.iter().map(|day| day.points.mean_error / 10.0).collect();
        let mean = deviations.iter().sum::<f64>() / 25.0;
        let deviation = (deviations.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / 25.0).sqrt();
        assert!((bias.value - mean).abs() < 1e-12);
        assert!((bias.standard_error / (deviation / 5.0) - 1.0).abs() < 0.12, "{bias:?}");
        assert!((bias.high - bias.low) / bias.standard_error > 3.0 && bias.low < mean && mean < bias.high);
        let band = bands(&days, 500, &mut || numbers.share(), |tally| {
            vec![tally.points.mean_error / tally.points.cells]
        });
        assert!(band[0][0] < mean && mean < band[0][2] && (band[0][1] - mean).abs() < 1e-12);
    }

    /// One day of three has cells: a draw without it is 0/0.
    #[test]
    fn draws_that_hold_nothing_spoil_no_band() {
        let day = |cells: f64| Tally {
            points: PointTally { cells, mean_error: 0.5 * cells, ..PointTally::default() },
            ..Tally::default()
        };
        let mut numbers = Numbers::new(16);
        let curve = |tally: &Tally| vec![tally.points.mean_error / tally.points.cells];
        let found = bands(&[day(0.0), day(10.0), day(0.0)], 50, &mut || numbers.share(), curve);
        assert!(found[0].iter().all(|value| (value - 0.5).abs() < 1e-12), "{found:?}");
        let none = bands(&[day(0.0)], 5, &mut || numbers.share(), curve);
        assert!(none[0].iter().all(|value| value.is_nan()), "{none:?}");
    }

    /// Two rows of which one is always twice the other: the ratio is sure, however much the days differ.
    #[test]
    fn a_ratio_is_drawn_on_the_same_days() {
        let mut numbers = Numbers::new(15);
        let day = |crps: f64| Tally {
            points: PointTally { cells: 1.0, crps, ..PointTally::default() },
            ..Tally::default()
        };
        let scores: Vec<f64> = (0..10).map(|_| 0.1 + numbers.share()).collect();
        let one: Vec<Tally> = scores.iter().map(|&score| day(2.0 * score)).collect();
        let other: Vec<Tally> = scores.iter().map(|&score| day(score)).collect();
        let crps = crate::score::measure("fair_crps_m").unwrap();
        let found = ratio((&one, crps), (&other, crps), 50, &mut || numbers.share()).unwrap();
        assert!((found.value - 2.0).abs() < 1e-12 && found.standard_error < 1e-12);
        assert!(ratio((&one, crps), (&other[1..], crps), 50, &mut || 0.5).is_none());
    }

    #[test]
    fn days_that_agree_leave_no_doubt() {
        let day = Tally {
            points: PointTally { cells: 4.0, low_squared: 1.0, ..PointTally::default() },
            ..Tally::default()
        };
        let mut numbers = Numbers::new(14);
        let found = estimates(&[day.clone(), day], 20, &mut || numbers.share())[0].unwrap();
        assert!((found.value - 0.5).abs() < 1e-12 && found.standard_error < 1e-12);
    }
}
