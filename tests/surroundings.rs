//! What lies around Nilas goes wrong: the network to the providers, the disk, the memory that the machine has left. A day that cannot be
//! made is told with its cause and what to do, nobody sees a part of it, and it is made when the trouble is over, as without.
//!
//! The tests let a few kinds of each trouble come at a few places; the environment asks for more (`NILAS_FAULTS`), as `./dev e2e` does.

#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use common::aftermath::{
    Reader, assert_same_data, daemon_command, end, holds, is_reason, is_recorded, log, produce, reason,
    recover, wait_until, webhook,
};
use common::memory_group::MemoryGroup;
use common::say::say;
use common::small_disk::{SmallDisk, where_disks_can_be_mounted};
use common::tiny_window::TinyHouse;
use ftp_server::{Door, FtpServer};
use http_server::HttpServer;
use network::{Network, Speech, Trouble};
use nilas::config::ServerKind;
use nilas::sys;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use url::Url;

#[path = "common/ftp_server.rs"]
mod ftp_server;
#[path = "common/http_server.rs"]
mod http_server;
#[path = "common/network.rs"]
mod network;

/// Each trouble comes at so many places.
const SAMPLE: u64 = 1;

fn sample() -> u64 {
    std::env::var("NILAS_FAULTS").map_or(SAMPLE, |count| count.parse().unwrap())
}

// --- the network ------------------------------------------------------------------------------------------------------

/// What happens to one connection, and whether to all after it. Answers of HTTP are cut in their head, in a catalog and in a file; those of
/// FTP in a greeting, in a dialogue and in a file.
const TROUBLES: [(Trouble, bool); 16] = [
    (Trouble::Reset(20), false),
    (Trouble::Reset(50_000), false),
    (Trouble::Held(50_000), false),
    (Trouble::Late(300), false),
    (Trouble::Trickle(50_000), false),
    (Trouble::Refused, false),
    (Trouble::Held(300), true),
    (Trouble::Refused, true),
    (Trouble::Reset(0), false),
    (Trouble::Reset(300), false),
    (Trouble::Ended(20), false),
    (Trouble::Ended(50_000), false),
    (Trouble::Held(0), false),
    (Trouble::Slow, false),
    (Trouble::Reset(20), true),
    (Trouble::Trickle(300), true),
];

/// So many of them are tried where no more are asked for.
const TRIED: usize = 8;

/// Two providers and the network to them.
struct World {
    root: TempDir,
    _runtime: Runtime,
    network: Network,
    _http: HttpServer,
    _ftp: FtpServer,
    addresses: [String; 2],
    /// A house in which the day was made without trouble.
    clean: TinyHouse,
}

impl World {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let clean = TinyHouse::new(&root.path().join("clean"), &[]).with_own_cache().delivered();
        let (runtime, network) = (Runtime::new().unwrap(), Network::new());
        let http = runtime.block_on(HttpServer::start(&clean.provider()));
        let ftp = runtime.block_on(FtpServer::start(&clean.provider(), Door::Open));
        let through = |address: String, speech| {
            let mut address: Url = address.parse().unwrap();
            let there = address.socket_addrs(|| None).unwrap()[0];
            let here = runtime.block_on(async { network.to(there, speech) });
            address.set_port(Some(here.port())).unwrap();
            address.to_string()
        };
        let addresses = [
            through(http.configured(ServerKind::Thredds).address, Speech::Any),
            through(ftp.configured().address, Speech::Ftp),
        ];
        let world = Self { root, _runtime: runtime, network, _http: http, _ftp: ftp, addresses, clean };
        world.leads_to_servers(&world.clean);
        recover(&world.clean, "without trouble");
        holds(&world.clean, "without trouble");
        world
    }

    /// A house that has what these servers have. Its patience is short, and shorter where trouble lasts.
    fn house(&self, name: &str, deadline_seconds: u64) -> TinyHouse {
        let deadline = format!("\ndeadline_seconds = {deadline_seconds}\n");
        let changes = [
            ("connect_seconds = 20", "connect_seconds = 1"),
            ("stall_seconds = 60", "stall_seconds = 1"),
            ("\ntry_seconds = 900", "\ntry_seconds = 2"),
            ("\ndeadline_seconds = 1800\n", &*deadline),
            ("shortest_pause_seconds = 1.0", "shortest_pause_seconds = 0.05"),
            ("longest_pause_seconds = 120.0", "longest_pause_seconds = 0.2"),
        ];
        let house = TinyHouse::new(&self.root.path().join(name), &changes).with_own_cache();
        self.leads_to_servers(&house);
        house
    }

    fn leads_to_servers(&self, house: &TinyHouse) {
        let [http, ftp] = &self.addresses;
        house.is_served("met-norway", "thredds", http);
        house.is_served("awi", "ftp", ftp);
    }
}

/// How trouble was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Met {
    /// There are not that many connections that could.
    Not,
    /// The day was made all the same.
    Outlived,
    /// The program ended with an error that says why, and the next made the day.
    Told,
}

/// Lets the connection of this number meet trouble while a day is fetched and made; then the network works again.
fn meet(world: &World, trouble: Trouble, number: u64, lasts: bool) -> Met {
    let what = format!("{trouble:?} at connection {number}{}", if lasts { " and all after it" } else { "" });
    let house = world.house(&what.replace(' ', "-"), if lasts { 4 } else { 30 });
    world.network.expect(trouble, number, lasts);
    let reader = Reader::of(house.products());
    let (status, said) = hear(&house, || {
        // Only from what the program says is it known that it was refused once.
        if trouble == Trouble::Refused && !lasts {
            world.network.works();
        }
    });
    let is_met = world.network.is_met() && (trouble != Trouble::Refused || said.contains(ASKS_AGAIN));
    world.network.works();
    let met = match status.code() {
        Some(0) if is_met => Met::Outlived,
        Some(0) => Met::Not,
        Some(1) if is_met && lasts => {
            let reason = reason(&said, &what);
            assert!(
                names_server_and_remedy(reason, world),
                "{what}: this names no address and no remedy: {reason}"
            );
            Met::Told
        }
        _ => panic!("{what}: {status}\n{said}"),
    };
    assert_cache_holds_whole_files(&house, &what);
    recover(&house, &what);
    reader.end();
    holds(&house, &what);
    assert_cache_holds_whole_files(&house, &what);
    assert_same_data(&world.clean, &house, &what);
    fs::remove_dir_all(&house.root).unwrap();
    met
}

/// Stands in the log where something is asked for again.
const ASKS_AGAIN: &str = "pause_seconds=";

/// Runs `nilas produce`, and tells whenever it asks for something again; how it ended, and what it said.
fn hear(house: &TinyHouse, mut asks_again: impl FnMut()) -> (ExitStatus, String) {
    let mut child = produce(house).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    for line in BufReader::new(child.stderr.take().unwrap()).lines() {
        let line = line.unwrap();
        if line.contains(ASKS_AGAIN) {
            asks_again();
        }
        said += &line;
        said.push('\n');
    }
    (child.wait().unwrap(), said)
}

fn names_server_and_remedy(reason: &str, world: &World) -> bool {
    let remedies = ["check the address, the network and the proxy", "it is asked for again later"];
    world.addresses.iter().any(|address| reason.contains(address))
        && remedies.iter().any(|remedy| reason.contains(remedy))
}

/// What counts as fetched is what its name says: the sum of its bytes.
#[track_caller]
fn assert_cache_holds_whole_files(house: &TinyHouse, what: &str) {
    let Ok(folders) = fs::read_dir(house.config().folders.cache.join("inputs/files")) else { return };
    for folder in folders.map(|folder| folder.unwrap().path()) {
        for file in fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()) {
            let sum = sys::sha256_of_file(&file).unwrap();
            assert_eq!(folder.file_name().unwrap().to_str().unwrap(), sum, "{what}: {}", file.display());
        }
    }
}

/// Lets one connection after the other meet trouble, until none is left that could or enough have: how they did, and how often the test
/// failed. All that is found is told, not only what is found first.
fn meet_in_turn(
    world: &World,
    (trouble, lasts): (Trouble, bool),
    first: u64,
    step: u64,
) -> (Vec<Met>, usize) {
    let (mut met, mut failures) = (Vec::new(), 0);
    for number in (first..).step_by(step as usize).take(sample() as usize) {
        match panic::catch_unwind(AssertUnwindSafe(|| meet(world, trouble, number, lasts))) {
            Ok(Met::Not) => break,
            Ok(how) => met.push(how),
            Err(_) => failures += 1,
        }
    }
    (met, failures)
}

#[test]
fn whatever_connection_meets_trouble_the_day_is_fetched_whole_in_the_end() {
    let world = World::new();
    let troubles = if sample() > SAMPLE { &TROUBLES[..] } else { &TROUBLES[..TRIED] };
    let occasions: Vec<u64> = troubles.iter().map(|(trouble, _)| world.network.occasions(*trouble)).collect();
    let mut dice = ChaCha20Rng::seed_from_u64(20_261_130);
    let (mut table, mut failures) = (Vec::new(), 0);
    for (&trouble, occasions) in troubles.iter().zip(occasions) {
        let step = occasions.div_ceil(sample());
        let first = 1 + dice.next_u64() % step;
        let (mut met, mut failed) = meet_in_turn(&world, trouble, first, step);
        if met.is_empty() && failed == 0 {
            // How many connections HTTP takes is for chance to say; one there always is.
            (met, failed) = meet_in_turn(&world, trouble, 1, step);
        }
        assert!(!met.is_empty() || failed > 0, "{trouble:?} was never met");
        failures += failed;
        let of = |kind: Met| met.iter().filter(|met| **met == kind).count();
        table.push(format!(
            "{:?}{}: {occasions} connections, {} tried, {} outlived, {} told",
            trouble.0,
            if trouble.1 { " for long" } else { "" },
            met.len() + failed,
            of(Met::Outlived),
            of(Met::Told)
        ));
    }
    say(&table.join("\n"));
    assert_eq!(failures, 0, "what they are stands above");
}

#[test]
fn a_daemon_without_network_makes_the_day_as_soon_as_there_is_one() {
    let world = World::new();
    let house = world.house("house", 2);
    world.network.expect(Trouble::Refused, 1, true);
    let reader = Reader::of(house.products());
    let daemon = daemon_command(&house).spawn().unwrap();
    wait_until("it was looked for", &house, || {
        house.ledger().day(house.day).unwrap().is_some_and(|row| row.note.contains("cannot be reached"))
    });
    world.network.works();
    wait_until("the day is made", &house, || is_recorded(&house));
    end(daemon, &house);
    reader.end();
    holds(&house, "a network that came back");
    assert!(log(&house).contains("cannot be reached"), "{}", log(&house));
    assert_same_data(&world.clean, &house, "a network that came back");
}

// --- the disk ---------------------------------------------------------------------------------------------------------

/// More than a day needs.
const AMPLE_BYTES: u64 = 256 << 20;
const PAGE_BYTES: u64 = 4096;
/// Of what a day needs, disks have at most so many different shares.
const MOST_SHARES: u64 = 24;

/// A house whose products and whose state lie on disks of their own.
struct OnDisks {
    house: TinyHouse,
    products: SmallDisk,
    state: SmallDisk,
}

impl OnDisks {
    fn new(root: &Path, products_bytes: u64, state_bytes: u64) -> Self {
        // What is too small for the configuration is refused before anything is written.
        let changes = [("least_free_megabytes = 10", "least_free_megabytes = 0")];
        Self::of(TinyHouse::new(root, &changes).with_own_cache().delivered(), products_bytes, state_bytes)
    }

    fn of(house: TinyHouse, products_bytes: u64, state_bytes: u64) -> Self {
        let products = SmallDisk::at(&house.products(), products_bytes);
        let state = SmallDisk::at(&house.config().folders.state, state_bytes);
        Self { house, products, state }
    }

    /// The program fails and says why, and what to do.
    #[track_caller]
    fn assert_told(&self, what: &str) -> String {
        let output = produce(&self.house).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{what}: {said}");
        let reason = reason(&said, what);
        assert!(is_reason(reason, &self.house), "{what}: this names no file and no remedy: {reason}");
        reason.to_owned()
    }
}

#[test]
fn a_day_that_its_disk_has_no_room_for_leaves_nothing_and_is_made_when_there_is() {
    where_disks_can_be_mounted(
        "a_day_that_its_disk_has_no_room_for_leaves_nothing_and_is_made_when_there_is",
        || {
            let root = tempfile::tempdir().unwrap();
            let clean = OnDisks::new(&root.path().join("clean"), AMPLE_BYTES, AMPLE_BYTES);
            recover(&clean.house, "an ample disk");
            let needs = [&clean.products, &clean.state].map(|disk| AMPLE_BYTES - disk.free_bytes());
            let mut table = vec![format!("a day needs {needs:?} bytes for products and state")];
            let shares = 1 + sample().min(MOST_SHARES);
            for (place, step) in (0..2).flat_map(|place| (0..shares).map(move |step| (place, step))) {
                let mut bytes = [AMPLE_BYTES; 2];
                bytes[place] = (needs[place] * step / shares).max(PAGE_BYTES);
                let what = format!("{bytes:?} bytes for products and state");
                let small = OnDisks::new(&root.path().join(format!("{place}-{step}")), bytes[0], bytes[1]);
                let reader = Reader::of(small.house.products());
                let reason = small.assert_told(&what);
                assert!(reason.contains("space") || reason.contains("full"), "{what}: {reason}");
                [&small.products, &small.state][place].resize(AMPLE_BYTES);
                recover(&small.house, &what);
                reader.end();
                holds(&small.house, &what);
                assert_same_data(&clean.house, &small.house, &what);
                table.push(format!("{what}: {reason}"));
            }
            table.join("\n")
        },
    );
}

#[test]
fn a_disk_that_becomes_read_only_is_named_and_the_day_made_when_it_can_be_written() {
    where_disks_can_be_mounted(
        "a_disk_that_becomes_read_only_is_named_and_the_day_made_when_it_can_be_written",
        || {
            let root = tempfile::tempdir().unwrap();
            let verb = OnDisks::new(&root.path().join("verb"), AMPLE_BYTES, AMPLE_BYTES);
            let mut table = Vec::new();
            for disk in [&verb.products, &verb.state] {
                disk.make_read_only();
                let reason = verb.assert_told("read-only");
                assert!(reason.contains("Read-only") || reason.contains("readonly"), "{reason}");
                assert!(verb.house.revisions().is_empty());
                disk.make_writable();
                table.push(reason);
            }
            recover(&verb.house, "read-only");
            holds(&verb.house, "read-only");

            let (address, bodies) = webhook();
            let house = TinyHouse::that_tells(&root.path().join("daemon"), &address, &[]).with_own_cache();
            let OnDisks { house, products, state: _state } = OnDisks::of(house, AMPLE_BYTES, AMPLE_BYTES);
            let reader = Reader::of(house.products());
            let daemon = daemon_command(&house).spawn().unwrap();
            wait_until("it is at work", &house, || log(&house).contains("nilas is at work"));
            products.make_read_only();
            house.deliver();
            wait_until("people are told", &house, || {
                bodies.lock().unwrap().iter().any(|body| body.contains("Read-only file system"))
            });
            products.make_writable();
            wait_until("the day is made", &house, || is_recorded(&house));
            end(daemon, &house);
            reader.end();
            holds(&house, "read-only for a daemon");
            assert_same_data(&verb.house, &house, "read-only for a daemon");
            table.join("\n")
        },
    );
}

// --- the memory -------------------------------------------------------------------------------------------------------

/// Less than any program needs.
const LEAST_BYTES: u64 = 1 << 20;
/// More than any production of the smallest window.
const MOST_BYTES: u64 = 8 << 30;

#[test]
fn a_production_that_the_kernel_kills_for_want_of_memory_says_so_and_the_next_makes_the_day() {
    let root = tempfile::tempdir().unwrap();
    let clean = TinyHouse::new(&root.path().join("clean"), &[]).with_own_cache().delivered();
    recover(&clean, "ample memory");
    let (mut bytes, mut told, mut table) = (LEAST_BYTES, 0, Vec::new());
    loop {
        let group = match MemoryGroup::new(bytes) {
            Ok(group) => group,
            Err(reason) => return say(&format!("skipped: no control group limits memory here: {reason}")),
        };
        let what = format!("{} kB of memory", bytes >> 10);
        let house = TinyHouse::new(&root.path().join(bytes.to_string()), &[]).with_own_cache().delivered();
        let reader = Reader::of(house.products());
        let output = group.carries(&produce(&house)).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let how = match output.status.code() {
            Some(0) => "enough".to_owned(),
            None => {
                assert_eq!(output.status.signal(), Some(libc::SIGKILL), "{what}: {said}");
                "killed itself".to_owned()
            }
            Some(_) => {
                told += 1;
                let reason = reason(&said, &what);
                assert!(reason.contains("memory") && reason.contains(';'), "{what}: {reason}");
                reason.to_owned()
            }
        };
        let kills = group.kills();
        assert!(how != "enough" || kills == 0, "{what}: {kills} were killed, and nobody said so");
        table.push(format!("{what}: {kills} killed: {how}"));
        recover(&house, &what);
        reader.end();
        holds(&house, &what);
        assert_same_data(&clean, &house, &what);
        if how == "enough" {
            break;
        }
        assert!(bytes < MOST_BYTES, "{}", table.join("\n"));
        bytes = if sample() > SAMPLE { bytes * 5 / 4 } else { bytes * 4 };
    }
    say(&table.join("\n"));
    assert!(told > 0, "a process died whose parent could say so");
}

// --- the GPU ----------------------------------------------------------------------------------------------------------

#[test]
fn a_gpu_that_is_not_there_is_replaced_by_the_cpu_and_the_product_says_so() {
    let root = tempfile::tempdir().unwrap();
    let wants_gpu = ("device = \"cpu\"", "device = \"cuda\"");
    let without_gpu = |house: &TinyHouse| {
        let mut command = produce(house);
        // What hides a GPU from CUDA where there is one.
        command.env("CUDA_VISIBLE_DEVICES", "");
        command.output().unwrap()
    };
    let house = TinyHouse::new(&root.path().join("house"), &[wants_gpu]).delivered();
    let output = without_gpu(&house);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("the device failed"), "{said}");
    let product = house.ledger().products_of(house.day).unwrap().pop().unwrap();
    assert!(product.degradation.is_some_and(|text| text.contains("drawn on the CPU")));
    let manifest = fs::read_to_string(house.revisions()[0].join("manifest.json")).unwrap();
    assert!(manifest.contains("drawn on the CPU, because the configured device failed"), "{manifest}");
    holds(&house, "a GPU that is not there");

    let stays = ("fall_back_to_cpu = true", "fall_back_to_cpu = false");
    let house = TinyHouse::new(&root.path().join("strict"), &[wants_gpu, stays]).delivered();
    let output = without_gpu(&house);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(reason(&said, "a GPU").contains("CUDA") && house.revisions().is_empty(), "{said}");
}
