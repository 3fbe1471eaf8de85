//! Reads a published revision again, as a distrustful user would.

use std::fs;
use std::path::Path;

use gdal::raster::GdalDataType;
use gdal::spatial_ref::SpatialRef;
use gdal::{Dataset, DatasetOptions, Metadata};
use ndarray::{Array2, Zip};

use crate::ensemble::Quantiles;
use crate::prepare::flag;
use crate::sys;

use super::attributes::CONVENTIONS;
use super::cf::{FILL, unpacked};
use super::cog::{EPSG, TILE};
use super::flags::OUTSIDE;
use super::manifest::{FileRecord, Manifest, ManifestError, names_in, read_manifest, record};

/// What was found in a revision's folder.
#[derive(Debug, Clone)]
pub struct ReadBack {
    /// The manifest.
    pub manifest: Manifest,
    /// Everything that is not as it should be; empty for a whole product.
    pub violations: Vec<Violation>,
    /// The fields of the NetCDF file, where it could be read.
    pub fields: Option<Fields>,
}

/// What the checks of quality need, effective thickness in m, NaN where there is no value.
#[derive(Debug, Clone)]
pub struct Fields {
    /// True where the product must have a value.
    pub mask: Array2<bool>,
    /// Mean of the members.
    pub mean_m: Array2<f32>,
    /// Standard deviation between the members.
    pub spread_m: Array2<f32>,
    /// Quantiles of the members: 0.1, 0.5, 0.9.
    pub quantiles: Quantiles,
    /// Cells, over all members, that lack a value inside the mask, have one outside it, or are below 0 m.
    pub wrong_member_cells: usize,
}

/// Something in a revision's folder that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A file of the manifest is not there.
    #[error("{file} is missing")]
    Missing {
        /// The file.
        file: String,
    },
    /// A file is there that the manifest does not know.
    #[error("{file} is not in the manifest")]
    Extra {
        /// The file.
        file: String,
    },
    /// A file has another size than when it was published.
    #[error("{file} has {found} bytes, the manifest says {expected}")]
    Size {
        /// The file.
        file: String,
        /// Bytes by the manifest.
        expected: u64,
        /// Bytes found.
        found: u64,
    },
    /// A file has other bytes than when it was published.
    #[error("{file} was changed: its SHA-256 is not the one of the manifest")]
    Checksum {
        /// The file.
        file: String,
    },
    /// A file cannot be read.
    #[error("{file} cannot be read: {reason}")]
    Unreadable {
        /// The file.
        file: String,
        /// What the system or the library said.
        reason: String,
    },
    /// A file is whole but is not what the conventions ask for.
    #[error("{file}: {what}")]
    Convention {
        /// The file.
        file: String,
        /// What is wrong.
        what: String,
    },
}

impl Violation {
    /// The file that it is about.
    #[must_use]
    pub fn file(&self) -> &str {
        match self {
            Self::Missing { file }
            | Self::Extra { file }
            | Self::Size { file, .. }
            | Self::Checksum { file }
            | Self::Unreadable { file, .. }
            | Self::Convention { file, .. } => file,
        }
    }
}

/// Reads the revision in `folder` again: the manifest, every file's size and SHA-256, the NetCDF file, the maps.
/// Files whose bytes were changed are not opened.
///
/// # Errors
/// [`ManifestError`] when there is no manifest that can be relied on; everything else is in [`ReadBack::violations`].
pub fn read_back(folder: &Path) -> Result<ReadBack, ManifestError> {
    let manifest = read_manifest(folder)?;
    let mut violations = extra_files(folder, &manifest);
    let mut fields = None;
    for expected in &manifest.files {
        if let Some(violation) = compare(folder, expected) {
            violations.push(violation);
            continue;
        }
        let path = folder.join(&expected.name);
        let found = match path.extension().and_then(|ending| ending.to_str()) {
            Some("nc") => read_netcdf(&path, &manifest).map(|(read, wrong)| {
                fields = Some(read);
                wrong
            }),
            Some("tif") => read_map(&path).map_err(|error| error.to_string()),
            _ => Ok(Vec::new()),
        };
        let file = || expected.name.clone();
        match found {
            Ok(wrong) => {
                violations.extend(wrong.into_iter().map(|what| Violation::Convention { file: file(), what }));
            }
            Err(reason) => violations.push(Violation::Unreadable { file: file(), reason }),
        }
    }
    Ok(ReadBack { manifest, violations, fields })
}

fn extra_files(folder: &Path, manifest: &Manifest) -> Vec<Violation> {
    let known = |name: &String| manifest.files.iter().any(|record| record.name == *name);
    match names_in(folder) {
        Ok(names) => {
            names.into_iter().filter(|name| !known(name)).map(|file| Violation::Extra { file }).collect()
        }
        Err(error) => {
            vec![Violation::Unreadable { file: folder.display().to_string(), reason: error.to_string() }]
        }
    }
}

fn compare(folder: &Path, expected: &FileRecord) -> Option<Violation> {
    let file = expected.name.clone();
    let path = folder.join(&file);
    let metadata = match fs::metadata(&path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Some(Violation::Missing { file });
        }
        Err(error) => return Some(Violation::Unreadable { file, reason: error.to_string() }),
    };
    if metadata.len() != expected.bytes {
        return Some(Violation::Size { file, expected: expected.bytes, found: metadata.len() });
    }
    match record(&path) {
        Ok(found) if found == *expected => None,
        Ok(_) => Some(Violation::Checksum { file }),
        Err(error) => Some(Violation::Unreadable { file, reason: error.to_string() }),
    }
}

/// The variables that every product file has, with their dimensions.
const VARIABLES: [(&str, &[&str]); 20] = [
    ("thickness_threshold", &["thickness_threshold"]),
    ("sea_ice_thickness_probability_below", &["thickness_threshold", "y", "x"]),
    ("time", &[]),
    ("time_bnds", &["nv"]),
    ("x", &["x"]),
    ("y", &["y"]),
    ("lon", &["y", "x"]),
    ("lat", &["y", "x"]),
    ("crs", &[]),
    ("cell_area", &["y", "x"]),
    ("status_flag", &["y", "x"]),
    ("sea_ice_area_fraction", &["y", "x"]),
    ("sea_ice_thickness_mean", &["y", "x"]),
    ("sea_ice_thickness_spread", &["y", "x"]),
    ("sea_ice_thickness_over_ice_mean", &["y", "x"]),
    ("sea_ice_thickness_over_ice_spread", &["y", "x"]),
    ("sea_ice_thickness_p10", &["y", "x"]),
    ("sea_ice_thickness_p50", &["y", "x"]),
    ("sea_ice_thickness_p90", &["y", "x"]),
    ("sea_ice_thickness_low_resolution", &["y", "x"]),
];

/// Those of a file that has the members.
const MEMBERS: [(&str, &[&str]); 2] =
    [("realization", &["realization"]), ("sea_ice_thickness", &["realization", "y", "x"])];

/// Opens the NetCDF file: its fields, and what is not as it should be.
fn read_netcdf(path: &Path, manifest: &Manifest) -> Result<(Fields, Vec<String>), String> {
    sys::silence_hdf5_errors();
    let file = netcdf::open(path).map_err(|error| error.to_string())?;
    let mut wrong = Vec::new();
    let conventions = file.attribute("Conventions").and_then(|attribute| attribute.value().ok());
    if conventions != Some(CONVENTIONS.into()) {
        wrong.push(format!("the attribute Conventions is not \"{CONVENTIONS}\""));
    }
    let members_too = MEMBERS.into_iter().filter(|_| manifest.members_in_file);
    for (name, dimensions) in VARIABLES.into_iter().chain(members_too) {
        let found = file
            .variable(name)
            .map(|variable| variable.dimensions().iter().map(netcdf::Dimension::name).collect::<Vec<_>>());
        if found.as_ref().is_none_or(|found| found != dimensions) {
            wrong.push(format!("the variable {name} is not there with the dimensions {dimensions:?}"));
        }
    }
    let members = file.dimension_len("realization").unwrap_or(0);
    let expected = if manifest.members_in_file { manifest.members } else { 0 };
    if members != expected {
        wrong.push(format!("it has {members} members, the manifest says {expected}"));
    }
    Ok((read_fields(&file, members).map_err(|error| error.to_string())?, wrong))
}

fn read_fields(file: &netcdf::File, members: usize) -> netcdf::Result<Fields> {
    let variable = |name: &str| file.variable(name).ok_or_else(|| netcdf::Error::NotFound(name.to_owned()));
    let shape = (file.dimension_len("y").unwrap_or(0), file.dimension_len("x").unwrap_or(0));
    let array = |values: Vec<f32>| {
        let inside =
            values.into_iter().map(|value| if value.to_bits() == FILL.to_bits() { f32::NAN } else { value });
        Array2::from_shape_vec(shape, inside.collect()).map_err(|error| netcdf::Error::Str(error.to_string()))
    };
    let field = |name: &str| array(variable(name)?.get_values::<f32, _>(..)?);
    let flags = variable("status_flag")?.get_values::<i32, _>(..)?;
    let mask =
        Array2::from_shape_vec(shape, flags.into_iter().map(|flags| flags as u32 & flag::ICE != 0).collect())
            .map_err(|error| netcdf::Error::Str(error.to_string()))?;
    let mut wrong_member_cells = 0;
    for member in 0..members {
        let packed: Vec<i16> = variable("sea_ice_thickness")?.get_values((member..=member, .., ..))?;
        let values = array(packed.into_iter().map(unpacked).collect())?;
        wrong_member_cells += Zip::from(&mask).and(&values).fold(0, |cells, &ice, &value| {
            cells + usize::from(if ice { !value.is_finite() || value < 0.0 } else { !value.is_nan() })
        });
    }
    Ok(Fields {
        mask,
        mean_m: field("sea_ice_thickness_mean")?,
        spread_m: field("sea_ice_thickness_spread")?,
        quantiles: Quantiles {
            probabilities: vec![0.1, 0.5, 0.9],
            values_m: ["p10", "p50", "p90"]
                .map(|name| field(&format!("sea_ice_thickness_{name}")))
                .into_iter()
                .collect::<netcdf::Result<_>>()?,
        },
        wrong_member_cells,
    })
}

/// Opens a map: what is not as it should be.
fn read_map(path: &Path) -> gdal::errors::Result<Vec<String>> {
    let dataset = Dataset::open_ex(
        path,
        DatasetOptions { allowed_drivers: Some(&["GTiff"]), ..DatasetOptions::default() },
    )?;
    let band = dataset.rasterband(1)?;
    let larger_than_a_tile = band.x_size() > TILE || band.y_size() > TILE;
    let code = dataset.spatial_ref().and_then(|reference: SpatialRef| reference.auth_code()).unwrap_or(0);
    let mut rules = vec![
        (code == EPSG as i32, format!("it is not in EPSG:{EPSG}")),
        (
            dataset.metadata_item("LAYOUT", "IMAGE_STRUCTURE").as_deref() == Some("COG"),
            "it is not laid out as a cloud-optimised GeoTIFF".to_owned(),
        ),
        (!larger_than_a_tile || band.overview_count()? > 0, "it has no overviews".to_owned()),
    ];
    if band.band_type() == GdalDataType::UInt8 {
        rules.extend([
            (band.no_data_value() == Some(f64::from(OUTSIDE)), format!("its no-data value is not {OUTSIDE}")),
            (band.color_table().is_some(), "it has no colour table".to_owned()),
        ]);
    } else {
        rules.extend([
            (band.no_data_value().is_some_and(f64::is_nan), "its no-data value is not NaN".to_owned()),
            (["m", "1"].contains(&band.unit().as_str()), "its unit is neither m nor 1".to_owned()),
            (band.metadata_item("STATISTICS_MEAN", "").is_some(), "it has no statistics".to_owned()),
        ]);
    }
    Ok(rules.into_iter().filter(|(kept, _)| !kept).map(|(_, what)| what).collect())
}
