//! The sample day, and the same day in the other layouts that the products have.

use std::path::{Path, PathBuf};

use netcdf::Options;

use super::netcdf_copy::{Dataset, Values};

pub(crate) const CONCENTRATION: &str = "ice_conc_nh_polstere-100_amsr2_202204151200.nc";
pub(crate) const DRIFT: &str = "ice_drift_nh_polstere-625_multi-oi_202204141200-202204161200.nc";
pub(crate) const THICKNESS: &str = "W_XX-ESA,SMOS_CS2,NH_25KM_EASE2_20220412_20220418_r_v206_01_l4sit.nc";

pub(crate) const CONCENTRATION_401D: &str = "ice_conc_nh_polstere-100_multi_202204151200.nc";
pub(crate) const CONCENTRATION_408G: &str = "ice_conc_nh_polstere-100_amsr3_202204151200.nc";
pub(crate) const THICKNESS_V300: &str =
    "W_XX-ESA,SMOS_CS2_S3A_S3B,NH_12P5KM_EASE2_20220412_20220418_o_v300_01_l4sit.nc";

/// The folder of the sample day.
pub(crate) fn sample_day() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/sample-day")
}

/// A file of the sample day.
pub(crate) fn sample(name: &str) -> PathBuf {
    sample_day().join(name)
}

/// Writes a file of the sample day with changes into `folder`, in NetCDF-4.
pub(crate) fn changed(
    folder: &Path,
    name: &str,
    change: impl FnOnce(&mut Dataset),
) -> netcdf::Result<PathBuf> {
    let mut dataset = Dataset::read(&sample(name))?;
    change(&mut dataset);
    let path = folder.join(name);
    dataset.write(&path, Options::NETCDF4)?;
    Ok(path)
}

/// The concentration as OSI-401-d or OSI-408-g have it: the same layout under another identity.
pub(crate) fn concentration_of(
    folder: &Path,
    product: &str,
    version: &str,
    name: &str,
) -> netcdf::Result<PathBuf> {
    let mut dataset = Dataset::read(&sample(CONCENTRATION))?;
    dataset.set("product_id", product);
    dataset.set("product_version", version);
    let path = folder.join(name);
    dataset.write(&path, Options::NETCDF4)?;
    Ok(path)
}

/// The drift as OSI-405-c has it: classic NetCDF, its axes in metres for good measure.
pub(crate) fn drift_405c(folder: &Path) -> netcdf::Result<PathBuf> {
    let mut dataset = Dataset::read(&sample(DRIFT))?;
    dataset.set("product_id", "OSI-405-c");
    for axis in ["xc", "yc"] {
        let axis = dataset.variable(axis);
        axis.set("units", "m");
        if let Values::Double(values) = &mut axis.values {
            for value in values {
                *value *= 1000.0;
            }
        }
    }
    let path = folder.join(DRIFT);
    dataset.write(&path, Options::empty())?;
    Ok(path)
}

/// Adds what the values of `thickness` rest on, as v300 tells it: the flags 0 to 3, which `meanings` explains, and none, in turn, cell
/// by cell in the order of the file.
pub(crate) fn add_quality_flag(dataset: &mut Dataset, thickness: &str, meanings: &str) {
    let mut flag = dataset.variable(thickness).clone();
    "quality_flag".clone_into(&mut flag.name);
    flag.attributes.clear();
    flag.set("_FillValue", -1_i32);
    flag.set("flag_values", vec![0_i32, 1, 2, 3]);
    flag.set("flag_meanings", meanings);
    let flags = (0..flag.values.len()).map(|cell| [0, 1, 2, 3, -1][cell % 5]);
    flag.values = Values::Int(flags.collect());
    dataset.variables.push(flag);
}

/// The thickness on 12.5 km as v300 has it: every cell of the sample four times, rows from the bottom to the top, and the
/// axes in `unit`, km or m. The grid mapping has another name and no PROJ string, as may be.
pub(crate) fn thickness_v300(folder: &Path, unit: &str) -> netcdf::Result<PathBuf> {
    const SIZE: usize = 864;
    let mut dataset = Dataset::read(&sample(THICKNESS))?;
    dataset.set("product_version", "v300");
    for (name, length) in &mut dataset.dimensions {
        if ["xc", "yc"].contains(&name.as_str()) {
            *length = SIZE;
        }
    }
    let step = if unit == "km" { 12.5 } else { 12_500.0 };
    let rising: Vec<f64> = (0..SIZE).map(|place| step * (place as f64 - (SIZE as f64 - 1.0) / 2.0)).collect();
    for axis in ["xc", "yc"] {
        dataset.variable(axis).values = Values::Double(rising.clone());
        dataset.variable(axis).set("units", unit);
    }
    let from: Vec<usize> =
        (0..SIZE * SIZE).map(|cell| (SIZE - 1 - cell / SIZE) / 2 * (SIZE / 2) + cell % SIZE / 2).collect();
    for (old, new) in [
        ("analysis_sea_ice_thickness", "sea_ice_thickness"),
        ("analysis_sea_ice_thickness_unc", "sea_ice_thickness_uncertainty"),
    ] {
        let variable = dataset.variable(old);
        new.clone_into(&mut variable.name);
        variable.values = variable.values.rearranged(&from);
        variable.set("grid_mapping", "crs");
    }
    let mapping = dataset.variable("Lambert_Azimuthal_Grid");
    "crs".clone_into(&mut mapping.name);
    mapping.unset("proj4_string");
    let path = folder.join(THICKNESS_V300);
    dataset.write(&path, Options::NETCDF4)?;
    Ok(path)
}
