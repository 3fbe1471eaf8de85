//! The maps of a product: which there are, what each shows, and how it is coloured.

use std::ffi::CStr;
use std::path::Path;

use ndarray::Array2;

use crate::plot::{ColourScale, Ramp};
use crate::progress::Bar;

use super::attributes::{license, status_words};
use super::cog::{Band, Caption, Mapper};
use super::names::{self, revision_name};
use super::{Product, PublishError, flags, style};

// Every day is drawn on the same ranges, so that days can be compared.
const THICKNESS_RANGE_M: f32 = 4.0;
const SPREAD_RANGE_M: f32 = 1.0;

/// Name of the map of classes.
pub(super) const CLASS: &str = "class";
/// Name of the map of probabilities.
pub(super) const PROBABILITY: &str = "prob-thin";
/// How many maps a product has.
pub(super) const COUNT: usize = 7;

/// What a map's values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quantity {
    /// Thickness, m.
    Thickness,
    /// Spread of the thickness, m.
    Spread,
    /// A probability.
    Probability,
}

impl Quantity {
    pub(super) fn unit(self) -> &'static CStr {
        match self {
            Self::Thickness | Self::Spread => c"m",
            Self::Probability => c"1",
        }
    }

    /// The colours that maps of it have, the same every day.
    pub(super) fn scale(self) -> ColourScale {
        let (ramp, highest, label) = match self {
            Self::Thickness => (Ramp::Viridis, THICKNESS_RANGE_M, "effective sea-ice thickness, m"),
            Self::Spread => (Ramp::Magma, SPREAD_RANGE_M, "spread of the thickness, m"),
            Self::Probability => (Ramp::Cividis, 1.0, "probability"),
        };
        ColourScale { ramp, highest, is_open: self != Self::Probability, label: label.into() }
    }
}

/// A map with values.
pub(super) struct Map<'a> {
    /// Its name, the last part of the file's.
    pub(super) key: &'static str,
    /// What it shows.
    pub(super) title: String,
    pub(super) quantity: Quantity,
    pub(super) bands: Vec<Band<'a>>,
}

/// The maps with values; that of the classes comes beside them.
pub(super) fn of<'a>(product: &Product<'a>) -> Result<Vec<Map<'a>>, PublishError> {
    use Quantity::{Probability, Spread, Thickness};
    let one = |key, what, quantity: Quantity, values| {
        let title = format!("effective sea-ice thickness (ice volume per cell area), {what}");
        let band = Band { description: title.clone(), unit: quantity.unit(), values };
        Map { key, title, quantity, bands: vec![band] }
    };
    let statistics = product.statistics;
    let mut maps = vec![
        one("mean", "mean of the members", Thickness, &statistics.mean_m),
        one("spread", "standard deviation between the members", Spread, &statistics.spread_m),
        one("p10", "10th percentile of the members", Thickness, product.quantile(0.1)?),
        one("p50", "median of the members", Thickness, product.quantile(0.5)?),
        one("p90", "90th percentile of the members", Thickness, product.quantile(0.9)?),
    ];
    let bands = product.thinner.iter().map(|thinner| Band {
        description: format!(
            "share of the members with an effective thickness below {:.2} m",
            thinner.threshold_m
        ),
        unit: Probability.unit(),
        values: &thinner.share,
    });
    maps.push(Map {
        key: PROBABILITY,
        title: "probability that the effective sea-ice thickness is below thresholds, a band for each".into(),
        quantity: Probability,
        bands: bands.collect(),
    });
    Ok(maps)
}

/// Writes all maps of a product with the styles and the legend that belong to them.
pub(super) fn write(
    folder: &Path,
    product: &Product<'_>,
    revision: u32,
    cell_flags: &Array2<u32>,
    mapper: &Mapper,
    bar: &Bar,
) -> Result<(), PublishError> {
    let stem = names::stem(names::MAP_GRID, product.day, revision);
    let software = format!("nilas {}", product.lineage.code_version);
    let status = status_words(product.status);
    let license = license(product.publisher);
    let about = |title: &str| Caption {
        title: format!("{title}, {} {} ({status})", product.day, revision_name(revision)),
        acquired: product.day.noon(),
        software: &software,
        license: &license,
    };
    for map in of(product)? {
        let path = folder.join(format!("{stem}_{}.tif", map.key));
        mapper.write(&path, &map.bands, &about(&map.title))?;
        style::write(&path.with_extension("qml"), &map)?;
        bar.step();
    }
    let path = folder.join(format!("{stem}_{CLASS}.tif"));
    mapper.write_classes(&path, &flags::classes(cell_flags), &about("what is known of the cells"))?;
    style::write_classes(&path.with_extension("qml"))?;
    style::write_legend(&folder.join(format!("{stem}_legend.png")))?;
    bar.step();
    Ok(())
}
