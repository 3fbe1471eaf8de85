//! Whether the values of a decoded field can be right at all.

use std::ops::RangeInclusive;

use ndarray::Array2;

use crate::source::SourceError;
use crate::source::netcdf_file::NetcdfFile;

/// Refuses a field without any value, or with one outside the `plausible` range, which `expected` says in words.
pub(super) fn verify(
    file: &NetcdfFile,
    variable: &str,
    values: &Array2<f64>,
    plausible: RangeInclusive<f64>,
    expected: &'static str,
) -> Result<(), SourceError> {
    let valid = || values.iter().filter(|value| !value.is_nan());
    let found = if valid().next().is_none() {
        "no valid cell".to_owned()
    } else if let Some(value) = valid().find(|value| !plausible.contains(value)) {
        format!("the value {value}")
    } else {
        return Ok(());
    };
    let path = file.path().to_owned();
    Err(SourceError::Implausible { path, variable: variable.to_owned(), expected, found })
}
