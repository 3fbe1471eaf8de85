//! Statistics of the members: mean and spread as they come, exact quantiles in a second pass over their rows.

use std::io;

use ndarray::{Array2, Array3, Axis, Zip, s};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::frame::Frame;
use super::transfer::{Lane, array};
use super::{Distribution, MemberStore, Quantiles, Statistics, Thinner};

/// Rows that the second pass holds of every member at once: a band of 30 members of the full grid is 5 MB.
const BAND_ROWS: usize = 32;

/// Mean and squared deviations of fields, updated field by field (Welford 1962) on the device that makes them.
struct Running {
    mean: Tensor,
    squares: Tensor,
}

impl Running {
    fn new(lane: Lane) -> Self {
        let nothing = || lane.zeros(Kind::Double);
        Self { mean: nothing(), squares: nothing() }
    }

    /// Takes the `count`-th field.
    fn add(&mut self, field: &Tensor, count: usize) {
        let value = field.to_kind(Kind::Double);
        let before = &value - &self.mean;
        self.mean += &before / count as f64;
        self.squares += before * (value - &self.mean);
    }

    fn ended(&self) -> Moments {
        Moments { mean: array(&self.mean), squares: array(&self.squares) }
    }
}

/// Sums over the members of a device, updated as they come and kept there.
pub(super) struct RunningSums {
    members: usize,
    at_zero: Tensor,
    clamped: Tensor,
    all: Running,
    /// Of members less what they started from, and of that, where it is not the same for all.
    parts: Option<[Running; 2]>,
}

impl RunningSums {
    /// `differing_inputs` says whether each member starts from a low-resolution thickness of its own.
    pub(super) fn new(lane: Lane, differing_inputs: bool) -> Self {
        Self {
            members: 0,
            at_zero: Tensor::zeros([1], (Kind::Int64, lane.device)),
            clamped: lane.zeros(Kind::Bool),
            all: Running::new(lane),
            parts: differing_inputs.then(|| [Running::new(lane), Running::new(lane)]),
        }
    }

    /// Takes members and what each started from, `[n, 1, row, column]`, m.
    pub(super) fn add(&mut self, members: &Tensor, lows: &Tensor) {
        let at_zero = members.le(0.0);
        self.at_zero += at_zero.sum(Kind::Int64);
        let _ = self.clamped.logical_or_(&at_zero.any_dim(0, true));
        for (member, low) in members.split(1, 0).iter().zip(lows.split(1, 0)) {
            self.members += 1;
            self.all.add(member, self.members);
            if let Some([fine, input]) = &mut self.parts {
                fine.add(&(member - &low), self.members);
                input.add(&low, self.members);
            }
        }
    }

    /// The sums, brought to the host.
    pub(super) fn ended(&self) -> Sums {
        Sums {
            counts: Counts { members: self.members, at_zero: self.at_zero.int64_value(&[0]) as usize },
            clamped: array(&self.clamped),
            all: self.all.ended(),
            parts: self.parts.as_ref().map(|parts| parts.each_ref().map(Running::ended)),
        }
    }
}

/// Mean and squared deviations of some fields.
#[derive(Debug)]
struct Moments {
    mean: Array2<f64>,
    squares: Array2<f64>,
}

impl Moments {
    /// Those of so many fields and of others together (Chan et al. 1979).
    fn with(mut self, count: usize, other: &Self, others: usize) -> Self {
        let (count, others) = (count as f64, others as f64);
        let share = others / (count + others).max(1.0);
        Zip::from(&mut self.mean).and(&mut self.squares).and(&other.mean).and(&other.squares).par_for_each(
            |mean, squares, &other_mean, &other_squares| {
                let apart = other_mean - *mean;
                *mean += share * apart;
                *squares += other_squares + share * count * apart * apart;
            },
        );
        self
    }

    fn mean_inside(&self, mask: &Array2<bool>) -> Array2<f32> {
        inside(&self.mean, mask, |mean| mean)
    }

    fn spread_inside(&self, count: usize, mask: &Array2<bool>) -> Array2<f32> {
        let divisor = (count as f64 - 1.0).max(1.0);
        inside(&self.squares, mask, |squares| (squares / divisor).sqrt())
    }
}

fn inside(values: &Array2<f64>, mask: &Array2<bool>, map: impl Fn(f64) -> f64) -> Array2<f32> {
    Zip::from(values)
        .and(mask)
        .map_collect(|&value, &inside| if inside { map(value) as f32 } else { f32::NAN })
}

/// Numbers of members and of cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Members.
    pub members: usize,
    /// Their cells inside the mask that the bound holds at 0.
    pub at_zero: usize,
}

/// What statistics are made of: sums over some of the members, which those over the others can be added to.
#[derive(Debug)]
pub struct Sums {
    counts: Counts,
    /// True where at least one member is held at 0 m.
    clamped: Array2<bool>,
    all: Moments,
    parts: Option<[Moments; 2]>,
}

impl Sums {
    /// Those over the members of both.
    pub(super) fn with(self, other: &Self) -> Self {
        let (members, others) = (self.counts.members, other.counts.members);
        let together = |own: Moments, other: &Moments| own.with(members, other, others);
        let parts = self.parts.zip(other.parts.as_ref());
        Self {
            counts: Counts { members: members + others, at_zero: self.counts.at_zero + other.counts.at_zero },
            clamped: self.clamped | &other.clamped,
            all: together(self.all, &other.all),
            parts: parts.map(|([fine, input], [other_fine, other_input])| {
                [together(fine, other_fine), together(input, other_input)]
            }),
        }
    }

    /// Numbers and fields, `[row, column]` in the frame, for sending them; there are 3 fields, or 7 where members' inputs differ.
    #[must_use]
    pub fn into_fields(self) -> (Counts, Vec<Array2<f64>>) {
        let clamped = self.clamped.mapv(|clamped| f64::from(u8::from(clamped)));
        let moments = [self.all].into_iter().chain(self.parts.into_iter().flatten());
        let fields = moments.flat_map(|moments| [moments.mean, moments.squares]);
        (self.counts, [clamped].into_iter().chain(fields).collect())
    }

    /// The sums that were sent; None where these are not the fields of any.
    #[must_use]
    pub fn from_fields(counts: Counts, fields: Vec<Array2<f64>>) -> Option<Self> {
        let is_of_one_shape = fields.windows(2).all(|pair| pair[0].dim() == pair[1].dim());
        if !is_of_one_shape || ![3, 7].contains(&fields.len()) {
            return None;
        }
        let mut fields = fields.into_iter();
        let clamped = fields.next()?.mapv(|clamped| clamped > 0.0);
        let mut moments = || Some(Moments { mean: fields.next()?, squares: fields.next()? });
        let all = moments()?;
        let parts = moments().zip(moments()).map(|(fine, input)| [fine, input]);
        Some(Self { counts, clamped, all, parts })
    }

    pub(super) fn finish(self, mask: &Array2<bool>) -> Statistics {
        let Counts { members, at_zero } = self.counts;
        let cells = mask.iter().filter(|&&inside| inside).count() * members;
        let spread_m = self.all.spread_inside(members, mask);
        let [fine, input] = match &self.parts {
            Some(parts) => parts.each_ref().map(|part| Some(part.spread_inside(members, mask))),
            None => [None, None],
        };
        Statistics {
            members,
            mean_m: self.all.mean_inside(mask),
            fine_spread_m: fine.unwrap_or_else(|| spread_m.clone()),
            input_spread_m: input,
            spread_m,
            clamped: self.clamped,
            clamped_fraction: if cells == 0 { 0.0 } else { at_zero as f64 / cells as f64 },
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
    use std::ops::Range;

    use proptest::prelude::*;
    use tch::Device;

    use super::*;
    use crate::ensemble::InMemory;

    /// Members and what they started from, two cells each.
    const MEMBERS: [(f32, f32); 5] = [(1.0, 0.5), (2.0, 1.0), (6.0, 0.0), (0.0, 0.3), (2.5, 2.0)];

    fn sums(members: Range<usize>, differing: bool) -> Sums {
        let lane = Lane::new(Device::Cpu, (1, 2));
        let fields = |of: fn(&(f32, f32)) -> [f32; 2]| {
            let values: Vec<_> = MEMBERS[members.clone()].iter().map(of).collect();
            lane.to_device(values.iter().map(<[f32; 2]>::as_slice)).unwrap()
        };
        let mut running = RunningSums::new(lane, differing);
        if !members.is_empty() {
            running.add(&fields(|member| [member.0, f32::NAN]), &fields(|member| [member.1, 0.0]));
        }
        running.ended()
    }

    #[test]
    fn mean_and_spreads_are_those_of_the_formula() {
        let mask = ndarray::array![[true, false]];
        for differing in [true, false] {
            let statistics = sums(0..3, differing).finish(&mask);
            assert!((statistics.mean_m[[0, 0]] - 3.0).abs() < 1e-6);
            assert!((statistics.spread_m[[0, 0]] - 7.0_f32.sqrt()).abs() < 1e-6);
            assert!(statistics.mean_m[[0, 1]].is_nan() && statistics.spread_m[[0, 1]].is_nan());
            assert_eq!(statistics.input_spread_m.is_some(), differing);
            if let Some(input) = statistics.input_spread_m {
                // 0.5, 1, 0 and what is left: 0.5, 1, 6.
                assert!((input[[0, 0]] - 0.5).abs() < 1e-6);
                assert!((statistics.fine_spread_m[[0, 0]] - 9.25_f32.sqrt()).abs() < 1e-5);
            } else {
                assert!((statistics.fine_spread_m[[0, 0]] - 7.0_f32.sqrt()).abs() < 1e-6);
            }
        }
        let statistics = sums(0..5, true).finish(&mask);
        assert!((statistics.clamped_fraction - 0.2).abs() < 1e-12);
        assert_eq!(statistics.clamped, ndarray::array![[true, false]]);
    }

    #[test]
    fn sums_of_shares_are_those_of_all_also_when_they_were_sent() {
        let mask = ndarray::array![[true, false]];
        for differing in [true, false] {
            let all = sums(0..5, differing).finish(&mask);
            for cuts in [[0, 2], [1, 4], [3, 3], [5, 5], [0, 0]] {
                let sent = |members| {
                    let (counts, fields) = sums(members, differing).into_fields();
                    Sums::from_fields(counts, fields).unwrap()
                };
                let [first, second] = cuts;
                let parts = sent(0..first).with(&sent(first..second)).with(&sent(second..5)).finish(&mask);
                assert_eq!(parts.members, 5);
                let cell = |field: &Array2<f32>| field[[0, 0]];
                let of = |found: &Statistics| {
                    let input = found.input_spread_m.as_ref().map_or(0.0, cell);
                    [cell(&found.mean_m), cell(&found.spread_m), cell(&found.fine_spread_m), input]
                };
                for (found, expected) in of(&parts).into_iter().zip(of(&all)) {
                    assert!((found - expected).abs() < 1e-6, "{cuts:?}: {found} {expected}");
                }
                assert_eq!(parts.clamped, all.clamped);
                assert!((parts.clamped_fraction - all.clamped_fraction).abs() < 1e-12);
            }
        }
        let sent = |fields| Sums::from_fields(Counts { members: 1, at_zero: 0 }, fields);
        assert!(
            (0..9).all(|count| sent(vec![Array2::zeros((1, 2)); count]).is_some() == [3, 7].contains(&count))
        );
        assert!(sent([(1, 2), (1, 2), (2, 1)].map(Array2::zeros).to_vec()).is_none());
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
