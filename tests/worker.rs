//! A production's process, and what is made of every way in which it can end. Scripts stand in for the engine.

#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use common::demo_window::repository;
use nilas::config::{Config, Overrides, Production};
use nilas::daemon::{Ended, Mishap, Producer, Worker};
use nilas::produce::{AcceptedFile, Gathered, Order};
use nilas::time::{Clock, SystemClock};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// Longer than any test waits.
const FOREVER: &str = "exec sleep 600";

struct Engine {
    folder: TempDir,
    limits: Production,
}

impl Engine {
    /// One that does this.
    fn that(script: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("engine");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        Self { folder, limits: Production::default() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("engine")
    }

    fn run_until(&self, stop: &CancellationToken) -> Ended {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let worker = Worker::new(self.path(), self.limits.clone(), clock, None);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(worker.produce(&order(), stop))
    }

    fn run(&self) -> Ended {
        self.run_until(&CancellationToken::new())
    }
}

fn order() -> Order {
    let file = || AcceptedFile { path: "/nowhere/file.nc".into(), sha256: "0".repeat(64) };
    Order {
        config: Config::load(&repository("config/nilas.toml"), &Overrides::default()).unwrap(),
        gathered: Gathered {
            day: "2026-03-01".parse().unwrap(),
            concentration: file(),
            thickness: file(),
            drift: file(),
            declared_gaps: Vec::new(),
        },
        revision: 1,
        run: 1,
        degradation: None,
    }
}

#[track_caller]
fn died(ended: &Ended) -> String {
    match ended.result.as_ref().unwrap_err() {
        Mishap::Died { reason, .. } => reason.clone(),
        other => unreachable_mishap(other),
    }
}

#[track_caller]
fn unreachable_mishap(mishap: &Mishap) -> String {
    assert_eq!(format!("{mishap:?}"), "another mishap");
    String::new()
}

#[test]
fn one_that_says_why_it_failed_is_believed() {
    let engine = Engine::that(
        r#"cat >/dev/null
echo '{"event":"begins","stage":"read","steps":3}'
echo '{"event":"ended","stage":"read","seconds":0.25}'
echo '{"event":"failed","exit_code":5,"of_device":false,"reason":"the product is not plausible"}'
exit 5"#,
    );
    let ended = engine.run();
    let Mishap::Failed(failed) = ended.result.as_ref().unwrap_err() else {
        return assert_eq!(died(&ended), "");
    };
    assert_eq!((failed.exit_code, failed.of_device), (5, false));
    assert_eq!(failed.reason, "the product is not plausible");
    assert_eq!(ended.exit_code, Some(5));
    assert_eq!(ended.stages, [("read".to_owned(), 0.25)]);
}

/// Cargo tells its tests where its credentials are: in their environment there is something to hide.
#[test]
fn one_is_told_of_the_environment_only_what_it_needs() {
    assert!(std::env::vars_os().any(|(name, _)| name == "CARGO_HOME" || name == "CARGO_MANIFEST_DIR"));
    let engine = Engine::that(r#"env >"$(dirname "$0")/environment""#);
    died(&engine.run());
    let environment = fs::read_to_string(engine.folder.path().join("environment")).unwrap();
    let has = |beginning: &str| environment.lines().any(|line| line.starts_with(beginning));
    assert!(has("PATH=") && has("HDF5_PLUGIN_PRELOAD=::"), "{environment}");
    assert!(!has("CARGO") && !has("CREDENTIALS") && !has("RUSTUP"), "{environment}");
}

#[test]
fn one_that_dies_in_the_middle_of_a_word_died_in_its_stage() {
    for (end, words) in [
        ("kill -9 $$", "was killed, in its stage draw, after it had taken"),
        ("kill -11 $$", "in its stage draw (signal: 11"),
        ("exit 0", "in its stage draw (exit status: 0)"),
        ("exit 3", "in its stage draw (exit status: 3)"),
    ] {
        let engine = Engine::that(&format!(
            r#"cat >/dev/null
echo '{{"event":"begins","stage":"draw","steps":3}}'
printf '{{"event":"failed","exit_code":5,"of_device":false,"reason":"d\303'
{end}"#
        ));
        let reason = died(&engine.run());
        assert!(reason.contains(words) && reason.contains("memory"), "{reason}");
    }
}

/// Ends without a last word, as `end` says, while the stage `begun` is the last of which it spoke.
fn of_device(begun: &str, end: &str) -> bool {
    let engine = Engine::that(&format!("cat >/dev/null\necho '{begun}'\n{end}"));
    let ended = engine.run();
    let mishap = ended.result.unwrap_err();
    assert!(mishap.reason().contains("in its stage draw"), "{}", mishap.reason());
    assert_eq!(mishap.reason().contains("on the GPU"), begun.contains("gpu"), "{}", mishap.reason());
    mishap.is_of_device()
}

#[test]
fn a_death_at_work_on_a_gpu_is_the_device_s_unless_it_was_killed() {
    let on_gpu = r#"{"event":"begins","stage":"draw","steps":3,"processor":"gpu"}"#;
    let on_cpu = r#"{"event":"begins","stage":"draw","steps":3,"processor":"cpu"}"#;
    // A segmentation fault in a driver, abort, a panic of libtorch's bindings.
    for end in ["kill -11 $$", "kill -6 $$", "exit 101"] {
        assert!(of_device(on_gpu, end), "{end}");
        assert!(!of_device(on_cpu, end), "{end}");
    }
    assert!(!of_device(on_gpu, "kill -9 $$"));
}

#[test]
fn what_is_no_word_at_all_is_no_end() {
    let engine = Engine::that(
        r#"cat >/dev/null
printf 'a library says \377\n'
printf '\n{"event":\n'
echo '{"event":"ended","stage":"read","seconds":0.25}'
echo '{"event":"failed","exit_code":5,"of_device":false,"reason":"the product is not plausible"}'
exit 5"#,
    );
    let ended = engine.run();
    assert_eq!(ended.result.as_ref().unwrap_err().reason(), "the product is not plausible");
    assert_eq!(ended.stages, [("read".to_owned(), 0.25)]);
}

#[test]
fn one_that_does_not_listen_and_one_that_is_not_there_are_told_apart() {
    let reason = died(&Engine::that("exit 0").run());
    assert!(reason.contains("before its first stage") && reason.contains("exit status: 0"), "{reason}");
    let engine = Engine::that("exit 0");
    fs::remove_file(engine.path()).unwrap();
    let reason = died(&engine.run());
    assert!(reason.contains("cannot be started") && reason.contains("one folder"), "{reason}");
}

#[test]
fn one_that_takes_too_much_memory_or_time_is_ended() {
    let mut engine = Engine::that(FOREVER);
    engine.limits.memory_megabytes = 0;
    let ended = engine.run();
    let Mishap::Killed(reason) = ended.result.as_ref().unwrap_err() else {
        return assert_eq!(died(&ended), "");
    };
    assert!(reason.contains("raise production.memory_megabytes"), "{reason}");
    assert!(ended.peak_memory_bytes.unwrap() > 0);
    engine.limits = Production { deadline_seconds: 1, ..Production::default() };
    let ended = engine.run();
    let Mishap::Killed(reason) = ended.result.as_ref().unwrap_err() else {
        return assert_eq!(died(&ended), "");
    };
    assert!(reason.contains("longer than 1 s") && reason.contains("production.deadline_seconds"), "{reason}");
}

#[test]
fn one_that_is_told_to_stop_is_gone() {
    let engine = Engine::that(&format!("echo $$ >\"$(dirname \"$0\")/process\"; {FOREVER}"));
    let stop = CancellationToken::new();
    let asks = stop.clone();
    let process = engine.folder.path().join("process");
    let seen = process.clone();
    let watcher = std::thread::spawn(move || {
        while !fs::read_to_string(&seen).is_ok_and(|text| text.ends_with('\n')) {
            std::thread::sleep(Duration::from_millis(5));
        }
        asks.cancel();
    });
    let ended = engine.run_until(&stop);
    watcher.join().unwrap();
    assert_eq!(ended.result.as_ref().unwrap_err(), &Mishap::Stopped);
    let process = fs::read_to_string(process).unwrap();
    assert!(!PathBuf::from(format!("/proc/{}", process.trim())).exists(), "it was waited for");
}
