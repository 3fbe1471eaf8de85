//! Fetched files by their content, and what is known of each address. In `<cache>/inputs` lie
//!
//! * `files/<sha256>/<name>`: files, never written to again;
//! * `known/<key>.json`: the version that an address had, and the file that came from there;
//! * `partial/<key>.part` and `.json`: transfers that broke;
//! * `locks/`: who is at an address, and who moves files in and out; empty files.
//!
//! `<key>` is the SHA-256 of the address. Several processes may use a cache at once. Every file in it can be spared: where the limit is
//! exceeded, those go first that nobody has used for the longest time.

use std::fs::{self, File, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::transfer::Partial;
use super::{FetchError, Version};
use crate::sys;

/// Folder of fetched files in the cache folder.
const FOLDER: &str = "inputs";
/// A transfer to which nothing was added for so long has broken off.
const LONGEST_SILENCE: TimeDelta = TimeDelta::hours(1);
/// Between two looks at an address that another process is at.
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// A cache in its folder.
#[derive(Debug, Clone)]
pub(super) struct Cache {
    root: PathBuf,
    largest_bytes: u64,
}

/// What is known of an address.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Known {
    /// The address, for people who look into the cache.
    pub(super) url: String,
    /// What it had when it was asked.
    pub(super) version: Version,
    /// SHA-256 of the file.
    pub(super) sha256: String,
    /// The file's name.
    pub(super) name: String,
    /// Its size, bytes.
    pub(super) size_bytes: u64,
    /// When it was fetched.
    pub(super) fetched_at: DateTime<Utc>,
}

/// The right to be the only one at an address; given back when dropped, and by the system when the process dies.
#[derive(Debug)]
pub(super) struct AddressLock {
    path: PathBuf,
    _file: File,
}

impl Drop for AddressLock {
    fn drop(&mut self) {
        // Still locked: whoever waits for this file finds that it has no name any more, and opens the next one.
        let _ = fs::remove_file(&self.path);
    }
}

/// A file of the cache, as eviction sees it.
struct Stored {
    used: SystemTime,
    size_bytes: u64,
    path: PathBuf,
}

impl Cache {
    /// The cache in `<folder>/inputs`, of at most so many bytes.
    pub(super) fn new(folder: &Path, largest_bytes: u64) -> Self {
        Self { root: folder.join(FOLDER), largest_bytes }
    }

    /// Its folder.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// What has come of the file at an address.
    pub(super) fn partial(&self, url: &str) -> Partial {
        Partial::of(url, &self.root.join("partial"))
    }

    /// Where a known file lies.
    pub(super) fn path(&self, known: &Known) -> PathBuf {
        path_in(&self.root, &known.sha256, &known.name)
    }

    /// Waits until nobody else is at an address, but no longer than `patience`.
    ///
    /// # Errors
    /// [`FetchError::Local`].
    pub(super) async fn lock(&self, url: &str, patience: Duration) -> Result<AddressLock, FetchError> {
        let path = self.root.join("locks").join(sys::sha256(url));
        let locked = async {
            loop {
                if let Some(file) = try_lock(&path)? {
                    return Ok(file);
                }
                tokio::time::sleep(LOCK_PAUSE).await;
            }
        };
        let locked = tokio::time::timeout(patience, locked).await.unwrap_or_else(|_| {
            let reason = format!("another process has been at {url} for {} s", patience.as_secs());
            Err(io::Error::new(io::ErrorKind::TimedOut, reason))
        });
        let file = locked.map_err(local(&path))?;
        Ok(AddressLock { path, _file: file })
    }

    /// What is known of an address, where its file is here and whole; both count as used now.
    pub(super) fn look_up(&self, url: &str, now: DateTime<Utc>) -> Option<Known> {
        let entry = self.entry(url);
        let read = none_if_missing(fs::read(&entry))
            .and_then(|text| Ok(text.map(|text| serde_json::from_slice::<Known>(&text)).transpose()?));
        let known = match read {
            Ok(known) => known?,
            Err(error) => {
                tracing::warn!(path = %entry.display(), "an entry of the cache cannot be read ({error}); the file is fetched again");
                return None;
            }
        };
        touch(&entry, now);
        self.find(&known.sha256, &known.name, now).map(|_| known)
    }

    /// The file with this sum and name, where it is here and whole; it counts as used now. One that is not what it was is removed, and one
    /// that the disk does not give is passed over: the cache can spare every file, and else a day would wait for this one for ever.
    pub(super) fn find(&self, sha256: &str, name: &str, now: DateTime<Utc>) -> Option<PathBuf> {
        let path = self.root.join("files").join(sha256).join(name);
        match none_if_missing(sys::sha256_of_file(&path)) {
            Ok(Some(sum)) if sum == sha256 => {
                touch(&path, now);
                return Some(path);
            }
            Ok(None) => {}
            Ok(Some(_)) => {
                tracing::warn!(path = %path.display(), "a file of the cache has changed on disk; it is not used any more");
                if let Err(error) = none_if_missing(fs::remove_file(&path)) {
                    tracing::warn!(path = %path.display(), "it cannot be removed either ({error}); look at the disk");
                }
            }
            Err(error) => {
                tracing::warn!(path = %path.display(), "a file of the cache cannot be read ({error}), and is not used; look at the disk");
            }
        }
        None
    }

    /// Forgets what an address had, so that it is asked for the whole file again.
    ///
    /// # Errors
    /// [`FetchError::Local`].
    pub(super) fn forget(&self, url: &str) -> Result<(), FetchError> {
        let entry = self.entry(url);
        none_if_missing(fs::remove_file(&entry)).map_err(local(&entry)).map(|_| ())
    }

    /// Takes a file that has come whole, and gives up others where the limit asks for it.
    ///
    /// # Errors
    /// [`FetchError::Local`].
    pub(super) fn keep(&self, partial: &Partial, known: &Known) -> Result<(), FetchError> {
        let path = self.path(known);
        let _guard = self.lock_files()?;
        // What lies there already stays the same file: whoever is reading it in confinement may open no other, not even one that is equal.
        if !sys::sha256_of_file(&path).is_ok_and(|found| found == known.sha256) {
            self.move_in(&partial.data, &path).map_err(local(&path))?;
        }
        touch(&path, known.fetched_at);
        let entry = self.entry(&known.url);
        let text = serde_json::to_vec_pretty(known).map_err(|error| local(&entry)(error.into()))?;
        sys::replace_file(&entry, &text).map_err(local(&entry))?;
        touch(&entry, known.fetched_at);
        partial.discard();
        self.evict(&[&path, &entry], known.fetched_at).map_err(local(&self.root))
    }

    /// Gives up files where the limit asks for it.
    ///
    /// # Errors
    /// [`FetchError::Local`].
    pub(super) fn cut_back(&self, now: DateTime<Utc>) -> Result<(), FetchError> {
        let _guard = self.lock_files()?;
        self.evict(&[], now).map_err(local(&self.root))
    }

    /// The files that were not used since `before`, with their sizes; unless this is a `rehearsal` they are given up.
    ///
    /// # Errors
    /// [`FetchError::Local`].
    pub(super) fn give_up_unused(
        &self,
        before: DateTime<Utc>,
        rehearsal: bool,
    ) -> Result<Vec<(PathBuf, u64)>, FetchError> {
        if !self.root.is_dir() {
            return Ok(Vec::new());
        }
        let locks = self.root.join("locks");
        fs::create_dir_all(&locks).map_err(local(&locks))?;
        let _guard = self.lock_files()?;
        let mut unused = self.stored().map_err(local(&self.root))?;
        unused.retain(|file| DateTime::<Utc>::from(file.used) < before);
        for file in unused.iter().filter(|_| !rehearsal) {
            none_if_missing(fs::remove_file(&file.path)).map_err(local(&file.path))?;
            remove_empty_folder_of(&file.path);
        }
        Ok(unused.into_iter().map(|file| (file.path, file.size_bytes)).collect())
    }

    fn entry(&self, url: &str) -> PathBuf {
        self.root.join("known").join(format!("{}.json", sys::sha256(url)))
    }

    /// Held while files are moved in and out, so that a folder is not removed under a file that comes into it.
    fn lock_files(&self) -> Result<File, FetchError> {
        let path = self.root.join("locks/files");
        sys::open_private(&path).and_then(|file| file.lock().map(|()| file)).map_err(local(&path))
    }

    /// The bytes are on disk already; the name must last, too.
    fn move_in(&self, data: &Path, path: &Path) -> io::Result<()> {
        let folder = path.parent().unwrap_or(&self.root);
        fs::create_dir_all(folder)?;
        fs::rename(data, path)?;
        // Only now: a partial file that could not be moved must stay one that can be gone on with.
        fs::set_permissions(path, Permissions::from_mode(0o444))?;
        File::open(folder)?.sync_all()
    }

    /// Removes files until the rest is within the limit, in which what else lies in the cache counts, too: first transfers that nobody has
    /// gone on with, then the longest unused.
    fn evict(&self, spared: &[&Path], now: DateTime<Utc>) -> io::Result<()> {
        let (partial, still_at_work) = (self.root.join("partial"), SystemTime::from(now - LONGEST_SILENCE));
        let mut stored = self.stored()?;
        let sum = |stored: &[Stored]| stored.iter().map(|file| file.size_bytes).sum::<u64>();
        let mut total = sum(&stored) + sum(&self.beside()?);
        let is_kept = |file: &Stored| file.used >= still_at_work || !file.path.starts_with(&partial);
        stored.sort_by(|one, other| {
            (is_kept(one), one.used, &one.path).cmp(&(is_kept(other), other.used, &other.path))
        });
        for file in stored.iter().filter(|file| !spared.contains(&&*file.path)) {
            if total <= self.largest_bytes {
                break;
            }
            if let Err(error) = none_if_missing(fs::remove_file(&file.path)) {
                let path = file.path.display();
                tracing::warn!(%path, "the cache is above its limit, and a file cannot be removed ({error})");
                continue;
            }
            total -= file.size_bytes;
            tracing::debug!(path = %file.path.display(), "given up to keep the cache within its limit");
            remove_empty_folder_of(&file.path);
        }
        Ok(())
    }

    /// The files of others in the same cache, such as remap weights.
    fn beside(&self) -> io::Result<Vec<Stored>> {
        let mut others = Vec::new();
        for entry in fs::read_dir(self.root.parent().unwrap_or(&self.root))? {
            let path = entry?.path();
            if path.is_dir() && path != self.root {
                collect(&path, &mut others)?;
            }
        }
        Ok(others)
    }

    fn stored(&self) -> io::Result<Vec<Stored>> {
        let mut stored = Vec::new();
        for folder in ["files", "known", "partial"] {
            collect(&self.root.join(folder), &mut stored)?;
        }
        Ok(stored)
    }
}

/// Only the folder of a sum whose last name this was is empty; the others stay.
fn remove_empty_folder_of(file: &Path) {
    if let Some(folder) = file.parent() {
        let _ = fs::remove_dir(folder);
    }
}

/// Where a fetched file of this content and name lies in a cache folder, as long as it is kept.
#[must_use]
pub fn kept_file(folder: &Path, sha256: &str, name: &str) -> PathBuf {
    path_in(&folder.join(FOLDER), sha256, name)
}

fn path_in(root: &Path, sha256: &str, name: &str) -> PathBuf {
    root.join("files").join(sha256).join(name)
}

/// The lock of a file that still has its name; none while another one holds it.
fn try_lock(path: &Path) -> io::Result<Option<File>> {
    fs::create_dir_all(path.parent().unwrap_or(path))?;
    let file = sys::open_private(path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    let named = none_if_missing(fs::metadata(path))?;
    let inode = file.metadata()?.ino();
    Ok(named.filter(|named| named.ino() == inode).map(|_| file))
}

fn collect(folder: &Path, stored: &mut Vec<Stored>) -> io::Result<()> {
    let Some(entries) = none_if_missing(fs::read_dir(folder))? else { return Ok(()) };
    for entry in entries {
        let path = entry?.path();
        // Partial files come and go without the lock.
        let Some(metadata) = none_if_missing(fs::metadata(&path))? else { continue };
        if metadata.is_dir() {
            collect(&path, stored)?;
        } else {
            stored.push(Stored { used: metadata.modified()?, size_bytes: metadata.len(), path });
        }
    }
    Ok(())
}

/// Notes when a file was used. One of another user cannot be marked, and is given up a little early.
fn touch(path: &Path, now: DateTime<Utc>) {
    let _ = File::open(path).and_then(|file| file.set_modified(now.into()));
}

fn none_if_missing<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

fn local(path: &Path) -> impl FnOnce(io::Error) -> FetchError + use<'_> {
    move |source| FetchError::Local { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tempfile::TempDir;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    fn cache(largest_bytes: u64) -> (TempDir, Cache) {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path(), largest_bytes);
        fs::create_dir_all(cache.root.join("partial")).unwrap();
        fs::create_dir_all(cache.root.join("locks")).unwrap();
        (folder, cache)
    }

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(second, 0).unwrap()
    }

    /// Keeps a file as if it had just come.
    fn keep(cache: &Cache, name: &str, bytes: &[u8], second: i64) -> PathBuf {
        let url = format!("https://example.org/{name}");
        let partial = cache.partial(&url);
        fs::write(&partial.data, bytes).unwrap();
        let known = Known {
            url,
            version: Version::default(),
            sha256: sys::sha256(bytes),
            name: name.to_owned(),
            size_bytes: bytes.len() as u64,
            fetched_at: at(second),
        };
        cache.keep(&partial, &known).unwrap();
        cache.path(&known)
    }

    #[test]
    fn a_file_that_comes_again_stays_the_file_that_others_read_unless_it_went_bad() {
        let (_folder, cache) = cache(1000);
        let path = keep(&cache, "ice.nc", b"ice", 1);
        let inode = || fs::metadata(&path).unwrap().ino();
        let first = inode();
        assert_eq!(keep(&cache, "ice.nc", b"ice", 2), path);
        assert_eq!(inode(), first, "it is the same file");
        assert!(!cache.partial("https://example.org/ice.nc").data.exists(), "what came is cleared away");
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        fs::write(&path, b"ICE").unwrap();
        keep(&cache, "ice.nc", b"ice", 3);
        assert_eq!(fs::read(&path).unwrap(), b"ice");
    }

    fn is_known(cache: &Cache, name: &str, second: i64) -> bool {
        cache.look_up(&format!("https://example.org/{name}"), at(second)).is_some()
    }

    #[test]
    fn a_file_is_kept_under_its_content_read_only_and_found_again() {
        let (_folder, cache) = cache(1 << 20);
        let path = keep(&cache, "a.nc", b"abc", 1);
        assert!(path.ends_with(Path::new("files").join(sys::sha256("abc")).join("a.nc")));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o444);
        assert!(is_known(&cache, "a.nc", 2));
        assert!(!is_known(&cache, "b.nc", 2));
        assert_eq!(fs::read_dir(cache.root.join("partial")).unwrap().count(), 0);
        assert_eq!(sys::mode(&cache.root.join("locks/files")), 0o600, "nobody else may lock it");
    }

    #[test]
    fn a_file_that_is_not_what_it_was_is_thrown_away() {
        let (_folder, cache) = cache(1 << 20);
        let path = keep(&cache, "a.nc", b"abc", 1);
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        fs::write(&path, "abd").unwrap();
        assert!(!is_known(&cache, "a.nc", 2));
        assert!(!path.exists());
        keep(&cache, "a.nc", b"abc", 3);
        fs::write(cache.entry("https://example.org/a.nc"), "{").unwrap();
        assert!(!is_known(&cache, "a.nc", 4));
    }

    #[test]
    fn the_longest_unused_goes_first_and_use_counts() {
        let (_folder, cache) = cache(5000);
        let [first, second] =
            [("a.nc", 1), ("b.nc", 2)].map(|(name, s)| keep(&cache, name, &[s as u8; 1800], s));
        assert!(is_known(&cache, "a.nc", 3));
        let third = keep(&cache, "c.nc", &[3; 1800], 4);
        assert!(first.exists() && !second.exists() && third.exists());
        assert!(!second.parent().unwrap().exists(), "the empty folder is gone, too");
        assert!(!is_known(&cache, "b.nc", 5));
    }

    #[test]
    fn what_others_keep_in_the_cache_counts() {
        let (folder, cache) = cache(5000);
        let first = keep(&cache, "a.nc", &[1; 1800], 1);
        fs::create_dir_all(folder.path().join("remap")).unwrap();
        fs::write(folder.path().join("remap/a.weights"), [0; 3000]).unwrap();
        let second = keep(&cache, "b.nc", &[2; 1800], 2);
        assert!(!first.exists() && second.exists());
        assert!(folder.path().join("remap/a.weights").exists(), "it is not ours to give up");
    }

    #[test]
    fn a_file_larger_than_the_limit_is_kept_as_long_as_it_is_the_last_one() {
        let (_folder, cache) = cache(10);
        let first = keep(&cache, "a.nc", b"more than ten bytes", 1);
        assert!(first.exists());
        keep(&cache, "b.nc", b"another such file", 2);
        assert!(!first.exists());
    }

    #[tokio::test]
    async fn one_at_a_time_is_at_an_address_and_the_lock_leaves_nothing() {
        let (_folder, cache) = cache(1 << 20);
        let lock = cache.lock("u", PATIENCE).await.unwrap();
        assert_eq!(sys::mode(&lock.path), 0o600, "nobody else may lock it");
        assert!(tokio::time::timeout(Duration::from_millis(120), cache.lock("u", PATIENCE)).await.is_err());
        cache.lock("v", PATIENCE).await.unwrap();
        drop(lock);
        cache.lock("u", PATIENCE).await.unwrap();
        assert_eq!(fs::read_dir(cache.root.join("locks")).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn who_stays_at_an_address_is_not_waited_for_without_end() {
        let (_folder, cache) = cache(1 << 20);
        let _held = cache.lock("u", PATIENCE).await.unwrap();
        let error = cache.lock("u", Duration::from_millis(120)).await.unwrap_err();
        assert!(error.to_string().contains("another process has been at u"), "{error}");
    }
}
