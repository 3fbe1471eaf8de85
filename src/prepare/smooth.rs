//! The light smoothing that takes away the noise of remapping (D3.1 section 8.2).

use ndarray::Array2;
use rayon::prelude::*;

const REACH: usize = 2;

/// 5 x 5 Gaussian mean (sigma one cell) over the valid cells; cells without a value stay without.
#[must_use]
pub fn smooth(values: &Array2<f32>) -> Array2<f32> {
    let weights: [f64; 2 * REACH + 1] =
        std::array::from_fn(|k| (-0.5 * (k as f64 - REACH as f64).powi(2)).exp());
    let (rows, columns) = values.dim();
    let values = values.as_standard_layout();
    let mut out = Array2::from_elem(values.dim(), f32::NAN);
    out.outer_iter_mut().into_par_iter().enumerate().for_each(|(row, mut out)| {
        // The kernel is a product of one along each dimension: down first, with what is beyond the ends counting nothing.
        let mut sums = vec![0.0_f64; columns + 2 * REACH];
        let mut totals = sums.clone();
        for r in row.saturating_sub(REACH)..(row + REACH + 1).min(rows) {
            let weight = weights[r + REACH - row];
            let down = sums[REACH..].iter_mut().zip(&mut totals[REACH..]);
            for ((sum, total), &value) in down.zip(values.row(r)) {
                let valid = !value.is_nan();
                *sum += if valid { weight * f64::from(value) } else { 0.0 };
                *total += if valid { weight } else { 0.0 };
            }
        }
        let along = |down: &[f64], column: usize| -> f64 {
            down[column..].iter().zip(&weights).map(|(value, weight)| value * weight).sum()
        };
        for (column, (out, value)) in out.iter_mut().zip(values.row(row)).enumerate() {
            if !value.is_nan() {
                *out = (along(&sums, column) / along(&totals, column)) as f32;
            }
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
