//! What an input file is and what its values are like, in a few numbers.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use ndarray::Zip;
use serde::{Deserialize, Serialize};

use crate::config::Measure;
use crate::field::Field;
use crate::grid::GridSpec;
use crate::source::merged_thickness::Thickness;
use crate::source::osisaf_concentration::{self, Concentration};
use crate::source::osisaf_drift::Drift;
use crate::source::projection_parameters::ProjectionParameters;
use crate::source::{Decoded, FlagCounts, Role, SourceError, decode};
use crate::time::Window;

/// An input file that its reader takes, measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// What it gives to a day.
    pub role: Role,
    /// The product and its version as the file states them, such as `OSI-408-a 1.0`.
    pub product: String,
    /// What time it observes.
    pub window: Window,
    /// What was measured, in the units that the measures have; a measure that makes no sense for the product is left out.
    pub values: BTreeMap<Measure, f64>,
}

/// Decodes an input file, and measures it.
///
/// # Errors
/// [`SourceError`] when it cannot be [decoded](decode).
pub fn measure(path: &Path) -> Result<Measured, SourceError> {
    let decoded = decode(path)?;
    let role = decoded.role();
    let (mut values, identity, window) = match decoded {
        Decoded::Concentration(read) => (concentration(&read), read.identity, read.window),
        Decoded::Thickness(read) => (thickness(&read), read.identity, read.window),
        Decoded::Drift(read) => (drift(&read)?, read.identity, read.window),
    };
    // JSON, in which this goes to another process, has no other numbers; what is none was not measured.
    values.retain(|_, value| value.is_finite());
    Ok(Measured { role, product: identity.product, window, values })
}

fn concentration(read: &Concentration) -> BTreeMap<Measure, f64> {
    let is_ice = |fraction: f64| fraction >= osisaf_concentration::ICE_FRACTION;
    let mut values = of_field(&read.fraction, 100.0, is_ice);
    values.extend(of_flags(read.flags, read.fraction.values().len()));
    values
}

fn thickness(read: &Thickness) -> BTreeMap<Measure, f64> {
    of_field(&read.thickness_m, 1.0, |thickness_m| thickness_m > 0.0)
}

fn drift(read: &Drift) -> Result<BTreeMap<Measure, f64>, SourceError> {
    let mut values = of_field(&speed_km_per_day(read)?, 1.0, |_| true);
    values.extend(of_flags(read.flags, read.displacement_x_km.values().len()));
    Ok(values)
}

/// Measures a field that has at least one value; `factor` brings its values to the unit of the mean.
fn of_field(field: &Field, factor: f64, is_ice: impl Fn(f64) -> bool) -> BTreeMap<Measure, f64> {
    let valid = || field.values().iter().map(|value| f64::from(*value)).filter(|value| !value.is_nan());
    let cells = valid().count() as f64;
    let mean = valid().sum::<f64>() / cells;
    let variance = valid().map(|value| (value - mean).powi(2)).sum::<f64>() / cells;
    let ice_cells =
        field.values().indexed_iter().filter(|(_, value)| !value.is_nan() && is_ice(f64::from(**value)));
    let cell_area_km2 = cell_area_km2(field.grid());
    let ice_area_km2: f64 = ice_cells.map(|((row, column), _)| cell_area_km2(row, column)).sum();
    BTreeMap::from([
        (Measure::ValidPercent, percent(field.valid_cells(), field.values().len())),
        (Measure::Mean, factor * mean),
        (Measure::StandardDeviation, factor * variance.sqrt()),
        (Measure::IceAreaMillionKm2, ice_area_km2 / 1e6),
    ])
}

fn of_flags(flags: FlagCounts, cells: usize) -> impl Iterator<Item = (Measure, f64)> {
    let on_land = (flags.land > 0).then(|| percent(flags.ice_on_land, flags.land));
    let unknown = (Measure::UnknownFlagPercent, percent(flags.unknown, cells));
    on_land.map(|percent| (Measure::IceOnLandPercent, percent)).into_iter().chain([unknown])
}

fn percent(part: usize, whole: usize) -> f64 {
    100.0 * part as f64 / whole as f64
}

/// True area of a cell by row and column, km2.
fn cell_area_km2(grid: &GridSpec) -> impl Fn(usize, usize) -> f64 {
    let on_map_km2 = (grid.cell_size_m / 1000.0).powi(2);
    let map = ProjectionParameters::from_proj(grid.projection.text());
    move |row, column| {
        let scale = map.as_ref().map_or(f64::NAN, |map| map.area_scale(grid.x_m(column), grid.y_m(row)));
        on_map_km2 / scale
    }
}

fn speed_km_per_day(drift: &Drift) -> Result<Field, SourceError> {
    let speed = Zip::from(drift.displacement_x_km.values())
        .and(drift.displacement_y_km.values())
        .and(drift.duration_days.values())
        .map_collect(|x_km, y_km, days| x_km.hypot(*y_km) / days);
    Ok(Field::new(Arc::clone(drift.displacement_x_km.grid()), speed)?)
}
