//! Disks that are full, broken or read-only, and machines that lose their power, at one call after the other while a day is made. Whatever
//! fails: no reader sees a part of a product, the program says what failed, and when the machine works again the day is made once.
//!
//! Every call counts that `nilas` and `nilas-engine` make in the house's folders, in whichever thread and whichever library:
//! some hundreds for a day. The tests let a few of each kind fail; the environment asks for more (`NILAS_FAULTS`), as `./dev e2e` does.

#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::os::unix::fs::FileExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use common::aftermath::{
    Reader, assert_same_data, daemon_command, end, finish, holds, is_reason, is_recorded, log, produce,
    reason, recover, wait_until, webhook,
};
use common::broken_machine::{BrokenMachine, Fault};
use common::folders::copy_tree;
use common::say::say;
use common::tiny_window::TinyHouse;
use nilas::time::{Clock, SystemClock};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use rusqlite::{Connection, TransactionBehavior};
use rustix::process::{Pid, Signal, kill_process_group};

/// So many calls are let fail in each way.
const SAMPLE: u64 = 4;

/// A house that keeps everything below its own folder, the cache included.
fn house(root: &Path) -> TinyHouse {
    TinyHouse::new(root, &[]).with_own_cache().delivered()
}

/// How a fault was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Met {
    /// There are not that many calls.
    Not,
    /// The program ended with an error that says why.
    Told,
    /// The day was made all the same.
    Outlived,
    /// The program was killed.
    Killed,
}

/// Lets the call of this number fail while a day is made, then lets the machine work again.
fn meet(root: &Path, fault: Fault, number: u64, clean: &TinyHouse) -> Met {
    fs::create_dir(root).unwrap();
    let what = format!("{fault:?} at call {number}");
    let house = house(&root.join("house"));
    let machine = BrokenMachine::new(&house.root, root.join("machine"));
    machine.fail_at(number);
    let reader = Reader::of(house.products());
    let mut command = produce(&house);
    machine.carries(&mut command, fault);
    let output = command.output().unwrap();
    let hit = machine.hit();
    let what = format!("{what}: {}", hit.as_deref().unwrap_or("not met"));
    let met = if hit.is_none() { Met::Not } else { judge(&house, fault, &output, &what) };
    recover(&house, &what);
    reader.end();
    holds(&house, &what);
    assert_same_data(clean, &house, &what);
    // What a process that is just dying still touches goes with the folder around it.
    let _ = fs::remove_dir_all(root);
    met
}

/// A program that meets a fault ends with a reason, unless it is killed or can do without.
fn judge(house: &TinyHouse, fault: Fault, output: &Output, what: &str) -> Met {
    let said = String::from_utf8_lossy(&output.stderr);
    match output.status.code() {
        None if fault.kills() => {
            assert_eq!(output.status.signal(), Some(libc::SIGKILL), "{what}: {said}");
            Met::Killed
        }
        Some(0) => {
            assert!(is_recorded(house), "{what}: it ended well and nothing is recorded\n{said}");
            let warned: Vec<&str> = said.lines().filter(|line| line.contains("WARN")).collect();
            say(&format!("outlived: {what}; {warned:?}"));
            Met::Outlived
        }
        Some(_) => {
            let reason = reason(&said, what);
            assert!(is_reason(reason, house), "{what}: this names no file and no remedy: {reason}");
            Met::Told
        }
        None => panic!("{what}: {}\n{said}", output.status),
    }
}

#[test]
fn whatever_call_of_the_disk_fails_nothing_is_lost_and_nothing_partial_seen() {
    let root = tempfile::tempdir().unwrap();
    let sample = std::env::var("NILAS_FAULTS").map_or(SAMPLE, |count| count.parse().unwrap());
    let clean = house(&root.path().join("clean"));
    let writes = count(&clean, root.path(), Fault::NoSpace);
    let reads = count(&house(&root.path().join("read")), root.path(), Fault::BadRead);
    let (mut table, mut failures) = (Vec::new(), 0);
    for fault in Fault::ALL {
        let calls = if fault == Fault::BadRead { reads } else { writes };
        let step = calls.div_ceil(sample);
        // Not always the same calls: where in a step it begins follows from the kind of fault.
        let first = 1 + fault as u64 * step / Fault::ALL.len() as u64;
        let numbers = (first..=calls).step_by(step as usize);
        // All that is found is told, not only what is found first.
        let met_or_not = |number: u64| {
            let root = root.path().join(format!("{fault:?}-{number}"));
            panic::catch_unwind(AssertUnwindSafe(|| meet(&root, fault, number, &clean)))
        };
        let (met, wrong): (Vec<_>, Vec<_>) = numbers.map(met_or_not).partition(Result::is_ok);
        failures += wrong.len();
        let met: Vec<Met> = met.into_iter().flatten().collect();
        let of = |kind: Met| met.iter().filter(|met| **met == kind).count();
        assert!(of(Met::Told) + of(Met::Outlived) + of(Met::Killed) > 0, "{fault:?} was never met");
        table.push(format!(
            "{fault:?}: {calls} calls, {} tried, {} told, {} outlived, {} killed",
            met.len(),
            of(Met::Told),
            of(Met::Outlived),
            of(Met::Killed)
        ));
    }
    say(&table.join("\n"));
    assert_eq!(failures, 0, "what they are stands above");
}

/// How many calls there are when nothing fails.
fn count(house: &TinyHouse, root: &Path, fault: Fault) -> u64 {
    let machine = BrokenMachine::new(&house.root, root.join("machine"));
    let mut command = produce(house);
    machine.carries(&mut command, fault);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    machine.calls()
}

/// A house whose failed days are tried again soon, and which tells the webhook at `address`.
fn patient_house(root: &Path, address: &str) -> TinyHouse {
    let changes = [
        ("\nretry_minutes = 10", "\nretry_minutes = 1"),
        ("longest_retry_minutes = 360", "longest_retry_minutes = 1"),
    ];
    TinyHouse::that_tells(root, address, &changes).with_own_cache().delivered()
}

#[test]
fn a_daemon_whose_disk_is_full_tells_people_and_goes_on_when_there_is_space() {
    let (address, bodies) = webhook();
    let root = tempfile::tempdir().unwrap();
    let house = patient_house(&root.path().join("house"), &address);
    let machine = BrokenMachine::new(&house.root, root.path().join("machine"));
    let mut command = daemon_command(&house);
    machine.carries(&mut command, Fault::FullDisk);
    let reader = Reader::of(house.products());
    let mut daemon = command.spawn().unwrap();
    wait_until("production has begun", &house, || log(&house).contains("production begins"));
    machine.fail_at(machine.calls() + 1);
    wait_until("people are told", &house, || {
        assert!(daemon.try_wait().unwrap().is_none(), "it lives on: {}", log(&house));
        bodies.lock().unwrap().iter().any(|body| body.contains("the ledger cannot be written"))
    });
    machine.fail_at(0);
    wait_until("the day is made", &house, || {
        assert!(daemon.try_wait().unwrap().is_none(), "it lives on: {}", log(&house));
        is_recorded(&house)
    });
    wait_until("people are told that it is over", &house, || {
        bodies.lock().unwrap().iter().any(|body| body.contains("now it can"))
    });
    end(daemon, &house);
    reader.end();
    holds(&house, "a full disk");
}

#[test]
fn a_clock_that_steps_back_and_forth_neither_loses_a_day_nor_makes_it_twice() {
    const DAY_SECONDS: i64 = 86_400;
    let root = tempfile::tempdir().unwrap();
    let house = house(&root.path().join("house"));
    let machine = BrokenMachine::new(&house.root, root.path().join("machine"));
    let mut command = daemon_command(&house);
    machine.carries(&mut command, Fault::NoSpace);
    let daemon = command.spawn().unwrap();
    for (sign, days) in [("nilas is at work", -1), ("production begins", 1), ("production has ended", 0)] {
        wait_until(sign, &house, || log(&house).contains(sign));
        machine.set_clock_off(days * DAY_SECONDS);
    }
    wait_until("the day is recorded", &house, || is_recorded(&house));
    end(daemon, &house);
    holds(&house, "a clock that steps");
}

#[test]
fn a_ledger_that_another_process_holds_is_named_and_the_day_made_afterwards() {
    let root = tempfile::tempdir().unwrap();
    let house = house(&root.path().join("house"));
    let path = house.ledger_file();
    drop(house.ledger());
    let mut holder = Connection::open(&path).unwrap();
    let held = holder.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
    let output = produce(&house).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("was held by another process") && said.contains("fuser"), "{said}");
    drop(held);
    recover(&house, "a ledger that was held");
    holds(&house, "a ledger that was held");
}

#[test]
fn a_ledger_with_a_damaged_page_gives_way_to_its_copy_and_no_product_is_lost() {
    let root = tempfile::tempdir().unwrap();
    let house = house(&root.path().join("house"));
    finish(&house);
    let path = house.ledger_file();
    let copies = path.parent().unwrap().join("backups");
    assert_eq!(fs::read_dir(&copies).unwrap().count(), 1, "the daemon has made a copy");
    let file = fs::File::options().write(true).open(&path).unwrap();
    let pages = file.metadata().unwrap().len() / 4096;
    file.write_all_at(&[0x5a; 4096], (pages / 2) * 4096).unwrap();
    let output = produce(&house).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("is damaged"), "{said}");
    finish(&house);
    assert!(log(&house).contains("the ledger was damaged"), "{}", log(&house));
    holds(&house, "a damaged ledger");
}

#[test]
fn a_production_with_too_little_memory_fails_without_a_trace() {
    let root = tempfile::tempdir().unwrap();
    let mut failed = 0;
    for megabytes in (100..=1900).step_by(300) {
        let what = format!("{megabytes} MB of addresses");
        let house = house(&root.path().join(megabytes.to_string()));
        let reader = Reader::of(house.products());
        let mut command = Command::new("prlimit");
        let own = produce(&house);
        command.arg(format!("--as={}", megabytes * 1_000_000_u64)).arg("--").arg(own.get_program());
        command.args(own.get_args()).stdin(Stdio::null());
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            failed += 1;
            assert!(house.revisions().is_empty() || is_recorded(&house), "{what}: {said}");
        }
        recover(&house, &what);
        reader.end();
        holds(&house, &what);
    }
    assert!(failed > 2, "{failed} productions had too little");
}

#[test]
fn a_machine_that_loses_its_power_at_any_moment_goes_on_from_what_is_on_its_disk() {
    let cuts: usize = std::env::var("NILAS_KILLS").map_or(4, |count| count.parse().unwrap());
    let root = tempfile::tempdir().unwrap();
    let mut dice = ChaCha20Rng::seed_from_u64(20_261_129);
    let clock = SystemClock::new();
    let first = house(&root.path().join("first"));
    finish(&first);
    let whole_ms = clock.monotonic().as_millis() as u64;
    for number in 0..cuts {
        let folder = root.path().join("house");
        let house = house(&folder);
        let mut command = daemon_command(&house);
        let mut daemon = command.process_group(0).spawn().unwrap();
        let moment = Duration::from_millis(dice.next_u64() % whole_ms);
        thread::sleep(moment);
        // Nothing moves while the disk is copied, as it would be found after a cut.
        let group = Pid::from_raw(i32::try_from(daemon.id()).unwrap()).unwrap();
        kill_process_group(group, Signal::STOP).unwrap();
        let elsewhere = root.path().join("copy");
        copy_tree(&folder, &elsewhere);
        kill_process_group(group, Signal::KILL).unwrap();
        daemon.wait().unwrap();
        fs::remove_dir_all(&folder).unwrap();
        fs::rename(&elsewhere, &folder).unwrap();
        let what = format!("cut {number}, after {moment:?} of {whole_ms} ms");
        finish(&house);
        holds(&house, &what);
        fs::remove_dir_all(&folder).unwrap();
    }
}

#[test]
fn a_production_that_stands_still_is_ended_and_the_next_makes_the_day() {
    let (address, bodies) = webhook();
    let root = tempfile::tempdir().unwrap();
    let changes = [
        ("deadline_seconds = 14400", "deadline_seconds = 60"),
        ("\nretry_minutes = 10", "\nretry_minutes = 1"),
        ("longest_retry_minutes = 360", "longest_retry_minutes = 1"),
    ];
    let house =
        TinyHouse::that_tells(&root.path().join("house"), &address, &changes).with_own_cache().delivered();
    let daemon = daemon_command(&house).spawn().unwrap();
    wait_until("production has begun", &house, || log(&house).contains("production begins"));
    let children = format!("/proc/{0}/task/{0}/children", daemon.id());
    let mut engine = None;
    wait_until("there is an engine", &house, || {
        engine = fs::read_to_string(&children).unwrap().split_whitespace().next().map(str::to_owned);
        engine.is_some()
    });
    let engine = Pid::from_raw(engine.unwrap().parse().unwrap()).unwrap();
    rustix::process::kill_process(engine, Signal::STOP).unwrap();
    wait_until("people are told", &house, || {
        bodies.lock().unwrap().iter().any(|body| body.contains("production.deadline_seconds"))
    });
    wait_until("the day is made by the next", &house, || is_recorded(&house));
    end(daemon, &house);
    holds(&house, "an engine that stood still");
}
