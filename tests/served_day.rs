//! The operational way: `nilas` with the shipped configuration, against an HTTP server with THREDDS catalogs and an FTP server that
//! hold the days around now.

#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use common::demo_window::{repository, shared};
use common::nilas::Nilas;
use common::series::Series;
use ftp_server::{Door, FtpServer};
use http_server::HttpServer;
use nilas::config::ServerKind;
use nilas::source::Role;
use nilas::time::{Clock, ProductDay, SystemClock};
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

#[path = "common/ftp_server.rs"]
mod ftp_server;
#[path = "common/http_server.rs"]
mod http_server;

/// How long ago the day is: all of it has come but its thickness, which is not late.
const DAYS_AGO: i64 = 5;

/// The two providers, and a configuration that leads to them.
struct World {
    root: TempDir,
    _runtime: Runtime,
    http: HttpServer,
    ftp: FtpServer,
    day: ProductDay,
}

impl World {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let (osisaf, awi) = (root.path().join("osisaf-tree"), root.path().join("awi-tree"));
        fs::create_dir_all(&osisaf).unwrap();
        fs::create_dir_all(&awi).unwrap();
        let runtime = Runtime::new().unwrap();
        let http = runtime.block_on(HttpServer::start(&osisaf));
        let ftp = runtime.block_on(FtpServer::start(&awi, Door::Open));
        let today: DateTime<Utc> = SystemClock::new().now();
        let day = ProductDay::new(today.date_naive()).plus_days(-DAYS_AGO);
        let world = Self { root, _runtime: runtime, http, ftp, day };
        world.configure();
        world
    }

    /// The shipped configuration with the addresses of the two servers, the window of the demonstration, and folders of its own.
    fn configure(&self) {
        let mut text = fs::read_to_string(repository("config/nilas.toml")).unwrap();
        let file = |path: &str| format!("\"{}\"", repository(path).display());
        let folder = |name: &str| format!("\"{}\"", self.root.path().join(name).display());
        let http = self.http.configured(ServerKind::Thredds).address;
        for (shipped, here) in [
            ("\"https://thredds.met.no/thredds/\"", format!("{http:?}")),
            ("\"ftp://ftp.awi.de/\"", format!("{:?}", self.ftp.configured().address)),
            ("\"grids/arctic-3km.toml\"", file("config/grids/demo.toml")),
            ("\"../models/small.safetensors\"", file("models/small.safetensors")),
            ("\"/var/lib/nilas/products\"", folder("products")),
            ("\"/var/lib/nilas\"", folder("state")),
            // The sample's thickness was reprocessed.
            ("processing = [\"o\"]", "processing = [\"r\"]".to_owned()),
        ] {
            assert_eq!(text.matches(shipped).count(), 1, "{shipped}");
            text = text.replace(shipped, &here);
        }
        fs::write(self.configuration(), text).unwrap();
    }

    fn configuration(&self) -> PathBuf {
        self.root.path().join("nilas.toml")
    }

    /// The file of `role` centred `days_before` the day arrives at its provider.
    fn deliver(&self, role: Role, days_before: i64) {
        let centre = self.day.plus_days(-days_before);
        let month = |day: ProductDay| day.date().format("%Y/%m").to_string();
        let folder = match role {
            Role::Concentration => format!("osisaf-tree/osisaf/met.no/ice/amsr2_conc/{}", month(centre)),
            Role::Drift => {
                format!("osisaf-tree/osisaf/met.no/ice/drift_lr/merged/{}", month(centre.plus_days(1)))
            }
            Role::Thickness => "awi-tree/sea_ice/product/cryosat2_smos/v206/nh/LATEST".to_owned(),
        };
        Series::new(&self.root.path().join(folder)).deliver(role, &centre.to_string());
    }

    fn nilas(&self, verb: &str) -> Nilas {
        Nilas::new(verb).option("--config", self.configuration())
    }

    fn produce(&self) -> Nilas {
        self.nilas("produce")
            .option("--date", self.day.to_string())
            .option("--cache", shared("cache"))
            .option("--members", "2")
            .option("--steps", "1")
            .arg("--no-calibration")
            .option("--device", "cpu")
    }

    fn manifest(&self, revision: &str) -> Value {
        let day = self.day.date().format("%Y/%m/%d");
        let path = self.root.path().join(format!("products/{day}/{revision}/manifest.json"));
        serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
    }

    /// Bytes of files that both providers have sent.
    fn sent(&self) -> u64 {
        self.http.file_bytes() + self.ftp.file_bytes()
    }
}

fn size_of(path: &Path) -> u64 {
    fs::metadata(path).unwrap().len()
}

#[test]
fn a_day_is_fetched_from_its_servers_and_becomes_final_when_its_thickness_comes() {
    let world = World::new();
    let run = world
        .produce()
        .expecting("WARN thickness is late: none is there")
        .expecting("nilas: ")
        .expect_code(3);
    let said = run.said().join("\n");
    for part in [
        "no concentration (",
        "no thickness (",
        "no drift (",
        "http://127.0.0.1",
        "ftp://127.0.0.1",
        "expected from",
    ] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    // Once is enough.
    world.produce().expecting("nilas: the inputs of").expect_code(3);

    for (role, days_before) in [(Role::Concentration, 0), (Role::Drift, 0), (Role::Thickness, 2)] {
        world.deliver(role, days_before);
    }
    let run = world.produce().expect_code(0);
    assert!(run.stdout.starts_with(&format!("{} revision 1, PROVISIONAL\n", world.day)), "{}", run.stdout);
    let age = |revision: &str, input: usize| {
        world.manifest(revision)["lineage"]["inputs"][input]["age_days"].clone()
    };
    assert_eq!([age("r01", 0), age("r01", 1), age("r01", 2)], [0.0, 2.0, 0.0]);
    let sent = world.sent();

    world.deliver(Role::Thickness, 0);
    let run = world.produce().expect_code(0);
    assert!(run.stdout.starts_with(&format!("{} revision 2, final\n", world.day)), "{}", run.stdout);
    let new = world.root.path().join("awi-tree/sea_ice/product/cryosat2_smos/v206/nh/LATEST");
    let name = world.manifest("r02")["lineage"]["inputs"][1]["name"].as_str().unwrap().to_owned();
    assert_eq!(world.sent() - sent, size_of(&new.join(name)), "only what is new is transferred");
    assert_eq!(age("r02", 1), 0.0);

    // Concentration and drift of the day are old by now.
    let run = world.nilas("check").expecting("nilas: 2 checks failed").expect_code(1);
    let failed: Vec<_> = run.stdout.lines().filter(|line| line.starts_with("FAILS")).collect();
    assert!(failed[0].contains("concentration") && failed[1].contains("drift"), "{failed:?}");
    assert!(failed.iter().all(|line| line.contains("should be there, and no place has it")), "{failed:?}");
    for role in [Role::Concentration, Role::Drift] {
        world.deliver(role, 1 - DAYS_AGO);
    }
    let run = world.nilas("check").expect_code(0);
    let yesterday = world.day.plus_days(DAYS_AGO - 1);
    for part in [
        &format!("newest {yesterday} (amsr2), "),
        "(v206), ",
        "answers, holds nothing recent",
        "up to date: ",
    ] {
        assert!(run.stdout.contains(part), "{part} is not in\n{}", run.stdout);
    }
}

#[test]
fn check_says_what_would_fail_and_asks_no_server_when_told_so() {
    let world = World::new();
    let text = fs::read_to_string(world.configuration()).unwrap();
    let nobody = text
        .replace(&world.ftp.configured().address, "ftp://127.0.0.1:1/")
        .replace("small.safetensors", "none.safetensors");
    fs::write(world.configuration(), nobody).unwrap();
    let run = world.nilas("check").expecting("nilas: ").expect_code(1);
    let failed: Vec<_> = run.stdout.lines().filter(|line| line.starts_with("FAILS")).collect();
    assert!(failed[0].contains("checkpoint") && failed[0].contains("none.safetensors"), "{failed:?}");
    let unreachable =
        failed.iter().filter(|line| line.contains("thickness") && line.contains("cannot be reached"));
    assert_eq!(unreachable.count(), 3, "each place at the server: {failed:?}");
    let empty = failed.iter().filter(|line| line.contains("no place has it"));
    assert_eq!(empty.count(), 2, "nothing lies at the other server: {failed:?}");
    assert_eq!(failed.len(), 1 + 3 + 2, "{failed:?}");

    let asked = world.http.asked().len();
    let run = world.nilas("check").arg("--offline").expecting("nilas: 1 check failed").expect_code(1);
    assert_eq!(run.stdout.lines().filter(|line| line.starts_with("FAILS")).count(), 1, "{}", run.stdout);
    assert_eq!(world.http.asked().len(), asked);
}
