//! Fetching over HTTP from a server that fails in every way that servers fail in, and what the cache makes of it.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "common/fetching.rs"]
mod fetching;
#[path = "common/http_server.rs"]
mod http_server;

use std::convert::Infallible;
use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures_util::TryStreamExt;
use futures_util::future::{join, join_all};
use http_body_util::Full;
use hyper::service::service_fn;
use hyper::{Request, Response, Version as HttpVersion};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use nilas::config::{Fetching, Server, ServerKind};
use nilas::fetch::{
    Credentials, FetchError, Fetched, Fetcher, HttpTransport, Remote, Reply, Transport, Wish,
};
use nilas::time::{Clock, SystemClock};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use fetching::{SERVER, fetcher, impatient, noise};
use http_server::{Asked, Fault, HttpServer, catalog};

const FOLDER: &str = "ice/2026/03";
const NAME: &str = "day.nc";
const PATH: &str = "ice/2026/03/day.nc";
const CATALOG: &str = "ice/2026/03/catalog.xml";
const SIZE: usize = 200_000;
/// Where transfers break: early enough to be in the client's hands before the connection goes.
const CUT: usize = 20_000;

/// A server with one file in it, and a fetcher that reaches it as THREDDS.
struct Scene {
    folder: TempDir,
    server: HttpServer,
    fetching: Fetching,
}

impl Scene {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("served").join(FOLDER)).unwrap();
        let server = HttpServer::start(&folder.path().join("served")).await;
        let scene = Self { folder, server, fetching: impatient() };
        scene.serve(NAME, &noise(1, SIZE));
        scene
    }

    fn served(&self, name: &str) -> PathBuf {
        self.folder.path().join("served").join(FOLDER).join(name)
    }

    fn serve(&self, name: &str, bytes: &[u8]) {
        fs::write(self.served(name), bytes).unwrap();
    }

    /// The same with another time of its last change.
    fn serve_dated(&self, name: &str, bytes: &[u8], changed: SystemTime) {
        self.serve(name, bytes);
        fs::File::options().write(true).open(self.served(name)).unwrap().set_modified(changed).unwrap();
    }

    fn cache(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    fn fetcher(&self, kind: ServerKind) -> Fetcher {
        fetcher(self.server.configured(kind), &self.fetching, &self.cache()).unwrap()
    }

    async fn list(&self, kind: ServerKind) -> Result<Vec<Remote>, FetchError> {
        self.fetcher(kind).list(SERVER, FOLDER).await
    }

    async fn fetch(&self) -> Result<Fetched, FetchError> {
        self.fetcher(ServerKind::Thredds).fetch(SERVER, &remote(NAME)).await
    }

    /// Fetches under these faults, and expects what is served.
    async fn fetch_under(&self, faults: impl IntoIterator<Item = Fault>) -> Fetched {
        self.server.fail(PATH, faults);
        let fetched = self.fetch().await.unwrap();
        assert_eq!(fs::read(&fetched.path).unwrap(), fs::read(self.served(NAME)).unwrap());
        fetched
    }

    /// The requests for the file.
    fn asked(&self) -> Vec<Asked> {
        let mut asked = self.server.asked();
        asked.retain(|asked| asked.target.ends_with(NAME));
        asked
    }

    /// For every request of the file the byte that it was to begin at.
    fn begun_at(&self) -> Vec<u64> {
        let begin = |asked: Asked| match asked.headers.get("range") {
            Some(range) => range.trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap(),
            None => 0,
        };
        self.asked().into_iter().map(begin).collect()
    }
}

fn remote(name: &str) -> Remote {
    Remote { name: name.into(), path: format!("fileServer/{FOLDER}/{name}"), size_bytes: None }
}

fn status(code: u16) -> Fault {
    Fault::Status(code, Vec::new())
}

fn redirect(to: impl Into<String>) -> Fault {
    Fault::Status(302, vec![("Location", to.into())])
}

/// The error behind all tries.
fn last(error: FetchError) -> FetchError {
    match error {
        FetchError::GaveUp { last, .. } => *last,
        other => panic!("not given up: {other}"),
    }
}

// --- statuses ---------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn what_is_not_there_is_not_asked_for_again() {
    let scene = Scene::new().await;
    for code in [404, 410] {
        scene.server.fail(PATH, [status(code)]);
        assert!(scene.fetch().await.unwrap_err().is_not_found());
    }
    assert_eq!(scene.asked().len(), 2);
    let fetcher = scene.fetcher(ServerKind::Thredds);
    assert!(fetcher.list(SERVER, "ice/2026/04").await.unwrap_err().is_not_found());
    assert!(scene.fetcher(ServerKind::Http).list(SERVER, "ice/2026/04").await.unwrap_err().is_not_found());
}

#[tokio::test]
async fn what_is_denied_is_not_asked_for_again() {
    let scene = Scene::new().await;
    for code in [401, 403] {
        scene.server.fail(PATH, [status(code)]);
        let error = scene.fetch().await.unwrap_err();
        assert!(
            matches!(&error, FetchError::Denied { reason, .. } if reason.contains(&code.to_string())),
            "{error}"
        );
    }
    assert_eq!(scene.asked().len(), 2);
}

#[tokio::test]
async fn too_many_requests_are_followed_by_the_pause_that_the_server_asks_for() {
    let scene = Scene::new().await;
    let clock = SystemClock::new();
    scene.fetch_under([Fault::Status(429, vec![("Retry-After", "1".into())]), Fault::None]).await;
    assert!(clock.monotonic().as_secs_f64() >= 1.0);
}

#[tokio::test]
async fn a_pause_beyond_the_deadline_is_not_waited_for() {
    let scene = Scene::new().await;
    scene.server.fail(PATH, [Fault::Status(429, vec![("Retry-After", "3600".into())])]);
    let error = last(scene.fetch().await.unwrap_err());
    let FetchError::Busy { retry_after, .. } = error else { panic!("{error}") };
    assert_eq!(retry_after.unwrap().as_secs(), 3600);
    assert_eq!(scene.asked().len(), 1);
}

#[tokio::test]
async fn a_storm_of_server_errors_is_outlived() {
    let scene = Scene::new().await;
    let storm = [500, 502, 503, 504, 503, 502, 500];
    scene.fetch_under(storm.map(status).into_iter().chain([Fault::None])).await;
    assert_eq!(scene.asked().len(), storm.len() + 1);
}

#[tokio::test]
async fn a_storm_that_does_not_end_is_given_up_at_the_deadline() {
    let mut scene = Scene::new().await;
    scene.fetching.deadline_seconds = 1;
    for code in [500, 502, 503] {
        scene.server.fail(PATH, [status(code)]);
        let error = last(scene.fetch().await.unwrap_err());
        assert!(
            matches!(&error, FetchError::Busy { answer, .. } if answer.contains(&code.to_string())),
            "{error}"
        );
    }
}

// --- connections ------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_port_that_nobody_listens_at_is_unreachable() {
    let mut scene = Scene::new().await;
    scene.fetching.deadline_seconds = 1;
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let server = Server {
        address: format!("http://{closed}/thredds/"),
        ..scene.server.configured(ServerKind::Thredds)
    };
    let fetcher = fetcher(server, &scene.fetching, &scene.cache()).unwrap();
    let error = last(fetcher.list(SERVER, FOLDER).await.unwrap_err());
    let FetchError::Unreachable { reason, .. } = error else { panic!("{error}") };
    assert!(reason.contains("refused"), "{reason}");
}

#[tokio::test]
async fn a_reset_in_the_middle_is_resumed() {
    let scene = Scene::new().await;
    let fetched = scene.fetch_under([Fault::ResetAfter(CUT), Fault::None]).await;
    assert_eq!(scene.begun_at(), [0, CUT as u64]);
    assert_eq!(fetched.transferred_bytes, SIZE as u64, "no byte came twice");
}

#[tokio::test]
async fn a_stall_is_broken_off_and_resumed() {
    let scene = Scene::new().await;
    scene.fetch_under([Fault::StallAfter(CUT), Fault::None]).await;
    assert_eq!(scene.begun_at(), [0, CUT as u64]);
}

#[tokio::test]
async fn a_stall_that_comes_back_is_named() {
    let mut scene = Scene::new().await;
    scene.fetching.deadline_seconds = 2;
    scene.server.fail(PATH, [Fault::StallAfter(0)]);
    let error = last(scene.fetch().await.unwrap_err());
    assert!(
        matches!(&error, FetchError::Broken { reason, .. } if reason == "no byte came for 1 s"),
        "{error}"
    );
}

#[tokio::test]
async fn a_body_that_is_shorter_than_announced_is_completed() {
    let scene = Scene::new().await;
    let fetched = scene.fetch_under([Fault::EndAfter(CUT), Fault::EndAfter(CUT), Fault::None]).await;
    assert_eq!(scene.begun_at(), [0, CUT as u64, 2 * CUT as u64]);
    assert_eq!(fetched.transferred_bytes, SIZE as u64);
}

#[tokio::test]
async fn what_follows_the_announced_bytes_is_no_part_of_the_file() {
    let scene = Scene::new().await;
    let fetched = scene.fetch_under([Fault::Trailing(b"and more"), Fault::None]).await;
    assert_eq!(fetched.size_bytes, SIZE as u64);
    assert_eq!(scene.fetch().await.unwrap().sha256, fetched.sha256);
}

// --- resuming ---------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_server_that_ignores_ranges_sends_the_whole_again() {
    let scene = Scene::new().await;
    let fetched = scene.fetch_under([Fault::ResetAfter(CUT), Fault::WithoutRange]).await;
    assert_eq!(scene.begun_at(), [0, CUT as u64]);
    assert_eq!(fetched.transferred_bytes, (CUT + SIZE) as u64);
}

#[tokio::test]
async fn a_part_that_cannot_be_used_makes_the_whole_be_asked_for() {
    for fault in [Fault::WrongRange, status(416)] {
        let scene = Scene::new().await;
        scene.fetch_under([Fault::ResetAfter(CUT), fault, Fault::None]).await;
        assert_eq!(scene.begun_at(), [0, CUT as u64, 0]);
    }
}

#[tokio::test]
async fn a_file_that_changed_meanwhile_is_begun_anew() {
    let mut scene = Scene::new().await;
    let patient = scene.fetching.clone();
    let pause = 2.0 * patient.deadline_seconds as f64;
    scene.fetching =
        Fetching { shortest_pause_seconds: pause, longest_pause_seconds: pause, ..patient.clone() };
    scene.server.fail(PATH, [Fault::ResetAfter(CUT)]);
    let error = scene.fetch().await.unwrap_err();
    assert!(matches!(error, FetchError::GaveUp { tries: 1, .. }), "{error}");
    scene.fetching = patient;
    scene.serve(NAME, &noise(2, SIZE));
    let fetched = scene.fetch_under([Fault::None]).await;
    assert_eq!(scene.begun_at().last(), Some(&(CUT as u64)), "the rest was asked for");
    assert_eq!(fetched.transferred_bytes, SIZE as u64, "the whole came");
}

#[tokio::test]
async fn without_a_version_nothing_is_resumed() {
    let scene = Scene::new().await;
    scene.server.fail(PATH, [Fault::WithoutVersionEndAfter(CUT), Fault::WithoutVersion]);
    assert_eq!(scene.fetch().await.unwrap().transferred_bytes, (CUT + SIZE) as u64);
    assert_eq!(scene.fetch().await.unwrap().size_bytes, SIZE as u64);
    let conditions = ["if-none-match", "if-modified-since", "if-range", "range"];
    assert!(
        scene.asked().iter().all(|asked| conditions.iter().all(|name| !asked.headers.contains_key(*name)))
    );
}

#[tokio::test]
async fn by_its_date_alone_a_file_is_known_to_be_unchanged_until_it_is_forgotten() {
    let scene = Scene::new().await;
    scene.server.fail(PATH, [Fault::WithoutTag]);
    let first = scene.fetch().await.unwrap();
    assert_eq!(scene.fetch().await.unwrap().transferred_bytes, 0);
    // What came was a page of a proxy, newer than the file that now stands in its place: by its date nothing has changed.
    scene.serve_dated(NAME, &noise(2, SIZE), UNIX_EPOCH + Duration::from_secs(1_000_000_000));
    assert_eq!(scene.fetch().await.unwrap().sha256, first.sha256);
    scene.fetcher(ServerKind::Thredds).forget(&first).unwrap();
    let second = scene.fetch().await.unwrap();
    assert_eq!((second.transferred_bytes, second.sha256 == first.sha256), (SIZE as u64, false));
}

// --- redirects --------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn redirects_in_a_circle_are_an_error_at_once() {
    let scene = Scene::new().await;
    scene.server.fail(PATH, [redirect("other.nc")]);
    scene.server.fail(&PATH.replace(NAME, "other.nc"), [redirect(NAME)]);
    let error = scene.fetch().await.unwrap_err();
    assert!(matches!(&error, FetchError::Answer { reason, .. } if reason.contains("lead back")), "{error}");
    assert_eq!(scene.asked().len(), 1);
}

#[tokio::test]
async fn five_redirects_are_followed_and_not_one_more() {
    let scene = Scene::new().await;
    scene.serve("4.nc", &noise(1, SIZE));
    scene.server.fail(PATH, [redirect("0.nc")]);
    for step in 0..4 {
        scene.server.fail(&PATH.replace("day", &step.to_string()), [redirect(format!("{}.nc", step + 1))]);
    }
    assert_eq!(scene.fetch().await.unwrap().size_bytes, SIZE as u64);
    scene.server.fail(&PATH.replace("day", "4"), [redirect("5.nc")]);
    scene.server.fail(PATH, [redirect("0.nc")]);
    let error = scene.fetch().await.unwrap_err();
    assert!(matches!(&error, FetchError::Answer { reason, .. } if reason.contains("more than 5")), "{error}");
}

/// A transport that speaks as a user.
fn as_user(server: &Server) -> HttpTransport {
    let credentials = Credentials { user: "ice".into(), password: "secret".to_owned().into() };
    HttpTransport::new(SERVER, server, &impatient(), Some(credentials)).unwrap()
}

#[tokio::test]
async fn credentials_stay_with_their_host() {
    let (scene, other) = (Scene::new().await, Scene::new().await);
    let place = |name| format!("thredds/fileServer/{FOLDER}/{name}");
    scene.serve("near.nc", b"near");
    scene.server.fail(
        PATH,
        [redirect(format!("/{}", place("near.nc"))), redirect(other.server.url("localhost") + &place(NAME))],
    );
    let transport = as_user(&scene.server.configured(ServerKind::Thredds));
    for (size, server) in [(4, &scene.server), (SIZE, &other.server)] {
        let Reply::Body(body) = transport.open(&remote(NAME), &Wish::Whole).await.unwrap() else {
            panic!("unchanged")
        };
        let parts: Vec<_> = body.bytes.try_collect().await.unwrap();
        assert_eq!(parts.concat().len(), size);
        let is_ours = server.url("127.0.0.1") == scene.server.url("127.0.0.1");
        assert_eq!(server.asked().last().unwrap().headers.contains_key("authorization"), is_ours);
    }
    assert!(scene.server.asked().iter().all(|asked| asked.headers.contains_key("authorization")));
}

#[tokio::test]
async fn no_message_shows_credentials() {
    let scene = Scene::new().await;
    let transport = as_user(&scene.server.configured(ServerKind::Thredds));
    scene.server.fail(PATH, [status(403)]);
    let error = transport.open(&remote(NAME), &Wish::Whole).await.unwrap_err();
    let said = format!("{error} {error:?} {transport:?} {}", transport.url(NAME));
    assert!(!said.contains("secret") && !said.contains("aWNlOnNlY3JldA"), "{said}");
}

// --- TLS and HTTP/2 ---------------------------------------------------------------------------------------------------

/// What a server of `127.0.0.1` says who it is with, and the file of the authority that signed it.
fn tls(folder: &Path, protocols: &[&str]) -> (TlsAcceptor, PathBuf) {
    let identity = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let authority = folder.join("authority.pem");
    fs::write(&authority, identity.cert.pem()).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(identity.signing_key.serialize_der()));
    let certificates = vec![identity.cert.der().clone()];
    let mut config =
        ServerConfig::builder().with_no_client_auth().with_single_cert(certificates, key).unwrap();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    (TlsAcceptor::from(Arc::new(config)), authority)
}

#[tokio::test]
async fn an_unknown_authority_is_refused_by_name_and_a_known_one_is_not() {
    let mut scene = Scene::new().await;
    scene.fetching.deadline_seconds = 1;
    let (acceptor, authority) = tls(scene.folder.path(), &[]);
    let server = HttpServer::start_tls(&scene.folder.path().join("served"), acceptor).await;
    let stranger = server.configured(ServerKind::Thredds);
    let known = Server { authorities: Some(authority), ..stranger.clone() };

    let strict = fetcher(stranger, &scene.fetching, &scene.cache()).unwrap();
    let error = last(strict.fetch(SERVER, &remote(NAME)).await.unwrap_err());
    let FetchError::Unreachable { reason, .. } = error else { panic!("{error}") };
    assert!(reason.contains("UnknownIssuer"), "{reason}");
    assert_eq!(server.asked().len(), 0);

    let trusting = fetcher(known, &scene.fetching, &scene.cache()).unwrap();
    let fetched = trusting.fetch(SERVER, &remote(NAME)).await.unwrap();
    assert_eq!(fs::read(fetched.path).unwrap(), noise(1, SIZE));
    server.fail(PATH, [redirect(scene.server.url("127.0.0.1"))]);
    let error = trusting.fetch(SERVER, &remote(NAME)).await.unwrap_err();
    assert!(error.to_string().contains("away from encryption"), "{error}");
}

#[tokio::test]
async fn authorities_that_cannot_be_read_are_said_at_the_start() {
    let scene = Scene::new().await;
    fs::write(scene.folder.path().join("empty.pem"), "nothing").unwrap();
    for name in ["missing.pem", "empty.pem"] {
        let authorities = scene.folder.path().join(name);
        let server = Server { authorities: Some(authorities), ..scene.server.configured(ServerKind::Http) };
        let error = fetcher(server, &scene.fetching, &scene.cache()).err().unwrap().to_string();
        assert!(error.contains(name) && error.contains("PEM"), "{error}");
    }
}

#[tokio::test]
async fn http_2_is_spoken_where_the_server_does() {
    let folder = tempfile::tempdir().unwrap();
    let (acceptor, authority) = tls(folder.path(), &["h2", "http/1.1"]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("https://{}/", listener.local_addr().unwrap());
    let (tell, told) = mpsc::channel();
    tokio::spawn(async move {
        let stream = acceptor.accept(listener.accept().await.unwrap().0).await.unwrap();
        let answer = service_fn(move |request: Request<_>| {
            tell.send(request.version()).unwrap();
            async { Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"ice")))) }
        });
        // The client goes away when it has what it wants.
        let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), answer).await;
    });
    let server = Server {
        kind: ServerKind::Http,
        address,
        connections: 1,
        credentials: None,
        authorities: Some(authority),
        region: None,
    };
    let fetcher = fetcher(server, &impatient(), folder.path()).unwrap();
    let fetched = fetcher.fetch(SERVER, &remote(NAME)).await.unwrap();
    assert_eq!(fs::read(fetched.path).unwrap(), b"ice");
    assert_eq!(told.recv().unwrap(), HttpVersion::HTTP_2);
}

/// The environment belongs to the whole process: this test starts itself again, behind a proxy.
#[tokio::test]
async fn the_proxy_comes_from_the_environment() {
    const BEHIND: &str = "NILAS_TEST_BEHIND_PROXY";
    const MYSELF: &str = "the_proxy_comes_from_the_environment";
    let scene = Scene::new().await;
    if std::env::var_os(BEHIND).is_some() {
        let address = "http://ice.invalid/thredds/".to_owned();
        let server = Server { address, ..scene.server.configured(ServerKind::Thredds) };
        let fetcher = fetcher(server, &scene.fetching, &scene.cache()).unwrap();
        let fetched = fetcher.fetch(SERVER, &remote(NAME)).await.unwrap();
        assert_eq!(fs::read(fetched.path).unwrap(), noise(1, SIZE));
        return;
    }
    let output = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args([MYSELF, "--exact"])
        .env(BEHIND, "yes")
        .env("http_proxy", scene.server.url("127.0.0.1"))
        .env_remove("no_proxy")
        .env_remove("NO_PROXY")
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let asked = scene.asked();
    assert_eq!(asked.iter().map(|asked| asked.headers["host"].as_str()).collect::<Vec<_>>(), ["ice.invalid"]);
}

// --- bodies that are not what they should be --------------------------------------------------------------------------

#[tokio::test]
async fn what_is_compressed_on_the_way_is_refused_unopened() {
    let scene = Scene::new().await;
    // Its header is that of gzip; nobody looks any further.
    let bomb = || {
        Fault::Body(vec![("Content-Encoding", "gzip")], [vec![0x1f, 0x8b, 8, 0], vec![0; 5_000_000]].concat())
    };
    for path in [PATH, CATALOG] {
        scene.server.fail(path, [bomb()]);
    }
    for error in [scene.fetch().await.unwrap_err(), scene.list(ServerKind::Thredds).await.unwrap_err()] {
        assert!(
            matches!(&error, FetchError::Answer { reason, .. } if reason.contains("compressed (gzip)")),
            "{error}"
        );
    }
    assert!(!scene.cache().join("inputs/partial").exists());
    let asked = scene.server.asked();
    assert!(asked.iter().all(|asked| asked.headers["accept-encoding"] == "identity"));
}

/// A page in place of a file is a file to whoever knows no product: the vetting refuses it by its first bytes. In place of a
/// catalog it is refused here.
#[tokio::test]
async fn a_page_with_status_200_is_a_file_but_no_catalog() {
    let scene = Scene::new().await;
    let page = b"<!DOCTYPE html><html><body>We are back soon</body></html>";
    for path in [PATH, CATALOG] {
        scene.server.fail(path, [Fault::Body(vec![("Content-Type", "text/html")], page.to_vec())]);
    }
    assert_eq!(fs::read(scene.fetch().await.unwrap().path).unwrap(), page);
    assert!(matches!(scene.list(ServerKind::Thredds).await, Err(FetchError::Answer { .. })));
}

#[tokio::test]
async fn an_empty_file_is_a_file() {
    let scene = Scene::new().await;
    scene.serve(NAME, b"");
    let fetched = scene.fetch_under([Fault::None]).await;
    assert_eq!((fetched.size_bytes, fetched.transferred_bytes), (0, 0));
}

#[tokio::test]
async fn a_file_that_no_input_can_be_is_not_fetched() {
    let mut scene = Scene::new().await;
    scene.fetching.largest_file_megabytes = 1;
    scene.serve(NAME, &noise(1, 1_000_001));
    let error = scene.fetch().await.unwrap_err();
    assert!(matches!(error, FetchError::TooLarge { largest_bytes: 1_000_000, .. }), "{error}");
    assert_eq!(scene.asked().len(), 1);
}

// --- listings ---------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn catalogs_and_pages_list_the_same_files() {
    let scene = Scene::new().await;
    let names =
        ["100%.nc", "W_XX-ESA,SMOS_CS2,NH.nc", "a b#c?.nc", "day.nc", "zero&nbsp;.nc", "\u{e6}\u{e5}.nc"];
    for (seed, name) in names.iter().enumerate() {
        scene.serve(name, &noise(seed as u32, 1000));
    }
    for kind in [ServerKind::Thredds, ServerKind::Http] {
        let files = scene.list(kind).await.unwrap();
        assert_eq!(files.iter().map(|file| file.name.as_str()).collect::<Vec<_>>(), names, "{kind:?}");
        let fetcher = scene.fetcher(kind);
        for (seed, file) in files.iter().enumerate() {
            let fetched = fetcher.fetch(SERVER, file).await.unwrap();
            assert_eq!(fs::read(fetched.path).unwrap(), noise(seed as u32, 1000), "{kind:?} {}", file.name);
        }
    }
}

/// Lists a catalog of this text.
async fn listed(text: impl Into<Vec<u8>>) -> Result<Vec<Remote>, FetchError> {
    let scene = Scene::new().await;
    scene.server.fail(CATALOG, [Fault::Body(vec![], text.into())]);
    scene.list(ServerKind::Thredds).await
}

#[tokio::test]
async fn a_malformed_catalog_is_refused() {
    let good = catalog([(NAME.into(), PATH.into(), 1)]);
    assert_eq!(listed(good.clone()).await.unwrap().len(), 1);
    let truncated = good[..good.len() - 20].to_owned();
    let bad = [
        truncated,
        good.replace("</dataset>", "</data>"),
        good.replace("urlPath", "urlPath=\""),
        String::new(),
    ];
    for text in bad {
        let error = listed(text).await.unwrap_err();
        assert!(matches!(error, FetchError::Answer { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_catalog_of_ten_thousand_entries_is_listed() {
    let entries = (0..10_000).map(|number| {
        let name = format!("ice_{number:05}.nc");
        (name.clone(), format!("{FOLDER}/{name}"), number)
    });
    let files = listed(catalog(entries)).await.unwrap();
    assert_eq!(files.len(), 10_000);
    assert!(files.iter().enumerate().all(|(number, file)| file.size_bytes == Some(number as u64)));
}

#[tokio::test]
async fn a_folder_of_too_many_files_is_not_looked_through() {
    let scene = Scene::new().await;
    let names = || (0..20_001).map(|number| format!("ice_{number:05}.nc"));
    let entries = names().map(|name| (name.clone(), format!("{FOLDER}/{name}"), 1));
    scene.server.fail(CATALOG, [Fault::Body(vec![], catalog(entries).into())]);
    let links: Vec<_> = names().map(|name| format!("<a href='{name}'>{name}</a>")).collect();
    scene.server.fail(&format!("{FOLDER}/"), [Fault::Body(vec![], links.concat().into())]);
    for kind in [ServerKind::Thredds, ServerKind::Http] {
        let error = scene.list(kind).await.unwrap_err();
        assert!(
            matches!(&error, FetchError::TooMany { url, most: 20_000 } if url.contains(FOLDER)),
            "{error}"
        );
    }
}

#[tokio::test]
async fn entities_are_not_expanded() {
    let entity = |level: i32| format!("<!ENTITY a{level} \"{}\">", format!("&a{};", level - 1).repeat(10));
    let entities: Vec<String> = (1..30).map(entity).collect();
    let bomb = format!(
        "<?xml version=\"1.0\"?><!DOCTYPE catalog [<!ENTITY a0 \"ice\">{}]><catalog><dataset urlPath=\"&a29;\"/></catalog>",
        entities.concat()
    );
    let error = listed(bomb).await.unwrap_err();
    assert!(
        matches!(&error, FetchError::Answer { reason, .. } if reason.contains("document type")),
        "{error}"
    );
}

#[tokio::test]
async fn names_that_lead_elsewhere_are_not_listed() {
    let long = "x".repeat(300);
    let names = [
        "../../x",
        "..",
        ".",
        "",
        "a/b.nc",
        "a\\b.nc",
        "nul\0.nc",
        "bell\u{7}.nc",
        long.as_str(),
        "good,100%.nc",
    ];
    let here = names.map(|name| (name.to_owned(), format!("{FOLDER}/{name}"), 1));
    let elsewhere =
        ["../../x", "/etc/passwd", "x", "ice/2026/04/x.nc", "ice/2026/03x/x.nc", "http://evil.example/x"];
    let elsewhere = elsewhere.map(|path| (NAME.to_owned(), path.to_owned(), 1));
    let files = listed(catalog(here.into_iter().chain(elsewhere))).await.unwrap();
    assert_eq!(files.iter().map(|file| file.name.as_str()).collect::<Vec<_>>(), ["good,100%.nc"]);
}

#[tokio::test]
async fn files_that_nobody_listed_are_not_asked_for() {
    let scene = Scene::new().await;
    let fetcher = scene.fetcher(ServerKind::Thredds);
    for (name, path) in
        [("../x", "x"), ("x", "../x"), ("x", "a/../../x"), ("x", "/x"), ("x\0", "x"), ("", "x")]
    {
        let file = Remote { name: name.into(), path: path.into(), size_bytes: None };
        let error = fetcher.fetch(SERVER, &file).await.unwrap_err();
        assert!(matches!(error, FetchError::Answer { .. }), "{error}");
    }
    assert!(matches!(fetcher.list(SERVER, "../..").await, Err(FetchError::Answer { .. })));
    assert!(matches!(fetcher.list("nobody", "").await, Err(FetchError::Server { .. })));
    assert_eq!(scene.server.asked().len(), 0);
}

#[tokio::test]
async fn a_listing_without_end_is_broken_off() {
    let error = listed(vec![b' '; (8 << 20) + 1]).await.unwrap_err();
    assert!(matches!(&error, FetchError::Answer { reason, .. } if reason.contains("larger than")), "{error}");
}

// --- the cache --------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn what_is_here_and_unchanged_is_not_transferred_again() {
    let scene = Scene::new().await;
    let first = scene.fetch_under([Fault::None]).await;
    let sent = scene.server.file_bytes();
    let second = scene.fetch().await.unwrap();
    assert_eq!(second, Fetched { transferred_bytes: 0, ..first.clone() });
    assert_eq!((first.transferred_bytes, scene.server.file_bytes()), (SIZE as u64, sent));
    assert!(scene.asked()[1].headers.contains_key("if-none-match"));

    scene.serve(NAME, &noise(2, SIZE));
    let third = scene.fetch_under([Fault::None]).await;
    assert_ne!(third.sha256, first.sha256);
    assert!(first.path.exists(), "the older content stays until the limit asks for its place");
}

#[tokio::test]
async fn a_cached_file_that_changed_on_disk_is_fetched_again() {
    let scene = Scene::new().await;
    let first = scene.fetch_under([Fault::None]).await;
    fs::set_permissions(&first.path, Permissions::from_mode(0o644)).unwrap();
    fs::OpenOptions::new().append(true).open(&first.path).unwrap().write_all(b"x").unwrap();
    let second = scene.fetch_under([Fault::None]).await;
    assert_eq!((second.path, second.transferred_bytes), (first.path, SIZE as u64));
}

/// Bytes of all files below a folder.
fn size_of(folder: &Path) -> u64 {
    let sizes = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap()).map(|entry| match entry.path() {
        path if path.is_dir() => size_of(&path),
        _ => entry.metadata().unwrap().len(),
    });
    sizes.sum()
}

#[tokio::test]
async fn the_cache_keeps_its_limit() {
    let mut scene = Scene::new().await;
    scene.fetching.cache_megabytes = 1;
    let mut paths = Vec::new();
    for seed in 0..6 {
        let name = format!("{seed}.nc");
        scene.serve(&name, &noise(seed, 300_000));
        let fetcher = scene.fetcher(ServerKind::Thredds);
        paths.push(fetcher.fetch(SERVER, &remote(&name)).await.unwrap().path);
        assert!(size_of(&scene.cache()) <= 1_000_000);
    }
    assert_eq!(
        paths.iter().map(|path| path.exists()).collect::<Vec<_>>(),
        [false, false, false, true, true, true]
    );
}

/// What breaks off takes room, too, and comes back under another name at every look.
#[tokio::test]
async fn the_cache_keeps_its_limit_also_with_files_that_never_come_whole() {
    let mut scene = Scene::new().await;
    scene.fetching.cache_megabytes = 1;
    scene.fetching.largest_file_megabytes = 1;
    let partial = scene.cache().join("inputs/partial");
    fs::create_dir_all(&partial).unwrap();
    let long_ago = SystemTime::from(SystemClock::new().now()) - Duration::from_hours(2);
    for number in 0..4 {
        let left = File::create(partial.join(format!("{number}.part"))).unwrap();
        left.set_len(300_000).unwrap();
        left.set_modified(long_ago).unwrap();
    }
    scene.serve("good.nc", &noise(1, 300_000));
    let good = scene.fetcher(ServerKind::Thredds).fetch(SERVER, &remote("good.nc")).await.unwrap();
    scene.serve("large.nc", &noise(2, 1_000_001));
    let error = scene.fetcher(ServerKind::Thredds).fetch(SERVER, &remote("large.nc")).await.unwrap_err();
    assert!(matches!(error, FetchError::TooLarge { .. }), "{error}");
    assert!(size_of(&scene.cache()) <= 1_000_000);
    assert!(good.path.exists(), "what is whole goes after what broke off");
}

/// What the server says by that is that nobody can go on with what has come.
#[tokio::test]
async fn of_a_file_that_is_gone_meanwhile_nothing_is_kept() {
    let scene = Scene::new().await;
    scene.server.fail(PATH, [Fault::ResetAfter(CUT), status(404)]);
    assert!(scene.fetch().await.unwrap_err().is_not_found());
    assert_eq!(fs::read_dir(scene.cache().join("inputs/partial")).unwrap().count(), 0);
}

#[tokio::test]
async fn two_fetchers_on_one_cache_fetch_a_file_once() {
    let scene = Scene::new().await;
    let (one, other) = join(scene.fetch(), scene.fetch()).await;
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_eq!(one.path, other.path);
    assert_eq!(one.transferred_bytes + other.transferred_bytes, SIZE as u64);
    assert_eq!(scene.server.file_bytes(), SIZE as u64);
}

#[tokio::test]
async fn no_more_than_the_configured_number_ask_at_once() {
    let scene = Scene::new().await;
    let names: Vec<String> = (0..8).map(|number| format!("{number}.nc")).collect();
    for name in &names {
        scene.serve(name, name.as_bytes());
    }
    scene.server.delay(Duration::from_millis(50));
    let server = Server { connections: 2, ..scene.server.configured(ServerKind::Thredds) };
    let fetcher = fetcher(server, &scene.fetching, &scene.cache()).unwrap();
    let files: Vec<Remote> = names.iter().map(|name| remote(name)).collect();
    let fetched = join_all(files.iter().map(|file| fetcher.fetch(SERVER, file))).await;
    assert!(fetched.iter().all(Result::is_ok));
    assert_eq!(scene.server.most_at_once(), 2);
}
