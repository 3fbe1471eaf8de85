//! The catalogs in the product root, written from what lies there.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::sys;
use crate::time::ProductDay;

use super::super::attributes::status_words;
use super::super::latest::{revisions, years};
use super::super::manifest::manifest_among_others;
use super::super::names::{self, revision_name, staging_folder};
use super::super::withdrawal::{is_withdrawn, withdrawal_among_others};
use super::super::{Manifest, PublishError, remove_file};
use super::{JSON, VERSION, item, link};

/// How much of the catalogs is written anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Extent {
    /// The year of a day in which something has changed.
    YearOf(ProductDay),
    /// Everything.
    All,
}

/// A revision with an item, as the catalog of its year names it.
struct Entry {
    day: ProductDay,
    manifest: Manifest,
    /// The item, under the product root.
    path: PathBuf,
}

/// Writes the catalogs of a product root, from the leaves to `catalog.json`, so that what is named is there. Revisions that were taken
/// back are told, not linked.
pub(in super::super) fn refresh(root: &Path, extent: Extent) -> Result<(), PublishError> {
    let failed = |source| PublishError::File { path: root.to_owned(), source };
    let all = revisions(root).map_err(failed)?;
    let mut years = years(root).map_err(failed)?;
    years.sort();
    for year in &years {
        let concerned = match extent {
            Extent::YearOf(day) => year_of(day) == *year,
            Extent::All => true,
        };
        if concerned || !root.join(year).join(names::CATALOG).is_file() {
            let of_year: Vec<_> = all.iter().filter(|(day, ..)| year_of(*day) == *year).collect();
            write_year(root, year, &of_year)?;
        }
    }
    // A year that a killed publication has begun has none yet.
    years.retain(|year| root.join(year).join(names::CATALOG).is_file());
    match all.iter().find_map(|(day, _, folder)| readable(root, &entry(root, *day, folder)?)) {
        Some(newest) => {
            let stands = |(day, _, folder): &&(ProductDay, u32, PathBuf)| entry(root, *day, folder).is_some();
            let first = all.iter().rev().find(stands).map(|(day, ..)| *day);
            write(root, &root.join(names::COLLECTION), &collection(&newest, &years, first))?;
            write(root, &root.join(names::CATALOG), &catalog(&newest))
        }
        None => {
            [names::COLLECTION, names::CATALOG].into_iter().try_for_each(|name| remove_file(&root.join(name)))
        }
    }
}

fn year_of(day: ProductDay) -> String {
    day.date().format("%Y").to_string()
}

/// A revision that stands and has an item; those of versions before there were items have none.
fn entry(root: &Path, day: ProductDay, folder: &Path) -> Option<Entry> {
    if is_withdrawn(folder) {
        return None;
    }
    let manifest = manifest_among_others(folder)?;
    let item = folder.join(format!("{}.json", names::stem(&manifest.grid, day, manifest.revision)));
    let path = item.strip_prefix(root).ok()?.to_owned();
    item.is_file().then_some(Entry { day, manifest, path })
}

/// The item of an entry; one that was damaged keeps no other from being named.
fn readable(root: &Path, entry: &Entry) -> Option<Value> {
    item::read(&root.join(&entry.path))
        .inspect_err(|error| tracing::warn!(%error, "an item is passed over in the collection"))
        .ok()
}

/// The catalog of a year; a year that has nothing any more goes.
fn write_year(
    root: &Path,
    year: &str,
    revisions: &[&(ProductDay, u32, PathBuf)],
) -> Result<(), PublishError> {
    let folder = root.join(year);
    if revisions.is_empty() {
        remove_file(&folder.join(names::CATALOG))?;
        // Where something else lies in it, it stays.
        let _ = fs::remove_dir(&folder);
        return Ok(());
    }
    let (mut links, mut withdrawn) = (Vec::new(), Vec::new());
    for (day, revision, folder) in revisions {
        if let Some(entry) = entry(root, *day, folder) {
            links.push(item_link(&entry, year));
        } else if let Some(note) = withdrawal_among_others(folder) {
            withdrawn.push(json!({
                "day": day, "revision": revision, "withdrawn_at": note.withdrawn_at, "reason": note.reason,
            }));
        }
    }
    let above = [link("root", "../catalog.json", JSON), link("parent", "../collection.json", JSON)];
    let catalog = json!({
        "type": "Catalog",
        "stac_version": VERSION,
        "id": format!("nilas-{year}"),
        "title": year,
        "description": format!("Products of {year}, the newest day first, of each day the newest revision first."),
        "nilas:withdrawn": withdrawn,
        "links": above.into_iter().chain(links).collect::<Vec<_>>(),
    });
    write(root, &folder.join(names::CATALOG), &catalog)
}

fn item_link(entry: &Entry, year: &str) -> Value {
    let Entry { day, manifest, path } = entry;
    let path = path.strip_prefix(year).unwrap_or(path);
    let status = status_words(manifest.status);
    let title = format!("{day}, revision {}, {status}", manifest.revision);
    let mut link = item::link_to(&format!("./{}", path.display()), &title);
    if let Some(link) = link.as_object_mut() {
        link.insert("datetime".to_owned(), json!(format!("{day}T12:00:00Z")));
        link.insert("version".to_owned(), json!(revision_name(manifest.revision)));
        link.insert("nilas:revision".to_owned(), json!(manifest.revision));
        link.insert("nilas:status".to_owned(), json!(status));
    }
    link
}

const TITLE: &str = "Arctic sea-ice thickness at 3 km, daily ensembles by Nilas";

fn collection(newest: &Value, years: &[String], first: Option<ProductDay>) -> Value {
    let properties = &newest["properties"];
    let start = first.map(|day| format!("{day}T00:00:00Z"));
    let [west, south, east, north] = [0, 1, 2, 3].map(|side| &newest["bbox"][side]);
    let children = years.iter().rev().map(|year| {
        let mut link = link("child", &format!("./{year}/{}", names::CATALOG), JSON);
        link["title"] = json!(year);
        link
    });
    let above = ["root", "parent"].map(|relation| link(relation, "./catalog.json", JSON));
    json!({
        "type": "Collection",
        "stac_version": VERSION,
        "id": newest["collection"],
        "title": TITLE,
        "description": properties["description"],
        "keywords": properties["keywords"],
        "license": properties["license"],
        "providers": properties["providers"],
        "extent": {
            "spatial": { "bbox": [[west, south, east, north]] },
            "temporal": { "interval": [[start, properties["end_datetime"]]] },
        },
        "summaries": { "nilas:status": ["provisional", "final"] },
        "links": above.into_iter().chain(children).collect::<Vec<_>>(),
    })
}

fn catalog(newest: &Value) -> Value {
    let mut child = link("child", &format!("./{}", names::COLLECTION), JSON);
    child["title"] = json!(TITLE);
    json!({
        "type": "Catalog",
        "stac_version": VERSION,
        "id": "nilas",
        "title": TITLE,
        "description": newest["properties"]["description"],
        "links": [link("root", "./catalog.json", JSON), child],
    })
}

/// Replaces a file as a whole, where something has changed.
fn write(root: &Path, path: &Path, content: &Value) -> Result<(), PublishError> {
    let failed = |source| PublishError::File { path: path.to_owned(), source };
    let text = serde_json::to_vec_pretty(content).map_err(|error| failed(error.into()))?;
    if fs::read(path).is_ok_and(|there| there == text) {
        return Ok(());
    }
    sys::replace_file_through(&staging_folder(root), path, &text).map_err(failed)
}
