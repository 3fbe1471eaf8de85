//! A daemon at work, watched as a centre does it: `nilas health`, `nilas status`, Prometheus.

#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stderr, reason = "a test that is skipped says so")]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use chrono::TimeDelta;
use common::demo_window::repository;
use common::nilas::Nilas;
use common::patience::{PATIENCE, wait_for};
use nilas::ledger::{
    Aftermath, DayState, FileRow, Ledger, Origin, Outcome, ProductRow, RunEnd, Severity, Verdict,
};
use nilas::publish;
use nilas::time::{Clock, ProductDay, SystemClock};
use serde_json::Value;
use tempfile::TempDir;

/// A configuration in a folder of its own, whose provider has nothing.
struct World {
    root: TempDir,
    address: SocketAddr,
}

/// A daemon, which does not outlive the test.
struct Daemon(Child);

impl World {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        // Given back at once: the daemon listens there.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut text = fs::read_to_string(repository("config/demo.toml")).unwrap();
        let file = |path: &str| format!("\"{}\"", repository(path).display());
        let folder = |name: &str| format!("\"{}\"", root.path().join(name).display());
        fs::create_dir(root.path().join("provider")).unwrap();
        for (shipped, here) in [
            ("\"grids/demo.toml\"", file("config/grids/demo.toml")),
            ("\"../models/small.safetensors\"", file("models/small.safetensors")),
            ("\"../tests/data/sample-day\"", folder("provider")),
            ("\"../demo\"", folder("products")),
            ("\"../demo/.nilas\"", folder("state")),
            ("\"../demo/.nilas/cache\"", folder("cache")),
        ] {
            assert_eq!(text.matches(shipped).count(), 1, "{shipped}");
            text = text.replace(shipped, &here);
        }
        text = format!("{text}\n[http]\nenabled = true\nlisten = \"{address}\"\nready_hours = 36\n");
        fs::write(root.path().join("nilas.toml"), text).unwrap();
        Self { root, address }
    }

    fn ledger_file(&self) -> PathBuf {
        self.root.path().join("state").join(Ledger::FILE_NAME)
    }

    /// A ledger in which something of every kind has happened.
    fn remember(&self) {
        let ledger = Ledger::open(&self.ledger_file()).unwrap();
        let now = SystemClock::new().now();
        let day = ProductDay::new(now.date_naive()).plus_days(-1);
        for role in ["concentration", "thickness", "drift"] {
            let file = FileRow {
                name: format!("{role}.nc"),
                sha256: "0".repeat(64),
                role: role.to_owned(),
                product: "amsr3".to_owned(),
                first_day: day,
                last_day: day,
                centre: day,
                server: "sample-day".to_owned(),
                url: format!("file:///{role}.nc"),
                size_bytes: 1,
                fetched_at: now,
                judged_at: now,
                verdict: Verdict::Accepted,
                checks: Vec::new(),
            };
            ledger.record_file(&file).unwrap();
        }
        let run = ledger.begin_run(day, Origin::Schedule, 0, now - TimeDelta::minutes(5)).unwrap();
        let end = RunEnd {
            at: now,
            outcome: Outcome::Published,
            exit_code: Some(0),
            reason: None,
            device: Some("cpu".to_owned()),
            peak_memory_bytes: Some(1_000_000_000),
            stages: vec![("ensemble".to_owned(), 250.0)],
        };
        let folder = publish::revision_folder(&self.root.path().join("products"), day, run.revision);
        fs::create_dir_all(folder).unwrap();
        let product = ProductRow {
            day,
            revision: run.revision,
            run: Some(run.id),
            is_final: true,
            published_at: now,
            size_bytes: 1,
            manifest_sha256: "0".repeat(64),
            checkpoint_sha256: "0".repeat(64),
            config_hash: "0".repeat(64),
            degradation: None,
            withdrawal: None,
            removed_at: None,
            inputs: Vec::new(),
        };
        let note = "revision 1 is made of the inputs of its day".to_owned();
        let aftermath = Aftermath { state: DayState::Final, note, counts_as_failure: false };
        ledger.end_run(&run, &end, Some(&product), &aftermath).unwrap();
        ledger.raise("names:drift", Severity::Notice, "a new name was seen", now).unwrap();
    }

    fn nilas(&self, verb: &str) -> Nilas {
        Nilas::new(verb).option("--config", self.root.path().join("nilas.toml"))
    }

    fn daemon(&self) -> Daemon {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nilas"));
        command.arg("run").arg("--config").arg(self.root.path().join("nilas.toml"));
        let log = fs::File::create(self.root.path().join("log")).unwrap();
        let mut daemon = Daemon(command.stdin(Stdio::null()).stderr(log).spawn().unwrap());
        let is_alive = || self.ask("/healthz").is_some_and(|answer| answer.starts_with("HTTP/1.1 200 "));
        wait_for("the daemon is alive", || {
            assert_eq!(daemon.0.try_wait().unwrap(), None, "it has ended: {}", self.log());
            is_alive().then_some(())
        });
        daemon
    }

    fn log(&self) -> String {
        fs::read_to_string(self.root.path().join("log")).unwrap()
    }

    /// Head and body of an answer; none where nobody listens.
    fn ask(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(self.address).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: nilas\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    fn metrics(&self) -> String {
        let answer = self.ask("/metrics").unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 "), "{answer}");
        body.to_owned()
    }
}

impl Daemon {
    /// Ends it as systemd does.
    fn stop(mut self) -> ExitStatus {
        let told = Command::new("kill").arg(self.0.id().to_string()).status().unwrap();
        assert!(told.success());
        wait_for("the daemon ends", || self.0.try_wait().unwrap())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Where a test has failed; one that has ended by itself cannot be ended again.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The words of a text that are names of metrics of ours or of the process.
fn named_in(text: &str) -> BTreeSet<&str> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    words.filter(|word| word.starts_with("nilas_") || word.starts_with("process_")).collect()
}

/// The names of the metrics in Prometheus' text format.
fn shown_in(metrics: &str) -> BTreeSet<&str> {
    let samples = metrics.lines().filter(|line| !line.starts_with('#'));
    samples.filter_map(|line| line.split(['{', ' ']).next()).collect()
}

/// What `promtool` says to a file on its standard input; none where it is not installed.
fn promtool(arguments: &[&str], input: &Path) -> Option<(ExitStatus, String)> {
    let input = fs::File::open(input).unwrap();
    let output = Command::new("promtool").args(arguments).stdin(input).output().ok()?;
    let said = [output.stdout, output.stderr].concat();
    Some((output.status, String::from_utf8(said).unwrap()))
}

#[test]
fn a_daemon_at_work_is_watched() {
    let world = World::new();
    world.remember();
    world.nilas("health").expecting("look whether `nilas run` is at work").expect_code(1);
    let daemon = world.daemon();
    assert_eq!(world.nilas("health").expect_code(0).stdout, "alive\n");

    let metrics = world.metrics();
    let shown = shown_in(&metrics);
    for file in ["docs/monitoring/alerts.yml", "docs/monitoring/grafana.json"] {
        let text = fs::read_to_string(repository(file)).unwrap();
        let named = named_in(&text);
        assert!(named.len() > 5, "{file} names {named:?}");
        let unknown: Vec<_> = named.difference(&shown).collect();
        assert!(unknown.is_empty(), "{file} names {unknown:?}, and there are {shown:?}");
    }
    let path = world.root.path().join("metrics.txt");
    fs::write(&path, &metrics).unwrap();
    match promtool(&["check", "metrics"], &path) {
        Some((status, said)) => assert!(status.success() && said.is_empty(), "{said}\n{metrics}"),
        None => eprintln!("skipped: promtool is not installed"),
    }

    let process = format!("at work (process {})", daemon.0.id());
    let run = world.nilas("status").expect_code(0);
    assert!(run.stdout.contains(&process), "{}", run.stdout);
    let run = world.nilas("status").arg("--json").option("--days", "3").expect_code(0);
    let said: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(said["newest"]["is_final"], true, "{}", run.stdout);
    assert_eq!(said["days"].as_array().unwrap().len(), 3);
    let day = said["newest"]["day"].as_str().unwrap();
    let run = world.nilas("explain").arg(day).expect_code(0);
    assert!(run.stdout.contains("Revision 1 (final) was published on "), "{}", run.stdout);

    let run = world.nilas("status").option("--ack", "names:drift").expect_code(0);
    assert!(run.stdout.starts_with("names:drift is acknowledged"), "{}", run.stdout);
    world.nilas("status").option("--ack", "nothing").expecting("no incident with the key").expect_code(2);

    assert!(daemon.stop().success(), "{}", world.log());
    world.nilas("health").expecting("gives no answer").expect_code(1);
    let run = world.nilas("status").expect_code(0);
    assert!(run.stdout.starts_with("daemon   not at work\n"), "{}", run.stdout);
}

#[test]
fn the_example_rules_are_rules() {
    let rules = repository("docs/monitoring/alerts.yml");
    match promtool(&["check", "rules", rules.to_str().unwrap()], &rules) {
        Some((status, said)) => assert!(status.success() && said.contains("SUCCESS"), "{said}"),
        None => eprintln!("skipped: promtool is not installed"),
    }
}

#[test]
fn looking_makes_no_ledger() {
    let world = World::new();
    for nilas in [world.nilas("status"), world.nilas("explain").arg("2026-03-01")] {
        let run = nilas.expect_code(0);
        assert!(run.stdout.starts_with("nothing is remembered yet: "), "{}", run.stdout);
    }
    assert!(!world.ledger_file().exists());
}
