//! A connection to an FTP server, logged in: each step of it with its limit of time.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use rustls_platform_verifier::Verifier;
use secrecy::ExposeSecret;
use suppaftp::tokio::{AsyncRustlsConnector, AsyncRustlsFtpStream, AsyncRustlsStream, TransferStream};
use suppaftp::types::{Features, FileType, Response};
use suppaftp::{FtpError, FtpResult, Mode, Status};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;

use crate::fetch::bounds::{refuse_if_too_large, refuse_if_too_many};
use crate::fetch::{Credentials, FetchError, authorities};

use super::listing::{Entry, Form};
use super::refusal::{failure, is_transient, is_unknown_command, words};

/// Who logs in where nobody is named, and the password that custom wants: an address.
const ANONYMOUS: (&str, &str) = ("anonymous", "nilas@");
/// Bytes that are taken from a data connection at once.
const CHUNK: usize = 64 << 10;

/// Who is spoken to, and how.
pub(super) struct Peer {
    /// Its name or number.
    pub(super) host: String,
    /// Its port.
    pub(super) port: u16,
    /// How TLS is set up; none for a server that is spoken to without.
    pub(super) connector: Option<TlsConnector>,
    /// Who logs in; `None` for anonymous.
    pub(super) credentials: Option<Credentials>,
    /// In this time a connection must stand.
    pub(super) connect: Duration,
    /// So long an answer or a byte is waited for.
    pub(super) stall: Duration,
}

/// What sets up TLS with servers whose certificate comes from an authority that the system trusts, or that stands in a PEM file.
/// Control and data connections share it, because many servers want the data connection to resume the control connection's session.
pub(super) fn connector(authorities: Option<&Path>) -> Result<TlsConnector, String> {
    let authorities = authorities::read(authorities)?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let refuse =
        |error| format!("TLS cannot be used ({error}); install the system's certificates (ca-certificates)");
    let verifier = Verifier::new_with_extra_roots(authorities, Arc::clone(&provider)).map_err(refuse)?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(refuse)?;
    let config =
        config.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// A connection that is logged in.
pub(super) struct Session {
    control: AsyncRustlsFtpStream,
    /// What the server can beyond RFC 959.
    extensions: Features,
    stall: Duration,
    /// What it is all about, for errors.
    url: String,
}

impl Session {
    /// Connects, changes to TLS where the server is to be spoken to so, and logs in.
    pub(super) async fn open(peer: &Peer, url: &str) -> Result<Self, FetchError> {
        let control = connect(peer, url).await?;
        let control = match &peer.connector {
            Some(connector) => secure(control, connector, peer, url).await?,
            None => control,
        };
        let limit = peer.connect;
        let control = control.passive_stream_builder(move |address| Box::pin(connect_data(address, limit)));
        let mut session =
            Self { control, extensions: Features::new(), stall: peer.stall, url: url.to_owned() };
        session.log_in(peer.credentials.as_ref()).await?;
        session.settle().await?;
        Ok(session)
    }

    async fn log_in(&mut self, credentials: Option<&Credentials>) -> Result<(), FetchError> {
        let (user, password) =
            credentials.map_or(ANONYMOUS, |own| (own.user.as_str(), own.password.expose_secret()));
        let login = self.control.login(user, password);
        let answer = within(self.stall, &self.url, "answer to the login", login).await?;
        answer.map_err(|error| failure(&self.url, without_secret(error, password)))
    }

    /// Learns what the server can, and chooses how data come: as bytes, over connections that we open to the host that is already
    /// spoken to. The address that PASV names is not taken: behind NAT it is often wrong, and it could lead anywhere.
    async fn settle(&mut self) -> Result<(), FetchError> {
        let answer = within(self.stall, &self.url, "answer to FEAT", self.control.feat()).await?;
        self.extensions = self.where_known(answer)?.unwrap_or_default();
        let is_ipv6 = self.control.get_ref().await.peer_addr().is_ok_and(|peer| peer.is_ipv6());
        let mode = if is_ipv6 || self.can("EPSV") { Mode::ExtendedPassive } else { Mode::Passive };
        self.control.set_mode(mode);
        self.control.set_passive_nat_workaround(true);
        let binary = self.control.transfer_type(FileType::Binary);
        answered(self.stall, &self.url, "answer to TYPE", binary).await
    }

    fn can(&self, extension: &str) -> bool {
        self.extensions.keys().any(|known| known.eq_ignore_ascii_case(extension))
    }

    /// Whether a transfer may begin in the middle of a file.
    pub(super) fn can_resume(&self) -> bool {
        self.can("REST")
    }

    /// Goes into a folder.
    pub(super) async fn enter(&mut self, folder: &str) -> Result<(), FetchError> {
        if folder.is_empty() {
            return Ok(());
        }
        answered(self.stall, &self.url, "answer to CWD", self.control.cwd(folder)).await
    }

    /// The size of a file, bytes; `None` where the server does not say sizes.
    pub(super) async fn size(&mut self, path: &str) -> Result<Option<u64>, FetchError> {
        let answer = within(self.stall, &self.url, "answer to SIZE", self.control.size(path)).await?;
        Ok(self.where_known(answer)?.and_then(|size| u64::try_from(size).ok()))
    }

    /// When a file was last changed, UTC; `None` where the server does not say it.
    pub(super) async fn modified(&mut self, path: &str) -> Result<Option<String>, FetchError> {
        let answer = within(self.stall, &self.url, "answer to MDTM", self.control.mdtm(path)).await?;
        Ok(self.where_known(answer)?.map(|time| time.to_string()))
    }

    /// What an answer holds; `None` where the server does not know what it was asked.
    fn where_known<T>(&self, answer: FtpResult<T>) -> Result<Option<T>, FetchError> {
        match answer {
            Ok(value) => Ok(Some(value)),
            Err(FtpError::BadResponse) => Ok(None),
            Err(FtpError::UnexpectedResponse(answer)) if is_unknown_command(&answer) => Ok(None),
            Err(error) => Err(failure(&self.url, error)),
        }
    }

    /// The bytes of a file from `start` on.
    pub(super) async fn retrieve(
        mut self,
        path: &str,
        start: u64,
    ) -> Result<BoxStream<'static, Result<Bytes, FetchError>>, FetchError> {
        let start = usize::try_from(start).unwrap_or(usize::MAX);
        let opening = async {
            self.control.resume_transfer(start).await?;
            self.control.retr_as_stream(path).await
        };
        let transfer = answered(self.stall, &self.url, "data connection", opening).await?;
        Ok(bytes_of(transfer, self.stall, self.url))
    }

    /// The files and links of the folder that was entered.
    pub(super) async fn entries(&mut self) -> Result<Vec<Entry>, FetchError> {
        let form = if self.can("MLSD") || self.can("MLST") { Form::Machines } else { Form::People };
        let opening =
            self.control.custom_data_command(form.command(), &[Status::AboutToSend, Status::AlreadyOpen]);
        let (_, transfer) = answered(self.stall, &self.url, "data connection", opening).await?;
        let mut bytes = bytes_of(transfer, self.stall, self.url.clone());
        let mut listing = Vec::new();
        while let Some(part) = bytes.try_next().await? {
            listing.extend_from_slice(&part);
            refuse_if_too_large(listing.len(), &self.url)?;
        }
        let entries =
            form.read(&listing).map_err(|reason| FetchError::Answer { url: self.url.clone(), reason })?;
        refuse_if_too_many(entries.len(), &self.url)?;
        Ok(entries)
    }
}

async fn connect(peer: &Peer, url: &str) -> Result<AsyncRustlsFtpStream, FetchError> {
    let unreachable = |reason| FetchError::Unreachable { url: url.to_owned(), reason };
    let found = timeout(peer.connect, tokio::net::lookup_host((peer.host.as_str(), peer.port))).await;
    let slow = || format!("no connection within {} s", peer.connect.as_secs());
    let addresses =
        found.map_err(|_| unreachable(slow()))?.map_err(|error| unreachable(error.to_string()))?;
    let mut connected = Err("its name leads to no address".to_owned());
    // Each address has its own time: where the first is of a network that swallows packets, the second may answer.
    for address in addresses {
        connected = match timeout(peer.connect, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(slow()),
        };
        if connected.is_ok() {
            break;
        }
    }
    let stream = connected.map_err(unreachable)?;
    let greeting = AsyncRustlsFtpStream::connect_with_stream(stream);
    answered(peer.stall, url, "greeting", greeting).await
}

/// Changes to TLS, for the data connections, too. A server that does not is left before anything was said to it.
async fn secure(
    control: AsyncRustlsFtpStream,
    connector: &TlsConnector,
    peer: &Peer,
    url: &str,
) -> Result<AsyncRustlsFtpStream, FetchError> {
    let connector = AsyncRustlsConnector::from(connector.clone());
    let answer = within(peer.stall, url, "TLS", control.into_secure(connector, &peer.host)).await?;
    answer.map_err(|error| match error {
        FtpError::UnexpectedResponse(answer) if !is_transient(&answer) => FetchError::Answer {
            url: url.to_owned(),
            reason: format!("the server refuses TLS ({}), and without it nobody logs in", words(&answer)),
        },
        other => failure(url, other),
    })
}

async fn connect_data(address: SocketAddr, limit: Duration) -> FtpResult<TcpStream> {
    let connected = timeout(limit, TcpStream::connect(address)).await;
    let connected = connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    connected.map_err(|error| {
        let reason = format!("no data connection to port {}: {error}", address.port());
        FtpError::ConnectionError(io::Error::new(error.kind(), reason))
    })
}

/// Waits no longer than `limit` for what is `awaited`, and takes a refusal for what it means.
async fn answered<T>(
    limit: Duration,
    url: &str,
    awaited: &str,
    step: impl Future<Output = FtpResult<T>>,
) -> Result<T, FetchError> {
    within(limit, url, awaited, step).await?.map_err(|error| failure(url, error))
}

/// Waits no longer than `limit` for what is `awaited`.
async fn within<T>(
    limit: Duration,
    url: &str,
    awaited: &str,
    step: impl Future<Output = T>,
) -> Result<T, FetchError> {
    timeout(limit, step).await.map_err(|_| FetchError::Broken {
        url: url.to_owned(),
        reason: format!("no {awaited} within {} s", limit.as_secs()),
    })
}

/// What a data connection brings, and at its end the server's word that this was all. The control connection lives as long.
fn bytes_of(
    transfer: TransferStream<AsyncRustlsStream>,
    stall: Duration,
    url: String,
) -> BoxStream<'static, Result<Bytes, FetchError>> {
    let next = |(mut transfer, stall, url): (TransferStream<AsyncRustlsStream>, Duration, String)| async move {
        let mut chunk = BytesMut::with_capacity(CHUNK);
        match within(stall, &url, "byte", transfer.read_buf(&mut chunk)).await? {
            Ok(0) => {}
            Ok(_) => return Ok(Some((chunk.freeze(), (transfer, stall, url)))),
            // Many servers end TLS by closing the connection. Whether all has come is for the word that follows.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
            Err(error) => return Err(failure(&url, FtpError::ConnectionError(error))),
        }
        match answered(stall, &url, "end of the transfer", transfer.finish()).await {
            Ok(()) => Ok(None),
            // Of a file that has come in part nobody can say that it is not there.
            Err(error) if error.is_not_found() => {
                let reason = "the server ended it as if there were no such file".to_owned();
                Err(FetchError::Broken { url, reason })
            }
            Err(error) => Err(error),
        }
    };
    stream::try_unfold((transfer, stall, url), next).boxed()
}

/// A refusal of a login without the password, which a server may repeat.
fn without_secret(error: FtpError, secret: &str) -> FtpError {
    match error {
        FtpError::UnexpectedResponse(answer) => {
            let told = String::from_utf8_lossy(&answer.body).replace(secret, "[password]");
            FtpError::UnexpectedResponse(Response::new(answer.status, told.into_bytes()))
        }
        other => other,
    }
}
