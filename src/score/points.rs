//! Errors cell by cell: of the mean, of the low-resolution field, and of the distribution that the members stand for.

use ndarray::Array2;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::Scene;

/// Sums over the cells of the mask. Thickness in m, so squares are m^2.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PointTally {
    /// Cells.
    pub cells: f64,
    /// Mean of the members minus truth, squared.
    pub mean_squared: f64,
    /// Mean of the members minus truth.
    pub mean_error: f64,
    /// Low resolution minus truth, squared.
    pub low_squared: f64,
    /// Low resolution minus truth, its magnitude: the CRPS of the low-resolution field.
    pub low_absolute: f64,
    /// Low resolution minus truth.
    pub low_error: f64,
    /// Variance between the members (divisor members - 1); 0 for one member.
    pub variance: f64,
    /// Fair CRPS of the members.
    pub crps: f64,
}

impl PointTally {
    /// The sums of a scene.
    pub(super) fn of(scene: &Scene<'_>, members: &[Array2<f32>]) -> Self {
        // Sums by rows, added in their order: the same to the bit however many threads there are.
        let rows: Vec<Self> =
            (0..scene.mask.nrows()).into_par_iter().map(|row| Self::of_row(scene, members, row)).collect();
        rows.iter().fold(Self::default(), |mut sum, row| {
            sum.add(row);
            sum
        })
    }

    fn of_row(scene: &Scene<'_>, members: &[Array2<f32>], row: usize) -> Self {
        let mut sum = Self::default();
        let mut values = vec![0.0_f32; members.len()];
        for column in (0..scene.mask.ncols()).filter(|&column| scene.mask[[row, column]]) {
            let cell = [row, column];
            let truth = f64::from(scene.truth_m[cell]);
            let low_error = f64::from(scene.low_m[cell]) - truth;
            members.iter().zip(&mut values).for_each(|(member, value)| *value = member[cell]);
            values.sort_unstable_by(f32::total_cmp);
            let count = values.len() as f64;
            let mean = values.iter().map(|&value| f64::from(value)).sum::<f64>() / count;
            let squares: f64 = values.iter().map(|&value| (f64::from(value) - mean).powi(2)).sum();
            sum.add(&Self {
                cells: 1.0,
                mean_squared: (mean - truth).powi(2),
                mean_error: mean - truth,
                low_squared: low_error.powi(2),
                low_absolute: low_error.abs(),
                low_error,
                variance: squares / (count - 1.0).max(1.0),
                crps: fair_crps(&values, truth),
            });
        }
        sum
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.cells += other.cells;
        self.mean_squared += other.mean_squared;
        self.mean_error += other.mean_error;
        self.low_squared += other.low_squared;
        self.low_absolute += other.low_absolute;
        self.low_error += other.low_error;
        self.variance += other.variance;
        self.crps += other.crps;
    }
}

/// The fair continuous ranked probability score (Ferro 2014) of rising `values`: what an endless ensemble of their kind would have on
/// average. For one value it is the absolute error.
#[must_use]
pub fn fair_crps(values: &[f32], truth: f64) -> f64 {
    let count = values.len() as f64;
    let error: f64 = values.iter().map(|&value| (f64::from(value) - truth).abs()).sum();
    // Of two members the larger minus the smaller, over all pairs: member i of the sorted ones is the larger one i times.
    let apart: f64 = values
        .iter()
        .enumerate()
        .map(|(index, &value)| (2.0 * index as f64 - count + 1.0) * f64::from(value))
        .sum();
    error / count - apart / (count * (count - 1.0).max(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::tally::fixtures::{Numbers, scene_of};

    #[test]
    fn one_member_scores_its_absolute_error() {
        assert!((fair_crps(&[2.5], 4.0) - 1.5).abs() < 1e-12);
    }

    /// Against a Gaussian of mean m and deviation s the score of y is s (z (2 Phi(z) - 1) + 2 phi(z) - 1/sqrt(pi)), z = (y - m)/s.
    #[test]
    fn members_of_a_gaussian_score_its_closed_form_whatever_their_number() {
        let mut numbers = Numbers::new(1);
        let closed = |z: f64, doubled_phi: f64, density: f64| {
            z * doubled_phi + 2.0 * density - 1.0 / std::f64::consts::PI.sqrt()
        };
        // z = 0: 2 Phi - 1 = 0, phi = 0.398942; z = 1: 2 Phi - 1 = 0.682689, phi = 0.241971.
        for (z, expected) in [(0.0, closed(0.0, 0.0, 0.398_942)), (1.0, closed(1.0, 0.682_689, 0.241_971))] {
            for members in [2, 5, 30] {
                let draws = 60_000 / members;
                let sum: f64 = (0..draws)
                    .map(|_| {
                        let mut values: Vec<f32> = (0..members).map(|_| numbers.normal()).collect();
                        values.sort_unstable_by(f32::total_cmp);
                        fair_crps(&values, z)
                    })
                    .sum();
                let found = sum / f64::from(draws);
                assert!((found - expected).abs() < 0.02, "z {z}, {members} members: {found}, {expected}");
            }
        }
    }

    #[test]
    fn errors_and_variance_are_those_of_the_formulas() {
        let scene = scene_of(ndarray::array![[1.0, 9.0]], ndarray::array![[1.5, 9.0]]);
        let mut scene = scene;
        scene.mask[[0, 1]] = false;
        let members = [1.0, 2.0, 6.0].map(|value| ndarray::array![[value, f32::NAN]]);
        let tally = PointTally::of(&scene.view(), &members);
        assert!((tally.cells - 1.0).abs() < 1e-12);
        assert!((tally.mean_squared - 4.0).abs() < 1e-12 && (tally.mean_error - 2.0).abs() < 1e-12);
        assert!((tally.low_squared - 0.25).abs() < 1e-12 && (tally.low_absolute - 0.5).abs() < 1e-12);
        assert!((tally.variance - 7.0).abs() < 1e-12);
    }
}
