//! Structural similarity (Wang et al. 2004), which D3.1 dropped as insensitive; here for comparison.

use ndarray::Array2;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::Scene;
use super::coarse::{distance_from_edge, smooth_over_ice};

/// Standard deviation of the window, cells.
const SIGMA: f64 = 1.5;
/// Cells nearer to the edge of the mask have no whole window.
const CLEAR: usize = 6;
/// Range of the values, m, and the shares of it that keep the quotients finite.
const RANGE_M: f64 = 4.0;
const SHARES: [f64; 2] = [0.01, 0.03];

/// Sums of the similarity to the truth.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SimilarityTally {
    /// Cells.
    pub cells: f64,
    /// Of the low-resolution field.
    pub low: f64,
    /// Of the members, mean over them.
    pub members: f64,
}

impl SimilarityTally {
    pub(super) fn of(scene: &Scene<'_>, members: &[Array2<f32>]) -> Self {
        let (cells, low) = structural_similarity(scene.low_m, scene.truth_m, scene.mask);
        let of_members: Vec<f64> = members
            .par_iter()
            .map(|member| structural_similarity(member, scene.truth_m, scene.mask).1)
            .collect();
        Self { cells, low, members: of_members.iter().sum::<f64>() / members.len() as f64 }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.cells += other.cells;
        self.low += other.low;
        self.members += other.members;
    }
}

/// The number of cells with a whole window, and the sum of the similarity over them.
#[must_use]
pub fn structural_similarity(one: &Array2<f32>, other: &Array2<f32>, mask: &Array2<bool>) -> (f64, f64) {
    let mean = |values: &Array2<f32>| smooth_over_ice(values, mask, SIGMA);
    let (first, second) = (mean(one), mean(other));
    let (squares, other_squares, products) =
        (mean(&(one * one)), mean(&(other * other)), mean(&(one * other)));
    let clear = distance_from_edge(mask, CLEAR);
    let [small, smaller] = SHARES.map(|share| (share * RANGE_M).powi(2));
    let mut sum = (0.0, 0.0);
    for (cell, _) in mask.indexed_iter().filter(|(cell, _)| clear[*cell] >= CLEAR as f32) {
        let at = |values: &Array2<f32>| f64::from(values[cell]);
        let (a, b) = (at(&first), at(&second));
        let (var_a, var_b) = (at(&squares) - a * a, at(&other_squares) - b * b);
        let covariance = at(&products) - a * b;
        let similarity = (2.0 * a * b + small) * (2.0 * covariance + smaller)
            / ((a * a + b * b + small) * (var_a + var_b + smaller));
        sum = (sum.0 + 1.0, sum.1 + similarity);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::tally::fixtures::Numbers;

    #[test]
    fn a_field_is_like_itself_and_less_like_another() {
        let mut numbers = Numbers::new(12);
        let shape = (60, 60);
        let mask = Array2::from_elem(shape, true);
        let field = Array2::from_shape_simple_fn(shape, || 1.0 + 0.3 * numbers.normal());
        let (cells, same) = structural_similarity(&field, &field, &mask);
        assert!((cells - 50.0 * 50.0).abs() < 1e-9, "5 cells at each border have no whole window");
        assert!((same / cells - 1.0).abs() < 1e-4);
        let other = Array2::from_shape_simple_fn(shape, || 1.0 + 0.3 * numbers.normal());
        let (_, unlike) = structural_similarity(&other, &field, &mask);
        // Means agree, nothing else: about the share that keeps the quotient finite, 0.0144 of 0.18.
        assert!(unlike / cells < 0.25, "{}", unlike / cells);
    }

    #[test]
    fn a_shift_alone_costs_only_the_first_factor() {
        let shape = (30, 30);
        let mask = Array2::from_elem(shape, true);
        let (one, other) = (Array2::from_elem(shape, 1.0), Array2::from_elem(shape, 2.0));
        let (cells, sum) = structural_similarity(&one, &other, &mask);
        let expected = (4.0 + 0.0016) / (5.0 + 0.0016);
        assert!((sum / cells - expected).abs() < 1e-4, "{}", sum / cells);
    }
}
