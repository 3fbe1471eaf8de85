//! Two months of days, one every few seconds: a daemon lives through them while its clock is stepped from day to day, files come daily, and
//! on some days something goes wrong. At the end every day is there as it should be, and the daemon takes no more than in the beginning.
//! `./dev soak` runs it; `NILAS_SOAK_DAYS` asks for another number of days.

#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Child;
use std::thread;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use common::aftermath::{daemon_command, log, signal};
use common::broken_machine::{BrokenMachine, Fault};
use common::demo_window::shared;
use common::say::say;
use common::series::name_of;
use common::tiny_window::TinyHouse;
use nilas::ledger::{Ledger, Outcome, ProductRow, Verdict};
use nilas::publish::{read_latest, read_manifest, revision_folder};
use nilas::source::Role;
use nilas::sys;
use nilas::time::{Clock, ProductDay, SystemClock};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use rusqlite::Connection;
use rustix::process::{Pid, Signal, kill_process};

const DAYS: i64 = 60;
/// Days that are counted together; in each of them as much goes wrong.
const BLOCK: i64 = 10;
/// With fewer days the end is too close to the beginning to tell whether anything grows.
const LEAST_DAYS: i64 = 40;
/// How many days after its own a day gets the last of its inputs.
const SETTLED_AFTER: i64 = 4;
/// What a day may take: also after a full disk, which is looked at once a minute.
const PATIENCE: Duration = Duration::from_mins(3);
/// Between two looks at what the daemon has done.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// How long a disk stays full.
const FULL: Duration = Duration::from_secs(3);

/// What may be greater in the last days than in the second ten.
const MEMORY_GROWTH: f64 = 1.10;
const CACHE_GROWTH: f64 = 1.10;
/// By how much what the ledger takes up in a day may differ.
const PACE_CHANGE: f64 = 0.20;

/// What goes wrong on a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    EngineKilled,
    DaemonKilled,
    DiskFull,
    /// The day's file of this role is nonsense until the next day.
    Spoiled(Role),
}

impl Trouble {
    fn spoiled(self) -> Option<Role> {
        if let Self::Spoiled(role) = self { Some(role) } else { None }
    }
}

/// What goes wrong when. Never on the first or the last day of a block, so that all of it belongs to the block.
fn troubles(days: i64, dice: &mut ChaCha20Rng) -> BTreeMap<i64, Trouble> {
    let mut troubles = BTreeMap::new();
    for block in 0..days / BLOCK {
        let role = Role::ALL[(dice.next_u64() % Role::ALL.len() as u64) as usize];
        let mut kinds = vec![Trouble::EngineKilled, Trouble::Spoiled(role)];
        // What leaks is seen in a process that lives long: in the first days only is it killed.
        kinds.extend((block == 0).then_some(Trouble::DaemonKilled));
        // It costs the daemon a minute of true time.
        kinds.extend((block % 2 == 1).then_some(Trouble::DiskFull));
        for kind in kinds {
            let free = |number: &i64| !troubles.contains_key(number);
            let mut numbers = std::iter::repeat_with(|| block * BLOCK + 1 + (dice.next_u64() % 8) as i64);
            let number = numbers.find(free).unwrap();
            troubles.insert(number, kind);
        }
    }
    troubles
}

/// What the daemon takes at the end of a day.
struct Sample {
    seconds: f64,
    memory_bytes: f64,
    handles: usize,
    ledger_bytes: f64,
    cache_bytes: f64,
    state_bytes: f64,
}

/// A house through many days, counted from 0.
struct Soak {
    house: TinyHouse,
    machine: BrokenMachine,
    daemon: Child,
    ledger: Ledger,
    troubles: BTreeMap<i64, Trouble>,
    dice: ChaCha20Rng,
    /// How far the machine's clock is off the true time.
    clock_off: TimeDelta,
}

impl Soak {
    fn begin(root: &Path, days: i64) -> Self {
        let mut dice = ChaCha20Rng::seed_from_u64(20_261_201);
        let common_cache = format!("\"{}\"", shared("cache").display());
        let changes = [
            // So that a full disk hits it as well.
            (&*common_cache, "\"cache\""),
            ("\nretry_minutes = 10", "\nretry_minutes = 1"),
            ("longest_retry_minutes = 360", "longest_retry_minutes = 1"),
            // Full after as many days.
            ("cache_days = 90", "cache_days = 3"),
            // An animation of a month takes longer than all else on so small a window.
            ("animation_days = 30", "animation_days = 2"),
        ];
        let house = TinyHouse::new(&root.join("house"), &changes);
        let machine = BrokenMachine::new(&house.root, root.join("machine"));
        let daemon = start(&house, &machine);
        let ledger = house.ledger();
        let troubles = troubles(days, &mut dice);
        Self { house, machine, daemon, ledger, troubles, dice, clock_off: TimeDelta::zero() }
    }

    fn day(&self, number: i64) -> ProductDay {
        self.house.day.plus_days(number)
    }

    /// The same house with another day in hand.
    fn on(&self, day: ProductDay) -> TinyHouse {
        TinyHouse { root: self.house.root.clone(), day }
    }

    /// One day, from the arrival of its files until all is made of them that can be.
    fn live(&mut self, number: i64) -> Sample {
        let clock = SystemClock::new();
        self.deliver(number);
        // In the afternoon of the day after: what was waited for in the morning is not waited for any more.
        self.set_clock(self.day(number + 1).noon().and_utc() + TimeDelta::hours(1));
        match self.troubles.get(&number).copied() {
            Some(Trouble::EngineKilled) => self.kill_the_engine(),
            Some(Trouble::DaemonKilled) => self.kill_the_daemon(),
            Some(Trouble::DiskFull) => self.fill_the_disk(),
            Some(Trouble::Spoiled(_)) | None => {}
        }
        self.settle(number);
        self.sample(clock.monotonic())
    }

    /// The files that come when a day has ended: its concentration, and what takes longer of the days before.
    fn deliver(&self, number: i64) {
        let spoiled = self.spoiled(number);
        for role in Role::ALL {
            let house = self.on(self.centre(role, number));
            if spoiled == Some(role) {
                let path = house.series(role).folder.join(name_of(role, &house.day.to_string()));
                fs::write(path, "nothing of any use").unwrap();
            } else {
                house.deliver_one(role);
            }
        }
        if let Some(role) = self.spoiled(number - 1) {
            self.on(self.centre(role, number - 1)).deliver_one(role);
        }
    }

    fn centre(&self, role: Role, number: i64) -> ProductDay {
        self.day(match role {
            Role::Concentration => number,
            Role::Drift => number - 1,
            Role::Thickness => number - SETTLED_AFTER,
        })
    }

    fn spoiled(&self, number: i64) -> Option<Role> {
        self.troubles.get(&number).and_then(|trouble| trouble.spoiled())
    }

    fn set_clock(&mut self, time: DateTime<Utc>) {
        self.clock_off = time - SystemClock::new().now();
        self.machine.set_clock_off(self.clock_off.num_seconds());
    }

    fn some_milliseconds(&mut self, most: u64) -> Duration {
        Duration::from_millis(self.dice.next_u64() % most)
    }

    fn kill_the_engine(&mut self) {
        let engine = self.engine();
        thread::sleep(self.some_milliseconds(500));
        // It may have ended by itself.
        let _ = kill_process(engine, Signal::KILL);
    }

    fn kill_the_daemon(&mut self) {
        thread::sleep(self.some_milliseconds(3000));
        signal(&self.daemon, Signal::KILL);
        self.daemon.wait().unwrap();
        self.daemon = start(&self.house, &self.machine);
    }

    fn fill_the_disk(&mut self) {
        self.engine();
        thread::sleep(self.some_milliseconds(500));
        self.machine.fail_at(self.machine.calls() + 1);
        thread::sleep(FULL);
        self.machine.fail_at(0);
    }

    /// Waits until a production is at work.
    fn engine(&mut self) -> Pid {
        let children = format!("/proc/{0}/task/{0}/children", self.daemon.id());
        let is_engine = |child: &&str| {
            fs::read_to_string(format!("/proc/{child}/comm")).is_ok_and(|name| name.trim() == "nilas-engine")
        };
        let clock = SystemClock::new();
        loop {
            let children = fs::read_to_string(&children).unwrap();
            if let Some(engine) = children.split_whitespace().find(is_engine) {
                return Pid::from_raw(engine.parse().unwrap()).unwrap();
            }
            self.wait(&clock, "there is no engine");
        }
    }

    /// Waits a moment for what the daemon does; it must live meanwhile.
    #[track_caller]
    fn wait(&mut self, begun: &SystemClock, what: &str) {
        let is_over = begun.monotonic() > PATIENCE || self.daemon.try_wait().unwrap().is_some();
        assert!(!is_over, "{what}; the end of the log:\n{}", end_of(&log(&self.house)));
        thread::sleep(LOOK_AGAIN);
    }

    /// Waits until all is made that can be when a day has ended.
    fn settle(&mut self, number: i64) {
        let clock = SystemClock::new();
        while !self.is_settled(number) {
            self.wait(&clock, &format!("day {number} is not settled"));
            self.skip_pauses(number);
        }
    }

    fn is_settled(&self, number: i64) -> bool {
        let is_made = |earlier: i64| {
            let products = self.ledger.products_of(self.day(earlier)).unwrap();
            products.len() == self.expected(earlier, number).len()
        };
        let was_refused = |role: Role| {
            let files = self.ledger.files_of(role.name(), self.centre(role, number)).unwrap();
            files.iter().any(|file| file.verdict != Verdict::Accepted)
        };
        Self::young(number).all(is_made)
            && self.spoiled(number).is_none_or(was_refused)
            && self.ledger.runs_at_work().unwrap().is_empty()
    }

    /// The days of which something may be made when a day has ended.
    fn young(number: i64) -> impl Iterator<Item = i64> + use<> {
        (number - SETTLED_AFTER - 1).max(0)..=number
    }

    /// The revisions of a day, when another has ended: whether each is final.
    fn expected(&self, number: i64, ended: i64) -> Vec<bool> {
        let spoiled = self.spoiled(ended);
        let has_come = |role: Role, at: i64| ended > at || (ended == at && spoiled != Some(role));
        let mut expected = Vec::new();
        expected.extend(has_come(Role::Concentration, number).then_some(false));
        expected.extend(has_come(Role::Thickness, number + SETTLED_AFTER).then_some(true));
        expected
    }

    /// Puts the clock to where what has failed is tried again.
    fn skip_pauses(&mut self, number: i64) {
        let failed =
            Self::young(number).filter_map(|number| self.ledger.day(self.day(number)).unwrap()?.failed_at);
        let Some(failed_at) = failed.max() else { return };
        let again = failed_at + TimeDelta::seconds(61);
        if SystemClock::new().now() + self.clock_off < again {
            self.set_clock(again);
        }
    }

    fn sample(&self, took: Duration) -> Sample {
        let process = self.daemon.id();
        let folders = self.house.config().folders;
        // What is open only while it looks whether there is anything to do does not count.
        let looks = (0..5).map(|_| {
            thread::sleep(LOOK_AGAIN);
            fs::read_dir(format!("/proc/{process}/fd")).unwrap().count()
        });
        let handles = looks.min().unwrap();
        Sample {
            seconds: took.as_secs_f64(),
            memory_bytes: sys::resident_bytes(process).unwrap() as f64,
            handles,
            ledger_bytes: entries_of(&self.house.ledger_file()),
            cache_bytes: size_of(&folders.cache),
            state_bytes: size_of(&folders.state),
        }
    }

    /// Ends the daemon, and holds every day to what it should be: there once, whole, recorded.
    fn end(mut self, days: i64) {
        signal(&self.daemon, Signal::TERM);
        assert!(self.daemon.wait().unwrap().success(), "{}", end_of(&log(&self.house)));
        assert!(!log(&self.house).contains("panicked"));
        for number in 0..days {
            self.holds(number, &self.expected(number, days - 1));
        }
        let latest = read_latest(&self.house.products()).unwrap().unwrap();
        assert_eq!((latest.newest.day, latest.newest.revision), (self.day(days - 1), 1));
        let newest_final = latest.newest_final.map(|pointer| (pointer.day, pointer.revision));
        assert_eq!(newest_final, (days > SETTLED_AFTER).then(|| (self.day(days - 1 - SETTLED_AFTER), 2)));
    }

    fn holds(&self, number: i64, expected: &[bool]) {
        let day = self.day(number);
        let products = self.ledger.products_of(day).unwrap();
        let are_final: Vec<bool> = products.iter().map(|product| product.is_final).collect();
        assert_eq!(are_final, expected, "{day}");
        let root = self.on(day).products();
        let folder = |product: &ProductRow| revision_folder(&root, product.day, product.revision);
        let folders: Vec<_> = products.iter().map(folder).collect();
        assert_eq!(self.on(day).revisions(), folders, "{day}");
        for product in &products {
            let manifest = read_manifest(&folder(product)).unwrap();
            assert_eq!(manifest.manifest_sha256, product.manifest_sha256, "{day}");
            for file in &manifest.files {
                let sum = sys::sha256_of_file(&folder(product).join(&file.name)).unwrap();
                assert_eq!(sum, file.sha256, "{day}: {}", file.name);
            }
        }
        let runs = self.ledger.runs_of(day).unwrap();
        let outcomes: Vec<Outcome> = runs.iter().map(|run| run.end.as_ref().unwrap().outcome).collect();
        let published = outcomes.iter().filter(|outcome| **outcome == Outcome::Published).count();
        assert_eq!(published, expected.len(), "{day}: {outcomes:?}");
    }
}

impl Drop for Soak {
    fn drop(&mut self) {
        // Where a test has failed before it could end it.
        let _ = self.daemon.kill();
    }
}

fn start(house: &TinyHouse, machine: &BrokenMachine) -> Child {
    let mut command = daemon_command(house);
    machine.carries(&mut command, Fault::FullDisk);
    command.spawn().unwrap()
}

fn end_of(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}

/// What the ledger holds, bytes: its entries and those of its indices, for its file grows by pages, and what is new may still be beside it.
fn entries_of(ledger: &Path) -> f64 {
    let connection = Connection::open(ledger).unwrap();
    connection.query_row("SELECT sum(payload) FROM dbstat", [], |row| row.get(0)).unwrap()
}

/// What lies in a folder, bytes; files that go away meanwhile do not count.
fn size_of(folder: &Path) -> f64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0.0 };
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => size_of(&entry.path()),
        Ok(metadata) => metadata.len() as f64,
        Err(_) => 0.0,
    };
    entries.flatten().map(size).sum()
}

fn median(samples: &[Sample], of: impl Fn(&Sample) -> f64) -> f64 {
    let mut values: Vec<f64> = samples.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    f64::midpoint(values[(values.len() - 1) / 2], values[values.len() / 2])
}

/// What is added in a day, from the first of some days to the last.
fn pace(samples: &[Sample], of: impl Fn(&Sample) -> f64) -> f64 {
    let (first, last) = (samples.first().unwrap(), samples.last().unwrap());
    (of(last) - of(first)) / (samples.len() - 1) as f64
}

fn tell(samples: &[Sample]) {
    let block = &samples[samples.len() - BLOCK as usize..];
    let of = |value: fn(&Sample) -> f64| median(block, value);
    say(&format!(
        "days {:>3} to {:>3}: {:6.2} MB resident, {:3.0} handles, ledger {:6.3} MB and {:5.1} kB more a day, cache {:6.2} MB, state {:6.2} MB, \
         {:4.1} s a day",
        samples.len() - BLOCK as usize + 1,
        samples.len(),
        of(|sample| sample.memory_bytes) / 1e6,
        of(|sample| sample.handles as f64),
        of(|sample| sample.ledger_bytes) / 1e6,
        pace(block, |sample| sample.ledger_bytes) / 1e3,
        of(|sample| sample.cache_bytes) / 1e6,
        of(|sample| sample.state_bytes) / 1e6,
        of(|sample| sample.seconds),
    ));
}

/// Nothing grows that has no reason to: the last days are held against the second ten.
fn compare(samples: &[Sample]) {
    let block = BLOCK as usize;
    let (early, late) = (&samples[block..2 * block], &samples[samples.len() - block..]);
    let ratio = |of: fn(&Sample) -> f64| median(late, of) / median(early, of);
    let memory = ratio(|sample| sample.memory_bytes);
    let cache = ratio(|sample| sample.cache_bytes);
    let handles = [early, late].map(|days| median(days, |sample| sample.handles as f64));
    let paces = [early, late].map(|days| pace(days, |sample| sample.ledger_bytes));
    say(&format!(
        "memory {memory:.3}, cache {cache:.3}, pace of the ledger {:.3} times that of days 11 to 20; handles {} and {}",
        paces[1] / paces[0],
        handles[0],
        handles[1]
    ));
    assert!(memory <= MEMORY_GROWTH, "the daemon grows");
    assert!(cache <= CACHE_GROWTH, "the cache grows");
    assert!((handles[1] - handles[0]).abs() < 0.5, "handles stay open");
    assert!((paces[1] / paces[0] - 1.0).abs() <= PACE_CHANGE, "the ledger grows faster, or slower");
}

#[test]
fn a_daemon_through_two_months_makes_every_day_and_does_not_grow() {
    let days = std::env::var("NILAS_SOAK_DAYS").map_or(DAYS, |days| days.parse().unwrap());
    let root = tempfile::tempdir().unwrap();
    let mut soak = Soak::begin(root.path(), days);
    say(&format!("what goes wrong: {:?}", soak.troubles));
    let mut samples = Vec::new();
    for number in 0..days {
        samples.push(soak.live(number));
        if (number + 1) % BLOCK == 0 {
            tell(&samples);
        }
    }
    soak.end(days);
    if days >= LEAST_DAYS {
        compare(&samples);
    }
}
