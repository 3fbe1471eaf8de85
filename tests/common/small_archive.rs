//! A small training archive of made-up fields: ice with a coast and an edge, waves of many lengths, and their means as low resolution.

use std::path::Path;

use ndarray::Array2;
use nilas::archive::{self, Entry, Provenance, Sample};
use nilas::time::ProductDay;

/// What the archive says of its origin.
pub(crate) const ORIGIN: &str = "SYNTHETIC waves";

/// Writes `days` days of `side` x `side` cells; `seed` shifts the waves.
pub(crate) fn write(folder: &Path, days: i64, side: usize, seed: u32) {
    let first: ProductDay = "2001-01-01".parse().unwrap();
    let stated = Provenance {
        origin: format!("{ORIGIN}, seed {seed}"),
        thickness_definition: "effective".into(),
        degradation: "only the long waves".into(),
    };
    for day in 0..days {
        let phase = f64::from(seed) + 1.7 * day as f64;
        let sample = sample(side, phase);
        let entry = Entry { sample: &sample, provenance: &stated, coordinates: None };
        archive::write(folder, first.plus_days(day), entry).unwrap();
    }
}

fn sample(side: usize, phase: f64) -> Sample {
    // Land in the first rows, open water in the last ones.
    let field = |of: &dyn Fn(f64, f64) -> f64| {
        Array2::from_shape_fn((side, side), |(row, column)| {
            if row < side / 8 { f32::NAN } else { of(row as f64, column as f64) as f32 }
        })
    };
    let long = move |row: f64, column: f64| (0.05 * row + phase).sin() * (0.04 * column - phase).cos();
    let short = move |row: f64, column: f64| {
        (1.1 * row + 0.6 * column + phase).sin() + (0.7 * column - 1.9 * row + 3.0 * phase).sin()
    };
    let edge = 0.9 * side as f64;
    let concentration = move |row: f64| if row < edge { 0.95 } else { 0.0 };
    let low_thickness = move |row: f64, column: f64| concentration(row) * (1.5 + 0.4 * long(row, column));
    let strain = move |row: f64, column: f64| 0.02 * (1.0 + 0.5 * long(column, row));
    Sample {
        concentration: field(&|row, _| concentration(row)),
        effective_thickness_m: field(&|row, column| {
            concentration(row) * (1.5 + 0.4 * long(row, column) + 0.15 * short(row, column))
        }),
        divergence_per_day: field(&|row, column| 0.3 * strain(row, column)),
        shear_per_day: field(&strain),
        low_concentration: field(&|row, _| concentration(row)),
        low_effective_thickness_m: field(&low_thickness),
        low_divergence_per_day: field(&|row, column| 0.3 * strain(row, column)),
        low_shear_per_day: field(&strain),
    }
}
