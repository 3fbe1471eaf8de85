//! Names of folders and files under the product root.

use std::path::{Path, PathBuf};

use crate::time::ProductDay;

/// The manifest's file name in every revision's folder.
pub(super) const MANIFEST: &str = "manifest.json";
/// The file in the folder of a revision that was taken back.
pub(super) const WITHDRAWN: &str = "withdrawn.json";
/// The file in the product root that points at the newest product.
pub(super) const LATEST: &str = "latest.json";
/// Name of catalogs: in the product root, and in the folder of each year.
pub(super) const CATALOG: &str = "catalog.json";
/// The STAC collection in the product root.
pub(super) const COLLECTION: &str = "collection.json";
/// The grid of the maps, as it stands in their names.
pub(super) const MAP_GRID: &str = "epsg3413-3km";

/// What all files of a revision begin with: `nilas_sit_<grid>_<YYYYMMDD>_rNN`.
pub(super) fn stem(grid: &str, day: ProductDay, revision: u32) -> String {
    format!("nilas_sit_{grid}_{}_{}", day.compact(), revision_name(revision))
}

/// The STAC collection of the products on a grid.
pub(super) fn collection(grid: &str) -> String {
    format!("nilas-sea-ice-thickness-{grid}")
}

/// Whether a file is the quicklook of a revision: `nilas_sit_<grid>_<YYYYMMDD>_rNN.png`.
#[must_use]
pub fn is_quicklook(path: &Path) -> bool {
    let ends_with_revision =
        |stem: &str| stem.rsplit('_').next().is_some_and(|last| revision_number(last).is_some());
    path.extension().is_some_and(|ending| ending == "png")
        && path.file_stem().and_then(|stem| stem.to_str()).is_some_and(ends_with_revision)
}

/// A revision as folders and files spell it: `r01`.
pub(super) fn revision_name(revision: u32) -> String {
    format!("r{revision:02}")
}

/// The number in a revision's folder name.
pub(super) fn revision_number(name: &str) -> Option<u32> {
    name.strip_prefix('r').filter(|digits| digits.len() >= 2)?.parse().ok()
}

/// Folder of a day under the product root: `2026/03/01`.
pub(super) fn day_folder(day: ProductDay) -> PathBuf {
    PathBuf::from(day.date().format("%Y/%m/%d").to_string())
}

/// The folder in the product root that holds what is not published: the lock and what is being written.
pub(super) fn private_folder(root: &Path) -> PathBuf {
    root.join(".nilas")
}
