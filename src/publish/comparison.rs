//! Two files of the same product, variable by variable.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use netcdf::Extent;

use crate::sys;

/// How a variable of one file stands to that of the same name in another.
#[derive(Debug, Clone, PartialEq)]
pub struct Compared {
    /// The variable.
    pub variable: String,
    /// Its values.
    pub values: usize,
    /// Those that differ.
    pub differing: usize,
    /// The largest difference, in the variable's own unit; infinite where one has a value and the other none.
    pub largest: f64,
}

impl Compared {
    /// Whether no bit differs.
    #[must_use]
    pub fn is_same(&self) -> bool {
        self.differing == 0
    }
}

/// Two files cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum ComparisonError {
    /// One of them cannot be read.
    #[error("{path} cannot be read: {source}; see with `nilas verify` whether it is whole")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the library said.
        source: netcdf::Error,
    },
    /// They do not have the same variables.
    #[error("{path} and {} differ in {variable}, which one lacks or has in another shape; see that both are made by the same Nilas", other.display())]
    Shape {
        /// The one file.
        path: PathBuf,
        /// The other.
        other: PathBuf,
        /// The variable.
        variable: String,
    },
}

/// Compares the values of all variables of two NetCDF files as they are stored; what is packed is compared in its steps and told unpacked.
///
/// # Errors
/// [`ComparisonError`].
pub fn compare(one: &Path, other: &Path) -> Result<Vec<Compared>, ComparisonError> {
    sys::silence_hdf5_errors();
    let open = |path: &Path| netcdf::open(path).map_err(|source| unreadable(path, source));
    let (first, second) = (open(one)?, open(other)?);
    let names: BTreeSet<String> =
        first.variables().chain(second.variables()).map(|variable| variable.name()).collect();
    names
        .into_iter()
        .map(|name| match (first.variable(&name), second.variable(&name)) {
            (Some(a), Some(b)) if lengths(&a) == lengths(&b) => {
                variable(&a, &b).map_err(|source| unreadable(other, source))
            }
            _ => {
                Err(ComparisonError::Shape { path: one.to_owned(), other: other.to_owned(), variable: name })
            }
        })
        .collect()
}

fn unreadable(path: &Path, source: netcdf::Error) -> ComparisonError {
    ComparisonError::Unreadable { path: path.to_owned(), source }
}

fn lengths(variable: &netcdf::Variable<'_>) -> Vec<usize> {
    variable.dimensions().iter().map(netcdf::Dimension::len).collect()
}

fn variable(one: &netcdf::Variable<'_>, other: &netcdf::Variable<'_>) -> Result<Compared, netcdf::Error> {
    let lengths = lengths(one);
    let mut compared =
        Compared { variable: one.name(), values: lengths.iter().product(), differing: 0, largest: 0.0 };
    let step = attribute(one, "scale_factor").unwrap_or(1.0);
    let fill = attribute(one, "_FillValue");
    // A member at a time: all of them are more than need to be in memory at once.
    for slab in slabs(&lengths) {
        let (a, b): (Vec<f64>, Vec<f64>) = (one.get_values(&slab[..])?, other.get_values(&slab[..])?);
        for (a, b) in a.into_iter().zip(b).filter(|(a, b)| a.to_bits() != b.to_bits()) {
            compared.differing += 1;
            let has_none = |value: f64| value.is_nan() || Some(value) == fill;
            let difference = if has_none(a) || has_none(b) { f64::INFINITY } else { step * (a - b).abs() };
            compared.largest = compared.largest.max(difference);
        }
    }
    Ok(compared)
}

/// A variable of three dimensions by its first, others whole.
fn slabs(lengths: &[usize]) -> Vec<Vec<Extent>> {
    let whole = |length: usize| Extent::SliceCount { start: 0, count: length, stride: 1 };
    match lengths {
        [first, rest @ ..] if rest.len() >= 2 => (0..*first)
            .map(|number| {
                let one = Extent::SliceCount { start: number, count: 1, stride: 1 };
                std::iter::once(one).chain(rest.iter().copied().map(whole)).collect()
            })
            .collect(),
        _ => vec![lengths.iter().copied().map(whole).collect()],
    }
}

fn attribute(variable: &netcdf::Variable<'_>, name: &str) -> Option<f64> {
    variable.attribute_value(name)?.ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with a packed variable of 2 x 2 x 2 values, and one without dimensions.
    fn file(folder: &Path, name: &str, packed: [i16; 8]) -> PathBuf {
        let path = folder.join(name);
        let mut file = netcdf::create(&path).unwrap();
        for dimension in ["member", "y", "x"] {
            file.add_dimension(dimension, 2).unwrap();
        }
        let mut variable = file.add_variable::<i16>("thickness", &["member", "y", "x"]).unwrap();
        variable.set_fill_value(-1_i16).unwrap();
        variable.put_attribute("scale_factor", 0.5_f64).unwrap();
        variable.put_values(&packed, ..).unwrap();
        file.add_variable::<i32>("crs", &[]).unwrap();
        path
    }

    #[test]
    fn values_that_differ_are_counted_and_measured_in_their_unit() {
        let folder = tempfile::tempdir().unwrap();
        let one = file(folder.path(), "one.nc", [0, 1, 2, 3, 4, 5, 6, -1]);
        assert!(compare(&one, &one).unwrap().iter().all(Compared::is_same));
        let other = file(folder.path(), "other.nc", [0, 1, 2, 3, 4, 9, 7, -1]);
        let compared = compare(&one, &other).unwrap();
        let expected = Compared { variable: "thickness".into(), values: 8, differing: 2, largest: 2.0 };
        assert_eq!(compared[1], expected);
        assert!(compared[0].is_same(), "{:?}", compared[0]);
    }

    #[test]
    fn a_value_beside_none_is_no_small_difference() {
        let folder = tempfile::tempdir().unwrap();
        let one = file(folder.path(), "one.nc", [0; 8]);
        let other = file(folder.path(), "other.nc", [0, 0, 0, 0, 0, 0, 0, -1]);
        assert!(compare(&one, &other).unwrap()[1].largest.is_infinite());
    }

    #[test]
    fn files_that_are_not_alike_are_not_compared() {
        let folder = tempfile::tempdir().unwrap();
        let one = file(folder.path(), "one.nc", [0; 8]);
        let path = folder.path().join("bare.nc");
        netcdf::create(&path).unwrap();
        let error = compare(&one, &path).unwrap_err().to_string();
        assert!(error.contains("differ in crs"), "{error}");
    }
}
