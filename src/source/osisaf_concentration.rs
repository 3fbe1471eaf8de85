//! OSI SAF sea-ice concentration, 10 km: OSI-401-d, OSI-408-a and OSI-408-g, which share one layout.

use std::ops::RangeInclusive;
use std::path::Path;

use ndarray::{Array2, Zip};

use crate::field::Field;
use crate::source::native_grid::{NativeGrid, osisaf_100};
use crate::source::netcdf_file::{NetcdfFile, PackedVariable, Unit};
use crate::source::{FlagCounts, Identity, SourceError, bits_in, file_time, flags, range};
use crate::time::{ProductDay, Window};

const EXPECTED: &str = "OSI SAF sea-ice concentration in NetCDF";

/// The products whose `status_flag` has the bits of [`bit`]. Other products of the family give the same bits other meanings.
const KNOWN_PRODUCTS: [&str; 3] = ["OSI-401-d", "OSI-408-a", "OSI-408-g"];
const KNOWN_IN_WORDS: &str = "OSI-401-d, OSI-408-a or OSI-408-g, whose flags are known";

/// The bits of `status_flag` that matter.
pub(super) mod bit {
    pub(super) const LAKE: i32 = 32;
    pub(in crate::source) const LAND: i32 = 64;
    pub(super) const NEAR_COAST: i32 = 128;
    pub(in crate::source) const MISSING: i32 = 256;
    /// All that have a meaning: these, and four filters that may have changed the value.
    pub(super) const KNOWN: i32 = LAKE | LAND | NEAR_COAST | MISSING | 2 | 4 | 8 | 16;

    /// How a file describes those that decide.
    pub(super) const DECISIVE: [(i32, &str); 4] =
        [(LAKE, "lake"), (LAND, "land"), (NEAR_COAST, "coast"), (MISSING, "missing")];
}

/// From this fraction on a cell counts as ice, by the custom of the field.
pub(super) const ICE_FRACTION: f64 = 0.15;

/// Valid concentrations, as fractions; retrievals may leave 0..1 by rounding.
pub(super) const PLAUSIBLE: RangeInclusive<f64> = -0.01..=1.01;

/// Sea-ice concentration of one day.
#[derive(Debug, Clone)]
pub struct Concentration {
    /// Concentration, fraction; NaN over land and lakes and where missing.
    pub fraction: Field,
    /// True where the value is near a coast: valid, but less certain. `[row, column]`.
    pub near_coast: Array2<bool>,
    /// Total uncertainty (one standard deviation), fraction, where the file has it.
    pub uncertainty_fraction: Option<Field>,
    /// What its flags say.
    pub flags: FlagCounts,
    /// Which file it is.
    pub identity: Identity,
    /// What time it observes.
    pub window: Window,
}

/// Reads the concentration of `day`.
///
/// # Errors
/// [`SourceError`] when the file is not what it should be.
pub fn read(path: &Path, day: ProductDay) -> Result<Concentration, SourceError> {
    let file = NetcdfFile::open(path, EXPECTED)?;
    let status_flag = file.variable(&["status_flag"])?;
    let product = known_product(&file, &status_flag)?;
    let described = status_flag.text("flag_descriptions").unwrap_or_default();
    flags::verify(&status_flag, &bits_in(&described), &bit::DECISIVE)?;
    let window = file_time::window(&file)?;
    file_time::verify_centre(&file, &window, day, 1)?;

    let concentration = file.variable(&["ice_conc"])?;
    let grid = NativeGrid::verify(osisaf_100()?, &file, &concentration)?;
    let flags = grid.codes(&status_flag, 0)?;
    let mut fraction = grid.array(&concentration, Unit::Fraction)?;
    let counts = count(&flags, &fraction);
    Zip::from(&mut fraction).and(&flags).for_each(|fraction, flags| {
        if flags & (bit::LAND | bit::LAKE | bit::MISSING) != 0 {
            *fraction = f64::NAN;
        }
    });
    range::verify(&file, "ice_conc", &fraction, PLAUSIBLE, "fractions from 0 to 1")?;

    let uncertainty = file.find(&["total_uncertainty", "total_standard_uncertainty"]);
    let uncertainty = grid.optional_array(uncertainty, Unit::Fraction)?;
    Ok(Concentration {
        fraction: grid.field(&fraction)?,
        near_coast: flags.mapv(|flags| flags & bit::NEAR_COAST != 0),
        uncertainty_fraction: uncertainty.map(|values| grid.field(&values)).transpose()?,
        flags: counts,
        identity: Identity::new(&product, file.text("product_version").as_deref(), path),
        window,
    })
}

fn known_product(file: &NetcdfFile, status_flag: &PackedVariable<'_>) -> Result<String, SourceError> {
    let product = file.text("product_id").unwrap_or_default();
    // The climate records list their flags, which mean other things, in `flag_masks`; the daily products do not.
    let other_flags = status_flag.has_attribute("flag_masks");
    if KNOWN_PRODUCTS.contains(&product.as_str()) && !other_flags {
        return Ok(product);
    }
    let note = if other_flags { ", with the flags of a climate record" } else { "" };
    let found = format!("product_id \"{product}\"{note}");
    Err(SourceError::UnknownProduct { path: file.path().to_owned(), expected: KNOWN_IN_WORDS, found })
}

/// Counts flags; `fraction` still holds what the file has on land.
fn count(flags: &Array2<i32>, fraction: &Array2<f64>) -> FlagCounts {
    Zip::from(flags).and(fraction).fold(FlagCounts::default(), |counts, flags, fraction| {
        let land = flags & (bit::LAND | bit::LAKE) != 0;
        FlagCounts {
            land: counts.land + usize::from(land),
            ice_on_land: counts.ice_on_land + usize::from(land && *fraction >= ICE_FRACTION),
            unknown: counts.unknown + usize::from(flags & !bit::KNOWN != 0),
        }
    })
}
