//! What the synthetic ice is driven by and begins from: `forcing/arctic-winters.safetensors`, made from public observations.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ndarray::{Array2, Array3, s};
use safetensors::tensor::{Dtype, SafeTensors};

use super::SynthError;
use crate::field::Field;
use crate::grid::{GridError, GridSpec, Projection};
use crate::source::{ease2_250, osisaf_625};
use crate::time::ProductDay;

/// Drift is smoothed to at least this before it may drive anything, or its noise would become ice (Gaussian sigma, km; full
/// width at half maximum 2.35 times as much).
const LEAST_SMOOTHING_KM: f64 = 85.0;
/// A hole in the drift may be so many days long: the ice goes on as on the day before it.
const LONGEST_HOLE_DAYS: i64 = 3;
/// "None" in the packed tensors.
const NONE: i16 = i16::MIN;

/// Large-scale drift of the freezing seasons, and a thickness to begin from.
#[derive(Debug)]
pub struct Forcing {
    /// The file that it was read from.
    path: PathBuf,
    velocities: BTreeMap<ProductDay, Array3<f32>>,
    nodes: GridSpec,
    /// Mean thickness over the ice of one day in April, m.
    thickness_m: Field,
    /// Where the thickness is known, before it was spread to where there was none: 1 or 0.
    covered: Array2<f32>,
    /// A neXtSIM thickness field of about 12.4 km, m, to compare with.
    nextsim_thickness_m: Array2<f32>,
}

impl Forcing {
    /// Reads the file.
    ///
    /// # Errors
    /// [`SynthError`] when it cannot be read, lacks a tensor, or holds drift that is hardly smoothed.
    pub fn read(path: &Path) -> Result<Self, SynthError> {
        let refuse = |reason: String| SynthError::Forcing { path: path.to_owned(), reason };
        let bytes = std::fs::read(path).map_err(|error| refuse(error.to_string()))?;
        parse(path, &bytes).map_err(refuse)
    }

    /// First and last day of a winter that has drift, by the year in which it ends.
    pub(super) fn winter(&self, ends_in: i32) -> Result<(ProductDay, ProductDay), SynthError> {
        use chrono::Datelike;
        let mut days = self.velocities.keys().copied().filter(|day| {
            let date = day.date();
            date.year() + i32::from(date.month() > 6) == ends_in
        });
        let ends = days.next().and_then(|first| Some((first, days.next_back()?)));
        ends.ok_or_else(|| self.lacks(format!("it has no drift of the winter that ends in {ends_in}")))
    }

    /// The large-scale motion of a day on the cells of `grid`: that of the last day that has drift, where the day is in a hole.
    ///
    /// # Errors
    /// [`SynthError::Forcing`] when the hole is too long, [`SynthError::Grid`] when the grid cannot be related to the drift's.
    pub(super) fn motion(&self, day: ProductDay, grid: &GridSpec) -> Result<Motion, SynthError> {
        let known = (0..=LONGEST_HOLE_DAYS).find_map(|back| self.velocities.get(&day.plus_days(-back)));
        let nodes_km_per_day = known.ok_or_else(|| {
            self.lacks(format!("it has no drift of {day} nor of the {LONGEST_HOLE_DAYS} days before it"))
        })?;
        let scale = scale(&grid.projection, &self.nodes.projection)?;
        let node_m = self.nodes.cell_size_m;
        Ok(Motion {
            velocity: nodes_km_per_day
                .mapv(|km| if km.is_nan() { 0.0 } else { km * (1000.0 / (scale * grid.cell_size_m)) as f32 }),
            first_row: ((self.nodes.first_cell_centre_y_m - scale * grid.first_cell_centre_y_m) / node_m)
                as f32,
            first_column: ((scale * grid.first_cell_centre_x_m - self.nodes.first_cell_centre_x_m) / node_m)
                as f32,
            nodes_per_cell: (scale * grid.cell_size_m / node_m) as f32,
        })
    }

    fn lacks(&self, reason: String) -> SynthError {
        SynthError::Forcing { path: self.path.clone(), reason }
    }

    pub(super) fn thickness_m(&self) -> &Field {
        &self.thickness_m
    }

    pub(super) fn covered(&self) -> &Array2<f32> {
        &self.covered
    }

    pub(super) fn nextsim_thickness_m(&self) -> &Array2<f32> {
        &self.nextsim_thickness_m
    }
}

/// Large-scale motion of a day; velocities in cells/day of a product grid, along columns and rows (downwards).
#[derive(Debug)]
pub(super) struct Motion {
    velocity: Array3<f32>,
    first_row: f32,
    first_column: f32,
    nodes_per_cell: f32,
}

impl Motion {
    /// A motion given by a function of node row and node column, on nodes of `cells` cells, for tests.
    #[cfg(test)]
    pub(super) fn of(nodes: usize, cells: f32, velocity: impl Fn(f32, f32) -> (f32, f32)) -> Self {
        let at = |k: usize, r: usize, c: usize| {
            let (u, v) = velocity(c as f32 * cells, r as f32 * cells);
            if k == 0 { u } else { -v }
        };
        Self {
            velocity: Array3::from_shape_fn((2, nodes, nodes), |(k, r, c)| at(k, r, c)),
            first_row: 0.0,
            first_column: 0.0,
            nodes_per_cell: 1.0 / cells,
        }
    }

    /// Velocity at a place given by column and row, cells/day along columns and rows: Catmull-Rom between the nodes, so
    /// that the strain has no steps.
    pub(super) fn at(&self, column: f32, row: f32) -> (f32, f32) {
        let (_, rows, columns) = self.velocity.dim();
        let place = |position: f32, count: usize| {
            let position = position.clamp(1.0, count as f32 - 2.001);
            (position as usize, cubic(position.fract()))
        };
        let (r, rw) = place(self.first_row + row * self.nodes_per_cell, rows);
        let (c, cw) = place(self.first_column + column * self.nodes_per_cell, columns);
        let (mut u, mut v) = (0.0, 0.0);
        for (i, a) in rw.iter().enumerate() {
            for (j, b) in cw.iter().enumerate() {
                u += a * b * self.velocity[[0, r + i - 1, c + j - 1]];
                v += a * b * self.velocity[[1, r + i - 1, c + j - 1]];
            }
        }
        // y points up, rows go down.
        (u, -v)
    }
}

/// The factor that brings coordinates of one polar stereographic projection to those of another with the same axes.
pub(super) fn scale(from: &Projection, to: &Projection) -> Result<f64, GridError> {
    let probe_m = 1e6;
    let (there_m, _) = to.from_lonlat(from.to_lonlat(probe_m, 0.0)?)?;
    Ok(there_m / probe_m)
}

/// Catmull-Rom weights of the four nodes around a place.
fn cubic(t: f32) -> [f32; 4] {
    let (t2, t3) = (t * t, t * t * t);
    [
        0.5 * (-t3 + 2.0 * t2 - t),
        0.5 * (3.0 * t3 - 5.0 * t2 + 2.0),
        0.5 * (-3.0 * t3 + 4.0 * t2 + t),
        0.5 * (t3 - t2),
    ]
}

fn parse(path: &Path, bytes: &[u8]) -> Result<Forcing, String> {
    let text = |error: safetensors::SafeTensorError| error.to_string();
    let file = SafeTensors::deserialize(bytes).map_err(text)?;
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(text)?;
    let stated = header.metadata().clone().unwrap_or_default();
    let smoothing_km = number(&stated, "smoothing_km")?;
    if smoothing_km < LEAST_SMOOTHING_KM {
        return Err(format!(
            "its drift is smoothed with {smoothing_km} km only, so that its noise would become ice; make it with at least {LEAST_SMOOTHING_KM} km"
        ));
    }
    let days: Vec<ProductDay> = tensor(&file, "day", Dtype::I32)?
        .1
        .chunks_exact(4)
        .map(|word| i64::from(i32::from_le_bytes([word[0], word[1], word[2], word[3]])))
        .map(|days| ProductDay::new(chrono::NaiveDate::default()).plus_days(days))
        .collect();
    let (shape, packed) = packed(&file, "velocity")?;
    let [count, 2, rows, columns] = shape[..] else { return Err(format!("velocity has shape {shape:?}")) };
    if count != days.len() || rows < 4 || columns < 4 {
        return Err(format!("velocity has shape {shape:?} for {} days", days.len()));
    }
    let size = 2 * rows * columns;
    let field = |index: usize| {
        let values = unpack(&packed[index * size..(index + 1) * size], 0.01);
        Array3::from_shape_vec((2, rows, columns), values).map_err(|error| error.to_string())
    };
    let velocities =
        days.iter().enumerate().map(|(i, &day)| Ok((day, field(i)?))).collect::<Result<_, String>>()?;
    let nodes = GridSpec {
        name: "drift nodes".into(),
        projection: osisaf_625().map_err(|error| error.to_string())?.projection,
        rows,
        columns,
        cell_size_m: 1000.0 * number(&stated, "spacing_km")?,
        first_cell_centre_x_m: 1000.0 * number(&stated, "first_x_km")?,
        first_cell_centre_y_m: 1000.0 * number(&stated, "first_y_km")?,
    };
    let thickness = plane(&file, "thickness")?;
    let covered = thickness.mapv(|value| f32::from(u8::from(!value.is_nan())));
    let ease = ease2_250().map_err(|error| error.to_string())?;
    let thickness_m = Field::new(Arc::new(ease), spread(thickness)).map_err(|mismatch| {
        format!("thickness has {:?} rows and columns, expected {:?}", mismatch.found, mismatch.expected)
    })?;
    let nextsim_thickness_m = plane(&file, "nextsim_thickness")?;
    Ok(Forcing { path: path.to_owned(), velocities, nodes, thickness_m, covered, nextsim_thickness_m })
}

/// Spreads values to the cells that have none, from the nearest ones outwards.
fn spread(mut values: Array2<f32>) -> Array2<f32> {
    let (rows, columns) = values.dim();
    for _ in 0..rows.max(columns) {
        let before = values.clone();
        let mut waiting = false;
        for ((r, c), value) in values.indexed_iter_mut().filter(|(_, value)| value.is_nan()) {
            let around = before
                .slice(s![r.saturating_sub(1)..(r + 2).min(rows), c.saturating_sub(1)..(c + 2).min(columns)]);
            let (sum, count) = around
                .iter()
                .filter(|v| !v.is_nan())
                .fold((0.0, 0.0), |(sum, count), v| (sum + v, count + 1.0));
            if count > 0.0 {
                *value = sum / count;
            } else {
                waiting = true;
            }
        }
        if !waiting {
            break;
        }
    }
    values
}

fn number(stated: &HashMap<String, String>, name: &str) -> Result<f64, String> {
    let text = stated.get(name).ok_or_else(|| format!("its metadata lack {name}"))?;
    text.parse().map_err(|_| format!("its metadata say {name} = {text}"))
}

fn tensor<'a>(file: &SafeTensors<'a>, name: &str, kind: Dtype) -> Result<(Vec<usize>, &'a [u8]), String> {
    let view = file.tensor(name).map_err(|error| error.to_string())?;
    if view.dtype() == kind {
        Ok((view.shape().to_vec(), view.data()))
    } else {
        Err(format!("{name} is {:?}, expected {kind:?}", view.dtype()))
    }
}

fn packed(file: &SafeTensors<'_>, name: &str) -> Result<(Vec<usize>, Vec<i16>), String> {
    let (shape, bytes) = tensor(file, name, Dtype::I16)?;
    Ok((shape, bytes.chunks_exact(2).map(|word| i16::from_le_bytes([word[0], word[1]])).collect()))
}

fn unpack(values: &[i16], factor: f32) -> Vec<f32> {
    values.iter().map(|&value| if value == NONE { f32::NAN } else { factor * f32::from(value) }).collect()
}

/// A tensor of millimetres as metres.
fn plane(file: &SafeTensors<'_>, name: &str) -> Result<Array2<f32>, String> {
    let (shape, values) = packed(file, name)?;
    let [rows, columns] = shape[..] else { return Err(format!("{name} has shape {shape:?}")) };
    Array2::from_shape_vec((rows, columns), unpack(&values, 1e-3)).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_linear_motion_is_met_between_the_nodes() {
        let motion = Motion::of(8, 40.0, |x, y| (0.01 * x - 0.02 * y, 0.03 * x));
        let (u, v) = motion.at(130.0, 97.0);
        assert!((u - (1.3 - 1.94)).abs() < 1e-4, "{u}");
        assert!((v - 3.9).abs() < 1e-4, "{v}");
    }

    #[test]
    fn a_short_hole_is_bridged_and_what_lacks_is_told_with_the_file() {
        let path = Path::new("forcing/arctic-winters.safetensors");
        let mut forcing = Forcing::read(path).unwrap();
        let grid = GridSpec::test_square(3);
        let (first, _) = forcing.winter(2024).unwrap();
        forcing.velocities.retain(|day, _| *day <= first);
        forcing.motion(first.plus_days(3), &grid).unwrap();
        let late = first.plus_days(4);
        for (error, lacks) in [
            (forcing.motion(late, &grid).unwrap_err(), late.to_string()),
            (forcing.winter(2025).unwrap_err(), "2025".to_owned()),
        ] {
            let error = error.to_string();
            let words = [path.to_str().unwrap(), &lacks, "--forcing"];
            assert!(words.iter().all(|word| error.contains(word)), "{error}");
        }
    }

    #[test]
    fn values_spread_to_every_cell_from_the_nearest() {
        let mut values = Array2::from_elem((5, 9), f32::NAN);
        values[[2, 0]] = 1.0;
        values[[2, 8]] = 3.0;
        let spread = spread(values);
        assert!(spread.iter().all(|v| !v.is_nan()));
        assert!((spread[[0, 1]] - 1.0).abs() < 1e-6 && (spread[[4, 7]] - 3.0).abs() < 1e-6);
    }
}
