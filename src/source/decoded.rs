//! An input file decoded, whichever product it is.

use std::path::Path;

use crate::source::merged_thickness::Thickness;
use crate::source::osisaf_concentration::Concentration;
use crate::source::osisaf_drift::Drift;
use crate::source::{
    Product, Role, SourceError, merged_thickness, osisaf_concentration, osisaf_drift, recognise,
};

/// What is in an input file.
#[derive(Debug, Clone)]
pub enum Decoded {
    /// Sea-ice concentration.
    Concentration(Concentration),
    /// Sea-ice thickness.
    Thickness(Thickness),
    /// Sea-ice drift.
    Drift(Drift),
}

impl Decoded {
    /// What it gives to a day.
    #[must_use]
    pub fn role(&self) -> Role {
        match self {
            Self::Concentration(_) => Role::Concentration,
            Self::Thickness(_) => Role::Thickness,
            Self::Drift(_) => Role::Drift,
        }
    }
}

/// What is in a file of another role than was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OtherRole(pub Role);

impl TryFrom<Decoded> for Concentration {
    type Error = OtherRole;

    fn try_from(decoded: Decoded) -> Result<Self, OtherRole> {
        match decoded {
            Decoded::Concentration(concentration) => Ok(concentration),
            other => Err(OtherRole(other.role())),
        }
    }
}

impl TryFrom<Decoded> for Thickness {
    type Error = OtherRole;

    fn try_from(decoded: Decoded) -> Result<Self, OtherRole> {
        match decoded {
            Decoded::Thickness(thickness) => Ok(thickness),
            other => Err(OtherRole(other.role())),
        }
    }
}

impl TryFrom<Decoded> for Drift {
    type Error = OtherRole;

    fn try_from(decoded: Decoded) -> Result<Self, OtherRole> {
        match decoded {
            Decoded::Drift(drift) => Ok(drift),
            other => Err(OtherRole(other.role())),
        }
    }
}

/// Reads an input file with the reader of the product that its name says it is.
///
/// # Errors
/// [`SourceError`] when it is no product that is known, or not what its name says.
pub fn decode(path: &Path) -> Result<Decoded, SourceError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let known = recognise(&name).ok_or_else(|| SourceError::UnknownProduct {
        path: path.to_owned(),
        expected: "the name of an input that is known",
        found: format!("\"{name}\""),
    })?;
    Ok(match known.product {
        Product::Concentration(_) => Decoded::Concentration(osisaf_concentration::read(path, known.start)?),
        Product::Thickness(_) => Decoded::Thickness(merged_thickness::read(path, known.start, known.end)?),
        Product::Drift(_) => Decoded::Drift(osisaf_drift::read(path, known.start, known.end)?),
    })
}
