//! The quicklook: what a product looks like, in one picture.

use std::path::Path;

use ndarray::Array2;

use crate::plot::{ColourScale, Ground, Panel, Quicklook, Ramp};
use crate::prepare::ICE_EDGE;

use super::attributes::status_words;
use super::maps::THICKNESS_RANGE_M;
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
        stamp: (product.status == Status::Provisional).then(|| "PROVISIONAL".to_owned()),
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
            scale: ColourScale {
                ramp: Ramp::Viridis,
                highest: THICKNESS_RANGE_M,
                label: "mean thickness, m".into(),
            },
        },
        Panel {
            title: "Spread (standard deviation)".into(),
            values: &statistics.spread_m,
            scale: ColourScale {
                ramp: Ramp::Magma,
                highest: round_limit(&statistics.spread_m),
                label: "spread, m".into(),
            },
        },
    ]
}

/// A round number that 99 % of the values stay below.
fn round_limit(values: &Array2<f32>) -> f32 {
    let mut valid: Vec<f32> = values.iter().copied().filter(|value| value.is_finite()).collect();
    valid.sort_by(f32::total_cmp);
    let high = valid.get(valid.len() * 99 / 100).copied().unwrap_or(0.0);
    [0.05, 0.1, 0.2, 0.4, 0.5, 0.8, 1.0, 1.5, 2.0, 3.0]
        .into_iter()
        .find(|&limit| high <= limit)
        .unwrap_or(5.0)
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
            "Ice area {:.2} million km²  ·  mean thickness {:.2} m  ·  mean spread {:.2} m  ·  age of the inputs: {}",
            figures.ice_area_km2 / 1e6,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_the_spread_is_round_and_above_almost_all_values() {
        assert!((round_limit(&Array2::from_elem((3, 3), 0.31)) - 0.4).abs() < 1e-6);
        assert!((round_limit(&Array2::from_elem((3, 3), f32::NAN)) - 0.05).abs() < 1e-6);
    }
}
