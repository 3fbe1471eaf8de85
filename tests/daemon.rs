//! `nilas run` as a program, with what people do to it: a second one, a day asked for, a hold, a reload, a product taken back, clearing up.

#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use common::demo_window::repository;
use common::nilas::Nilas;
use common::tiny_window::TinyHouse;
use nilas::ledger::{Channel, DayState, Ledger};
use nilas::publish::read_latest;
use nilas::source::Role;
use nilas::time::{Clock, SystemClock};
use rustix::process::{Pid, Signal, kill_process};

/// Nothing here takes so long, also beside others.
const DEADLINE: Duration = Duration::from_mins(2);
/// What the daemon may take while it waits, kB.
const IDLE_MEMORY_KB: u64 = 40 << 10;

/// A daemon; ended when dropped.
struct Daemon<'a> {
    house: &'a TinyHouse,
    child: Child,
}

impl<'a> Daemon<'a> {
    /// Starts one, and waits until it is at work.
    fn start(house: &'a TinyHouse) -> Self {
        let log = fs::File::create(house.root.join("log")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_nilas"))
            .args(["run", "--config"])
            .arg(house.configuration())
            .env("NILAS_LOG", "info")
            // Where clocks are set forward and back in spring and autumn: nothing here may follow them.
            .env("TZ", "Europe/Oslo")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let daemon = Self { house, child };
        daemon.wait_for("it says so", |daemon| daemon.log().contains("nilas is at work"));
        daemon
    }

    fn log(&self) -> String {
        fs::read_to_string(self.house.root.join("log")).unwrap()
    }

    #[track_caller]
    fn wait_for(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let clock = SystemClock::new();
        while !is_so(self) {
            assert!(
                clock.monotonic() < DEADLINE,
                "{what}: not within {DEADLINE:?}; the log:\n{}",
                self.log()
            );
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap(), signal).unwrap();
    }

    /// Ends it, as systemd does, and holds its log to what may be complained of.
    #[track_caller]
    fn end(mut self, bearable: &[&str]) -> ExitStatus {
        self.signal(Signal::TERM);
        let status = self.child.wait().unwrap();
        let log = self.log();
        assert!(log.contains("nilas has ended its work"), "{log}");
        let is_complaint = |line: &&str| line.contains(" WARN ") || line.contains(" ERROR ");
        let unexpected: Vec<&str> = log
            .lines()
            .filter(is_complaint)
            .filter(|line| !bearable.iter().any(|words| line.contains(words)))
            .collect();
        assert!(unexpected.is_empty(), "{unexpected:?}");
        status
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        // Where a test has failed before it could end it.
        let _ = self.child.kill();
    }
}

fn state(ledger: &Ledger, house: &TinyHouse) -> Option<DayState> {
    ledger.day(house.day).unwrap().map(|row| row.state)
}

/// Only the files of one day are there, or none: newer ones are late, and so is the product.
const LATE: [&str; 4] =
    ["concentration is late", "drift is late", "thickness is late", "there should be a product"];

#[test]
fn a_day_is_made_provisional_then_final_and_a_second_daemon_is_told_so() {
    let root = tempfile::tempdir().unwrap();
    let house = TinyHouse::new(root.path(), &[]);
    let daemon = Daemon::start(&house);
    house.nilas("run").expecting("nilas: another `nilas run` (process ").expect_code(1);
    house
        .nilas("produce")
        .option("--date", house.day.to_string())
        .expecting("nilas: the inputs of")
        .expect_code(3);

    let ledger = house.ledger();
    house.deliver();
    daemon.wait_for("the day is final", |_| state(&ledger, &house) == Some(DayState::Final));
    let memory = fs::read_to_string(format!("/proc/{}/status", daemon.child.id())).unwrap();
    let resident = memory.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let resident: u64 = resident.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(resident < IDLE_MEMORY_KB, "{resident} kB");

    let status = house.nilas("status").expect_code(0).stdout;
    assert!(status.contains(&house.day.to_string()) && status.contains("final"), "{status}");
    let story = house.nilas("explain").arg(house.day.to_string()).expect_code(0).stdout;
    assert!(story.contains("revision 1") || story.contains("r01"), "{story}");
    assert!(daemon.end(&LATE).success());
    assert_eq!(ledger.runs_of(house.day).unwrap().len(), 1, "what is final is not made again");
}

#[test]
fn a_production_at_work_is_abandoned_when_the_daemon_ends_and_made_by_the_next() {
    let root = tempfile::tempdir().unwrap();
    // Long enough to be met at work.
    let house = TinyHouse::new(root.path(), &[("steps = 1\n", "steps = 200\n")]);
    house.deliver();
    let daemon = Daemon::start(&house);
    daemon.wait_for("it draws", |daemon| daemon.log().contains("stage=\"prepare\""));
    assert!(daemon.end(&LATE).success());
    let ledger = house.ledger();
    let runs = ledger.runs_of(house.day).unwrap();
    assert_eq!(runs[0].end.as_ref().unwrap().outcome.name(), "abandoned");
    assert_eq!(state(&ledger, &house), Some(DayState::Waiting));
    assert_eq!(house.revisions().len(), 0);

    let text = fs::read_to_string(house.configuration()).unwrap().replace("steps = 200\n", "steps = 1\n");
    fs::write(house.configuration(), text).unwrap();
    let daemon = Daemon::start(&house);
    daemon.wait_for("the day is final", |_| state(&ledger, &house) == Some(DayState::Final));
    assert!(daemon.end(&LATE).success());
    assert_eq!(house.revisions().len(), 1);
}

#[test]
fn people_hold_ask_take_back_and_clear_up() {
    let root = tempfile::tempdir().unwrap();
    // The day is not looked after: it is asked for.
    let house = TinyHouse::new(root.path(), &[]);
    let later = house.day.plus_days(1).to_string();
    let text = fs::read_to_string(house.configuration()).unwrap();
    let day = house.day.to_string();
    let text = text.replace(&format!("first_day = \"{day}\""), &format!("first_day = \"{later}\""));
    fs::write(house.configuration(), text).unwrap();
    house.deliver();
    let ledger = house.ledger();

    house.nilas("hold").option("--reason", "the disk is being changed").expect_code(0);
    let daemon = Daemon::start(&house);
    daemon.wait_for("the hold is said", |daemon| daemon.log().contains("the disk is being changed"));
    let asked = |arguments: &[&str]| {
        let run = arguments.iter().fold(house.nilas("backfill").arg(&day), Nilas::arg);
        run.expect_code(0).stdout
    };
    assert!(asked(&["--dry-run"]).contains("would be asked for"));
    assert_eq!(ledger.day(house.day).unwrap(), None, "a rehearsal writes nothing");
    assert!(asked(&[]).contains("1 day asked for; the daemon makes them"), "{}", asked(&[]));
    house.nilas("resume").expect_code(0);
    daemon.wait_for("the day is made", |_| state(&ledger, &house) == Some(DayState::Final));
    assert_eq!(ledger.runs_of(house.day).unwrap()[0].origin.name(), "backfill");
    assert!(asked(&[]).contains("left as it is: a final product stands"));

    assert!(asked(&["--again"]).contains("asked for"));
    daemon.wait_for("it is made again", |_| house.revisions().len() == 2);
    daemon.wait_for("it is recorded", |_| ledger.products_of(house.day).unwrap().len() == 2);
    let newest = || read_latest(&house.products()).unwrap().map(|latest| latest.newest.revision);
    assert_eq!(newest(), Some(2));
    let run =
        house.nilas("withdraw").arg(&day).option("--reason", "wrong ice in the Kara Sea").expect_code(0);
    assert!(run.stdout.starts_with(&format!("revision 2 of {day} is taken back\n")), "{}", run.stdout);
    assert_eq!(newest(), Some(1));
    let verify =
        Nilas::new("verify").arg(&house.revisions()[1]).expecting("it was taken back at ").expect_code(5);
    assert!(verify.stdout.contains("wrong ice in the Kara Sea"), "{}", verify.stdout);
    assert!(house.nilas("explain").arg(&day).expect_code(0).stdout.contains("wrong ice in the Kara Sea"));
    assert!(ledger.products_of(house.day).unwrap()[1].withdrawal.is_some());

    let pruned = house.nilas("prune").arg("--dry-run").expect_code(0).stdout;
    assert!(pruned.contains("in 0 files and folders would be cleared away"), "{pruned}");
    assert!(daemon.end(&[&LATE[..], &["production is held"]].concat()).success());
}

#[test]
fn a_configuration_that_cannot_be_used_is_refused_and_the_old_one_stays() {
    let root = tempfile::tempdir().unwrap();
    let house = TinyHouse::new(root.path(), &[]);
    house.deliver_one(Role::Concentration);
    let daemon = Daemon::start(&house);
    let ledger = house.ledger();
    let good = fs::read_to_string(house.configuration()).unwrap();
    fs::write(house.configuration(), good.replace("members = 2", "members = 1")).unwrap();
    daemon.signal(Signal::HUP);
    daemon.wait_for("it is refused", |daemon| daemon.log().contains("ensemble.members = 1: a spread needs"));
    let incident = || ledger.incident("configuration").unwrap().unwrap();
    assert_eq!(incident().closed_at, None);
    fs::write(house.configuration(), good.replace("members = 2", "members = 3")).unwrap();
    daemon.signal(Signal::HUP);
    daemon.wait_for("it is taken", |daemon| daemon.log().contains("the configuration was read again"));
    assert!(incident().closed_at.is_some());
    house.deliver();
    daemon.wait_for("the day is final", |_| state(&ledger, &house) == Some(DayState::Final));
    let manifest = fs::read_to_string(house.revisions()[0].join("manifest.json")).unwrap();
    assert!(manifest.contains("\"members\": 3"), "{manifest}");
    let refused = "the new configuration cannot be used, and the old one stays";
    assert!(daemon.end(&[&LATE[..], &[refused]].concat()).success());
}

#[test]
fn a_program_that_does_not_start_or_is_of_another_version_fails_the_check() {
    let root = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let house = TinyHouse::new(root.path(), &[]);
    let own = root.path().join("nilas");
    fs::hard_link(env!("CARGO_BIN_EXE_nilas"), &own).unwrap();
    symlink("/bin/false", root.path().join("nilas-engine")).unwrap();
    symlink("/bin/echo", root.path().join("nilas-inspect")).unwrap();
    let check = Nilas::of_program(own.to_str().unwrap()).arg("check").arg("--offline");
    let run =
        check.option("--config", house.configuration()).expecting("nilas: 2 checks failed").expect_code(1);
    let failed: Vec<_> = run.stdout.lines().filter(|line| line.starts_with("FAILS")).collect();
    assert!(failed[0].contains("nilas-engine does not start (exit status: 1)"), "{failed:?}");
    assert!(failed[1].contains("nilas-inspect is of version "), "{failed:?}");
}

/// Credentials that systemd gives to the service alone cannot be read in a shell.
#[test]
fn a_product_is_taken_back_also_where_nobody_can_be_told_from() {
    let root = tempfile::tempdir().unwrap();
    let enabled = "it is one of this machine).\nenabled = true\nurl_file = \"alarm\"";
    let house = TinyHouse::new(
        root.path(),
        &[
            ("it is one of this machine).\nenabled = false", enabled),
            ("interval_minutes = 5", "interval_minutes = 5\nurl_file = \"watcher\""),
        ],
    );
    house.deliver();
    let day = house.day.to_string();
    house.nilas("produce").option("--date", &day).expect_code(0);
    let run = house.nilas("withdraw").arg(&day).option("--reason", "wrong ice").expect_code(0);
    assert!(run.stdout.starts_with(&format!("revision 1 of {day} is taken back\n")), "{}", run.stdout);
    assert!(
        run.stdout.contains("url_file = \"alarm\" is the name of a systemd credential"),
        "{}",
        run.stdout
    );
    let ledger = house.ledger();
    assert!(ledger.products_of(house.day).unwrap()[0].withdrawal.is_some());
    assert_eq!(ledger.unsent(Channel::Webhook).unwrap(), 1, "it waits for the daemon");
}

/// A daemon that is started while a target is down makes its products all the same.
#[test]
fn a_target_that_is_down_fails_a_check_and_no_start() {
    let root = tempfile::tempdir().unwrap();
    let down = "[targets.mirror]\nkind = \"folder\"\naddress = \"/proc/mirror\"";
    let house = TinyHouse::new(root.path(), &[("#[targets.mirror]", down)]);
    house.deliver();
    let run = house.nilas("check").expecting("checks failed").expect_code(1);
    assert!(run.stdout.contains("FAILS   target         /proc/mirror: "), "{}", run.stdout);
    let run = house.nilas("check").arg("--offline").expect_code(0);
    assert!(run.stdout.contains("ok      target         mirror: not asked"), "{}", run.stdout);
}

#[test]
fn a_checkpoint_that_was_exchanged_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let shipped = fs::read_to_string(repository("config/nilas.toml")).unwrap();
    let sum = shipped.split("checkpoint_sha256 = \"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let other = "0".repeat(sum.len());
    let house = TinyHouse::new(root.path(), &[(&sum, &other)]);
    house.deliver();
    let run = house.nilas("check").arg("--offline").expecting("nilas: 1 check failed").expect_code(1);
    assert!(
        run.stdout.contains(&format!("has the SHA-256 {sum}, the configuration says {other}")),
        "{}",
        run.stdout
    );
    house
        .nilas("produce")
        .option("--date", house.day.to_string())
        .expecting("model.checkpoint_sha256")
        .expect_code(2);
    assert_eq!(house.revisions().len(), 0);
}
