//! What a thickness field looks like, in numbers that can be compared between synthetic ice and that of a model: variability
//! within 90 km, increments, slopes of the spectrum, and linear features.

use ndarray::{Array2, Zip};

use super::forcing::Forcing;
use super::observation::Totals;
use crate::score;

/// Side of the square whose mean an anomaly is taken from, km.
const ANOMALY_KM: f64 = 90.0;
/// An anomaly of more than this share of the mean around it belongs to a feature.
const FEATURE_SHARE: f32 = 0.2;
/// Features of fewer cells are not counted.
const SMALLEST_FEATURE: usize = 4;
/// Cells of the neXtSIM field.
const NEXTSIM_CELL_KM: f64 = 12.4;
/// Distances of the increments, cells.
const LAGS: [usize; 5] = [1, 2, 4, 8, 16];
/// Cells between two windows that a spectrum is taken from.
const WINDOW_STEP: usize = 16;
/// Bands in which the slope of the spectrum is taken, km.
const BANDS_KM: [(f64, f64); 3] = [(400.0, 100.0), (100.0, 40.0), (60.0, 25.0)];

/// The numbers of a field.
#[derive(Debug, Clone, PartialEq)]
pub struct Portrait {
    /// Cells with ice.
    pub cells: usize,
    /// Mean thickness, m.
    pub mean_m: f64,
    /// Standard deviation of the thickness, m.
    pub deviation_m: f64,
    /// Standard deviation of the anomaly from the mean over 90 km, m.
    pub anomaly_m: f64,
    /// Its skewness.
    pub skewness: f64,
    /// Its kurtosis; 3 for normal numbers.
    pub kurtosis: f64,
    /// Its standard deviation by the class of the mean around it, m (see `score::class_of`).
    pub anomaly_by_class_m: Vec<Option<f64>>,
    /// Mean size of the difference between cells 1, 2, 4, 8 and 16 apart, m.
    pub increments_m: Vec<f64>,
    /// Exponents with which the first three moments of the increments grow with the distance.
    pub structure_exponents: Vec<f64>,
    /// Slopes of the ring-summed spectrum in the bands 400..100, 100..40 and 60..25 km.
    pub slopes: Vec<Option<f64>>,
    /// Median length of connected features, km.
    pub feature_length_km: f64,
    /// Median ratio of a feature's length to its width.
    pub feature_aspect: f64,
}

impl Portrait {
    /// Of a thickness field in m, NaN where there is no ice, on cells of `cell_km`.
    #[must_use]
    pub fn of(thickness_m: &Array2<f32>, cell_km: f64) -> Self {
        let ice: Vec<f64> = thickness_m.iter().filter(|v| !v.is_nan()).map(|&v| f64::from(v)).collect();
        let around = box_mean(thickness_m, ANOMALY_KM / cell_km);
        let anomaly = thickness_m - &around;
        let anomalies: Vec<f64> = anomaly.iter().filter(|v| !v.is_nan()).map(|&v| f64::from(v)).collect();
        let [mean_m, deviation_m, ..] = moments(&ice);
        let [_, anomaly_m, skewness, kurtosis] = moments(&anomalies);
        let (increments_m, structure_exponents) = increments(thickness_m);
        let features = features(&anomaly, &around);
        let median_of = |of: fn(&Feature) -> f64| median(features.iter().map(of).collect());
        Self {
            cells: ice.len(),
            mean_m,
            deviation_m,
            anomaly_m,
            skewness,
            kurtosis,
            anomaly_by_class_m: by_class(&anomaly, &around),
            increments_m,
            structure_exponents,
            slopes: slopes(thickness_m, cell_km),
            feature_length_km: cell_km * median_of(|feature| feature.length),
            feature_aspect: median_of(|feature| feature.length / feature.width.max(1.0)),
        }
    }

    /// Of the neXtSIM field that comes with the forcing, where its ice is thicker than 5 cm.
    #[must_use]
    pub fn of_nextsim(forcing: &Forcing) -> Self {
        let ice = forcing.nextsim_thickness_m().mapv(|m| if m > 0.05 { m } else { f32::NAN });
        Self::of(&ice, NEXTSIM_CELL_KM)
    }

    /// The numbers with their names, in the order of a report.
    #[must_use]
    pub fn entries(&self) -> Vec<(String, Option<f64>)> {
        let mut entries = vec![
            ("mean, m".into(), Some(self.mean_m)),
            ("standard deviation, m".into(), Some(self.deviation_m)),
            ("anomaly from 90 km means, standard deviation, m".into(), Some(self.anomaly_m)),
            ("anomaly, skewness".into(), Some(self.skewness)),
            ("anomaly, kurtosis".into(), Some(self.kurtosis)),
        ];
        let classes = score::CLASSES_M.windows(2).zip(&self.anomaly_by_class_m);
        entries.extend(classes.map(|(c, &m)| (format!("anomaly where {}..{} m thick, m", c[0], c[1]), m)));
        let lags = LAGS.iter().zip(&self.increments_m);
        entries.extend(lags.map(|(lag, &m)| (format!("increment over {lag} cells, m"), Some(m))));
        let orders = (1..).zip(&self.structure_exponents);
        entries.extend(orders.map(|(order, &e)| (format!("structure exponent of order {order}"), Some(e))));
        let bands = BANDS_KM.iter().zip(&self.slopes);
        entries.extend(bands.map(|((long, short), &s)| (format!("spectral slope, {long}..{short} km"), s)));
        entries.push(("linear features, median length, km".into(), Some(self.feature_length_km)));
        entries.push(("linear features, median length to width".into(), Some(self.feature_aspect)));
        entries
    }
}

/// Means over blocks of `side` cells, where most of a block has ice.
#[must_use]
pub(super) fn coarse(thickness_m: &Array2<f32>, side: usize) -> Array2<f32> {
    let shape = (thickness_m.nrows() / side, thickness_m.ncols() / side);
    Array2::from_shape_fn(shape, |(r, c)| {
        let block = thickness_m.slice(ndarray::s![side * r..side * (r + 1), side * c..side * (c + 1)]);
        let (sum, count) =
            block.iter().filter(|v| !v.is_nan()).fold((0.0, 0), |(sum, count), v| (sum + v, count + 1));
        if 10 * count > 7 * side * side { sum / count as f32 } else { f32::NAN }
    })
}

/// Means over squares of about `side` cells, over the ice in them.
fn box_mean(values: &Array2<f32>, side: f64) -> Array2<f32> {
    let side = 2.0 * (side / 2.0).floor() + 1.0;
    let sums = Totals::of(&values.mapv(|v| if v.is_nan() { 0.0 } else { v }));
    let counts = Totals::of(&values.mapv(|v| f32::from(u8::from(!v.is_nan()))));
    Array2::from_shape_fn(values.dim(), |(r, c)| {
        let (row, column) = (r as f64, c as f64);
        if values[[r, c]].is_nan() {
            f32::NAN
        } else {
            sums.over(row, column, side) / counts.over(row, column, side)
        }
    })
}

/// Mean, standard deviation, skewness and kurtosis.
fn moments(values: &[f64]) -> [f64; 4] {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let power = |order: i32| values.iter().map(|v| (v - mean).powi(order)).sum::<f64>() / count;
    let deviation = power(2).sqrt();
    [mean, deviation, power(3) / deviation.powi(3), power(4) / deviation.powi(4)]
}

fn by_class(anomaly: &Array2<f32>, around: &Array2<f32>) -> Vec<Option<f64>> {
    let mut sums = vec![(0.0_f64, 0_usize); score::CLASSES_M.len() - 1];
    for (&anomaly, &around) in anomaly.iter().zip(around) {
        if let Some(class) = score::class_of(around) {
            sums[class].0 += f64::from(anomaly).powi(2);
            sums[class].1 += 1;
        }
    }
    sums.into_iter().map(|(sum, count)| (count > 50).then(|| (sum / count as f64).sqrt())).collect()
}

/// Mean size of the increments, and the exponents of their first three moments.
fn increments(values: &Array2<f32>) -> (Vec<f64>, Vec<f64>) {
    let moments = LAGS.map(|lag| {
        let mut sums = [0.0_f64; 3];
        let mut count = 0.0;
        for ((r, c), &here) in values.indexed_iter() {
            for there in [values.get((r + lag, c)), values.get((r, c + lag))].into_iter().flatten() {
                let difference = f64::from((there - here).abs());
                if !difference.is_nan() {
                    (0..3).for_each(|order| sums[order] += difference.powi(order as i32 + 1));
                    count += 1.0;
                }
            }
        }
        sums.map(|sum| sum / count)
    });
    let lags: Vec<f64> = LAGS.iter().map(|&lag| (lag as f64).ln()).collect();
    let exponents = (0..3).map(|order| {
        let logarithms: Vec<f64> = moments.iter().map(|moments| moments[order].ln()).collect();
        slope(&lags, &logarithms)
    });
    (moments.iter().map(|moments| moments[0]).collect(), exponents.collect())
}

/// Slopes of the ring-summed power; rings hold cells in proportion to their wavenumber.
fn slopes(thickness_m: &Array2<f32>, cell_km: f64) -> Vec<Option<f64>> {
    let mask = thickness_m.mapv(|v| !v.is_nan());
    let windows = score::windows_every(WINDOW_STEP, &mask);
    if windows.is_empty() {
        return vec![None; BANDS_KM.len()];
    }
    let filled = thickness_m.mapv(|v| if v.is_nan() { 0.0 } else { v });
    let density = score::rings(&filled, &windows, cell_km);
    let wavelengths = score::wavelengths_km(cell_km);
    let in_band = |(long, short): (f64, f64)| {
        let rings: Vec<(f64, f64)> = wavelengths
            .iter()
            .zip(&density)
            .filter(|(wavelength, power)| (short..=long).contains(*wavelength) && **power > 0.0)
            .map(|(wavelength, power)| (-wavelength.ln(), (power / wavelength).ln()))
            .collect();
        let (x, y): (Vec<f64>, Vec<f64>) = rings.into_iter().unzip();
        (x.len() > 2).then(|| slope(&x, &y))
    };
    BANDS_KM.iter().map(|&band| in_band(band)).collect()
}

/// Least squares.
fn slope(x: &[f64], y: &[f64]) -> f64 {
    let count = x.len() as f64;
    let (mx, my) = (x.iter().sum::<f64>() / count, y.iter().sum::<f64>() / count);
    let cross: f64 = x.iter().zip(y).map(|(x, y)| (x - mx) * (y - my)).sum();
    cross / x.iter().map(|x| (x - mx).powi(2)).sum::<f64>()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// A connected patch of ice that is much thinner, or much thicker, than its surroundings; lengths in cells: those of a uniform
/// stripe with the same second moments.
struct Feature {
    length: f64,
    width: f64,
}

fn features(anomaly: &Array2<f32>, around: &Array2<f32>) -> Vec<Feature> {
    let sign = Zip::from(anomaly).and(around).map_collect(|&anomaly, &around| {
        if anomaly > FEATURE_SHARE * around {
            1_i8
        } else if anomaly < -FEATURE_SHARE * around {
            -1
        } else {
            0
        }
    });
    let mut seen = sign.mapv(|sign| sign == 0);
    let mut features = Vec::new();
    for start in ndarray::indices(sign.dim()) {
        if seen[start] {
            continue;
        }
        seen[start] = true;
        let (mut cells, mut next) = (vec![start], 0);
        while let Some(&(r, c)) = cells.get(next) {
            next += 1;
            for row in r.saturating_sub(1)..(r + 2).min(sign.nrows()) {
                for column in c.saturating_sub(1)..(c + 2).min(sign.ncols()) {
                    if !seen[(row, column)] && sign[(row, column)] == sign[start] {
                        seen[(row, column)] = true;
                        cells.push((row, column));
                    }
                }
            }
        }
        if cells.len() >= SMALLEST_FEATURE {
            features.push(Feature::of(&cells));
        }
    }
    features
}

impl Feature {
    fn of(cells: &[(usize, usize)]) -> Self {
        let count = cells.len() as f64;
        let mean =
            |of: fn(&(usize, usize)) -> usize| cells.iter().map(|cell| of(cell) as f64).sum::<f64>() / count;
        let (row, column) = (mean(|cell| cell.0), mean(|cell| cell.1));
        let [yy, xy, xx] = cells.iter().fold([0.0; 3], |[yy, xy, xx], &(r, c)| {
            let (y, x) = (r as f64 - row, c as f64 - column);
            [yy + y * y / count, xy + x * y / count, xx + x * x / count]
        });
        let (half, difference) = (0.5 * (xx + yy), (0.25 * (xx - yy).powi(2) + xy * xy).sqrt());
        let stripe = |variance: f64| (12.0 * variance.max(0.0)).sqrt() + 1.0;
        Self { length: stripe(half + difference), width: stripe(half - difference) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ensemble::standard_normal;

    #[test]
    fn white_noise_has_its_moments_and_a_flat_structure() {
        let noise =
            Array2::from_shape_vec((200, 200), standard_normal("portrait", 40_000)).unwrap() * 0.2 + 2.0;
        let portrait = Portrait::of(&noise, 3.0);
        assert!((portrait.mean_m - 2.0).abs() < 0.01 && (portrait.anomaly_m - 0.2).abs() < 0.01);
        assert!((portrait.kurtosis - 3.0).abs() < 0.2 && portrait.skewness.abs() < 0.1);
        assert!(portrait.structure_exponents[0].abs() < 0.02);
        // The ring-summed spectrum of white noise grows with the number of its cells.
        assert!((portrait.slopes[2].unwrap() - 1.0).abs() < 0.4, "{:?}", portrait.slopes);
        assert!((portrait.increments_m[0] - 0.2 * 2.0 / std::f64::consts::PI.sqrt()).abs() < 0.01);
    }

    #[test]
    fn a_lead_is_a_long_feature() {
        let field =
            Array2::from_shape_fn(
                (100, 100),
                |(r, c)| if c == 50 && (20..80).contains(&r) { 0.2 } else { 2.0 },
            );
        let portrait = Portrait::of(&field, 3.0);
        assert!((portrait.feature_length_km - 180.0).abs() < 6.0, "{}", portrait.feature_length_km);
        assert!(portrait.feature_aspect > 20.0);
    }

    #[test]
    fn coarse_cells_are_means_where_there_is_mostly_ice() {
        let mut field = Array2::from_elem((4, 8), 1.0);
        field.slice_mut(ndarray::s![.., 2..4]).fill(3.0);
        field.slice_mut(ndarray::s![.., 5..]).fill(f32::NAN);
        let coarse = coarse(&field, 4);
        assert!((coarse[[0, 0]] - 2.0).abs() < 1e-6);
        assert!(coarse[[0, 1]].is_nan());
    }
}
