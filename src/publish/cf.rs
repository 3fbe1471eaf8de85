//! NetCDF files after the CF conventions: one way to define and to write variables, whatever the file.

use std::mem;
use std::path::{Path, PathBuf};

use ndarray::{Array2, CowArray, Ix2};
use netcdf::types::{FloatType, IntType, NcVariableType};
use netcdf::{AttributeValue, Extents, FileMut, NcTypeDescriptor};

use crate::prepare::flag;
use crate::sys;

use super::PublishError;

/// What stands for NaN in the files.
pub(super) const FILL: f32 = -9999.0;

/// Values are kept to multiples of this power of two of their unit: far below their uncertainty, and the files are half as large.
/// For thickness, m: 1 mm.
pub(super) const TO_MILLIMETRES: i32 = -10;

/// What stands for NaN among packed values.
pub(super) const PACKED_FILL: i16 = i16::MIN;
/// What one of a packed value is worth, m.
pub(super) const PACKED_STEP_M: f32 = 1.0 / 1024.0;

/// How the files count time.
pub(super) const TIME_UNITS: &str = "seconds since 1970-01-01 00:00:00";

/// Kind of content (ISO 19115-1): what the model made.
pub(super) const MODEL_RESULT: &str = "modelResult";
/// Kind of content: what was observed.
pub(super) const MEASUREMENT: &str = "physicalMeasurement";
/// Kind of content: how far the rest can be relied on.
pub(super) const QUALITY: &str = "qualityInformation";
/// Kind of content: what describes the grid.
pub(super) const REFERENCE: &str = "referenceInformation";

/// Attributes in the order in which they are written.
pub(super) type Attributes = Vec<(&'static str, AttributeValue)>;

/// What a variable holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// 32-bit integers.
    Int,
    /// 16-bit integers that count thousandths of a metre, each 2^-10 m, with a fill value of their own: for what fills most of a file.
    Packed,
    /// 32-bit floats that are never missing.
    Float,
    /// 32-bit floats with a fill value.
    FloatOrMissing,
    /// 64-bit floats.
    Double,
}

/// A variable's definition.
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) dimensions: &'static [&'static str],
    pub(super) kind: Kind,
    pub(super) attributes: Attributes,
}

/// One quantity on the grid: its definition and its values.
pub(super) struct Layer<'a> {
    /// Name of the variable.
    pub(super) name: &'static str,
    /// What people read.
    pub(super) long_name: &'static str,
    /// CF's name of the quantity, where it has one.
    pub(super) standard_name: Option<&'static str>,
    /// Units.
    pub(super) units: &'static str,
    /// Attributes of this layer only.
    pub(super) more: Attributes,
    /// What kind of content it is: [`MODEL_RESULT`], [`MEASUREMENT`], ...
    pub(super) content: &'static str,
    /// The power of two that the values are rounded to multiples of, where they are.
    pub(super) rounding: Option<i32>,
    /// The values, NaN where there is none.
    pub(super) values: CowArray<'a, f32, Ix2>,
}

impl Layer<'_> {
    /// The definition of the layer's variable; `coordinates` lists the auxiliary coordinates of the file.
    pub(super) fn variable(&self, coordinates: &'static str) -> Variable {
        let mut attributes: Attributes = vec![("long_name", self.long_name.into())];
        attributes.extend(self.standard_name.map(|name| ("standard_name", name.into())));
        attributes.push(("units", self.units.into()));
        attributes.extend(self.more.iter().cloned());
        attributes.extend(on_grid(coordinates, self.content));
        attributes.extend(self.rounding.map(|exponent| rounding_note(exponent, self.units)));
        Variable { name: self.name.into(), dimensions: &["y", "x"], kind: Kind::FloatOrMissing, attributes }
    }

    /// Writes the layer's values.
    pub(super) fn put(&self, file: &mut CfFile) -> Result<(), PublishError> {
        file.put(self.name, &outside(&self.values, self.rounding))
    }
}

/// What ties a variable to the grid, and the kind of its content.
pub(super) fn on_grid(coordinates: &'static str, content: &'static str) -> Attributes {
    vec![
        ("coordinates", coordinates.into()),
        ("grid_mapping", "crs".into()),
        ("cell_measures", "area: cell_area".into()),
        ("coverage_content_type", content.into()),
    ]
}

/// The attribute that rounded variables carry.
pub(super) fn rounding_note(exponent: i32, units: &str) -> (&'static str, AttributeValue) {
    ("rounding", format!("values are rounded to multiples of 2^{exponent} {units}").into())
}

/// The definition of `status_flag`.
pub(super) fn flag_variable(coordinates: &'static str) -> Variable {
    let masks: Vec<i32> = flag::ALL.iter().map(|(mask, _)| *mask as i32).collect();
    let meanings: Vec<&str> = flag::ALL.iter().map(|(_, meaning)| *meaning).collect();
    let mut attributes: Attributes = vec![
        ("long_name", "what is known of the cell".into()),
        ("standard_name", "status_flag".into()),
        ("flag_masks", masks.into()),
        ("flag_meanings", meanings.join(" ").into()),
    ];
    attributes.extend(on_grid(coordinates, QUALITY));
    Variable { name: "status_flag".into(), dimensions: &["y", "x"], kind: Kind::Int, attributes }
}

/// Flags as they stand in a file: with a sign, for programs that know no other integers.
pub(super) fn flags_outside(flags: &Array2<u32>) -> Vec<i32> {
    flags.iter().map(|&flags| flags as i32).collect()
}

/// The scalar `time`, noon of the day.
pub(super) fn time_variable() -> Variable {
    Variable {
        name: "time".into(),
        dimensions: &[],
        kind: Kind::Double,
        attributes: vec![
            ("standard_name", "time".into()),
            ("long_name", "noon of the day that the file is for".into()),
            ("units", TIME_UNITS.into()),
            ("calendar", "standard".into()),
            ("axis", "T".into()),
        ],
    }
}

/// Values as they stand in a file: the fill value for NaN, rounded to multiples of a power of two where asked for.
pub(super) fn outside<'a>(values: impl IntoIterator<Item = &'a f32>, rounding: Option<i32>) -> Vec<f32> {
    let step = rounding.map(|exponent| 2.0_f32.powi(exponent));
    let round = |value: f32| step.map_or(value, |step| (value / step).round() * step);
    values.into_iter().map(|&value| if value.is_nan() { FILL } else { round(value) }).collect()
}

/// Values, m, as they stand packed in a file; an error with the first that is too large to be.
pub(super) fn packed<'a>(values: impl IntoIterator<Item = &'a f32>) -> Result<Vec<i16>, f32> {
    let pack = |&value: &f32| match (value / PACKED_STEP_M).round() {
        steps if steps.is_nan() => Ok(PACKED_FILL),
        steps if steps.abs() <= f32::from(i16::MAX) => Ok(steps as i16),
        _ => Err(value),
    };
    values.into_iter().map(pack).collect()
}

/// A packed value as it was meant, m.
pub(super) fn unpacked(value: i16) -> f32 {
    if value == PACKED_FILL { f32::NAN } else { f32::from(value) * PACKED_STEP_M }
}

/// A NetCDF-4 file that is being written. Everything is defined before the first value is put:
/// the library takes no new definition afterwards.
pub(super) struct CfFile {
    path: PathBuf,
    file: FileMut,
}

impl CfFile {
    /// Makes the file, or empties the one that is there.
    pub(super) fn create(path: &Path) -> Result<Self, PublishError> {
        sys::silence_hdf5_errors();
        let file = netcdf::create(path).map_err(|error| failed(path, &error))?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// Adds a dimension.
    pub(super) fn dimension(&mut self, name: &str, length: usize) -> Result<(), PublishError> {
        self.file.add_dimension(name, length).map(drop).map_err(|source| self.failed(source))
    }

    /// Adds a global attribute.
    pub(super) fn attribute(&mut self, name: &str, value: AttributeValue) -> Result<(), PublishError> {
        self.file.add_attribute(name, value).map(drop).map_err(|source| self.failed(source))
    }

    /// Adds a variable. What lies on the grid is compressed, one field a chunk.
    pub(super) fn define(&mut self, variable: &Variable) -> Result<(), PublishError> {
        define(&mut self.file, variable).map_err(|source| self.failed(source))
    }

    /// Writes the whole of a variable.
    pub(super) fn put<T: NcTypeDescriptor>(&mut self, name: &str, values: &[T]) -> Result<(), PublishError> {
        self.put_at(name, values, Extents::All)
    }

    /// Writes one entry of a variable's first dimension.
    pub(super) fn put_entry<T: NcTypeDescriptor>(
        &mut self,
        name: &str,
        entry: usize,
        values: &[T],
    ) -> Result<(), PublishError> {
        let extents =
            (entry..=entry, .., ..).try_into().map_err(|source: netcdf::Error| self.failed(source))?;
        self.put_at(name, values, extents)
    }

    /// Closes the file; what the library still held back is written now.
    pub(super) fn close(self) -> Result<(), PublishError> {
        let Self { path, file } = self;
        if let Err(error) = file.sync() {
            // libhdf5 crashes where a disk fails while it closes a file: so it stays open, in a process that ends soon.
            mem::forget(file);
            return Err(failed(&path, &error));
        }
        file.close().map_err(|error| failed(&path, &error))
    }

    fn put_at<T: NcTypeDescriptor>(
        &mut self,
        name: &str,
        values: &[T],
        at: Extents,
    ) -> Result<(), PublishError> {
        let put = match self.file.variable_mut(name) {
            Some(mut variable) => variable.put_values(values, at),
            None => Err(netcdf::Error::NotFound(name.to_owned())),
        };
        put.map_err(|source| self.failed(source))
    }

    fn failed(&self, source: netcdf::Error) -> PublishError {
        failed(&self.path, &source)
    }
}

fn failed(path: &Path, error: &netcdf::Error) -> PublishError {
    PublishError::Netcdf { path: path.to_owned(), reason: error.to_string() }
}

fn define(file: &mut FileMut, definition: &Variable) -> netcdf::Result<()> {
    let kind = match definition.kind {
        Kind::Packed => NcVariableType::Int(IntType::I16),
        Kind::Int => NcVariableType::Int(IntType::I32),
        Kind::Float | Kind::FloatOrMissing => NcVariableType::Float(FloatType::F32),
        Kind::Double => NcVariableType::Float(FloatType::F64),
    };
    let lengths: Vec<usize> =
        definition.dimensions.iter().filter_map(|name| file.dimension_len(name)).collect();
    let mut variable = file.add_variable_with_type(&definition.name, definition.dimensions, &kind)?;
    if let [leading @ .., rows, columns] = lengths.as_slice() {
        let chunk: Vec<usize> = leading.iter().map(|_| 1).chain([*rows, *columns]).collect();
        variable.set_chunking(&chunk)?;
        variable.set_compression(6, true)?;
    }
    match definition.kind {
        Kind::FloatOrMissing => variable.set_fill_value(FILL)?,
        Kind::Packed => variable.set_fill_value(PACKED_FILL)?,
        _ => {}
    }
    for (name, value) in &definition.attributes {
        variable.put_attribute(name, value.clone())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn thickness_is_rounded_and_missing_values_are_filled() {
        let values = array![[1.000_3_f32, f32::NAN], [0.0, 2.000_9]];
        assert_eq!(outside(&values, Some(TO_MILLIMETRES)), [1.0, FILL, 0.0, 2.0 + 1.0 / 1024.0]);
        assert_eq!(outside(&values, None), [1.000_3, FILL, 0.0, 2.000_9]);
    }

    #[test]
    fn packed_values_come_back_to_half_a_millimetre_and_what_does_not_fit_is_refused() {
        let values = array![[1.000_3_f32, f32::NAN], [0.0, 31.999]];
        let back: Vec<f32> = packed(&values).unwrap().into_iter().map(unpacked).collect();
        assert!(back[1].is_nan());
        assert!(values.iter().zip(&back).all(|(value, back)| value.is_nan() || (value - back).abs() < 5e-4));
        assert_eq!(packed(&array![[1.0, 32.5]]), Err(32.5));
    }
}
