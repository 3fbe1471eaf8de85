//! Names of folders and files under the product root.

use std::path::{Path, PathBuf};

use crate::time::ProductDay;

/// The manifest's file name in every revision's folder.
pub const MANIFEST: &str = "manifest.json";
/// The file in the folder of a revision that was taken back.
pub const WITHDRAWN: &str = "withdrawn.json";
/// The file in the product root that points at the newest product.
pub const LATEST: &str = "latest.json";
/// Name of catalogs: in the product root, and in the folder of each year.
pub(super) const CATALOG: &str = "catalog.json";
/// The animation in the product root.
pub(super) const ANIMATION: &str = "animation.webp";
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

/// Whether a path under the product root, with slashes, lies in the folder of a revision and never changes there: the note that it
/// was taken back does.
fn is_in_revision(path: &str) -> bool {
    let mut parts = path.trim_start_matches('/').split('/');
    let day: String = parts.by_ref().take(3).collect();
    let revision = parts.next().and_then(revision_number);
    ProductDay::from_compact(&day).is_ok()
        && revision.is_some()
        && parts.next().is_some_and(|name| name != WITHDRAWN)
}

/// For how long readers may keep the file at a path under the product root, as HTTP says it: what lies in a revision for ever, everything
/// else is asked for again, and not sent again where it is the same.
#[must_use]
pub fn cache_control(path: &str) -> &'static str {
    if is_in_revision(path) { "public, max-age=31536000, immutable" } else { "no-cache" }
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

/// The folder of a revision under the product root, whether it is there or not.
#[must_use]
pub fn revision_folder(root: &Path, day: ProductDay, revision: u32) -> PathBuf {
    root.join(day_folder(day)).join(revision_name(revision))
}

/// The folder in the product root that holds what is not published: locks and what is being written.
#[must_use]
pub fn private_folder(root: &Path) -> PathBuf {
    root.join(".nilas")
}

/// The folder in it of what is being written. Whoever publishes next clears it.
#[must_use]
pub fn staging_folder(root: &Path) -> PathBuf {
    private_folder(root).join("staging")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_in_a_revision_is_told_from_what_leads_to_it() {
        for path in ["/2026/03/01/r01/manifest.json", "2026/03/01/r12/nilas_sit_test_20260301_r12.nc"] {
            assert!(is_in_revision(path), "{path}");
        }
        for path in [
            "/latest.json",
            "/2026/catalog.json",
            "/2026/03/01/r01",
            "/2026/03/01/r01/withdrawn.json",
            "/2026/03/01/x/y",
        ] {
            assert!(!is_in_revision(path), "{path}");
        }
    }

    #[test]
    fn the_quicklook_is_known_by_its_name() {
        assert!(is_quicklook(Path::new("a/nilas_sit_epsg3413-3km_20260301_r01.png")));
        for name in [
            "nilas_sit_epsg3413-3km_20260301_r01_legend.png",
            "nilas_sit_epsg3413-3km_20260301_r01.tif",
            "x.png",
        ] {
            assert!(!is_quicklook(Path::new(name)), "{name}");
        }
    }
}
