//! The grids that the products come on, and the check that a file is on the grid it should be on.

use std::sync::Arc;

use ndarray::{Array2, s};

use crate::field::Field;
use crate::grid::{GridError, GridSpec, Projection};
use crate::source::SourceError;
use crate::source::netcdf_file::{NetcdfFile, PackedVariable, Unit};
use crate::source::projection_parameters::ProjectionParameters;

/// How far a coordinate may lie from where it should, as a share of a cell.
const COORDINATE_TOLERANCE: f64 = 0.01;

const OSISAF_PROJECTION: &str = "+proj=stere +a=6378273 +b=6356889.44891 +lat_0=90 +lat_ts=70 +lon_0=-45";
const EASE2_PROJECTION: &str = "+proj=laea +lon_0=0 +datum=WGS84 +ellps=WGS84 +lat_0=90.0";

/// The 10 km polar stereographic grid of OSI SAF concentration.
///
/// # Errors
/// [`GridError::Projection`], which this projection does not cause.
pub fn osisaf_100() -> Result<GridSpec, GridError> {
    grid("osisaf-100", OSISAF_PROJECTION, (1120, 760), 10_000.0, (-3_845_000.0, 5_845_000.0))
}

/// The 62.5 km polar stereographic grid of OSI SAF drift.
///
/// # Errors
/// [`GridError::Projection`], which this projection does not cause.
pub fn osisaf_625() -> Result<GridSpec, GridError> {
    grid("osisaf-625", OSISAF_PROJECTION, (177, 119), 62_500.0, (-3_750_000.0, 5_750_000.0))
}

/// The 25 km EASE2 grid of the merged thickness v206.
///
/// # Errors
/// [`GridError::Projection`], which this projection does not cause.
pub fn ease2_250() -> Result<GridSpec, GridError> {
    grid("ease2-250", EASE2_PROJECTION, (432, 432), 25_000.0, (-5_387_500.0, 5_387_500.0))
}

/// The 12.5 km EASE2 grid of the merged thickness v300.
///
/// # Errors
/// [`GridError::Projection`], which this projection does not cause.
pub fn ease2_125() -> Result<GridSpec, GridError> {
    grid("ease2-125", EASE2_PROJECTION, (864, 864), 12_500.0, (-5_393_750.0, 5_393_750.0))
}

fn grid(
    name: &str,
    projection: &str,
    (rows, columns): (usize, usize),
    cell_size_m: f64,
    (first_cell_centre_x_m, first_cell_centre_y_m): (f64, f64),
) -> Result<GridSpec, GridError> {
    let projection = Projection::parse(projection)?;
    let name = name.to_owned();
    Ok(GridSpec {
        name,
        projection,
        rows,
        columns,
        cell_size_m,
        first_cell_centre_x_m,
        first_cell_centre_y_m,
    })
}

/// A known grid on which a file's variables have been found to lie.
pub(super) struct NativeGrid {
    spec: Arc<GridSpec>,
    rows_go_up: bool,
}

impl NativeGrid {
    /// Holds projection and every coordinate of `variable` against the known grid.
    ///
    /// # Errors
    /// [`SourceError::WrongGrid`] with the numbers expected and found.
    pub(super) fn verify(
        spec: GridSpec,
        file: &NetcdfFile,
        variable: &PackedVariable<'_>,
    ) -> Result<Self, SourceError> {
        let refuse = |expected: String, found: String| SourceError::WrongGrid {
            path: file.path().to_owned(),
            expected: format!("{expected} ({})", spec.name),
            found,
        };
        verify_projection(&spec, file, variable, &refuse)?;
        let shape = variable.shape()?;
        if shape != spec.shape() {
            return Err(refuse(in_numbers(spec.shape()), in_numbers(shape)));
        }
        let dimensions = variable.dimensions();
        let [.., row_axis, column_axis] = dimensions.as_slice() else {
            return Err(refuse("rows and columns".into(), format!("{dimensions:?}")));
        };
        let x_m = axis_m(file, column_axis, "X")?;
        let mut y_m = axis_m(file, row_axis, "Y")?;
        let rows_go_up = y_m.first() < y_m.last();
        if rows_go_up {
            y_m.reverse();
        }
        let expected_x_m: Vec<f64> = (0..spec.columns).map(|column| spec.x_m(column)).collect();
        let expected_y_m: Vec<f64> = (0..spec.rows).map(|row| spec.y_m(row)).collect();
        for (axis, expected, found) in [(column_axis, expected_x_m, x_m), (row_axis, expected_y_m, y_m)] {
            if let Some(place) = first_apart(&expected, &found, COORDINATE_TOLERANCE * spec.cell_size_m) {
                let (expected, found) = (in_words(axis, &expected, place), in_words(axis, &found, place));
                return Err(refuse(expected, found));
            }
        }
        Ok(Self { spec: Arc::new(spec), rows_go_up })
    }

    /// A variable in this unit, row 0 at the top, NaN where missing.
    pub(super) fn array(
        &self,
        variable: &PackedVariable<'_>,
        unit: Unit,
    ) -> Result<Array2<f64>, SourceError> {
        self.verify_shape(variable)?;
        Ok(self.turned(variable.array_in(unit)?))
    }

    /// A variable that is not needed: one in an unknown unit is as good as none.
    pub(super) fn optional_array(
        &self,
        variable: Option<PackedVariable<'_>>,
        unit: Unit,
    ) -> Result<Option<Array2<f64>>, SourceError> {
        match variable.map(|variable| self.array(&variable, unit)).transpose() {
            Err(SourceError::Unit { .. }) => Ok(None),
            result => result,
        }
    }

    /// A variable without a unit (flags), row 0 at the top; `missing` where it has no value, -1 where that is no flag: no
    /// table of flags gives a meaning to it, and taken as bits it has them all.
    pub(super) fn codes(
        &self,
        variable: &PackedVariable<'_>,
        missing: i32,
    ) -> Result<Array2<i32>, SourceError> {
        self.verify_shape(variable)?;
        let is_flag = |code: f64| code.fract() == 0.0 && (0.0..=f64::from(i32::MAX)).contains(&code);
        let read = |code: f64| match code {
            code if code.is_nan() => missing,
            code if is_flag(code) => code as i32,
            _ => -1,
        };
        Ok(self.turned(variable.array()?).mapv(read))
    }

    /// Rows and columns.
    pub(super) fn shape(&self) -> (usize, usize) {
        self.spec.shape()
    }

    /// Puts values on the grid.
    pub(super) fn field(&self, values: &Array2<f64>) -> Result<Field, SourceError> {
        Ok(Field::new(Arc::clone(&self.spec), values.mapv(|value| value as f32))?)
    }

    fn verify_shape(&self, variable: &PackedVariable<'_>) -> Result<(), SourceError> {
        let shape = variable.shape()?;
        if shape == self.spec.shape() {
            return Ok(());
        }
        Err(SourceError::WrongGrid {
            path: variable.path().to_owned(),
            expected: format!(
                "{} of {} ({})",
                variable.name(),
                in_numbers(self.spec.shape()),
                self.spec.name
            ),
            found: in_numbers(shape),
        })
    }

    fn turned(&self, values: Array2<f64>) -> Array2<f64> {
        if self.rows_go_up { values.slice(s![..;-1, ..]).to_owned() } else { values }
    }
}

fn verify_projection(
    spec: &GridSpec,
    file: &NetcdfFile,
    variable: &PackedVariable<'_>,
    refuse: &impl Fn(String, String) -> SourceError,
) -> Result<(), SourceError> {
    let Some(name) = variable.text("grid_mapping") else {
        return Err(file.layout(format!("{} with an attribute grid_mapping", variable.name()), "none".into()));
    };
    let mapping = file.variable(&[name.trim()])?;
    let text = mapping.text("proj4_string");
    let found = text
        .as_deref()
        .map_or_else(|| ProjectionParameters::from_cf(&mapping), ProjectionParameters::from_proj);
    let expected = ProjectionParameters::from_proj(spec.projection.text());
    match (expected, found) {
        (Some(expected), Some(found)) if expected.agrees_with(&found) => Ok(()),
        (_, found) => {
            let unreadable =
                || text.clone().unwrap_or_else(|| format!("no projection in {}", mapping.name()));
            let found = found.map_or_else(unreadable, |found| found.to_string());
            Err(refuse(spec.projection.text().to_owned(), found))
        }
    }
}

/// The coordinates along an axis, m, which must not be those of the other axis.
fn axis_m(file: &NetcdfFile, name: &str, axis: &str) -> Result<Vec<f64>, SourceError> {
    let coordinates = file.variable(&[name])?;
    match coordinates.text("axis") {
        Some(found) if found != axis => {
            Err(file.layout(format!("{name} to be axis {axis}"), format!("axis {found}")))
        }
        _ => coordinates.values_in(Unit::Metre),
    }
}

/// The first place at which the coordinates differ.
fn first_apart(expected: &[f64], found: &[f64], tolerance: f64) -> Option<usize> {
    // Asked so that a coordinate that is missing (NaN) does not pass.
    let near = |(expected, found): (&f64, &f64)| (expected - found).abs() <= tolerance;
    let apart = expected.iter().zip(found).position(|pair| !near(pair));
    apart.or_else(|| (expected.len() != found.len()).then(|| expected.len().min(found.len())))
}

fn in_numbers((rows, columns): (usize, usize)) -> String {
    format!("{rows} rows and {columns} columns")
}

/// Coordinates in short; `place` is one that matters.
fn in_words(axis: &str, coordinates_m: &[f64], place: usize) -> String {
    let km = |metres: &f64| metres / 1000.0;
    match coordinates_m {
        [first, second, .., last] => {
            let step = km(&(second - first));
            let there = coordinates_m
                .get(place)
                .map_or_else(|| "none".to_owned(), |there| format!("{} km", km(there)));
            format!(
                "{axis} from {} km to {} km, step {step} km, {there} at place {place}",
                km(first),
                km(last)
            )
        }
        few => format!("{axis} at {few:?} m"),
    }
}

#[cfg(test)]
mod tests {
    use approx::assert_abs_diff_eq;

    use super::*;

    #[test]
    fn the_known_grids_end_where_the_documents_say() {
        let last = |grid: GridSpec| (grid.x_m(grid.columns - 1) / 1000.0, grid.y_m(grid.rows - 1) / 1000.0);
        assert_eq!(last(osisaf_100().unwrap()), (3745.0, -5345.0));
        assert_eq!(last(osisaf_625().unwrap()), (3625.0, -5250.0));
        assert_eq!(last(ease2_250().unwrap()), (5387.5, -5387.5));
        assert_eq!(last(ease2_125().unwrap()), (5393.75, -5393.75));
    }

    #[test]
    fn the_pole_lies_where_the_axes_cross() {
        for grid in [osisaf_100().unwrap(), ease2_250().unwrap()] {
            let pole = grid.projection.to_lonlat(0.0, 0.0).unwrap();
            assert_abs_diff_eq!(pole.lat, 90.0, epsilon = 1e-6);
        }
    }

    #[test]
    fn coordinates_may_be_off_by_a_hundredth_of_a_cell_and_not_more() {
        assert_eq!(first_apart(&[0.0, 10.0], &[0.09, 10.0], 0.1), None);
        assert_eq!(first_apart(&[0.0, 10.0], &[0.11, 10.0], 0.1), Some(0));
        assert_eq!(first_apart(&[0.0, 10.0], &[0.0, f64::NAN], 0.1), Some(1));
        assert_eq!(first_apart(&[0.0, 10.0], &[0.0], 0.1), Some(1));
    }
}
