//! FTP servers that fail, are old, or are not whom they claim to be.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "common/fetching.rs"]
mod fetching;
#[path = "common/ftp_server.rs"]
mod ftp_server;
#[path = "common/s3_server.rs"]
mod s3_server;
#[path = "common/scripted_ftp.rs"]
mod scripted_ftp;

use std::fmt::Debug;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};

use futures_util::TryStreamExt;
use nilas::config::{Server, ServerKind};
use nilas::fetch::{Credentials, FetchError, FtpTransport, Remote, Reply, Transport, Version, Wish};
use tokio::net::TcpListener;
use tracing::level_filters::LevelFilter;

use fetching::{SERVER, fetcher, impatient, noise};
use ftp_server::{Door, FtpServer, write_credentials};
use s3_server::S3Server;
use scripted_ftp::{Fault, MODERN, OLD, ScriptedFtp};

const SIZE: usize = 200_000;
/// Where transfers break.
const CUT: usize = 20_000;

fn transport(server: &Server) -> FtpTransport {
    let credentials = Credentials::of(SERVER, server).unwrap();
    FtpTransport::new(SERVER, server, &impatient(), credentials).unwrap()
}

fn remote() -> Remote {
    Remote { name: "day.nc".into(), path: "LATEST/day.nc".into(), size_bytes: None }
}

/// Reads the file whole.
async fn read(transport: &FtpTransport) -> Result<Vec<u8>, FetchError> {
    let Reply::Body(body) = transport.open(&remote(), &Wish::Whole).await? else { panic!("unchanged") };
    let parts: Vec<_> = body.bytes.try_collect().await?;
    Ok(parts.concat())
}

/// What becomes of reading a file on a connection with this fault; and the next one is served as always.
async fn read_under(fault: Fault) -> FetchError {
    let file = noise(1, SIZE);
    let server = ScriptedFtp::start(MODERN, &file, &[], [fault]).await;
    let transport = transport(&server.configured(ServerKind::Ftp));
    let error = read(&transport).await.unwrap_err();
    assert_eq!(read(&transport).await.unwrap(), file);
    error
}

fn assert_broken(error: &FetchError, reason: &str) {
    assert!(matches!(error, FetchError::Broken { reason: found, .. } if found.contains(reason)), "{error}");
}

#[tokio::test]
async fn a_data_connection_that_nobody_takes_is_given_up() {
    assert_broken(&read_under(Fault::ClosedPort).await, "no data connection to port");
}

#[tokio::test]
async fn a_data_connection_that_never_opens_is_given_up() {
    assert_broken(&read_under(Fault::NeverBegins).await, "no data connection within 1 s");
}

#[tokio::test]
async fn a_stalled_transfer_is_given_up() {
    assert_broken(&read_under(Fault::StallAfter(CUT)).await, "no byte within 1 s");
}

#[tokio::test]
async fn a_cut_transfer_does_not_pass_for_a_whole_one() {
    assert_broken(&read_under(Fault::CutAfter(CUT)).await, "426 it broke");
    assert_broken(&read_under(Fault::GoneAfter(CUT)).await, "as if there were no such file");
    let vanished = read_under(Fault::VanishAfter(CUT)).await;
    assert!(matches!(vanished, FetchError::Broken { .. }), "{vanished}");
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up() {
    assert_broken(&read_under(Fault::Silence).await, "no greeting within 1 s");
}

#[tokio::test]
async fn a_busy_server_is_asked_again() {
    let error = read_under(Fault::Greeting("421 too many here")).await;
    assert!(matches!(&error, FetchError::Busy { answer, .. } if answer == "421 too many here"), "{error}");
}

#[tokio::test]
async fn where_nobody_listens_nobody_is_reached() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let server = ScriptedFtp::start(MODERN, b"", &[], []).await.configured(ServerKind::Ftp);
    let error = read(&transport(&Server { address: format!("ftp://127.0.0.1:{port}/"), ..server }))
        .await
        .unwrap_err();
    assert!(matches!(&error, FetchError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn a_broken_transfer_goes_on_where_it_ended() {
    let (file, cache) = (noise(1, SIZE), tempfile::tempdir().unwrap());
    let faults = [Fault::CutAfter(CUT), Fault::StallAfter(CUT), Fault::VanishAfter(0)];
    let server = ScriptedFtp::start(MODERN, &file, &[], faults).await;
    let fetcher = fetcher(server.configured(ServerKind::Ftp), &impatient(), cache.path()).unwrap();
    let fetched = fetcher.fetch(SERVER, &remote()).await.unwrap();
    assert_eq!(fs::read(&fetched.path).unwrap(), file);
    assert_eq!(fetched.transferred_bytes, SIZE as u64);
    let mut heard = server.heard();
    heard.retain(|command| command.starts_with("REST"));
    assert_eq!(heard, [CUT, 2 * CUT, 2 * CUT].map(|start| format!("REST {start}")));
}

#[tokio::test]
async fn a_server_that_cannot_resume_begins_anew() {
    let (file, cache) = (noise(1, SIZE), tempfile::tempdir().unwrap());
    let server = ScriptedFtp::start(OLD, &file, &[], [Fault::CutAfter(CUT)]).await;
    let fetcher = fetcher(server.configured(ServerKind::Ftp), &impatient(), cache.path()).unwrap();
    let fetched = fetcher.fetch(SERVER, &remote()).await.unwrap();
    assert_eq!(fs::read(&fetched.path).unwrap(), file);
    assert_eq!(fetched.transferred_bytes, (CUT + SIZE) as u64);
    assert!(!server.heard().iter().any(|command| command.starts_with("REST")), "{:?}", server.heard());
}

#[tokio::test]
async fn old_servers_are_listed_as_for_people_and_links_are_followed() {
    let listing = [
        "total 12",
        "-rw-r--r--   1 ftp ftp     7 Feb 28 12:00 W_XX-ESA,SMOS NH.nc",
        "lrwxrwxrwx   1 ftp ftp     9 Feb 28 12:00 now.nc -> 2026/a.nc",
        "lrwxrwxrwx   1 ftp ftp     9 Feb 28 12:00 folder -> 2026",
        "drwxr-xr-x   2 ftp ftp  4096 Feb 28 12:00 2026",
    ];
    let server = ScriptedFtp::start(OLD, &noise(1, SIZE), &listing, []).await;
    let found = transport(&server.configured(ServerKind::Ftp)).list("LATEST").await.unwrap();
    let file = |name: &str, size: usize| Remote {
        name: name.into(),
        path: format!("LATEST/{name}"),
        size_bytes: Some(size as u64),
    };
    assert_eq!(found, [file("W_XX-ESA,SMOS NH.nc", 7), file("now.nc", SIZE)]);
    // The address that went with PASV was nobody's.
    assert!(server.heard().contains(&"PASV".to_owned()), "{:?}", server.heard());
}

#[tokio::test]
async fn a_listing_in_no_known_form_is_an_error() {
    let server = ScriptedFtp::start(MODERN, b"", &["<html>", "<body>maintenance</body>"], []).await;
    let error = transport(&server.configured(ServerKind::Ftp)).list("LATEST").await.unwrap_err();
    assert!(matches!(&error, FetchError::Answer { reason, .. } if reason.contains("<html>")), "{error}");
}

#[tokio::test]
async fn a_folder_of_too_many_files_is_not_looked_through() {
    let lines: Vec<_> = (0..20_001).map(|number| format!("type=file;size=1; {number}.nc")).collect();
    for (files, is_taken) in [(20_000, true), (20_001, false)] {
        let lines: Vec<&str> = lines.iter().take(files).map(String::as_str).collect();
        let server = ScriptedFtp::start(MODERN, b"", &lines, []).await;
        match transport(&server.configured(ServerKind::Ftp)).list("LATEST").await {
            Ok(found) => assert!(is_taken && found.len() == files),
            Err(error) => {
                assert!(!is_taken && matches!(error, FetchError::TooMany { most: 20_000, .. }), "{error}");
            }
        }
    }
}

#[tokio::test]
async fn a_refused_login_is_denied() {
    let folder = tempfile::tempdir().unwrap();
    let server = FtpServer::start(folder.path(), Door::Login).await;
    let path = folder.path().join("wrong");
    write_credentials(&path, "wrong", 0o600);
    for credentials in [Some(path), None] {
        let error = transport(&Server { credentials, ..server.configured() }).list("").await.unwrap_err();
        assert!(matches!(&error, FetchError::Denied { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_server_without_tls_hears_nothing_but_the_question() {
    let server = ScriptedFtp::start(MODERN, b"", &[], []).await;
    let transport = transport(&server.configured(ServerKind::Ftps));
    for error in [transport.list("").await.unwrap_err(), read(&transport).await.unwrap_err()] {
        assert!(
            matches!(&error, FetchError::Answer { reason, .. } if reason.contains("refuses TLS")),
            "{error}"
        );
    }
    assert_eq!(server.heard(), ["AUTH TLS", "AUTH TLS"]);
}

#[tokio::test]
async fn a_certificate_of_nobody_or_of_another_is_not_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let server = FtpServer::start(folder.path(), Door::Tls).await;
    let configured = server.configured();
    transport(&configured).list("").await.unwrap();
    let unknown = Server { authorities: None, ..configured.clone() };
    let other = Server { address: configured.address.replace("127.0.0.1", "localhost"), ..configured };
    for (server, reason) in [(unknown, "UnknownIssuer"), (other, "not valid for name")] {
        let error = transport(&server).list("").await.unwrap_err();
        assert!(
            matches!(&error, FetchError::Unreachable { reason: found, .. } if found.contains(reason)),
            "{error}"
        );
    }
}

#[test]
fn credentials_that_others_may_read_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("credentials");
    write_credentials(&path, "planted-secret", 0o644);
    let server = Server {
        kind: ServerKind::Ftp,
        address: "ftp://127.0.0.1/".into(),
        connections: 1,
        credentials: Some(path),
        authorities: None,
        region: None,
    };
    let error = fetcher(server, &impatient(), folder.path()).err().unwrap();
    assert!(matches!(&error, FetchError::Server { reason, .. } if reason.contains("chmod 600")), "{error}");
    assert!(!format!("{error} {error:?}").contains("planted"), "{error:?}");
}

/// Everything that is logged in this program, at every level.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// All that a fetcher and its errors show when a login with this secret fails.
async fn shown_when_refused(server: Server, secret: &str, folder: &Path) -> String {
    let path = folder.join("planted");
    write_credentials(&path, secret, 0o600);
    let server = Server { credentials: Some(path), ..server };
    let credentials = Credentials::of(SERVER, &server).unwrap();
    let fetcher = fetcher(server.clone(), &impatient(), folder).unwrap();
    let listed = fetcher.list(SERVER, "").await.unwrap_err();
    let fetched = fetcher.fetch(SERVER, &remote()).await.unwrap_err();
    for error in [&listed, &fetched] {
        assert!(matches!(error, FetchError::Denied { .. }), "{error}");
    }
    let all: [&dyn Debug; 4] = [&listed, &fetched, &credentials, &server];
    format!("{listed} {fetched} {all:?}")
}

#[tokio::test]
async fn a_failed_login_shows_the_password_nowhere() {
    const SECRET: &str = "planted-secret-4711";
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE).with_writer(move || writer.clone()).init();
    tracing::info!("the log is kept");
    let folder = tempfile::tempdir().unwrap();

    let refusing = ScriptedFtp::start(MODERN, b"", &[], [Fault::Login; 2]).await;
    let shown = shown_when_refused(refusing.configured(ServerKind::Ftp), SECRET, folder.path()).await;
    assert!(refusing.heard().contains(&format!("PASS {SECRET}")), "the password was not even sent");
    assert!(shown.contains("530 [password] is wrong") && !shown.contains(SECRET), "{shown}");

    S3Server::tree(folder.path());
    let refusing = S3Server::start(folder.path(), true).await;
    let shown = shown_when_refused(refusing.configured(), SECRET, folder.path()).await;
    assert!(shown.contains("SignatureDoesNotMatch") && !shown.contains(SECRET), "{shown}");

    let log = String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned();
    assert!(log.contains("the log is kept") && !log.contains(SECRET), "{log}");
}

#[tokio::test]
async fn what_is_known_only_by_its_size_is_fetched_again() {
    let file = noise(1, SIZE);
    let server = ScriptedFtp::start(MODERN, &file, &[], []).await;
    let transport = transport(&server.configured(ServerKind::Ftp));
    let known = Version { size_bytes: Some(SIZE as u64), ..Version::default() };
    let reply = transport.open(&remote(), &Wish::UnlessStill(known)).await.unwrap();
    assert!(matches!(reply, Reply::Body(_)));
}
