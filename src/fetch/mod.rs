//! Fetching: moves bytes and knows no product.
//!
//! * A [`Transport`] speaks one protocol to one server: lists a folder, opens a file from some byte on. `http` (with THREDDS
//!   catalogs, or with pages of links), `ftp` (also over TLS), `object_store` (S3), `folder`.
//! * [`Fetcher`] asks again (`retry`), resumes, holds the limits (`transfer`), and keeps what it got by its content (`cache`).
//!
//! A [`SecretAddress`] is another thing: a service that is told something.
//!
//! Text from outside never becomes a path or a URL unchecked: a name that is more than one plain part of a path is left out of listings.
//! How much of a listing is taken is limited (`bounds`).

mod address;
mod authorities;
mod bounds;
mod cache;
mod credentials;
mod error;
mod fetcher;
mod folder;
mod ftp;
mod http;
mod object_store;
mod retry;
mod secret_address;
mod transfer;

use std::fmt;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::stream::BoxStream;
use serde::{Deserialize, Serialize};

use crate::sys;
use crate::text::is_plain;

pub use self::object_store::{ObjectStoreTransport, Purpose, S3Settings, cause_of_store_error, s3};
pub use authorities::read as read_authorities;
pub use cache::kept_file;
pub use credentials::Credentials;
pub use error::FetchError;
pub use fetcher::{Fetched, Fetcher};
pub use folder::FolderTransport;
pub use ftp::FtpTransport;
pub use http::{HttpTransport, index, thredds};
pub use secret_address::SecretAddress;

/// One file that a server offers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Remote {
    /// The file's name, without folders; never empty, `.` or `..`, never with `/`, `\`, or a character that is not plain.
    pub name: String,
    /// What the transport needs to open it: a path below the server's root.
    pub path: String,
    /// Its size as the listing has it, bytes.
    pub size_bytes: Option<u64>,
}

/// What tells one version of a remote file from another; compared as a whole, never read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// A strong entity tag, where the server gives one.
    pub entity_tag: Option<String>,
    /// When it was last changed, in the server's words.
    pub modified: Option<String>,
    /// Its whole size, bytes.
    pub size_bytes: Option<u64>,
}

/// What is asked of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// The whole file.
    Whole,
    /// The whole file, unless it still is this version.
    UnlessStill(Version),
    /// The file from this byte on, if it still is this version; else the whole of it.
    From(u64, Version),
}

/// What a server gives.
#[derive(Debug)]
pub enum Reply {
    /// It still is the version that was named.
    Unchanged,
    /// Bytes.
    Body(Body),
}

/// A file on its way.
pub struct Body {
    /// The first byte that comes: 0, or what was wished for.
    pub start: u64,
    /// The version that is being sent; its `size_bytes` is that of the whole file.
    pub version: Version,
    /// The bytes. An end without an error means that the server has ended; whether all came is for the caller to compare.
    pub bytes: BoxStream<'static, Result<Bytes, FetchError>>,
}

impl fmt::Debug for Body {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Body")
            .field("start", &self.start)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// One protocol to one server. It tries once; who asks again is [`Fetcher`].
#[async_trait]
pub trait Transport: Send + Sync + fmt::Debug {
    /// The files of a folder, sorted by name; folders inside it are not looked into.
    ///
    /// # Errors
    /// [`FetchError::NotFound`] where there is no such folder, [`FetchError::TooMany`] where it holds more files than it may; else as it
    /// went wrong.
    async fn list(&self, folder: &str) -> Result<Vec<Remote>, FetchError>;

    /// Opens a file.
    ///
    /// # Errors
    /// [`FetchError::NotFound`] where there is no such file; else as it went wrong.
    async fn open(&self, file: &Remote, wish: &Wish) -> Result<Reply, FetchError>;

    /// The address of a path, for people: never with credentials.
    fn url(&self, path: &str) -> String;
}

/// Whether a name from outside is one plain part of a path.
#[must_use]
pub fn is_plain_name(name: &str) -> bool {
    !matches!(name, "" | "." | "..")
        && name.len() < 256
        && !name.contains(['/', '\\'])
        && name.chars().all(is_plain)
}

/// Whether every part of a path from outside is a plain one; the empty path, which means the root, is.
fn is_plain_path(path: &str) -> bool {
    path.is_empty() || path.split('/').all(is_plain_name)
}

/// SHA-256 of a file, hexadecimal; the file is streamed.
///
/// # Errors
/// [`FetchError::Local`] when it cannot be read.
pub fn sha256(path: &Path) -> Result<String, FetchError> {
    sys::sha256_of_file(path).map_err(|source| FetchError::Local { path: path.to_owned(), source })
}

/// The files of the cache in `folder` that were not used since `before`, with their sizes, bytes; unless this is a `rehearsal` they are
/// given up, and fetched again should they be needed.
///
/// # Errors
/// [`FetchError::Local`].
pub fn give_up_unused(
    folder: &Path,
    before: DateTime<Utc>,
    rehearsal: bool,
) -> Result<Vec<(PathBuf, u64)>, FetchError> {
    cache::Cache::new(folder, u64::MAX).give_up_unused(before, rehearsal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_could_be_shown_as_another_is_none() {
        for name in ["ice_conc_nh_202204151200.nc", "W_XX-ESA,SMOS_CS2,NH.nc", "Søndre (2).nc"] {
            assert!(is_plain_name(name), "{name}");
        }
        let evil = "\u{0}\n\r\u{7f}\u{9b}\u{200b}\u{200f}\u{2028}\u{202e}\u{2060}\u{2069}\u{feff}/\\";
        for character in evil.chars() {
            assert!(!is_plain_name(&format!("ice{character}.nc")), "{character:?}");
        }
        for name in ["", ".", "..", &"x".repeat(256)] {
            assert!(!is_plain_name(name), "{name}");
        }
        assert!(
            is_plain_path("") && is_plain_path("2026/03/ice.nc") && !is_plain_path("2026/\u{202e}/ice.nc")
        );
    }
}
