//! Passwords, and addresses that are as good as one, are planted in all places that take some; every server answers with all that it was
//! sent. Afterwards none of them stands anywhere: not in a log at its most talkative, in no file, on no page, in no core dump.

#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use common::aftermath::{daemon_command, signal, wait_until};
use common::tiny_window::TinyHouse;
use rustix::process::Signal;

/// What must not be found anywhere, also as HTTP sends the first two.
const PLANTED: [&str; 8] = [
    "planted-password-of-a-server",
    "cGxhbnRlZC11c2VyOnBsYW50ZWQtcGFzc3dvcmQtb2YtYS1zZXJ2ZXI=",
    "planted-key-of-a-store",
    "planted-password-of-mail",
    "planted-address-of-a-webhook",
    "planted-address-of-a-watcher",
    "planted-address-of-a-portal",
    "planted-password-of-a-proxy",
];

/// Answers every request with status 403, which is not asked again, and all that it was sent.
fn echo() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            // Whoever speaks SMTP waits to be spoken to.
            stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
            let mut request = vec![0; 1 << 16];
            let length = stream.read(&mut request).unwrap_or(0);
            count.fetch_add(1, Ordering::Relaxed);
            let said = &request[..length];
            let head = format!(
                "HTTP/1.1 403 {}\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n",
                String::from_utf8_lossy(said).replace(['\r', '\n'], " ")
            );
            let _ = stream.write_all(&[head.as_bytes(), said].concat());
        }
    });
    (address, asked)
}

/// A house in which everything has a secret, and the folder of the files that they stand in.
struct Keys {
    folder: PathBuf,
}

impl Keys {
    fn file(&self, name: &str, text: &str) -> String {
        fs::create_dir_all(&self.folder).unwrap();
        let path = self.folder.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path.display().to_string()
    }
}

fn house(root: &Path, echo: SocketAddr, page: SocketAddr) -> TinyHouse {
    let keys = Keys { folder: root.join("keys") };
    let url = |secret: &str| format!("http://{echo}/{secret}\n");
    let server = keys.file("server", "planted-user\nplanted-password-of-a-server\n");
    let store = keys.file("store", "planted-user\nplanted-key-of-a-store\n");
    let mail = keys.file("mail", "planted-user\nplanted-password-of-mail\n");
    let webhook = keys.file("webhook", &url("planted-address-of-a-webhook"));
    let watcher = keys.file("watcher", &url("planted-address-of-a-watcher"));
    let portal = keys.file("portal", &url("planted-address-of-a-portal"));
    let house = TinyHouse::new(
        &root.join("house"),
        &[
            (
                "it is one of this machine).\nenabled = false",
                &*format!("it is one of this machine).\nenabled = true\nurl_file = \"{webhook}\""),
            ),
            ("interval_minutes = 5", &format!("interval_minutes = 1\nurl_file = \"{watcher}\"")),
            (
                "by mail; `nilas check` says so.\nenabled = false",
                "by mail; `nilas check` says so.\nenabled = true",
            ),
            ("server = \"smtp.example.org\"", &format!("server = \"127.0.0.1\"\ncredentials = \"{mail}\"")),
            ("port = 587", &format!("port = {}", echo.port())),
            ("[http]\nenabled = false", "[http]\nenabled = true"),
            ("listen = \"127.0.0.1:8460\"", &format!("listen = \"{page}\"")),
            (
                "#[targets.mirror]",
                &format!(
                    "[targets.store]\nkind = \"s3\"\naddress = \"http://{echo}/bucket\"\ncredentials = \"{store}\"\nregion = \"none\"\n[targets.portal]\nkind = \"webhook\"\naddress_file = \"{portal}\"\nproducts_url = \"http://{echo}/products\""
                ),
            ),
        ],
    );
    house.deliver();
    house.nilas("produce").option("--date", house.day.to_string()).expect_code(0);
    // From now on the provider of concentration and drift answers like all others.
    let text = fs::read_to_string(house.configuration()).unwrap();
    let provider = format!(
        "[servers.met-norway]\nkind = \"folder\"\naddress = \"{}\"",
        house.root.join("provider").display()
    );
    assert_eq!(text.matches(&provider).count(), 1);
    let other = format!(
        "[servers.met-norway]\nkind = \"http\"\naddress = \"http://{echo}/\"\ncredentials = \"{server}\""
    );
    fs::write(house.configuration(), text.replace(&provider, &other)).unwrap();
    house
}

/// What a page says, head and body.
fn page(address: SocketAddr, path: &str) -> String {
    let Ok(mut stream) = TcpStream::connect(address) else { return String::new() };
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: nilas\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// Which secrets a text or a file has.
fn found_in(bytes: &[u8]) -> Vec<&'static str> {
    let has = |secret: &&str| bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
    PLANTED.into_iter().filter(has).collect()
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// The output of a verb, whatever it ends with.
fn said(house: &TinyHouse, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(env!("CARGO_BIN_EXE_nilas"))
        .args(arguments)
        .arg("--config")
        .arg(house.configuration())
        .env("NILAS_LOG", "trace")
        .output()
        .unwrap();
    [output.stdout, output.stderr].concat()
}

#[test]
fn no_secret_is_left_anywhere() {
    let root = tempfile::tempdir().unwrap();
    let (echo, asked) = echo();
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let house = house(root.path(), echo, address);
    let mut command = daemon_command(&house);
    let proxy = "http://user:planted-password-of-a-proxy@127.0.0.1:1/";
    let mut daemon = command
        .current_dir(&house.root)
        .env("NILAS_LOG", "trace")
        // Loopback is reached past it; that it is known is enough to be told.
        .envs([("https_proxy", proxy), ("no_proxy", "127.0.0.1")])
        .spawn()
        .unwrap();
    // However large a core may be, there must be none.
    let unlimited = Command::new("prlimit")
        .args(["--core=unlimited", "--pid", &daemon.id().to_string()])
        .stdin(Stdio::null())
        .status()
        .expect("prlimit is a part of Debian's base");
    assert!(unlimited.success());
    wait_until("everything has failed", &house, || {
        let status = page(address, "/status");
        ["server:met-norway", "target:store"].iter().all(|key| status.contains(key))
    });

    let day = house.day.to_string();
    let mut heard: Vec<(String, Vec<u8>)> = ["/", "/status", "/metrics", "/readyz", "/healthz"]
        .map(|path| (path.to_owned(), page(address, path).into_bytes()))
        .into();
    for arguments in
        [&["status"][..], &["status", "--json"], &["explain", &day], &["check"], &["notify", "test"]]
    {
        heard.push((arguments.join(" "), said(&house, arguments)));
    }
    signal(&daemon, Signal::ABORT);
    let status = daemon.wait().unwrap();
    assert_eq!(status.signal(), Some(libc::SIGABRT));
    assert!(!status.core_dumped(), "a core has all passwords in it");

    let log = house.root.with_extension("log");
    heard.extend(files(&house.root).into_iter().chain([log]).map(|path| {
        let bytes = fs::read(&path).unwrap();
        (path.display().to_string(), bytes)
    }));
    let shown: Vec<_> = heard
        .iter()
        .map(|(place, bytes)| (place, found_in(bytes)))
        .filter(|(_, secrets)| !secrets.is_empty())
        .collect();
    assert!(shown.is_empty(), "{shown:#?}");
    assert!(asked.load(Ordering::Relaxed) > 5, "the servers were asked, with the secrets");
    let talkative = heard.iter().map(|(_, bytes)| bytes.len()).sum::<usize>();
    assert!(talkative > 100_000, "{talkative} bytes were looked through");
}

#[test]
fn what_is_planted_would_be_found() {
    assert_eq!(
        found_in(b"Authorization: Basic cGxhbnRlZC11c2VyOnBsYW50ZWQtcGFzc3dvcmQtb2YtYS1zZXJ2ZXI="),
        [PLANTED[1]]
    );
    assert_eq!(found_in(b"nothing"), Vec::<&str>::new());
}
