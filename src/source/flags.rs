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
    let values = flag_values(variable);
    let meanings = variable.text("flag_meanings").unwrap_or_default();
    let meanings: Vec<&str> = meanings.split_whitespace().collect();
    if values.len() != meanings.len() {
        let found = format!("{} flag_values and {} flag_meanings", values.len(), meanings.len());
        return Err(refusal(variable, "a meaning for each flag".into(), found));
    }
    Ok(paired(&values, &meanings))
}

/// As numbers or, as some providers write them, in a text.
fn flag_values(variable: &PackedVariable<'_>) -> Vec<f64> {
    const NAME: &str = "flag_values";
    variable.text(NAME).map_or_else(|| variable.numbers(NAME), |text| numbers_in(&text))
}

/// The numbers that a text lists, such as `0, 1, 2` or `0b 1b 2b`; none where anything else stands among them.
fn numbers_in(text: &str) -> Vec<f64> {
    let words = text.split(|mark: char| mark == ',' || mark.is_whitespace()).filter(|word| !word.is_empty());
    let numbers = words.map(|word| word.strip_suffix('b').unwrap_or(word).parse::<i32>().map(f64::from));
    numbers.collect::<Result<Vec<f64>, _>>().unwrap_or_default()
}

/// The meaning of each flag. Readers take a value below 0 for one that is missing; what is said of it would pass for the meaning of 0.
fn paired(values: &[f64], meanings: &[&str]) -> BTreeMap<u32, String> {
    let flags = values.iter().zip(meanings).filter(|(value, _)| **value >= 0.0);
    flags.map(|(value, meaning)| (*value as u32, (*meaning).to_owned())).collect()
}

fn refusal(variable: &PackedVariable<'_>, expected: String, found: String) -> SourceError {
    let (path, variable) = (variable.path().to_owned(), variable.name().to_owned());
    SourceError::UnknownFlags { path, variable, expected, found }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_that_are_listed_in_a_text_are_read() {
        for text in ["0, 1, 2, -1", "0 1 2 -1", "0b, 1b, 2b, -1b", "0,1,2,-1 "] {
            assert_eq!(numbers_in(text), [0.0, 1.0, 2.0, -1.0], "{text}");
        }
        for text in ["", "none", "0, 1, b", "0, 1, two", "0 to 3"] {
            assert!(numbers_in(text).is_empty(), "{text}");
        }
    }

    #[test]
    fn what_is_said_of_a_negative_flag_is_not_said_of_0() {
        let found = paired(&[0.0, 2.0, -1.0], &["water", "ice", "missing"]);
        assert_eq!(found, BTreeMap::from([(0, "water".to_owned()), (2, "ice".to_owned())]));
    }
}
