//! HTTP(S): folders are THREDDS catalogs or pages of links, files are plain GET.

mod answer;
pub mod index;
pub mod thredds;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use percent_encoding::percent_decode_str;
use reqwest::header::{ACCEPT_ENCODING, HeaderMap};
use reqwest::redirect::{Action, Attempt, Policy};
use reqwest::{Certificate, Client, Response, StatusCode};
use secrecy::ExposeSecret;
use url::Url;

use super::Credentials;
use super::bounds::{refuse_if_too_large, refuse_if_too_many};
use super::{
    Body, FetchError, Remote, Reply, Transport, Version, Wish, address, authorities, is_plain_name,
    is_plain_path,
};
use crate::config::{Fetching, Server, ServerKind};
use crate::text::excerpt;

pub(super) use answer::{causes, retry_after};

/// A server that sends on more often than that leads nowhere.
const MOST_REDIRECTS: usize = 5;
/// The place that a catalog names for its files is at most so long, bytes: it is part of the path of every one of them.
const LONGEST_PLACE: usize = 1024;

/// Speaks HTTP to one server.
pub struct HttpTransport {
    client: Client,
    /// Ends with `/`.
    root: Url,
    /// How a folder is listed.
    listing: Listing,
    credentials: Option<Credentials>,
    /// How long a transfer may be without a byte.
    stall: Duration,
}

#[derive(Debug, Clone, Copy)]
enum Listing {
    Catalog,
    Index,
}

impl HttpTransport {
    /// Prepares to speak to the server of that name; nothing is sent yet. The proxy comes from the environment.
    ///
    /// # Errors
    /// [`FetchError::Server`] where its configuration cannot be used.
    pub fn new(
        name: &str,
        server: &Server,
        fetching: &Fetching,
        credentials: Option<Credentials>,
    ) -> Result<Self, FetchError> {
        let refuse = |reason: String| FetchError::Server { server: name.to_owned(), reason };
        let stall = Duration::from_secs(fetching.stall_seconds);
        let client = Client::builder()
            .user_agent(concat!("nilas/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(fetching.connect_seconds))
            .read_timeout(stall)
            .redirect(Policy::custom(follow))
            .referer(false)
            .tls_certs_merge(trusted(server).map_err(refuse)?)
            .build()
            .map_err(|error| {
                refuse(format!("{error:?}; check the authorities that the system trusts, and the proxy"))
            })?;
        let listing = if server.kind == ServerKind::Thredds { Listing::Catalog } else { Listing::Index };
        Ok(Self { client, root: root(&server.address).map_err(refuse)?, listing, credentials, stall })
    }

    /// Asks for an address; an answer that is an error becomes one.
    async fn get(&self, address: &Url, conditions: HeaderMap) -> Result<Response, FetchError> {
        let mut request =
            self.client.get(address.clone()).header(ACCEPT_ENCODING, "identity").headers(conditions);
        if let Some(Credentials { user, password }) = &self.credentials {
            request = request.basic_auth(user, Some(password.expose_secret()));
        }
        let response = request.send().await;
        let response = response.map_err(|error| answer::failure(address.as_str(), &error, self.stall))?;
        answer::refusal(address.as_str(), &response).map_or(Ok(response), Err)
    }

    /// A listing, whole.
    async fn page(&self, address: &Url) -> Result<Vec<u8>, FetchError> {
        let mut response = self.get(address, HeaderMap::new()).await?;
        if response.status() != StatusCode::OK {
            return Err(answer::unexpected(address.as_str(), response.status()));
        }
        let mut page = Vec::new();
        while let Some(part) =
            response.chunk().await.map_err(|error| answer::failure(address.as_str(), &error, self.stall))?
        {
            page.extend_from_slice(&part);
            refuse_if_too_large(page.len(), address.as_str())?;
        }
        Ok(page)
    }

    async fn catalog(&self, folder: &str) -> Result<Vec<Remote>, FetchError> {
        let address = address::below(&self.root, &format!("catalog/{folder}/catalog.xml"));
        let page = self.page(&address).await?;
        self.catalogued(&page, &address, folder)
    }

    /// The files of a folder, by the text of its catalog.
    fn catalogued(&self, page: &[u8], address: &Url, folder: &str) -> Result<Vec<Remote>, FetchError> {
        let wrong = |reason| FetchError::Answer { url: address.to_string(), reason };
        let catalog = thredds::parse(page).map_err(wrong)?;
        let base = self.service_base(address, catalog.http_base.as_deref()).map_err(wrong)?;
        let start = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let entries = catalog.datasets.len();
        refuse_if_too_many(entries, address.as_str())?;
        // Files of another folder do not say that this one is empty: the provider has moved it, and people have to be told.
        if let Some(elsewhere) = catalog.only_elsewhere(&start) {
            let named = excerpt(elsewhere);
            return Err(wrong(format!("the catalog has only files of other folders, such as \"{named}\"")));
        }
        let files = catalog.datasets.into_iter().filter_map(|dataset| {
            let name = dataset.url_path.strip_prefix(&start).filter(|name| is_plain_name(name))?;
            let path = format!("{base}{}", dataset.url_path);
            Some(Remote { name: name.to_owned(), path, size_bytes: dataset.size_bytes })
        });
        let files: Vec<Remote> = files.collect();
        if files.len() < entries {
            tracing::debug!(%address, entries = entries - files.len(), "left out of the listing: they lie elsewhere");
        }
        Ok(files)
    }

    /// Where the files of a catalog are served, below the root: empty, or with `/` at its end.
    fn service_base(&self, catalog: &Url, named: Option<&str>) -> Result<String, String> {
        let Some(named) = named else { return Ok("fileServer/".to_owned()) };
        if named.len() > LONGEST_PLACE {
            return Err(format!(
                "the catalog names a place for its files that is longer than {LONGEST_PLACE} bytes"
            ));
        }
        let outside = || {
            format!(
                "the catalog says that its files lie at \"{}\", outside the server's root",
                excerpt(named)
            )
        };
        let base = catalog
            .join(named)
            .ok()
            .filter(|base| base.origin() == self.root.origin())
            .ok_or_else(outside)?;
        let below = base.path().strip_prefix(self.root.path()).ok_or_else(outside)?.trim_end_matches('/');
        let below = percent_decode_str(below).decode_utf8().map_err(|_| outside())?;
        match &*below {
            "" => Ok(String::new()),
            below if is_plain_path(below) => Ok(format!("{below}/")),
            _ => Err(outside()),
        }
    }

    async fn index(&self, folder: &str) -> Result<Vec<Remote>, FetchError> {
        let address = as_folder(address::below(&self.root, folder));
        let names = index::parse(&self.page(&address).await?, &address)
            .map_err(|reason| FetchError::Answer { url: address.to_string(), reason })?;
        refuse_if_too_many(names.len(), address.as_str())?;
        let files = names.into_iter().filter(|name| is_plain_name(name)).map(|name| Remote {
            path: address::join(folder, &name),
            name,
            size_bytes: None,
        });
        Ok(files.collect())
    }

    fn body(&self, address: Url, start: u64, version: Version, response: Response) -> Reply {
        let stall = self.stall;
        let bytes = response.bytes_stream();
        let bytes =
            bytes.map(move |part| part.map_err(|error| answer::failure(address.as_str(), &error, stall)));
        Reply::Body(Body { start, version, bytes: bytes.boxed() })
    }

    fn whole(&self, address: Url, response: Response) -> Result<Reply, FetchError> {
        if response.status() != StatusCode::OK {
            return Err(answer::unexpected(address.as_str(), response.status()));
        }
        let version = answer::version(response.headers(), response.content_length());
        Ok(self.body(address, 0, version, response))
    }
}

impl fmt::Debug for HttpTransport {
    /// Without the client, which knows the proxy and what it asks for.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("HttpTransport")
            .field("root", &self.root.as_str())
            .field("listing", &self.listing)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Transport for HttpTransport {
    async fn list(&self, folder: &str) -> Result<Vec<Remote>, FetchError> {
        address::refuse_unless_plain(&self.root, folder)?;
        let mut files = match self.listing {
            Listing::Catalog => self.catalog(folder).await?,
            Listing::Index => self.index(folder).await?,
        };
        files.sort();
        files.dedup_by(|one, other| one.name == other.name);
        Ok(files)
    }

    async fn open(&self, file: &Remote, wish: &Wish) -> Result<Reply, FetchError> {
        address::refuse_unless_plain(&self.root, &file.path)?;
        let address = address::below(&self.root, &file.path);
        let response = self.get(&address, answer::conditions(wish)).await?;
        match (wish, response.status()) {
            (Wish::UnlessStill(_), StatusCode::NOT_MODIFIED) => Ok(Reply::Unchanged),
            (Wish::UnlessStill(known), StatusCode::OK) if answer::can_be_told(known) => {
                // A server that does not heed conditions still says which version it sends.
                let found = answer::version(response.headers(), response.content_length());
                if found == *known { Ok(Reply::Unchanged) } else { self.whole(address, response) }
            }
            (Wish::From(start, wished), StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE) => {
                match answer::continued(response.headers(), *start, wished) {
                    Some(version) => Ok(self.body(address, *start, version, response)),
                    None => self.whole(address.clone(), self.get(&address, HeaderMap::new()).await?),
                }
            }
            _ => self.whole(address, response),
        }
    }

    fn url(&self, path: &str) -> String {
        address::below(&self.root, path).into()
    }
}

/// The address of the folder that everything lies below.
fn root(address: &str) -> Result<Url, String> {
    address::parse(address, &["https", "http"]).map(as_folder)
}

/// The same address with `/` at its end.
fn as_folder(mut address: Url) -> Url {
    // There always are segments: the scheme is that of HTTP.
    if let Ok(mut segments) = address.path_segments_mut() {
        segments.pop_if_empty().push("");
    }
    address
}

/// The authorities that are trusted beside the system's.
fn trusted(server: &Server) -> Result<Vec<Certificate>, String> {
    let found = authorities::read(server.authorities.as_deref())?;
    let certificates = found.iter().map(|certificate| Certificate::from_der(certificate));
    certificates.collect::<Result<_, _>>().map_err(|error| format!("authorities cannot be used ({error})"))
}

/// Whether a redirect is followed. The client itself drops credentials where it leads to another host or port.
pub(super) fn follow(attempt: Attempt<'_>) -> Action {
    let encrypted = attempt.previous().last().is_some_and(|previous| previous.scheme() == "https");
    if attempt.previous().len() > MOST_REDIRECTS {
        attempt.error(format!("more than {MOST_REDIRECTS} redirects"))
    } else if attempt.previous().contains(attempt.url()) {
        attempt.error("the redirects lead back to where they began")
    } else if encrypted && attempt.url().scheme() != "https" {
        attempt.error("a redirect leads away from encryption")
    } else {
        attempt.follow()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fetching() -> Fetching {
        Fetching {
            connect_seconds: 1,
            stall_seconds: 1,
            try_seconds: 1,
            deadline_seconds: 1,
            shortest_pause_seconds: 0.0,
            longest_pause_seconds: 0.0,
            largest_file_megabytes: 1,
            cache_megabytes: 1,
        }
    }

    fn transport(address: &str) -> Result<HttpTransport, FetchError> {
        let server = Server {
            kind: ServerKind::Thredds,
            address: address.into(),
            connections: 1,
            credentials: None,
            authorities: None,
            region: None,
        };
        HttpTransport::new("test", &server, &fetching(), None)
    }

    #[test]
    fn names_are_encoded_part_by_part() {
        let transport = transport("https://example.org/thredds").unwrap();
        assert_eq!(transport.url("a/100% b#?.nc"), "https://example.org/thredds/a/100%25%20b%23%3F.nc");
        assert_eq!(transport.url("W_XX-ESA,NH.nc"), "https://example.org/thredds/W_XX-ESA,NH.nc");
        assert_eq!(root("https://example.org/thredds").unwrap().as_str(), "https://example.org/thredds/");
    }

    #[test]
    fn a_catalog_of_another_folder_does_not_pass_for_an_empty_one() {
        let transport = transport("https://example.org/thredds/").unwrap();
        let address = address::below(&transport.root, "catalog/a/catalog.xml");
        let listed = |datasets: &str| {
            transport.catalogued(format!("<catalog>{datasets}</catalog>").as_bytes(), &address, "a")
        };
        let [here, elsewhere, below] =
            ["a/x.nc", "b/x.nc", "a/b/x.nc"].map(|path| format!("<dataset urlPath='{path}'/>"));
        assert_eq!(listed(&format!("{elsewhere}{here}")).unwrap().len(), 1);
        assert!(listed("").unwrap().is_empty());
        assert!(listed(&below).unwrap().is_empty());
        assert!(listed("<dataset urlPath='latest.xml'/>").unwrap().is_empty());
        let error = listed(&elsewhere).unwrap_err();
        assert!(
            matches!(&error, FetchError::Answer { reason, .. } if reason.contains("\"b/x.nc\"")),
            "{error}"
        );
    }

    #[test]
    fn files_are_served_below_the_root_or_not_at_all() {
        let transport = transport("https://example.org/thredds/").unwrap();
        let catalog = address::below(&transport.root, "catalog/a/catalog.xml");
        let base = |named: Option<&str>| transport.service_base(&catalog, named);
        assert_eq!(base(None).unwrap(), "fileServer/");
        assert_eq!(base(Some("/thredds/fileServer/")).unwrap(), "fileServer/");
        assert_eq!(base(Some("https://example.org/thredds/files")).unwrap(), "files/");
        for named in [
            "https://evil.example/thredds/",
            "//evil.example/thredds/",
            "/other/",
            "/thredds/../x/",
            "/thredds/a%2F..%2F/",
        ] {
            assert!(base(Some(named)).unwrap_err().contains("outside"), "{named}");
        }
        let long = base(Some(&format!("/other/{}", "ä".repeat(500)))).unwrap_err();
        assert!(long.contains("outside") && long.chars().count() < 300, "{long}");
        // It would stand before the name of each file.
        let longer = base(Some(&format!("/thredds/{}", "a/".repeat(600)))).unwrap_err();
        assert!(longer.contains("longer than 1024 bytes"), "{longer}");
    }
}
