//! AWI/ESA merged sea-ice thickness: CS2SMOS v206 on 25 km and CS3SMOS v300 on 12.5 km.

use std::ops::RangeInclusive;
use std::path::Path;

use ndarray::{Array2, Zip};

use crate::field::Field;
use crate::grid::{GridError, GridSpec};
use crate::source::native_grid::{NativeGrid, ease2_125, ease2_250};
use crate::source::netcdf_file::{NetcdfFile, PackedVariable, Unit};
use crate::source::{Identity, SourceError, ThicknessLayout, file_time, flags, range};
use crate::time::{ProductDay, Window};

const EXPECTED: &str = "merged sea-ice thickness (CS2SMOS or CS3SMOS) in NetCDF";

/// Names of the variables, the newest first.
const THICKNESS: [&str; 3] = ["sea_ice_thickness", "analysis_sea_ice_thickness", "analysis_ice_thickness"];
const UNCERTAINTY: [&str; 3] =
    ["sea_ice_thickness_uncertainty", "analysis_sea_ice_thickness_unc", "analysis_thickness_unc"];

/// Valid thicknesses, m.
pub(super) const PLAUSIBLE_M: RangeInclusive<f64> = 0.0..=20.0;

/// What a thickness rests on, as `quality_flag` of v300 tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// Altimetry and radiometry.
    Combined,
    /// Altimetry alone.
    AltimetryOnly,
    /// Radiometry alone.
    RadiometryOnly,
    /// What lies around it.
    Interpolated,
    /// Something that the file has no word for, or none that is known here.
    Unknown,
}

impl Basis {
    /// All of them.
    pub(super) const ALL: [Self; 5] =
        [Self::Combined, Self::AltimetryOnly, Self::RadiometryOnly, Self::Interpolated, Self::Unknown];

    /// Numbers are the provider's business and may change; the words are what is relied on.
    fn from_meaning(meaning: &str) -> Self {
        match meaning {
            "combined_altimetry_radiometry" => Self::Combined,
            "altimetry_only" => Self::AltimetryOnly,
            "radiometry_only" => Self::RadiometryOnly,
            "interpolated" => Self::Interpolated,
            _ => Self::Unknown,
        }
    }
}

/// Sea-ice thickness of seven days: the mean over the ice-covered part of each cell.
#[derive(Debug, Clone)]
pub struct Thickness {
    /// Thickness over ice, m; NaN where there is none.
    pub thickness_m: Field,
    /// Its uncertainty (one standard deviation), m, where the file has it.
    pub uncertainty_m: Option<Field>,
    /// What each value rests on, `[row, column]`, where the file says it.
    pub basis: Array2<Option<Basis>>,
    /// Version and grid.
    pub layout: ThicknessLayout,
    /// Which file it is.
    pub identity: Identity,
    /// What time it observes.
    pub window: Window,
}

/// Reads the thickness of the window from `start` to `end`, both days included.
///
/// # Errors
/// [`SourceError`] when the file is not what it should be.
pub fn read(path: &Path, start: ProductDay, end: ProductDay) -> Result<Thickness, SourceError> {
    let file = NetcdfFile::open(path, EXPECTED)?;
    let window = file_time::window(&file)?;
    let days = (end.date() - start.date()).num_days();
    file_time::verify_centre(&file, &window, start.plus_days(days / 2), days + 1)?;

    let variable = file.variable(&THICKNESS)?;
    let layout = layout_of(&variable)?;
    let grid = NativeGrid::verify(layout.grid()?, &file, &variable)?;
    let thickness = thickness_of_ice(&grid.array(&variable, Unit::Metre)?);
    range::verify(&file, variable.name(), &thickness, PLAUSIBLE_M, "thicknesses from 0 m to 20 m")?;

    let uncertainty = grid.optional_array(file.find(&UNCERTAINTY), Unit::Metre)?;
    let product = match layout {
        ThicknessLayout::V206 => "CS2SMOS",
        ThicknessLayout::V300 => "CS3SMOS",
    };
    Ok(Thickness {
        thickness_m: grid.field(&thickness)?,
        uncertainty_m: uncertainty
            .map(|values| grid.field(&uncertainty_of(&thickness, &values)))
            .transpose()?,
        basis: basis(&file, &grid, &thickness)?,
        layout,
        identity: Identity::new(product, file.text("product_version").as_deref(), path),
        window,
    })
}

/// None anywhere in files without the flag, and where it is missing.
fn basis(
    file: &NetcdfFile,
    grid: &NativeGrid,
    thickness: &Array2<f64>,
) -> Result<Array2<Option<Basis>>, SourceError> {
    let Some(flag) = file.find(&["quality_flag"]) else {
        return Ok(Array2::from_elem(grid.shape(), None));
    };
    // The flag only informs: where its list is ill-formed the basis is unknown, and the thickness as good as without it.
    let meanings = flags::listed(&flag).unwrap_or_default();
    let basis = |code: i32| {
        let meaning = meanings.get(&u32::try_from(code).ok()?);
        Some(meaning.map_or(Basis::Unknown, |meaning| Basis::from_meaning(meaning)))
    };
    // What is said of cells without a value, in whatever words, says nothing of one.
    let is_told = |basis: Basis, thickness: f64| basis != Basis::Unknown || !thickness.is_nan();
    Ok(Zip::from(&grid.codes(&flag, -1)?)
        .and(thickness)
        .map_collect(|&code, &thickness| basis(code).filter(|basis| is_told(*basis, thickness))))
}

/// The resolution tells the versions apart; their names for the variables have changed more often.
fn layout_of(variable: &PackedVariable<'_>) -> Result<ThicknessLayout, SourceError> {
    let is_fine = variable.shape()? == ThicknessLayout::V300.grid()?.shape();
    Ok(if is_fine { ThicknessLayout::V300 } else { ThicknessLayout::V206 })
}

impl ThicknessLayout {
    /// The grid of its fields.
    pub(super) fn grid(self) -> Result<GridSpec, GridError> {
        match self {
            Self::V206 => ease2_250(),
            Self::V300 => ease2_125(),
        }
    }
}

/// Ice has a thickness: a product that sets open water to 0 m would make its neighbours thin, and stop gaps from being filled.
fn thickness_of_ice(values: &Array2<f64>) -> Array2<f64> {
    values.mapv(|value| if value <= 0.0 { f64::NAN } else { value })
}

/// Only a thickness has an uncertainty: that of open water, 0 m, would flow into the ice at its edge.
fn uncertainty_of(thickness: &Array2<f64>, values: &Array2<f64>) -> Array2<f64> {
    Zip::from(thickness)
        .and(values)
        .map_collect(|thickness, &value| if thickness.is_nan() || value < 0.0 { f64::NAN } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_uncertainty_without_a_thickness_is_missing() {
        let thickness = thickness_of_ice(&ndarray::array![[1.5, 0.0, -0.1, f64::NAN, 2.0]]);
        let found = uncertainty_of(&thickness, &ndarray::array![[0.3, 0.0, 0.2, 0.1, -1.0]]);
        assert_eq!(found.mapv(f64::is_nan), ndarray::array![[false, true, true, true, true]]);
        assert_eq!(found.first(), Some(&0.3));
    }
}
