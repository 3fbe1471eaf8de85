//! The network's inputs of a day as a NetCDF file of their own.

use std::path::Path;

use crate::prepare::Prepared;

use super::attributes;
use super::cf::{
    CfFile, Kind, Layer, MEASUREMENT, QUALITY, Variable, flag_variable, flags_outside, on_grid, time_variable,
};
use super::geography::Geography;
use super::netcdf::ice_state_layers;
use super::{Features, PublishError, seconds_since_1970};

const COORDINATES: &str = "time lat lon";

/// Writes what the network sees, before standardising, to `path`: `sea_ice_area_fraction`, `sea_ice_thickness` (over the ice),
/// `effective_sea_ice_thickness`, `divergence`, `shear`, `deformation`, `mask` and `status_flag`, each `(y, x)`.
///
/// # Errors
/// [`PublishError::Netcdf`] when the file cannot be written; [`PublishError::Grid`] or [`PublishError::Projection`] when the
/// grid cannot be described.
pub fn write_features(path: &Path, features: &Features<'_>) -> Result<(), PublishError> {
    let geography = Geography::of(&features.grid.spec)?;
    let mut layers = thickness_layers(features.prepared);
    layers.extend(
        ice_state_layers(features.prepared).into_iter().map(|layer| Layer { rounding: None, ..layer }),
    );
    let mut file = CfFile::create(path)?;
    define(&mut file, features, path, &geography, &layers)?;
    geography.put(&mut file)?;
    file.put("time", &[seconds_since_1970(features.day.noon())])?;
    file.put("mask", &features.prepared.mask.iter().map(|&ice| i32::from(ice)).collect::<Vec<_>>())?;
    file.put("status_flag", &flags_outside(&features.prepared.flags))?;
    layers.iter().try_for_each(|layer| layer.put(&mut file))?;
    file.close()
}

fn define(
    file: &mut CfFile,
    features: &Features<'_>,
    path: &Path,
    geography: &Geography,
    layers: &[Layer<'_>],
) -> Result<(), PublishError> {
    geography.define(file)?;
    for variable in [time_variable(), mask_variable(), flag_variable(COORDINATES)] {
        file.define(&variable)?;
    }
    layers.iter().try_for_each(|layer| file.define(&layer.variable(COORDINATES)))?;
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    attributes::of_features(features, &stem, &geography.lonlat)
        .into_iter()
        .try_for_each(|(name, value)| file.attribute(name, value))
}

fn mask_variable() -> Variable {
    let mut attributes = vec![
        (
            "long_name",
            "1 where the network works: sea ice of known thickness; deformation may be missing".into(),
        ),
        ("units", "1".into()),
        ("flag_values", vec![0_i32, 1].into()),
        ("flag_meanings", "outside inside".into()),
    ];
    attributes.extend(on_grid(COORDINATES, QUALITY));
    Variable { name: "mask".into(), dimensions: &["y", "x"], kind: Kind::Int, attributes }
}

fn thickness_layers(prepared: &Prepared) -> Vec<Layer<'_>> {
    let thickness = |name, long_name, cell_methods: &'static str, values| Layer {
        name,
        long_name,
        standard_name: Some("sea_ice_thickness"),
        units: "m",
        more: vec![("cell_methods", cell_methods.into())],
        content: MEASUREMENT,
        rounding: None,
        values,
    };
    vec![
        thickness(
            "sea_ice_thickness",
            "sea-ice thickness averaged over the ice in the cell",
            "area: mean where sea_ice",
            prepared.thickness_m.view().into(),
        ),
        thickness(
            "effective_sea_ice_thickness",
            "effective sea-ice thickness (ice volume per cell area)",
            "area: mean",
            prepared.effective_thickness_m.view().into(),
        ),
    ]
}
