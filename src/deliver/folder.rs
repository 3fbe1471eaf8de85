//! A folder that gets what is published.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Mutex;

use crate::config::Target;

use super::{DeliverError, Place};

/// A folder of this machine, or one that is mounted.
pub(super) struct Folder {
    path: PathBuf,
    /// Held by the copy that is under way. One to a mount whose server is gone may never end: others would hang as it does, each in a
    /// thread of its own.
    copying: Arc<Mutex<()>>,
}

impl Folder {
    pub(super) fn new(target: &Target) -> Self {
        Self { path: target.address.as_deref().unwrap_or_default().into(), copying: Arc::default() }
    }

    /// Does something with a path below the folder, in a thread that nobody else waits for.
    async fn alone(
        &self,
        path: &str,
        work: impl FnOnce(&Path) -> io::Result<()> + Send + 'static,
    ) -> Result<(), DeliverError> {
        let Ok(copying) = Arc::clone(&self.copying).try_lock_owned() else {
            let reason = "a copy that was begun before has not come to its end; see to the mount";
            return Err(DeliverError::Refused { place: self.address(), reason: reason.to_owned() });
        };
        let there = self.path.join(path);
        let failed = |path: &Path, source| DeliverError::File { path: path.to_owned(), source };
        let worked = tokio::task::spawn_blocking(move || {
            let worked = work(&there).map_err(|source| failed(&there, source));
            drop(copying);
            worked
        });
        worked.await.map_err(|error| failed(&self.path, io::Error::other(error)))?
    }
}

#[async_trait]
impl Place for Folder {
    fn address(&self) -> String {
        self.path.to_string_lossy().into_owned()
    }

    async fn put(&self, path: &str, file: &Path) -> Result<(), DeliverError> {
        let file = file.to_owned();
        self.alone(path, move |there| copy(&file, there)).await
    }

    async fn remove(&self, path: &str) -> Result<(), DeliverError> {
        self.alone(path, |there| match fs::remove_file(there) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        })
        .await
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
    use std::time::Duration;

    use tokio::time;

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

    #[tokio::test]
    async fn a_copy_that_hangs_is_joined_by_no_other() {
        let root = tempfile::tempdir().unwrap();
        let (pipe, file) = (root.path().join("pipe"), root.path().join("latest.json"));
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        fs::write(&file, "{}").unwrap();
        let folder = Folder { path: root.path().join("target"), copying: Arc::default() };
        // Nobody writes to the pipe that it reads.
        let hanging = time::timeout(Duration::from_millis(200), folder.put("pipe", &pipe)).await;
        let refused = folder.put("latest.json", &file).await;
        loop {
            drop(fs::File::options().read(true).write(true).open(&pipe).unwrap());
            time::sleep(Duration::from_millis(10)).await;
            if folder.put("latest.json", &file).await.is_ok() {
                break;
            }
        }
        assert!(hanging.is_err());
        let error = refused.unwrap_err().to_string();
        assert!(error.contains("has not come to its end"), "{error}");
    }
}
