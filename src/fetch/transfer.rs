//! One file on its way: what has come lies beside the cache until all is there, and a transfer that broke goes on from there.

use std::fs;
use std::io::{self, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use tokio::fs::File;
use tokio::io::{AsyncSeekExt, AsyncWriteExt};

use super::{Body, FetchError, Version, Wish};
use crate::sys;

/// So many bytes are made durable at a time, so that a process that ends in the middle of a large file does not begin it anew.
const DURABLE_STEP: u64 = 1 << 20;

/// The beginning of a file, and the version that it is the beginning of.
#[derive(Debug)]
pub(super) struct Partial {
    url: String,
    /// The bytes.
    pub(super) data: PathBuf,
    /// A [`Note`], as JSON.
    note: PathBuf,
    /// Whether this process writes the file: it has seen no power cut since, so all bytes that are there are certain.
    is_own: AtomicBool,
}

/// What lies beside a partial file.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    /// What it is the beginning of.
    version: Version,
    /// How many of its bytes outlive a power cut. After one the file may be as long as it was, and be zeros.
    durable_bytes: u64,
}

/// A file that has come whole; its bytes lie in [`Partial::data`].
#[derive(Debug)]
pub(super) struct Received {
    /// What the server says of it.
    pub(super) version: Version,
    /// SHA-256 of its bytes.
    pub(super) sha256: String,
    /// Its size, bytes.
    pub(super) size_bytes: u64,
}

impl Partial {
    /// Where in `folder` the file of an address is gathered.
    pub(super) fn of(url: &str, folder: &Path) -> Self {
        let key = sys::sha256(url);
        Self {
            url: url.to_owned(),
            data: folder.join(format!("{key}.part")),
            note: folder.join(format!("{key}.json")),
            is_own: AtomicBool::new(false),
        }
    }

    /// The rest of what is here and certain; none where nothing is here, or nobody knows of what.
    pub(super) fn wish(&self) -> Option<Wish> {
        let length = fs::metadata(&self.data).ok()?.len();
        let Note { version, durable_bytes } = serde_json::from_slice(&fs::read(&self.note).ok()?).ok()?;
        let certain = if self.is_own.load(Ordering::Relaxed) { length } else { length.min(durable_bytes) };
        (certain > 0).then_some(Wish::From(certain, version))
    }

    /// Gathers a file. `arrived` hears of every part, in bytes.
    ///
    /// # Errors
    /// As the body breaks, with what has come kept; [`FetchError::Broken`] where its length is not the announced one;
    /// [`FetchError::TooLarge`]; [`FetchError::Local`].
    pub(super) async fn receive(
        &self,
        body: Body,
        largest_bytes: u64,
        arrived: impl Fn(u64),
    ) -> Result<Received, FetchError> {
        let announced = body.version.size_bytes;
        let most = announced.unwrap_or(u64::MAX).min(largest_bytes);
        if announced.is_some_and(|size| size > largest_bytes) {
            return Err(self.too_much(announced, largest_bytes));
        }
        let mut file = self.open_at(body.start, &body.version).await.map_err(|error| self.local(error))?;
        let (mut size_bytes, mut durable_bytes, mut parts) = (body.start, body.start, body.bytes);
        while let Some(part) = parts.next().await {
            let part = match part {
                Ok(part) => part,
                Err(error) => return Err(self.pausing(&file, &body.version, size_bytes, error).await),
            };
            size_bytes += part.len() as u64;
            arrived(part.len() as u64);
            if size_bytes > most {
                self.discard();
                return Err(self.too_much(announced, largest_bytes));
            }
            file.write_all(&part).await.map_err(|error| self.local(error))?;
            if size_bytes - durable_bytes >= DURABLE_STEP {
                self.make_durable(&file, &body.version, size_bytes).await?;
                durable_bytes = size_bytes;
            }
        }
        if let Some(size) = announced.filter(|size| size_bytes < *size) {
            let reason = format!("it ended after {size_bytes} of {size} bytes");
            return Err(self.pausing(&file, &body.version, size_bytes, self.broken(reason)).await);
        }
        file.sync_all().await.map_err(|error| self.local(error))?;
        let sha256 = self.digest().await?;
        Ok(Received { version: Version { size_bytes: Some(size_bytes), ..body.version }, sha256, size_bytes })
    }

    /// The file, ready for the byte `start`. One that begins anew gets an inode of its own: a write of an earlier try that was cut
    /// off may still be under way, and does not reach it.
    async fn open_at(&self, start: u64, version: &Version) -> io::Result<File> {
        let file = if start > 0 {
            let mut file = File::options().write(true).open(&self.data).await?;
            file.set_len(start).await?;
            file.seek(SeekFrom::Start(start)).await?;
            file
        } else {
            self.discard();
            self.note(version, 0)?;
            File::create_new(&self.data).await?
        };
        // What was kept is certain, and all that follows is written here.
        self.is_own.store(true, Ordering::Relaxed);
        Ok(file)
    }

    fn note(&self, version: &Version, durable_bytes: u64) -> io::Result<()> {
        let note = Note { version: version.clone(), durable_bytes };
        sys::replace_file(&self.note, &serde_json::to_vec(&note)?)
    }

    /// Keeps what has come, and hands on why there is no more.
    async fn pausing(&self, file: &File, version: &Version, bytes: u64, error: FetchError) -> FetchError {
        self.make_durable(file, version, bytes).await.err().unwrap_or(error)
    }

    /// Sees that the first `bytes` outlive a power cut, and notes it.
    async fn make_durable(&self, file: &File, version: &Version, bytes: u64) -> Result<(), FetchError> {
        file.sync_data().await.map_err(|error| self.local(error))?;
        self.note(version, bytes).map_err(|error| self.local(error))
    }

    async fn digest(&self) -> Result<String, FetchError> {
        let path = self.data.clone();
        let digest = tokio::task::spawn_blocking(move || sys::sha256_of_file(&path)).await;
        digest.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(|error| self.local(error))
    }

    /// Removes what is here, if anything is.
    pub(super) fn discard(&self) {
        for path in [&self.data, &self.note] {
            // What cannot be removed cannot be written either, and that is reported.
            let _ = fs::remove_file(path);
        }
    }

    fn too_much(&self, announced: Option<u64>, largest_bytes: u64) -> FetchError {
        match announced.filter(|size| *size <= largest_bytes) {
            Some(size) => self.broken(format!("more than the announced {size} bytes came")),
            None => FetchError::TooLarge { url: self.url.clone(), largest_bytes },
        }
    }

    fn broken(&self, reason: String) -> FetchError {
        FetchError::Broken { url: self.url.clone(), reason }
    }

    fn local(&self, source: io::Error) -> FetchError {
        FetchError::Local { path: self.data.clone(), source }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future;
    use std::sync::Arc;

    use bytes::Bytes;
    use futures_util::stream;
    use tempfile::TempDir;
    use tokio::sync::Notify;

    use super::*;

    const LARGEST: u64 = 100;

    fn version(size: Option<u64>) -> Version {
        Version { entity_tag: Some("\"a\"".into()), modified: None, size_bytes: size }
    }

    fn cut() -> FetchError {
        FetchError::Broken { url: "u".into(), reason: "cut".into() }
    }

    fn body(start: u64, size: Option<u64>, parts: Vec<Result<&'static [u8], FetchError>>) -> Body {
        let parts = parts.into_iter().map(|part| part.map(Bytes::from_static));
        Body { start, version: version(size), bytes: stream::iter(parts).boxed() }
    }

    fn partial() -> (TempDir, Partial) {
        let folder = tempfile::tempdir().unwrap();
        let partial = Partial::of("https://example.org/a", folder.path());
        (folder, partial)
    }

    #[tokio::test]
    async fn a_whole_file_comes_with_its_sum_and_every_byte_is_told() {
        let (_folder, partial) = partial();
        let told = Cell::new(0);
        let parts = vec![Ok(&b"ab"[..]), Ok(b""), Ok(b"c")];
        let heard = |bytes| told.set(told.get() + bytes);
        let received = partial.receive(body(0, Some(3), parts), LARGEST, heard).await.unwrap();
        assert_eq!((received.size_bytes, told.get()), (3, 3));
        assert_eq!(received.sha256, sys::sha256("abc"));
        assert_eq!(fs::read(&partial.data).unwrap(), b"abc");
    }

    #[tokio::test]
    async fn an_empty_file_is_a_file_whose_size_is_then_known() {
        let (_folder, partial) = partial();
        let received = partial.receive(body(0, None, vec![]), LARGEST, |_| ()).await.unwrap();
        assert_eq!((received.size_bytes, received.version.size_bytes), (0, Some(0)));
    }

    #[tokio::test]
    async fn a_broken_transfer_goes_on_where_it_ended() {
        let (_folder, partial) = partial();
        assert_eq!(partial.wish(), None);
        let first = partial.receive(body(0, Some(6), vec![Ok(b"abc"), Err(cut())]), LARGEST, |_| ()).await;
        assert!(first.unwrap_err().is_transient());
        assert_eq!(partial.wish(), Some(Wish::From(3, version(Some(6)))));
        let rest = partial.receive(body(3, Some(6), vec![Ok(b"def")]), LARGEST, |_| ()).await.unwrap();
        assert_eq!(rest.sha256, sys::sha256("abcdef"));
    }

    /// Gathers these parts from a byte on and waits for more, until whoever asked no longer waits.
    async fn is_cut_off(partial: &Partial, start: u64, parts: &[&[u8]]) {
        let is_dealt_with = Arc::new(Notify::new());
        let tells = Arc::clone(&is_dealt_with);
        let no_more = stream::once(async move {
            tells.notify_one();
            future::pending().await
        });
        let parts: Vec<_> = parts.iter().map(|part| Ok(Bytes::copy_from_slice(part))).collect();
        let body = Body { start, version: version(None), bytes: stream::iter(parts).chain(no_more).boxed() };
        tokio::select! {
            received = partial.receive(body, 2 * DURABLE_STEP, |_| ()) => panic!("{received:?}"),
            () = is_dealt_with.notified() => {}
        }
    }

    /// A process that is killed leaves a file whose length says nothing: after a power cut it may be zeros.
    #[tokio::test]
    async fn of_what_another_process_left_only_that_counts_which_was_made_durable() {
        let (folder, partial) = partial();
        let large = vec![b'a'; DURABLE_STEP as usize];
        for (part, certain) in [(&b"abc"[..], None), (&large, Some(DURABLE_STEP))] {
            is_cut_off(&partial, 0, &[part]).await;
            let left = Partial::of("https://example.org/a", folder.path());
            assert_eq!(left.wish(), certain.map(|bytes| Wish::From(bytes, version(None))));
        }
    }

    #[tokio::test]
    async fn what_a_process_added_itself_counts_before_it_is_durable() {
        let (folder, partial) = partial();
        is_cut_off(&partial, 0, &[&vec![b'a'; DURABLE_STEP as usize]]).await;
        let next = Partial::of("https://example.org/a", folder.path());
        // The last part may still be on its way to the file; the one before has reached it.
        is_cut_off(&next, DURABLE_STEP, &[b"abc", b"def"]).await;
        let Some(Wish::From(bytes, _)) = next.wish() else { panic!("nothing is certain") };
        assert!(bytes >= DURABLE_STEP + 3, "{bytes}");
    }

    #[tokio::test]
    async fn a_server_that_begins_anew_is_followed() {
        let (_folder, partial) = partial();
        partial.receive(body(0, Some(6), vec![Ok(b"abc"), Err(cut())]), LARGEST, |_| ()).await.unwrap_err();
        let whole = partial.receive(body(0, Some(2), vec![Ok(b"xy")]), LARGEST, |_| ()).await.unwrap();
        assert_eq!((whole.sha256, whole.size_bytes), (sys::sha256("xy"), 2));
    }

    #[tokio::test]
    async fn a_short_file_is_kept_and_a_long_one_is_not() {
        let (_folder, partial) = partial();
        let short = partial.receive(body(0, Some(6), vec![Ok(b"abc")]), LARGEST, |_| ()).await.unwrap_err();
        assert!(short.to_string().contains("it ended after 3 of 6 bytes"), "{short}");
        assert!(partial.wish().is_some());
        let long = partial.receive(body(0, Some(2), vec![Ok(b"abc")]), LARGEST, |_| ()).await.unwrap_err();
        assert!(long.is_transient() && long.to_string().contains("more than the announced 2"), "{long}");
        assert!(partial.wish().is_none() && !partial.data.exists());
    }

    #[tokio::test]
    async fn what_is_too_large_is_refused_before_or_while_it_comes() {
        let (_folder, partial) = partial();
        let announced = partial.receive(body(0, Some(101), vec![Ok(b"a")]), LARGEST, |_| ()).await;
        assert!(
            matches!(announced, Err(FetchError::TooLarge { largest_bytes: LARGEST, .. })),
            "{announced:?}"
        );
        assert!(!partial.data.exists());
        let found = partial.receive(body(0, None, vec![Ok(&[0; 60]), Ok(&[0; 60])]), LARGEST, |_| ()).await;
        assert!(matches!(found, Err(FetchError::TooLarge { .. })), "{found:?}");
        assert!(!partial.data.exists());
    }
}
