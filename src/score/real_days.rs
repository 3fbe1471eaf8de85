//! Measures for days without a truth: what is wrong of itself, whatever the truth may be.

use ndarray::{Array2, s};
use serde::{Deserialize, Serialize};

use super::coarse::{distance_from_edge, distance_to};
use super::spectra::Ring;

/// Wavelengths, km, at which D3.1 figure 11 has a bump.
const BUMP_KM: [f64; 2] = [60.0, 90.0];
/// Wavelengths of its neighbours, between which a power law is fitted.
const NEIGHBOURS_KM: [[f64; 2]; 2] = [[40.0, 60.0], [90.0, 135.0]];
/// What lies so near to the boundary of a hole is beside it, km.
const NEAR_KM: f64 = 6.0;
/// What lies farther than this from it, or from the mask's edge, is free of it, km.
const CLEAR_KM: f64 = 30.0;
/// A block counts where at least this share of it is ice.
const LEAST_ICE: f64 = 0.5;

/// The largest ratio, between 60 and 90 km, of a spectrum to the power law through its neighbours (40 to 60 and 90 to 135 km), by
/// least squares in the logarithms. `None` where either has no ring.
#[must_use]
pub fn bump(spectrum: &Ring, wavelengths_km: &Ring) -> Option<f64> {
    let inside = |km: f64, [low, high]: [f64; 2]| low <= km && km <= high;
    let logarithms = || wavelengths_km.iter().zip(spectrum).map(|(km, power)| (km.ln(), power.ln()));
    let chosen = |part: &dyn Fn(f64) -> bool| -> Vec<(f64, f64)> {
        logarithms().filter(|(x, y)| part(x.exp()) && y.is_finite()).collect()
    };
    let bump = chosen(&|km| km > BUMP_KM[0] && km < BUMP_KM[1]);
    let around = chosen(&|km| NEIGHBOURS_KM.iter().any(|&part| inside(km, part)));
    let count = around.len() as f64;
    let (mean_x, mean_y) =
        around.iter().fold((0.0, 0.0), |(x, y), point| (x + point.0 / count, y + point.1 / count));
    let [xx, xy] = around
        .iter()
        .fold([0.0; 2], |[xx, xy], (x, y)| [xx + (x - mean_x).powi(2), xy + (x - mean_x) * (y - mean_y)]);
    let excess = bump.iter().map(|(x, y)| (y - (mean_y + xy / xx * (x - mean_x))).exp());
    if around.len() < 2 {
        None
    } else {
        excess.fold(None, |most, one| Some(most.map_or(one, |most: f64| most.max(one))))
    }
}

/// Magnitude of the gradient, per cell, by central differences; NaN where one of the four neighbours has no value.
#[must_use]
pub fn gradient_magnitude(values: &Array2<f32>) -> Array2<f32> {
    let mut result = Array2::from_elem(values.dim(), f32::NAN);
    let (rows, columns) = values.dim();
    for (row, column) in
        (1..rows.max(1) - 1).flat_map(|row| (1..columns.max(1) - 1).map(move |column| (row, column)))
    {
        let down = values[[row + 1, column]] - values[[row - 1, column]];
        let across = values[[row, column + 1]] - values[[row, column - 1]];
        result[[row, column]] = 0.5 * down.hypot(across);
    }
    result
}

/// Gradients of an anomaly beside the boundary of what was filled, and far from it, both far from the mask's edge.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct HoleTally {
    /// Cells within 6 km of the boundary, on either side.
    pub near_cells: f64,
    /// Sum of their gradients.
    pub near: f64,
    /// Cells farther than 30 km from it.
    pub far_cells: f64,
    /// Sum of their gradients.
    pub far: f64,
}

impl HoleTally {
    /// The gradients of an anomaly (NaN outside the mask), where some cells of the mask were filled.
    #[must_use]
    pub fn of(anomaly: &Array2<f32>, filled: &Array2<bool>, mask: &Array2<bool>, cell_km: f64) -> Self {
        let clear = (CLEAR_KM / cell_km).round() as usize;
        let from_edge = distance_from_edge(mask, clear + 1);
        // How far the other kind is: a filled cell's distance to what was seen, and a seen one's to what was filled. The border of
        // the array is no boundary of either.
        let seen = filled.mapv(|filled| !filled);
        let to_seen = distance_to(&seen, clear + 1);
        let to_filled = distance_to(filled, clear + 1);
        let mut sum = Self::default();
        for (cell, &gradient) in gradient_magnitude(anomaly).indexed_iter() {
            let km = |distance: &Array2<f32>| f64::from(distance[cell]) * cell_km;
            if gradient.is_nan() || km(&from_edge) <= CLEAR_KM {
                continue;
            }
            let boundary = km(if filled[cell] { &to_seen } else { &to_filled });
            if boundary <= NEAR_KM {
                sum.near_cells += 1.0;
                sum.near += f64::from(gradient);
            } else if boundary > CLEAR_KM {
                sum.far_cells += 1.0;
                sum.far += f64::from(gradient);
            }
        }
        sum
    }

    /// Adds other sums.
    pub fn add(&mut self, other: &Self) {
        self.near_cells += other.near_cells;
        self.near += other.near;
        self.far_cells += other.far_cells;
        self.far += other.far;
    }

    /// The mean gradient near the boundary over that far from it.
    #[must_use]
    pub fn ratio(&self) -> Option<f64> {
        let both = self.near_cells > 0.0 && self.far_cells > 0.0 && self.far > 0.0;
        both.then(|| (self.near / self.near_cells) / (self.far / self.far_cells))
    }
}

/// Means over square blocks of `side` cells, row by row, over the cells that have a value, where these are at least half of the block.
/// Blocks that the array cuts do not count.
#[must_use]
pub fn block_means(values: &Array2<f32>, side: usize) -> Vec<Option<f64>> {
    let (rows, columns) = (values.nrows() / side, values.ncols() / side);
    let blocks = (0..rows * columns).map(|block| {
        let (row, column) = (side * (block / columns), side * (block % columns));
        let cells = values.slice(s![row..row + side, column..column + side]);
        let (sum, count) = cells
            .iter()
            .filter(|value| !value.is_nan())
            .fold((0.0, 0.0), |(sum, count), &value| (sum + f64::from(value), count + 1.0));
        (count >= LEAST_ICE * (side * side) as f64).then_some(sum / count)
    });
    blocks.collect()
}

#[cfg(test)]
mod tests {
    use ndarray::Zip;

    use super::*;
    use crate::score::RINGS;

    fn wavelengths() -> Ring {
        (1..=RINGS).map(|ring| 384.0 / ring as f64).collect()
    }

    #[test]
    fn a_power_law_has_no_bump_and_a_bump_is_measured() {
        let mut spectrum: Ring = wavelengths().iter().map(|km| 3.0 * km.powf(2.7)).collect();
        assert!((bump(&spectrum, &wavelengths()).unwrap() - 1.0).abs() < 1e-9);
        // 384 / 5 = 76.8 km.
        spectrum[4] *= 1.5;
        assert!((bump(&spectrum, &wavelengths()).unwrap() - 1.5).abs() < 1e-9);
        assert_eq!(bump(&vec![], &vec![]), None);
    }

    #[test]
    fn a_slope_has_its_gradient_and_the_border_none() {
        let slope = Array2::from_shape_fn((5, 6), |(r, c)| 3.0 * r as f32 + 4.0 * c as f32);
        let found = gradient_magnitude(&slope);
        assert!((found[[2, 2]] - 5.0).abs() < 1e-5 && found[[0, 2]].is_nan());
    }

    #[test]
    fn blocks_need_ice() {
        let mut field = Array2::from_elem((5, 6), 1.0_f32);
        field.slice_mut(s![.., 2]).fill(f32::NAN);
        field.slice_mut(s![1, 3]).fill(f32::NAN);
        assert_eq!(block_means(&field, 2), [Some(1.0), None, Some(1.0), Some(1.0), Some(1.0), Some(1.0)]);
    }

    /// Twice the slope on the one side of a boundary, and a step at it that is ten times the slope.
    #[test]
    fn a_step_at_the_boundary_of_a_hole_is_seen() {
        let shape = (80, 80);
        let mask = Array2::from_elem(shape, true);
        let filled = Array2::from_shape_fn(shape, |(_, column)| column >= 40);
        let smooth = Array2::from_shape_fn(shape, |(_, column)| 0.1 * column as f32);
        let even = HoleTally::of(&smooth, &filled, &mask, 3.0);
        assert!((even.ratio().unwrap() - 1.0).abs() < 1e-3, "{even:?}");
        let step =
            Zip::from(&smooth).and(&filled).map_collect(|&v, &filled| if filled { v + 1.0 } else { v });
        // Central differences see the step in 2 of the 4 columns within 6 km: (0.1 + 0.6) / 2 over 0.1.
        let stepped = HoleTally::of(&step, &filled, &mask, 3.0);
        assert!((stepped.ratio().unwrap() - 3.5).abs() < 1e-2, "{stepped:?}");
        assert_eq!(HoleTally::of(&smooth, &Array2::from_elem(shape, false), &mask, 3.0).ratio(), None);
    }
}
