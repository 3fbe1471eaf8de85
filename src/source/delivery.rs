//! The other way round: synthetic days as the files that the data centres deliver, so that the whole chain can be run on ice whose
//! truth is known: OSI-408-a, OSI-405-d and CS3SMOS v300, as far as Nilas reads them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::NaiveDateTime;
use ndarray::Array2;
use netcdf::{AttributeValue, Extents, FileMut, NcTypeDescriptor};

use crate::field::Field;
use crate::grid::GridSpec;
use crate::source::osisaf_concentration::bit;
use crate::source::osisaf_drift::{NO_INPUT, OVER_LAND};
use crate::sys;
use crate::time::ProductDay;

/// What stands for a missing value; no field has such values.
const FILL: f32 = -1e10;
/// What stands for a missing flag, which the files have none of.
const FLAG_FILL: i32 = -32_767;
/// 1978-01-01, the beginning of the files' time, in seconds since 1970.
const BEGINNING_S: i64 = 252_460_800;
const TIME_UNITS: &str = "seconds since 1978-01-01 00:00:00";
/// The drift's flag of a vector of nominal quality.
const GOOD_VECTOR: i32 = 30;
const CONCENTRATION_FLAGS: &str = "0: nominal; bit 6 (100000): lake; bit 7 (1000000): land; bit 8 (10000000): near coast; bit 9 (100000000): missing";
const DRIFT_FLAGS: ([i32; 13], &str) = (
    [0, 1, 2, 3, 4, 10, 11, 12, 13, 20, 21, 22, 30],
    "missing_input_data over_land no_ice close_to_coast_or_edge summer_period processing_failed too_low_correlation not_enough_neighbours filtered_by_neighbours smaller_pattern corrected_by_neighbours interpolated nominal_quality",
);

/// A day as satellites see it, each field on the grid of its product.
#[derive(Debug, Clone)]
pub struct Satellites {
    /// Fraction.
    pub concentration: Field,
    /// Where that product has land.
    pub concentration_land: Arc<Array2<bool>>,
    /// Mean over the ice, m.
    pub thickness_m: Field,
    /// Along x and y, km.
    pub displacement_km: [Field; 2],
    /// One standard deviation of a component, km.
    pub displacement_error_km: f64,
    /// Where that product has land.
    pub displacement_land: Arc<Array2<bool>>,
}

/// A file could not be written.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {reason}; see that the folder may be written and has space")]
pub struct DeliveryError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong.
    pub reason: String,
}

type Attributes<'a> = Vec<(&'a str, AttributeValue)>;

/// Writes the files of `day` into `folder`; `origin` says that they are synthetic, and how they were made.
///
/// # Errors
/// [`DeliveryError`] when a file cannot be written.
pub fn deliver(folder: &Path, day: ProductDay, seen: &Satellites, origin: &str) -> Result<(), DeliveryError> {
    sys::silence_hdf5_errors();
    let from = |days: i64| day.plus_days(days).noon();
    let half_day = chrono::TimeDelta::hours(12);
    let [start, end] = [-1, 1].map(|days| day.plus_days(days).compact());
    let [first, last] = [-3, 3].map(|days| day.plus_days(days).compact());
    let files = [
        Delivered {
            name: format!("ice_conc_nh_polstere-100_amsr2_{}1200.nc", day.compact()),
            product: ("OSI-408-a", "1.0"),
            window: [from(0) - half_day, from(0) + half_day],
            grid: seen.concentration.grid(),
            put: put_concentration,
        },
        Delivered {
            name: format!("ice_drift_nh_polstere-625_multi-oi_{start}1200-{end}1200.nc"),
            product: ("OSI-405-d", "1.0"),
            window: [from(-1), from(1)],
            grid: seen.displacement_km[0].grid(),
            put: put_drift,
        },
        Delivered {
            name: format!("W_XX-ESA,SMOS_CS2_S3A_S3B,NH_12P5KM_EASE2_{first}_{last}_o_v300_01_l4sit.nc"),
            product: ("CS3SMOS", "v300"),
            window: [from(-3) - half_day, from(3) + half_day],
            grid: seen.thickness_m.grid(),
            put: put_thickness,
        },
    ];
    for file in &files {
        let path = folder.join(&file.name);
        let refuse = |reason: String| DeliveryError { path: path.clone(), reason };
        let partial = path.with_extension("nc.partial");
        fs::create_dir_all(folder).map_err(|error| refuse(error.to_string()))?;
        file.write(&partial, seen, origin).map_err(|error| refuse(error.to_string()))?;
        fs::rename(&partial, &path).map_err(|error| refuse(error.to_string()))?;
    }
    Ok(())
}

/// One of the files.
struct Delivered<'a> {
    name: String,
    /// Name and version.
    product: (&'static str, &'static str),
    window: [NaiveDateTime; 2],
    grid: &'a GridSpec,
    put: fn(&mut FileMut, &Satellites) -> netcdf::Result<()>,
}

impl Delivered<'_> {
    fn write(&self, path: &Path, seen: &Satellites, origin: &str) -> netcdf::Result<()> {
        let mut file = netcdf::create(path)?;
        for (name, text) in [
            ("title", "SYNTHETIC: made by nilas synth, no observation"),
            ("source", origin),
            ("product_id", self.product.0),
            ("product_version", self.product.1),
        ] {
            file.add_attribute(name, text)?;
        }
        for (name, length) in [("time", 1), ("nv", 2), ("yc", self.grid.rows), ("xc", self.grid.columns)] {
            file.add_dimension(name, length)?;
        }
        self.put_mapping(&mut file)?;
        let seconds = |moment: NaiveDateTime| (moment.and_utc().timestamp() - BEGINNING_S) as f64;
        let bounds = self.window.map(seconds);
        let units = || vec![("units", TIME_UNITS.into())];
        let time = [vec![("bounds", "time_bnds".into())], units()].concat();
        put(&mut file, "time", &["time"], &[f64::midpoint(bounds[0], bounds[1])], time)?;
        put(&mut file, "time_bnds", &["time", "nv"], &bounds, units())?;
        let x: Vec<f64> = (0..self.grid.columns).map(|column| self.grid.x_m(column) / 1000.0).collect();
        let y: Vec<f64> = (0..self.grid.rows).map(|row| self.grid.y_m(row) / 1000.0).collect();
        for (name, axis, values) in [("xc", "X", x), ("yc", "Y", y)] {
            put(&mut file, name, &[name], &values, vec![("axis", axis.into()), ("units", "km".into())])?;
        }
        (self.put)(&mut file, seen)?;
        file.close()
    }

    fn put_mapping(&self, file: &mut FileMut) -> netcdf::Result<()> {
        let mut mapping = file.add_variable::<i32>("crs", &[])?;
        mapping.put_attribute("proj4_string", self.grid.projection.text())?;
        Ok(())
    }
}

fn put_concentration(file: &mut FileMut, seen: &Satellites) -> netcdf::Result<()> {
    let fraction = seen.concentration.values();
    put_field(file, "ice_conc", &(fraction * 100.0), "%")?;
    let flags = flags(fraction, &seen.concentration_land, 0, bit::LAND, bit::MISSING);
    let described = vec![("flag_descriptions", CONCENTRATION_FLAGS.into())];
    put_flags(file, &flags, described)
}

fn put_drift(file: &mut FileMut, seen: &Satellites) -> netcdf::Result<()> {
    let [x, y] = &seen.displacement_km;
    put_field(file, "dX", x.values(), "km")?;
    put_field(file, "dY", y.values(), "km")?;
    let error_km = seen.displacement_error_km as f32;
    let uncertainty = x.values().mapv(|x| if x.is_nan() { f32::NAN } else { error_km });
    put_field(file, "uncert_dX_and_dY", &uncertainty, "km")?;
    let flags = flags(x.values(), &seen.displacement_land, GOOD_VECTOR, OVER_LAND, NO_INPUT);
    let (values, meanings) = DRIFT_FLAGS;
    put_flags(
        file,
        &flags,
        vec![("flag_values", AttributeValue::Ints(values.to_vec())), ("flag_meanings", meanings.into())],
    )
}

fn put_thickness(file: &mut FileMut, seen: &Satellites) -> netcdf::Result<()> {
    put_field(file, "sea_ice_thickness", seen.thickness_m.values(), "m")
}

fn flags(values: &Array2<f32>, land: &Array2<bool>, good: i32, on_land: i32, missing: i32) -> Array2<i32> {
    ndarray::Zip::from(values).and(land).map_collect(|value, &land| match (land, value.is_nan()) {
        (true, _) => on_land,
        (false, true) => missing,
        (false, false) => good,
    })
}

fn put_field(file: &mut FileMut, name: &str, values: &Array2<f32>, unit: &str) -> netcdf::Result<()> {
    let filled: Vec<f32> = values.iter().map(|&value| if value.is_nan() { FILL } else { value }).collect();
    let attributes = vec![("units", unit.into()), ("grid_mapping", "crs".into())];
    put_filled(file, name, &filled, FILL, attributes)
}

fn put_flags(file: &mut FileMut, flags: &Array2<i32>, meaning: Attributes<'_>) -> netcdf::Result<()> {
    let flags: Vec<i32> = flags.iter().copied().collect();
    let attributes = [vec![("grid_mapping", "crs".into())], meaning].concat();
    put_filled(file, "status_flag", &flags, FLAG_FILL, attributes)
}

/// A field `[time, yc, xc]`.
fn put_filled<T: NcTypeDescriptor + Copy>(
    file: &mut FileMut,
    name: &str,
    values: &[T],
    fill: T,
    attributes: Attributes<'_>,
) -> netcdf::Result<()> {
    let mut variable = file.add_variable::<T>(name, &["time", "yc", "xc"])?;
    variable.set_compression(4, true)?;
    variable.set_fill_value(fill)?;
    for (name, value) in attributes {
        variable.put_attribute(name, value)?;
    }
    variable.put_values(values, Extents::All)
}

fn put<T: NcTypeDescriptor + Copy>(
    file: &mut FileMut,
    name: &str,
    dimensions: &[&str],
    values: &[T],
    attributes: Attributes<'_>,
) -> netcdf::Result<()> {
    let mut variable = file.add_variable::<T>(name, dimensions)?;
    for (name, value) in attributes {
        variable.put_attribute(name, value)?;
    }
    variable.put_values(values, Extents::All)
}
