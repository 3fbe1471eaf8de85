//! STAC: what machines read to find products. An item lies in each revision's folder; catalogs in the product root lead to the items:
//! `catalog.json`, `collection.json`, and one `catalog.json` in the folder of each year.
//!
//! Written after STAC 1.1.0 (<https://github.com/radiantearth/stac-spec>) and its extensions named in [`EXTENSIONS`].

mod catalog;
mod footprint;
mod item;
#[cfg(test)]
mod tests;

use serde_json::{Value, json};

pub(super) use catalog::{Extent, refresh};
pub(super) use item::write;

const VERSION: &str = "1.1.0";

/// The extensions that items use.
const EXTENSIONS: [&str; 6] = [
    "https://stac-extensions.github.io/projection/v2.0.0/schema.json",
    "https://stac-extensions.github.io/raster/v1.1.0/schema.json",
    "https://stac-extensions.github.io/file/v2.1.0/schema.json",
    "https://stac-extensions.github.io/version/v1.2.0/schema.json",
    "https://stac-extensions.github.io/classification/v2.0.0/schema.json",
    "https://stac-extensions.github.io/processing/v1.1.0/schema.json",
];

/// Media type of catalogs and collections.
const JSON: &str = "application/json";
/// Media type of items.
const GEOJSON: &str = "application/geo+json";

fn link(relation: &str, href: &str, media_type: &str) -> Value {
    json!({ "rel": relation, "href": href, "type": media_type })
}
