//! A real FTP server over a folder: libunftp, with or without TLS, for everybody or for one user.

#![allow(clippy::allow_attributes, dead_code, reason = "each test program uses its own part of this")]

use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use libunftp::ServerBuilder;
use libunftp::notification::{DataEvent, DataListener, EventMeta};
use nilas::config::{Server, ServerKind};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use unftp_core::auth::{AuthenticationError, Authenticator, Credentials, Principal};
use unftp_sbe_fs::Filesystem;

/// The one user that a server with a login knows.
pub(crate) const USER: &str = "aurora";
/// The user's password.
pub(crate) const PASSWORD: &str = "polar-night-7";

/// How a server is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    /// Without TLS, for `anonymous`.
    Open,
    /// Without TLS, for [`USER`].
    Login,
    /// With TLS and nothing else, for [`USER`].
    Tls,
}

/// The server; it takes no more connections when dropped.
pub(crate) struct FtpServer {
    address: SocketAddr,
    door: Door,
    /// Certificate, key and credentials.
    secrets: TempDir,
    sent: Arc<Sent>,
    task: JoinHandle<()>,
}

impl FtpServer {
    /// Serves the folder `root`.
    pub(crate) async fn start(root: &Path, door: Door) -> Self {
        let secrets = tempfile::tempdir().unwrap();
        let pair = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        fs::write(secrets.path().join("certificate.pem"), pair.cert.pem()).unwrap();
        fs::write(secrets.path().join("key.pem"), pair.signing_key.serialize_pem()).unwrap();
        write_credentials(&secrets.path().join("credentials"), PASSWORD, 0o600);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let sent = Arc::new(Sent::default());
        let task = tokio::spawn(accept(
            listener,
            root.to_owned(),
            door,
            secrets.path().to_owned(),
            Arc::clone(&sent),
        ));
        Self { address, door, secrets, sent, task }
    }

    /// The configuration that leads to it.
    pub(crate) fn configured(&self) -> Server {
        let secret = |name| Some(self.secrets.path().join(name));
        Server {
            kind: if self.door == Door::Tls { ServerKind::Ftps } else { ServerKind::Ftp },
            address: format!("ftp://{}/", self.address),
            connections: 4,
            credentials: if self.door == Door::Open { None } else { secret("credentials") },
            authorities: if self.door == Door::Tls { secret("certificate.pem") } else { None },
            region: None,
        }
    }

    /// Bytes of files that were sent whole.
    pub(crate) fn file_bytes(&self) -> u64 {
        self.sent.0.load(Ordering::SeqCst)
    }
}

impl Drop for FtpServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Writes a file with [`USER`] and a password.
pub(crate) fn write_credentials(path: &Path, password: &str, mode: u32) {
    fs::write(path, format!("{USER}\n{password}\n")).unwrap();
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

async fn accept(listener: TcpListener, root: PathBuf, door: Door, secrets: PathBuf, sent: Arc<Sent>) {
    while let Ok((stream, _)) = listener.accept().await {
        let root = root.clone();
        let server = ServerBuilder::new(Box::new(move || Filesystem::new(root.clone()).unwrap()))
            .authenticator(Arc::new(Keeper(door)))
            .notify_data(Arc::clone(&sent) as Arc<dyn DataListener>)
            // Whatever port is free.
            .passive_ports(0..=0);
        let server = match door {
            Door::Tls => server
                .ftps(secrets.join("certificate.pem"), secrets.join("key.pem"))
                .ftps_required(true, true),
            _ => server,
        };
        tokio::spawn(server.build().unwrap().service(stream));
    }
}

/// Lets in who may.
#[derive(Debug)]
struct Keeper(Door);

#[async_trait]
impl Authenticator for Keeper {
    async fn authenticate(&self, user: &str, given: &Credentials) -> Result<Principal, AuthenticationError> {
        let password = given.password.as_deref().unwrap_or_default();
        let may = match self.0 {
            Door::Open => user == "anonymous" && password.contains('@'),
            Door::Login | Door::Tls => (user, password) == (USER, PASSWORD),
        };
        may.then(|| Principal { username: user.to_owned() }).ok_or(AuthenticationError::BadPassword)
    }
}

/// Counts what is sent.
#[derive(Debug, Default)]
struct Sent(AtomicU64);

#[async_trait]
impl DataListener for Sent {
    async fn receive_data_event(&self, event: DataEvent, _: EventMeta) {
        if let DataEvent::Got { bytes, .. } = event {
            self.0.fetch_add(bytes, Ordering::SeqCst);
        }
    }
}
