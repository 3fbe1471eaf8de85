//! `latest.json`: which revision is the newest.

use std::cmp::Reverse;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::sys;
use crate::time::ProductDay;

use super::manifest::{Manifest, manifest_among_others};
use super::names::{LATEST, revision_number, staging_folder};
use super::withdrawal::is_withdrawn;
use super::{PublishError, Status, read_json, remove_file};

/// What `latest.json` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latest {
    /// The highest day with its highest revision.
    pub newest: Pointer,
    /// The same among final products, where there is one.
    pub newest_final: Option<Pointer>,
}

/// One published revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pointer {
    /// The day.
    pub day: ProductDay,
    /// The revision, from 1.
    pub revision: u32,
    /// How settled it is.
    pub status: Status,
    /// Its folder under the product root, such as `2026/03/01/r01`.
    pub path: String,
}

/// Looks at what is published under `root` and lets `latest.json` say so. As it follows from the folders alone, a late older
/// day never moves it back.
pub(super) fn refresh(root: &Path) -> Result<(), PublishError> {
    let path = root.join(LATEST);
    let Some(latest) = find(root).map_err(|source| PublishError::File { path: root.to_owned(), source })?
    else {
        // Nothing is published any more, or never was.
        return remove_file(&path);
    };
    let text = serde_json::to_vec_pretty(&latest)
        .map_err(|error| PublishError::File { path: path.clone(), source: error.into() })?;
    // What a killed run leaves there is removed by the next one; nobody sees it in the product root.
    let way = staging_folder(root);
    sys::replace_file_through(&way, &path, &text).map_err(|source| PublishError::File { path, source })
}

/// Sees that `latest.json` has come as far as a revision that was just published.
///
/// # Errors
/// [`PublishError::File`] where it has not: the revision was passed over, because its manifest could not be read.
pub(super) fn require(root: &Path, day: ProductDay, revision: u32) -> Result<(), PublishError> {
    let newest = read_latest(root)?.map(|latest| (latest.newest.day, latest.newest.revision));
    if newest >= Some((day, revision)) {
        return Ok(());
    }
    let source = io::Error::other("the manifest of the newest revision cannot be read");
    Err(PublishError::File { path: root.join(LATEST), source })
}

/// What `latest.json` under `root` says; `None` where there is none.
///
/// # Errors
/// [`PublishError::File`], also where the file is not what it should be.
pub fn read_latest(root: &Path) -> Result<Option<Latest>, PublishError> {
    read_json(&root.join(LATEST))
}

/// The newest revisions under `root`, found from the newest folder downwards; `None` where nothing is published.
fn find(root: &Path) -> io::Result<Option<Latest>> {
    let mut newest = None;
    for (day, revision, folder) in revisions(root)? {
        if is_withdrawn(&folder) {
            continue;
        }
        let Some(Manifest { status, .. }) = manifest_among_others(&folder) else { continue };
        let path = folder.strip_prefix(root).unwrap_or(&folder).to_string_lossy().into_owned();
        let pointer = Pointer { day, revision, status, path };
        let first = newest.get_or_insert_with(|| pointer.clone());
        if status == Status::Final {
            return Ok(Some(Latest { newest: first.clone(), newest_final: Some(pointer) }));
        }
    }
    Ok(newest.map(|newest| Latest { newest, newest_final: None }))
}

/// Every revision's folder under `root`, the newest day and revision first.
pub(super) fn revisions(root: &Path) -> io::Result<Vec<(ProductDay, u32, PathBuf)>> {
    let mut found = Vec::new();
    for (year, year_folder) in folders(root)? {
        for (month, month_folder) in folders(&year_folder)? {
            for (date, day_folder) in folders(&month_folder)? {
                let Ok(day) = ProductDay::from_compact(&format!("{year}{month}{date}")) else { continue };
                found.extend(revisions_of(day, &day_folder)?);
            }
        }
    }
    found.sort_by_key(|(day, revision, _)| Reverse((*day, *revision)));
    Ok(found)
}

/// The revisions under `root` that stand, the newest day and revision first, each with its manifest, which is read when it is come to.
pub(super) fn standing(root: &Path) -> io::Result<impl Iterator<Item = (ProductDay, PathBuf, Manifest)>> {
    let with_manifest = |(day, _, folder): (ProductDay, u32, PathBuf)| {
        let manifest = if is_withdrawn(&folder) { None } else { manifest_among_others(&folder) };
        Some((day, folder, manifest?))
    };
    Ok(revisions(root)?.into_iter().filter_map(with_manifest))
}

/// The years that have a folder under `root`, as its name.
pub(super) fn years(root: &Path) -> io::Result<Vec<String>> {
    let names = folders(root)?.into_iter().map(|(name, _)| name);
    Ok(names.filter(|name| name.len() == 4 && name.bytes().all(|digit| digit.is_ascii_digit())).collect())
}

/// Whether there is a folder of any year under `root`. A mount point whose disk is away has none; one that cannot be looked at may.
#[must_use]
pub fn has_years(root: &Path) -> bool {
    match years(root) {
        Ok(years) => !years.is_empty(),
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    }
}

/// Every revision in the folder of a day.
pub(super) fn revisions_of(
    day: ProductDay,
    day_folder: &Path,
) -> io::Result<Vec<(ProductDay, u32, PathBuf)>> {
    let revisions = folders(day_folder)?.into_iter();
    Ok(revisions.filter_map(|(name, folder)| Some((day, revision_number(&name)?, folder))).collect())
}

/// The folders in a folder whose names begin with a digit or are revisions, with their names.
fn folders(folder: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let wanted =
            name.starts_with(|first: char| first.is_ascii_digit()) || revision_number(&name).is_some();
        if wanted && entry.file_type()?.is_dir() {
            found.push((name, entry.path()));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use crate::progress::Bar;
    use crate::publish::synthetic::Synthetic;
    use crate::publish::{MANIFEST, highest_revision, publish};

    use super::*;

    #[test]
    fn latest_follows_the_highest_day_and_its_highest_revision() {
        use Status::{Final, Provisional};
        // What is published, one after the other, and what latest.json says after each: newest, newest final.
        let steps = [
            ("2026-03-02", Provisional, "2026/03/02/r01", None),
            ("2026-03-01", Provisional, "2026/03/02/r01", None),
            ("2026-03-01", Final, "2026/03/02/r01", Some("2026/03/01/r02")),
            ("2026-03-02", Provisional, "2026/03/02/r02", Some("2026/03/01/r02")),
            ("2026-03-02", Final, "2026/03/02/r03", Some("2026/03/02/r03")),
            ("2025-12-31", Final, "2026/03/02/r03", Some("2026/03/02/r03")),
            ("2026-03-10", Provisional, "2026/03/10/r01", Some("2026/03/02/r03")),
        ];
        let root = tempfile::tempdir().unwrap();
        let synthetic = Synthetic::new(12);
        for (day, status, newest, newest_final) in steps {
            let mut product = synthetic.product();
            (product.day, product.status) = (day.parse().unwrap(), status);
            let revision = highest_revision(root.path(), product.day).unwrap() + 1;
            publish(root.path(), &product, revision, &Bar::hidden()).unwrap();
            let text = fs::read_to_string(root.path().join(LATEST)).unwrap();
            let latest: Latest = serde_json::from_str(&text).unwrap();
            assert_eq!(latest.newest.path, newest, "{day} {status:?}");
            assert_eq!(
                latest.newest_final.map(|pointer| pointer.path).as_deref(),
                newest_final,
                "{day} {status:?}"
            );
        }
    }

    #[test]
    fn a_published_revision_that_is_passed_over_is_missed() {
        let root = tempfile::tempdir().unwrap();
        let synthetic = Synthetic::new(12);
        let product = synthetic.product();
        let published = publish(root.path(), &product, 1, &Bar::hidden()).unwrap();
        for (days, revision, is_reached) in [(0, 1, true), (0, 2, false), (-1, 2, true), (1, 1, false)] {
            let required = require(root.path(), product.day.plus_days(days), revision);
            assert_eq!(required.is_ok(), is_reached, "{days} {revision}");
        }
        fs::remove_file(published.folder.join(MANIFEST)).unwrap();
        refresh(root.path()).unwrap();
        let message = require(root.path(), product.day, 1).unwrap_err().to_string();
        assert!(
            message.contains("latest.json: the manifest of the newest revision cannot be read;"),
            "{message}"
        );
    }
}
