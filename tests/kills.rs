//! Processes that are killed while they make a day: at every place that is known to matter, and at any other. Whatever happens, the
//! next start makes the day, once, and no reader ever sees a part of it.

#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::process::Child;
use std::thread;
use std::time::Duration;

use common::aftermath::{Reader, daemon, finish, holds, log, signal, wait_until, webhook};
use common::demo_window::repository;
use common::say::say;
use common::tiny_window::TinyHouse;
use nilas::sys::FAIL_POINTS;
use nilas::time::{Clock, SystemClock};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use rustix::process::{Pid, Signal, kill_process};

/// How often a production is killed at a random moment; more are asked for by the environment.
const RANDOM_KILLS: usize = 12;

/// The places where the process dies that produces; whoever watches over it lives on.
fn is_of_the_engine(point: &str) -> bool {
    point.starts_with("produce.") || point.starts_with("publish.")
}

#[test]
fn the_list_of_fail_points_is_that_of_the_source() {
    let mut found = Vec::new();
    let mut folders = vec![repository("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let text = fs::read_to_string(&path).unwrap();
                let points = text.split("fail_point(\"").skip(1).filter_map(|rest| rest.split('"').next());
                found.extend(points.map(str::to_owned));
            }
        }
    }
    found.sort();
    let mut listed = FAIL_POINTS.map(str::to_owned);
    listed.sort();
    assert_eq!(found, listed);
}

#[test]
fn a_daemon_that_is_killed_anywhere_goes_on_where_it_was() {
    let (address, bodies) = webhook();
    for point in FAIL_POINTS.into_iter().filter(|point| !is_of_the_engine(point)) {
        let root = tempfile::tempdir().unwrap();
        let house = TinyHouse::that_tells(&root.path().join("house"), &address, &[]);
        house.deliver();
        let reader = Reader::of(house.products());
        let mut killed = daemon(&house, &format!("{point}=return"));
        wait_until(&format!("it dies at {point}"), &house, || killed.try_wait().unwrap().is_some());
        assert!(!killed.wait().unwrap().success(), "{point}");
        finish(&house);
        reader.end();
        holds(&house, point);
    }
    assert!(!bodies.lock().unwrap().is_empty(), "somebody was told something");
}

#[test]
fn a_production_that_is_killed_anywhere_leaves_all_or_nothing() {
    for point in FAIL_POINTS.into_iter().filter(|point| is_of_the_engine(point)) {
        let root = tempfile::tempdir().unwrap();
        let house = TinyHouse::new(&root.path().join("house"), &[]);
        house.deliver();
        let reader = Reader::of(house.products());
        let produce = || house.nilas("produce").option("--date", house.day.to_string());
        produce().environment("FAILPOINTS", &format!("{point}=return")).expecting("nilas: ").expect_code(1);
        if house.revisions().is_empty() {
            assert_eq!(house.ledger().products_of(house.day).unwrap(), [], "{point}");
            produce().expect_code(0);
        }
        reader.end();
        holds(&house, point);
    }
}

/// Whom the moment hits.
#[derive(Debug, Clone, Copy)]
enum Victim {
    Daemon,
    Engine,
}

#[test]
fn a_kill_at_any_moment_loses_nothing_and_doubles_nothing() {
    let kills = std::env::var("NILAS_KILLS").map_or(RANDOM_KILLS, |count| count.parse().unwrap());
    let mut dice = ChaCha20Rng::seed_from_u64(20_261_124);
    let root = tempfile::tempdir().unwrap();
    let first = TinyHouse::new(&root.path().join("first"), &[]);
    first.deliver();
    let clock = SystemClock::new();
    finish(&first);
    let whole_ms = clock.monotonic().as_millis() as u64;
    let mut hits = [0, 0];
    for number in 0..kills {
        let folder = root.path().join(number.to_string());
        let house = TinyHouse::new(&folder, &[]);
        house.deliver();
        let victim = if number % 3 == 2 { Victim::Engine } else { Victim::Daemon };
        let moment = Duration::from_millis(dice.next_u64() % whole_ms);
        let reader = Reader::of(house.products());
        let mut running = daemon(&house, "");
        thread::sleep(moment);
        let what = format!("{victim:?} killed after {moment:?} of {whole_ms} ms");
        match victim {
            Victim::Daemon => {
                signal(&running, Signal::KILL);
                running.wait().unwrap();
                hits[0] += 1;
                finish(&house);
            }
            Victim::Engine => {
                hits[1] += usize::from(kill_children(&running));
                // The day failed or is published; a failed one is not tried again so soon.
                wait_until(&what, &house, || {
                    let ledger = house.ledger();
                    let runs = ledger.runs_of(house.day).unwrap();
                    !runs.is_empty() && runs.iter().all(|run| run.end.is_some())
                });
                signal(&running, Signal::TERM);
                assert!(running.wait().unwrap().success(), "{what}: {}", log(&house));
                if house.revisions().is_empty() {
                    house.nilas("produce").option("--date", house.day.to_string()).expect_code(0);
                }
            }
        }
        reader.end();
        holds(&house, &what);
        fs::remove_dir_all(&folder).unwrap();
    }
    say(&format!("{kills} kills: {} of a daemon, {} of a production or a look at a file", hits[0], hits[1]));
}

/// Kills what a daemon has started; false where nothing was at work.
fn kill_children(daemon: &Child) -> bool {
    let children = format!("/proc/{0}/task/{0}/children", daemon.id());
    let children = fs::read_to_string(children).expect("the kernel lists children");
    let mut hit = false;
    for child in children.split_whitespace() {
        let _ = kill_process(Pid::from_raw(child.parse().unwrap()).unwrap(), Signal::KILL);
        hit = true;
    }
    hit
}
