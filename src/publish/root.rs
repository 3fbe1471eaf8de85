//! The files in the product root that lead to the revisions. They follow from the folders alone.

use std::path::Path;

use crate::sys;

use super::{PublishError, animation, latest, names, stac, staging};

pub(super) use stac::Extent;

/// Lets them say what is there: first the catalogs, then `latest.json`, so that what the latter names is in the former.
pub(super) fn refresh(root: &Path, extent: Extent) -> Result<(), PublishError> {
    stac::refresh(root, extent)?;
    sys::fail_point("publish.catalogued");
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
