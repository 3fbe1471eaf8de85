//! Lists and fetches from the configured servers: patiently, not too many at once, nothing twice.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::Semaphore;

use super::cache::{Cache, Known};
use super::credentials::Credentials;
use super::folder::FolderTransport;
use super::ftp::FtpTransport;
use super::http::HttpTransport;
use super::object_store::ObjectStoreTransport;
use super::retry::Patience;
use super::transfer::{Partial, Received};
use super::{FetchError, Remote, Reply, Transport, Wish, is_plain_name};
use crate::config::{Fetching, Server, ServerKind};
use crate::progress::Transfers;
use crate::time::Clock;

const MEGABYTE: u64 = 1_000_000;

/// A file that is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Where it lies; read it, do not change it.
    pub path: PathBuf,
    /// Its name on the server.
    pub name: String,
    /// Where it came from.
    pub url: String,
    /// SHA-256 of its bytes, hexadecimal.
    pub sha256: String,
    /// Its size, bytes; 0 is possible.
    pub size_bytes: u64,
    /// What was transferred for it just now, bytes: 0 where it was here already.
    pub transferred_bytes: u64,
    /// When its bytes came.
    pub fetched_at: DateTime<Utc>,
}

/// Lists folders and fetches files.
pub struct Fetcher {
    servers: BTreeMap<String, Reached>,
    patience: Patience,
    largest_bytes: u64,
    cache: Cache,
    clock: Arc<dyn Clock>,
    bars: Transfers,
}

/// A server, and how many may still speak to it.
#[derive(Debug)]
struct Reached {
    transport: Arc<dyn Transport>,
    /// Held from the first try to the last, so that a server in trouble is not asked by more. Never closed.
    slots: Semaphore,
}

/// A file while it is asked for.
struct Request<'a> {
    server: &'a Reached,
    file: &'a Remote,
    known: Option<Known>,
    partial: Partial,
    /// Over all tries, bytes.
    transferred: AtomicU64,
}

/// How a request ends well.
enum Outcome {
    /// The known file still is the one that the server has.
    Still(Known),
    /// A file has come.
    Came(Received),
}

impl Fetcher {
    /// Prepares to fetch into `<cache>/inputs`; nothing is sent yet.
    ///
    /// # Errors
    /// [`FetchError::Server`] where the configuration of a server cannot be used.
    pub fn new(
        servers: &BTreeMap<String, Server>,
        fetching: &Fetching,
        cache: &Path,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, FetchError> {
        let reach = |(name, server): (&String, &Server)| {
            if server.connections == 0 {
                let reason = "connections = 0 lets nobody speak to it; give at least 1".to_owned();
                return Err(FetchError::Server { server: name.clone(), reason });
            }
            let transport = transport(name, server, fetching)?;
            let slots = Semaphore::new(server.connections.min(Semaphore::MAX_PERMITS));
            Ok((name.clone(), Reached { transport, slots }))
        };
        Ok(Self {
            servers: servers.iter().map(reach).collect::<Result<_, _>>()?,
            patience: Patience::new(fetching),
            largest_bytes: fetching.largest_file_megabytes.saturating_mul(MEGABYTE),
            cache: Cache::new(cache, fetching.cache_megabytes.saturating_mul(MEGABYTE)),
            clock,
            bars: Transfers::new(),
        })
    }

    /// The files of a server's folder, sorted by name.
    ///
    /// # Errors
    /// [`FetchError::NotFound`] where there is no such folder, [`FetchError::GaveUp`] after all tries, others as they come.
    pub async fn list(&self, server: &str, folder: &str) -> Result<Vec<Remote>, FetchError> {
        let server = self.reached(server)?;
        let url = server.transport.url(folder);
        let _slot = server.slots.acquire().await;
        self.patience.persevere(&url, &*self.clock, self.seed(&url), || server.transport.list(folder)).await
    }

    /// Brings a file here, unless it is here already and unchanged.
    ///
    /// # Errors
    /// [`FetchError::NotFound`] where there is no such file, [`FetchError::GaveUp`] after all tries, others as they come.
    pub async fn fetch(&self, server: &str, file: &Remote) -> Result<Fetched, FetchError> {
        let server = self.reached(server)?;
        let url = server.transport.url(&file.path);
        if !is_plain_name(&file.name) {
            let reason = format!("\"{}\" is no plain file name", file.name.escape_default());
            return Err(FetchError::Answer { url, reason });
        }
        let _lock = self.cache.lock(&url, self.patience.deadline()).await?;
        let known = self.look_up(&url).await?;
        let request = Request {
            server,
            file,
            known,
            partial: self.cache.partial(&url),
            transferred: AtomicU64::new(0),
        };
        let _slot = server.slots.acquire().await;
        let begin = self.clock.monotonic();
        let attempt = || self.receive(&request);
        let outcome = match self.patience.persevere(&url, &*self.clock, self.seed(&url), attempt).await {
            Ok(outcome) => outcome,
            Err(error) => return Err(self.without(request.partial, error).await),
        };
        let transferred_bytes = request.transferred.load(Ordering::Relaxed);
        let known = match outcome {
            Outcome::Still(known) => known,
            Outcome::Came(received) => {
                report(&url, transferred_bytes, self.clock.monotonic().saturating_sub(begin));
                self.keep(request.partial, &url, &file.name, received).await?
            }
        };
        Ok(self.fetched(known, transferred_bytes))
    }

    /// The file with this sum and name, where the cache still has it; it counts as used.
    ///
    /// # Errors
    /// [`FetchError::Local`].
    pub async fn cached(&self, sha256: &str, name: &str) -> Result<Option<PathBuf>, FetchError> {
        let (cache, now) = (self.cache.clone(), self.clock.now());
        let (sha256, name) = (sha256.to_owned(), name.to_owned());
        self.aside(move || Ok(cache.find(&sha256, &name, now))).await
    }

    /// Forgets that a file was fetched, because it is of no use: the next time it is transferred again, whatever the server says of
    /// changes. A page of a proxy can be newer than the file that it stood for.
    ///
    /// # Errors
    /// [`FetchError::Local`].
    pub fn forget(&self, fetched: &Fetched) -> Result<(), FetchError> {
        self.cache.forget(&fetched.url)
    }

    /// The address of a path on a server, for people.
    #[must_use]
    pub fn url(&self, server: &str, path: &str) -> String {
        self.servers
            .get(server)
            .map_or_else(|| format!("{server}:{path}"), |server| server.transport.url(path))
    }

    fn reached(&self, name: &str) -> Result<&Reached, FetchError> {
        self.servers.get(name).ok_or_else(|| FetchError::Server {
            server: name.to_owned(),
            reason: format!("no such server is configured; add [servers.{name}]"),
        })
    }

    /// One try.
    async fn receive(&self, request: &Request<'_>) -> Result<Outcome, FetchError> {
        let Request { server, file, known, partial, transferred } = request;
        let unless_still = || known.as_ref().map(|known| Wish::UnlessStill(known.version.clone()));
        let wish = partial.wish().or_else(unless_still).unwrap_or(Wish::Whole);
        let body = match (server.transport.open(file, &wish).await?, known) {
            (Reply::Body(body), _) => body,
            (Reply::Unchanged, Some(known)) => return Ok(Outcome::Still(known.clone())),
            (Reply::Unchanged, None) => {
                let reason = "the server says that nothing has changed, which nobody asked".to_owned();
                return Err(FetchError::Answer { url: server.transport.url(&file.path), reason });
            }
        };
        let bar = self.bars.begin(&file.name, body.version.size_bytes);
        bar.advance(body.start);
        let arrived = |bytes| {
            bar.advance(bytes);
            transferred.fetch_add(bytes, Ordering::Relaxed);
        };
        partial.receive(body, self.largest_bytes, arrived).await.map(Outcome::Came)
    }

    /// Sees that what has come of a file that does not come takes no more room than it may.
    async fn without(&self, partial: Partial, error: FetchError) -> FetchError {
        // The other errors do not pass, and nobody goes on with it.
        if !matches!(error, FetchError::GaveUp { .. } | FetchError::Local { .. }) {
            partial.discard();
        }
        let (cache, now) = (self.cache.clone(), self.clock.now());
        let cut_back = self.aside(move || cache.cut_back(now)).await;
        cut_back.err().unwrap_or(error)
    }

    async fn look_up(&self, url: &str) -> Result<Option<Known>, FetchError> {
        let (cache, url, now) = (self.cache.clone(), url.to_owned(), self.clock.now());
        self.aside(move || Ok(cache.look_up(&url, now))).await
    }

    async fn keep(
        &self,
        partial: Partial,
        url: &str,
        name: &str,
        received: Received,
    ) -> Result<Known, FetchError> {
        let Received { version, sha256, size_bytes } = received;
        let (url, name) = (url.to_owned(), name.to_owned());
        let known = Known { url, version, sha256, name, size_bytes, fetched_at: self.clock.now() };
        let cache = self.cache.clone();
        self.aside(move || cache.keep(&partial, &known).map(|()| known)).await
    }

    /// Work with files of this machine, where waiting for its disks holds up nobody else.
    async fn aside<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, FetchError> + Send + 'static,
    ) -> Result<T, FetchError> {
        let stopped =
            |error| FetchError::Local { path: self.cache.root().to_owned(), source: io::Error::other(error) };
        tokio::task::spawn_blocking(work).await.map_err(stopped)?
    }

    fn fetched(&self, known: Known, transferred_bytes: u64) -> Fetched {
        let path = self.cache.path(&known);
        let Known { url, sha256, name, size_bytes, fetched_at, .. } = known;
        Fetched { path, name, url, sha256, size_bytes, transferred_bytes, fetched_at }
    }

    /// Another one for each address and each time, so that pauses differ.
    fn seed(&self, url: &str) -> u64 {
        let mut hasher = DefaultHasher::new();
        (url, self.clock.now()).hash(&mut hasher);
        hasher.finish()
    }
}

/// Says what a transfer took.
fn report(url: &str, bytes: u64, took: Duration) {
    let seconds = took.as_secs_f64();
    let rate = bytes as f64 / seconds.max(1e-3) / MEGABYTE as f64;
    let rounded = |value: f64| (value * 1000.0).round() / 1000.0;
    tracing::info!(url, bytes, seconds = rounded(seconds), megabytes_per_second = rounded(rate), "fetched");
}

/// Who speaks to a server.
fn transport(name: &str, server: &Server, fetching: &Fetching) -> Result<Arc<dyn Transport>, FetchError> {
    let credentials = Credentials::of(name, server)?;
    Ok(match server.kind {
        ServerKind::Thredds | ServerKind::Http => {
            Arc::new(HttpTransport::new(name, server, fetching, credentials)?)
        }
        ServerKind::Ftp | ServerKind::Ftps => {
            Arc::new(FtpTransport::new(name, server, fetching, credentials)?)
        }
        ServerKind::Folder => Arc::new(FolderTransport::new(Path::new(&server.address))),
        ServerKind::S3 => Arc::new(ObjectStoreTransport::new(name, server, fetching, credentials)?),
    })
}
