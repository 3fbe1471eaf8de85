//! What satellites would see of the ice, and what Nilas makes of that: the observation operator.

use std::sync::Arc;

use ndarray::{Array2, Axis, Zip};
use rand_chacha::ChaCha20Rng;
use rayon::prelude::*;

use super::SynthError;
use super::forcing::scale;
use super::pack::View;
use crate::archive::Sample;
use crate::config::{Config, RemapInput};
use crate::ensemble::dice::{normal, uniform};
use crate::field::Field;
use crate::grid::{Grid, GridSpec, Kernel, Weights};
use crate::prepare::{self, Remaps, SatelliteFields};
use crate::source::{Satellites, ease2_125, osisaf_100, osisaf_625};

/// Gaussian sigma of what the merged thickness resolves, km.
const THICKNESS_KM: (f64, f64) = (26.0, 50.0);
/// Gaussian sigma of what the concentration resolves, km.
const CONCENTRATION_KM: (f64, f64) = (8.0, 14.0);
/// Error of a component of the drift over two days, km.
const DRIFT_ERROR_KM: (f64, f64) = (0.6, 1.8);
/// A drift vector needs ice on this share of the square of this many of its cells around it.
const DRIFT_ICE_SHARE: f32 = 0.8;
const DRIFT_SQUARE: f64 = 2.4;
/// Days of the window of the merged thickness.
pub(super) const WINDOW_DAYS: usize = 7;
/// Days in which the ice is displaced.
const DRIFT_DAYS: f32 = 2.0;

/// What is said of fields that this operator made.
pub(super) const DEGRADATION: &str = "observation operator: thickness over ice, 7-day mean, Gaussian of sigma 26..50 km on EASE2 12.5 km; concentration, Gaussian of sigma 8..14 km on 10 km; drift of 48 h over 62.5 km with an error of 0.6..1.8 km; then prepared as satellites' fields are";

/// The satellites' grids and the way from them to the product grid.
#[derive(Debug)]
pub struct Observer {
    grid: Grid,
    remaps: Remaps,
    concentration: Sampling,
    thickness: Sampling,
    drift: Sampling,
    /// Lengths on the drift's grid over those on the product grid.
    drift_scale: f64,
    fill_reach_km: Option<f64>,
}

/// A satellite's grid and where its cells lie on the product grid.
#[derive(Debug)]
struct Sampling {
    grid: Arc<GridSpec>,
    /// Flat index, row and column on the product grid, of the cells that lie on it.
    cells: Vec<(usize, f64, f64)>,
    /// Cells whose middle is land on the product grid.
    land: Arc<Array2<bool>>,
}

impl Observer {
    /// Builds the weights of the configuration's remapping for its grid.
    ///
    /// # Errors
    /// [`SynthError`] when the grid cannot be used.
    pub fn new(config: &Config, grid: Grid) -> Result<Self, SynthError> {
        let (concentration, drift, thickness) = (osisaf_100()?, osisaf_625()?, ease2_125()?);
        let sea = grid.sea();
        let weights = |source: &GridSpec, input: RemapInput| {
            let kernel = config.kernel(input);
            let kernel = Kernel::Gaussian { scale_km: kernel.scale_km, radius_km: kernel.radius_km };
            Weights::build(source, &grid.spec, &sea, kernel)
        };
        let remaps = Remaps {
            concentration: weights(&concentration, RemapInput::Concentration)?,
            thickness: weights(&thickness, RemapInput::ThicknessV300)?,
            deformation: weights(&drift, RemapInput::Deformation)?,
        };
        let drift_scale = scale(&grid.spec.projection, &drift.projection)?;
        Ok(Self {
            concentration: Sampling::new(concentration, &grid)?,
            thickness: Sampling::new(thickness, &grid)?,
            drift: Sampling::new(drift, &grid)?,
            drift_scale,
            remaps,
            fill_reach_km: config.prepare.fill_gaps.then_some(config.prepare.fill_reach_km),
            grid,
        })
    }

    /// The grid that the ice lies on.
    #[must_use]
    pub fn grid(&self) -> &Grid {
        &self.grid
    }

    /// The sample of the middle day of a window of [`WINDOW_DAYS`] views, and what the satellites saw of it.
    pub(super) fn observe(
        &self,
        window: &[&View],
        dice: &mut ChaCha20Rng,
    ) -> Result<(Sample, Satellites), SynthError> {
        let middle = window.len() / 2;
        let (truth, next) = (window[middle], window[middle + 1]);
        let concentration =
            self.see_concentration(truth, uniform(dice, CONCENTRATION_KM.0, CONCENTRATION_KM.1))?;
        let thickness_m = self.see_thickness(window, uniform(dice, THICKNESS_KM.0, THICKNESS_KM.1))?;
        let displacement_error_km = uniform(dice, DRIFT_ERROR_KM.0, DRIFT_ERROR_KM.1);
        let (displacement_km, days) = self.see_drift([truth, next], displacement_error_km, dice)?;
        let satellites = Satellites {
            concentration,
            concentration_land: Arc::clone(&self.concentration.land),
            thickness_m,
            displacement_km,
            displacement_error_km,
            displacement_land: Arc::clone(&self.drift.land),
        };
        let [x, y] = &satellites.displacement_km;
        let fields = SatelliteFields {
            concentration: &satellites.concentration,
            thickness_m: &satellites.thickness_m,
            thickness_uncertainty_m: None,
            displacement_x_km: x,
            displacement_y_km: y,
            drift_days: &days,
            provided: None,
        };
        let low = prepare::prepare(fields, &self.remaps, &self.grid, self.fill_reach_km);
        let on_sea = |values: &Array2<f32>| {
            Zip::from(values).and(&self.grid.land).map_collect(|&v, &land| if land { f32::NAN } else { v })
        };
        let (divergence_per_day, shear_per_day) = deformation(truth);
        let sample = Sample {
            concentration: on_sea(&truth.concentration),
            effective_thickness_m: on_sea(&truth.thickness_m),
            divergence_per_day: on_sea(&divergence_per_day),
            shear_per_day: on_sea(&shear_per_day),
            low_concentration: low.concentration,
            low_effective_thickness_m: low.effective_thickness_m,
            low_divergence_per_day: low.divergence_per_day,
            low_shear_per_day: low.shear_per_day,
        };
        Ok((sample, satellites))
    }

    fn cells(&self, km: f64) -> f32 {
        (1000.0 * km / self.grid.spec.cell_size_m) as f32
    }

    fn sea(&self) -> Array2<f32> {
        self.grid.land.mapv(|land| f32::from(u8::from(!land)))
    }

    fn see_concentration(&self, view: &View, sigma_km: f64) -> Result<Field, SynthError> {
        let sigma = self.cells(sigma_km);
        let seen =
            &gaussian(&view.concentration, sigma) / &gaussian(&self.sea(), sigma).mapv(|v| v.max(1e-6));
        self.concentration.field(|row, column| {
            if self.grid.land[[row.round() as usize, column.round() as usize]] {
                f32::NAN
            } else {
                bilinear(&seen, row, column)
            }
        })
    }

    fn see_thickness(&self, window: &[&View], sigma_km: f64) -> Result<Field, SynthError> {
        let mean = |of: fn(&View) -> &Array2<f32>| {
            let mut sum = of(window[0]).clone();
            window[1..].iter().for_each(|view| sum += of(view));
            sum / window.len() as f32
        };
        let sigma = self.cells(sigma_km);
        let volume = gaussian(&mean(|view| &view.thickness_m), sigma);
        let area = mean(|view| &view.concentration);
        let smooth_area = gaussian(&area, sigma);
        self.thickness.field(|row, column| {
            let cell = [row.round() as usize, column.round() as usize];
            if self.grid.land[cell] || area[cell] < prepare::ICE_EDGE {
                f32::NAN
            } else {
                bilinear(&volume, row, column) / bilinear(&smooth_area, row, column)
            }
        })
    }

    /// Displacements along x and y in km, and the days in which they were made.
    fn see_drift(
        &self,
        days: [&View; 2],
        error_km: f64,
        dice: &mut ChaCha20Rng,
    ) -> Result<([Field; 2], Field), SynthError> {
        let km_per_cell = self.drift_scale * self.grid.spec.cell_size_m / 1000.0;
        let cell = self.drift.grid.cell_size_m / 1000.0 / km_per_cell;
        let ice = Zip::from(&days[0].u)
            .and(&days[1].u)
            .map_collect(|a, b| f32::from(u8::from(!a.is_nan() && !b.is_nan())));
        let ice = Totals::of(&ice);
        let moved = |of: fn(&View) -> &Array2<f32>| {
            let sum = of(days[0]) + of(days[1]);
            Totals::of(&sum.mapv(|v| if v.is_nan() { 0.0 } else { v }))
        };
        let moved = [moved(|view| &view.u), moved(|view| &view.v)];
        let known = |row: f64, column: f64| {
            ice.over(row, column, DRIFT_SQUARE * cell)
                >= DRIFT_ICE_SHARE * (DRIFT_SQUARE * cell).powi(2) as f32
        };
        let mut component = |totals: &Totals, sign: f64| {
            self.drift.field(|row, column| {
                let error = error_km * normal(dice);
                if !known(row, column) {
                    return f32::NAN;
                }
                let mean = f64::from(totals.over(row, column, cell) / ice.over(row, column, cell));
                (sign * mean * km_per_cell + error) as f32
            })
        };
        let (x, y) = (component(&moved[0], 1.0)?, component(&moved[1], -1.0)?);
        let days = self.drift.field(|row, column| if known(row, column) { DRIFT_DAYS } else { f32::NAN })?;
        Ok(([x, y], days))
    }
}

impl Sampling {
    fn new(grid: GridSpec, target: &Grid) -> Result<Self, SynthError> {
        let product = &target.spec;
        let places = grid.lonlat()?;
        let cells: Vec<(usize, f64, f64)> = places
            .as_slice()
            .unwrap_or_default()
            .par_iter()
            .enumerate()
            .map(|(index, &place)| {
                let (x_m, y_m) = product.projection.from_lonlat(place)?;
                let (row, column) = product.position(x_m, y_m);
                Ok((index, row, column))
            })
            .collect::<Result<_, SynthError>>()?;
        let inside = |&(_, row, column): &(usize, f64, f64)| {
            (0.0..product.rows as f64 - 1.0).contains(&row)
                && (0.0..product.columns as f64 - 1.0).contains(&column)
        };
        let cells: Vec<_> = cells.into_iter().filter(inside).collect();
        let mut land = Array2::from_elem(grid.shape(), false);
        for &(index, row, column) in &cells {
            land[[index / grid.columns, index % grid.columns]] =
                target.land[[row.round() as usize, column.round() as usize]];
        }
        Ok(Self { grid: Arc::new(grid), cells, land: Arc::new(land) })
    }

    fn field(&self, mut value: impl FnMut(f64, f64) -> f32) -> Result<Field, SynthError> {
        let mut values = Array2::from_elem(self.grid.shape(), f32::NAN);
        for &(index, row, column) in &self.cells {
            values[[index / self.grid.columns, index % self.grid.columns]] = value(row, column);
        }
        Field::new(Arc::clone(&self.grid), values).map_err(|error| SynthError::Option(error.to_string()))
    }
}

/// A value between the centres of four cells.
pub(super) fn bilinear(values: &Array2<f32>, row: f64, column: f64) -> f32 {
    let (r, c) = (row as usize, column as usize);
    let (dr, dc) = (row.fract() as f32, column.fract() as f32);
    let across = |r: usize| (1.0 - dc) * values[[r, c]] + dc * values[[r, c + 1]];
    (1.0 - dr) * across(r) + dr * across(r + 1)
}

/// Gaussian sums (sigma in cells) with weights that add up to 1; nothing lies beyond the edge.
pub(super) fn gaussian(values: &Array2<f32>, sigma: f32) -> Array2<f32> {
    let reach = (3.0 * sigma).ceil() as usize;
    let weights: Vec<f32> =
        (0..=2 * reach).map(|k| (-0.5 * ((k as f32 - reach as f32) / sigma).powi(2)).exp()).collect();
    let total: f32 = weights.iter().sum();
    let weights: Vec<f32> = weights.into_iter().map(|weight| weight / total).collect();
    let down = along_columns(values, &weights, reach);
    along_columns(&down.reversed_axes().as_standard_layout().to_owned(), &weights, reach)
        .reversed_axes()
        .as_standard_layout()
        .to_owned()
}

/// Weighted sums over rows: whole rows are added, which compilers turn into wide instructions.
fn along_columns(values: &Array2<f32>, weights: &[f32], reach: usize) -> Array2<f32> {
    let rows = values.nrows();
    let mut out = Array2::zeros(values.dim());
    out.axis_iter_mut(Axis(0)).into_par_iter().enumerate().for_each(|(row, mut sum)| {
        for source in row.saturating_sub(reach)..(row + reach + 1).min(rows) {
            sum.scaled_add(weights[source + reach - row], &values.row(source));
        }
    });
    out
}

/// Sums over rectangles in constant time.
pub(super) struct Totals(Array2<f64>);

impl Totals {
    pub(super) fn of(values: &Array2<f32>) -> Self {
        let (rows, columns) = values.dim();
        let mut totals = Array2::zeros((rows + 1, columns + 1));
        for r in 0..rows {
            let mut row = 0.0;
            for c in 0..columns {
                row += f64::from(values[[r, c]]);
                totals[[r + 1, c + 1]] = totals[[r, c + 1]] + row;
            }
        }
        Self(totals)
    }

    /// Sum over a square of `side` cells around a place; what lies beyond the edge counts nothing.
    pub(super) fn over(&self, row: f64, column: f64, side: f64) -> f32 {
        let bounds = |centre: f64, length: usize| {
            let limit = |place: f64| place.round().clamp(0.0, length as f64 - 1.0) as usize;
            (limit(centre + 0.5 - 0.5 * side), limit(centre + 0.5 + 0.5 * side))
        };
        let ((top, bottom), (left, right)) = (bounds(row, self.0.nrows()), bounds(column, self.0.ncols()));
        (self.0[[bottom, right]] - self.0[[top, right]] - self.0[[bottom, left]] + self.0[[top, left]]) as f32
    }
}

/// Divergence and shear of the motion on the product grid, 1/day.
fn deformation(view: &View) -> (Array2<f32>, Array2<f32>) {
    let at = |values: &Array2<f32>, r: Option<usize>, c: Option<usize>| {
        r.zip(c).and_then(|cell| values.get(cell).copied()).unwrap_or(f32::NAN)
    };
    let gradient = |values: &Array2<f32>, r: usize, c: usize| {
        let across = at(values, Some(r), Some(c + 1)) - at(values, Some(r), c.checked_sub(1));
        let down = at(values, Some(r + 1), Some(c)) - at(values, r.checked_sub(1), Some(c));
        (0.5 * across, 0.5 * down)
    };
    let mut divergence = Array2::from_elem(view.u.dim(), f32::NAN);
    let mut shear = divergence.clone();
    Zip::indexed(&mut divergence).and(&mut shear).par_for_each(|(r, c), divergence, shear| {
        let ((ux, uy), (vx, vy)) = (gradient(&view.u, r, c), gradient(&view.v, r, c));
        *divergence = ux + vy;
        *shear = (ux - vy).hypot(uy + vx);
    });
    (divergence, shear)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::Overrides;
    use crate::ensemble::dice::dice;
    use crate::ensemble::{EDGE_TOLERANCE_M, INNER_TOLERANCE_M, SatelliteView};

    use super::*;

    #[test]
    fn a_gaussian_keeps_the_sum_and_has_its_width() {
        let mut values = Array2::zeros((101, 91));
        values[[50, 45]] = 1.0;
        let out = gaussian(&values, 5.0);
        assert!((out.sum() - 1.0).abs() < 1e-4);
        let spread: f32 = out.indexed_iter().map(|((r, _), v)| v * (r as f32 - 50.0).powi(2)).sum();
        assert!((spread.sqrt() - 5.0).abs() < 0.1, "{spread}");
    }

    #[test]
    fn totals_are_sums_over_squares() {
        let totals = Totals::of(&Array2::from_shape_fn((9, 9), |(r, c)| (10 * r + c) as f32));
        assert!((totals.over(4.0, 4.0, 3.0) - 9.0 * 44.0).abs() < 1e-3);
        assert!((totals.over(0.0, 0.0, 3.0) - (0.0 + 1.0 + 10.0 + 11.0)).abs() < 1e-3);
    }

    /// Ice at rest with a coast, an ice edge, and power on every scale. Through the view that members are held to, it is what the
    /// satellites made of it, within little more than what is asked of members.
    #[test]
    fn members_are_held_to_what_the_satellites_see_of_a_truth() {
        const SIDE: usize = 220;
        let config = Config::load(Path::new("config/nilas.toml"), &Overrides::default()).unwrap();
        let whole = Grid::load(&config.grid_file().unwrap()).unwrap().spec;
        let half = 0.5 * whole.cell_size_m * (SIDE as f64 - 1.0);
        let around_the_pole = GridSpec {
            name: "test".into(),
            rows: SIDE,
            columns: SIDE,
            first_cell_centre_x_m: -half,
            first_cell_centre_y_m: half,
            ..(*whole).clone()
        };
        let land = Array2::from_shape_fn((SIDE, SIDE), |(row, column)| row + column < 60);
        let wave = |length: f32, place: f32| (std::f32::consts::TAU * place / length).sin();
        let concentration = Array2::from_shape_fn((SIDE, SIDE), |(row, column)| {
            let from_edge = (200.0 - row as f32 + 8.0 * wave(70.0, column as f32)) / 15.0;
            if land[[row, column]] { 0.0 } else { from_edge.clamp(0.0, 0.97) }
        });
        let thickness_m = Array2::from_shape_fn((SIDE, SIDE), |(row, column)| {
            let (down, along) = (row as f32, column as f32);
            let detail: f32 = [12.0, 25.0, 45.0, 90.0, 160.0]
                .into_iter()
                .map(|length| {
                    0.003 * length * wave(length, 0.8 * down + along) * wave(1.4 * length, down - along)
                })
                .sum();
            concentration[[row, column]] * (1.5 + detail)
        });
        let still = concentration.mapv(|c| if c < prepare::ICE_EDGE { f32::NAN } else { 0.0 });
        let view = View { concentration, thickness_m, u: still.clone(), v: still };
        let grid = Grid { spec: Arc::new(around_the_pole), land };
        let observer = Observer::new(&config, grid).unwrap();
        let (mut inner, mut edge) = (0.0, 0.0);
        for number in 0..6 {
            let mut dice = dice(&format!("view|{number}"));
            let (sample, _) = observer.observe(&[&view; WINDOW_DAYS], &mut dice).unwrap();
            let (concentration, low) = (sample.low_concentration, sample.low_effective_thickness_m);
            let mask = prepare::mask(&concentration, &low);
            let seen = SatelliteView::of_day(&mask, concentration.view());
            let found = seen.difference(sample.effective_thickness_m.view(), low.view());
            (inner, edge) = (inner + found.inner_m / 6.0, edge + found.edge_m / 6.0);
        }
        assert!(inner < 1.5 * INNER_TOLERANCE_M && edge < 1.5 * EDGE_TOLERANCE_M, "{inner} m, {edge} m");
    }
}
