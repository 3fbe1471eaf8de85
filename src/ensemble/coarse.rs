//! What coarse inputs see of a field, and members that show them what the input does.
//!
//! The network draws anomalies; nothing in it forces their mean over the reach of a satellite product to be 0. Here each
//! member is moved, smoothly, until its coarse mean is that of its own low-resolution field.

use ndarray::{Array2, ArrayView2, Zip};
use rayon::prelude::*;

use super::CELL_KM;
use crate::prepare;

/// Standard deviation of the Gaussian that stands for the satellites' resolution, km.
const SIGMA_KM: f64 = 26.0;
/// The Gaussian is cut at so many standard deviations, where it has fallen to 3e-4.
const REACH_SIGMAS: f64 = 4.0;
/// Cells within this distance of the mask's edge, km, are held to less: half of their surroundings is not ice.
const EDGE_KM: f64 = 45.0;
/// What coarse means may differ by, root mean square over the cells farther from the edge than that, m.
pub const INNER_TOLERANCE_M: f64 = 0.02;
/// The same within that distance of the edge, m.
pub const EDGE_TOLERANCE_M: f64 = 0.04;
/// Corrections go on until the differences are this share of what they may be.
const GOAL: f64 = 0.5;
/// Each correction takes detail with it that is finer than the difference that it is for, so there are few.
const MOST_CORRECTIONS: usize = 4;
/// The correction is whole where at least this share of the Gaussian's weight is on ice, and fades to nothing with it.
const WHOLE_ABOVE_SHARE: f32 = 0.5;

/// How far coarse means are apart, root mean square, m; 0 where there are no cells.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CoarseDifference {
    /// Over the cells farther than 45 km from the mask's edge.
    pub inner_m: f64,
    /// Over the others.
    pub edge_m: f64,
}

impl CoarseDifference {
    fn is_within(self, share: f64) -> bool {
        self.inner_m <= share * INNER_TOLERANCE_M && self.edge_m <= share * EDGE_TOLERANCE_M
    }
}

/// Means over the ice around each cell of one mask: a Gaussian of 26 km, normalised over the cells of the mask.
#[derive(Debug)]
pub struct CoarseMean {
    /// Half of the kernel, from its centre outwards.
    kernel: Vec<f32>,
    mask: Array2<bool>,
    /// Share of the kernel's weight that is inside the mask.
    share: Array2<f32>,
    /// True farther than 45 km from the mask's edge, which may be that of the grid.
    inner: Array2<bool>,
}

impl CoarseMean {
    /// For the cells where `mask` is true; cells of 3 km.
    #[must_use]
    pub fn over(mask: &Array2<bool>) -> Self {
        let kernel = half_kernel(SIGMA_KM / CELL_KM);
        let share = blur(&mask.mapv(|inside| f32::from(u8::from(inside))), &kernel);
        let outside = mask.mapv(|inside| !inside);
        let to_edge = prepare::distance_cells(&outside);
        let (rows, columns) = mask.dim();
        let inner = Array2::from_shape_fn(mask.dim(), |(row, column)| {
            let to_border = (row + 1).min(rows - row).min(column + 1).min(columns - column);
            mask[[row, column]] && CELL_KM * f64::from(to_edge[[row, column]]).min(to_border as f64) > EDGE_KM
        });
        Self { kernel, mask: mask.clone(), share, inner }
    }

    /// The coarse mean of a field in the cells of the mask; 0 elsewhere. What the field has outside the mask does not matter.
    #[must_use]
    pub fn of(&self, field: ArrayView2<'_, f32>) -> Array2<f32> {
        let on_ice = Zip::from(field).and(&self.mask).map_collect(|&v, &inside| if inside { v } else { 0.0 });
        let mut mean = blur(&on_ice, &self.kernel);
        Zip::from(&mut mean).and(&self.mask).and(&self.share).for_each(|mean, &inside, &share| {
            *mean = if inside { *mean / share } else { 0.0 };
        });
        mean
    }

    /// How far the coarse means of two fields are apart.
    #[must_use]
    pub fn difference(&self, a: ArrayView2<'_, f32>, b: ArrayView2<'_, f32>) -> CoarseDifference {
        self.size_of(&self.of((&a - &b).view()))
    }

    fn size_of(&self, difference: &Array2<f32>) -> CoarseDifference {
        let (mut squares, mut cells) = ([0.0_f64; 2], [0_usize; 2]);
        Zip::from(difference).and(&self.mask).and(&self.inner).for_each(|&value, &inside, &inner| {
            if inside {
                squares[usize::from(inner)] += f64::from(value).powi(2);
                cells[usize::from(inner)] += 1;
            }
        });
        let rms = |part: usize| (squares[part] / cells[part].max(1) as f64).sqrt();
        CoarseDifference { inner_m: rms(1), edge_m: rms(0) }
    }

    /// Moves a member (effective thickness, m) until its coarse mean is that of `low`, its own low-resolution field, or four
    /// times; it stays at or above 0. Cells outside the mask stay as they are.
    ///
    /// A step adds the difference of the coarse means, which is smooth, so that detail finer than the Gaussian stays. As
    /// the Gaussian's spectrum lies between 0 and 1, the difference can only shrink; a box mean, whose spectrum goes below 0, would
    /// blow some of it up.
    pub fn hold(&self, member: &mut Array2<f32>, low: ArrayView2<'_, f32>) {
        for _ in 0..MOST_CORRECTIONS {
            let difference = self.of((&low - &*member).view());
            if self.size_of(&difference).is_within(GOAL) {
                return;
            }
            Zip::from(&mut *member).and(&difference).and(&self.share).and(&self.mask).for_each(
                |value, &difference, &share, &inside| {
                    if inside {
                        let moved = *value + difference * (share / WHOLE_ABOVE_SHARE).min(1.0);
                        // What is not a number has to stay seen.
                        *value = if moved < 0.0 { 0.0 } else { moved };
                    }
                },
            );
        }
    }
}

/// The weights of a Gaussian from its centre outwards; with their mirror image they add up to 1.
fn half_kernel(sigma: f64) -> Vec<f32> {
    let reach = (REACH_SIGMAS * sigma).ceil() as usize;
    let weights: Vec<f64> = (0..=reach).map(|k| (-0.5 * (k as f64 / sigma).powi(2)).exp()).collect();
    let sum = 2.0 * weights.iter().sum::<f64>() - weights[0];
    weights.iter().map(|weight| (weight / sum) as f32).collect()
}

/// The field under a symmetric kernel along both dimensions; nothing comes in from beyond the array.
fn blur(field: &Array2<f32>, kernel: &[f32]) -> Array2<f32> {
    let (rows, columns) = field.dim();
    let flat: Vec<f32> = field.iter().copied().collect();
    let row_of = |row: usize| &flat[row * columns..(row + 1) * columns];
    let mut out = vec![0.0_f32; flat.len()];
    out.par_chunks_mut(columns.max(1)).enumerate().for_each(|(row, out)| {
        let mut down = vec![0.0_f32; columns];
        add(&mut down, row_of(row), kernel[0]);
        for (k, &weight) in kernel.iter().enumerate().skip(1) {
            if let Some(above) = row.checked_sub(k) {
                add(&mut down, row_of(above), weight);
            }
            if row + k < rows {
                add(&mut down, row_of(row + k), weight);
            }
        }
        add(out, &down, kernel[0]);
        for (k, &weight) in kernel.iter().enumerate().skip(1).take_while(|(k, _)| *k < columns) {
            add(&mut out[k..], &down[..columns - k], weight);
            add(&mut out[..columns - k], &down[k..], weight);
        }
    });
    Array2::from_shape_fn((rows, columns), |(row, column)| out[row * columns + column])
}

fn add(sum: &mut [f32], values: &[f32], weight: f32) {
    sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += weight * value);
}

#[cfg(test)]
mod tests {
    use tch::{Kind, Tensor};

    use super::*;
    use crate::ensemble::standard_normal;

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

    /// A day: ice with a ragged edge, leads of open water, a thin and a thick part, and a member that is not consistent.
    struct Day {
        mask: Array2<bool>,
        low: Array2<f32>,
        member: Array2<f32>,
    }

    fn day(number: usize) -> Day {
        let shore = power_law(&format!("{number}|shore"), 2.6, 60.0);
        let mask = Array2::from_shape_fn((SIDE, SIDE), |(row, column)| {
            let inland = (row as f32 - 40.0).min(column as f32 - 30.0) / 20.0;
            inland + shore[[row, column]] > 0.0 && !(row > 180 && shore[[row, column]] > 1.6)
        });
        let (large, detail) =
            (power_law(&format!("{number}|low"), 8.0, 80.0), power_law(&format!("{number}|high"), 3.2, 60.0));
        let low = large.mapv(|value| (1.2 + 0.7 * value).max(0.05));
        let member = Zip::from(&low).and(&detail).and(&mask).map_collect(|&low, &detail, &inside| {
            if inside { (low + (0.05 + 0.12 * low) * detail).max(0.0) } else { f32::NAN }
        });
        Day { mask, low, member }
    }

    /// Power of wavelengths from 6 to 20 km in squares of 64 cells inside the mask.
    fn fine_power(day: &Day, field: &Array2<f32>) -> f64 {
        const WINDOW: usize = 64;
        let mut power = 0.0;
        let hann = |k: usize| (std::f64::consts::PI * (k as f64 + 0.5) / WINDOW as f64).sin().powi(2);
        for (row, column) in (0..=6).flat_map(|r| (0..=6).map(move |c| (32 * r, 32 * c))) {
            let part = ndarray::s![row..row + WINDOW, column..column + WINDOW];
            if !day.mask.slice(part).iter().all(|&inside| inside) {
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
        assert!(power > 0.0, "some window lies inside the ice");
        power
    }

    #[test]
    fn members_become_consistent_and_keep_their_fine_scales() {
        for number in 0..6 {
            let day = day(number);
            let coarse = CoarseMean::over(&day.mask);
            let before = coarse.difference(day.member.view(), day.low.view());
            let mut member = day.member.clone();
            coarse.hold(&mut member, day.low.view());
            let after = coarse.difference(member.view(), day.low.view());
            let change = fine_power(&day, &member) / fine_power(&day, &day.member) - 1.0;
            assert!(
                before.inner_m > 1.5 * INNER_TOLERANCE_M,
                "{number}: there is something to do, {before:?}"
            );
            assert!(after.is_within(1.0), "{number}: {before:?} became {after:?}");
            assert!(change.abs() < 0.02, "{number}: fine-scale power changed by {change}");
            for ((cell, value), before) in member.indexed_iter().zip(&day.member) {
                assert_eq!(value.is_nan(), !day.mask[cell], "{cell:?}");
                assert!(!day.mask[cell] || *value >= 0.0);
                assert!(day.mask[cell] || before.is_nan());
            }
        }
    }

    #[test]
    fn every_correction_brings_the_coarse_means_closer() {
        let day = day(7);
        let coarse = CoarseMean::over(&day.mask);
        let mut member = day.low.clone();
        for (value, shift) in member.iter_mut().zip(power_law("far", 3.2, 80.0)) {
            *value = (*value + 0.6 * shift).max(0.0);
        }
        let mut before = coarse.difference(member.view(), day.low.view());
        for _ in 0..3 {
            coarse.hold(&mut member, day.low.view());
            let after = coarse.difference(member.view(), day.low.view());
            assert!(
                after.inner_m < before.inner_m && after.edge_m < before.edge_m || after.is_within(GOAL),
                "{before:?} became {after:?}"
            );
            before = after;
        }
    }

    #[test]
    fn a_member_that_is_consistent_stays_as_it_is() {
        let day = day(8);
        let mut member = day.low.clone();
        CoarseMean::over(&day.mask).hold(&mut member, day.low.view());
        assert_eq!(member, day.low);
    }

    #[test]
    fn what_is_not_a_number_is_not_made_one() {
        let mask = Array2::from_elem((60, 60), true);
        let low = Array2::from_elem((60, 60), 1.0);
        let mut member = Array2::from_elem((60, 60), 1.4);
        member[[30, 30]] = f32::NAN;
        CoarseMean::over(&mask).hold(&mut member, low.view());
        assert!(member[[30, 30]].is_nan());
    }

    #[test]
    fn where_little_around_is_ice_little_is_corrected() {
        let mask = Array2::from_shape_fn((90, 90), |(row, column)| {
            (40..44).contains(&row) && column > 4 && column < 86
        });
        let coarse = CoarseMean::over(&mask);
        let (low, thicker) = (Array2::from_elem((90, 90), 1.0), Array2::from_elem((90, 90), 1.5));
        let mut member = thicker.clone();
        coarse.hold(&mut member, low.view());
        let moved = thicker[[41, 45]] - member[[41, 45]];
        assert!(moved > 0.2 && moved < 0.48, "{moved}");
        assert_eq!(member[[20, 20]].to_bits(), 1.5_f32.to_bits(), "outside the mask nothing happens");
        assert!(coarse.inner.iter().all(|&inner| !inner));
    }

    #[test]
    fn a_coarse_mean_is_that_of_the_formula() {
        let mask = Array2::from_shape_fn((80, 70), |(row, column)| (row * 7 + column * 3) % 11 != 0);
        let field =
            Array2::from_shape_fn((80, 70), |(row, column)| (row as f32 * 0.3).sin() + 0.02 * column as f32);
        let mean = CoarseMean::over(&mask).of(field.view());
        let (mut sum, mut weights) = (0.0, 0.0);
        for ((row, column), &inside) in mask.indexed_iter() {
            let (down, along) = (row as f64 - 40.0, column as f64 - 10.0);
            if inside && down.abs() <= 35.0 && along.abs() <= 35.0 {
                let weight = (-0.5 * (9.0 * (down * down + along * along)) / (26.0 * 26.0)).exp();
                sum += weight * f64::from(field[[row, column]]);
                weights += weight;
            }
        }
        assert!((f64::from(mean[[40, 10]]) - sum / weights).abs() < 1e-4);
    }
}
