//! Statistics of the members: mean and spread as they come, exact quantiles in a second pass over their rows.

use std::io;

use ndarray::{Array2, Array3, ArrayView2, Axis, Zip, s};

use super::frame::Frame;
use super::scene::Member;
use super::{Distribution, MemberStore, Quantiles, Statistics, Thinner};

/// Rows that the second pass holds of every member at once: a band of 30 members of the full grid is 5 MB.
const BAND_ROWS: usize = 32;

/// Mean and squared deviations, updated field by field (Welford 1962).
#[derive(Debug)]
struct Moments {
    count: usize,
    mean: Array2<f64>,
    squares: Array2<f64>,
}

impl Moments {
    fn new(shape: (usize, usize)) -> Self {
        Self { count: 0, mean: Array2::zeros(shape), squares: Array2::zeros(shape) }
    }

    fn add(&mut self, field: ArrayView2<'_, f32>) {
        self.count += 1;
        let count = self.count as f64;
        Zip::from(&mut self.mean).and(&mut self.squares).and(field).par_for_each(|mean, squares, &value| {
            let before = f64::from(value) - *mean;
            *mean += before / count;
            *squares += before * (f64::from(value) - *mean);
        });
    }

    fn mean_inside(&self, mask: &Array2<bool>) -> Array2<f32> {
        inside(&self.mean, mask, |mean| mean)
    }

    fn spread_inside(&self, mask: &Array2<bool>) -> Array2<f32> {
        let divisor = (self.count as f64 - 1.0).max(1.0);
        inside(&self.squares, mask, |squares| (squares / divisor).sqrt())
    }
}

fn inside(values: &Array2<f64>, mask: &Array2<bool>, map: impl Fn(f64) -> f64) -> Array2<f32> {
    Zip::from(values)
        .and(mask)
        .map_collect(|&value, &inside| if inside { map(value) as f32 } else { f32::NAN })
}

/// The statistics of members, updated member by member.
#[derive(Debug)]
pub(super) struct Streaming {
    all: Moments,
    /// Of members and of what they started from, where that is not the same for all.
    parts: Option<Parts>,
    at_zero: usize,
    clamped: Array2<bool>,
}

/// The two reasons for which members differ.
#[derive(Debug)]
struct Parts {
    fine: Moments,
    input: Moments,
}

impl Streaming {
    /// `differing_inputs` says whether each member starts from a low-resolution thickness of its own.
    pub(super) fn new(shape: (usize, usize), differing_inputs: bool) -> Self {
        let parts = || Parts { fine: Moments::new(shape), input: Moments::new(shape) };
        Self {
            all: Moments::new(shape),
            parts: differing_inputs.then(parts),
            at_zero: 0,
            clamped: Array2::from_elem(shape, false),
        }
    }

    pub(super) fn add(&mut self, member: &Member) {
        self.at_zero += member.at_zero;
        Zip::from(&mut self.clamped).and(&member.field).for_each(|clamped, &value| *clamped |= value <= 0.0);
        self.all.add(member.field.view());
        if let Some(parts) = &mut self.parts {
            parts.fine.add((&member.field - &member.low).view());
            parts.input.add(member.low.view());
        }
    }

    pub(super) fn finish(self, mask: &Array2<bool>) -> Statistics {
        let cells = mask.iter().filter(|&&inside| inside).count() * self.all.count;
        let spread_m = self.all.spread_inside(mask);
        Statistics {
            members: self.all.count,
            mean_m: self.all.mean_inside(mask),
            fine_spread_m: match &self.parts {
                Some(parts) => parts.fine.spread_inside(mask),
                None => spread_m.clone(),
            },
            input_spread_m: self.parts.map(|parts| parts.input.spread_inside(mask)),
            spread_m,
            clamped: self.clamped,
            clamped_fraction: if cells == 0 { 0.0 } else { self.at_zero as f64 / cells as f64 },
        }
    }
}

impl Statistics {
    /// Those of a frame on the whole grid.
    pub(super) fn put_back(self, frame: &Frame) -> Self {
        let whole = |field: &Array2<f32>| frame.put_back(field, f32::NAN);
        Self {
            mean_m: whole(&self.mean_m),
            spread_m: whole(&self.spread_m),
            fine_spread_m: whole(&self.fine_spread_m),
            input_spread_m: self.input_spread_m.as_ref().map(whole),
            clamped: frame.put_back(&self.clamped, false),
            ..self
        }
    }
}

/// What the members of a store say of each cell: the quantiles at `probabilities` (each in 0..1), by linear interpolation between order
/// statistics (Hyndman and Fan 1996, type 7), and the share of members thinner than each of `thresholds_m`. Reads the members
/// once, band of rows by band of rows.
///
/// # Errors
/// Whatever the store meets while reading.
pub fn distribution(
    store: &dyn MemberStore,
    shape: (usize, usize),
    probabilities: &[f64],
    thresholds_m: &[f64],
) -> io::Result<Distribution> {
    let missing = || Array2::from_elem(shape, f32::NAN);
    let mut values_m: Vec<_> = probabilities.iter().map(|_| missing()).collect();
    let mut shares: Vec<_> = thresholds_m.iter().map(|_| missing()).collect();
    for first in (0..shape.0).step_by(BAND_ROWS) {
        let rows = first..shape.0.min(first + BAND_ROWS);
        let band = sorted_band(store, rows.clone(), shape.1)?;
        let per_cell = |out: &mut Array2<f32>, of: &dyn Fn(&[f32]) -> f32| {
            let cells = Zip::from(out.slice_mut(s![rows.clone(), ..])).and(band.lanes(Axis(2)));
            cells.for_each(|out, sorted| *out = sorted.as_slice().map_or(f32::NAN, of));
        };
        for (out, &probability) in values_m.iter_mut().zip(probabilities) {
            per_cell(out, &|sorted| interpolate(sorted, probability));
        }
        for (out, &threshold_m) in shares.iter_mut().zip(thresholds_m) {
            per_cell(out, &|sorted| share_below(sorted, threshold_m as f32));
        }
    }
    let thinner = thresholds_m.iter().zip(shares);
    Ok(Distribution {
        quantiles: Quantiles { probabilities: probabilities.to_vec(), values_m },
        thinner: thinner.map(|(&threshold_m, share)| Thinner { threshold_m, share }).collect(),
    })
}

/// Some rows of all members, `[row, column, member]`, sorted in each cell.
fn sorted_band(
    store: &dyn MemberStore,
    rows: std::ops::Range<usize>,
    columns: usize,
) -> io::Result<Array3<f32>> {
    let mut band = Array3::zeros((rows.len(), columns, store.len()));
    for member in 0..store.len() {
        band.slice_mut(s![.., .., member]).assign(&store.rows(member, rows.clone())?);
    }
    for mut cell in band.lanes_mut(Axis(2)) {
        if let Some(values) = cell.as_slice_mut() {
            values.sort_unstable_by(f32::total_cmp);
        }
    }
    Ok(band)
}

/// The share of sorted values that are below a threshold; NaN if any of them is NaN.
fn share_below(sorted: &[f32], threshold: f32) -> f32 {
    match sorted.last() {
        Some(largest) if !largest.is_nan() => {
            sorted.partition_point(|&value| value < threshold) as f32 / sorted.len() as f32
        }
        _ => f32::NAN,
    }
}

/// The quantile of sorted values; NaN if any of them is (it sorts last).
fn interpolate(sorted: &[f32], probability: f64) -> f32 {
    let Some(&largest) = sorted.last() else { return f32::NAN };
    if largest.is_nan() {
        return f32::NAN;
    }
    let position = probability.clamp(0.0, 1.0) * (sorted.len() - 1) as f64;
    let (low, high) = (sorted[position.floor() as usize], sorted[position.ceil() as usize]);
    (f64::from(low) + (position - position.floor()) * f64::from(high - low)) as f32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ensemble::InMemory;

    #[test]
    fn mean_and_spreads_are_those_of_the_formula() {
        let mask = ndarray::array![[true, false]];
        let members = [(1.0, 0.5), (2.0, 1.0), (6.0, 0.0)];
        for differing in [true, false] {
            let mut streaming = Streaming::new((1, 2), differing);
            for (value, low) in members {
                let (field, low) = (ndarray::array![[value, f32::NAN]], ndarray::array![[low, 0.0]]);
                streaming.add(&Member { field, low, at_zero: 1 });
            }
            let statistics = streaming.finish(&mask);
            assert!((statistics.mean_m[[0, 0]] - 3.0).abs() < 1e-6);
            assert!((statistics.spread_m[[0, 0]] - 7.0_f32.sqrt()).abs() < 1e-6);
            assert!(statistics.mean_m[[0, 1]].is_nan() && statistics.spread_m[[0, 1]].is_nan());
            assert!((statistics.clamped_fraction - 1.0).abs() < 1e-12);
            assert_eq!(statistics.input_spread_m.is_some(), differing);
            if let Some(input) = statistics.input_spread_m {
                // 0.5, 1, 0 and what is left: 0.5, 1, 6.
                assert!((input[[0, 0]] - 0.5).abs() < 1e-6);
                assert!((statistics.fine_spread_m[[0, 0]] - 9.25_f32.sqrt()).abs() < 1e-5);
            } else {
                assert!((statistics.fine_spread_m[[0, 0]] - 7.0_f32.sqrt()).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn quantiles_interpolate_between_order_statistics() {
        assert!((interpolate(&[1.0, 2.0, 3.0, 4.0], 0.5) - 2.5).abs() < 1e-6);
        assert!((interpolate(&[0.0, 10.0], 0.1) - 1.0).abs() < 1e-6);
        assert!(interpolate(&[1.0, f32::NAN], 0.5).is_nan());
    }

    proptest! {
        #[test]
        fn quantiles_rise_and_stay_between_the_members(
            members in prop::collection::vec(prop::collection::vec(0.0_f32..9.0, 3 * 70), 2..6)
        ) {
            let mut store = InMemory::default();
            for member in &members {
                store.append(Array2::from_shape_vec((70, 3), member.clone()).unwrap().view()).unwrap();
            }
            let found = distribution(&store, (70, 3), &[0.0, 0.3, 1.0], &[]).unwrap().quantiles;
            for cell in 0..210 {
                let at = |k: usize| found.values_m[k][[cell / 3, cell % 3]];
                let values: Vec<f32> = members.iter().map(|member| member[cell]).collect();
                let lowest = values.iter().copied().fold(f32::MAX, f32::min);
                prop_assert_eq!(at(0).to_bits(), lowest.to_bits());
                let highest = values.iter().copied().fold(f32::MIN, f32::max);
                prop_assert_eq!(at(2).to_bits(), highest.to_bits());
                prop_assert!(at(0) <= at(1) && at(1) <= at(2));
            }
        }
    }
}
