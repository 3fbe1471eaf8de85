//! Whether a file's flags mean what the readers take them for, and what is counted of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::source::SourceError;
use crate::source::netcdf_file::PackedVariable;

/// What the flags of a file say that the measures ask for; numbers of cells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlagCounts {
    /// Land and lakes.
    pub land: usize,
    /// Of these, those that hold ice all the same.
    pub ice_on_land: usize,
    /// Cells whose flag has no meaning that is known.
    pub unknown: usize,
}

/// Flags by which a reader decides, each with the word by which a file's own description of it is recognised.
pub(super) type Decisive = [(i32, &'static str)];

/// Holds what a file says of its flags against what the reader takes them for. A flag that the file is silent about passes.
///
/// # Errors
/// [`SourceError::UnknownFlags`].
pub(super) fn verify(
    variable: &PackedVariable<'_>,
    stated: &BTreeMap<u32, String>,
    decisive: &Decisive,
) -> Result<(), SourceError> {
    for &(flag, word) in decisive {
        let at_flag = stated.get_key_value(&(flag as u32));
        let described = at_flag.or_else(|| stated.iter().find(|(_, meaning)| meaning.contains(word)));
        match described {
            Some((found, meaning)) if *found != flag as u32 || !meaning.contains(word) => {
                return Err(refusal(variable, format!("{flag}: {word}"), format!("{found}: {meaning}")));
            }
            _ => {}
        }
    }
    Ok(())
}

/// What `flag_values` and `flag_meanings` state, as the CF conventions have them; nothing where the file has neither.
///
/// # Errors
/// [`SourceError::UnknownFlags`] where they do not belong together.
pub(super) fn listed(variable: &PackedVariable<'_>) -> Result<BTreeMap<u32, String>, SourceError> {
    let values = variable.numbers("flag_values");
    let meanings = variable.text("flag_meanings").unwrap_or_default();
    let meanings: Vec<&str> = meanings.split_whitespace().collect();
    if values.len() != meanings.len() {
        let found = format!("{} flag_values and {} flag_meanings", values.len(), meanings.len());
        return Err(refusal(variable, "a meaning for each flag".into(), found));
    }
    let meanings = meanings.into_iter().map(str::to_owned);
    Ok(values.into_iter().map(|value| value as u32).zip(meanings).collect())
}

fn refusal(variable: &PackedVariable<'_>, expected: String, found: String) -> SourceError {
    let (path, variable) = (variable.path().to_owned(), variable.name().to_owned());
    SourceError::UnknownFlags { path, variable, expected, found }
}
