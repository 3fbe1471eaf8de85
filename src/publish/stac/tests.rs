//! What is written is what the published schemas of STAC and its extensions ask for, and leads to what is there.

use std::fs;
use std::path::{Path, PathBuf};

use jsonschema::{Retrieve, Uri};

use crate::progress::Bar;
use crate::publish::flags::CLASSES;
use crate::publish::synthetic::Synthetic;
use crate::publish::{Product, RegionalFigures, WithdrawalNote, publish, remove, withdraw};
use crate::time::ProductDay;

use super::*;

/// Gives the schemas that lie in the repository under the address that they are published at.
struct Shelf;

impl Retrieve for Shelf {
    fn retrieve(&self, uri: &Uri<String>) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
        schema(uri.as_str()).map_err(Into::into)
    }
}

fn schema(address: &str) -> Result<Value, String> {
    let below = address.trim_end_matches('#').split_once("://").ok_or(address)?.1;
    let path = Path::new("tests/data/stac-schemas").join(below);
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    serde_json::from_str(&text).map_err(|error| error.to_string())
}

fn read(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// What schemas have against a file: the core's of its type, and those of the extensions that it names.
fn complaints(path: &Path) -> Vec<String> {
    let content = read(path);
    let core = match content["type"].as_str().unwrap() {
        "Feature" => "item",
        "Collection" => "collection",
        _ => "catalog",
    };
    let core = format!("https://schemas.stacspec.org/v1.1.0/{core}-spec/json-schema/{core}.json");
    let named = content["stac_extensions"].as_array().into_iter().flatten();
    let addresses = [core].into_iter().chain(named.map(|name| name.as_str().unwrap().to_owned()));
    let mut complaints = Vec::new();
    for address in addresses {
        let validator = jsonschema::options()
            .with_retriever(Shelf)
            .should_validate_formats(true)
            .build(&schema(&address).unwrap())
            .unwrap();
        complaints.extend(validator.iter_errors(&content).map(|error| format!("{address}: {error}")));
    }
    complaints
}

fn published(root: &Path, day: &str, revision: u32) -> PathBuf {
    let synthetic = Synthetic::new(40);
    let product = Product { day: day.parse().unwrap(), ..synthetic.product() };
    publish(root, &product, revision, &Bar::hidden()).unwrap().folder
}

fn links(catalog: &Value, relation: &str) -> Vec<String> {
    let links = catalog["links"].as_array().unwrap().iter();
    let of_relation = links.filter(|link| link["rel"] == relation);
    of_relation.map(|link| link["href"].as_str().unwrap().to_owned()).collect()
}

fn note() -> WithdrawalNote {
    WithdrawalNote { withdrawn_at: "2026-03-03T05:00:00Z".parse().unwrap(), reason: "wrong ice".into() }
}

#[test]
fn everything_that_is_written_is_valid() {
    let root = tempfile::tempdir().unwrap();
    let folder = published(root.path(), "2026-03-01", 1);
    published(root.path(), "2025-12-31", 1);
    for path in [
        folder.join("nilas_sit_test_20260301_r01.json"),
        root.path().join("2026/catalog.json"),
        root.path().join("2025/catalog.json"),
        root.path().join("collection.json"),
        root.path().join("catalog.json"),
    ] {
        assert_eq!(complaints(&path), [] as [&str; 0], "{}", path.display());
    }
}

#[test]
fn the_schemas_find_faults() {
    let root = tempfile::tempdir().unwrap();
    let item = published(root.path(), "2026-03-01", 1).join("nilas_sit_test_20260301_r01.json");
    let text = fs::read_to_string(&item).unwrap();
    for (right, wrong) in [
        ("\"stac_version\": \"1.1.0\"", "\"stac_version\": \"1.1\""),
        ("\"proj:shape\": [", "\"proj:shap\": ["),
        ("\"file:size\": ", "\"file:size\": -"),
        ("\"sampling\": \"area\"", "\"sampling\": \"Area\""),
        ("\"value\": 2\n", "\"value\": 2.5\n"),
        ("\"version\": \"r01\"", "\"version\": 1"),
        ("\"processing:level\": \"L4\"", "\"processing:levels\": \"L4\""),
        ("\"datetime\": \"2026-03-01T12:00:00Z\"", "\"datetime\": \"noon\""),
    ] {
        assert!(text.contains(right), "{right}");
        fs::write(&item, text.replacen(right, wrong, 1)).unwrap();
        assert!(!complaints(&item).is_empty(), "{wrong}");
    }
}

#[test]
fn an_item_describes_the_files_that_lie_beside_it() {
    let root = tempfile::tempdir().unwrap();
    let folder = published(root.path(), "2026-03-01", 1);
    let item = read(&folder.join("nilas_sit_test_20260301_r01.json"));
    let assets = item["assets"].as_object().unwrap();
    for (key, asset) in assets {
        let path = folder.join(asset["href"].as_str().unwrap());
        let bytes = fs::read(&path).unwrap();
        if key != "manifest" {
            assert_eq!(asset["file:size"], bytes.len(), "{key}");
            assert_eq!(asset["file:checksum"], format!("1220{}", crate::sys::sha256(&bytes)), "{key}");
        }
    }
    // All files but the item itself.
    assert_eq!(assets.len(), fs::read_dir(&folder).unwrap().count() - 1);
    assert_eq!(assets["prob-thin"]["bands"][0]["nilas:threshold_m"], 0.3);
    assert_eq!(assets["class"]["classification:classes"].as_array().unwrap().len(), CLASSES.len());
    let properties = &item["properties"];
    let regions = properties["nilas:regions"].as_array().unwrap();
    assert_eq!(regions.len(), 2);
    assert!(regions.iter().any(|sea| sea["id"] == properties["nilas:thickest_region"]));
    for relation in ["root", "collection", "parent"] {
        let links = links(&item, relation);
        assert!(folder.join(&links[0]).is_file(), "{relation} {links:?}");
    }
}

#[test]
fn seas_of_the_same_thickness_hide_neither_the_thickest_nor_the_thinnest() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("item.json");
    let sea = |id: &str, thickness_rank: Option<usize>| RegionalFigures {
        id: id.into(),
        title: id.into(),
        ice_cells: 1,
        ice_area_km2: 1.0,
        ice_area_without_estimate_km2: 0.0,
        ice_volume_km3: 1.0,
        ice_volume_spread_km3: 0.1,
        mean_thickness_m: thickness_rank.map(|_| 1.0),
        thickness_rank,
    };
    let seas = [sea("a", Some(2)), sea("b", Some(1)), sea("c", Some(2)), sea("d", None)];
    let synthetic = Synthetic::new(40);
    let product = synthetic.product();
    write(&path, &product, 1, (product.grid.spec.as_ref(), ""), (&[][..], &seas[..])).unwrap();
    let item = read(&path);
    assert_eq!(item["properties"]["nilas:thickest_region"], "b");
    assert_eq!(item["properties"]["nilas:thinnest_region"], "a");
}

#[test]
fn the_collection_begins_with_the_oldest_day_that_stands() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    for day in ["2026-02-27", "2026-02-28", "2026-03-01"] {
        published(root, day, 1);
    }
    let start = || read(&root.join("collection.json"))["extent"]["temporal"]["interval"][0][0].clone();
    assert_eq!(start(), "2026-02-27T00:00:00Z");
    withdraw(root, "2026-02-27".parse().unwrap(), 1, &note()).unwrap();
    assert_eq!(start(), "2026-02-28T00:00:00Z");
}

#[test]
fn the_catalog_leads_to_every_revision_that_stands_and_tells_those_that_do_not() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    for (day, revision) in [("2025-12-31", 1), ("2026-03-01", 1), ("2026-03-01", 2), ("2026-02-28", 1)] {
        published(root, day, revision);
    }
    let catalog = read(&root.join("catalog.json"));
    assert_eq!(links(&catalog, "child"), ["./collection.json"]);
    let collection = read(&root.join("collection.json"));
    assert_eq!(links(&collection, "child"), ["./2026/catalog.json", "./2025/catalog.json"]);
    let interval = &collection["extent"]["temporal"]["interval"][0];
    assert_eq!(
        (&interval[0], &interval[1]),
        (&json!("2025-12-31T00:00:00Z"), &json!("2026-03-02T00:00:00Z"))
    );
    let items = |year: &str| links(&read(&root.join(year).join("catalog.json")), "item");
    let expected = [("03/01", "0301_r02"), ("03/01", "0301_r01"), ("02/28", "0228_r01")];
    let expected = expected.map(|(day, stem)| {
        let revision = &stem[5..];
        format!("./{day}/{revision}/nilas_sit_test_2026{stem}.json")
    });
    assert_eq!(items("2026"), expected);
    assert!(items("2026").iter().all(|href| root.join("2026").join(href).is_file()));

    let day: ProductDay = "2026-03-01".parse().unwrap();
    withdraw(root, day, 2, &note()).unwrap();
    assert_eq!(items("2026"), expected[1..]);
    let told = &read(&root.join("2026/catalog.json"))["nilas:withdrawn"][0];
    assert_eq!((&told["revision"], &told["reason"]), (&json!(2), &json!("wrong ice")));
    assert_eq!(complaints(&root.join("2026/catalog.json")), [] as [&str; 0]);

    remove(root, "2025-12-31".parse().unwrap(), 1).unwrap();
    assert!(!root.join("2025").exists());
    assert_eq!(links(&read(&root.join("collection.json")), "child"), ["./2026/catalog.json"]);
}

#[test]
fn a_catalog_that_is_lost_is_written_again() {
    let root = tempfile::tempdir().unwrap();
    for day in ["2025-12-31", "2026-03-01"] {
        published(root.path(), day, 1);
    }
    let lost = root.path().join("2025/catalog.json");
    fs::remove_file(&lost).unwrap();
    published(root.path(), "2026-03-02", 1);
    assert!(lost.is_file());
    fs::write(&lost, "{}").unwrap();
    crate::publish::repair_root(root.path()).unwrap();
    assert_eq!(links(&read(&lost), "item").len(), 1);
}
