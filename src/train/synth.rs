//! Synthetic ice to learn from: correlated anomalies with linear features, and what satellites would see of them.
//!
//! This is a prior and no evidence: leads and ridges are drawn along level lines of random fields, not computed from motion.
//! The amplitudes are those measured on a neXtSIM thickness field (anomaly from 90 km means: 11 to 19 % of the thickness,
//! ring-summed spectral slope near -1.5).

use ndarray::Array2;
use tch::{Kind, Tensor};

use crate::archive::{Provenance, Sample};
use crate::ensemble::standard_normal;
use crate::prepare;

/// Side of a cell, km.
const CELL_KM: f64 = 3.0;

/// What to synthesise.
#[derive(Debug, Clone, Copy)]
pub struct SynthOptions {
    /// Cells along a side of the square field.
    pub size: usize,
    /// Seed.
    pub seed: u64,
}

impl SynthOptions {
    /// What is said of such fields.
    #[must_use]
    pub fn provenance(&self) -> Provenance {
        Provenance {
            origin: format!(
                "SYNTHETIC: nilas synth, correlated anomalies with linear features, size {}, seed {}",
                self.size, self.seed
            ),
            thickness_definition: "effective".into(),
            degradation: "gaussian: thickness 26..50 km over ice, concentration 8..14 km, drift 55 km".into(),
        }
    }
}

/// Makes one day. The same options and number give the same day.
#[must_use]
pub fn synthesise(options: SynthOptions, number: usize) -> Sample {
    let mut dice = Dice { options, number, drawn: 0 };
    let ice = Ice::draw(&mut dice);
    let motion = Motion::draw(&mut dice, &ice);
    Observation::draw(&mut dice).observe(&ice, &motion)
}

/// The random numbers of one day, in the order of their use.
struct Dice {
    options: SynthOptions,
    number: usize,
    drawn: usize,
}

impl Dice {
    fn normals(&mut self, count: usize) -> Vec<f32> {
        self.drawn += 1;
        standard_normal(&format!("synth|{}|{}|{}", self.options.seed, self.number, self.drawn), count)
    }

    /// A number between two others, evenly.
    fn between(&mut self, low: f64, high: f64) -> f64 {
        // The normal distribution function turns a normal number into an even one.
        let normal = f64::from(self.normals(1)[0]);
        low + (high - low) * 0.5 * (1.0 + Tensor::from(normal / 2.0_f64.sqrt()).erf().double_value(&[]))
    }

    /// A field of mean 0 and variance 1 whose amplitude at wavelength 1/k (k in cycles per km) follows `amplitude`.
    fn field(&mut self, amplitude: impl Fn(f64) -> f64) -> Tensor {
        let side = self.options.size as i64;
        let white =
            Tensor::from_slice(&self.normals(self.options.size * self.options.size)).reshape([side, side]);
        let field = filter(&white, amplitude);
        let field = &field - field.mean(Kind::Float);
        let deviation = field.std(true);
        field / deviation
    }

    /// A smooth field of scale `length_km`.
    fn smooth_field(&mut self, length_km: f64) -> Tensor {
        self.field(|k| (-0.5 * (std::f64::consts::TAU * k * length_km / 2.0).powi(2)).exp())
    }
}

/// The high-resolution ice. Tensors are `[row, column]`.
struct Ice {
    land: Tensor,
    concentration: Tensor,
    thickness_m: Tensor,
    /// How much each cell takes part in fractures, 0..1.
    fractured: Tensor,
    /// Where the ice moves much and where it rests, mean 1.
    activity: Tensor,
}

impl Ice {
    fn draw(dice: &mut Dice) -> Self {
        let (land, edge) = (Self::draw_land(dice), Self::draw_edge(dice));
        let scale_km = dice.between(150.0, 400.0);
        let mean_m = dice.between(0.4, 2.4);
        let large = (dice.smooth_field(scale_km) * 0.3).exp() * mean_m;
        let activity = (dice.smooth_field(150.0) * 0.7).exp();
        let (leads, ridges) = (Self::draw_lines(dice, &activity), Self::draw_lines(dice, &activity));
        // Amplitude falls as k^-1.25: power density k^-2.5, ring-summed k^-1.5; nothing above 120 km.
        let slope = dice.between(-1.4, -1.1);
        let rough = dice.field(|k| if k > 1.0 / 120.0 { k.powf(slope) } else { 0.0 });
        let rough = (rough * dice.between(0.06, 0.11)).exp();
        let ridged = &large * rough * (&ridges * dice.between(0.05, 0.3) + 1.0);
        let refrozen_m = dice.between(0.05, 0.5);
        let thickness_m = &ridged * (1.0 - &leads) + &leads * ridged.clamp_max(refrozen_m);
        let open: Tensor = &leads * dice.between(0.0, 0.6);
        let concentration = edge * (1.0 - open);
        Self { land, concentration, thickness_m, fractured: (leads + ridges).clamp(0.0, 1.0), activity }
    }

    /// Land on a part of the fields, with a ragged coast.
    fn draw_land(dice: &mut Dice) -> Tensor {
        let threshold = dice.between(0.9, 3.5);
        (dice.smooth_field(220.0) + dice.smooth_field(25.0) * 0.15).gt(threshold)
    }

    /// The large-scale concentration: closed ice, or a field with its edge.
    fn draw_edge(dice: &mut Dice) -> Tensor {
        let width = dice.between(0.05, 0.4);
        let shift = dice.between(0.3, 4.0);
        ((dice.smooth_field(200.0) + dice.smooth_field(40.0) * 0.2 + shift) / width).sigmoid()
    }

    /// Lines a few km wide along level lines of smooth random fields, in pieces, more of them where the ice is active; 0..1.
    fn draw_lines(dice: &mut Dice, activity: &Tensor) -> Tensor {
        let mut lines = activity.zeros_like();
        for scale_km in [60.0, 120.0, 120.0, 240.0, 240.0, 240.0] {
            let field = dice.smooth_field(scale_km);
            let (down, across) = (slope_per_km(&field, 0), slope_per_km(&field, 1));
            let distance_km = field.abs() / (down.square() + across.square() + 1e-8).sqrt();
            let width_km = dice.between(1.5, 4.5);
            let profile = (-(distance_km / width_km).square()).exp();
            let present =
                ((dice.smooth_field(100.0) + activity.log() - dice.between(-0.2, 0.8)) * 4.0).sigmoid();
            lines = lines.maximum(&(profile * present));
        }
        lines
    }
}

/// The high-resolution deformation, 1/day.
struct Motion {
    divergence: Tensor,
    shear: Tensor,
}

impl Motion {
    fn draw(dice: &mut Dice, ice: &Ice) -> Self {
        let strength = dice.between(0.004, 0.03);
        let localised = &ice.activity * (&ice.fractured * 3.0 + 0.4) * strength;
        Self { divergence: dice.smooth_field(90.0) * &localised * 0.6, shear: localised }
    }
}

/// What a satellite product resolves.
struct Observation {
    thickness_sigma_km: f64,
    concentration_sigma_km: f64,
    drift_noise: [Tensor; 2],
}

impl Observation {
    fn draw(dice: &mut Dice) -> Self {
        Self {
            thickness_sigma_km: dice.between(26.0, 50.0),
            concentration_sigma_km: dice.between(8.0, 14.0),
            drift_noise: [dice.smooth_field(90.0) * 0.006, dice.smooth_field(90.0) * 0.006],
        }
    }

    /// The day as an archive holds it: every field is missing on land, thickness counts over ice.
    fn observe(&self, ice: &Ice, motion: &Motion) -> Sample {
        let sea = ice.land.logical_not().to_kind(Kind::Float);
        let covered = ice.concentration.ge(f64::from(prepare::ICE_EDGE)).to_kind(Kind::Float) * &sea;
        let concentration = blur_where(&ice.concentration, &sea, self.concentration_sigma_km);
        let thickness_m = blur_where(&ice.thickness_m, &covered, self.thickness_sigma_km);
        // A 62.5 km grid, remapped with a Gaussian of 50 km, resolves about this.
        let drift_sigma_km = 55.0;
        let low = |field: &Tensor, noise: &Tensor| blur_where(field, &sea, drift_sigma_km) + noise;
        let array = |field: &Tensor| to_array(&field.where_scalarother(&sea.gt(0.5), f64::NAN));
        Sample {
            concentration: array(&ice.concentration),
            effective_thickness_m: array(&(&ice.thickness_m * &ice.concentration)),
            divergence_per_day: array(&motion.divergence),
            shear_per_day: array(&motion.shear),
            low_effective_thickness_m: array(&(thickness_m * &concentration)),
            low_concentration: array(&concentration),
            low_divergence_per_day: array(&low(&motion.divergence, &self.drift_noise[0])),
            low_shear_per_day: array(&low(&motion.shear, &self.drift_noise[1]).abs()),
        }
    }
}

/// Multiplies the spectrum of a periodic field by `response` (k in cycles per km).
fn filter(field: &Tensor, response: impl Fn(f64) -> f64) -> Tensor {
    let (rows, columns) = (field.size()[0], field.size()[1]);
    let wavenumber = |index: i64, length: i64| {
        let signed = if index > length / 2 { index - length } else { index };
        signed as f64 / (length as f64 * CELL_KM)
    };
    let gains: Vec<f32> = (0..rows)
        .flat_map(|row| {
            (0..=columns / 2).map(move |column| wavenumber(row, rows).hypot(wavenumber(column, columns)))
        })
        .map(|k| response(k) as f32)
        .collect();
    let gains = Tensor::from_slice(&gains).reshape([rows, columns / 2 + 1]);
    (field.fft_rfft2(None::<&[i64]>, [-2, -1], "backward") * gains).fft_irfft2(
        Some([rows, columns].as_slice()),
        [-2, -1],
        "backward",
    )
}

/// Gaussian mean over the cells where `weight` is above 0.
fn blur_where(field: &Tensor, weight: &Tensor, sigma_km: f64) -> Tensor {
    let response = |k: f64| (-0.5 * (std::f64::consts::TAU * k * sigma_km).powi(2)).exp();
    filter(&(field * weight), response) / filter(weight, response).clamp_min(1e-3)
}

/// Central difference along a dimension of a periodic field, per km.
fn slope_per_km(field: &Tensor, dimension: i64) -> Tensor {
    (field.roll([-1], [dimension]) - field.roll([1], [dimension])) / (2.0 * CELL_KM)
}

fn to_array(field: &Tensor) -> Array2<f32> {
    let (rows, columns) = (field.size()[0] as usize, field.size()[1] as usize);
    let mut values = vec![0.0_f32; field.numel()];
    field.to_kind(Kind::Float).contiguous().copy_data(&mut values, field.numel());
    Array2::from_shape_fn((rows, columns), |(row, column)| values[row * columns + column])
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: SynthOptions = SynthOptions { size: 128, seed: 3 };

    #[test]
    fn the_same_number_is_the_same_day_and_another_is_not() {
        let bits = |sample: &Sample| sample.effective_thickness_m.mapv(f32::to_bits);
        assert_eq!(bits(&synthesise(OPTIONS, 4)), bits(&synthesise(OPTIONS, 4)));
        assert_ne!(bits(&synthesise(OPTIONS, 4)), bits(&synthesise(OPTIONS, 5)));
    }

    #[test]
    fn the_low_resolution_keeps_the_volume_and_loses_the_detail() {
        let (mut volume, mut low_volume, mut anomaly, mut cells) = (0.0, 0.0, 0.0, 0.0);
        for number in 0..12 {
            let sample = synthesise(OPTIONS, number);
            for (&high, &low) in sample.effective_thickness_m.iter().zip(&sample.low_effective_thickness_m) {
                if high.is_nan() {
                    assert!(low.is_nan());
                    continue;
                }
                assert!((0.0..20.0).contains(&high));
                volume += f64::from(high);
                low_volume += f64::from(low);
                anomaly += f64::from(high - low).powi(2);
                cells += 1.0;
            }
        }
        let relative = f64::sqrt(anomaly / cells) / (volume / cells);
        assert!((low_volume / volume - 1.0).abs() < 0.02, "{}", low_volume / volume);
        assert!((0.08..0.35).contains(&relative), "anomaly {relative} of the thickness");
    }
}
