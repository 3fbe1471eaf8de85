//! FTP, plain and over TLS: one connection for each request. The proxies of the environment are for HTTP and take no part.

mod listing;
mod refusal;
mod session;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use url::{Host, Url};

use crate::config::{Fetching, Server, ServerKind};

use super::{Body, Credentials, FetchError, Remote, Reply, Transport, Version, Wish, address};
use listing::Kind;
use session::{Peer, Session};

/// A server that speaks FTP.
pub struct FtpTransport {
    /// Its address, as people know it.
    address: Url,
    /// The folder that the address names, from where the login leads: empty, or with `/` at its end.
    root: String,
    peer: Peer,
}

impl fmt::Debug for FtpTransport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("FtpTransport")
            .field("address", &self.address.as_str())
            .finish_non_exhaustive()
    }
}

impl FtpTransport {
    /// A server of kind [`ServerKind::Ftp`], or of kind [`ServerKind::Ftps`], which is sent nothing before TLS stands.
    /// Nothing is connected yet.
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
        let address = address::parse(&server.address, &["ftp"]).map_err(refuse)?;
        let root = match address::folder_of(&address) {
            folder if folder.contains(char::is_control) => {
                return Err(refuse("its address has a control character; correct it".to_owned()));
            }
            folder if folder.is_empty() => folder,
            folder => format!("{folder}/"),
        };
        let connector = match server.kind {
            ServerKind::Ftps => Some(session::connector(server.authorities.as_deref()).map_err(refuse)?),
            _ => None,
        };
        let peer = Peer {
            host: host_of(&address),
            port: address.port_or_known_default().unwrap_or_default(),
            connector,
            credentials,
            connect: Duration::from_secs(fetching.connect_seconds),
            stall: Duration::from_secs(fetching.stall_seconds),
        };
        Ok(Self { address, root, peer })
    }

    /// What the server is asked for, from where the login leads.
    fn path(&self, path: &str) -> Result<String, FetchError> {
        address::refuse_unless_plain(&self.address, path)?;
        Ok(format!("{}{path}", self.root))
    }
}

#[async_trait]
impl Transport for FtpTransport {
    async fn list(&self, folder: &str) -> Result<Vec<Remote>, FetchError> {
        let path = self.path(folder)?;
        let mut session = Session::open(&self.peer, &self.url(folder)).await?;
        session.enter(path.trim_end_matches('/')).await?;
        let mut files = Vec::new();
        for entry in session.entries().await? {
            let size_bytes = match entry.kind {
                Kind::File(size_bytes) => size_bytes,
                Kind::Link => match session.size(&entry.name).await {
                    Ok(size_bytes) => size_bytes,
                    // It leads to a folder, nowhere, or where we may not go.
                    Err(FetchError::NotFound { .. } | FetchError::Denied { .. }) => continue,
                    Err(error) => return Err(error),
                },
            };
            files.push(Remote { path: address::join(folder, &entry.name), name: entry.name, size_bytes });
        }
        files.sort();
        Ok(files)
    }

    async fn open(&self, file: &Remote, wish: &Wish) -> Result<Reply, FetchError> {
        let path = self.path(&file.path)?;
        let mut session = Session::open(&self.peer, &self.url(&file.path)).await?;
        let version = Version {
            entity_tag: None,
            size_bytes: session.size(&path).await?,
            modified: session.modified(&path).await?,
        };
        let start = match wish {
            Wish::UnlessStill(known) if is_still(known, &version) => return Ok(Reply::Unchanged),
            Wish::From(start, known) if is_still(known, &version) && session.can_resume() => *start,
            _ => 0,
        };
        let bytes = session.retrieve(&path, start).await?;
        Ok(Reply::Body(Body { start, version, bytes }))
    }

    fn url(&self, path: &str) -> String {
        address::below(&self.address, path).into()
    }
}

/// Whether a file is the version that is known. A size alone does not tell: corrected files often have the old one's.
fn is_still(known: &Version, version: &Version) -> bool {
    version.modified.is_some() && version.size_bytes.is_some() && known == version
}

/// The host as it is connected to and as its certificate names it: an IPv6 address without brackets.
fn host_of(address: &Url) -> String {
    match address.host() {
        Some(Host::Domain(name)) => name.to_owned(),
        Some(Host::Ipv4(number)) => number.to_string(),
        Some(Host::Ipv6(number)) => number.to_string(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transport(address: &str) -> Result<FtpTransport, FetchError> {
        let server = Server {
            kind: ServerKind::Ftp,
            address: address.to_owned(),
            connections: 1,
            credentials: None,
            authorities: None,
            region: None,
        };
        let fetching = Fetching {
            connect_seconds: 1,
            stall_seconds: 1,
            try_seconds: 1,
            deadline_seconds: 1,
            shortest_pause_seconds: 0.1,
            longest_pause_seconds: 1.0,
            largest_file_megabytes: 1,
            cache_megabytes: 1,
        };
        FtpTransport::new("provider", &server, &fetching, None)
    }

    #[test]
    fn the_address_names_host_port_and_folder() {
        let cases = [
            ("ftp://ftp.awi.de/", "ftp.awi.de", 21, ""),
            ("ftp://ftp.awi.de/sea_ice/product", "ftp.awi.de", 21, "sea_ice/product/"),
            ("ftp://ftp.awi.de:2121/sea%20ice/", "ftp.awi.de", 2121, "sea ice/"),
            ("ftp://ftp.awi.de/%2Fdata", "ftp.awi.de", 21, "/data/"),
            ("ftp://[::1]/", "::1", 21, ""),
        ];
        for (address, host, port, root) in cases {
            let transport = transport(address).unwrap();
            let found = (transport.peer.host.as_str(), transport.peer.port, transport.root.as_str());
            assert_eq!(found, (host, port, root), "{address}");
        }
    }

    #[test]
    fn an_address_with_a_control_character_is_refused() {
        assert!(matches!(transport("ftp://host/a%0D%0Ab"), Err(FetchError::Server { .. })));
    }
}
