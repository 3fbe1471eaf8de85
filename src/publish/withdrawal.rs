//! A revision that was published is taken back: it stays where it is, marked, and `latest.json` does not name it.

use std::io;
use std::path::Path;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::sys;
use crate::time::ProductDay;

use super::names::{WITHDRAWN, revision_folder, staging_folder};
use super::root::{self, Extent};
use super::{PublishError, animation, read_json, staging};

/// What `withdrawn.json` in a revision's folder says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WithdrawalNote {
    /// When it was taken back.
    pub withdrawn_at: DateTime<Utc>,
    /// Why, in the words of whoever did it.
    pub reason: String,
}

impl WithdrawalNote {
    /// The text of `withdrawn.json`.
    ///
    /// # Errors
    /// Where it cannot be written as JSON.
    pub fn to_json(&self) -> io::Result<Vec<u8>> {
        Ok(serde_json::to_vec_pretty(self)?)
    }
}

/// Takes a revision back. A note that is already there stays.
///
/// # Errors
/// [`PublishError`], also where there is no such revision.
pub fn withdraw(
    root: &Path,
    day: ProductDay,
    revision: u32,
    note: &WithdrawalNote,
) -> Result<(), PublishError> {
    let _lock = staging::lock(root)?;
    let folder = revision_folder(root, day, revision);
    let path = folder.join(WITHDRAWN);
    let failed = |source| PublishError::File { path: path.clone(), source };
    if !folder.is_dir() {
        return Err(failed(io::ErrorKind::NotFound.into()));
    }
    if !is_withdrawn(&folder) {
        let text = note.to_json().map_err(failed)?;
        // Readers look into this folder, and what a kill leaves here nobody would clear.
        sys::replace_file_through(&staging_folder(root), &path, &text).map_err(failed)?;
    }
    // It may show what was taken back.
    animation::remove(root)?;
    root::refresh(root, Extent::YearOf(day))
}

/// What is said of a revision that was taken back, among others that are not held up by one whose note is damaged: taken back it stays.
pub fn withdrawal_among_others(folder: &Path) -> Option<WithdrawalNote> {
    let error = match read_withdrawal(folder) {
        Ok(note) => return note,
        Err(error) => error,
    };
    tracing::warn!(%error, "why and when a revision was taken back cannot be read; it stays taken back");
    let changed = folder.join(WITHDRAWN).metadata().and_then(|metadata| metadata.modified());
    Some(WithdrawalNote {
        withdrawn_at: changed.map_or_else(|_| DateTime::default(), DateTime::from),
        reason: "its note cannot be read any more".to_owned(),
    })
}

/// Whether the revision in `folder` was taken back.
pub(super) fn is_withdrawn(folder: &Path) -> bool {
    folder.join(WITHDRAWN).exists()
}

/// What is said of a revision that was taken back; `None` where it was not.
///
/// # Errors
/// [`PublishError::File`], also where the file is not what it should be.
pub fn read_withdrawal(folder: &Path) -> Result<Option<WithdrawalNote>, PublishError> {
    read_json(&folder.join(WITHDRAWN))
}
