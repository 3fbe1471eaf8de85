//! What every transport must do, asked of each of them with a real server at the other end. A property is a function over a
//! [`Peer`]; the last lines of the file name the transports.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "common/fetching.rs"]
mod fetching;
#[path = "common/ftp_server.rs"]
mod ftp_server;
#[path = "common/http_server.rs"]
mod http_server;
#[path = "common/s3_server.rs"]
mod s3_server;

use std::any::Any;
use std::fs::{self, File};
use std::mem::discriminant;
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use futures_util::TryStreamExt;
use futures_util::future::join_all;
use nilas::config::{Server, ServerKind};
use nilas::fetch::{
    Body, Credentials, FetchError, FolderTransport, FtpTransport, HttpTransport, ObjectStoreTransport,
    Remote, Reply, Transport, Version, Wish,
};
use tempfile::TempDir;
use tokio::net::TcpListener;

use fetching::{impatient, noise};
use ftp_server::{Door, FtpServer, PASSWORD, USER};
use http_server::{Fault, HttpServer};
use s3_server::S3Server;

/// As AWI names its files, and what else a name may hold.
const NAMES: [&str; 7] = [
    "100%.nc",
    "W_XX-ESA,SMOS_CS2_S3A_S3B,NH_12P5KM_EASE2_20260221_20260227_o_v300_01_l4sit.nc",
    "a b.nc",
    "a%20b.nc",
    "a+b.nc",
    "a;b='1'&c.nc",
    "größe.nc",
];
/// When files were first changed, since 1970: 1 March 2026.
const FIRST_CHANGE: Duration = Duration::from_hours(24 * 20_513);
/// Nobody outside the served folder may see this.
const SECRET: &[u8] = b"not served";

/// A transport, and the folder that its server serves.
struct Peer {
    transport: Box<dyn Transport>,
    tree: PathBuf,
    /// Whether an empty folder is another thing than one that does not exist.
    knows_folders: bool,
    /// Whether listings have sizes.
    knows_sizes: bool,
    /// What must live as long: folder and server.
    _held: (TempDir, Box<dyn Any>),
}

impl Peer {
    fn new(transport: impl Transport + 'static, tree: PathBuf, root: TempDir, server: impl Any) -> Self {
        fs::write(tree.parent().unwrap().join("secret"), SECRET).unwrap();
        let held: (TempDir, Box<dyn Any>) = (root, Box::new(server));
        Self { transport: Box::new(transport), tree, knows_folders: true, knows_sizes: true, _held: held }
    }

    /// Puts a file there, or another one in its place: a minute younger, because FTP tells times in seconds.
    fn put(&self, path: &str, bytes: &[u8]) {
        let path = self.tree.join(path);
        let modified = fs::metadata(&path).map_or_else(
            |_| UNIX_EPOCH + FIRST_CHANGE,
            |old| old.modified().unwrap() + Duration::from_mins(1),
        );
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
    }

    async fn list(&self, folder: &str) -> Vec<Remote> {
        self.transport.list(folder).await.unwrap()
    }

    /// The only file of a folder, as it is listed.
    async fn only(&self, folder: &str) -> Remote {
        let [file] = self.list(folder).await.try_into().unwrap();
        file
    }

    async fn open(&self, file: &Remote, wish: &Wish) -> Body {
        match self.transport.open(file, wish).await.unwrap() {
            Reply::Body(body) => body,
            Reply::Unchanged => panic!("unchanged"),
        }
    }

    async fn read(&self, file: &Remote, wish: &Wish) -> (u64, Version, Vec<u8>) {
        let Body { start, version, bytes } = self.open(file, wish).await;
        let parts: Vec<_> = bytes.try_collect().await.unwrap();
        (start, version, parts.concat())
    }
}

async fn lists_files_in_order_with_their_sizes(peer: &Peer) {
    peer.put("a/b/inside.nc", b"1");
    for (index, name) in NAMES.iter().enumerate().rev() {
        peer.put(&format!("a/{name}"), &noise(1, index));
    }
    let found = peer.list("a").await;
    let names: Vec<_> = found.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, NAMES);
    for (index, file) in found.iter().enumerate() {
        let expected = peer.knows_sizes.then_some(index as u64);
        assert_eq!(file.size_bytes, expected, "{}", file.name);
    }
}

async fn reads_files_of_any_name(peer: &Peer) {
    for (seed, name) in (1..).zip(NAMES) {
        peer.put(&format!("a/{name}"), &noise(seed, 100));
    }
    for (seed, file) in (1..).zip(peer.list("a").await) {
        assert_eq!(peer.read(&file, &Wish::Whole).await.2, noise(seed, 100), "{}", file.name);
    }
}

async fn lists_the_root(peer: &Peer) {
    peer.put("a.nc", b"1");
    peer.put("inside/b.nc", b"2");
    let file = peer.only("").await;
    assert_eq!(file.name, "a.nc");
    assert_eq!(peer.read(&file, &Wish::Whole).await.2, b"1");
}

async fn tells_an_empty_folder_from_none(peer: &Peer) {
    fs::create_dir(peer.tree.join("empty")).unwrap();
    assert_eq!(peer.list("empty").await, []);
    match peer.transport.list("missing").await {
        Err(error) => assert!(peer.knows_folders && error.is_not_found(), "{error}"),
        Ok(files) => assert!(!peer.knows_folders && files.is_empty()),
    }
}

async fn reads_whole_files(peer: &Peer) {
    for length in [0, 1, 300_000] {
        peer.put("a/b.nc", &noise(1, length));
        let (start, version, found) = peer.read(&peer.only("a").await, &Wish::Whole).await;
        assert_eq!((start, version.size_bytes), (0, Some(length as u64)));
        assert!(found == noise(1, length), "another content with {length} bytes");
    }
}

async fn goes_on_in_the_middle_of_the_same_version(peer: &Peer) {
    peer.put("a/b.nc", &noise(1, 1000));
    let file = peer.only("a").await;
    let version = peer.open(&file, &Wish::Whole).await.version;
    for begin in [1, 400, 999] {
        let (start, again, rest) = peer.read(&file, &Wish::From(begin, version.clone())).await;
        assert_eq!((start, &again), (begin, &version));
        assert_eq!(rest, noise(1, 1000)[begin as usize..]);
    }
}

async fn begins_anew_with_another_version(peer: &Peer) {
    peer.put("a/b.nc", &noise(1, 1000));
    let file = peer.only("a").await;
    let old = peer.open(&file, &Wish::Whole).await.version;
    peer.put("a/b.nc", &noise(2, 1000));
    let (start, new, whole) = peer.read(&file, &Wish::From(400, old.clone())).await;
    assert_eq!((start, whole), (0, noise(2, 1000)));
    assert_ne!(new, old);
    let (start, _, whole) = peer.read(&file, &Wish::From(400, Version::default())).await;
    assert_eq!((start, whole), (0, noise(2, 1000)));
}

async fn sends_nothing_while_a_file_is_unchanged(peer: &Peer) {
    peer.put("a/b.nc", &noise(1, 1000));
    let file = peer.only("a").await;
    let version = peer.open(&file, &Wish::Whole).await.version;
    let unless = Wish::UnlessStill(version);
    assert!(matches!(peer.transport.open(&file, &unless).await, Ok(Reply::Unchanged)));
    peer.put("a/b.nc", &noise(2, 1000));
    assert_eq!(peer.read(&file, &unless).await.2, noise(2, 1000));
    assert_eq!(peer.read(&file, &Wish::UnlessStill(Version::default())).await.2, noise(2, 1000));
}

async fn says_that_a_file_is_missing(peer: &Peer) {
    peer.put("a/b.nc", b"1");
    let file = peer.only("a").await;
    fs::remove_file(peer.tree.join("a/b.nc")).unwrap();
    let error = peer.transport.open(&file, &Wish::Whole).await.unwrap_err();
    assert!(error.is_not_found(), "{error}");
    assert!(error.to_string().contains("b.nc"), "{error}");
}

async fn does_not_lead_out_of_the_folder(peer: &Peer) {
    peer.put("a/b.nc", b"1");
    assert_eq!(fs::read(peer.tree.join("../secret")).unwrap(), SECRET);
    for path in ["../secret", "a/../../secret", "/secret", "a\r\nRETR secret", "a\0"] {
        let file = Remote { name: "secret".into(), path: path.into(), size_bytes: None };
        for wish in [Wish::Whole, Wish::UnlessStill(Version::default())] {
            let error = peer.transport.open(&file, &wish).await.unwrap_err();
            assert!(matches!(error, FetchError::Answer { .. }), "{path:?}: {error}");
        }
    }
    for folder in ["..", "a/../..", "/", "a//b"] {
        let error = peer.transport.list(folder).await.unwrap_err();
        assert!(matches!(error, FetchError::Answer { .. }), "{folder:?}: {error}");
    }
}

async fn keeps_its_credentials_to_itself(peer: &Peer) {
    peer.put("a/b.nc", b"1");
    let file = peer.only("a").await;
    let url = peer.transport.url(&file.path);
    assert!(url.ends_with("/a/b.nc"), "{url}");
    assert!(!url.contains(USER) && !url.contains(PASSWORD), "{url}");
    let shown = format!("{:?}", peer.transport);
    assert!(!shown.contains(PASSWORD), "{shown}");
}

async fn serves_ten_at_once(peer: &Peer) {
    peer.put("a/b.nc", &noise(1, 300_000));
    let file = peer.only("a").await;
    let found = join_all((0..10).map(|_| peer.read(&file, &Wish::Whole))).await;
    assert!(found.into_iter().all(|(_, _, found)| found == noise(1, 300_000)));
}

fn credentials(server: &Server) -> Option<Credentials> {
    Credentials::of("test", server).unwrap()
}

/// An empty folder to be served, in another one.
fn folder() -> (TempDir, PathBuf) {
    let root = tempfile::tempdir().unwrap();
    let tree = root.path().join("served");
    fs::create_dir(&tree).unwrap();
    (root, tree)
}

async fn folder_peer() -> Peer {
    let (root, tree) = folder();
    Peer::new(FolderTransport::new(&tree), tree, root, ())
}

async fn http(kind: ServerKind) -> Peer {
    let (root, tree) = folder();
    let server = HttpServer::start(&tree).await;
    let transport = HttpTransport::new("test", &server.configured(kind), &impatient(), None).unwrap();
    Peer::new(transport, tree, root, server)
}

async fn index_peer() -> Peer {
    Peer { knows_sizes: false, ..http(ServerKind::Http).await }
}

async fn thredds_peer() -> Peer {
    http(ServerKind::Thredds).await
}

async fn ftp(door: Door) -> Peer {
    let (root, tree) = folder();
    let server = FtpServer::start(&tree, door).await;
    let configured = server.configured();
    let transport = FtpTransport::new("test", &configured, &impatient(), credentials(&configured)).unwrap();
    Peer::new(transport, tree, root, server)
}

async fn ftp_peer() -> Peer {
    ftp(Door::Open).await
}

async fn ftp_login_peer() -> Peer {
    ftp(Door::Login).await
}

async fn ftps_peer() -> Peer {
    ftp(Door::Tls).await
}

/// Folders are nothing of their own in S3.
async fn s3(is_signed: bool) -> Peer {
    let root = tempfile::tempdir().unwrap();
    let tree = S3Server::tree(root.path());
    let server = S3Server::start(root.path(), is_signed).await;
    let configured = server.configured();
    let transport =
        ObjectStoreTransport::new("test", &configured, &impatient(), credentials(&configured)).unwrap();
    Peer { knows_folders: false, ..Peer::new(transport, tree, root, server) }
}

async fn s3_peer() -> Peer {
    s3(false).await
}

async fn s3_signed_peer() -> Peer {
    s3(true).await
}

/// What a store that answers with this status is taken for.
async fn refused_with(status: u16) -> FetchError {
    let (_root, tree) = folder();
    let server = HttpServer::start(&tree).await;
    server.fail("", [Fault::Status(status, vec![("Retry-After", "7".into())])]);
    let address = format!("{}bucket", server.url("127.0.0.1"));
    let configured = Server { kind: ServerKind::S3, address, ..server.configured(ServerKind::Http) };
    let transport = ObjectStoreTransport::new("test", &configured, &impatient(), None).unwrap();
    let listed = transport.list("a").await.unwrap_err();
    let file = Remote { name: "b.nc".into(), path: "a/b.nc".into(), size_bytes: None };
    let opened = transport.open(&file, &Wish::Whole).await.unwrap_err();
    assert_eq!(discriminant(&listed), discriminant(&opened), "{listed} {opened}");
    opened
}

#[tokio::test]
async fn a_store_is_understood_when_it_refuses() {
    assert!(refused_with(404).await.is_not_found());
    for status in [401, 403] {
        let error = refused_with(status).await;
        assert!(matches!(error, FetchError::Denied { .. }), "{error}");
    }
    for status in [429, 500, 503] {
        let error = refused_with(status).await;
        let wait = Some(Duration::from_secs(7));
        assert!(matches!(error, FetchError::Busy { retry_after, .. } if retry_after == wait), "{error}");
    }
    let error = refused_with(400).await;
    assert!(matches!(error, FetchError::Answer { .. }), "{error}");
}

#[tokio::test]
async fn a_store_that_is_not_there_is_unreachable() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let (_root, tree) = folder();
    let server = HttpServer::start(&tree).await.configured(ServerKind::Http);
    let server =
        Server { kind: ServerKind::S3, address: format!("http://127.0.0.1:{port}/bucket"), ..server };
    let transport = ObjectStoreTransport::new("test", &server, &impatient(), None).unwrap();
    let error = transport.list("a").await.unwrap_err();
    assert!(matches!(error, FetchError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn five_redirects_of_a_store_are_followed_and_not_one_more() {
    let (_root, tree) = folder();
    let server = HttpServer::start(&tree).await;
    let address = format!("{}bucket", server.url("127.0.0.1"));
    let configured = Server { kind: ServerKind::S3, address, ..server.configured(ServerKind::Http) };
    let transport = ObjectStoreTransport::new("test", &configured, &impatient(), None).unwrap();
    let redirect = |number: u8| Fault::Status(302, vec![("Location", format!("/{number}"))]);
    let page = b"<ListBucketResult><Contents><Key>a/b.nc</Key><Size>1</Size>\
        <LastModified>2026-03-01T00:00:00Z</LastModified></Contents></ListBucketResult>";
    server.fail("", (0..5).map(redirect).chain([Fault::Body(Vec::new(), page.to_vec())]));
    assert_eq!(transport.list("a").await.unwrap().len(), 1);
    server.fail("", (0..6).map(redirect));
    let error = transport.list("a").await.unwrap_err();
    assert!(matches!(error, FetchError::Answer { .. }), "{error}");
    assert_eq!(server.asked().len(), 12);
}

/// Makes a test of every property for every transport.
macro_rules! conformance {
    ($($name:ident: $peer:ident,)+) => {
        $(mod $name {
            conformance!(@of $peer:
                lists_files_in_order_with_their_sizes,
                reads_files_of_any_name,
                lists_the_root,
                tells_an_empty_folder_from_none,
                reads_whole_files,
                goes_on_in_the_middle_of_the_same_version,
                begins_anew_with_another_version,
                sends_nothing_while_a_file_is_unchanged,
                says_that_a_file_is_missing,
                does_not_lead_out_of_the_folder,
                keeps_its_credentials_to_itself,
                serves_ten_at_once,
            );
        })+
    };
    (@of $peer:ident: $($property:ident,)+) => {
        $(#[tokio::test]
        async fn $property() {
            super::$property(&super::$peer().await).await;
        })+
    };
}

conformance! {
    folder: folder_peer,
    index: index_peer,
    thredds: thredds_peer,
    ftp: ftp_peer,
    ftp_with_login: ftp_login_peer,
    ftps: ftps_peer,
    s3: s3_peer,
    s3_signed: s3_signed_peer,
}
