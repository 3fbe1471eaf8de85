//! The input files of a day, accepted: what whoever gathered them hands to whoever produces the day.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::source::{KnownName, Role, recognise};
use crate::time::ProductDay;

use super::ProduceError;

/// The accepted input files of a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gathered {
    /// The day.
    pub day: ProductDay,
    /// The concentration of the day.
    pub concentration: AcceptedFile,
    /// The thickness.
    pub thickness: AcceptedFile,
    /// The drift.
    pub drift: AcceptedFile,
    /// The roles whose own file will never come: holes in the providers' series.
    #[serde(default)]
    pub declared_gaps: Vec<Role>,
}

/// An input file that passed its checks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AcceptedFile {
    /// Where it lies, under its provider's name.
    pub path: PathBuf,
    /// SHA-256 of what was accepted, hexadecimal.
    pub sha256: String,
}

/// As JSON: what one process hands to another as an argument.
impl fmt::Display for Gathered {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

impl FromStr for Gathered {
    type Err = serde_json::Error;

    fn from_str(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }
}

impl AcceptedFile {
    /// Its name at its provider.
    #[must_use]
    pub fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// What its name says.
    pub(super) fn known(&self) -> Result<KnownName, ProduceError> {
        recognise(&self.name()).ok_or_else(|| ProduceError::UnknownName { path: self.path.clone() })
    }
}
