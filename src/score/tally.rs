//! All sums of one scene together.

use ndarray::{Array2, ArrayView2};
use serde::{Deserialize, Serialize};

use super::{ClassTally, CoarseTally, PointTally, Ranks, ReliabilityTally, SimilarityTally, SpectraTally};

/// What is scored on; arrays of one shape, `[row, column]`.
#[derive(Debug, Clone, Copy)]
pub struct Scene<'a> {
    /// High-resolution effective thickness, m; a number wherever the mask is true.
    pub truth_m: &'a Array2<f32>,
    /// Low-resolution effective thickness, m; a number wherever the mask is true.
    pub low_m: &'a Array2<f32>,
    /// Low-resolution concentration, fraction; a number wherever the mask is true.
    pub concentration: ArrayView2<'a, f32>,
    /// The cells that count.
    pub mask: &'a Array2<bool>,
    /// Side of a cell, km.
    pub cell_km: f64,
}

/// The sums of a scene, or of several.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// Members; the same in all scenes that are added.
    pub members: usize,
    /// Errors cell by cell.
    pub points: PointTally,
    /// Variability of the anomaly: overall, then by thickness class.
    pub classes: Vec<ClassTally>,
    /// Ranks of the truth.
    pub ranks: Ranks,
    /// Reliability of the probability of thin ice, one for each of [`super::THIN_ICE_M`].
    pub reliability: Vec<ReliabilityTally>,
    /// Spectra.
    pub spectra: SpectraTally,
    /// Coarse consistency.
    pub coarse: CoarseTally,
    /// The same of the truth.
    pub coarse_of_truth: CoarseTally,
    /// Structural similarity, where it was asked for.
    pub similarity: Option<SimilarityTally>,
}

/// Scores members, each a number (m) wherever the mask is true. `dice` gives numbers in 0..1. A single field is an ensemble of one.
///
/// # Panics
/// When the arrays differ in shape.
#[must_use]
pub fn tally(
    scene: &Scene<'_>,
    members: &[Array2<f32>],
    with_similarity: bool,
    dice: &mut dyn FnMut() -> f64,
) -> Tally {
    Tally {
        members: members.len(),
        points: PointTally::of(scene, members),
        classes: ClassTally::of(scene, members),
        ranks: Ranks::of(scene, members, dice),
        reliability: ReliabilityTally::of(scene, members),
        spectra: SpectraTally::of(scene, members),
        coarse: CoarseTally::of(scene, members),
        coarse_of_truth: CoarseTally::of(scene, std::slice::from_ref(scene.truth_m)),
        similarity: with_similarity.then(|| SimilarityTally::of(scene, members)),
    }
}

impl Tally {
    /// Adds the sums of another scene.
    pub fn add(&mut self, other: &Self) {
        self.members = other.members;
        self.points.add(&other.points);
        self.classes.resize(other.classes.len(), ClassTally::default());
        self.classes.iter_mut().zip(&other.classes).for_each(|(sum, class)| sum.add(class));
        self.ranks.add(&other.ranks);
        self.reliability.resize(other.reliability.len(), ReliabilityTally::default());
        self.reliability.iter_mut().zip(&other.reliability).for_each(|(sum, event)| sum.add(event));
        self.spectra.add(&other.spectra);
        self.coarse.add(&other.coarse);
        self.coarse_of_truth.add(&other.coarse_of_truth);
        if let Some(similarity) = &other.similarity {
            self.similarity.get_or_insert_default().add(similarity);
        }
    }

    /// The sums of several scenes.
    #[must_use]
    pub fn sum<'a>(tallies: impl IntoIterator<Item = &'a Self>) -> Self {
        tallies.into_iter().fold(Self::default(), |mut sum, tally| {
            sum.add(tally);
            sum
        })
    }
}

#[cfg(test)]
pub(super) mod fixtures {
    //! Numbers and scenes that tests are made of.

    use ndarray::Array2;

    use super::Scene;

    /// Random enough for a test (splitmix64).
    pub(in crate::score) struct Numbers(u64);

    impl Numbers {
        pub(in crate::score) fn new(seed: u64) -> Self {
            Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
        }

        /// In 0..1.
        pub(in crate::score) fn share(&mut self) -> f64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut word = self.0;
            word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((word ^ (word >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
        }

        pub(in crate::score) fn normal(&mut self) -> f32 {
            let radius = (-2.0 * (1.0 - self.share()).ln()).sqrt();
            (radius * (std::f64::consts::TAU * self.share()).cos()) as f32
        }
    }

    /// A scene that owns its arrays: ice everywhere, cells of 3 km.
    pub(in crate::score) struct Owned {
        pub(in crate::score) truth_m: Array2<f32>,
        pub(in crate::score) low_m: Array2<f32>,
        pub(in crate::score) concentration: Array2<f32>,
        pub(in crate::score) mask: Array2<bool>,
        pub(in crate::score) cell_km: f64,
    }

    impl Owned {
        pub(in crate::score) fn view(&self) -> Scene<'_> {
            Scene {
                truth_m: &self.truth_m,
                low_m: &self.low_m,
                concentration: self.concentration.view(),
                mask: &self.mask,
                cell_km: self.cell_km,
            }
        }
    }

    pub(in crate::score) fn scene_of(truth_m: Array2<f32>, low_m: Array2<f32>) -> Owned {
        let (mask, concentration) =
            (Array2::from_elem(truth_m.dim(), true), Array2::from_elem(truth_m.dim(), 1.0));
        Owned { truth_m, low_m, concentration, mask, cell_km: 3.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::fixtures::{Numbers, scene_of};
    use super::*;
    use crate::score::{MEASURES, measure};

    fn pair(seed: u64) -> Tally {
        let mut numbers = Numbers::new(seed);
        let low = Array2::from_elem((128, 128), 1.0);
        let mut field = || &low + &Array2::from_shape_simple_fn((128, 128), || 0.2 * numbers.normal());
        let (truth, members) = (field(), [field(), field(), field()]);
        let scene = scene_of(truth, low.clone());
        tally(&scene.view(), &members, true, &mut || numbers.share())
    }

    /// Truth and members of one kind, nothing predictable: every measure is known.
    #[test]
    fn exchangeable_members_score_what_they_must() {
        let sum = Tally::sum(&[pair(1), pair(2), pair(3)]);
        let of = |name: &str| (measure(name).unwrap().of)(&sum).unwrap();
        let close = |name: &str, expected: f64, within: f64| {
            assert!((of(name) - expected).abs() < within, "{name}: {} instead of {expected}", of(name));
        };
        close("low_rmse_m", 0.2, 0.002);
        close("mean_rmse_m", 0.2 * (4.0_f64 / 3.0).sqrt(), 0.002);
        close("fair_mean_rmse_m", 0.2, 0.002);
        close("spread_skill", 1.0, 0.01);
        // A Gaussian's mean absolute error is 0.7979 s, its score 0.5642 s.
        close("fair_crps_m", 0.2 * 0.5642, 0.002);
        close("crps_of_low_m", 0.2 * 0.7979, 0.002);
        close("crps_over_low", 0.707, 0.01);
        close("deviation_ratio", 1.0, 0.01);
        close("deviation_ratio_0.8_1.3", 1.0, 0.01);
        close("fine_scale_bias", 1.0, 0.05);
        close("medium_scale_ratio", 1.0, 0.15);
        assert!((measure("deviation_ratio_0.3_0.8").unwrap().of)(&sum).is_none());
        assert!(of("coarse_inner_m") < 0.01 && of("coarse_edge_m") < 0.02);
        assert!(of("seen_inner_m") < 0.01 && of("seen_edge_m") < 0.02);
    }

    #[test]
    fn a_sum_of_tallies_is_that_of_their_scenes_and_can_be_written_down() {
        let (one, other) = (pair(4), pair(5));
        let sum = Tally::sum([&one, &other]);
        assert!((sum.points.cells - 2.0 * 128.0 * 128.0).abs() < 1e-9);
        assert!((sum.spectra.windows - 2.0).abs() < 1e-9);
        // 5 cells at each border have no whole window.
        assert!((sum.similarity.as_ref().unwrap().cells - 2.0 * 118.0 * 118.0).abs() < 1e-9);
        let text = serde_json::to_string(&sum).unwrap();
        assert_eq!(serde_json::from_str::<Tally>(&text).unwrap(), sum);
    }

    #[test]
    fn a_single_field_has_no_spread_and_no_ranks() {
        let scene = scene_of(Array2::from_elem((64, 64), 1.5), Array2::from_elem((64, 64), 1.0));
        let low = scene.low_m.clone();
        let found = tally(&scene.view(), &[low], false, &mut || 0.5);
        let of = |name: &str| (measure(name).unwrap().of)(&found);
        assert!((of("fair_crps_m").unwrap() - 0.5).abs() < 1e-9);
        for name in ["spread_skill", "rank_deviation", "similarity", "fine_scale_bias"] {
            assert_eq!(of(name), None, "{name}");
        }
    }

    #[test]
    fn members_and_truth_are_each_held_against_the_low_resolution() {
        let low = Array2::from_elem((64, 64), 1.0);
        let scene = scene_of(&low + 0.05, low.clone());
        let found = tally(&scene.view(), &[&low + 0.02], false, &mut || 0.5);
        for name in ["seen_inner_m", "seen_edge_m", "coarse_inner_m", "coarse_edge_m"] {
            let of = |name: &str| (measure(name).unwrap().of)(&found).unwrap();
            let (member, truth) = (of(name), of(&format!("truth_{name}")));
            assert!((member - 0.02).abs() < 1e-4 && (truth - 0.05).abs() < 1e-4, "{name}: {member} {truth}");
        }
    }

    #[test]
    fn names_of_measures_are_unique() {
        let names: std::collections::BTreeSet<_> = MEASURES.iter().map(|measure| measure.name).collect();
        assert_eq!(names.len(), MEASURES.len());
    }
}
