//! Disks that are full, broken or read-only, and machines that lose their power, at one call after the other while a day is made. Whatever
//! fails: no reader sees a part of a product, the program says what failed, and when the machine works again the day is made once.
//!
//! Every call counts that `nilas`, `nilas-engine` and `nilas-inspect` make in the house's folders, in whichever thread and whichever library:
//! some hundreds for a day. The tests let a few of each kind fail; the environment asks for more (`NILAS_FAULTS`), as `./dev e2e` does.

#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use common::aftermath::{Reader, finish, holds, is_recorded};
use common::broken_machine::{BrokenMachine, Fault};
use common::folders::copy_tree;
use common::say::say;
use common::tiny_window::TinyHouse;

/// So many calls are let fail in each way.
const SAMPLE: u64 = 4;

/// A house that keeps everything below its own folder, the cache included, with what it had fetched and prepared cleared away.
fn house(root: &Path) -> TinyHouse {
    let house = TinyHouse::new(root, &[]);
    let cache = house.config().folders.cache;
    let configuration = fs::read_to_string(house.configuration()).unwrap();
    let own = configuration.replace(&cache.display().to_string(), "cache");
    fs::write(house.configuration(), own).unwrap();
    // Remap weights are made once and for all grids; making them is slow, and tested by the first house.
    let weights = cache.join("remap");
    if weights.is_dir() {
        copy_tree(&weights, &house.config().folders.cache.join("remap"));
    }
    house.deliver();
    house
}

/// `nilas produce` for the day of the house.
fn produce(house: &TinyHouse) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nilas"));
    command.args(["produce", "--config"]).arg(house.configuration());
    command.args(["--date", &house.day.to_string()]).env("NILAS_LOG", "info").stdin(Stdio::null());
    command
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
fn meet(root: &Path, fault: Fault, number: u64) -> Met {
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
    fs::remove_dir_all(root.join("house")).unwrap();
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
            let reason = said.lines().rev().find_map(|line| line.strip_prefix("nilas: "));
            let reason = reason.unwrap_or_else(|| panic!("{what}: it failed without a reason\n{said}"));
            assert!(is_reason(reason, house), "{what}: this names no file and no remedy: {reason}");
            assert!(!said.contains("panicked"), "{what}: {said}");
            Met::Told
        }
        None => panic!("{what}: {}\n{said}", output.status),
    }
}

/// Whether a reason names where it happened, and what to do.
fn is_reason(reason: &str, house: &TinyHouse) -> bool {
    let names_a_place = reason.contains(&house.root.display().to_string());
    names_a_place && reason.contains(';')
}

/// The machine works again: whoever makes the day next, makes it.
fn recover(house: &TinyHouse, what: &str) {
    if house.revisions().is_empty() {
        let output = produce(house).output().unwrap();
        assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
    } else if !is_recorded(house) {
        finish(house);
    }
}

#[test]
fn whatever_call_of_the_disk_fails_nothing_is_lost_and_nothing_partial_seen() {
    let root = tempfile::tempdir().unwrap();
    let sample = std::env::var("NILAS_FAULTS").map_or(SAMPLE, |count| count.parse().unwrap());
    let mut table = String::new();
    for fault in Fault::ALL {
        let calls = count(root.path(), fault);
        let step = calls.div_ceil(sample);
        // Not always the same calls: where in a step it begins follows from the kind of fault.
        let first = 1 + fault as u64 * step / Fault::ALL.len() as u64;
        let numbers = (first..=calls).step_by(step as usize);
        let met: Vec<Met> = numbers.map(|number| meet(root.path(), fault, number)).collect();
        let of = |kind: Met| met.iter().filter(|met| **met == kind).count();
        assert!(of(Met::Told) + of(Met::Outlived) + of(Met::Killed) > 0, "{fault:?} was never met");
        table += &format!(
            "\n{fault:?}: {calls} calls, {} tried, {} told, {} outlived, {} killed",
            met.len(),
            of(Met::Told),
            of(Met::Outlived),
            of(Met::Killed)
        );
    }
    say(&table);
}

/// How many calls there are when nothing fails.
fn count(root: &Path, fault: Fault) -> u64 {
    let house = house(&root.join("counted"));
    let machine = BrokenMachine::new(&house.root, root.join("machine"));
    let mut command = produce(&house);
    machine.carries(&mut command, fault);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    fs::remove_dir_all(root.join("counted")).unwrap();
    machine.calls()
}
