//! The global attributes: discovery (ACDD-1.3), credit, and where a product comes from.

use chrono::{DateTime, SecondsFormat, Utc};
use ndarray::Array2;

use crate::config::{Consistency, Publisher};
use crate::grid::LonLat;
use crate::model::Calibration;
use crate::time::ProductDay;

use super::cf::Attributes;
use super::names::revision_name;
use super::{Features, InputRecord, Lineage, Product, Status};

/// The conventions that the files follow.
pub(super) const CONVENTIONS: &str = "CF-1.11, ACDD-1.3";

const KEYWORDS: &str = "EARTH SCIENCE > CRYOSPHERE > SEA ICE > ICE DEPTH/THICKNESS, \
                        EARTH SCIENCE > CRYOSPHERE > SEA ICE > SEA ICE CONCENTRATION, \
                        EARTH SCIENCE > CRYOSPHERE > SEA ICE > ICE DEFORMATION, \
                        GEOGRAPHIC REGION > ARCTIC";

/// What a product is.
pub(super) const SUMMARY: &str = "High-resolution Arctic sea-ice thickness of one day: members, mean, spread and quantiles of an ensemble \
                       drawn by a conditional diffusion model that adds fine scales to the merged CryoSat-2/SMOS or CryoSat-2/Sentinel-3/SMOS \
                       thickness, given sea-ice concentration and deformation observed by satellites.";

const COMMENT: &str = "Thickness comes with two meanings, told apart by cell_methods. Effective thickness (\"area: mean\") is the volume of ice \
     per area of the cell; variables named over_ice (\"area: mean where sea_ice\") give the mean over the ice-covered part \
     of the cell, which is effective thickness divided by sea_ice_area_fraction. This is a 7-day thickness, not a nowcast: \
     the thickness that the scales are added to is a mean over seven days (variable thickness_window). \
     Where status_flag says filled_drift or filled_thickness, the input was filled from its surroundings; where it says missing_drift, \
     the model was told nothing of the deformation.";

const FEATURES_SUMMARY: &str = "The inputs of the Nilas network for one day, on its grid, before standardising: sea-ice concentration, thickness and \
     deformation from satellites, remapped, smoothed and filled as docs/method.md of Nilas says.";

const FEATURES_COMMENT: &str = "sea_ice_thickness is the mean over the ice-covered part of a cell; effective_sea_ice_thickness is the volume of ice per \
     area of the cell. Where status_flag says filled_drift or filled_thickness, the value was filled from its surroundings; where it says missing_drift, \
     the deformation is not known.";

const SOURCE: &str = "satellite sea-ice concentration and drift (EUMETSAT OSI SAF), merged satellite sea-ice thickness (ESA/AWI)";

const ACKNOWLEDGEMENT: &str = "Sea-ice concentration and drift: EUMETSAT OSI SAF (CC BY 4.0). Sea-ice thickness: merged product of the Alfred Wegener \
     Institute, funded by the ESA project SMOS & CryoSat-2 Sea Ice Data Product Processing and Dissemination Service; \
     Ricker et al. 2017. The method is that of SuperIce, a project of ESA carried out by NERSC (deliverable 3.1).";

const REFERENCES: &str = "Ricker, R., Hendricks, S., Kaleschke, L., Tian-Kunze, X., King, J., and Haas, C.: A weekly Arctic sea-ice thickness data \
     record from merged CryoSat-2 and SMOS satellite data, The Cryosphere, 11, 1607-1623, https://doi.org/10.5194/tc-11-1607-2017, 2017; \
     EUMETSAT OSI SAF: sea-ice concentration OSI-408-a, https://doi.org/10.15770/EUM_SAF_OSI_NRT_2023; \
     low-resolution sea-ice drift OSI-405, https://doi.org/10.15770/EUM_SAF_OSI_NRT_2007";

/// Global attributes of a product file; `file_stem` is the file's name without its ending.
pub(super) fn of_product(
    product: &Product<'_>,
    revision: u32,
    file_stem: &str,
    lonlat: &Array2<LonLat>,
) -> Attributes {
    let mut attributes = discovery(&Discovery {
        title: title(product),
        summary: SUMMARY,
        day: product.day,
        history: history(product.created, &product.lineage.code_version, product.members.len()),
        created: product.created,
    });
    attributes.extend(publisher(product.publisher));
    attributes.extend([
        ("id", file_stem.into()),
        (
            "comment",
            format!("{COMMENT} Training data of the model: {}", product.lineage.training_data).into(),
        ),
        ("product_version", revision_name(revision).into()),
        ("product_status", status_words(product.status).into()),
        ("processing_level", "Level 4".into()),
    ]);
    attributes.extend(extent(lonlat));
    attributes.extend(inputs(&product.lineage.inputs));
    attributes.extend(declared_gaps(product.lineage));
    attributes.extend(degradation(product.lineage));
    attributes.extend(lineage(product.lineage));
    attributes
}

/// What a product is called.
pub(super) fn title(product: &Product<'_>) -> String {
    let (day, members) = (product.day, product.members.len());
    format!("Arctic sea-ice thickness at 3 km for {day}, an ensemble of {members}")
}

/// Global attributes of a file of network inputs; `file_stem` is the file's name without its ending.
pub(super) fn of_features(features: &Features<'_>, file_stem: &str, lonlat: &Array2<LonLat>) -> Attributes {
    let version = env!("CARGO_PKG_VERSION");
    let mut attributes = discovery(&Discovery {
        title: format!("Inputs of the Nilas network for {}", features.day),
        summary: FEATURES_SUMMARY,
        day: features.day,
        history: format!("{} nilas {version}: prepared", stamp(features.created)),
        created: features.created,
    });
    attributes.extend(publisher(features.publisher));
    attributes.extend([
        ("id", file_stem.into()),
        ("comment", FEATURES_COMMENT.into()),
        ("processing_level", "Level 4".into()),
        ("code_version", version.into()),
    ]);
    attributes.extend(extent(lonlat));
    attributes.extend(inputs(features.inputs));
    attributes
}

/// A moment as ISO 8601 wants it, to the second.
pub(super) fn stamp(moment: DateTime<Utc>) -> String {
    moment.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// A status as files and maps spell it.
pub(super) fn status_words(status: Status) -> &'static str {
    match status {
        Status::Provisional => "provisional",
        Status::Final => "final",
    }
}

fn history(created: DateTime<Utc>, version: &str, members: usize) -> String {
    format!("{} nilas {version}: {members} members drawn", stamp(created))
}

struct Discovery {
    title: String,
    summary: &'static str,
    day: ProductDay,
    history: String,
    created: DateTime<Utc>,
}

fn discovery(of: &Discovery) -> Attributes {
    vec![
        ("Conventions", CONVENTIONS.into()),
        ("title", of.title.clone().into()),
        ("summary", of.summary.into()),
        ("keywords", KEYWORDS.into()),
        ("keywords_vocabulary", "GCMD Science Keywords".into()),
        ("source", SOURCE.into()),
        ("references", REFERENCES.into()),
        ("acknowledgement", ACKNOWLEDGEMENT.into()),
        ("standard_name_vocabulary", "CF Standard Name Table v93".into()),
        ("cdm_data_type", "Grid".into()),
        ("project", "Nilas".into()),
        ("history", of.history.clone().into()),
        ("date_created", stamp(of.created).into()),
        ("date_issued", stamp(of.created).into()),
        ("date_modified", stamp(of.created).into()),
        ("date_metadata_modified", stamp(of.created).into()),
        ("time_coverage_start", format!("{}T00:00:00Z", of.day).into()),
        ("time_coverage_end", format!("{}T00:00:00Z", of.day.plus_days(1)).into()),
        ("time_coverage_duration", "P1D".into()),
        ("time_coverage_resolution", "P1D".into()),
    ]
}

/// The licence of a product and what it is made from.
pub(super) fn license(publisher: &Publisher) -> String {
    format!(
        "{}; made from EUMETSAT OSI SAF data under CC BY 4.0 and from the merged thickness of ESA and AWI: keep their acknowledgement",
        publisher.license
    )
}

fn publisher(publisher: &Publisher) -> Attributes {
    let mut attributes: Attributes = vec![
        ("institution", publisher.institution.as_str().into()),
        ("license", license(publisher).into()),
        ("naming_authority", naming_authority(&publisher.url).into()),
    ];
    for (name, url, email, kind, institution) in [
        ("creator_name", "creator_url", "creator_email", "creator_type", "creator_institution"),
        ("publisher_name", "publisher_url", "publisher_email", "publisher_type", "publisher_institution"),
    ] {
        attributes.extend([
            (name, publisher.institution.as_str().into()),
            (url, publisher.url.as_str().into()),
            (email, publisher.email.as_str().into()),
            (kind, "institution".into()),
            (institution, publisher.institution.as_str().into()),
        ]);
    }
    attributes
}

/// The host of an address, turned round as ACDD recommends: `https://example.org/nilas` gives `org.example`.
fn naming_authority(url: &str) -> String {
    let host = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = host.split(['/', ':']).next().unwrap_or(host);
    host.split('.').rev().collect::<Vec<_>>().join(".")
}

fn extent(lonlat: &Array2<LonLat>) -> Attributes {
    let range = |of: fn(&LonLat) -> f64| {
        lonlat
            .iter()
            .map(of)
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)))
    };
    let (south, north) = range(|place| place.lat);
    let (west, east) = range(|place| place.lon);
    vec![
        ("geospatial_lat_min", south.into()),
        ("geospatial_lat_max", north.into()),
        ("geospatial_lat_units", "degrees_north".into()),
        ("geospatial_lon_min", west.into()),
        ("geospatial_lon_max", east.into()),
        ("geospatial_lon_units", "degrees_east".into()),
        ("geospatial_vertical_min", 0.0.into()),
        ("geospatial_vertical_max", 0.0.into()),
        ("geospatial_vertical_units", "m".into()),
        ("geospatial_vertical_positive", "up".into()),
        ("geospatial_bounds_crs", "EPSG:4326".into()),
        ("geospatial_bounds", bounds(west, south, east, north).into()),
    ]
}

/// The lon-lat box as ACDD wants it: well-known text, latitude first because EPSG:4326 has it first.
fn bounds(west: f64, south: f64, east: f64, north: f64) -> String {
    format!(
        "POLYGON (({south:.4} {west:.4}, {north:.4} {west:.4}, {north:.4} {east:.4}, {south:.4} {east:.4}, {south:.4} {west:.4}))"
    )
}

/// Why a provisional product will not be followed by a final one.
fn degradation(lineage: &Lineage) -> Attributes {
    lineage.degradation.iter().map(|text| ("degradation", text.as_str().into())).collect()
}

fn declared_gaps(lineage: &Lineage) -> Attributes {
    if lineage.declared_gaps.is_empty() {
        return Vec::new();
    }
    let roles = lineage.declared_gaps.join(", ");
    vec![(
        "declared_gaps",
        format!("{roles}: there will be no file of this day; older ones stand for it").into(),
    )]
}

fn inputs(records: &[InputRecord]) -> Attributes {
    let line = |record: &InputRecord| {
        format!(
            "{}: {} ({}, sha256 {}, age {:.2} days)",
            record.role, record.name, record.product, record.sha256, record.age_days
        )
    };
    vec![("input_files", records.iter().map(line).collect::<Vec<_>>().join("; ").into())]
}

/// How the uncertainty of the input is in the members.
const INPUT_PERTURBED: &str = "each member starts from a thickness perturbed within sea_ice_thickness_low_resolution_uncertainty, correlated over 120 km";

/// In what members agree with what they started from.
fn consistency(consistency: Consistency) -> &'static str {
    match consistency {
        Consistency::Seen => {
            "the thickness product would see in each member the thickness that it started from"
        }
        Consistency::Means => {
            "means of each member through a Gaussian of 26 km are those of the thickness that it started from"
        }
    }
}

fn lineage(lineage: &Lineage) -> Attributes {
    let mut attributes = model(lineage);
    attributes.extend(lineage.time_grid.map(|grid| ("sampler_time_grid", grid.name().into())));
    let calibration = lineage.calibration.as_ref().map_or("none".to_owned(), Calibration::in_words);
    attributes.push(("spread_calibration", calibration.into()));
    let input = if lineage.input_perturbed { INPUT_PERTURBED } else { "not included" };
    attributes.push(("input_uncertainty", input.into()));
    attributes.push(("coarse_consistency", consistency(lineage.consistency).into()));
    attributes.extend(lineage.lowest_noise_rate.map(|rate| ("sampler_lowest_noise_rate", rate.into())));
    attributes
}

fn model(lineage: &Lineage) -> Attributes {
    vec![
        ("model_checkpoint", lineage.checkpoint.as_str().into()),
        ("model_checkpoint_sha256", lineage.checkpoint_sha256.as_str().into()),
        ("model_training_data", lineage.training_data.as_str().into()),
        ("sampler", lineage.sampler.name().into()),
        ("sampler_steps", (lineage.steps as i32).into()),
        ("noise_seed", lineage.seed.to_string().into()),
        ("device", lineage.device.as_str().into()),
        ("precision", lineage.precision.as_str().into()),
        ("configuration_sha256", lineage.config_hash.as_str().into()),
        ("code_version", lineage.code_version.as_str().into()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_naming_authority_is_the_host_turned_round() {
        assert_eq!(naming_authority("https://ice.example.org:8080/nilas"), "org.example.ice");
        assert_eq!(naming_authority("example.org"), "org.example");
    }
}
