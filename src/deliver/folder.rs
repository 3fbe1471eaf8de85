//! A folder that gets what is published.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use async_trait::async_trait;

use crate::config::Target;

use super::{DeliverError, Place};

/// A folder of this machine, or one that is mounted.
pub(super) struct Folder {
    path: PathBuf,
}

impl Folder {
    pub(super) fn new(target: &Target) -> Self {
        Self { path: target.address.as_deref().unwrap_or_default().into() }
    }
}

#[async_trait]
impl Place for Folder {
    async fn put(&self, path: &str, file: &Path) -> Result<(), DeliverError> {
        let (file, there) = (file.to_owned(), self.path.join(path));
        let failed = |path: &Path, source| DeliverError::File { path: path.to_owned(), source };
        let copied =
            tokio::task::spawn_blocking(move || copy(&file, &there).map_err(|source| failed(&there, source)));
        copied.await.map_err(|error| failed(&self.path, io::Error::other(error)))?
    }

    async fn probe(&self) -> Result<(), DeliverError> {
        // Nothing is made, where perhaps another user looks.
        let there = self.path.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(Path::new("/"));
        let probed = tempfile::tempfile_in(there);
        probed.map(drop).map_err(|source| DeliverError::File { path: self.path.clone(), source })
    }
}

/// By way of a name that nobody looks for, made durable before it gets its own.
fn copy(file: &Path, there: &Path) -> io::Result<()> {
    let folder = there.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder)?;
    let part = format!(".nilas-{}", there.file_name().unwrap_or_default().to_string_lossy());
    // Left by a copy that was killed: nobody else clears a target, and this is the file that it was of.
    match fs::remove_file(folder.join(&part)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut part = tempfile::Builder::new().prefix(&part).rand_bytes(0).tempfile_in(folder)?;
    io::copy(&mut fs::File::open(file)?, &mut part)?;
    part.as_file().set_permissions(fs::metadata(file)?.permissions())?;
    part.as_file().sync_all()?;
    part.persist(there).map_err(|error| error.error)?;
    fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_copy_has_left_is_cleared_by_the_next_one() {
        let root = tempfile::tempdir().unwrap();
        let (file, folder) = (root.path().join("manifest.json"), root.path().join("target/r01"));
        fs::write(&file, "whole").unwrap();
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(".nilas-manifest.json"), "half of what was whole").unwrap();
        copy(&file, &folder.join("manifest.json")).unwrap();
        let there: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(there, ["manifest.json"]);
        assert_eq!(fs::read(folder.join("manifest.json")).unwrap(), b"whole");
    }
}
