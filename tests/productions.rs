//! One production with everything around it, in this process: numbers, what lies in the folder, a device that fails, space.

#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::sync::Mutex;

use async_trait::async_trait;
use common::demo_window::repository;
use common::stand_in::publish;
use nilas::config::{Config, DeviceChoice, Overrides};
use nilas::daemon::{Conclusion, DaemonError, Ended, Mishap, Producer, Productions};
use nilas::ledger::{DayState, Ledger, Origin, Outcome};
use nilas::produce::{AcceptedFile, DayLock, Failed, Gathered, Order, ProduceError, Produced};
use nilas::publish::{read_latest, revision_folder};
use nilas::time::{Clock, ProductDay, SystemClock};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

const DAY: &str = "2026-03-01";

/// What becomes of an order.
type Act = fn(&Order) -> Result<Produced, Mishap>;

/// Does with each order what it was told to, one after the other.
struct Script(Mutex<Vec<Act>>);

#[async_trait]
impl Producer for Script {
    async fn produce(&self, order: &Order, _stop: &CancellationToken) -> Ended {
        let act = self.0.lock().unwrap().remove(0);
        Ended { result: act(order), exit_code: Some(0), peak_memory_bytes: Some(1 << 30), stages: Vec::new() }
    }
}

#[expect(clippy::unnecessary_wraps, reason = "it is an act like the others")]
fn publishes(order: &Order) -> Result<Produced, Mishap> {
    Ok(publish(order, SystemClock::new().now()))
}

fn publishes_and_dies(order: &Order) -> Result<Produced, Mishap> {
    publish(order, SystemClock::new().now());
    Err(Mishap::Died { reason: "signal: 9".into(), of_device: false })
}

fn loses_its_device(order: &Order) -> Result<Produced, Mishap> {
    assert_eq!(order.config.model.device, DeviceChoice::Cuda);
    let reason = "CUDA error: device lost".to_owned();
    Err(Mishap::Failed(Failed { exit_code: 1, of_device: true, reason }))
}

fn is_ended_by_its_device(order: &Order) -> Result<Produced, Mishap> {
    assert_eq!(order.config.model.device, DeviceChoice::Cuda);
    Err(Mishap::Died { reason: "the production died, device lost".into(), of_device: true })
}

fn dies(order: &Order) -> Result<Produced, Mishap> {
    assert_eq!(order.config.model.device, DeviceChoice::Cuda);
    Err(Mishap::Died { reason: "the production died".into(), of_device: false })
}

fn publishes_on_the_cpu(order: &Order) -> Result<Produced, Mishap> {
    assert_eq!(order.config.model.device, DeviceChoice::Cpu);
    publishes(order)
}

fn fails(_order: &Order) -> Result<Produced, Mishap> {
    Err(Mishap::Failed(Failed { exit_code: 5, of_device: false, reason: "not plausible".into() }))
}

struct House {
    root: TempDir,
    config: Config,
    ledger: Ledger,
}

impl House {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let overrides = Overrides {
            products: Some(root.path().join("products")),
            state: Some(root.path().join("state")),
            cache: Some(root.path().join("cache")),
            device: Some(DeviceChoice::Cuda),
            ..Overrides::default()
        };
        let mut config = Config::load(&repository("config/nilas.toml"), &overrides).unwrap();
        config.production.least_free_megabytes = 1;
        let ledger = Ledger::open(&config.folders.state.join(Ledger::FILE_NAME)).unwrap();
        Self { root, config, ledger }
    }

    fn run(&self, acts: &[Act]) -> Result<Conclusion, DaemonError> {
        let (producer, clock) = (Script(Mutex::new(acts.to_vec())), SystemClock::new());
        let productions =
            Productions { config: &self.config, ledger: &self.ledger, producer: &producer, clock: &clock };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let done = runtime.block_on(productions.run(gathered(), Origin::Person, &CancellationToken::new()));
        assert_eq!(producer.0.lock().unwrap().len(), 0, "all was done");
        done
    }

    fn revisions(&self) -> Vec<u32> {
        self.ledger.products_of(day()).unwrap().iter().map(|product| product.revision).collect()
    }
}

fn day() -> ProductDay {
    DAY.parse().unwrap()
}

fn gathered() -> Gathered {
    let file = |name: &str| AcceptedFile { path: name.into(), sha256: format!("{:0>64}", name.len()) };
    Gathered {
        day: day(),
        concentration: file("ice_conc_nh_polstere-100_amsr3_202603011200.nc"),
        thickness: file("W_XX-ESA,SMOS_CS2_S3A_S3B,NH_12P5KM_EASE2_20260226_20260304_o_v300_01_l4sit.nc"),
        drift: file("ice_drift_nh_polstere-625_multi-oi_202602281200-202603021200.nc"),
        declared_gaps: Vec::new(),
    }
}

#[test]
fn revisions_count_on_and_none_is_used_again() {
    let house = House::new();
    for _ in 0..2 {
        assert!(matches!(house.run(&[publishes]).unwrap(), Conclusion::Published(_)));
    }
    assert_eq!(house.revisions(), [1, 2]);
    // A revision that was cleared away keeps its number.
    fs::remove_dir_all(house.root.path().join("products/2026/03/01/r02")).unwrap();
    house.run(&[publishes]).unwrap();
    assert_eq!(house.revisions(), [1, 2, 3]);
    assert_eq!(house.ledger.day(day()).unwrap().unwrap().state, DayState::Final);
}

#[test]
fn a_ledger_that_was_lost_learns_from_the_folder() {
    let mut house = House::new();
    house.run(&[publishes]).unwrap();
    house.run(&[publishes]).unwrap();
    house.ledger = Ledger::open(&house.root.path().join("another/ledger.sqlite")).unwrap();
    house.run(&[publishes]).unwrap();
    assert_eq!(house.revisions(), [1, 2, 3]);
    let runs: Vec<_> = house.ledger.products_of(day()).unwrap().iter().map(|product| product.run).collect();
    assert_eq!(runs, [None, None, Some(1)]);
}

#[test]
fn what_lies_in_the_folder_counts_whatever_the_process_said() {
    let house = House::new();
    let conclusion = house.run(&[publishes_and_dies]).unwrap();
    assert!(matches!(conclusion, Conclusion::Found { revision: 1, .. }), "{conclusion:?}");
    assert_eq!(house.revisions(), [1]);
    let run = house.ledger.runs_of(day()).unwrap().remove(0);
    assert_eq!(run.end.unwrap().outcome, Outcome::Published);
    let latest = read_latest(&house.config.folders.products).unwrap().unwrap();
    assert_eq!((latest.newest.day, latest.newest.revision), (day(), 1), "latest.json was made to name it");
}

#[test]
fn a_device_that_fails_is_replaced_by_the_cpu_and_all_say_so() {
    for fails in [loses_its_device as Act, is_ended_by_its_device] {
        let house = House::new();
        let conclusion = house.run(&[fails, publishes_on_the_cpu]).unwrap();
        assert!(matches!(conclusion, Conclusion::Published(_)), "{conclusion:?}");
        let product = house.ledger.products_of(day()).unwrap().remove(0);
        let degradation = product.degradation.unwrap();
        assert!(
            degradation.contains("drawn on the CPU") && degradation.contains("device lost"),
            "{degradation}"
        );
        let folder = revision_folder(&house.config.folders.products, day(), product.revision);
        let manifest = fs::read_to_string(folder.join("manifest.json")).unwrap();
        assert!(manifest.contains("device lost"), "{manifest}");
        assert_eq!(house.ledger.runs_of(day()).unwrap().len(), 1);
    }
}

#[test]
fn a_death_for_another_reason_is_no_reason_for_another_device() {
    let conclusion = House::new().run(&[dies]).unwrap();
    assert!(matches!(conclusion, Conclusion::Without(Mishap::Died { .. })), "{conclusion:?}");
}

#[test]
fn a_device_that_fails_fails_the_day_where_that_is_wished() {
    let mut house = House::new();
    house.config.model.fall_back_to_cpu = false;
    let conclusion = house.run(&[loses_its_device]).unwrap();
    assert!(matches!(conclusion, Conclusion::Without(Mishap::Failed(_))), "{conclusion:?}");
    let row = house.ledger.day(day()).unwrap().unwrap();
    assert_eq!((row.state, row.failures), (DayState::Failed, 1));
}

#[test]
fn a_failure_beside_a_product_leaves_the_day_as_it_stands() {
    let house = House::new();
    house.run(&[publishes]).unwrap();
    house.run(&[fails]).unwrap();
    let row = house.ledger.day(day()).unwrap().unwrap();
    assert_eq!((row.state, row.failures), (DayState::Final, 1));
    assert!(row.note.contains("not plausible"), "{}", row.note);
    house.run(&[publishes]).unwrap();
    assert_eq!(house.ledger.day(day()).unwrap().unwrap().failures, 0);
}

#[test]
fn nothing_begins_without_space_or_beside_another_run() {
    let mut house = House::new();
    let _lock = DayLock::take(&house.config.folders.products, day()).unwrap();
    let error = house.run(&[]).unwrap_err();
    assert!(matches!(error, DaemonError::Produce(ProduceError::Busy { .. })), "{error}");
    house.config.production.least_free_megabytes = u64::MAX;
    let error = house.run(&[]).unwrap_err();
    assert!(
        matches!(error, DaemonError::Space { .. }) && error.to_string().contains("nilas prune"),
        "{error}"
    );
    assert_eq!(house.ledger.runs_of(day()).unwrap(), []);
}

#[test]
fn nothing_begins_without_space_for_the_ledger() {
    let mut house = House::new();
    // A file system in which nothing is ever free.
    house.config.folders.state = "/proc".into();
    let error = house.run(&[]).unwrap_err();
    let DaemonError::Space { folder, free_megabytes: 0, .. } = &error else { panic!("{error}") };
    assert_eq!(folder, &house.config.folders.state);
    assert_eq!(house.ledger.runs_of(day()).unwrap(), []);
}
