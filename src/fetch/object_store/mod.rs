//! S3 and what speaks like it, with the bucket in the path. Folders are the beginnings of names there, so that an empty folder and one
//! that does not exist are the same: both list nothing.

mod refusal;

use std::fmt;
use std::path::Path as FilePath;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::{StreamExt, TryStreamExt};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::list::{PaginatedListOptions, PaginatedListResult, PaginatedListStore};
use object_store::path::Path;
use object_store::{Error, GetOptions, GetRange, GetResult, ObjectMeta, ObjectStore, RetryConfig};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client};
use secrecy::ExposeSecret;
use url::Url;

use crate::config::{Fetching, Server};

use super::bounds::refuse_if_too_many;
use super::http::follow;
use super::{
    Body, Credentials, FetchError, Remote, Reply, Transport, Version, Wish, address, authorities,
    is_plain_name,
};
pub use refusal::cause as cause_of_store_error;
use refusal::{Connector, cause, failure, is_of_another_version};

/// An S3-compatible store.
pub struct ObjectStoreTransport {
    /// Its address, with bucket and folder.
    address: Url,
    /// The folder that the address names.
    root: Path,
    store: AmazonS3,
}

impl fmt::Debug for ObjectStoreTransport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ObjectStoreTransport")
            .field("address", &self.address.as_str())
            .finish_non_exhaustive()
    }
}

impl ObjectStoreTransport {
    /// A store that is asked with a signature where there are credentials, else without. Nothing is connected yet.
    ///
    /// # Errors
    /// [`FetchError::Server`] when its address or authorities cannot be used.
    pub fn new(
        name: &str,
        server: &Server,
        fetching: &Fetching,
        credentials: Option<Credentials>,
    ) -> Result<Self, FetchError> {
        let refuse = |reason: String| FetchError::Server { server: name.to_owned(), reason };
        let settings = S3Settings {
            address: &server.address,
            region: server.region.as_deref(),
            authorities: server.authorities.as_deref(),
            connect: Duration::from_secs(fetching.connect_seconds),
            stall: Duration::from_secs(fetching.stall_seconds),
            purpose: Purpose::Read,
        };
        let address = address::parse(&server.address, &["https", "http"]).map_err(refuse)?;
        let (builder, root) = s3(&settings, credentials).map_err(refuse)?;
        let store = builder
            .with_retry(RetryConfig { max_retries: 0, ..RetryConfig::default() })
            .build()
            .map_err(|error| refuse(format!("{error}; correct the server in the configuration")))?;
        Ok(Self { address, root, store })
    }

    /// The name of a path in the bucket.
    fn key(&self, path: &str) -> Result<Path, FetchError> {
        address::refuse_unless_plain(&self.address, path)?;
        let key = Path::parse(address::join(self.root.as_ref(), path));
        key.map_err(|error| FetchError::Answer { url: self.url(path), reason: error.to_string() })
    }

    /// What lies right in a folder, page by page: a store may go on for as long as it likes.
    async fn objects(&self, folder: &str, key: &Path) -> Result<Vec<ObjectMeta>, FetchError> {
        let url = self.url(folder);
        let prefix = (!key.as_ref().is_empty()).then(|| format!("{key}/"));
        let (mut objects, mut folders, mut next) = (Vec::new(), 0, None);
        loop {
            let options = PaginatedListOptions {
                delimiter: Some("/".into()),
                page_token: next,
                ..PaginatedListOptions::default()
            };
            let page = self.store.list_paginated(prefix.as_deref(), options).await;
            let PaginatedListResult { result, page_token } = page.map_err(|error| failure(&url, &error))?;
            objects.extend(result.objects);
            folders += result.common_prefixes.len();
            refuse_if_too_many(objects.len() + folders, &url)?;
            next = page_token.filter(|token| !token.is_empty());
            if next.is_none() {
                return Ok(objects);
            }
        }
    }

    fn body(&self, path: &str, found: GetResult) -> Body {
        let url = self.url(path);
        let version = Version {
            entity_tag: found.meta.e_tag.clone(),
            modified: Some(found.meta.last_modified.to_rfc3339()),
            size_bytes: Some(found.meta.size),
        };
        let start = found.range.start;
        let broken = move |error: Error| FetchError::Broken { url: url.clone(), reason: cause(&error) };
        Body { start, version, bytes: found.into_stream().map_err(broken).boxed() }
    }
}

/// How an S3-compatible store is spoken to.
#[derive(Debug, Clone)]
pub struct S3Settings<'a> {
    /// `https://host/bucket`, with a folder behind it or not.
    pub address: &'a str,
    /// Its region.
    pub region: Option<&'a str>,
    /// A file with authorities that its certificate may come from, beside those that the system trusts.
    pub authorities: Option<&'a FilePath>,
    /// What a connection may take.
    pub connect: Duration,
    /// What may pass without a byte.
    pub stall: Duration,
    /// What it is asked for.
    pub purpose: Purpose,
}

/// What a store is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Its files. It may send elsewhere for them, as any data server may.
    Read,
    /// To take files. It may not send elsewhere.
    Write,
}

/// What leads to a store that is asked with a signature where there are credentials, else without, and the folder in it that the
/// address names.
///
/// # Errors
/// In words, with the remedy, where address or authorities cannot be used.
pub fn s3(
    settings: &S3Settings<'_>,
    credentials: Option<Credentials>,
) -> Result<(AmazonS3Builder, Path), String> {
    let address = address::parse(settings.address, &["https", "http"])?;
    let (bucket, root) = place_of(&address)?;
    let mut builder = AmazonS3Builder::new()
        .with_endpoint(address.origin().ascii_serialization())
        .with_bucket_name(bucket)
        .with_http_connector(Connector::new(client(settings, &address)?, settings.purpose));
    if let Some(region) = settings.region {
        builder = builder.with_region(region);
    }
    builder = match credentials {
        Some(own) => {
            builder.with_access_key_id(own.user).with_secret_access_key(own.password.expose_secret())
        }
        None => builder.with_skip_signature(true),
    };
    Ok((builder, root))
}

/// What speaks to a store.
fn client(settings: &S3Settings<'_>, address: &Url) -> Result<Client, String> {
    let authorities = authorities::read(settings.authorities)?;
    let authorities: Result<Vec<_>, _> =
        authorities.iter().map(|authority| Certificate::from_der(authority)).collect();
    let redirects = match settings.purpose {
        Purpose::Read => Policy::custom(follow),
        Purpose::Write => Policy::none(),
    };
    Client::builder()
        .user_agent(concat!("nilas/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(settings.connect)
        .read_timeout(settings.stall)
        .redirect(redirects)
        .referer(false)
        .tls_certs_merge(authorities.map_err(|error| error.to_string())?)
        .https_only(address.scheme() == "https")
        .http1_only()
        .build()
        .map_err(|error| format!("{error:?}; check the authorities that the system trusts, and the proxy"))
}

#[async_trait]
impl Transport for ObjectStoreTransport {
    async fn list(&self, folder: &str) -> Result<Vec<Remote>, FetchError> {
        let key = self.key(folder)?;
        let mut files: Vec<_> = self
            .objects(folder, &key)
            .await?
            .into_iter()
            // Some tools put an empty object where a folder is meant to be.
            .filter(|object| object.location != key)
            .filter_map(|object| {
                let name = object.location.filename().filter(|name| is_plain_name(name))?;
                let path = address::join(folder, name);
                Some(Remote { name: name.to_owned(), path, size_bytes: Some(object.size) })
            })
            .collect();
        files.sort();
        Ok(files)
    }

    async fn open(&self, file: &Remote, wish: &Wish) -> Result<Reply, FetchError> {
        let key = self.key(&file.path)?;
        let mut found = self.store.get_opts(&key, conditions(wish)).await;
        if found.as_ref().is_err_and(is_of_another_version) {
            found = self.store.get_opts(&key, GetOptions::default()).await;
        }
        match found {
            Ok(found) => Ok(Reply::Body(self.body(&file.path, found))),
            Err(Error::NotModified { .. }) => Ok(Reply::Unchanged),
            Err(error) => Err(failure(&self.url(&file.path), &error)),
        }
    }

    fn url(&self, path: &str) -> String {
        address::below(&self.address, path).into()
    }
}

/// How a wish is said. What has no tag is asked for whole: nothing else tells versions apart for certain.
fn conditions(wish: &Wish) -> GetOptions {
    let whole = GetOptions::default();
    match wish {
        Wish::UnlessStill(known) => GetOptions { if_none_match: known.entity_tag.clone(), ..whole },
        Wish::From(start, Version { entity_tag: Some(tag), size_bytes: Some(size), .. }) if start < size => {
            GetOptions { if_match: Some(tag.clone()), range: Some(GetRange::Offset(*start)), ..whole }
        }
        Wish::Whole | Wish::From(..) => whole,
    }
}

/// The bucket and the folder in it that an address names.
fn place_of(address: &Url) -> Result<(String, Path), String> {
    let folder = address::folder_of(address);
    let (bucket, root) = folder.split_once('/').unwrap_or((&folder, ""));
    let root = Path::parse(root).map_err(|error| format!("address = \"{address}\": {error}"))?;
    if bucket.is_empty() {
        return Err(format!(
            "address = \"{address}\" names no bucket; give one of the form https://host/bucket"
        ));
    }
    Ok((bucket.to_owned(), root))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::config::ServerKind;
    use crate::fetch::bounds::{LARGEST_LISTING, MOST_FILES};

    /// What speaks to the store behind a listener.
    fn transport(listener: &TcpListener) -> ObjectStoreTransport {
        let server = Server {
            kind: ServerKind::S3,
            address: format!("http://{}/bucket/days", listener.local_addr().unwrap()),
            connections: 1,
            credentials: None,
            authorities: None,
            region: None,
        };
        let fetching = Fetching {
            connect_seconds: 30,
            stall_seconds: 30,
            try_seconds: 30,
            deadline_seconds: 30,
            shortest_pause_seconds: 0.1,
            longest_pause_seconds: 1.0,
            largest_file_megabytes: 1,
            cache_megabytes: 1,
        };
        ObjectStoreTransport::new("store", &server, &fetching, None).unwrap()
    }

    /// The next connection, when its request has come.
    async fn asked(listener: &TcpListener) -> TcpStream {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = Vec::new();
        while !asked.ends_with(b"\r\n\r\n") {
            asked.push(stream.read_u8().await.unwrap());
        }
        stream
    }

    /// Lists a store that has the same page for every request.
    async fn listed(page: String) -> Result<Vec<Remote>, FetchError> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let transport = transport(&listener);
        let store = tokio::spawn(async move {
            let head =
                format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", page.len());
            loop {
                let mut stream = asked(&listener).await;
                stream.write_all(head.as_bytes()).await.unwrap();
                // A client that has had enough goes away.
                let _ = stream.write_all(page.as_bytes()).await;
            }
        });
        let listed = transport.list("").await;
        store.abort();
        listed
    }

    /// A page of so many files, and what it says of the next.
    fn page(files: usize, next: &str) -> String {
        let file = |number| {
            let key = format!("<Key>days/{number}.nc</Key>");
            format!(
                "<Contents>{key}<Size>1</Size><LastModified>2026-03-01T00:00:00Z</LastModified></Contents>"
            )
        };
        let files: String = (0..files).map(file).collect();
        format!("<ListBucketResult>{files}{next}</ListBucketResult>")
    }

    #[tokio::test]
    async fn a_store_whose_pages_do_not_end_is_left() {
        assert_eq!(listed(page(1000, "")).await.unwrap().len(), 1000);
        assert_eq!(listed(page(1000, "<NextContinuationToken/>")).await.unwrap().len(), 1000);
        let more = "<NextContinuationToken>on</NextContinuationToken>";
        let error = listed(page(1000, more)).await.unwrap_err();
        assert!(matches!(error, FetchError::TooMany { most: MOST_FILES, .. }), "{error}");
    }

    #[tokio::test]
    async fn a_page_without_end_is_broken_off() {
        let error = listed(page(1, &" ".repeat(LARGEST_LISTING))).await.unwrap_err();
        let FetchError::Answer { reason, .. } = &error else { panic!("{error}") };
        assert!(reason.contains("larger than 8388608 bytes"), "{reason}");
    }

    /// What is said to be so long would be given so much memory once a second piece of it is there.
    #[tokio::test]
    async fn what_comes_with_a_condition_that_failed_is_not_read() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let transport = transport(&listener);
        let store = tokio::spawn(async move {
            loop {
                let mut stream = asked(&listener).await;
                let begin =
                    b"HTTP/1.1 412 Precondition Failed\r\nContent-Length: 4611686018427387904\r\n\r\na";
                stream.write_all(begin).await.unwrap();
                tokio::time::sleep(Duration::from_millis(50)).await;
                // A client that has had enough goes away.
                let _ = stream.write_all(b"b").await;
            }
        });
        let file = Remote { name: "1.nc".into(), path: "1.nc".into(), size_bytes: None };
        let version = Version { entity_tag: Some("\"1\"".into()), modified: None, size_bytes: Some(9) };
        transport.open(&file, &Wish::From(1, version)).await.unwrap_err();
        transport.list("").await.unwrap_err();
        store.abort();
    }
}
