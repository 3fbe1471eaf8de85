//! A folder of this machine, spoken to like a server. Links are followed, for whoever made them may; names from outside lead no
//! further than into it.

use std::fs::Metadata;
use std::io::{self, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt};
use tokio::fs::{self, File};
use tokio::io::AsyncSeekExt;
use tokio_util::io::ReaderStream;

use super::bounds::refuse_if_too_many;
use super::{Body, FetchError, Remote, Reply, Transport, Version, Wish, address, is_plain_name};

/// Reads from a folder.
#[derive(Debug)]
pub struct FolderTransport {
    root: PathBuf,
}

impl FolderTransport {
    /// The folder `root` and those in it.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    fn inside(&self, path: &str) -> Result<PathBuf, FetchError> {
        address::refuse_unless_plain(self.root.display(), path)?;
        Ok(self.root.join(path))
    }
}

#[async_trait]
impl Transport for FolderTransport {
    async fn list(&self, folder: &str) -> Result<Vec<Remote>, FetchError> {
        let place = self.inside(folder)?;
        let failed = |source| failure(&place, source);
        let mut entries = fs::read_dir(&place).await.map_err(failed)?;
        let mut files = Vec::new();
        while let Some(entry) = entries.next_entry().await.map_err(failed)? {
            // A link to nowhere is no file; nor is what vanishes while it is looked at.
            let Some(metadata) = fs::metadata(entry.path()).await.ok().filter(Metadata::is_file) else {
                continue;
            };
            let Ok(name) = entry.file_name().into_string() else { continue };
            if is_plain_name(&name) {
                let path = address::join(folder, &name);
                files.push(Remote { name, path, size_bytes: Some(metadata.len()) });
                refuse_if_too_many(files.len(), &self.url(folder))?;
            }
        }
        files.sort();
        Ok(files)
    }

    async fn open(&self, file: &Remote, wish: &Wish) -> Result<Reply, FetchError> {
        let path = self.inside(&file.path)?;
        let failed = |source| failure(&path, source);
        // What has become a pipe since it was listed would be waited for without end.
        let mut opened =
            File::options().read(true).custom_flags(libc::O_NONBLOCK).open(&path).await.map_err(failed)?;
        let metadata = opened.metadata().await.map_err(failed)?;
        if !metadata.is_file() {
            return Err(FetchError::NotFound { url: self.url(&file.path) });
        }
        let version = version(&metadata);
        let start = match wish {
            Wish::UnlessStill(known) if *known == version => return Ok(Reply::Unchanged),
            Wish::From(start, known) if *known == version => *start,
            _ => 0,
        };
        opened.seek(SeekFrom::Start(start)).await.map_err(failed)?;
        let bytes =
            ReaderStream::with_capacity(opened, 1 << 16).map_err(move |source| failure(&path, source));
        Ok(Reply::Body(Body { start, version, bytes: bytes.boxed() }))
    }

    fn url(&self, path: &str) -> String {
        self.root.join(path).display().to_string()
    }
}

fn version(metadata: &Metadata) -> Version {
    let modified = format!("{}.{:09}", metadata.mtime(), metadata.mtime_nsec());
    Version { entity_tag: None, modified: Some(modified), size_bytes: Some(metadata.len()) }
}

fn failure(path: &Path, source: io::Error) -> FetchError {
    match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            FetchError::NotFound { url: path.display().to_string() }
        }
        _ => FetchError::Local { path: path.to_owned(), source },
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;
    use crate::fetch::bounds::MOST_FILES;

    fn folder() -> (TempDir, FolderTransport) {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("in")).unwrap();
        fs::write(root.path().join("in/b.nc"), "bytes").unwrap();
        let transport = FolderTransport::new(root.path());
        (root, transport)
    }

    async fn read(transport: &FolderTransport, file: &Remote, wish: &Wish) -> (u64, Vec<u8>, Version) {
        let Reply::Body(body) = transport.open(file, wish).await.unwrap() else { panic!("unchanged") };
        let parts: Vec<_> = body.bytes.try_collect().await.unwrap();
        (body.start, parts.concat(), body.version)
    }

    #[tokio::test]
    async fn files_are_listed_links_are_followed_and_dangling_ones_are_none() {
        let (root, transport) = folder();
        let inner = root.path().join("in");
        symlink("b.nc", inner.join("a.nc")).unwrap();
        symlink("nothing", inner.join("c.nc")).unwrap();
        fs::create_dir(inner.join("d.nc")).unwrap();
        fs::write(inner.join("e\n.nc"), "").unwrap();
        let files = transport.list("in").await.unwrap();
        let expected = ["a.nc", "b.nc"].map(|name| Remote {
            name: name.into(),
            path: format!("in/{name}"),
            size_bytes: Some(5),
        });
        assert_eq!(files, expected);
        assert!(transport.list("").await.unwrap().is_empty());
        assert!(transport.list("out").await.unwrap_err().is_not_found());
    }

    #[tokio::test]
    async fn a_folder_of_too_many_files_is_not_looked_through() {
        let (root, transport) = folder();
        let inner = root.path().join("in");
        for number in 1..MOST_FILES {
            fs::write(inner.join(number.to_string()), "").unwrap();
        }
        assert_eq!(transport.list("in").await.unwrap().len(), MOST_FILES);
        fs::write(inner.join("one more"), "").unwrap();
        let error = transport.list("in").await.unwrap_err();
        assert!(matches!(error, FetchError::TooMany { most: MOST_FILES, .. }), "{error}");
        assert!(
            error.to_string().starts_with(&format!("{} lists more than 20000", inner.display())),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_file_comes_whole_in_part_or_not_at_all_as_its_version_is() {
        let (root, transport) = folder();
        let file = &transport.list("in").await.unwrap()[0];
        let (start, bytes, version) = read(&transport, file, &Wish::Whole).await;
        assert_eq!((start, &bytes[..], version.size_bytes), (0, &b"bytes"[..], Some(5)));
        let unchanged = transport.open(file, &Wish::UnlessStill(version.clone())).await.unwrap();
        assert!(matches!(unchanged, Reply::Unchanged));
        let (start, bytes, _) = read(&transport, file, &Wish::From(3, version.clone())).await;
        assert_eq!((start, &bytes[..]), (3, &b"es"[..]));
        fs::write(root.path().join("in/b.nc"), "others").unwrap();
        let (start, bytes, _) = read(&transport, file, &Wish::From(3, version)).await;
        assert_eq!((start, &bytes[..]), (0, &b"others"[..]));
    }

    #[tokio::test]
    async fn what_has_become_a_pipe_is_not_waited_for() {
        let (root, transport) = folder();
        let pipe = root.path().join("in/c.nc");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let file = Remote { name: "c.nc".into(), path: "in/c.nc".into(), size_bytes: None };
        let opened =
            tokio::time::timeout(std::time::Duration::from_secs(20), transport.open(&file, &Wish::Whole))
                .await;
        // A thread that waits would let the test wait, too.
        let _frees = std::fs::File::options().read(true).write(true).open(&pipe).unwrap();
        assert!(opened.unwrap().unwrap_err().is_not_found());
    }

    #[tokio::test]
    async fn nothing_outside_and_no_folder_is_opened() {
        let (_root, transport) = folder();
        for path in ["../in/b.nc", "/etc/passwd", "in/../in/b.nc", "in//b.nc", "in/b.nc\0"] {
            let file = Remote { name: "x".into(), path: path.into(), size_bytes: None };
            let error = transport.open(&file, &Wish::Whole).await.unwrap_err();
            assert!(matches!(error, FetchError::Answer { .. }), "{path:?}: {error}");
        }
        let file = Remote { name: "in".into(), path: "in".into(), size_bytes: None };
        assert!(transport.open(&file, &Wish::Whole).await.unwrap_err().is_not_found());
    }
}
