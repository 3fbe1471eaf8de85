//! Coarse consistency: whether members, seen as the satellites see, are what the satellites saw.

use ndarray::{Array2, Axis, Zip};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::Scene;

/// Standard deviation of the Gaussian that stands for the thickness product, km.
const SIGMA_KM: f64 = 26.0;
/// Its reach, in standard deviations.
const REACH: f64 = 4.0;
/// Cells nearer to the mask's edge are scored apart, km.
const EDGE_KM: f64 = 45.0;

/// Squared differences, m^2, between smoothed members and the smoothed low-resolution field, mean over the members.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CoarseTally {
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
        Self::between(scene.low_m, members, scene.mask, scene.cell_km)
    }

    /// The squares between members and the field that they stand on.
    #[must_use]
    pub fn between(low_m: &Array2<f32>, members: &[Array2<f32>], mask: &Array2<bool>, cell_km: f64) -> Self {
        let from_edge = distance_from_edge(mask, (EDGE_KM / cell_km).ceil() as usize + 1);
        // Smoothing is linear: the difference is smoothed, once for a member.
        let of_each: Vec<Self> = members
            .par_iter()
            .map(|member| {
                let difference = smooth_over_ice(&(member - low_m), mask, SIGMA_KM / cell_km);
                let mut sum = Self::default();
                Zip::from(&difference).and(&from_edge).and(mask).for_each(|&value, &distance, &inside| {
                    if inside {
                        let square = f64::from(value).powi(2);
                        if f64::from(distance) * cell_km > EDGE_KM {
                            sum.inner_cells += 1.0;
                            sum.inner += square;
                        } else {
                            sum.edge_cells += 1.0;
                            sum.edge += square;
                        }
                    }
                });
                sum
            })
            .collect();
        let share = 1.0 / members.len().max(1) as f64;
        of_each.iter().fold(Self::default(), |mut total, one| {
            total.inner_cells += share * one.inner_cells;
            total.inner += share * one.inner;
            total.edge_cells += share * one.edge_cells;
            total.edge += share * one.edge;
            total
        })
    }

    /// Adds the sums of another scene.
    pub fn add(&mut self, other: &Self) {
        self.inner_cells += other.inner_cells;
        self.inner += other.inner;
        self.edge_cells += other.edge_cells;
        self.edge += other.edge;
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
        let shifted = &low + 0.05;
        let tally = CoarseTally::between(&low, &[shifted], &mask, 3.0);
        assert!(
            (tally.inner_m().unwrap() - 0.05).abs() < 1e-4 && (tally.edge_m().unwrap() - 0.05).abs() < 1e-4
        );
        // 15 cells from each side; the upper one begins 20 cells down.
        let inner = (160.0 - 20.0 - 30.0) * (160.0 - 30.0);
        assert!((tally.inner_cells - inner).abs() < 1e-6, "{}", tally.inner_cells);
        assert!((tally.edge_cells + inner - 140.0 * 160.0).abs() < 1e-6);
        let checked =
            Array2::from_shape_fn(shape, |(row, column)| 1.0 + 0.3 * (((row + column) % 2) as f32 - 0.5));
        let tally = CoarseTally::between(&low, &[checked], &mask, 3.0);
        assert!(tally.inner_m().unwrap() < 1e-3);
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
