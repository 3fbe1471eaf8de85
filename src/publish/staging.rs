//! All or nothing: a revision is written where nobody looks and moved into place as a whole.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::sys;
use crate::time::ProductDay;

use super::PublishError;
use super::names::{day_folder, private_folder, revision_name, revision_number, staging_folder};

/// Waits until no other process publishes under `root`, and keeps it so until the value is dropped.
/// The kernel releases the lock when the process ends, however it ends.
pub(super) fn lock(root: &Path) -> Result<File, PublishError> {
    let folder = private_folder(root);
    sys::make_private_folder(&folder)
        .map_err(|source| PublishError::File { path: folder.clone(), source })?;
    let path = folder.join("lock");
    let locked = sys::open_private(&path).and_then(|file| file.lock().map(|()| file));
    locked.map_err(|source| PublishError::File { path, source })
}

/// Removes what runs that died have left. Only for the holder of the lock: nobody else writes there then.
pub(super) fn remove_leftovers(root: &Path) -> Result<(), PublishError> {
    let folder = staging_folder(root);
    match fs::remove_dir_all(&folder) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(PublishError::File { path: folder, source })
        }
        _ => Ok(()),
    }
}

/// The highest revision of a day that has a folder; 0 where there is none.
///
/// # Errors
/// [`PublishError::File`].
pub fn highest_revision(root: &Path, day: ProductDay) -> Result<u32, PublishError> {
    let folder = root.join(day_folder(day));
    let names = match fs::read_dir(&folder) {
        Ok(entries) => entries.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    };
    let names = names.map_err(|source| PublishError::File { path: folder, source })?;
    Ok(names.iter().filter_map(|name| revision_number(&name.to_string_lossy())).max().unwrap_or(0))
}

/// A revision that is being written. Dropped before [`Staging::commit`], it leaves nothing.
pub(super) struct Staging {
    folder: PathBuf,
    target: PathBuf,
    root: PathBuf,
}

impl Staging {
    /// An empty folder under `root`, in the file system that the revision will stay in.
    pub(super) fn begin(root: &Path, day: ProductDay, revision: u32) -> Result<Self, PublishError> {
        let name = revision_name(revision);
        let folder = staging_folder(root).join(format!("{}-{name}", day.compact()));
        make_folder(&folder)?;
        Ok(Self { folder, target: root.join(day_folder(day)).join(name), root: root.to_owned() })
    }

    /// Where to write.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes every file durable and moves the folder to its place; returns that place.
    pub(super) fn commit(self) -> Result<PathBuf, PublishError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| PublishError::File { path, source }
        };
        for entry in fs::read_dir(&self.folder).map_err(failed(&self.folder))? {
            let path = entry.map_err(failed(&self.folder))?.path();
            sync(&path)?;
        }
        sync(&self.folder)?;
        let parent = self.target.parent().unwrap_or(&self.root);
        make_folder(parent)?;
        sys::fail_point("publish.durable");
        fs::rename(&self.folder, &self.target).map_err(failed(&self.target))?;
        for folder in parent.ancestors().take_while(|folder| folder.starts_with(&self.root)) {
            sync(folder)?;
        }
        Ok(self.target.clone())
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // After a commit there is nothing to remove; what cannot be removed now is removed by the next run.
        let removed = fs::remove_dir_all(&self.folder);
        if let Err(error) = removed.or_else(|error| match error.kind() {
            io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        }) {
            tracing::warn!(path = %self.folder.display(), %error, "a half-written revision stays until the next publishing");
        }
    }
}

/// Takes a revision's folder out of sight as a whole, then deletes it. Only for the holder of the lock.
pub(super) fn remove(root: &Path, folder: &Path) -> Result<(), PublishError> {
    let failed = |source| PublishError::File { path: folder.to_owned(), source };
    let staging = staging_folder(root);
    make_folder(&staging)?;
    let name = folder.strip_prefix(root).unwrap_or(folder).to_string_lossy().replace('/', "-");
    let unseen = staging.join(format!("{name}-removed"));
    fs::rename(folder, &unseen).map_err(failed)?;
    fs::remove_dir_all(&unseen).map_err(failed)?;
    // Folders of days, months and years that hold nothing any more go, too; the first that does ends it.
    for parent in folder.ancestors().skip(1).take_while(|parent| *parent != root) {
        if fs::remove_dir(parent).is_err() {
            return sync(parent);
        }
    }
    sync(root)
}

/// Makes the bytes or entries at `path` survive a power failure.
fn sync(path: &Path) -> Result<(), PublishError> {
    let synced = File::open(path).and_then(|file| file.sync_all());
    synced.map_err(|source| PublishError::File { path: path.to_owned(), source })
}

fn make_folder(path: &Path) -> Result<(), PublishError> {
    fs::create_dir_all(path).map_err(|source| PublishError::File { path: path.to_owned(), source })
}
