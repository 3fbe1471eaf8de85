//! The quicklook: what a product looks like, in one picture.

use std::path::Path;

use crate::plot::{Ground, Panel, Quicklook};
use crate::prepare::ICE_EDGE;

use super::attributes::status_words;
use super::maps::Quantity;
use super::names::revision_name;
use super::{Figures, Product, PublishError, Status};

/// Draws mean and spread side by side.
pub(super) fn write(
    path: &Path,
    product: &Product<'_>,
    revision: u32,
    figures: &Figures,
) -> Result<(), PublishError> {
    let revision = revision_name(revision);
    let status = status_words(product.status);
    let quicklook = Quicklook {
        ground: Ground {
            grid: &product.grid.spec,
            land: &product.grid.land,
            concentration: &product.prepared.concentration,
            ice_edge: ICE_EDGE,
        },
        heading: format!("Arctic sea-ice thickness, {}", product.day.date().format("%-d %B %Y")),
        subheading: format!(
            "{revision}, {status}  ·  effective thickness: ice volume per cell area  ·  a 7-day thickness, not a nowcast"
        ),
        stamp: match (product.status, &product.lineage.degradation) {
            (Status::Provisional, _) => Some("PROVISIONAL".to_owned()),
            (Status::Final, Some(_)) => Some("DEGRADED".to_owned()),
            (Status::Final, None) => None,
        },
        notice: product.lineage.degradation.as_ref().map(|why| format!("Degraded: this product was {why}")),
        panels: panels(product),
        footer: footer(product, figures),
    };
    Ok(crate::plot::draw_quicklook(path, &quicklook)?)
}

fn panels<'a>(product: &Product<'a>) -> [Panel<'a>; 2] {
    let statistics = product.statistics;
    [
        Panel {
            title: format!("Mean of {} members", product.members.len()),
            values: &statistics.mean_m,
            scale: Quantity::Thickness.scale(),
        },
        Panel {
            title: "Spread (standard deviation)".into(),
            values: &statistics.spread_m,
            scale: Quantity::Spread.scale(),
        },
    ]
}

fn footer(product: &Product<'_>, figures: &Figures) -> [String; 2] {
    let ages: Vec<String> = product
        .lineage
        .inputs
        .iter()
        .map(|input| format!("{} {:.1} d", input.role, input.age_days))
        .collect();
    [
        format!(
            "Ice with an estimate {:.2} million km², without {:.2}  ·  mean thickness {:.2} m  ·  mean spread {:.2} m  ·  age of the inputs: {}",
            figures.ice_area_km2 / 1e6,
            figures.ice_area_without_estimate_km2 / 1e6,
            figures.mean_thickness_m,
            figures.mean_spread_m,
            ages.join(", ")
        ),
        format!(
            "nilas {}, {}  ·  inputs: EUMETSAT OSI SAF (CC BY 4.0), ESA/AWI merged thickness (Ricker et al. 2017)",
            product.lineage.code_version, product.grid.spec.name
        ),
    ]
}
