//! Refused files that are kept for whoever wants to look at them, in `<state>/quarantine/<sha256>`. All files that came empty meet in one
//! folder, each with its own reason; the same bytes are kept once under each name. What a server makes of it is not larger than the
//! configuration allows; what is too old is cleared away once a day, by others.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::json;
use tokio::sync::Mutex;

use crate::fetch::Fetched;
use crate::source;
use crate::sys;

const MEGABYTE: u64 = 1_000_000;

/// The quarantine in its folder.
pub(super) struct Quarantine {
    root: PathBuf,
    /// What all that is kept may take, bytes; none where that is not limited.
    most_bytes: Option<u64>,
    /// Held while a file is put there, so that two do not count on the same room.
    at_work: Mutex<()>,
}

/// What was kept of a refused file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kept {
    /// The file and the reason, in this folder.
    File(PathBuf),
    /// The reason alone: with the file, all together would take more than they may.
    Reason,
}

impl Quarantine {
    /// That in the folder `state`; `most_megabytes` does not limit where it is 0.
    pub(super) fn new(state: &Path, most_megabytes: u64) -> Self {
        let most_bytes = (most_megabytes > 0).then(|| most_megabytes.saturating_mul(MEGABYTE));
        Self { root: state.join("quarantine"), most_bytes, at_work: Mutex::new(()) }
    }

    /// Keeps why a file was refused, and where there is room the file.
    ///
    /// # Errors
    /// What the system says.
    pub(super) async fn keep(&self, fetched: &Fetched, refusal: &source::Refusal) -> io::Result<Kept> {
        let _turn = self.at_work.lock().await;
        let (root, most_bytes) = (self.root.clone(), self.most_bytes);
        let (fetched, refusal) = (fetched.clone(), refusal.clone());
        // A large file takes a disk seconds, in which others go on.
        tokio::task::spawn_blocking(move || keep(&root, most_bytes, &fetched, &refusal)).await?
    }
}

fn keep(
    root: &Path,
    most_bytes: Option<u64>,
    fetched: &Fetched,
    refusal: &source::Refusal,
) -> io::Result<Kept> {
    // What strangers made must not lie open to everybody on this machine.
    sys::make_private_folder(root)?;
    let folder = root.join(&fetched.sha256);
    fs::create_dir_all(&folder)?;
    let reason = json!({
        "name": fetched.name,
        "url": fetched.url,
        "sha256": fetched.sha256,
        "fetched_at": fetched.fetched_at,
        "check": refusal.kind,
        "reason": refusal.reason,
    });
    let path = folder.join(format!("{}.reason.json", fetched.name));
    sys::replace_file(&path, format!("{reason:#}\n").as_bytes())?;
    let file = folder.join(&fetched.name);
    if !file.exists() {
        if let Some(most_bytes) = most_bytes
            && size_of(root)?.saturating_add(fetched.size_bytes) > most_bytes
        {
            return Ok(Kept::Reason);
        }
        copy(&fetched.path, &file)?;
    }
    Ok(Kept::File(folder))
}

/// A copy that is whole or not there.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let folder = to.parent().unwrap_or(to);
    let mut part = tempfile::Builder::new().permissions(Permissions::from_mode(0o666)).tempfile_in(folder)?;
    io::copy(&mut File::open(from)?, &mut part)?;
    part.as_file().sync_all()?;
    part.persist(to).map_err(|error| error.error)?;
    File::open(folder)?.sync_all()
}

/// What a file takes, or all in a folder, bytes; nothing where it was cleared away meanwhile.
fn size_of(path: &Path) -> io::Result<u64> {
    let size = fs::symlink_metadata(path).and_then(|metadata| {
        if metadata.is_dir() {
            fs::read_dir(path)?.map(|entry| size_of(&entry?.path())).sum()
        } else {
            Ok(metadata.len())
        }
    });
    match size {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        size => size,
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use tempfile::TempDir;

    use super::*;

    /// A file as it was fetched, of so many bytes.
    fn fetched(folder: &TempDir, name: &str, size: usize) -> Fetched {
        let path = folder.path().join(name);
        fs::write(&path, vec![b'x'; size]).unwrap();
        Fetched {
            name: name.to_owned(),
            url: format!("https://example.org/{name}"),
            sha256: sys::sha256_of_file(&path).unwrap(),
            size_bytes: size as u64,
            transferred_bytes: size as u64,
            fetched_at: DateTime::UNIX_EPOCH,
            path,
        }
    }

    fn refusal() -> source::Refusal {
        source::Refusal { kind: "damaged".to_owned(), reason: "it cannot be opened".to_owned() }
    }

    #[tokio::test]
    async fn a_file_is_kept_with_its_reason_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let (quarantine, file) = (Quarantine::new(folder.path(), 1), fetched(&folder, "a.nc", 1000));
        let place = folder.path().join("quarantine").join(&file.sha256);
        for _ in 0..2 {
            let kept = quarantine.keep(&file, &refusal()).await.unwrap();
            assert_eq!(kept, Kept::File(place.clone()));
        }
        assert_eq!(fs::read(place.join("a.nc")).unwrap(), fs::read(&file.path).unwrap());
        assert!(fs::read_to_string(place.join("a.nc.reason.json")).unwrap().contains("it cannot be opened"));
        assert_eq!(fs::read_dir(&place).unwrap().count(), 2);
    }

    #[tokio::test]
    async fn no_file_makes_it_larger_than_it_may_be() {
        let folder = tempfile::tempdir().unwrap();
        let (limited, unlimited) = (Quarantine::new(folder.path(), 1), Quarantine::new(folder.path(), 0));
        let files = [("a.nc", 600_000), ("b.nc", 500_000), ("c.nc", 300_000)];
        let files = files.map(|(name, size)| fetched(&folder, name, size));
        let mut kept = Vec::new();
        for file in &files {
            kept.push(limited.keep(file, &refusal()).await.unwrap());
        }
        let place = |file: &Fetched| folder.path().join("quarantine").join(&file.sha256);
        assert_eq!(kept, [Kept::File(place(&files[0])), Kept::Reason, Kept::File(place(&files[2]))]);
        assert!(
            place(&files[1]).join("b.nc.reason.json").exists() && !place(&files[1]).join("b.nc").exists()
        );
        assert!(size_of(&folder.path().join("quarantine")).unwrap() <= 1_000_000);
        // What is there already needs no room.
        assert_eq!(limited.keep(&files[0], &refusal()).await.unwrap(), kept[0]);
        assert_eq!(unlimited.keep(&files[1], &refusal()).await.unwrap(), Kept::File(place(&files[1])));
    }
}
