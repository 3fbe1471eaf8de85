//! The manifest: what lies in a revision's folder and where it comes from.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::fetch::is_plain_name;
use crate::progress::StageTiming;
use crate::sys;
use crate::text::excerpt;
use crate::time::ProductDay;

use super::names::{MANIFEST, WITHDRAWN};
use super::{Figures, Lineage, Product, PublishError, Status};

/// Everything that is known of a published revision, as `manifest.json` has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// SHA-256 of the manifest's own bytes with this value left empty.
    pub manifest_sha256: String,
    /// The day.
    pub day: ProductDay,
    /// The revision, from 1.
    pub revision: u32,
    /// How settled it is.
    pub status: Status,
    /// When it was made.
    pub created: DateTime<Utc>,
    /// Name of the grid.
    pub grid: String,
    /// Number of members.
    pub members: usize,
    /// Whether the NetCDF file has them.
    #[serde(default = "yes")]
    pub members_in_file: bool,
    /// The product in a few numbers.
    pub figures: Figures,
    /// Where it comes from.
    pub lineage: Lineage,
    /// How long the stages before publishing took.
    pub timings: Vec<StageTiming>,
    /// Every other file of the folder, by name.
    pub files: Vec<FileRecord>,
}

/// Products of early versions have their members and do not say so.
fn yes() -> bool {
    true
}

/// One file of a revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// Name in the revision's folder.
    pub name: String,
    /// Size, bytes.
    pub bytes: u64,
    /// SHA-256, hexadecimal.
    pub sha256: String,
}

/// A manifest cannot be relied on.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It cannot be read.
    #[error("{path}: {source}; name the folder of a published revision, such as 2026/03/01/r01")]
    File {
        /// The manifest.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is not a manifest.
    #[error("{path} is not a manifest ({source}); take the folder again from where it was published")]
    Shape {
        /// The manifest.
        path: PathBuf,
        /// The parser's words.
        source: serde_json::Error,
    },
    /// It names what could lie outside the folder.
    #[error(
        "{path} has the name \"{name}\", which is more than the name of a file in its folder; trust nothing in the folder, and take it again from where it was published"
    )]
    Name {
        /// The manifest.
        path: PathBuf,
        /// The name, plain and short.
        name: String,
    },
    /// Its bytes are not those that were written.
    #[error("{path} was changed after it was written; take the folder again from where it was published")]
    Changed {
        /// The manifest.
        path: PathBuf,
    },
}

/// Writes the manifest of `folder`: its files, and the item that was made from their records.
pub(super) fn write(
    folder: &Path,
    product: &Product<'_>,
    revision: u32,
    figures: Figures,
    (mut files, item): (Vec<FileRecord>, &Path),
) -> Result<Manifest, PublishError> {
    let failed = |source| PublishError::File { path: item.to_owned(), source };
    files.push(record(item).map_err(failed)?);
    files.sort_by(|a, b| a.name.cmp(&b.name));
    let mut manifest = Manifest {
        manifest_sha256: String::new(),
        day: product.day,
        revision,
        status: product.status,
        created: product.created,
        grid: product.grid.spec.name.clone(),
        members: product.members.len(),
        members_in_file: product.with_members,
        figures,
        lineage: product.lineage.clone(),
        timings: product.timings.to_vec(),
        files,
    };
    let path = folder.join(MANIFEST);
    let text = |manifest: &Manifest| {
        serde_json::to_string_pretty(manifest)
            .map_err(|error| PublishError::File { path: path.clone(), source: error.into() })
    };
    manifest.manifest_sha256 = sys::sha256(text(&manifest)?);
    fs::write(&path, text(&manifest)?).map_err(|source| PublishError::File { path: path.clone(), source })?;
    Ok(manifest)
}

/// Reads the manifest of a revision's folder and makes sure that no byte of it was changed, and that its names stay inside the folder.
///
/// # Errors
/// [`ManifestError`] when it is not there, is not a manifest, was changed, or has names that are no plain ones.
pub fn read_manifest(folder: &Path) -> Result<Manifest, ManifestError> {
    let path = folder.join(MANIFEST);
    let text =
        fs::read_to_string(&path).map_err(|source| ManifestError::File { path: path.clone(), source })?;
    let manifest: Manifest =
        serde_json::from_str(&text).map_err(|source| ManifestError::Shape { path: path.clone(), source })?;
    // The manifest's own digest comes first in the file, so that the first occurrence is the one to leave out.
    let without = text.replacen(&manifest.manifest_sha256, "", 1);
    if sys::sha256(without) != manifest.manifest_sha256 {
        return Err(ManifestError::Changed { path });
    }
    // Names of files begin with that of the grid. Its digest any manifest has, whoever has written it.
    let names = manifest.files.iter().map(|file| &file.name).chain([&manifest.grid]);
    if let Some(name) = names.into_iter().find(|name| !is_plain_name(name)) {
        return Err(ManifestError::Name { path, name: excerpt(name) });
    }
    Ok(manifest)
}

/// The manifest of a revision among others, which are not held up by one that cannot be relied on. Of such a one each process warns once.
pub(super) fn manifest_among_others(folder: &Path) -> Option<Manifest> {
    static WARNED_OF: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
    let error = match read_manifest(folder) {
        Ok(manifest) => return Some(manifest),
        Err(error) => error,
    };
    let is_news = || WARNED_OF.lock().map_or(true, |mut folders| folders.insert(folder.to_owned()));
    // What was cleared away just now is no fault.
    if folder.is_dir() && is_news() {
        let folder = folder.display();
        tracing::warn!(%folder, %error, "a revision is passed over, in latest.json, catalogs, ledger and clearing up; put its folder back whole, or remove it");
    }
    None
}

/// The record of one file, read as a stream.
pub(super) fn record(path: &Path) -> io::Result<FileRecord> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(FileRecord { name, bytes: fs::metadata(path)?.len(), sha256: sys::sha256_of_file(path)? })
}

/// The names in a folder other than those of the manifest, of the note that it was taken back, and of what GIS programs leave beside
/// files that they have opened, in order.
pub(super) fn names_in(folder: &Path) -> io::Result<Vec<String>> {
    let names = fs::read_dir(folder)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<io::Result<Vec<_>>>()?;
    let is_of_product = |name: &String| name != MANIFEST && name != WITHDRAWN && !name.ends_with(".aux.xml");
    let mut names: Vec<_> = names.into_iter().filter(is_of_product).collect();
    names.sort();
    Ok(names)
}

/// The records of all files in a folder.
pub(super) fn records(folder: &Path) -> Result<Vec<FileRecord>, PublishError> {
    let failed = |path: &Path, source| PublishError::File { path: path.to_owned(), source };
    let names = names_in(folder).map_err(|source| failed(folder, source))?;
    names
        .iter()
        .map(|name| {
            let path = folder.join(name);
            record(&path).map_err(|source| failed(&path, source))
        })
        .collect()
}
