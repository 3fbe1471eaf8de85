//! Measures for days without a truth: what is wrong of itself, whatever the truth may be.

use ndarray::{Array2, s};

use super::spectra::Ring;

/// Wavelengths, km, at which D3.1 figure 11 has a bump.
const BUMP_KM: [f64; 2] = [60.0, 90.0];
/// Wavelengths of its neighbours, between which a power law is fitted.
const NEIGHBOURS_KM: [[f64; 2]; 2] = [[40.0, 60.0], [90.0, 135.0]];
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

/// Means over square blocks of a field, and where there is none: NaN.
#[derive(Debug, Clone, PartialEq)]
pub struct BlockMeans {
    /// Blocks along a row.
    pub columns: usize,
    /// The means, row by row.
    pub means: Vec<f64>,
}

impl BlockMeans {
    /// The means over blocks of `side` cells, over the cells that have a value, where these are at least half of the block. Blocks that
    /// the array cuts do not count.
    #[must_use]
    pub fn of(values: &Array2<f32>, side: usize) -> Self {
        let (rows, columns) = (values.nrows() / side, values.ncols() / side);
        let blocks = (0..rows * columns).map(|block| {
            let (row, column) = (side * (block / columns), side * (block % columns));
            let cells = values.slice(s![row..row + side, column..column + side]);
            let (sum, count) = cells
                .iter()
                .filter(|value| !value.is_nan())
                .fold((0.0, 0.0), |(sum, count), &value| (sum + f64::from(value), count + 1.0));
            if count >= LEAST_ICE * (side * side) as f64 { sum / count } else { f64::NAN }
        });
        Self { columns, means: blocks.collect() }
    }

    /// Squares of the differences to another field's means, summed over the blocks that both have, and their number.
    #[must_use]
    pub fn squared_change(&self, other: &Self) -> (f64, usize) {
        let differences = self.means.iter().zip(&other.means).map(|(one, other)| one - other);
        differences
            .filter(|difference| !difference.is_nan())
            .fold((0.0, 0), |(sum, count), difference| (sum + difference * difference, count + 1))
    }
}

#[cfg(test)]
mod tests {
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
    fn blocks_need_ice_and_changes_need_both() {
        let mut field = Array2::from_elem((4, 6), 1.0_f32);
        field.slice_mut(s![.., 2]).fill(f32::NAN);
        field.slice_mut(s![1, 3]).fill(f32::NAN);
        let before = BlockMeans::of(&field, 2);
        assert_eq!((before.columns, before.means.len()), (3, 6));
        assert!(before.means[1].is_nan() && (before.means[4] - 1.0).abs() < 1e-12);
        let after = BlockMeans::of(&Array2::from_elem((4, 6), 3.0), 2);
        assert_eq!(before.squared_change(&after), (20.0, 5));
    }
}
