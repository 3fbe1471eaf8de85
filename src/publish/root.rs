//! The files in the product root that lead to the revisions. They follow from the folders alone.

use std::io;
use std::path::Path;

use super::{PublishError, animation, latest, names, stac, staging, viewer};

pub(super) use stac::Extent;

/// Lets them say what is there: first the catalogs, then `latest.json`, so that what the latter names is in the former.
pub(super) fn refresh(root: &Path, extent: Extent) -> Result<(), PublishError> {
    stac::refresh(root, extent)?;
    latest::refresh(root)?;
    if root.join(names::LATEST).exists() { Ok(()) } else { animation::remove(root) }
}

/// Lets them say what is there, where a run was cut off before it could.
///
/// # Errors
/// [`PublishError`].
pub fn repair_root(root: &Path) -> Result<(), PublishError> {
    let _lock = staging::lock(root)?;
    refresh(root, Extent::All)
}

/// The files in the product root that lead to the revisions, as paths below it with slashes, in the order in which they are to be
/// replaced elsewhere: `latest.json` comes last.
///
/// # Errors
/// What the system says.
pub fn root_files(root: &Path) -> io::Result<Vec<String>> {
    let mut files: Vec<String> = viewer::files(root)?;
    files.extend([names::ANIMATION.to_owned()]);
    files.extend(latest::years(root)?.into_iter().map(|year| format!("{year}/{}", names::CATALOG)));
    files.extend([names::COLLECTION, names::CATALOG, names::LATEST].map(str::to_owned));
    files.retain(|path| root.join(path).is_file());
    Ok(files)
}
