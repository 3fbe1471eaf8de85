//! What the network sees of a day.

use ndarray::{Array2, Array3, Axis, Zip};

/// Deformation below this counts as this, 1/day: the noise of the drift product hides anything smaller.
const SMALLEST_DEFORMATION_PER_DAY: f32 = 2e-3;

/// The channel of the context that has the concentration.
pub const CONCENTRATION_CHANNEL: usize = 0;
/// The channel of the context that has the deformation.
const DEFORMATION: usize = 2;

/// The context of the network before standardising, `[4, row, column]`: concentration (fraction), effective thickness (m),
/// ln of the deformation (per day) and the mask. All are 0 where the mask is 0; the deformation is NaN where it is not known.
#[must_use]
pub fn context(
    concentration: &Array2<f32>,
    effective_thickness_m: &Array2<f32>,
    deformation_per_day: &Array2<f32>,
    mask: &Array2<bool>,
) -> Array3<f32> {
    let (rows, columns) = mask.dim();
    let mut context = Array3::zeros((4, rows, columns));
    let channel = |values: &Array2<f32>, map: fn(f32) -> f32, mut out: ndarray::ArrayViewMut2<'_, f32>| {
        Zip::from(&mut out).and(values).and(mask).for_each(|out, &value, &inside| {
            if inside {
                *out = map(value);
            }
        });
    };
    channel(concentration, |value| value, context.index_axis_mut(Axis(0), CONCENTRATION_CHANNEL));
    channel(effective_thickness_m, |value| value, context.index_axis_mut(Axis(0), 1));
    channel(
        deformation_per_day,
        // Not `max`: that would make the smallest of what is not known.
        |value| {
            if value < SMALLEST_DEFORMATION_PER_DAY { SMALLEST_DEFORMATION_PER_DAY.ln() } else { value.ln() }
        },
        context.index_axis_mut(Axis(0), DEFORMATION),
    );
    context.index_axis_mut(Axis(0), 3).assign(&mask.mapv(|inside| f32::from(u8::from(inside))));
    context
}

/// Standardises the first three channels of a context inside its mask. A deformation that is not known becomes 0, the mean of the training
/// data: so do networks learn to do without it.
pub fn standardise(context: &mut Array3<f32>, mean: [f32; 3], standard_deviation: [f32; 3]) {
    let mask = context.index_axis(Axis(0), 3).to_owned();
    for channel in 0..3 {
        Zip::from(context.index_axis_mut(Axis(0), channel)).and(&mask).for_each(|value, &inside| {
            *value = inside * (*value - mean[channel]) / standard_deviation[channel];
        });
    }
    let known = |value: f32| if value.is_nan() { 0.0 } else { value };
    context.index_axis_mut(Axis(0), DEFORMATION).mapv_inplace(known);
}

/// So many standard deviations of the training data from their mean an input of the network may lie before it is said to be outside
/// their range.
const TRAINING_RANGE: f32 = 4.0;

/// True where one of the first three channels of a standardised context lies far from what the network was trained with.
#[must_use]
pub fn outside_training_range(standardised: &Array3<f32>) -> Array2<bool> {
    let channels = standardised.slice(ndarray::s![..3, .., ..]);
    channels.map_axis(Axis(0), |values| values.iter().any(|value| value.abs() > TRAINING_RANGE))
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn what_lies_far_from_the_training_data_is_found_inside_the_mask() {
        let thickness_m = array![[1.0, 9.0, 9.0]];
        let mask = array![[true, true, false]];
        let mut context = context(&array![[0.9, 0.9, 0.9]], &thickness_m, &array![[0.02, 0.02, 0.02]], &mask);
        standardise(&mut context, [0.9, 1.0, -4.0], [0.1, 1.0, 1.0]);
        assert_eq!(outside_training_range(&context), array![[false, true, false]]);
    }

    #[test]
    fn a_deformation_that_is_not_known_is_shown_as_the_mean_and_no_other_value() {
        let deformation_per_day = array![[f32::NAN, 1e-5, 0.02]];
        let mut context =
            context(&array![[0.9; 3]], &array![[1.8; 3]], &deformation_per_day, &array![[true; 3]]);
        assert!(context[[2, 0, 0]].is_nan());
        standardise(&mut context, [0.9, 1.8, -4.0], [0.1, 1.0, 0.5]);
        assert!(context[[2, 0, 0]].abs() < 1e-9, "{context}");
        assert!(context[[2, 0, 1]] < -4.0 && context[[2, 0, 2]] > 0.0, "{context}");
        assert!(context.iter().all(|value| value.is_finite()));
    }

    #[test]
    fn nothing_is_seen_outside_the_mask() {
        let nan = f32::NAN;
        let mask = array![[true, false]];
        let mut context = context(&array![[0.9, 0.1]], &array![[1.8, nan]], &array![[1e-5, nan]], &mask);
        assert!((context[[2, 0, 0]] - 2e-3_f32.ln()).abs() < 1e-6);
        standardise(&mut context, [0.5, 0.8, 0.0], [0.2, 0.5, 1.0]);
        assert!((context[[0, 0, 0]] - 2.0).abs() < 1e-6 && (context[[1, 0, 0]] - 2.0).abs() < 1e-6);
        assert!(context.slice(ndarray::s![.., .., 1]).iter().all(|&value| value == 0.0));
    }
}
