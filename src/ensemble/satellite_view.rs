//! What the thickness product sees of a field, and members in which it sees what it did.
//!
//! The network draws anomalies; nothing in it forces the product to see in them what it saw. Here each member is moved, smoothly, until
//! it does, on the device that drew it.

use ndarray::{Array2, ArrayView2};
use tch::{Device, Kind, Tensor};

use super::CELL_KM;
use super::transfer::{array, tensor};
use crate::prepare;

/// Standard deviation of the Gaussian that the merged thickness sees through, km: the middle of the 26 to 50 km of the observation
/// operator (docs/training.md), whose synthetic truth is seen most exactly so. docs/architecture.md says why it is not 26 km.
const SIGMA_KM: f64 = 38.0;
/// Standard deviation of the Gaussian through which a member and what it started from may be asked to agree instead, km.
const MEANS_SIGMA_KM: f64 = 26.0;
/// The Gaussian is cut at so many standard deviations, where it has fallen to 3e-4.
const REACH_SIGMAS: f64 = 4.0;
/// Cells within this distance of the mask's edge, km, are held to less: half of their surroundings is not ice.
const EDGE_KM: f64 = 45.0;
/// By how much a member may be seen to differ from its input, root mean square over the cells farther from the edge than that, m. The
/// synthetic truth itself differs by as much.
pub const INNER_TOLERANCE_M: f64 = 0.02;
/// The same within that distance of the edge, m.
pub const EDGE_TOLERANCE_M: f64 = 0.04;
/// Corrections go on until the differences are this share of what they may be, so that what is left of it is for rounding in files.
const GOAL: f64 = 0.9;
/// Each correction digs deeper for waves that the product hardly sees, and finds less of the truth and more of its own errors.
const MOST_CORRECTIONS: usize = 4;
/// The correction is whole where at least this share of the Gaussian's weight is on ice, and fades to nothing with it.
const WHOLE_ABOVE_SHARE: f64 = 0.5;

/// How far a member is seen to differ from its input, root mean square, m; 0 where there are no cells.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SeenDifference {
    /// Over the cells farther than 45 km from the mask's edge.
    pub inner_m: f64,
    /// Over the others.
    pub edge_m: f64,
}

/// How the merged thickness product sees the ice of one day: volume over area, both through a Gaussian, for the ice in each cell. Fields
/// on its device are `[n, 1, row, column]`.
#[derive(Debug)]
pub struct SatelliteView {
    /// The Gaussian along columns, `[row, row]`, and along rows, `[column, column]`, as matrices: a band around the diagonal.
    down: Tensor,
    along: Tensor,
    /// True where there is no ice.
    outside: Tensor,
    /// What turns smoothed volume into what the product has of a cell: concentration over smoothed area; 0 outside the mask.
    concentration_to_area: Tensor,
    /// How much of a correction a cell gets, 0 to 1: less where little of the Gaussian's weight is inside the mask.
    corrected_share: Tensor,
    /// The cells farther than 45 km from the mask's edge, which may be that of the grid.
    inner: Part,
    /// The others.
    edge: Part,
}

/// Some cells of the mask.
#[derive(Debug)]
struct Part {
    /// 1 in these, else 0.
    cells: Tensor,
    count: f64,
}

impl Part {
    fn of(cells: &Array2<bool>) -> Self {
        let count = cells.iter().filter(|&&is_in| is_in).count();
        Self { cells: tensor(cells.view()).to_kind(Kind::Float), count: count.max(1) as f64 }
    }

    fn on(self, device: Device) -> Self {
        Self { cells: self.cells.to_device(device), ..self }
    }

    /// The root mean square of each field over these cells, `[n]`; 0 where there are none.
    fn size_of(&self, fields: &Tensor) -> Tensor {
        let squares = fields.square() * &self.cells;
        (squares.sum_dim_intlist(&[1_i64, 2, 3][..], false, Kind::Double) / self.count).sqrt()
    }
}

impl SatelliteView {
    /// For the cells where `mask` is true, with their concentration as a fraction; cells of 3 km.
    #[must_use]
    pub fn of_day(mask: &Array2<bool>, concentration: ArrayView2<'_, f32>) -> Self {
        Self::through(SIGMA_KM, mask, concentration)
    }

    /// Means over the ice through a Gaussian of 26 km, as somebody has them who looks closer than the product; cells of 3 km.
    #[must_use]
    pub fn of_means(mask: &Array2<bool>) -> Self {
        Self::through(MEANS_SIGMA_KM, mask, Array2::ones(mask.dim()).view())
    }

    fn through(sigma_km: f64, mask: &Array2<bool>, concentration: ArrayView2<'_, f32>) -> Self {
        let weights = weights(sigma_km / CELL_KM);
        let (rows, columns) = mask.dim();
        let (down, along) = (band(&weights, rows), band(&weights, columns));
        let outside = tensor(mask.mapv(|inside| !inside).view());
        let blurred = |field: &Tensor| down.matmul(field).matmul(&along);
        let share = blurred(&outside.logical_not().to_kind(Kind::Float));
        let area = tensor(concentration).masked_fill(&outside, 0.0);
        let concentration_to_area = (&area / blurred(&area)).masked_fill(&area.gt(0.0).logical_not(), 0.0);
        let [inner, edge] = parts_of(mask).map(|part| Part::of(&part));
        let corrected_share = (share / WHOLE_ABOVE_SHARE).clamp_max(1.0);
        Self { down, along, outside, concentration_to_area, corrected_share, inner, edge }
    }

    /// The same on another device.
    pub(super) fn on(self, device: Device) -> Self {
        Self {
            down: self.down.to_device(device),
            along: self.along.to_device(device),
            outside: self.outside.to_device(device),
            concentration_to_area: self.concentration_to_area.to_device(device),
            corrected_share: self.corrected_share.to_device(device),
            inner: self.inner.on(device),
            edge: self.edge.on(device),
        }
    }

    /// What the product has of a field of effective thickness on the host, m, as effective thickness in the cells of the mask; 0 elsewhere.
    /// What the field has outside the mask does not matter.
    #[must_use]
    pub fn of(&self, field: ArrayView2<'_, f32>) -> Array2<f32> {
        array(&self.seen(&tensor(field)))
    }

    /// [`Self::of`] for fields on its device.
    pub(super) fn seen(&self, fields: &Tensor) -> Tensor {
        let on_ice = fields.masked_fill(&self.outside, 0.0);
        self.down.matmul(&on_ice).matmul(&self.along) * &self.concentration_to_area
    }

    /// How far what is seen of a member on the host differs from `wanted`, which is the low-resolution field that it started from, or what
    /// is seen of that.
    #[must_use]
    pub fn difference(&self, member: ArrayView2<'_, f32>, wanted: ArrayView2<'_, f32>) -> SeenDifference {
        let missing = self.missing(&tensor(member), &tensor(wanted));
        let size = |part: &Part| part.size_of(&missing).double_value(&[0]);
        SeenDifference { inner_m: size(&self.inner), edge_m: size(&self.edge) }
    }

    /// What is wanted and not seen in members, m; 0 outside the mask.
    fn missing(&self, members: &Tensor, wanted: &Tensor) -> Tensor {
        (wanted - self.seen(members)).masked_fill(&self.outside, 0.0)
    }

    /// Moves members (effective thickness, m) until what is seen of each is `wanted` (see [`Self::difference`]), within the tolerances, or
    /// four times; they stay at or above 0. Open water in them stays open water, and cells outside the mask stay as they are.
    ///
    /// A step adds what is missing: a smooth thickness over the ice, times concentration, so that detail finer than the Gaussian stays.
    /// As the Gaussian's spectrum lies between 0 and 1, what is missing shrinks; a box mean, whose spectrum goes below 0, would blow some
    /// of it up.
    pub(super) fn hold(&self, members: Tensor, wanted: &Tensor) -> Tensor {
        let is_ice = members.gt(0.0).logical_and(&self.outside.logical_not());
        let mut members = members;
        for _ in 0..MOST_CORRECTIONS {
            let missing = self.missing(&members, wanted);
            let is_near = |part: &Part, tolerance_m: f64| part.size_of(&missing).le(GOAL * tolerance_m);
            let is_right =
                is_near(&self.inner, INNER_TOLERANCE_M).logical_and(&is_near(&self.edge, EDGE_TOLERANCE_M));
            let is_off = is_right.logical_not();
            // To ask a GPU would be to wait for it; there a correction by nothing costs less.
            if members.device() == Device::Cpu && !bool::try_from(is_off.any()).unwrap_or(true) {
                break;
            }
            let correction = missing * &self.corrected_share * is_off.reshape([-1, 1, 1, 1]);
            members = (&members + correction).clamp_min(0.0).where_self(&is_ice, &members);
        }
        members
    }
}

/// The cells of the mask farther than 45 km from its edge, and the others.
fn parts_of(mask: &Array2<bool>) -> [Array2<bool>; 2] {
    let to_edge = prepare::distance_cells(&mask.mapv(|inside| !inside));
    let (rows, columns) = mask.dim();
    let part = |is_inner: bool| {
        Array2::from_shape_fn(mask.dim(), |(row, column)| {
            let to_border = (row + 1).min(rows - row).min(column + 1).min(columns - column);
            let distance_km = CELL_KM * f64::from(to_edge[[row, column]]).min(to_border as f64);
            mask[[row, column]] && (distance_km > EDGE_KM) == is_inner
        })
    };
    [part(true), part(false)]
}

/// The weights of a Gaussian from its centre outwards; with their mirror image they add up to 1.
fn weights(sigma: f64) -> Vec<f32> {
    let reach = (REACH_SIGMAS * sigma).ceil() as usize;
    let weights: Vec<f64> = (0..=reach).map(|k| (-0.5 * (k as f64 / sigma).powi(2)).exp()).collect();
    let sum = 2.0 * weights.iter().sum::<f64>() - weights[0];
    weights.iter().map(|weight| (weight / sum) as f32).collect()
}

/// The matrix by which a line of so many cells is smoothed; nothing comes in from beyond the line.
fn band(weights: &[f32], cells: usize) -> Tensor {
    let weight = |(to, from): (usize, usize)| weights.get(to.abs_diff(from)).copied().unwrap_or(0.0);
    tensor(Array2::from_shape_fn((cells, cells), weight).view()).reshape([cells as i64, cells as i64])
}

#[cfg(test)]
mod tests {
    use tch::{Kind, Tensor};

    use super::*;
    use crate::ensemble::standard_normal;
    use crate::ensemble::transfer::arrays;
    use crate::score;

    const SIDE: usize = 256;

    /// A random periodic field of unit variance whose power falls as wavenumber^-`slope` per mode beyond `longest` cells.
    fn power_law(key: &str, slope: f64, longest: f64) -> Array2<f32> {
        let side = SIDE as i64;
        let white = Tensor::from_slice(&standard_normal(key, SIDE * SIDE)).reshape([side, side]);
        let frequency = |index: usize| index.min(SIDE - index) as f64 / SIDE as f64;
        let filter: Vec<f32> = (0..SIDE * SIDE)
            .map(|index| {
                let wavenumber = frequency(index / SIDE).hypot(frequency(index % SIDE));
                (wavenumber.powi(2) + longest.powi(-2)).powf(-0.25 * slope) as f32
            })
            .collect();
        let filter = Tensor::from_slice(&filter).reshape([side, side]);
        let field = (white.fft_fft2(None::<&[i64]>, [0, 1], "backward") * filter)
            .fft_ifft2(None::<&[i64]>, [0, 1], "backward")
            .real();
        let field = &field - field.mean(Kind::Float);
        let field = &field / field.std(true);
        let mut values = vec![0.0_f32; SIDE * SIDE];
        field.contiguous().copy_data(&mut values, SIDE * SIDE);
        Array2::from_shape_vec((SIDE, SIDE), values).unwrap()
    }

    /// A day: ice with a ragged edge, leads of open water, a thin and a thick part, what the product saw of it, and a member with other
    /// detail and errors of its own at large scales.
    struct Day {
        mask: Array2<bool>,
        concentration: Array2<f32>,
        view: SatelliteView,
        low: Array2<f32>,
        member: Array2<f32>,
    }

    fn day(number: usize) -> Day {
        let shore = power_law(&format!("{number}|shore"), 2.6, 60.0);
        let mask = Array2::from_shape_fn((SIDE, SIDE), |(row, column)| {
            let inland = (row as f32 - 40.0).min(column as f32 - 30.0) / 20.0;
            inland + shore[[row, column]] > 0.0 && !(row > 180 && shore[[row, column]] > 1.6)
        });
        let concentration = power_law(&format!("{number}|floes"), 8.0, 40.0);
        let concentration = concentration.mapv(|v| (0.9 + 0.1 * v).clamp(0.2, 1.0));
        let view = SatelliteView::of_day(&mask, concentration.view());
        let large =
            power_law(&format!("{number}|large"), 8.0, 80.0).mapv(|value| (1.2 + 0.7 * value).max(0.05));
        let with_detail = |key: &str, error: f32| {
            let (detail, wrong) = (power_law(key, 3.2, 60.0), power_law(&format!("{key}|wrong"), 8.0, 80.0));
            Array2::from_shape_fn((SIDE, SIDE), |cell| {
                let thickness =
                    large[cell] + error * wrong[cell] + (0.05 + 0.12 * large[cell]) * detail[cell];
                if mask[cell] { concentration[cell] * thickness.max(0.0) } else { f32::NAN }
            })
        };
        let low = view.of(with_detail(&format!("{number}|truth"), 0.0).view());
        let member = with_detail(&format!("{number}|member"), 0.08);
        Day { mask, concentration, view, low, member }
    }

    /// Power of wavelengths from 6 to 20 km in squares of 64 cells of ice. Open water stays as it is, and has higher edges where the ice
    /// around it is raised, which is no detail of the member.
    fn fine_power(day: &Day, field: &Array2<f32>) -> f64 {
        const WINDOW: usize = 64;
        let mut power = 0.0;
        let hann = |k: usize| (std::f64::consts::PI * (k as f64 + 0.5) / WINDOW as f64).sin().powi(2);
        for (row, column) in (0..=6).flat_map(|r| (0..=6).map(move |c| (32 * r, 32 * c))) {
            let part = ndarray::s![row..row + WINDOW, column..column + WINDOW];
            if !day.member.slice(part).iter().all(|&value| value > 0.0) {
                continue;
            }
            let mean = field.slice(part).mean().unwrap();
            let values: Vec<f64> = field
                .slice(part)
                .indexed_iter()
                .map(|((r, c), &value)| f64::from(value - mean) * hann(r) * hann(c))
                .collect();
            let spectrum = Tensor::from_slice(&values)
                .reshape([WINDOW as i64, WINDOW as i64])
                .fft_fft2(None::<&[i64]>, [0, 1], "backward")
                .abs()
                .square();
            let mut spectral = vec![0.0_f64; WINDOW * WINDOW];
            spectrum.contiguous().copy_data(&mut spectral, WINDOW * WINDOW);
            let frequency = |k: usize| k.min(WINDOW - k) as f64 / (WINDOW as f64 * CELL_KM);
            for (index, value) in spectral.iter().enumerate() {
                let wavelength_km = 1.0 / frequency(index / WINDOW).hypot(frequency(index % WINDOW));
                power += if (6.0..=20.0).contains(&wavelength_km) { *value } else { 0.0 };
            }
        }
        power
    }

    #[test]
    fn what_is_seen_of_members_is_what_is_wanted_and_their_fine_scales_stay() {
        let mut powers = [[0.0; 2]; 2];
        for number in 0..6 {
            let day = day(number);
            let means = SatelliteView::of_means(&day.mask);
            // In its means a member of the shipped network is half as far from its input as those of these days.
            let nearer = 0.5 * (&day.member + &day.low);
            let kinds = [(&day.view, &day.low, &day.member), (&means, &means.of(day.low.view()), &nearer)];
            for ((view, wanted, free), [before, after]) in kinds.into_iter().zip(&mut powers) {
                *before += fine_power(&day, free);
                *after += fine_power(&day, &held(number, view, wanted, free));
            }
        }
        for [before, after] in powers {
            assert!(before > 0.0, "some square is all ice");
            assert!((after / before - 1.0).abs() < 0.02, "fine-scale power: {before} became {after}");
        }
    }

    fn is_tolerable(difference: SeenDifference) -> bool {
        difference.inner_m <= INNER_TOLERANCE_M && difference.edge_m <= EDGE_TOLERANCE_M
    }

    fn moved(view: &SatelliteView, member: &Array2<f32>, wanted: &Array2<f32>) -> Array2<f32> {
        array(&view.hold(tensor(member.view()), &tensor(wanted.view())))
    }

    /// A member as it is when it was moved until it is seen as is wanted.
    fn held(number: usize, view: &SatelliteView, wanted: &Array2<f32>, free: &Array2<f32>) -> Array2<f32> {
        let before = view.difference(free.view(), wanted.view());
        let member = moved(view, free, wanted);
        let after = view.difference(member.view(), wanted.view());
        assert!(before.inner_m > 1.5 * INNER_TOLERANCE_M, "{number}: there is something to do, {before:?}");
        assert!(is_tolerable(after), "{number}: {before:?} became {after:?}");
        for ((cell, value), before) in member.indexed_iter().zip(free) {
            assert_eq!(value.is_nan(), before.is_nan(), "{cell:?}");
            assert!(before.is_nan() || *value >= 0.0);
            assert!(*before > 0.0 || before.is_nan() || *value <= 0.0, "open water froze at {cell:?}");
        }
        member
    }

    #[test]
    fn every_correction_brings_what_is_seen_closer() {
        let day = day(7);
        let mut member = day.member.clone();
        for (value, shift) in member.iter_mut().zip(power_law("far", 3.2, 80.0)) {
            *value = (*value + 0.6 * shift).max(0.0);
        }
        let mut before = day.view.difference(member.view(), day.low.view());
        for _ in 0..3 {
            member = moved(&day.view, &member, &day.low);
            let after = day.view.difference(member.view(), day.low.view());
            assert!(
                after.inner_m < before.inner_m && after.edge_m < before.edge_m || is_tolerable(after),
                "{before:?} became {after:?}"
            );
            before = after;
        }
    }

    #[test]
    fn a_member_that_is_seen_as_it_should_be_stays_as_it_is() {
        let day = day(8);
        let member = Array2::from_elem((SIDE, SIDE), 1.0);
        let low = day.view.of(member.view()) + 0.01;
        let member = moved(&day.view, &member, &low);
        assert!(member.iter().all(|&value| value.to_bits() == 1.0_f32.to_bits()), "0.01 m is tolerable");
    }

    /// Evaluation has its own view of what is seen.
    #[test]
    fn members_are_held_to_what_evaluation_measures() {
        let day = day(9);
        let scene = score::Scene {
            truth_m: &day.low,
            low_m: &day.low,
            concentration: day.concentration.view(),
            mask: &day.mask,
            cell_km: CELL_KM,
        };
        let found = day.view.difference(day.member.view(), day.low.view());
        let score::Tally { coarse, .. } = score::tally(&scene, &[day.member], false, &mut || 0.5);
        for (found, measured) in
            [(found.inner_m, coarse.seen.inner_m()), (found.edge_m, coarse.seen.edge_m())]
        {
            assert!((found - measured.unwrap()).abs() < 1e-5, "{found} {measured:?}");
        }
    }

    #[test]
    fn members_that_are_held_together_are_held_each_for_itself() {
        let (first, second) = (day(10), day(11));
        let view = &first.view;
        let right = view.of(first.member.view());
        let mut broken = second.member.clone();
        broken[[128, 128]] = f32::NAN;
        let alone = [(&first.member, &first.low), (&first.member, &right), (&broken, &second.low)];
        let together = |of: fn(&(&Array2<f32>, &Array2<f32>)) -> Tensor| {
            Tensor::cat(&alone.iter().map(of).collect::<Vec<_>>(), 0)
        };
        let held = view.hold(together(|pair| tensor(pair.0.view())), &together(|pair| tensor(pair.1.view())));
        for (number, (held, (member, wanted))) in arrays(&held).zip(alone).enumerate() {
            let expected = moved(view, member, wanted);
            for ((cell, held), expected) in held.indexed_iter().zip(&expected) {
                let is_same = (held - expected).abs() < 1e-5 || held.is_nan() && expected.is_nan();
                assert!(is_same, "{number} at {cell:?}: {held} and alone {expected}");
            }
            let is_moved = held.iter().zip(member).any(|(held, before)| (held - before).abs() > 1e-3);
            assert_eq!(is_moved, number == 0, "{number}");
        }
    }

    #[test]
    fn what_is_not_a_number_is_not_made_one() {
        let (mask, low) = (Array2::from_elem((60, 60), true), Array2::from_elem((60, 60), 1.0));
        let mut member = Array2::from_elem((60, 60), 1.4);
        member[[30, 30]] = f32::NAN;
        assert!(moved(&SatelliteView::of_day(&mask, low.view()), &member, &low)[[30, 30]].is_nan());
    }

    #[test]
    fn where_little_around_is_ice_little_is_corrected() {
        let mask = Array2::from_shape_fn((90, 90), |(row, column)| {
            (40..44).contains(&row) && column > 4 && column < 86
        });
        let (low, thicker) = (Array2::from_elem((90, 90), 1.0), Array2::from_elem((90, 90), 1.5));
        let view = SatelliteView::of_day(&mask, low.view());
        let member = moved(&view, &thicker, &low);
        let moved = thicker[[41, 45]] - member[[41, 45]];
        assert!(moved > 0.2 && moved < 0.48, "{moved}");
        assert_eq!(member[[20, 20]].to_bits(), 1.5_f32.to_bits(), "outside the mask nothing happens");
        assert!(parts_of(&mask)[0].iter().all(|&inner| !inner));
    }

    #[test]
    fn what_is_seen_is_that_of_the_formula() {
        let mask = Array2::from_shape_fn((130, 120), |(row, column)| (row * 7 + column * 3) % 11 != 0);
        let field = Array2::from_shape_fn((130, 120), |(row, column)| {
            (row as f32 * 0.3).sin() + 0.02 * column as f32
        });
        let concentration =
            Array2::from_shape_fn((130, 120), |(row, column)| 0.2 + 0.1 * ((row + column) % 8) as f32);
        let seen = SatelliteView::of_day(&mask, concentration.view()).of(field.view());
        let (mut volume, mut area) = (0.0, 0.0);
        for ((row, column), &inside) in mask.indexed_iter() {
            let (down, along) = (row as f64 - 60.0, column as f64 - 10.0);
            if inside && down.abs() <= 51.0 && along.abs() <= 51.0 {
                let weight = (-0.5 * (9.0 * (down * down + along * along)) / (38.0 * 38.0)).exp();
                volume += weight * f64::from(field[[row, column]]);
                area += weight * f64::from(concentration[[row, column]]);
            }
        }
        let expected = volume / area * f64::from(concentration[[60, 10]]);
        assert!((f64::from(seen[[60, 10]]) - expected).abs() < 1e-4, "{} {expected}", seen[[60, 10]]);
    }
}
