//! The uncertainty of the thickness on the product grid.

use ndarray::{Array2, Zip};

use super::fill;

/// The uncertainty with its holes filled as those of the thickness are.
pub(super) fn filled(mut uncertainty_m: Array2<f32>, ice: &Array2<bool>, reach: f64) -> Array2<f32> {
    fill(&mut [&mut uncertainty_m], ice, reach);
    uncertainty_m
}

/// Gives every cell of the mask an uncertainty, m over the ice: what is beyond reach gets the mean of those that are known. `None`
/// where none is known inside the mask.
///
/// Unlike thickness it is never a reason to leave ice out of the product: where a file has thickness without an
/// uncertainty, an average one is nearer to the truth than none.
pub(super) fn complete(mut uncertainty_m: Array2<f32>, mask: &Array2<bool>) -> Option<Array2<f32>> {
    let (sum, cells) =
        Zip::from(&uncertainty_m).and(mask).fold((0.0_f64, 0_usize), |(sum, cells), &value, &inside| {
            if inside && !value.is_nan() { (sum + f64::from(value), cells + 1) } else { (sum, cells) }
        });
    if cells == 0 {
        return None;
    }
    let mean = (sum / cells as f64) as f32;
    Zip::from(&mut uncertainty_m).and(mask).for_each(|value, &inside| {
        if !inside {
            *value = f32::NAN;
        } else if value.is_nan() {
            *value = mean;
        }
    });
    Some(uncertainty_m)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cell_of_the_mask_has_one_and_no_other() {
        let nan = f32::NAN;
        let everywhere = Array2::from_elem((1, 6), true);
        let mask = ndarray::array![[true, true, true, true, true, false]];
        let known = ndarray::array![[0.2, nan, 0.4, nan, nan, 9.0]];
        let near = complete(filled(known.clone(), &everywhere, 1.0), &mask).unwrap();
        assert!((near[[0, 1]] - 0.3).abs() < 1e-6 && near[[0, 5]].is_nan());
        assert!(near.iter().take(5).all(|value| !value.is_nan()), "{near}");
        let unfilled = complete(filled(known, &everywhere, 0.0), &mask).unwrap();
        assert!((unfilled[[0, 4]] - 0.3).abs() < 1e-6, "the mean of 0.2 and 0.4");
    }

    #[test]
    fn without_any_there_is_none() {
        let mask = ndarray::array![[true, false]];
        let known = ndarray::array![[f32::NAN, 0.3]];
        assert_eq!(complete(known, &mask), None);
    }
}
