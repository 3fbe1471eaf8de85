//! The light smoothing that takes away the noise of remapping (D3.1 section 8.2).

use ndarray::Array2;
use rayon::prelude::*;

const REACH: usize = 2;

/// 5 x 5 Gaussian mean (sigma one cell) over the valid cells; cells without a value stay without.
pub(super) fn smooth(values: &Array2<f32>) -> Array2<f32> {
    let weights: Vec<f64> =
        (0..=2 * REACH).map(|k| (-0.5 * (k as f64 - REACH as f64).powi(2)).exp()).collect();
    let (rows, columns) = values.dim();
    let mut out = Array2::from_elem(values.dim(), f32::NAN);
    out.outer_iter_mut().into_par_iter().enumerate().for_each(|(row, mut out)| {
        for column in (0..columns).filter(|&column| !values[[row, column]].is_nan()) {
            let (mut sum, mut total) = (0.0_f64, 0.0_f64);
            for r in row.saturating_sub(REACH)..(row + REACH + 1).min(rows) {
                for c in column.saturating_sub(REACH)..(column + REACH + 1).min(columns) {
                    let value = values[[r, c]];
                    if !value.is_nan() {
                        let weight = weights[r + REACH - row] * weights[c + REACH - column];
                        sum += weight * f64::from(value);
                        total += weight;
                    }
                }
            }
            out[column] = (sum / total) as f32;
        }
    });
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_single_peak_becomes_the_kernel() {
        let mut values = Array2::zeros((9, 9));
        values[[4, 4]] = 1.0;
        let out = smooth(&values);
        let total: f32 = (-2_i32..=2).map(|k| (-0.5 * (k * k) as f32).exp()).sum();
        assert!((out[[4, 4]] - 1.0 / (total * total)).abs() < 1e-6);
        assert!((out[[4, 6]] - (-2.0_f32).exp() / (total * total)).abs() < 1e-6);
        assert!(out[[4, 7]].abs() < 1e-12);
    }

    proptest! {
        #[test]
        fn holes_stay_holes_and_a_constant_stays_constant(holes in prop::collection::vec(any::<bool>(), 49), constant in -9.0_f32..9.0) {
            let values = Array2::from_shape_fn((7, 7), |(r, c)| if holes[7 * r + c] { f32::NAN } else { constant });
            for (out, value) in smooth(&values).iter().zip(&values) {
                prop_assert_eq!(out.is_nan(), value.is_nan());
                prop_assert!(out.is_nan() || (out - constant).abs() < 1e-5);
            }
        }
    }
}
