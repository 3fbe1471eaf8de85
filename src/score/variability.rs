//! How much the anomaly varies in space, as a whole and by thickness.

use ndarray::{Array2, Zip};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::Scene;

/// Edges of the thickness classes, m of low-resolution effective thickness.
pub const CLASSES_M: [f32; 6] = [0.3, 0.8, 1.3, 2.0, 3.0, 5.0];

/// The class of a low-resolution effective thickness, m; `None` below the first and from the last edge on.
#[must_use]
pub fn class_of(low_m: f32) -> Option<usize> {
    (0..CLASSES_M.len() - 1).find(|&class| CLASSES_M[class] <= low_m && low_m < CLASSES_M[class + 1])
}

/// Spatial variances of the anomaly (thickness minus low-resolution thickness) times the number of cells, m^2, each about the
/// mean of its scene and class.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ClassTally {
    /// Cells.
    pub cells: f64,
    /// Of the truth.
    pub truth: f64,
    /// Of each member.
    pub members: Vec<f64>,
}

impl ClassTally {
    /// Of the whole scene, then of each class; without members, of the truth alone.
    #[must_use]
    pub fn of(scene: &Scene<'_>, members: &[Array2<f32>]) -> Vec<Self> {
        let truth = squares_by_class(scene, scene.truth_m);
        let members: Vec<_> = members.par_iter().map(|member| squares_by_class(scene, member)).collect();
        let tallies = truth.iter().enumerate().map(|(class, of_truth)| Self {
            cells: of_truth.cells,
            truth: of_truth.about_mean(),
            members: members.iter().map(|of_member| of_member[class].about_mean()).collect(),
        });
        tallies.collect()
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.cells += other.cells;
        self.truth += other.truth;
        self.members.resize(self.members.len().max(other.members.len()), 0.0);
        self.members.iter_mut().zip(&other.members).for_each(|(sum, value)| *sum += value);
    }

    /// Standard deviation of a member over that of the truth, mean over the members.
    pub(super) fn ratio(&self) -> Option<f64> {
        let ratios = self.members.iter().map(|member| (member / self.truth).sqrt());
        (self.truth > 0.0 && !self.members.is_empty())
            .then(|| ratios.sum::<f64>() / self.members.len() as f64)
    }

    /// Standard deviation of the members' anomaly, m.
    #[must_use]
    pub fn deviation_m(&self) -> Option<f64> {
        let mean = self.members.iter().sum::<f64>() / self.members.len() as f64;
        (self.cells > 0.0 && !self.members.is_empty()).then(|| (mean / self.cells).sqrt())
    }

    /// Standard deviation of the truth's anomaly, m.
    #[must_use]
    pub fn truth_deviation_m(&self) -> Option<f64> {
        (self.cells > 0.0).then(|| (self.truth / self.cells).sqrt())
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Moments {
    cells: f64,
    sum: f64,
    squares: f64,
}

impl Moments {
    fn about_mean(&self) -> f64 {
        if self.cells > 0.0 { (self.squares - self.sum * self.sum / self.cells).max(0.0) } else { 0.0 }
    }
}

fn squares_by_class(scene: &Scene<'_>, field: &Array2<f32>) -> [Moments; CLASSES_M.len()] {
    let mut moments = [Moments::default(); CLASSES_M.len()];
    Zip::from(field).and(scene.low_m).and(scene.mask).for_each(|&value, &low, &inside| {
        if inside {
            let anomaly = f64::from(value) - f64::from(low);
            for place in [Some(0), class_of(low).map(|class| class + 1)].into_iter().flatten() {
                let Moments { cells, sum, squares } = moments[place];
                moments[place] =
                    Moments { cells: cells + 1.0, sum: sum + anomaly, squares: squares + anomaly * anomaly };
            }
        }
    });
    moments
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::tally::fixtures::{Numbers, scene_of};

    #[test]
    fn classes_begin_at_their_lower_edge() {
        assert_eq!(
            [0.2, 0.3, 0.79, 0.8, 4.9, 5.0].map(class_of),
            [None, Some(0), Some(0), Some(1), Some(4), None]
        );
    }

    #[test]
    fn a_member_with_twice_the_anomaly_has_ratio_two_in_its_class() {
        let mut numbers = Numbers::new(2);
        let low = Array2::from_shape_fn((40, 40), |(row, _)| if row < 20 { 1.0 } else { 2.5 });
        let anomaly = Array2::from_shape_simple_fn((40, 40), || 0.1 * numbers.normal());
        let scene = scene_of(&low + &anomaly, low.clone());
        let member = Zip::from(&low)
            .and(&anomaly)
            .map_collect(|&low, &anomaly| if low < 2.0 { low + 2.0 * anomaly } else { low + anomaly + 0.7 });
        let tally = ClassTally::of(&scene.view(), &[member]);
        let close = |class: usize, expected: f64| {
            let found = tally[class].ratio().unwrap();
            assert!((found - expected).abs() < 1e-3, "class {class}: {found}");
        };
        close(2, 2.0);
        close(4, 1.0);
        assert_eq!(tally[1].ratio(), None);
        assert!((tally[0].cells - 1600.0).abs() < 1e-9);
        assert!((tally[2].truth_deviation_m().unwrap() - 0.1).abs() < 0.01);
    }
}
