//! A house in which something went wrong: what readers see meanwhile, and what must be so afterwards.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nilas::publish::{self, Compared, Latest, read_manifest};
use nilas::sys;
use nilas::time::{Clock, SystemClock};
use rustix::process::{Pid, Signal, kill_process};

use super::tiny_window::TinyHouse;

/// No production on the smallest window takes so long, also beside others.
const DEADLINE: Duration = Duration::from_mins(2);

/// A daemon of the house.
pub(crate) fn daemon(house: &TinyHouse, fail_points: &str) -> Child {
    daemon_command(house).env("FAILPOINTS", fail_points).spawn().unwrap()
}

/// The daemon before it starts; its log goes where [`log`] finds it.
pub(crate) fn daemon_command(house: &TinyHouse) -> Command {
    let log = fs::File::options().create(true).append(true).open(house.root.with_extension("log")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_nilas"));
    command.args(["run", "--config"]).arg(house.configuration());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    command
}

/// `nilas produce` for the day of the house.
pub(crate) fn produce(house: &TinyHouse) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nilas"));
    command.args(["produce", "--config"]).arg(house.configuration());
    command.args(["--date", &house.day.to_string()]).env("NILAS_LOG", "info").stdin(Stdio::null());
    command
}

pub(crate) fn signal(child: &Child, signal: Signal) {
    // It may have died by itself.
    let _ = kill_process(Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap(), signal);
}

/// Takes every POST, and remembers the bodies.
pub(crate) fn webhook() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/hook", listener.local_addr().unwrap());
    let bodies = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&bodies);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = vec![0; 65536];
            let length = stream.read(&mut request).unwrap_or(0);
            heard.lock().unwrap().push(String::from_utf8_lossy(&request[..length]).into_owned());
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        }
    });
    (address, bodies)
}

/// Waits until something is so.
#[track_caller]
pub(crate) fn wait_until(what: &str, house: &TinyHouse, mut is_so: impl FnMut() -> bool) {
    let clock = SystemClock::new();
    while !is_so() {
        assert!(clock.monotonic() < DEADLINE, "{what}: not within {DEADLINE:?}; the log:\n{}", log(house));
        thread::sleep(Duration::from_millis(20));
    }
}

pub(crate) fn log(house: &TinyHouse) -> String {
    fs::read_to_string(house.root.with_extension("log")).unwrap_or_default()
}

/// Lets a daemon work until the day is recorded, and ends it.
#[track_caller]
pub(crate) fn finish(house: &TinyHouse) {
    let starts = || log(house).matches("nilas is at work").count();
    let before = starts();
    let mut daemon = daemon(house, "");
    wait_until("the day is published and recorded", house, || {
        daemon.try_wait().unwrap().is_some() || (starts() > before && is_recorded(house))
    });
    end(daemon, house);
}

/// Ends a daemon, which must do so of its own will.
#[track_caller]
pub(crate) fn end(mut daemon: Child, house: &TinyHouse) {
    signal(&daemon, Signal::TERM);
    let status = daemon.wait().unwrap();
    assert!(status.success(), "{status}: {}", log(house));
}

pub(crate) fn is_recorded(house: &TinyHouse) -> bool {
    let ledger = house.ledger();
    ledger.products_of(house.day).unwrap().len() == 1 && ledger.runs_at_work().unwrap().is_empty()
}

/// Whoever polls what is published, and remembers what was not whole.
pub(crate) struct Reader {
    ends: Arc<AtomicBool>,
    looks: Arc<AtomicUsize>,
    thread: JoinHandle<Vec<String>>,
}

impl Reader {
    pub(crate) fn of(products: PathBuf) -> Self {
        let (ends, looks) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (end, look) = (Arc::clone(&ends), Arc::clone(&looks));
        let thread = thread::spawn(move || {
            let mut wrong = Vec::new();
            while !end.load(Ordering::Relaxed) {
                wrong.extend(partial(&products));
                look.fetch_add(1, Ordering::Relaxed);
                thread::sleep(Duration::from_millis(2));
            }
            wrong
        });
        Self { ends, looks, thread }
    }

    #[track_caller]
    pub(crate) fn end(self) {
        self.ends.store(true, Ordering::Relaxed);
        let wrong = self.thread.join().unwrap();
        assert!(self.looks.load(Ordering::Relaxed) > 0);
        assert!(wrong.is_empty(), "a reader saw {wrong:?}");
    }
}

/// What a reader of the product root sees that is not whole.
fn partial(products: &Path) -> Option<String> {
    let latest = match fs::read(products.join("latest.json")) {
        Ok(text) => match serde_json::from_slice::<Latest>(&text) {
            Ok(latest) => Some(latest),
            Err(error) => return Some(format!("a latest.json that is none: {error}")),
        },
        Err(_) => None,
    };
    let named = latest.map(|latest| products.join(latest.newest.path));
    let year = |name: &str| name.starts_with("20");
    let listed = |folder: &Path| -> Vec<PathBuf> {
        fs::read_dir(folder)
            .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
            .unwrap_or_default()
    };
    let years =
        listed(products).into_iter().filter(|path| path.file_name().unwrap().to_str().is_some_and(year));
    let days = years.flat_map(|year| listed(&year)).flat_map(|month| listed(&month));
    let revisions: Vec<PathBuf> = days.flat_map(|day| listed(&day)).collect();
    for folder in revisions.iter().chain(&named) {
        let manifest = match read_manifest(folder) {
            Ok(manifest) => manifest,
            Err(error) => return Some(error.to_string()),
        };
        for file in &manifest.files {
            let size = fs::metadata(folder.join(&file.name)).map(|metadata| metadata.len());
            if size.ok() != Some(file.bytes) {
                return Some(format!("{} without its {}", folder.display(), file.name));
            }
        }
    }
    None
}

/// The day is there once, whole and recorded, and nothing else is.
#[track_caller]
pub(crate) fn holds(house: &TinyHouse, what: &str) {
    let revisions = house.revisions();
    assert_eq!(revisions.len(), 1, "{what}: {revisions:?}\n{}", log(house));
    let manifest = read_manifest(&revisions[0]).unwrap();
    for file in &manifest.files {
        let sum = sys::sha256_of_file(&revisions[0].join(&file.name)).unwrap();
        assert_eq!(sum, file.sha256, "{what}: {}", file.name);
    }
    let latest: Latest =
        serde_json::from_slice(&fs::read(house.products().join("latest.json")).unwrap()).unwrap();
    assert_eq!(house.products().join(latest.newest.path), revisions[0], "{what}");
    // Opening looks through the whole file.
    let ledger = house.ledger();
    let products = ledger.products_of(house.day).unwrap();
    assert_eq!(products.len(), 1, "{what}");
    assert_eq!(products[0].revision, manifest.revision, "{what}");
    assert_eq!(products[0].manifest_sha256, manifest.manifest_sha256, "{what}");
    assert!(ledger.runs_of(house.day).unwrap().iter().all(|run| run.end.is_some()), "{what}");
    assert!(ledger.runs_at_work().unwrap().is_empty(), "{what}");
}

/// Why a program failed, as it says last. It must say so, and not by a panic.
#[track_caller]
pub(crate) fn reason<'a>(said: &'a str, what: &str) -> &'a str {
    assert!(!said.contains("panicked"), "{what}: {said}");
    let reason = said.lines().rev().find_map(|line| line.strip_prefix("nilas: "));
    reason.unwrap_or_else(|| panic!("{what}: it failed without a reason\n{said}"))
}

/// Whether a reason names where it happened, and what to do.
pub(crate) fn is_reason(reason: &str, house: &TinyHouse) -> bool {
    let names_a_place = reason.contains(&house.root.display().to_string()) || reason.contains("folders.");
    names_a_place && reason.contains(';')
}

/// What went wrong is over: whoever makes the day next, makes it.
#[track_caller]
pub(crate) fn recover(house: &TinyHouse, what: &str) {
    if house.revisions().is_empty() {
        let output = produce(house).output().unwrap();
        assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
    } else if !is_recorded(house) {
        finish(house);
    }
}

/// What is published after a fault is what is published without one.
#[track_caller]
pub(crate) fn assert_same_data(clean: &TinyHouse, house: &TinyHouse, what: &str) {
    let (clean, found) = (&clean.revisions()[0], &house.revisions()[0]);
    for entry in fs::read_dir(clean).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        // A production that failed may have taken the first number.
        let other = found.join(name.replace("r01", found.file_name().unwrap().to_str().unwrap()));
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("nc") => {
                let compared = publish::compare(&path, &other).unwrap();
                assert!(compared.iter().all(Compared::is_same), "{what}: {compared:?}");
            }
            Some("tif" | "png" | "qml") => {
                assert!(fs::read(&path).unwrap() == fs::read(&other).unwrap(), "{what}: {}", other.display());
            }
            _ => {}
        }
    }
}
