//! Coarse consistency: whether the thickness product would see in members what it saw of the ice.

use ndarray::{Array2, ArrayView2, Axis, Zip};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::Scene;

/// Standard deviation of the Gaussian that stands for the thickness product, km.
const PRODUCT_SIGMA_KM: f64 = 38.0;
/// Standard deviation of a Gaussian that looks closer than the product, km.
const CLOSE_SIGMA_KM: f64 = 26.0;
/// The reach of both, in standard deviations.
const REACH: f64 = 4.0;
/// Cells nearer to the mask's edge are scored apart, km.
const EDGE_KM: f64 = 45.0;

/// Differences between members and the low-resolution field that they stand on, mean over the members.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CoarseTally {
    /// What the thickness product sees in members, less the low-resolution field.
    pub seen: DifferenceTally,
    /// Members less the low-resolution field, both smoothed over 26 km: what members add to the input at scales that it may have missed.
    pub close: DifferenceTally,
}

/// Squared differences, m^2.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DifferenceTally {
    /// Cells farther than 45 km from the edge of the mask.
    pub inner_cells: f64,
    /// Their squares.
    pub inner: f64,
    /// Cells within 45 km.
    pub edge_cells: f64,
    /// Their squares.
    pub edge: f64,
}

impl CoarseTally {
    pub(super) fn of(scene: &Scene<'_>, members: &[Array2<f32>]) -> Self {
        let Scene { low_m, mask, cell_km, .. } = *scene;
        let from_edge = distance_from_edge(mask, (EDGE_KM / cell_km).ceil() as usize + 1);
        let is_inner = from_edge.mapv(|cells| f64::from(cells) * cell_km > EDGE_KM);
        let product = Product::of_day(&scene.concentration, mask, PRODUCT_SIGMA_KM / cell_km);
        let of_each: Vec<Self> = members
            .par_iter()
            .map(|member| {
                let seen = product.sees(member);
                // Smoothing is linear: the difference is smoothed, once for a member.
                let close = smooth_over_ice(&(member - low_m), mask, CLOSE_SIGMA_KM / cell_km);
                let squares = |difference: &Array2<f32>| DifferenceTally::of(difference, mask, &is_inner);
                Self { seen: squares(&(seen - low_m)), close: squares(&close) }
            })
            .collect();
        let mut sum = Self::default();
        for one in &of_each {
            sum.add(one);
        }
        let share = 1.0 / members.len().max(1) as f64;
        Self { seen: sum.seen.times(share), close: sum.close.times(share) }
    }

    /// Adds the sums of another scene.
    pub fn add(&mut self, other: &Self) {
        self.seen.add(&other.seen);
        self.close.add(&other.close);
    }
}

impl DifferenceTally {
    fn of(difference: &Array2<f32>, mask: &Array2<bool>, is_inner: &Array2<bool>) -> Self {
        let mut sum = Self::default();
        Zip::from(difference).and(is_inner).and(mask).for_each(|&value, &is_inner, &inside| {
            let square = f64::from(value).powi(2);
            match (inside, is_inner) {
                (false, _) => {}
                (true, true) => (sum.inner_cells, sum.inner) = (sum.inner_cells + 1.0, sum.inner + square),
                (true, false) => (sum.edge_cells, sum.edge) = (sum.edge_cells + 1.0, sum.edge + square),
            }
        });
        sum
    }

    fn add(&mut self, other: &Self) {
        self.inner_cells += other.inner_cells;
        self.inner += other.inner;
        self.edge_cells += other.edge_cells;
        self.edge += other.edge;
    }

    fn times(&self, factor: f64) -> Self {
        Self {
            inner_cells: factor * self.inner_cells,
            inner: factor * self.inner,
            edge_cells: factor * self.edge_cells,
            edge: factor * self.edge,
        }
    }

    /// Root mean square difference far from the edge, m.
    #[must_use]
    pub fn inner_m(&self) -> Option<f64> {
        (self.inner_cells > 0.0).then(|| (self.inner / self.inner_cells).sqrt())
    }

    /// Root mean square difference near the edge, m.
    #[must_use]
    pub fn edge_m(&self) -> Option<f64> {
        (self.edge_cells > 0.0).then(|| (self.edge / self.edge_cells).sqrt())
    }
}

/// The thickness product on one day: volume over area, both smoothed, for the ice in each cell.
struct Product<'a> {
    mask: &'a Array2<bool>,
    sigma_cells: f64,
    /// Concentration over smoothed concentration.
    per_volume: Array2<f32>,
}

impl<'a> Product<'a> {
    fn of_day(concentration: &ArrayView2<'_, f32>, mask: &'a Array2<bool>, sigma_cells: f64) -> Self {
        let area = smooth_over_ice(&concentration.to_owned(), mask, sigma_cells);
        Self { mask, sigma_cells, per_volume: concentration / &area }
    }

    /// What it has of a field of effective thickness; NaN outside the mask.
    fn sees(&self, field: &Array2<f32>) -> Array2<f32> {
        smooth_over_ice(field, self.mask, self.sigma_cells) * &self.per_volume
    }
}

/// Gaussian mean over the cells of the mask, 4 sigma far; NaN outside the mask.
#[must_use]
pub fn smooth_over_ice(values: &Array2<f32>, mask: &Array2<bool>, sigma_cells: f64) -> Array2<f32> {
    let reach = (REACH * sigma_cells).ceil() as usize;
    let kernel: Vec<f32> =
        (0..=reach).map(|k| (-0.5 * (k as f64 / sigma_cells).powi(2)).exp() as f32).collect();
    let filled = Zip::from(values).and(mask).map_collect(|&value, &inside| if inside { value } else { 0.0 });
    let weight = mask.mapv(|inside| f32::from(u8::from(inside)));
    let (sum, weights) = (convolve(&filled, &kernel), convolve(&weight, &kernel));
    Zip::from(&sum)
        .and(&weights)
        .and(mask)
        .map_collect(|&sum, &weight, &inside| if inside { sum / weight } else { f32::NAN })
}

/// Both axes by a symmetric kernel, of which `kernel` is the half from its middle on; beyond the array is nothing.
fn convolve(values: &Array2<f32>, kernel: &[f32]) -> Array2<f32> {
    let mut result = values.clone();
    for axis in [Axis(0), Axis(1)] {
        let length = result.len_of(axis);
        let mut line = vec![0.0; length];
        for mut lane in result.lanes_mut(axis) {
            line.iter_mut().zip(&lane).for_each(|(copy, &value)| *copy = value);
            for (centre, out) in lane.iter_mut().enumerate() {
                let (first, last) =
                    (centre.saturating_sub(kernel.len() - 1), (centre + kernel.len()).min(length));
                *out = (first..last).map(|place| line[place] * kernel[place.abs_diff(centre)]).sum();
            }
        }
    }
    result
}

/// How far each cell of the mask lies from the nearest cell outside, in cells between centres, at most `limit`; 0 outside. Beyond the
/// array is outside.
#[must_use]
pub fn distance_from_edge(mask: &Array2<bool>, limit: usize) -> Array2<f32> {
    let (rows, columns) = mask.dim();
    let mut distance = distance_to(&mask.mapv(|inside| !inside), limit);
    for ((row, column), distance) in distance.indexed_iter_mut() {
        let to_border = (row + 1).min(rows - row).min(column + 1).min(columns - column);
        *distance = distance.min(to_border as f32);
    }
    distance
}

/// How far each cell lies from the nearest one that is true, in cells between centres, at most `limit`.
pub(super) fn distance_to(places: &Array2<bool>, limit: usize) -> Array2<f32> {
    let (rows, columns) = places.dim();
    let mut along = places.mapv(|place| if place { 0 } else { limit });
    for column in 0..columns {
        for row in 1..rows {
            along[[row, column]] = along[[row, column]].min(along[[row - 1, column]] + 1);
        }
        for row in (0..rows.saturating_sub(1)).rev() {
            along[[row, column]] = along[[row, column]].min(along[[row + 1, column]] + 1);
        }
    }
    Array2::from_shape_fn((rows, columns), |(row, column)| {
        let (first, last) = (column.saturating_sub(limit), (column + limit).min(columns - 1));
        let squares = (first..=last).map(|other| along[[row, other]].pow(2) + other.abs_diff(column).pow(2));
        (squares.min().unwrap_or(0) as f32).sqrt().min(limit as f32)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_straight_and_end_at_their_limit() {
        let mut mask = Array2::from_elem((9, 9), true);
        mask[[0, 0]] = false;
        let found = distance_from_edge(&mask, 6);
        assert!((found[[3, 4]] - 4.0).abs() < 1e-6, "the border is an edge, too");
        assert!((found[[2, 2]] - 8.0_f32.sqrt()).abs() < 1e-6);
        assert!(found[[0, 0]].abs() < 1e-6);
        let found = distance_to(&mask.mapv(|inside| !inside), 6);
        assert!((found[[3, 4]] - 5.0).abs() < 1e-6);
        assert!((found[[8, 8]] - 6.0).abs() < 1e-6);
    }

    #[test]
    fn a_shift_stays_a_shift_and_fine_detail_is_not_seen() {
        let shape = (160, 160);
        let mut mask = Array2::from_elem(shape, true);
        mask.slice_mut(ndarray::s![..20, ..]).fill(false);
        let low = Array2::from_elem(shape, 1.0);
        let concentration = Array2::from_elem(shape, 0.9);
        let scene = Scene {
            truth_m: &low,
            low_m: &low,
            concentration: concentration.view(),
            mask: &mask,
            cell_km: 3.0,
        };
        let CoarseTally { seen, close } = CoarseTally::of(&scene, &[&low + 0.05]);
        for found in [seen.inner_m(), seen.edge_m(), close.inner_m(), close.edge_m()] {
            assert!((found.unwrap() - 0.05).abs() < 1e-4, "{found:?}");
        }
        // 15 cells from each side; the upper one begins 20 cells down.
        let inner = (160.0 - 20.0 - 30.0) * (160.0 - 30.0);
        assert!((seen.inner_cells - inner).abs() < 1e-6, "{}", seen.inner_cells);
        assert!((close.edge_cells + inner - 140.0 * 160.0).abs() < 1e-6);
        let checked =
            Array2::from_shape_fn(shape, |(row, column)| 1.0 + 0.3 * (((row + column) % 2) as f32 - 0.5));
        let CoarseTally { seen, close } = CoarseTally::of(&scene, &[checked]);
        assert!(seen.inner_m().unwrap() < 1e-3 && close.inner_m().unwrap() < 1e-3);
    }

    /// Floes of one thickness: the product gets them right whatever their concentration is, a mean over cells does not.
    #[test]
    fn the_product_sees_the_thickness_of_floes_through_gaps_between_them() {
        let shape = (200, 200);
        let mask = Array2::from_elem(shape, true);
        let concentration = Array2::from_shape_fn(shape, |(row, _)| if row < 100 { 0.3 } else { 1.0 });
        let thickness = concentration.mapv(|concentration| 2.0 * concentration);
        let low = thickness.clone();
        let scene = Scene {
            truth_m: &low,
            low_m: &low,
            concentration: concentration.view(),
            mask: &mask,
            cell_km: 3.0,
        };
        let CoarseTally { seen, .. } = CoarseTally::of(&scene, &[thickness]);
        assert!(seen.inner_m().unwrap() < 1e-5 && seen.edge_m().unwrap() < 1e-5, "{seen:?}");
        // Where thickness itself has a wave, the product sees what the Gaussian leaves of it: exp(-(2 pi 38 / 300)^2 / 2).
        let wave = Array2::from_shape_fn((100, 400), |(_, c)| {
            (std::f64::consts::TAU * c as f64 / 100.0).cos() as f32
        });
        let (even, ice) = (Array2::from_elem((100, 400), 1.0), Array2::from_elem((100, 400), true));
        let member = &even + 0.1 * &wave;
        let seen = Product::of_day(&even.view(), &ice, 38.0 / 3.0).sees(&member);
        let left = (seen[[50, 200]] - 1.0) / 0.1;
        let expected = (-0.5 * (std::f64::consts::TAU * 38.0 / 300.0).powi(2)).exp();
        assert!((f64::from(left) - expected).abs() < 5e-3, "{left} {expected}");
    }

    /// A Gaussian of sigma s leaves exp(-(2 pi s / L)^2 / 2) of a wave of length L.
    #[test]
    fn a_wave_is_damped_as_the_gaussian_says() {
        let (sigma, length) = (4.0, 32.0);
        let shape = (8, 256);
        let wave =
            Array2::from_shape_fn(shape, |(_, c)| (std::f64::consts::TAU * c as f64 / length).cos() as f32);
        let found = smooth_over_ice(&wave, &Array2::from_elem(shape, true), sigma);
        let expected = (-0.5 * (std::f64::consts::TAU * sigma / length).powi(2)).exp();
        assert!((f64::from(found[[4, 128]]) - expected).abs() < 2e-3, "{} {expected}", found[[4, 128]]);
    }
}
