//! Reliability: whether what is said to happen in three of ten cases happens in three of ten.

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::Scene;

/// The events: effective thickness below these, m.
pub const THIN_ICE_M: [f32; 3] = [0.3, 0.5, 1.0];
/// Bins of the forecast probability: 0, 0.1, .., 1, each with what rounds to it.
const BINS: usize = 11;

/// Of one event, by the probability that the members gave it: cells, sum of these probabilities, cells where it was so.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ReliabilityTally {
    /// Cells in each bin.
    pub cells: Vec<f64>,
    /// Sum of the probabilities.
    pub forecast: Vec<f64>,
    /// Cells of the bin in which the truth was thinner.
    pub observed: Vec<f64>,
}

impl ReliabilityTally {
    /// One for each event of [`THIN_ICE_M`].
    pub(super) fn of(scene: &Scene<'_>, members: &[Array2<f32>]) -> Vec<Self> {
        let zeros = || vec![0.0; BINS];
        let mut tallies =
            vec![Self { cells: zeros(), forecast: zeros(), observed: zeros() }; THIN_ICE_M.len()];
        for (cell, _) in scene.mask.indexed_iter().filter(|(_, inside)| **inside) {
            for (tally, threshold) in tallies.iter_mut().zip(THIN_ICE_M) {
                let thinner = members.iter().filter(|member| member[cell] < threshold).count();
                let probability = thinner as f64 / members.len() as f64;
                let bin = (probability * (BINS - 1) as f64).round() as usize;
                tally.cells[bin] += 1.0;
                tally.forecast[bin] += probability;
                tally.observed[bin] += f64::from(u8::from(scene.truth_m[cell] < threshold));
            }
        }
        tallies
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (sum, values) in [
            (&mut self.cells, &other.cells),
            (&mut self.forecast, &other.forecast),
            (&mut self.observed, &other.observed),
        ] {
            sum.resize(sum.len().max(values.len()), 0.0);
            sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
        }
    }

    /// Mean probability and observed frequency of every bin that holds at least `fewest` cells.
    #[must_use]
    pub fn curve(&self, fewest: f64) -> Vec<(f64, f64)> {
        let bins = self.cells.iter().zip(&self.forecast).zip(&self.observed);
        let filled = bins.filter(|((cells, _), _)| **cells >= fewest.max(1.0));
        filled.map(|((cells, forecast), observed)| (forecast / cells, observed / cells)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::tally::fixtures::{Numbers, scene_of};

    /// Each cell has a mean of its own that truth and members share.
    fn curve(narrowing: f32) -> Vec<(f64, f64)> {
        let mut numbers = Numbers::new(7);
        let shape = (150, 150);
        let centre = Array2::from_shape_simple_fn(shape, || 0.5 + 0.3 * numbers.normal());
        let truth = centre.mapv(|centre| centre + 0.2 * numbers.normal());
        let members: Vec<_> =
            (0..40).map(|_| centre.mapv(|centre| centre + narrowing * 0.2 * numbers.normal())).collect();
        let scene = scene_of(truth, Array2::from_elem(shape, 1.0));
        ReliabilityTally::of(&scene.view(), &members)[1].curve(200.0)
    }

    #[test]
    fn members_that_share_the_truth_s_distribution_lie_on_the_diagonal() {
        let found = curve(1.0);
        assert_eq!(found.len(), 11);
        assert!(found.iter().all(|(said, seen)| (said - seen).abs() < 0.06), "{found:?}");
    }

    #[test]
    fn members_that_are_too_sure_lie_flatter_than_the_diagonal() {
        let found = curve(0.3);
        assert!(found.iter().any(|(said, seen)| *said < 0.15 && *seen > said + 0.08), "{found:?}");
    }
}
