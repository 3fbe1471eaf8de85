//! One open NetCDF file: its attributes, and its variables unpacked, with whatever marks a missing value turned into NaN.

use std::path::{Path, PathBuf};

use ndarray::Array2;
use netcdf::AttributeValue;

use crate::source::{SourceError, vetting};
use crate::sys::silence_hdf5_errors;

/// What is larger in magnitude in a field is some fill value, whatever the attributes say.
const LARGEST_VALUE: f64 = 1e9;

/// No variable of the products has more cells, by far. One that claims to is not read: its values would not fit into memory.
const MOST_CELLS: usize = 1 << 24;

/// An open file that has passed the vetting.
pub(super) struct NetcdfFile {
    path: PathBuf,
    expected: &'static str,
    file: netcdf::File,
}

/// A unit that values are wanted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Fraction,
    Kilometre,
    Metre,
    Second,
}

impl Unit {
    /// What values in the unit of this text are to be multiplied with; `None` where the text is another kind of unit.
    fn factor(self, text: &str) -> Option<f64> {
        match (self, text.trim()) {
            (Self::Fraction, "%" | "percent") => Some(0.01),
            (Self::Fraction, "1") | (Self::Kilometre, "km") | (Self::Metre, "m") | (Self::Second, "s") => {
                Some(1.0)
            }
            (Self::Kilometre, "m") => Some(0.001),
            (Self::Metre, "km") => Some(1000.0),
            // Offsets in time are given as "seconds since" the time that they are added to.
            (Self::Second, text) if text.starts_with("seconds") => Some(1.0),
            _ => None,
        }
    }

    fn known(self) -> &'static str {
        match self {
            Self::Fraction => "% or 1",
            Self::Kilometre | Self::Metre => "km or m",
            Self::Second => "seconds",
        }
    }
}

impl NetcdfFile {
    /// Opens a file; `expected` says in words what it should be.
    pub(super) fn open(path: &Path, expected: &'static str) -> Result<Self, SourceError> {
        vetting::vet(path, expected)?;
        silence_hdf5_errors();
        let file = netcdf::open(path).map_err(|error| {
            tracing::debug!(path = %path.display(), %error, "the NetCDF library refused the file");
            SourceError::Damaged { path: path.to_owned(), expected, reason: "it cannot be opened".into() }
        })?;
        Ok(Self { path: path.to_owned(), expected, file })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// A global attribute that is a text.
    pub(super) fn text(&self, attribute: &str) -> Option<String> {
        text(self.file.attribute(attribute)?.value().ok()?)
    }

    /// The first of these variables that the file has.
    pub(super) fn find(&self, names: &[&str]) -> Option<PackedVariable<'_>> {
        names.iter().find_map(|name| {
            Some(PackedVariable { file: self, name: (*name).to_owned(), variable: self.file.variable(name)? })
        })
    }

    /// The first of these variables that the file has.
    ///
    /// # Errors
    /// [`SourceError::Layout`] where it has none.
    pub(super) fn variable(&self, names: &[&str]) -> Result<PackedVariable<'_>, SourceError> {
        self.find(names)
            .ok_or_else(|| self.layout(format!("a variable {}", names.join(" or ")), "none".into()))
    }

    /// The refusal of a file that is laid out in another way.
    pub(super) fn layout(&self, expected: String, found: String) -> SourceError {
        SourceError::Layout { path: self.path.clone(), expected, found }
    }

    fn damaged(&self, variable: &str, error: &netcdf::Error) -> SourceError {
        tracing::debug!(path = %self.path.display(), variable, %error, "the NetCDF library could not read");
        let reason = format!("{variable} cannot be read");
        SourceError::Damaged { path: self.path.clone(), expected: self.expected, reason }
    }
}

/// A variable of an open file, its values packed as the file has them.
pub(super) struct PackedVariable<'a> {
    file: &'a NetcdfFile,
    name: String,
    variable: netcdf::Variable<'a>,
}

impl PackedVariable<'_> {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The file that it is in.
    pub(super) fn path(&self) -> &Path {
        &self.file.path
    }

    /// Names of the dimensions.
    pub(super) fn dimensions(&self) -> Vec<String> {
        self.variable.dimensions().iter().map(netcdf::Dimension::name).collect()
    }

    /// Rows and columns: the last two dimensions, all before them being of length 1.
    pub(super) fn shape(&self) -> Result<(usize, usize), SourceError> {
        let lengths: Vec<usize> = self.variable.dimensions().iter().map(netcdf::Dimension::len).collect();
        match lengths.as_slice() {
            [before @ .., rows, columns] if before.iter().all(|length| *length == 1) => Ok((*rows, *columns)),
            _ => Err(self
                .file
                .layout(format!("{} of one time, rows and columns", self.name), format!("{lengths:?}"))),
        }
    }

    pub(super) fn text(&self, attribute: &str) -> Option<String> {
        text(self.attribute(attribute)?)
    }

    pub(super) fn number(&self, attribute: &str) -> Option<f64> {
        self.numbers(attribute).first().copied()
    }

    /// The numbers of an attribute; none where it is not there or is no number.
    pub(super) fn numbers(&self, attribute: &str) -> Vec<f64> {
        self.attribute(attribute).map(numbers).unwrap_or_default()
    }

    pub(super) fn has_attribute(&self, name: &str) -> bool {
        self.variable.attribute(name).is_some()
    }

    fn attribute(&self, name: &str) -> Option<AttributeValue> {
        self.variable.attribute_value(name)?.ok()
    }

    /// All values, unpacked, in file order and in the file's unit; NaN where missing.
    pub(super) fn values(&self) -> Result<Vec<f64>, SourceError> {
        self.verify_size()?;
        let scale = self.packing("scale_factor", 1.0)?;
        let offset = self.packing("add_offset", 0.0)?;
        let raw =
            self.variable.get_values::<f64, _>(..).map_err(|error| self.file.damaged(&self.name, &error))?;
        let missing = self.missing_marks();
        let unpack = |raw: f64| {
            let value = raw * scale + offset;
            if missing.contains(&raw) || !value.is_finite() { f64::NAN } else { value }
        };
        Ok(raw.into_iter().map(unpack).collect())
    }

    fn verify_size(&self) -> Result<(), SourceError> {
        let cells =
            self.variable.dimensions().iter().map(netcdf::Dimension::len).fold(1, usize::saturating_mul);
        if cells <= MOST_CELLS {
            return Ok(());
        }
        Err(self.file.layout(format!("{} of at most {MOST_CELLS} values", self.name), format!("{cells}")))
    }

    /// The factor or the offset that unpacks the values; one that would wipe them out is refused.
    fn packing(&self, attribute: &str, absent: f64) -> Result<f64, SourceError> {
        if !self.has_attribute(attribute) {
            return Ok(absent);
        }
        match self.number(attribute) {
            Some(number) if number.is_finite() && (number != 0.0 || absent == 0.0) => Ok(number),
            found => {
                let found = found.map_or_else(|| "no number".to_owned(), |number| number.to_string());
                Err(self.file.layout(format!("a usable {attribute} of {}", self.name), found))
            }
        }
    }

    /// The raw values that mean "missing", each also as the single-precision number that a float variable would hold.
    fn missing_marks(&self) -> Vec<f64> {
        ["_FillValue", "missing_value"]
            .into_iter()
            .filter_map(|name| self.attribute(name))
            .flat_map(numbers)
            .flat_map(|mark| [mark, f64::from(mark as f32)])
            .collect()
    }

    /// All values in this unit, in file order: coordinates.
    pub(super) fn values_in(&self, unit: Unit) -> Result<Vec<f64>, SourceError> {
        let factor = self.factor_to(unit)?;
        Ok(self.values()?.into_iter().map(|value| value * factor).collect())
    }

    /// Rows and columns in this unit, in file order: a field.
    pub(super) fn array_in(&self, unit: Unit) -> Result<Array2<f64>, SourceError> {
        let factor = self.factor_to(unit)?;
        Ok(self.array()?.mapv(|value| if value.abs() > LARGEST_VALUE { f64::NAN } else { value * factor }))
    }

    /// Rows and columns as they are, in file order: flags.
    pub(super) fn array(&self) -> Result<Array2<f64>, SourceError> {
        let shape = self.shape()?;
        let values = self.values()?;
        let count = values.len();
        Array2::from_shape_vec(shape, values).map_err(|_| {
            self.file.layout(format!("{} of {shape:?} values", self.name), format!("{count} values"))
        })
    }

    fn factor_to(&self, unit: Unit) -> Result<f64, SourceError> {
        let text = self.text("units").unwrap_or_default();
        unit.factor(&text).ok_or_else(|| SourceError::Unit {
            path: self.file.path.clone(),
            variable: self.name.clone(),
            found: text,
            expected: unit.known(),
        })
    }
}

fn text(value: AttributeValue) -> Option<String> {
    match value {
        AttributeValue::Str(text) => Some(text),
        AttributeValue::Strs(texts) => texts.into_iter().next(),
        _ => None,
    }
}

fn numbers(value: AttributeValue) -> Vec<f64> {
    match value {
        AttributeValue::Uchar(one) => vec![one.into()],
        AttributeValue::Schar(one) => vec![one.into()],
        AttributeValue::Ushort(one) => vec![one.into()],
        AttributeValue::Short(one) => vec![one.into()],
        AttributeValue::Uint(one) => vec![one.into()],
        AttributeValue::Int(one) => vec![one.into()],
        AttributeValue::Ulonglong(one) => vec![one as f64],
        AttributeValue::Longlong(one) => vec![one as f64],
        AttributeValue::Float(one) => vec![one.into()],
        AttributeValue::Double(one) => vec![one],
        AttributeValue::Floats(several) => several.into_iter().map(f64::from).collect(),
        AttributeValue::Doubles(several) => several,
        AttributeValue::Ints(several) => several.into_iter().map(f64::from).collect(),
        AttributeValue::Shorts(several) => several.into_iter().map(f64::from).collect(),
        AttributeValue::Schars(several) => several.into_iter().map(f64::from).collect(),
        AttributeValue::Uchars(several) => several.into_iter().map(f64::from).collect(),
        AttributeValue::Ushorts(several) => several.into_iter().map(f64::from).collect(),
        AttributeValue::Uints(several) => several.into_iter().map(f64::from).collect(),
        AttributeValue::Longlongs(several) => several.into_iter().map(|one| one as f64).collect(),
        AttributeValue::Ulonglongs(several) => several.into_iter().map(|one| one as f64).collect(),
        AttributeValue::Str(_) | AttributeValue::Strs(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use approx::assert_abs_diff_eq;

    use super::*;

    /// Writes one float variable `v` of 1 x 2 x 3 and hands it on, opened.
    fn with_variable(
        attributes: &[(&str, AttributeValue)],
        values: [f32; 6],
        look: impl FnOnce(&PackedVariable<'_>),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file.nc");
        let mut file = netcdf::create(&path).unwrap();
        for (name, length) in [("time", 1), ("yc", 2), ("xc", 3)] {
            file.add_dimension(name, length).unwrap();
        }
        let mut variable = file.add_variable::<f32>("v", &["time", "yc", "xc"]).unwrap();
        for (name, value) in attributes {
            variable.put_attribute(name, value.clone()).unwrap();
        }
        variable.put_values(&values, ..).unwrap();
        file.close().unwrap();
        let file = NetcdfFile::open(&path, "a test file").unwrap();
        look(&file.variable(&["absent", "v"]).unwrap());
    }

    #[test]
    fn every_mark_of_a_missing_value_becomes_nan() {
        let attributes = [
            ("_FillValue", AttributeValue::Float(-1e10)),
            ("missing_value", AttributeValue::Double(0.1)),
            ("units", "m".into()),
        ];
        with_variable(&attributes, [-1e10, 0.1, f32::INFINITY, 2e9, f32::NAN, 5.0], |variable| {
            let array = variable.array_in(Unit::Kilometre).unwrap();
            assert_eq!(array.iter().filter(|value| value.is_nan()).count(), 5, "{array:?}");
            assert_abs_diff_eq!(array[[1, 2]], 0.005);
        });
    }

    #[test]
    fn values_are_unpacked_and_brought_to_the_unit_wanted() {
        let attributes = [
            ("scale_factor", AttributeValue::Double(0.5)),
            ("add_offset", AttributeValue::Int(10)),
            ("units", "km".into()),
        ];
        with_variable(&attributes, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0], |variable| {
            let metres = variable.array_in(Unit::Metre).unwrap();
            assert_eq!(
                metres,
                ndarray::array![[10_000.0, 10_500.0, 11_000.0], [11_500.0, 12_000.0, 12_500.0]]
            );
            assert_abs_diff_eq!(variable.array_in(Unit::Kilometre).unwrap()[[0, 0]], 10.0);
        });
    }

    #[test]
    fn an_unknown_unit_is_refused_by_name() {
        for (unit, named) in [(Some("furlong"), "\"furlong\""), (None, "\"\"")] {
            let attributes: Vec<_> =
                unit.map(|unit| ("units", AttributeValue::from(unit))).into_iter().collect();
            with_variable(&attributes, [1.0; 6], |variable| {
                let message = variable.values_in(Unit::Fraction).unwrap_err().to_string();
                assert!(message.contains(&format!("v is in {named}, expected % or 1")), "{message}");
            });
        }
    }

    #[test]
    fn numbers_of_any_width_are_read_and_a_text_is_none() {
        let attributes = [
            ("signed", AttributeValue::Longlongs(vec![0, 1, -2])),
            ("unsigned", AttributeValue::Ulonglongs(vec![0, 1, 2])),
            ("short", AttributeValue::Shorts(vec![0, 1, 2])),
            ("text", "0, 1, 2".into()),
        ];
        with_variable(&attributes, [1.0; 6], |variable| {
            assert_eq!(variable.numbers("signed"), [0.0, 1.0, -2.0]);
            assert_eq!(variable.numbers("unsigned"), [0.0, 1.0, 2.0]);
            assert_eq!(variable.numbers("short"), [0.0, 1.0, 2.0]);
            assert!(variable.numbers("text").is_empty());
        });
    }

    #[test]
    fn a_variable_that_is_not_there_is_named() {
        with_variable(&[], [1.0; 6], |variable| {
            let Err(error) = variable.file.variable(&["dY_v1p4", "dY"]) else { panic!("it is not there") };
            assert!(error.to_string().contains("expected a variable dY_v1p4 or dY, found none"), "{error}");
        });
    }
}
