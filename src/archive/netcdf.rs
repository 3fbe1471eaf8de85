//! Days in NetCDF files, as the SuperIce archive has them: variables `[y, x]`, or `[time, y, x]` with one time; the provenance is in
//! global attributes, which a file of another writer need not have.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use ndarray::Array2;
use netcdf::{AttributeValue, Extents, Variable};

use super::{ArchiveError, Coordinates, Day, Entry, Format, Provenance, Sample};
use crate::sys;

/// What stands for NaN in the files that are written here.
const FILL: f32 = -9999.0;
/// What is larger in magnitude is some fill value, whatever the attributes say.
const LARGEST_VALUE: f32 = 1e9;
/// No archive has more cells in a field. One that claims to is not read: its values would not fit into memory.
const MOST_CELLS: usize = 1 << 24;

/// The format of the SuperIce archive.
#[derive(Debug, Clone, Copy)]
pub struct NetCdf;

impl Format for NetCdf {
    fn suffix(&self) -> &'static str {
        "nc"
    }

    fn read(&self, path: &Path) -> Result<Day, ArchiveError> {
        sys::silence_hdf5_errors();
        let refuse = |reason: String| ArchiveError::Layout { path: path.to_owned(), reason };
        let file = netcdf::open(path).map_err(|error| refuse(error.to_string()))?;
        let entries: BTreeMap<String, String> = file
            .attributes()
            .filter_map(|entry| Some((entry.name().to_owned(), text(entry.value().ok()?)?)))
            .collect();
        let field = |name: &str| field(&file, name);
        let has = |name: &str| file.variable(name).is_some();
        let coordinates = (has("longitude") && has("latitude"))
            .then(|| Ok(Coordinates { longitude: field("longitude")?, latitude: field("latitude")? }))
            .transpose()
            .map_err(refuse)?;
        let sample = Sample::from_fields(field).map_err(refuse)?;
        Ok(Day { sample, provenance: Provenance::from_entries(&entries).map_err(refuse)?, coordinates })
    }

    fn write(&self, path: &Path, day: Entry<'_>) -> Result<(), ArchiveError> {
        let folder = path.parent().unwrap_or(Path::new("."));
        let refuse = |source| ArchiveError::File { path: path.to_owned(), source };
        fs::create_dir_all(folder).map_err(refuse)?;
        // Under a name that is no day, so that a process that dies leaves no half of one.
        let partial = path.with_extension("nc.partial");
        put(&partial, day)
            .map_err(|error| ArchiveError::Layout { path: partial.clone(), reason: error.to_string() })?;
        fs::File::open(&partial).and_then(|file| file.sync_all()).map_err(refuse)?;
        fs::rename(&partial, path).map_err(refuse)
    }
}

/// Writes a whole file.
fn put(path: &Path, day: Entry<'_>) -> netcdf::Result<()> {
    sys::silence_hdf5_errors();
    let mut file = netcdf::create(path)?;
    let (rows, columns) = day.sample.effective_thickness_m.dim();
    file.add_dimension("y", rows)?;
    file.add_dimension("x", columns)?;
    file.add_attribute("Conventions", "CF-1.11")?;
    for (name, text) in day.provenance.entries() {
        file.add_attribute(name, text.as_str())?;
    }
    let coordinates = day.coordinates.into_iter();
    let coordinates = coordinates.flat_map(|at| [("longitude", &at.longitude), ("latitude", &at.latitude)]);
    let fields: Vec<_> = day.sample.fields().into_iter().chain(coordinates).collect();
    for (name, _) in &fields {
        let mut variable = file.add_variable::<f32>(name, &["y", "x"])?;
        variable.set_chunking(&[rows, columns])?;
        variable.set_compression(4, true)?;
        variable.set_fill_value(FILL)?;
        variable.put_attribute("units", unit(name))?;
        variable.put_attribute("long_name", long_name(name))?;
        if day.coordinates.is_some() && !matches!(*name, "longitude" | "latitude") {
            variable.put_attribute("coordinates", "longitude latitude")?;
        }
    }
    for (name, values) in &fields {
        let values: Vec<f32> =
            values.iter().map(|&value| if value.is_nan() { FILL } else { value }).collect();
        let mut variable =
            file.variable_mut(name).ok_or_else(|| netcdf::Error::NotFound((*name).to_owned()))?;
        variable.put_values(&values, Extents::All)?;
    }
    file.close()
}

fn unit(name: &str) -> &'static str {
    match name.trim_end_matches("_reprocessed") {
        "sic" => "1",
        "sit" => "m",
        "longitude" => "degrees_east",
        "latitude" => "degrees_north",
        _ => "day-1",
    }
}

fn long_name(name: &str) -> String {
    let quantity = match name.trim_end_matches("_reprocessed") {
        "sic" => "sea-ice concentration",
        "sit" => "effective sea-ice thickness (ice volume per cell area)",
        "divergence" => "divergence of the ice motion",
        "shear" => "shear of the ice motion",
        other => other,
    };
    let twin = if name.ends_with("_reprocessed") { ", as satellites resolve it" } else { "" };
    format!("{quantity}{twin}")
}

/// The values of a variable, NaN where there is none.
fn field(file: &netcdf::File, name: &str) -> Result<Array2<f32>, String> {
    let variable = file.variable(name).ok_or_else(|| format!("it has no variable {name}"))?;
    let lengths: Vec<usize> = variable.dimensions().iter().map(netcdf::Dimension::len).collect();
    let shape = match lengths[..] {
        [rows, columns] | [1, rows, columns] => (rows, columns),
        _ => return Err(format!("{name} has the shape {lengths:?}, expected rows and columns")),
    };
    if shape.0.saturating_mul(shape.1) > MOST_CELLS {
        return Err(format!("{name} claims to have {} x {} cells", shape.0, shape.1));
    }
    let values: Vec<f32> =
        variable.get_values(Extents::All).map_err(|error| format!("{name} cannot be read ({error})"))?;
    let fills: Vec<f32> =
        ["_FillValue", "missing_value"].into_iter().filter_map(|key| number(&variable, key)).collect();
    let (scale, offset) =
        (number(&variable, "scale_factor").unwrap_or(1.0), number(&variable, "add_offset").unwrap_or(0.0));
    let unpacked = values.into_iter().map(|value| {
        // A fill value is stored as it is stated, to the bit.
        let missing = fills.iter().any(|fill| fill.to_bits() == value.to_bits());
        if missing || value.is_nan() || value.abs() > LARGEST_VALUE {
            f32::NAN
        } else {
            scale * value + offset
        }
    });
    Array2::from_shape_vec(shape, unpacked.collect()).map_err(|error| error.to_string())
}

fn number(variable: &Variable<'_>, attribute: &str) -> Option<f32> {
    f32::try_from(variable.attribute_value(attribute)?.ok()?).ok()
}

fn text(value: AttributeValue) -> Option<String> {
    match value {
        AttributeValue::Str(text) => Some(text),
        AttributeValue::Strs(texts) => texts.into_iter().next(),
        _ => None,
    }
}
