//! What processes that were killed have left half done. Whoever was killed usually clears it when it is at work again; this is for
//! what nobody comes back to.

use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use chrono::{DateTime, TimeDelta, Utc};

use super::chores::{COPIES, Cleared};
use super::{DaemonError, chores};
use crate::config::{Config, Folders};
use crate::ledger::Ledger;
use crate::publish;
use crate::sys;

/// What was not touched for so long belongs to nobody who is still at work.
const UNTOUCHED: TimeDelta = TimeDelta::days(1);

/// What was left in the folders of Nilas, and why it goes.
///
/// # Errors
/// [`DaemonError::File`].
pub(super) fn find(config: &Config, now: DateTime<Utc>) -> Result<Vec<Cleared>, DaemonError> {
    let mut gone = Vec::new();
    for path in unfinished(&config.folders)? {
        let looked_at = measure(&path).map_err(|source| DaemonError::File { path: path.clone(), source })?;
        if let Some((touched, size_bytes)) = looked_at
            && touched < now - UNTOUCHED
        {
            gone.push(Cleared { path, size_bytes, reason: "a process that was killed has left it" });
        }
    }
    Ok(gone)
}

/// What is or was being made, by its place and name.
fn unfinished(folders: &Folders) -> Result<Vec<PathBuf>, DaemonError> {
    let mut paths = chores::listed(&publish::staging_folder(&folders.products))?;
    for folder in [&folders.state, &folders.state.join(COPIES)] {
        paths.extend(chores::listed(folder)?.into_iter().filter(|path| Ledger::is_unfinished(path)));
    }
    let failed = |source| DaemonError::File { path: folders.cache.clone(), source };
    temporary_in(&folders.cache, &mut paths).map_err(failed)?;
    Ok(paths)
}

/// Temporary files and folders anywhere in `folder`.
fn temporary_in(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    let Some(entries) = none_if_missing(fs::read_dir(folder))? else { return Ok(()) };
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(sys::TEMPORARY) {
            found.push(entry.path());
        } else if entry.file_type()?.is_dir() {
            temporary_in(&entry.path(), found)?;
        }
    }
    Ok(())
}

/// When a file, or anything in a folder, was touched last, and what it takes, bytes; `None` where it has gone meanwhile.
fn measure(path: &Path) -> io::Result<Option<(DateTime<Utc>, u64)>> {
    let Some(metadata) = none_if_missing(fs::symlink_metadata(path))? else { return Ok(None) };
    let touched = |metadata: &Metadata| metadata.modified().map(DateTime::<Utc>::from);
    let mut whole = (touched(&metadata)?, if metadata.is_dir() { 0 } else { metadata.len() });
    let entries = if metadata.is_dir() { none_if_missing(fs::read_dir(path))? } else { None };
    for entry in entries.into_iter().flatten() {
        if let Some((touched, size_bytes)) = measure(&entry?.path())? {
            whole = (whole.0.max(touched), whole.1 + size_bytes);
        }
    }
    Ok(Some(whole))
}

/// Removes a file, or a folder with all that is in it.
///
/// # Errors
/// [`DaemonError::File`].
pub(super) fn remove(path: &Path) -> Result<(), DaemonError> {
    let is_folder = fs::symlink_metadata(path).map(|metadata| metadata.is_dir());
    let removed =
        is_folder.and_then(|folder| if folder { fs::remove_dir_all(path) } else { fs::remove_file(path) });
    none_if_missing(removed).map_err(|source| DaemonError::File { path: path.to_owned(), source })?;
    Ok(())
}

/// Whoever made it may clear it at the same time.
fn none_if_missing<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::daemon::clear_up;
    use crate::daemon::scratch_house::House;

    /// Makes a file, and lets it and its folders below `root` be untouched for so many hours.
    fn leave(root: &Path, name: &str, hours: u64, now: DateTime<Utc>) -> PathBuf {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "half").unwrap();
        let then = SystemTime::from(now) - Duration::from_hours(hours);
        for part in path.ancestors().take_while(|part| *part != root) {
            File::open(part).unwrap().set_modified(then).unwrap();
        }
        path
    }

    #[test]
    fn what_killed_processes_have_left_goes_after_a_day_and_nothing_else_does() {
        let (folder, ledger, mut config) = House::empty().into_parts();
        config.folders.cache = folder.path().join("cache");
        let now = House::now();
        let Folders { products, state, cache } = &config.folders;
        let left = |hours| {
            [
                leave(&publish::staging_folder(products), "20260226-r02/half.nc", hours, now),
                leave(state, "backups/ledger-20260301.sqlite.part", hours, now),
                leave(state, "ledger.sqlite.recovered", hours, now),
                leave(cache, "remap/.tmpAbC123", hours, now),
                leave(cache, ".tmpXyZ789/products/2026/half.nc", hours, now),
            ]
        };
        let kept = [
            leave(state, "backups/ledger-20260301.sqlite", 100, now),
            leave(state, "ledger.sqlite.damaged-20260301T030000Z", 100, now),
            leave(cache, "remap/weights", 100, now),
        ];
        let young = left(23);
        assert_eq!(clear_up(&ledger, &config, now, false).unwrap(), []);
        assert!(young.iter().all(|path| path.exists()));
        let old = left(25);
        // Whoever made this is at work still: something in it is young.
        leave(cache, ".tmpAtWork/products/young.nc", 1, now);
        let at_work = leave(cache, ".tmpAtWork/products/old.nc", 25, now);
        for rehearsal in [true, false] {
            assert!(old.iter().all(|path| path.exists()));
            let cleared = clear_up(&ledger, &config, now, rehearsal).unwrap();
            assert_eq!(cleared.len(), old.len(), "{cleared:?}");
            assert!(cleared.iter().all(|one| one.size_bytes == 4), "{cleared:?}");
        }
        assert!(!old.iter().any(|path| path.exists()));
        assert!(!cache.join(".tmpXyZ789").exists());
        assert!(kept.iter().chain([&at_work]).all(|path| path.exists()));
        assert_eq!(clear_up(&ledger, &config, now, false).unwrap(), []);
    }
}
