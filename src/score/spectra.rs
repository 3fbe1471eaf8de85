//! Power spectra of truth, low resolution, members and their mean, and of what they miss.

use std::f64::consts::TAU;
use std::ops::RangeInclusive;

use ndarray::{Array2, ArrayView2, s};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::fourier::{Complex, Fourier};
use super::{Scene, variability::class_of};

/// Side of the windows that spectra are taken of, cells.
pub const WINDOW: usize = 128;
/// Cells between two windows.
const STEP: usize = 64;
/// Rings of wavenumbers: 1 to 64 cycles per window. Modes in the corners beyond are left out.
pub const RINGS: usize = WINDOW / 2;
/// Wavelengths of the fine-scale bias, km.
pub const FINE_KM: RangeInclusive<f64> = 6.0..=20.0;
/// Wavelengths between the fine scales and what the low resolution knows, km.
pub const MEDIUM_KM: RangeInclusive<f64> = 20.0..=100.0;

/// Low resolution that misses less than this share of the truth's power counts as equal to it.
const LARGE_MISSES: f64 = 0.1;
/// A mean that misses this share of what the low resolution misses has nothing more to say.
const FINEST_MISSES: f64 = 0.95;

/// Power densities (m^2 km^2) on the rings, each summed over windows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SpectraTally {
    /// Windows.
    pub windows: f64,
    /// Side of a cell, km.
    pub cell_km: f64,
    /// Of the truth.
    pub truth: Ring,
    /// Of the low-resolution field.
    pub low: Ring,
    /// Of the members, mean over them.
    pub members: Ring,
    /// Of the mean of the members.
    pub mean: Ring,
    /// Of low resolution minus truth.
    pub low_error: Ring,
    /// Of the mean minus truth.
    pub mean_error: Ring,
    /// Of the members minus truth, mean over them.
    pub member_error: Ring,
}

/// One number for each ring, that of 1 cycle per window first.
pub type Ring = Vec<f64>;

impl SpectraTally {
    /// The spectra of a scene: of windows of 128 x 128 cells that lie wholly inside the mask, every 64 cells.
    pub(super) fn of(scene: &Scene<'_>, members: &[Array2<f32>]) -> Self {
        let zeros = || vec![0.0; RINGS];
        let none = Self {
            windows: 0.0,
            cell_km: scene.cell_km,
            truth: zeros(),
            low: zeros(),
            members: zeros(),
            mean: zeros(),
            low_error: zeros(),
            mean_error: zeros(),
            member_error: zeros(),
        };
        let windows = windows_inside(scene.mask);
        let Some(analysis) = Analysis::new(scene.cell_km) else { return none };
        let of_each: Vec<Self> =
            windows.into_par_iter().map(|corner| analysis.of_window(scene, members, corner)).collect();
        of_each.iter().fold(none, |mut sum, one| {
            sum.add(one);
            sum
        })
    }

    fn parts(&mut self) -> [&mut Ring; 7] {
        [
            &mut self.truth,
            &mut self.low,
            &mut self.members,
            &mut self.mean,
            &mut self.low_error,
            &mut self.mean_error,
            &mut self.member_error,
        ]
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.windows += other.windows;
        self.cell_km = other.cell_km;
        let others =
            [&other.truth, &other.low, &other.members, &other.mean, &other.low_error, &other.mean_error];
        for (sum, values) in self.parts().into_iter().zip(others.into_iter().chain([&other.member_error])) {
            sum.resize(RINGS, 0.0);
            sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
        }
    }

    /// Wavelength of each ring, km.
    #[must_use]
    pub fn wavelengths_km(&self) -> Ring {
        wavelengths_km(self.cell_km)
    }

    /// What the mean of endlessly many members would miss: that of so many has a share of their differences in it.
    #[must_use]
    pub fn fair_mean_error(&self, members: usize) -> Ring {
        let others = (members as f64 - 1.0).max(1.0);
        let rings = self.mean_error.iter().zip(&self.member_error);
        // A tenth of it stays where chance leaves less than nothing.
        rings.map(|(mean, member)| (mean - (member - mean).max(0.0) / others).max(0.1 * mean)).collect()
    }

    /// Power of the members over that of the truth: the mean of the ratios of the rings between two wavelengths.
    pub(super) fn power_ratio(&self, between_km: &RangeInclusive<f64>) -> Option<f64> {
        let ratios = self.ratios(&self.members, between_km);
        (self.windows > 0.0 && !ratios.is_empty()).then(|| ratios.iter().sum::<f64>() / ratios.len() as f64)
    }

    fn ratios(&self, of: &Ring, between_km: &RangeInclusive<f64>) -> Ring {
        // 6 km is the last ring of cells of 3 km; rounding must not leave it out.
        let (low, high) = (between_km.start() * (1.0 - 1e-9), between_km.end() * (1.0 + 1e-9));
        let rings = self.wavelengths_km().into_iter().zip(of.iter().zip(&self.truth));
        rings.filter(|(km, _)| (low..=high).contains(km)).map(|(_, (of, truth))| of / truth).collect()
    }
}

/// The wavelengths, km, at which one regime of the slides goes over into the next; `None` where it does not within the spectrum.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Regimes {
    /// Above it the low resolution holds at least nine tenths of the truth's power in the right places.
    pub large_km: Option<f64>,
    /// Above it a single member errs by less than the truth's own power: detail is predictable.
    pub medium_km: Option<f64>,
    /// Below it the mean knows nothing that the low resolution does not.
    pub finest_km: Option<f64>,
}

/// Where the regimes meet in the spectra of so many members.
#[must_use]
pub fn regimes(spectra: &SpectraTally, members: usize) -> Regimes {
    if spectra.windows < 1.0 {
        return Regimes::default();
    }
    let km = spectra.wavelengths_km();
    let quotient = |upper: &Ring, lower: &Ring, share: f64| -> Ring {
        smoothed(&upper.iter().zip(lower).map(|(upper, lower)| (upper / (share * lower)).ln()).collect())
    };
    // From the longest waves on, beyond a wavelength: the first place where the curve comes above 0.
    let crossing = |excess: &Ring, below_km: f64| {
        let rises = |&ring: &usize| km[ring] < below_km && excess[ring - 1] < 0.0 && excess[ring] >= 0.0;
        let ring = (1..RINGS).find(rises)?;
        let part = excess[ring - 1] / (excess[ring - 1] - excess[ring]);
        Some((km[ring - 1].ln() + part * (km[ring] / km[ring - 1]).ln()).exp())
    };
    let whole = f64::INFINITY;
    let medium_km = crossing(&quotient(&spectra.member_error, &spectra.truth, 1.0), whole);
    let mean_error = spectra.fair_mean_error(members);
    Regimes {
        large_km: crossing(&quotient(&spectra.low_error, &spectra.truth, LARGE_MISSES), whole),
        medium_km,
        // At the largest scales, too, the mean knows nothing more, because there is nothing to know.
        finest_km: crossing(
            &quotient(&mean_error, &spectra.low_error, FINEST_MISSES),
            medium_km.unwrap_or(whole),
        ),
    }
}

/// Each element with its two neighbours; single rings hold few waves.
fn smoothed(curve: &Ring) -> Ring {
    let mean = |index: usize| {
        let near = &curve[index.saturating_sub(1)..(index + 2).min(curve.len())];
        near.iter().sum::<f64>() / near.len() as f64
    };
    (0..curve.len()).map(|index| if index == 0 { curve[0] } else { mean(index) }).collect()
}

/// Wavelength of each ring on cells of `cell_km`, km.
#[must_use]
pub fn wavelengths_km(cell_km: f64) -> Ring {
    (1..=RINGS).map(|ring| WINDOW as f64 * cell_km / ring as f64).collect()
}

/// Corners of the windows wholly inside a mask, every 64 cells.
#[must_use]
pub fn windows_inside(mask: &Array2<bool>) -> Vec<[usize; 2]> {
    windows_every(STEP, mask)
}

/// Corners of the windows wholly inside a mask, every `step` cells.
#[must_use]
pub fn windows_every(step: usize, mask: &Array2<bool>) -> Vec<[usize; 2]> {
    let (rows, columns) = mask.dim();
    if rows < WINDOW || columns < WINDOW {
        return Vec::new();
    }
    let corners = (0..=rows - WINDOW)
        .step_by(step)
        .flat_map(|row| (0..=columns - WINDOW).step_by(step).map(move |column| [row, column]));
    corners
        .filter(|&[row, column]| {
            mask.slice(s![row..row + WINDOW, column..column + WINDOW]).iter().all(|&inside| inside)
        })
        .collect()
}

/// The mean power density (m^2 km^2) on the rings of a field's windows at `corners`; all 0 without windows. NaN nowhere in them.
#[must_use]
pub fn rings(field: &Array2<f32>, corners: &[[usize; 2]], cell_km: f64) -> Ring {
    let Some(analysis) = Analysis::new(cell_km) else { return vec![0.0; RINGS] };
    let of_each: Vec<Ring> = corners
        .par_iter()
        .map(|&corner| analysis.power(&analysis.coefficients(cut(field, corner), None).0))
        .collect();
    let sum = of_each.iter().fold(vec![0.0; RINGS], |mut sum: Ring, one| {
        sum.iter_mut().zip(one).for_each(|(sum, value)| *sum += value);
        sum
    });
    sum.into_iter().map(|value| value / (corners.len() as f64).max(1.0)).collect()
}

fn cut(field: &Array2<f32>, [row, column]: [usize; 2]) -> ArrayView2<'_, f32> {
    field.slice(s![row..row + WINDOW, column..column + WINDOW])
}

/// The tables of the analysis of a window.
struct Analysis {
    fourier: Fourier,
    hann: Vec<f64>,
    /// The ring of each mode, 0 for none.
    ring: Vec<usize>,
    /// Modes on each ring.
    modes: Vec<f64>,
    /// From squared coefficient to power density.
    density: f64,
}

impl Analysis {
    fn new(cell_km: f64) -> Option<Self> {
        let fourier = Fourier::new(WINDOW)?;
        let hann: Vec<f64> =
            (0..WINDOW).map(|k| 0.5 - 0.5 * (TAU * (k as f64 + 0.5) / WINDOW as f64).cos()).collect();
        let ring_of = |index: usize| {
            let [down, across] = [index / WINDOW, index % WINDOW].map(|index| fourier.wavenumber(index));
            let ring = down.hypot(across).round() as usize;
            if ring > RINGS { 0 } else { ring }
        };
        let ring: Vec<usize> = (0..WINDOW * WINDOW).map(ring_of).collect();
        let mut modes = vec![0.0; RINGS + 1];
        for &ring in &ring {
            modes[ring] += 1.0;
        }
        let squares: f64 = hann.iter().map(|weight| weight * weight).sum::<f64>().powi(2);
        Some(Self { fourier, hann, ring, modes, density: cell_km * cell_km / squares })
    }

    /// The coefficients of one or two windows, a plane removed and a Hann window laid over.
    fn coefficients(
        &self,
        first: ArrayView2<'_, f32>,
        second: Option<ArrayView2<'_, f32>>,
    ) -> (Vec<Complex>, Vec<Complex>) {
        // Two real fields go as one complex one; their parts are told apart by symmetry.
        let mut field = vec![[0.0; 2]; WINDOW * WINDOW];
        for (part, window) in [Some(first), second].into_iter().enumerate() {
            if let Some(window) = window {
                self.taper(window, |cell, value| field[cell][part] = value);
            }
        }
        self.fourier.square(&mut field);
        let (mut one, mut two) = (Vec::with_capacity(field.len()), Vec::with_capacity(field.len()));
        for (index, &[re, im]) in field.iter().enumerate() {
            let (row, column) = (index / WINDOW, index % WINDOW);
            let opposite = (WINDOW - row) % WINDOW * WINDOW + (WINDOW - column) % WINDOW;
            let [other_re, other_im] = field[opposite];
            one.push([0.5 * (re + other_re), 0.5 * (im - other_im)]);
            two.push([0.5 * (im + other_im), 0.5 * (other_re - re)]);
        }
        (one, two)
    }

    fn taper(&self, window: ArrayView2<'_, f32>, mut put: impl FnMut(usize, f64)) {
        let middle = (WINDOW as f64 - 1.0) / 2.0;
        let (mut sum, mut down, mut across) = (0.0, 0.0, 0.0);
        for ((row, column), &value) in window.indexed_iter() {
            let value = f64::from(value);
            sum += value;
            down += (row as f64 - middle) * value;
            across += (column as f64 - middle) * value;
        }
        // Offsets from the middle are orthogonal to each other and to 1; their squares sum to this.
        let squares = (WINDOW as f64).powi(2) * ((WINDOW as f64).powi(2) - 1.0) / 12.0;
        let (mean, down, across) = (sum / (WINDOW as f64).powi(2), down / squares, across / squares);
        for ((row, column), &value) in window.indexed_iter() {
            let plane = mean + down * (row as f64 - middle) + across * (column as f64 - middle);
            let tapered = (f64::from(value) - plane) * self.hann[row] * self.hann[column];
            put(row * WINDOW + column, tapered);
        }
    }

    /// Mean power density on the rings.
    fn power(&self, coefficients: &[Complex]) -> Ring {
        let mut rings = vec![0.0; RINGS + 1];
        for (&ring, [re, im]) in self.ring.iter().zip(coefficients) {
            rings[ring] += re * re + im * im;
        }
        (1..=RINGS).map(|ring| self.density * rings[ring] / self.modes[ring]).collect()
    }

    fn power_of_difference(&self, one: &[Complex], other: &[Complex]) -> Ring {
        let difference: Vec<Complex> =
            one.iter().zip(other).map(|(one, other)| [one[0] - other[0], one[1] - other[1]]).collect();
        self.power(&difference)
    }

    fn of_window(&self, scene: &Scene<'_>, members: &[Array2<f32>], corner: [usize; 2]) -> SpectraTally {
        let (truth, low) = self.coefficients(cut(scene.truth_m, corner), Some(cut(scene.low_m, corner)));
        let share = 1.0 / members.len() as f64;
        let mut mean = vec![[0.0; 2]; truth.len()];
        let (mut power, mut error) = (vec![0.0; RINGS], vec![0.0; RINGS]);
        for pair in members.chunks(2) {
            let (one, two) =
                self.coefficients(cut(&pair[0], corner), pair.get(1).map(|member| cut(member, corner)));
            for coefficients in [one, two].iter().take(pair.len()) {
                for (mean, value) in mean.iter_mut().zip(coefficients) {
                    *mean = [mean[0] + share * value[0], mean[1] + share * value[1]];
                }
                let of_member = (self.power(coefficients), self.power_of_difference(coefficients, &truth));
                power.iter_mut().zip(of_member.0).for_each(|(sum, value)| *sum += share * value);
                error.iter_mut().zip(of_member.1).for_each(|(sum, value)| *sum += share * value);
            }
        }
        SpectraTally {
            windows: 1.0,
            cell_km: scene.cell_km,
            truth: self.power(&truth),
            low: self.power(&low),
            members: power,
            mean: self.power(&mean),
            low_error: self.power_of_difference(&low, &truth),
            mean_error: self.power_of_difference(&mean, &truth),
            member_error: error,
        }
    }
}

/// What a Gaussian field with the spectrum and the variances of the truth's anomaly is made from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AnomalyStatistics {
    /// Power density of the anomaly on the rings, m^2 km^2.
    pub spectrum: Ring,
    /// Standard deviation of the anomaly in each thickness class, m; that of all ice where a class is empty.
    pub deviation_m: Vec<f64>,
}

impl AnomalyStatistics {
    /// From the pooled sums of scenes: what the low resolution misses is the anomaly.
    #[must_use]
    pub fn of(spectra: &SpectraTally, classes: &[super::ClassTally]) -> Option<Self> {
        let (all, classes) = classes.split_first()?;
        let of_all = all.truth_deviation_m()?;
        let deviation_m = classes.iter().map(|class| class.truth_deviation_m().unwrap_or(of_all)).collect();
        let windows = (spectra.windows >= 1.0).then_some(spectra.windows)?;
        Some(Self { spectrum: spectra.low_error.iter().map(|power| power / windows).collect(), deviation_m })
    }

    /// The standard deviation of the anomaly for a low-resolution thickness, m; beyond the classes that of the nearest one.
    #[must_use]
    pub fn deviation_at(&self, low_m: f32) -> f64 {
        let nearest = if low_m < super::CLASSES_M[0] { 0 } else { self.deviation_m.len().saturating_sub(1) };
        self.deviation_m.get(class_of(low_m).unwrap_or(nearest)).copied().unwrap_or(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::tally::fixtures::{Numbers, scene_of};

    fn white(numbers: &mut Numbers, deviation: f32) -> Array2<f32> {
        Array2::from_shape_simple_fn((192, 192), || deviation * numbers.normal())
    }

    #[test]
    fn white_noise_has_its_variance_spread_evenly_over_all_wavenumbers() {
        let mut numbers = Numbers::new(8);
        let field = white(&mut numbers, 0.5);
        let corners = windows_inside(&Array2::from_elem((192, 192), true));
        assert_eq!(corners.len(), 4);
        let found = rings(&field, &corners, 3.0);
        // Variance times the area of a cell.
        let expected = 0.25 * 9.0;
        let mean = found[5..].iter().sum::<f64>() / 59.0;
        assert!((mean / expected - 1.0).abs() < 0.03, "{mean} instead of {expected}");
    }

    /// A wave of amplitude a has variance a^2/2, and all of it lies on the rings about its own.
    #[test]
    fn a_wave_keeps_its_variance_and_stands_at_its_wavelength() {
        let field = Array2::from_shape_fn((WINDOW, WINDOW), |(_, column)| {
            (3.0 * (TAU * 16.0 * column as f64 / WINDOW as f64).cos() + 0.1 * column as f64 + 7.0) as f32
        });
        let found = rings(&field, &[[0, 0]], 3.0);
        let analysis = Analysis::new(3.0).unwrap();
        let cell = (1.0 / (WINDOW as f64 * 3.0)).powi(2);
        let variance: f64 =
            found.iter().zip(&analysis.modes[1..]).map(|(power, modes)| power * modes * cell).sum();
        assert!((variance / 4.5 - 1.0).abs() < 0.02, "{variance}");
        let highest = (0..RINGS).max_by(|&a, &b| found[a].total_cmp(&found[b])).unwrap() + 1;
        assert_eq!(highest, 16);
        assert!(found[40] < 1e-9 * found[15], "a plane leaks: {} of {}", found[40], found[15]);
    }

    #[test]
    fn windows_keep_clear_of_what_is_outside() {
        let mut mask = Array2::from_elem((256, 192), true);
        mask[[200, 3]] = false;
        assert_eq!(windows_inside(&mask), [[0, 0], [0, 64], [64, 0], [64, 64], [128, 64]]);
        assert!(windows_inside(&Array2::from_elem((100, 400), true)).is_empty());
    }

    #[test]
    fn ratios_and_errors_follow_from_how_the_fields_were_made() {
        let mut numbers = Numbers::new(9);
        let low = Array2::from_elem((192, 192), 1.0_f32);
        let (common, own) = (white(&mut numbers, 0.3), white(&mut numbers, 0.4));
        let truth = &low + &common + &own;
        let members: Vec<_> = (0..3).map(|_| &low + &common + white(&mut numbers, 0.4)).collect();
        let scene = scene_of(truth, low);
        let tally = SpectraTally::of(&scene.view(), &members);
        assert!((tally.windows - 4.0).abs() < 1e-9);
        let over_truth = |of: &Ring| {
            let ratios = tally.ratios(of, &FINE_KM);
            assert_eq!(ratios.len(), 45, "rings 20 to 64");
            ratios.iter().sum::<f64>() / ratios.len() as f64
        };
        let close =
            |found: f64, expected: f64| assert!((found - expected).abs() < 0.04, "{found}, {expected}");
        close(tally.power_ratio(&FINE_KM).unwrap(), 1.0);
        close(over_truth(&tally.member_error), 2.0 * 0.16 / 0.25);
        close(over_truth(&tally.mean), (0.09 + 0.16 / 3.0) / 0.25);
        close(over_truth(&tally.mean_error), (0.16 + 0.16 / 3.0) / 0.25);
        close(over_truth(&tally.low_error), 1.0);
        close(over_truth(&tally.fair_mean_error(3)), 0.16 / 0.25);
    }

    #[test]
    fn regimes_meet_where_the_curves_cross() {
        let cell_km = 3.0;
        let of = |curve: &dyn Fn(f64) -> f64| -> Ring {
            (1..=RINGS).map(|ring| curve(384.0 / ring as f64)).collect()
        };
        let tally = SpectraTally {
            windows: 1.0,
            cell_km,
            truth: of(&|_| 1.0),
            // A tenth at 150 km, equal to 1 at 60 km, 95 % of what the low resolution misses at 15 km.
            low_error: of(&|km| 0.1 * 150.0 / km),
            member_error: of(&|km| 60.0 / km),
            mean_error: of(&|km| 0.1 * 150.0 / km * 0.95 * (15.0 / km).powf(0.1)),
            ..SpectraTally::default()
        };
        // So many members that their number does not matter.
        let found = regimes(&tally, 1_000_000);
        let close =
            |found: Option<f64>, km: f64| assert!((found.unwrap() - km).abs() < 0.08 * km, "{found:?}");
        close(found.large_km, 150.0);
        close(found.medium_km, 60.0);
        close(found.finest_km, 15.0);
        assert_eq!(regimes(&SpectraTally::default(), 30), Regimes::default());
    }
}
