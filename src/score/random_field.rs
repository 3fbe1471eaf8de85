//! Gaussian random fields with a given spectrum: what a realistic texture is worth that knows nothing of the day.

use ndarray::{Array2, Zip};

use super::fourier::Fourier;
use super::spectra::{AnomalyStatistics, WINDOW};

/// A maker of pairs of fields of one shape.
#[derive(Debug)]
pub struct RandomFields {
    fourier: Fourier,
    side: usize,
    /// Amplitude of each mode, such that the field has variance 1.
    amplitude: Vec<f64>,
}

/// How many standard normal numbers a pair of fields of a shape takes.
#[must_use]
pub fn normals_needed((rows, columns): (usize, usize)) -> usize {
    2 * side_of(rows, columns).pow(2)
}

fn side_of(rows: usize, columns: usize) -> usize {
    rows.max(columns).max(2).next_power_of_two()
}

impl RandomFields {
    /// Fields of a shape whose power density on the rings of a window is proportional to `spectrum` (beyond its last ring: that of
    /// the last). `None` where there is no power.
    #[must_use]
    pub fn new((rows, columns): (usize, usize), spectrum: &[f64]) -> Option<Self> {
        let side = side_of(rows, columns);
        let fourier = Fourier::new(side)?;
        // Rings are cycles per window; between them, linear in the wavenumber.
        let density = |cycles: f64| {
            let position =
                (cycles * WINDOW as f64 / side as f64 - 1.0).clamp(0.0, spectrum.len() as f64 - 1.0);
            let (below, part) = (position.floor() as usize, position.fract());
            let above = spectrum[(below + 1).min(spectrum.len() - 1)];
            spectrum[below] * (1.0 - part) + above * part
        };
        let power: Vec<f64> = (0..side * side)
            .map(|index| {
                let [down, across] = [index / side, index % side].map(|index| fourier.wavenumber(index));
                if index == 0 { 0.0 } else { density(down.hypot(across)) }
            })
            .collect();
        let total: f64 = power.iter().sum();
        let amplitude = power.iter().map(|power| (power / total).sqrt()).collect();
        (!spectrum.is_empty() && total > 0.0).then_some(Self { fourier, side, amplitude })
    }

    /// Two independent fields of mean 0 and variance 1 from [`normals_needed`] standard normal numbers.
    ///
    /// # Panics
    /// When there are fewer numbers.
    #[must_use]
    pub fn pair(&self, normals: &[f32], shape: (usize, usize)) -> [Array2<f32>; 2] {
        let mut field: Vec<[f64; 2]> = self
            .amplitude
            .iter()
            .zip(normals.chunks_exact(2))
            .map(|(amplitude, two)| [amplitude * f64::from(two[0]), amplitude * f64::from(two[1])])
            .collect();
        // The two numbers of a mode are independent and of one variance, and so are real and imaginary part of the sum.
        self.fourier.square(&mut field);
        [0, 1].map(|part| {
            Array2::from_shape_fn(shape, |(row, column)| field[row * self.side + column][part] as f32)
        })
    }

    /// The second baseline: the low-resolution field plus a random field with the truth's variance by thickness class, at least 0 m.
    #[must_use]
    pub fn on_low(low_m: &Array2<f32>, field: &Array2<f32>, statistics: &AnomalyStatistics) -> Array2<f32> {
        Zip::from(low_m)
            .and(field)
            .map_collect(|&low, &value| (low + statistics.deviation_at(low) as f32 * value).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::spectra::{RINGS, rings, windows_inside};
    use crate::score::tally::fixtures::Numbers;

    #[test]
    fn fields_have_the_spectrum_that_was_asked_for() {
        let shape = (250, 256);
        let spectrum: Vec<f64> = (1..=RINGS).map(|ring| (ring as f64).powf(-2.5)).collect();
        let fields = RandomFields::new(shape, &spectrum).unwrap();
        let mut numbers = Numbers::new(10);
        let corners = windows_inside(&Array2::from_elem(shape, true));
        let mut sum = vec![0.0; RINGS];
        let mut variance = 0.0;
        for _ in 0..6 {
            let normals: Vec<f32> = (0..normals_needed(shape)).map(|_| numbers.normal()).collect();
            for field in fields.pair(&normals, shape) {
                variance +=
                    field.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>() / field.len() as f64;
                sum.iter_mut().zip(rings(&field, &corners, 3.0)).for_each(|(sum, value)| *sum += value);
            }
        }
        assert!((variance / 12.0 - 1.0).abs() < 0.15, "{}", variance / 12.0);
        let ratio: Vec<f64> = sum.iter().zip(&spectrum).map(|(found, wanted)| found / wanted).collect();
        let middle = ratio[8..56].iter().sum::<f64>() / 48.0;
        for (ring, ratio) in ratio.iter().enumerate().take(60).skip(4) {
            assert!((ratio / middle - 1.0).abs() < 0.25, "ring {}: {}", ring + 1, ratio / middle);
        }
    }

    #[test]
    fn the_two_of_a_pair_are_independent_and_nothing_comes_of_no_power() {
        let fields = RandomFields::new((128, 128), &[1.0; RINGS]).unwrap();
        let mut numbers = Numbers::new(11);
        let normals: Vec<f32> = (0..normals_needed((128, 128))).map(|_| numbers.normal()).collect();
        let [one, two] = fields.pair(&normals, (128, 128));
        let correlation = (&one * &two).mean().unwrap();
        assert!(correlation.abs() < 0.03, "{correlation}");
        assert!(RandomFields::new((128, 128), &[0.0; RINGS]).is_none());
    }

    #[test]
    fn on_the_low_resolution_a_field_has_the_variance_of_its_class() {
        let statistics = AnomalyStatistics { spectrum: vec![], deviation_m: vec![0.1, 0.2, 0.3, 0.4, 0.5] };
        let low = ndarray::array![[0.1, 1.0, 2.5, 7.0, 0.05]];
        let found = RandomFields::on_low(&low, &ndarray::array![[1.0, 1.0, -1.0, 1.0, -1.0]], &statistics);
        for (found, expected) in found.iter().zip([0.2, 1.2, 2.1, 7.5, 0.0]) {
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
    }
}
