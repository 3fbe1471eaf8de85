//! The STAC item of a revision: where and when it is, and what lies in its folder.

use std::fs;
use std::path::Path;

use serde_json::{Map as Object, Value, json};

use crate::grid::GridSpec;

use super::super::attributes::{self, stamp, status_words};
use super::super::cog::{EPSG, geo_transform};
use super::super::flags::{CLASSES, OUTSIDE};
use super::super::maps::{self, Map, Quantity};
use super::super::names::{self, MANIFEST, revision_name};
use super::super::{FileRecord, Product, PublishError, RegionalFigures};
use super::footprint::{Footprint, rounded};
use super::{EXTENSIONS, GEOJSON, JSON, VERSION, link};

const COG: &str = "image/tiff; application=geotiff; profile=cloud-optimized";

/// Writes the item of a revision, which describes `files` of its folder; `map_grid` is the grid of the maps, `wkt2` the projection of
/// the product grid.
pub(in super::super) fn write(
    path: &Path,
    product: &Product<'_>,
    revision: u32,
    (map_grid, wkt2): (&GridSpec, &str),
    (files, seas): (&[FileRecord], &[RegionalFigures]),
) -> Result<(), PublishError> {
    let footprint = Footprint::of(&product.grid.spec)?;
    let assets = Assets { product, revision, map_grid, wkt2, files };
    let item = json!({
        "type": "Feature",
        "stac_version": VERSION,
        "stac_extensions": EXTENSIONS,
        "id": names::stem(&product.grid.spec.name, product.day, revision),
        "collection": names::collection(&product.grid.spec.name),
        "geometry": footprint.geometry(),
        "bbox": footprint.bbox.map(rounded),
        "properties": properties(product, revision, seas),
        "links": [
            link("root", "../../../../catalog.json", JSON),
            link("collection", "../../../../collection.json", JSON),
            link("parent", "../../../catalog.json", JSON),
        ],
        "assets": assets.all()?,
    });
    let failed = |source| PublishError::File { path: path.to_owned(), source };
    let text = serde_json::to_vec_pretty(&item).map_err(|error| failed(error.into()))?;
    fs::write(path, text).map_err(failed)
}

fn properties(product: &Product<'_>, revision: u32, seas: &[RegionalFigures]) -> Value {
    let (lineage, day) = (product.lineage, product.day);
    let place = |rank: usize| seas.iter().find(|sea| sea.thickness_rank == Some(rank)).map(|sea| &sea.id);
    // Seas of the same thickness share a rank, and the ranks behind it are left out.
    let last = seas.iter().filter_map(|sea| sea.thickness_rank).max();
    let inputs: Vec<_> = lineage
        .inputs
        .iter()
        .map(|input| json!({ "role": input.role, "name": input.name, "sha256": input.sha256, "age_days": input.age_days }))
        .collect();
    let mut properties = json!({
        "title": attributes::title(product),
        "description": attributes::SUMMARY,
        "datetime": format!("{day}T12:00:00Z"),
        "start_datetime": format!("{day}T00:00:00Z"),
        "end_datetime": format!("{}T00:00:00Z", day.plus_days(1)),
        "created": stamp(product.created),
        "updated": stamp(product.created),
        "license": license(&product.publisher.license),
        "providers": providers(product),
        "keywords": ["sea ice", "sea ice thickness", "Arctic", "ensemble"],
        "version": revision_name(revision),
        "proj:code": format!("EPSG:{EPSG}"),
        "processing:level": "L4",
        "processing:software": { "nilas": lineage.code_version },
        "processing:lineage": format!(
            "{} members drawn by checkpoint {} with {} in {} steps, seed {}",
            product.members.len(), lineage.checkpoint, lineage.sampler.name(), lineage.steps, lineage.seed
        ),
        "nilas:status": status_words(product.status),
        "nilas:revision": revision,
        "nilas:members": product.members.len(),
        "nilas:inputs": inputs,
        "nilas:regions": seas,
    });
    let mut add = |key: &str, value: Option<Value>| {
        if let (Some(object), Some(value)) = (properties.as_object_mut(), value) {
            object.insert(key.to_owned(), value);
        }
    };
    add("nilas:degradation", lineage.degradation.as_ref().map(|text| json!(text)));
    add("nilas:regions_source", product.regions.map(|regions| json!(regions.source)));
    add("nilas:thickest_region", place(1).map(|id| json!(id)));
    add("nilas:thinnest_region", last.and_then(place).map(|id| json!(id)));
    properties
}

/// A licence as STAC names it: by its SPDX identifier, or `other` where the publisher's words are none; the NetCDF file has them.
fn license(words: &str) -> &str {
    let is_sign = |sign: char| sign.is_ascii_alphanumeric() || "-_.+".contains(sign);
    if !words.is_empty() && words.chars().all(is_sign) { words } else { "other" }
}

/// Whose work is in a product.
fn providers(product: &Product<'_>) -> Value {
    let publisher = product.publisher;
    json!([
        { "name": publisher.institution, "roles": ["processor", "host"], "url": publisher.url },
        {
            "name": "EUMETSAT OSI SAF",
            "description": "sea-ice concentration and drift, CC BY 4.0",
            "roles": ["producer"],
            "url": "https://osi-saf.eumetsat.int",
        },
        {
            "name": "Alfred Wegener Institute and ESA",
            "description": "merged sea-ice thickness; cite Ricker et al. 2017, https://doi.org/10.5194/tc-11-1607-2017",
            "roles": ["producer"],
            "url": "https://www.meereisportal.de",
        },
    ])
}

/// What lies in the folder, file by file.
struct Assets<'a> {
    product: &'a Product<'a>,
    revision: u32,
    map_grid: &'a GridSpec,
    /// The projection of the product grid.
    wkt2: &'a str,
    files: &'a [FileRecord],
}

impl Assets<'_> {
    fn all(&self) -> Result<Value, PublishError> {
        let mut assets = Object::new();
        let mut add = |key: &str, name: &str, about: Value| {
            if let Some(asset) = self.asset(name, about) {
                assets.insert(key.to_owned(), asset);
            }
        };
        let stem = names::stem(&self.product.grid.spec.name, self.product.day, self.revision);
        add("netcdf", &format!("{stem}.nc"), self.netcdf());
        let map_stem = names::stem(names::MAP_GRID, self.product.day, self.revision);
        for map in maps::of(self.product)? {
            add(map.key, &format!("{map_stem}_{}.tif", map.key), self.map(&map));
            let about = json!({ "title": format!("QGIS style: {}", map.title), "type": "text/xml", "roles": ["metadata"] });
            add(&format!("{}-style", map.key), &format!("{map_stem}_{}.qml", map.key), about);
        }
        add(maps::CLASS, &format!("{map_stem}_{}.tif", maps::CLASS), self.classes());
        let about = json!({ "title": "QGIS style: classes", "type": "text/xml", "roles": ["metadata"] });
        add("class-style", &format!("{map_stem}_{}.qml", maps::CLASS), about);
        let picture =
            |title: &str, roles: Value| json!({ "title": title, "type": "image/png", "roles": roles });
        add(
            "quicklook",
            &format!("{map_stem}.png"),
            picture("mean and spread as a picture", json!(["overview", "thumbnail"])),
        );
        add("legend", &format!("{map_stem}_legend.png"), picture("colours of the maps", json!(["metadata"])));
        let about = json!({ "title": "area and volume of the ice in each sea", "type": "text/csv", "roles": ["data"] });
        add("regions", &format!("{stem}_regions.csv"), about);
        // The manifest has the item's digest, so the item cannot have the manifest's.
        let manifest = json!({ "href": format!("./{MANIFEST}"), "title": "digests of all files and where the product comes from", "type": JSON, "roles": ["metadata"] });
        assets.insert("manifest".to_owned(), manifest);
        Ok(Value::Object(assets))
    }

    /// A file that is there, with its size and its SHA-256 as a multihash (0x12, 32 bytes).
    fn asset(&self, name: &str, mut about: Value) -> Option<Value> {
        let record = self.files.iter().find(|record| record.name == name)?;
        let object = about.as_object_mut()?;
        object.insert("href".to_owned(), json!(format!("./{name}")));
        object.insert("file:size".to_owned(), json!(record.bytes));
        object.insert("file:checksum".to_owned(), json!(format!("1220{}", record.sha256)));
        Some(about)
    }

    fn netcdf(&self) -> Value {
        let grid = &self.product.grid.spec;
        json!({
            "title": "members, mean, spread, quantiles, probabilities, flags and inputs (CF-1.11)",
            "type": "application/netcdf",
            "roles": ["data"],
            "proj:code": null,
            "proj:wkt2": self.wkt2,
            "proj:shape": [grid.rows, grid.columns],
            "proj:transform": transform(grid),
        })
    }

    fn map(&self, map: &Map<'_>) -> Value {
        let thresholds_m = self.product.thinner.iter().map(|thinner| thinner.threshold_m);
        let names = match map.quantity {
            Quantity::Probability => thresholds_m
                .clone()
                .map(|threshold_m| json!({ "name": format!("thinner_than_{threshold_m:.2}_m"), "nilas:threshold_m": threshold_m }))
                .collect(),
            _ => vec![json!({ "name": map.key })],
        };
        let unit = map.quantity.unit().to_str().unwrap_or_default();
        let (mut bands, mut rasters) = (Vec::new(), Vec::new());
        for (mut about, band) in names.into_iter().zip(&map.bands) {
            about["description"] = json!(band.description);
            about["unit"] = json!(unit);
            bands.push(Self::band(about, ("float32", &json!("nan"))));
            rasters.push(self.raster_band(json!({ "unit": unit }), ("float32", &json!("nan"))));
        }
        self.raster(&map.title, &bands, &rasters)
    }

    fn classes(&self) -> Value {
        let hex = |[red, green, blue]: [u8; 3]| format!("{red:02X}{green:02X}{blue:02X}");
        let classes: Vec<_> = CLASSES
            .iter()
            .map(|class| {
                json!({ "value": class.value, "name": class.name, "description": class.description, "color_hint": hex(class.colour) })
            })
            .collect();
        let stored = ("uint8", &json!(OUTSIDE));
        let title = "what is known of each cell: the most important of its flags";
        let band = Self::band(json!({ "name": maps::CLASS }), stored);
        let mut asset = self.raster(title, &[band], &[self.raster_band(json!({}), stored)]);
        asset["classification:classes"] = json!(classes);
        asset
    }

    /// How the values of a band are stored, as the core has it since 1.1.
    fn band(mut about: Value, (data_type, nodata): (&str, &Value)) -> Value {
        about["data_type"] = json!(data_type);
        about["nodata"] = nodata.clone();
        about
    }

    /// The same as the raster extension has it, for programs that do not know the core's words yet.
    fn raster_band(&self, about: Value, stored: (&str, &Value)) -> Value {
        let mut about = Self::band(about, stored);
        about["sampling"] = json!("area");
        about["spatial_resolution"] = json!(self.map_grid.cell_size_m);
        about
    }

    fn raster(&self, title: &str, bands: &[Value], raster_bands: &[Value]) -> Value {
        json!({
            "title": title,
            "type": COG,
            "roles": ["data"],
            "proj:shape": [self.map_grid.rows, self.map_grid.columns],
            "proj:transform": transform(self.map_grid),
            "bands": bands,
            "raster:bands": raster_bands,
        })
    }
}

/// Row-major, as the projection extension has it: from column and row to x and y.
fn transform(grid: &GridSpec) -> [f64; 6] {
    let [left, width, _, top, _, height] = geo_transform(grid);
    [width, 0.0, left, 0.0, height, top]
}

/// What the item at `path` says.
pub(super) fn read(path: &Path) -> Result<Value, PublishError> {
    let failed = |source| PublishError::File { path: path.to_owned(), source };
    serde_json::from_slice(&fs::read(path).map_err(failed)?).map_err(|error| failed(error.into()))
}

/// The link by which a catalog names an item.
pub(super) fn link_to(href: &str, title: &str) -> Value {
    json!({ "rel": "item", "href": href, "type": GEOJSON, "title": title })
}
