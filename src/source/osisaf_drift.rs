//! OSI SAF merged low-resolution sea-ice drift, 62.5 km: OSI-405-c and OSI-405-d.

use std::ops::RangeInclusive;
use std::path::Path;

use ndarray::{Array2, Zip};

use crate::field::Field;
use crate::source::native_grid::{NativeGrid, osisaf_625};
use crate::source::netcdf_file::{NetcdfFile, Unit};
use crate::source::{FlagCounts, Identity, SourceError, file_time, flags, range};
use crate::time::{ProductDay, Window};

const EXPECTED: &str = "OSI SAF merged sea-ice drift in NetCDF";

/// `status_flag` of vectors that may be used.
const USABLE_FLAGS: [(i32, &str); 4] =
    [(20, "smaller_pattern"), (21, "corrected_by_neighbours"), (22, "interpolated"), (30, "nominal_quality")];
pub(super) const OVER_LAND: i32 = 1;
/// The other flags that have a meaning: nothing was observed there, or no vector found. A cell without flag is the first.
const UNUSABLE_FLAGS: [i32; 9] = [NO_INPUT, OVER_LAND, 2, 3, 4, 10, 11, 12, 13];
pub(super) const NO_INPUT: i32 = 0;

/// No ice goes this far in two days.
const LARGEST_DISPLACEMENT_KM: f64 = 150.0;
/// Usable components of a vector, km.
pub(super) const PLAUSIBLE_KM: RangeInclusive<f64> = -LARGEST_DISPLACEMENT_KM..=LARGEST_DISPLACEMENT_KM;

/// Start and end of a vector lie at most half a day from those of the product.
const LARGEST_TIME_OFFSET_S: f64 = 43_200.0;

/// Sea-ice displacement over two days. The three fields hold values in the same cells.
#[derive(Debug, Clone)]
pub struct Drift {
    /// Displacement along the x axis of the grid, km; NaN where there is no usable vector.
    pub displacement_x_km: Field,
    /// Displacement along the y axis of the grid (up), km; NaN where there is no usable vector.
    pub displacement_y_km: Field,
    /// One standard deviation of either component, km, above 0; NaN where there is no usable vector.
    pub uncertainty_km: Field,
    /// Over how long the ice moved, days, in every cell: the length of the window, and what start and end of the cell's own
    /// vector are off it.
    pub duration_days: Field,
    /// What its flags say.
    pub flags: FlagCounts,
    /// Which file it is.
    pub identity: Identity,
    /// What time it observes.
    pub window: Window,
}

/// Reads the drift from noon of `start` to noon of `end`.
///
/// # Errors
/// [`SourceError`] when the file is not what it should be.
pub fn read(path: &Path, start: ProductDay, end: ProductDay) -> Result<Drift, SourceError> {
    let file = NetcdfFile::open(path, EXPECTED)?;
    let window = file_time::window(&file)?;
    file_time::verify_days(&file, &window, start, end)?;

    let x_variable = file.variable(&["dX"])?;
    let grid = NativeGrid::verify(osisaf_625()?, &file, &x_variable)?;
    let mut x = grid.array(&x_variable, Unit::Kilometre)?;
    // Before format 1.4 of the product dY pointed down the rows, and the right one stood beside it.
    let mut y = grid.array(&file.variable(&["dY_v1p4", "dY"])?, Unit::Kilometre)?;
    let mut uncertainty = grid.array(&file.variable(&["uncert_dX_and_dY"])?, Unit::Kilometre)?;
    let status_flag = file.variable(&["status_flag"])?;
    flags::verify(&status_flag, &flags::listed(&status_flag)?, &USABLE_FLAGS)?;
    let flags = grid.codes(&status_flag, NO_INPUT)?;
    let counts = count(&flags, &x);
    Zip::from(&mut x).and(&mut y).and(&mut uncertainty).and(&flags).for_each(|x, y, uncertainty, flag| {
        let moved = |component: f64| component.abs() < LARGEST_DISPLACEMENT_KM;
        if !(moved(*x) && moved(*y) && is_usable(*flag) && *uncertainty > 0.0) {
            (*x, *y, *uncertainty) = (f64::NAN, f64::NAN, f64::NAN);
        }
    });
    range::verify(&file, "dX", &x, PLAUSIBLE_KM, "usable vectors")?;

    Ok(Drift {
        displacement_x_km: grid.field(&x)?,
        displacement_y_km: grid.field(&y)?,
        uncertainty_km: grid.field(&uncertainty)?,
        duration_days: grid.field(&duration_days(&file, &grid, &window, x.dim())?)?,
        flags: counts,
        identity: Identity::new(
            &file.text("product_id").unwrap_or_else(|| "product not stated".into()),
            file.text("product_version").as_deref(),
            path,
        ),
        window,
    })
}

fn is_usable(flag: i32) -> bool {
    USABLE_FLAGS.iter().any(|(usable, _)| *usable == flag)
}

/// Counts flags; `x` still holds every vector of the file.
fn count(flags: &Array2<i32>, x: &Array2<f64>) -> FlagCounts {
    Zip::from(flags).and(x).fold(FlagCounts::default(), |counts, flag, x| {
        let land = *flag == OVER_LAND;
        let unknown = !is_usable(*flag) && !UNUSABLE_FLAGS.contains(flag);
        FlagCounts {
            land: counts.land + usize::from(land),
            ice_on_land: counts.ice_on_land + usize::from(land && !x.is_nan()),
            unknown: counts.unknown + usize::from(unknown),
        }
    })
}

fn duration_days(
    file: &NetcdfFile,
    grid: &NativeGrid,
    window: &Window,
    shape: (usize, usize),
) -> Result<Array2<f64>, SourceError> {
    let offset_s = |name: &str| match file.find(&[name]) {
        Some(variable) => grid.array(&variable, Unit::Second).map(|offset| offset.mapv(known_offset)),
        None => Ok(Array2::zeros(shape)),
    };
    let seconds = offset_s("dt1")? - offset_s("dt0")?;
    Ok(seconds.mapv(|seconds| window.days() + seconds / 86_400.0))
}

/// An offset that is missing or out of range counts as none.
fn known_offset(seconds: f64) -> f64 {
    if seconds.abs() <= LARGEST_TIME_OFFSET_S { seconds } else { 0.0 }
}
