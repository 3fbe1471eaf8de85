//! The product's NetCDF file: members, mean, spread, quantiles, flags, and the inputs on the grid.

use std::path::Path;

use ndarray::{Array2, CowArray, Ix2, Zip};

use super::attributes;
use super::cf::{
    Attributes, CfFile, Kind, Layer, MEASUREMENT, MODEL_RESULT, PACKED_STEP_M, QUALITY, REFERENCE,
    TIME_UNITS, TO_MILLIMETRES, Variable, flag_variable, flags_outside, on_grid, outside, packed,
    rounding_note, time_variable,
};
use super::geography::Geography;
use super::{InputRecord, Product, PublishError, seconds_since_1970};

const COORDINATES: &str = "time lat lon";
const MEMBERS: &str = "sea_ice_thickness";
const PROBABILITY: &str = "sea_ice_thickness_probability_below";
const THRESHOLD: &str = "thickness_threshold";
const UNCERTAINTY: &str = "sea_ice_thickness_low_resolution_uncertainty";

/// Concentration is kept to 1/4096, deformation to a millionth per day.
const CONCENTRATION_ROUNDING: i32 = -12;
const RATE_ROUNDING: i32 = -20;

/// Writes the product as a NetCDF-4 file after CF-1.11 and ACDD-1.3. Members go through memory one at a time.
pub(super) fn write(
    path: &Path,
    product: &Product<'_>,
    revision: u32,
    geography: &Geography,
    flags: &Array2<u32>,
) -> Result<(), PublishError> {
    let layers = layers(product)?;
    let mut file = CfFile::create(path)?;
    define(&mut file, product, geography, &layers)?;
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    for (name, value) in attributes::of_product(product, revision, &stem, &geography.lonlat) {
        file.attribute(name, value)?;
    }
    put_coordinates(&mut file, product, geography)?;
    for layer in &layers {
        layer.put(&mut file)?;
    }
    file.put("status_flag", &flags_outside(flags))?;
    put_probabilities(&mut file, product)?;
    if product.with_members {
        put_members(&mut file, product)?;
    }
    file.close()
}

fn define(
    file: &mut CfFile,
    product: &Product<'_>,
    geography: &Geography,
    layers: &[Layer<'_>],
) -> Result<(), PublishError> {
    file.dimension("nv", 2)?;
    geography.define(file)?;
    let mut time = time_variable();
    time.attributes.push(("bounds", "time_bnds".into()));
    file.define(&time)?;
    file.define(&bounds_variable("time_bnds".into(), Vec::new()))?;
    if product.with_members {
        file.dimension("realization", product.members.len())?;
        file.define(&realization_variable())?;
        file.define(&members_variable())?;
    }
    file.dimension(THRESHOLD, product.thinner.len())?;
    for variable in [threshold_variable(), probability_variable(), flag_variable(COORDINATES)] {
        file.define(&variable)?;
    }
    for input in &product.lineage.inputs {
        file.define(&age_variable(input))?;
        file.define(&window_variable(input))?;
    }
    layers.iter().try_for_each(|layer| file.define(&layer.variable(COORDINATES)))
}

/// Two moments: where something begins and where it ends.
fn bounds_variable(name: String, attributes: Attributes) -> Variable {
    Variable { name, dimensions: &["nv"], kind: Kind::Double, attributes }
}

fn realization_variable() -> Variable {
    Variable {
        name: "realization".into(),
        dimensions: &["realization"],
        kind: Kind::Int,
        attributes: vec![
            ("standard_name", "realization".into()),
            ("long_name", "number of the member, which is also that of its noise".into()),
            ("units", "1".into()),
        ],
    }
}

fn members_variable() -> Variable {
    let mut attributes = vec![
        ("long_name", "effective sea-ice thickness (ice volume per cell area), members".into()),
        ("standard_name", "sea_ice_thickness".into()),
        ("units", "m".into()),
        ("scale_factor", PACKED_STEP_M.into()),
        ("add_offset", 0.0_f32.into()),
        ("cell_methods", "area: mean".into()),
        ("ancillary_variables", "status_flag".into()),
    ];
    attributes.extend(on_grid(COORDINATES, MODEL_RESULT));
    attributes.push(rounding_note(TO_MILLIMETRES, "m"));
    Variable { name: MEMBERS.into(), dimensions: &["realization", "y", "x"], kind: Kind::Packed, attributes }
}

fn threshold_variable() -> Variable {
    Variable {
        name: THRESHOLD.into(),
        dimensions: &[THRESHOLD],
        kind: Kind::Double,
        attributes: vec![
            ("standard_name", "sea_ice_thickness".into()),
            ("long_name", "effective sea-ice thickness that the ice is compared with".into()),
            ("units", "m".into()),
            ("coverage_content_type", REFERENCE.into()),
        ],
    }
}

fn probability_variable() -> Variable {
    let mut attributes: Attributes = vec![
        ("long_name", "share of the members whose effective sea-ice thickness is below the threshold".into()),
        ("units", "1".into()),
        ("cell_methods", "area: mean".into()),
        ("ancillary_variables", "status_flag".into()),
    ];
    attributes.extend(on_grid(COORDINATES, MODEL_RESULT));
    Variable {
        name: PROBABILITY.into(),
        dimensions: &[THRESHOLD, "y", "x"],
        kind: Kind::FloatOrMissing,
        attributes,
    }
}

/// How old an input is.
fn age_variable(input: &InputRecord) -> Variable {
    Variable {
        name: format!("{}_age", input.role),
        dimensions: &[],
        kind: Kind::Double,
        attributes: vec![
            (
                "long_name",
                format!("days from the centre of the {}'s window to noon of the day", input.role).into(),
            ),
            ("units", "days".into()),
            ("input_file", input.name.as_str().into()),
            ("coverage_content_type", "auxiliaryInformation".into()),
        ],
    }
}

/// What stretch of time an input observes.
fn window_variable(input: &InputRecord) -> Variable {
    let long_name = format!("beginning and end of the time that the {} was observed in", input.role);
    bounds_variable(
        format!("{}_window", input.role),
        vec![
            ("long_name", long_name.into()),
            ("units", TIME_UNITS.into()),
            ("calendar", "standard".into()),
            ("coverage_content_type", "auxiliaryInformation".into()),
        ],
    )
}

fn layers<'a>(product: &Product<'a>) -> Result<Vec<Layer<'a>>, PublishError> {
    let mut layers = statistics_layers(product);
    layers.extend(quantile_layers(product)?);
    layers.extend(input_layers(product));
    Ok(layers)
}

fn statistics_layers<'a>(product: &Product<'a>) -> Vec<Layer<'a>> {
    let statistics = product.statistics;
    let thickness = |name, long_name, cell_methods: &'static str, ancillary: &'static str, values| Layer {
        name,
        long_name,
        standard_name: Some("sea_ice_thickness"),
        units: "m",
        more: vec![("cell_methods", cell_methods.into()), ("ancillary_variables", ancillary.into())],
        content: MODEL_RESULT,
        rounding: Some(TO_MILLIMETRES),
        values,
    };
    let mut layers = vec![
        thickness(
            "sea_ice_thickness_mean",
            "effective sea-ice thickness (ice volume per cell area), mean of the members",
            "area: mean realization: mean",
            "sea_ice_thickness_spread status_flag",
            statistics.mean_m.view().into(),
        ),
        thickness(
            "sea_ice_thickness_spread",
            "effective sea-ice thickness (ice volume per cell area), standard deviation between the members",
            "area: mean realization: standard_deviation",
            "status_flag",
            statistics.spread_m.view().into(),
        ),
        thickness(
            "sea_ice_thickness_over_ice_mean",
            "sea-ice thickness averaged over the ice in the cell, mean of the members",
            "area: mean where sea_ice realization: mean",
            "sea_ice_thickness_over_ice_spread status_flag",
            over_ice(product, &statistics.mean_m),
        ),
        thickness(
            "sea_ice_thickness_over_ice_spread",
            "sea-ice thickness averaged over the ice in the cell, standard deviation between the members",
            "area: mean where sea_ice realization: standard_deviation",
            "status_flag",
            over_ice(product, &statistics.spread_m),
        ),
    ];
    // Parts of a spread are no thickness that members have, so they do without its standard name.
    let part = |name, long_name, values: &'a Array2<f32>| Layer {
        standard_name: None,
        ..thickness(
            name,
            long_name,
            "area: mean realization: standard_deviation",
            "status_flag",
            values.view().into(),
        )
    };
    layers.push(part(
        "sea_ice_thickness_spread_fine_scales",
        "standard deviation between the members of what is added to the low-resolution thickness: what the inputs leave open",
        &statistics.fine_spread_m,
    ));
    layers.extend(statistics.input_spread_m.as_ref().map(|spread_m| {
        part(
            "sea_ice_thickness_spread_input",
            "standard deviation between the low-resolution thicknesses that the members start from: the uncertainty of the input",
            spread_m,
        )
    }));
    layers
}

/// Effective thickness divided by concentration inside the mask, NaN elsewhere.
fn over_ice<'a>(product: &Product<'a>, effective_m: &Array2<f32>) -> CowArray<'a, f32, Ix2> {
    let prepared = product.prepared;
    Zip::from(effective_m)
        .and(&prepared.concentration)
        .and(&prepared.mask)
        .map_collect(
            |&effective, &concentration, &ice| if ice { effective / concentration } else { f32::NAN },
        )
        .into()
}

fn quantile_layers<'a>(product: &Product<'a>) -> Result<Vec<Layer<'a>>, PublishError> {
    let known = [
        (
            0.1,
            "sea_ice_thickness_p10",
            "effective sea-ice thickness (ice volume per cell area), 10th percentile of the members",
        ),
        (
            0.5,
            "sea_ice_thickness_p50",
            "effective sea-ice thickness (ice volume per cell area), median of the members",
        ),
        (
            0.9,
            "sea_ice_thickness_p90",
            "effective sea-ice thickness (ice volume per cell area), 90th percentile of the members",
        ),
    ];
    let layer = |&(probability, name, long_name): &(f64, &'static str, &'static str)| {
        let cell_methods =
            if name.ends_with("p50") { "area: mean realization: median" } else { "area: mean" };
        product.quantile(probability).map(|values| Layer {
            name,
            long_name,
            standard_name: Some("sea_ice_thickness"),
            units: "m",
            more: vec![("cell_methods", cell_methods.into()), ("probability", probability.into())],
            content: MODEL_RESULT,
            rounding: Some(TO_MILLIMETRES),
            values: values.view().into(),
        })
    };
    known.iter().map(layer).collect()
}

fn input_layers<'a>(product: &Product<'a>) -> Vec<Layer<'a>> {
    let prepared = product.prepared;
    let mut layers = vec![Layer {
        name: "sea_ice_thickness_low_resolution",
        long_name: "effective sea-ice thickness (ice volume per cell area) of the merged satellite product, input of the model",
        standard_name: Some("sea_ice_thickness"),
        units: "m",
        more: vec![("cell_methods", "area: mean".into())],
        content: MEASUREMENT,
        rounding: Some(TO_MILLIMETRES),
        values: prepared.effective_thickness_m.view().into(),
    }];
    layers.extend(prepared.effective_thickness_uncertainty_m.as_ref().map(|uncertainty_m| Layer {
        name: UNCERTAINTY,
        long_name: "standard error of the low-resolution effective thickness, as the merged satellite product states it for the ice",
        standard_name: Some("sea_ice_thickness standard_error"),
        units: "m",
        more: vec![("cell_methods", "area: mean".into())],
        content: QUALITY,
        rounding: Some(TO_MILLIMETRES),
        values: uncertainty_m.view().into(),
    }));
    if prepared.effective_thickness_uncertainty_m.is_some() {
        layers[0].more.push(("ancillary_variables", UNCERTAINTY.into()));
    }
    layers.extend(ice_state_layers(prepared));
    layers
}

/// Concentration and deformation, as both the product and the file of network inputs give them.
pub(super) fn ice_state_layers(prepared: &crate::prepare::Prepared) -> Vec<Layer<'_>> {
    let rate = |name, long_name, standard_name, values| Layer {
        name,
        long_name,
        standard_name,
        units: "day-1",
        more: Vec::new(),
        content: MEASUREMENT,
        rounding: Some(RATE_ROUNDING),
        values,
    };
    vec![
        Layer {
            name: "sea_ice_area_fraction",
            long_name: "sea-ice concentration, smoothed",
            standard_name: Some("sea_ice_area_fraction"),
            units: "1",
            more: Vec::new(),
            content: MEASUREMENT,
            rounding: Some(CONCENTRATION_ROUNDING),
            values: prepared.concentration.view().into(),
        },
        rate(
            "divergence",
            "divergence of the ice motion, smoothed and filled",
            Some("divergence_of_sea_ice_velocity"),
            prepared.divergence_per_day.view().into(),
        ),
        rate(
            "shear",
            "shear of the ice motion, smoothed and filled",
            Some("maximum_over_coordinate_rotation_of_sea_ice_horizontal_shear_strain_rate"),
            prepared.shear_per_day.view().into(),
        ),
        rate(
            "deformation",
            "total deformation of the ice: square root of divergence squared plus shear squared",
            None,
            prepared.deformation_per_day.view().into(),
        ),
    ]
}

fn put_coordinates(
    file: &mut CfFile,
    product: &Product<'_>,
    geography: &Geography,
) -> Result<(), PublishError> {
    let noon = seconds_since_1970(product.day.noon());
    file.put("time", &[noon])?;
    file.put("time_bnds", &[noon - 43_200.0, noon + 43_200.0])?;
    if product.with_members {
        file.put("realization", &(0..product.members.len() as i32).collect::<Vec<_>>())?;
    }
    for input in &product.lineage.inputs {
        file.put(&format!("{}_age", input.role), &[input.age_days])?;
        let window = [input.window.start, input.window.end].map(seconds_since_1970);
        file.put(&format!("{}_window", input.role), &window)?;
    }
    geography.put(file)
}

fn put_probabilities(file: &mut CfFile, product: &Product<'_>) -> Result<(), PublishError> {
    let thresholds: Vec<f64> = product.thinner.iter().map(|thinner| thinner.threshold_m).collect();
    file.put(THRESHOLD, &thresholds)?;
    for (number, thinner) in product.thinner.iter().enumerate() {
        file.put_entry(PROBABILITY, number, &outside(&thinner.share, None))?;
    }
    Ok(())
}

fn put_members(file: &mut CfFile, product: &Product<'_>) -> Result<(), PublishError> {
    for member in 0..product.members.len() {
        let values = product
            .members
            .rows(member, 0..product.grid.spec.rows)
            .map_err(|source| PublishError::Member { member, source })?;
        let values = packed(&values).map_err(|thickness_m| PublishError::TooThick { member, thickness_m })?;
        file.put_entry(MEMBERS, member, &values)?;
    }
    Ok(())
}
