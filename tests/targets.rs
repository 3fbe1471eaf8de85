//! Products are carried to folders, stores and services: whole, in order, once, and also after a time in which nothing could be carried.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "common/ftp_server.rs"]
mod ftp_server;
#[path = "common/s3_server.rs"]
mod s3_server;
#[path = "common/webhook_server.rs"]
mod webhook_server;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use chrono::SubsecRound;
use nilas::config::{Config, Overrides, Target, TargetKind};
use nilas::deliver::{Carried, Carrier};
use nilas::ledger::{Ledger, ProductRow, Withdrawal};
use nilas::publish::{self, FileRecord, Manifest, Status, WithdrawalNote};
use nilas::sys;
use nilas::time::{Clock, ProductDay, SystemClock};
use tempfile::TempDir;

use s3_server::S3Server;
use webhook_server::WebhookServer;

/// Larger than the parts that a store gets it in.
const LARGE_BYTES: usize = 20 << 20;

/// A product root, a ledger that knows it, and a folder for what targets hold.
struct House {
    ledger: Ledger,
    config: Config,
    clock: SystemClock,
    _folder: TempDir,
}

impl House {
    fn new(targets: BTreeMap<String, Target>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::load(Path::new("config/nilas.toml"), &Overrides::default()).unwrap();
        config.folders.products = folder.path().join("products");
        config.targets = targets;
        let ledger = Ledger::open(&folder.path().join("ledger.sqlite")).unwrap();
        let house = Self { ledger, config, clock: SystemClock::new(), _folder: folder };
        house.write(".nilas/lock", "");
        house.publish("2026-03-01", 1, LARGE_BYTES);
        house.publish("2026-03-02", 1, 1000);
        house
    }

    fn root(&self) -> &Path {
        &self.config.folders.products
    }

    fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// A revision of two files with its manifest, the ledger's row, and the files that lead to it.
    fn publish(&self, day: &str, revision: u32, bytes: usize) {
        let day: ProductDay = day.parse().unwrap();
        let folder = format!("{}/r{revision:02}", day.date().format("%Y/%m/%d"));
        let noise: Vec<u8> = (0..bytes as u64).map(|n| (n.wrapping_mul(n) >> 7) as u8).collect();
        self.write(&format!("{folder}/members.nc"), &noise);
        self.write(&format!("{folder}/mean.tif"), "map");
        let record = |name: &str| {
            let path = self.root().join(&folder).join(name);
            let (bytes, sha256) = (fs::metadata(&path).unwrap().len(), sys::sha256_of_file(&path).unwrap());
            FileRecord { name: name.into(), bytes, sha256 }
        };
        let mut manifest: Manifest = serde_json::from_value(serde_json::json!({
            "manifest_sha256": "", "day": day, "revision": revision, "status": Status::Final,
            "created": "2026-03-03T04:00:00Z", "grid": "test", "members": 2, "members_in_file": true,
            "figures": {"ice_cells": 1, "ice_area_km2": 1.0, "ice_volume_km3": 1.0, "mean_thickness_m": 1.0, "mean_spread_m": 1.0},
            "lineage": {
                "inputs": [], "declared_gaps": [], "checkpoint": "small", "checkpoint_sha256": "0", "training_data": "none",
                "sampler": "ddim", "steps": 1, "seed": 1, "device": "cpu", "precision": "f32", "config_hash": "0",
                "code_version": "0"
            },
            "timings": [], "files": []
        }))
        .unwrap();
        manifest.files = vec![record("mean.tif"), record("members.nc")];
        let text = |manifest: &Manifest| serde_json::to_string_pretty(manifest).unwrap();
        manifest.manifest_sha256 = sys::sha256(text(&manifest));
        self.write(&format!("{folder}/manifest.json"), text(&manifest));
        let row = ProductRow {
            day,
            revision,
            run: None,
            is_final: true,
            published_at: self.clock.now(),
            size_bytes: bytes as u64,
            manifest_sha256: manifest.manifest_sha256,
            checkpoint_sha256: "0".into(),
            config_hash: "0".into(),
            degradation: None,
            withdrawal: None,
            removed_at: None,
            inputs: Vec::new(),
        };
        assert!(self.ledger.adopt_product(&row).unwrap());
        for name in
            ["viewer/viewer.js", "viewer/index.html", "2026/catalog.json", "collection.json", "catalog.json"]
        {
            self.write(name, format!("as of {day} {revision}"));
        }
        let pointer = serde_json::json!({
            "day": day, "revision": revision, "status": Status::Final, "path": folder
        });
        let latest = serde_json::json!({"newest": pointer, "newest_final": pointer});
        self.write("latest.json", latest.to_string());
    }

    fn withdraw(&self, day: &str, revision: u32) {
        let day: ProductDay = day.parse().unwrap();
        let note =
            WithdrawalNote { withdrawn_at: self.clock.now().trunc_subsecs(3), reason: "wrong ice".into() };
        let withdrawal = Withdrawal { at: note.withdrawn_at, reason: note.reason.clone() };
        assert!(self.ledger.withdraw_product(day, revision, &withdrawal).unwrap());
        let folder = publish::revision_folder(Path::new(""), day, revision);
        self.write(folder.join("withdrawn.json").to_str().unwrap(), note.to_json().unwrap());
    }

    async fn carry(&self) -> Vec<Carried> {
        let carrier = Carrier::new(&self.config).unwrap();
        carrier.carry(&self.ledger, self.root(), &self.clock, |_| true).await.unwrap()
    }

    /// Carries everything; no target may fail.
    async fn carry_all(&self) {
        for carried in self.carry().await {
            assert!(carried.failure.is_none(), "{carried:?}");
        }
    }
}

fn target(kind: TargetKind, address: &str) -> Target {
    Target {
        kind,
        address: Some(address.to_owned()),
        address_file: None,
        products_url: (kind == TargetKind::Webhook).then(|| "https://example.org/products/".to_owned()),
        credentials: None,
        authorities: None,
        region: None,
    }
}

fn named(targets: &[(&str, Target)]) -> BTreeMap<String, Target> {
    targets.iter().map(|(name, target)| ((*name).to_owned(), target.clone())).collect()
}

/// The files below a folder with what they hold, without what begins with a dot.
fn tree(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().unwrap().to_string_lossy().starts_with('.') {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path.strip_prefix(folder).unwrap().to_owned(), fs::read(path).unwrap());
            }
        }
    }
    found
}

/// A store, the folder that it serves, and the target that leads to it.
struct Shop {
    server: S3Server,
    _root: TempDir,
    tree: PathBuf,
    target: Target,
}

impl Shop {
    async fn open() -> Self {
        let root = tempfile::tempdir().unwrap();
        let tree = S3Server::tree(root.path());
        let server = S3Server::start(root.path(), true).await;
        let configured = server.configured();
        let target = Target {
            credentials: configured.credentials.clone(),
            ..target(TargetKind::S3, &configured.address)
        };
        Self { server, _root: root, tree, target }
    }
}

/// What every place must do.
async fn is_a_place(target: Target, held: &Path) {
    let house = House::new(named(&[("place", target)]));
    let carrier = Carrier::new(&house.config).unwrap();
    carrier.probe("place").await.unwrap();
    house.carry_all().await;
    assert!(tree(held) == tree(house.root()), "a place holds what stands");

    house.publish("2026-03-02", 2, 10);
    house.carry_all().await;
    assert!(tree(held) == tree(house.root()), "what is new comes, and what changes is replaced");

    house.withdraw("2026-03-01", 1);
    house.carry_all().await;
    assert!(tree(held) == tree(house.root()), "what was taken back is told");

    // As where the disk of the product folder is not mounted.
    let away = house.root().with_extension("away");
    fs::rename(house.root(), &away).unwrap();
    fs::create_dir(house.root()).unwrap();
    let (error, _) = house.carry().await[0].failure.take().unwrap();
    assert!(error.to_string().contains("latest.json"), "{error}");
    fs::remove_dir(house.root()).unwrap();
    fs::rename(&away, house.root()).unwrap();
    assert!(tree(held) == tree(house.root()), "an empty folder is no reason to remove anything");

    for revision in [1, 2] {
        house.withdraw("2026-03-02", revision);
    }
    for name in ["latest.json", "catalog.json", "collection.json"] {
        fs::remove_file(house.root().join(name)).unwrap();
    }
    house.carry_all().await;
    assert!(tree(held) == tree(house.root()), "what leads to nothing any more goes");
}

#[tokio::test]
async fn a_folder_is_a_place() {
    let folder = tempfile::tempdir().unwrap();
    let held = folder.path().join("mirror");
    is_a_place(target(TargetKind::Folder, &held.to_string_lossy()), &held).await;
    let part = |path: &Path| path.file_name().unwrap().to_string_lossy().starts_with('.');
    let left = fs::read_dir(held.join("2026/03/01/r01"))
        .unwrap()
        .filter(|entry| part(&entry.as_ref().unwrap().path()));
    assert_eq!(left.count(), 0, "nothing half-written is left");
}

#[tokio::test]
async fn an_archive_is_told_of_what_was_cleared_away_here_and_taken_back() {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("archive");
    let house = House::new(named(&[("archive", target(TargetKind::Folder, &archive.to_string_lossy()))]));
    house.carry_all().await;
    let (day, revision) = ("2026-03-01".parse().unwrap(), 1);
    house.withdraw("2026-03-01", 1);
    let note = fs::read(house.root().join("2026/03/01/r01/withdrawn.json")).unwrap();
    house.ledger.remove_product(day, revision, house.clock.now()).unwrap();
    fs::remove_dir_all(house.root().join("2026/03/01")).unwrap();
    house.carry_all().await;
    let held = archive.join("2026/03/01/r01");
    assert_eq!(fs::read(held.join("withdrawn.json")).unwrap(), note);
    assert!(held.join("members.nc").is_file());
}

#[tokio::test]
async fn a_target_that_has_moved_gets_everything_and_a_product_folder_that_has_is_no_matter() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    let mirror =
        |name: &str| named(&[("mirror", target(TargetKind::Folder, &place(name).to_string_lossy()))]);
    let mut house = House::new(mirror("old"));
    house.carry_all().await;
    house.config.targets = mirror("new");
    let moved = house.root().with_extension("moved");
    fs::rename(house.root(), &moved).unwrap();
    house.config.folders.products = moved;
    house.carry_all().await;
    assert!(tree(&place("new")) == tree(house.root()));
    house.publish("2026-03-03", 1, 10);
    house.carry_all().await;
    assert!(tree(&place("new")) == tree(house.root()));
    assert!(!place("old").join("2026/03/03").exists());
}

#[tokio::test]
async fn a_store_is_a_place() {
    let shop = Shop::open().await;
    is_a_place(shop.target.clone(), &shop.tree).await;
}

#[tokio::test]
async fn a_store_gets_large_files_in_parts_says_how_long_to_keep_and_learns_of_the_newest_last() {
    let shop = Shop::open().await;
    let house = House::new(named(&[("store", shop.target.clone())]));
    house.carry_all().await;
    let requests = shop.server.requests();
    let parts = requests.iter().filter(|request| request.path.contains("partNumber="));
    assert_eq!(parts.count(), LARGE_BYTES.div_ceil(8 << 20));
    let to = |name: &str| requests.iter().find(|request| request.path.contains(name)).unwrap();
    assert_eq!(to("mean.tif").cache_control.as_deref(), Some("public, max-age=31536000, immutable"));
    assert!(to("mean.tif").content_type.as_ref().unwrap().contains("profile=cloud-optimized"));
    assert_eq!(to("members.nc").content_type.as_deref(), Some("application/netcdf"));
    assert_eq!(to("/latest.json").cache_control.as_deref(), Some("no-cache"));
    let last: Vec<_> =
        requests.iter().rev().take(3).map(|request| request.path.rsplit('/').next().unwrap()).collect();
    assert_eq!(last, ["latest.json", "catalog.json", "collection.json"]);
    let first_of = |name: &str| requests.iter().position(|request| request.path.contains(name)).unwrap();
    assert!(first_of("2026/03/02/r01") < first_of("2026/03/01/r01"), "the newest day goes first");

    house.carry_all().await;
    assert_eq!(shop.server.requests().len(), requests.len(), "what is there is not sent again");
}

#[tokio::test]
async fn a_store_that_refuses_every_third_request_gets_everything() {
    let shop = Shop::open().await;
    shop.server.refuse_each(3);
    let house = House::new(named(&[("store", shop.target.clone())]));
    house.carry_all().await;
    assert!(tree(&shop.tree) == tree(house.root()));
    assert!(shop.server.requests().iter().any(|request| request.method == "PUT"));
}

#[tokio::test]
async fn a_target_that_is_down_misses_nothing_and_holds_nobody_up() {
    let folder = tempfile::tempdir().unwrap();
    let (mirror, gone) = (folder.path().join("mirror"), folder.path().join("gone"));
    fs::write(&gone, "a file where a folder must be").unwrap();
    let house = House::new(named(&[
        ("gone", target(TargetKind::Folder, &gone.to_string_lossy())),
        ("mirror", target(TargetKind::Folder, &mirror.to_string_lossy())),
    ]));
    let carried = house.carry().await;
    let failure = carried[0].failure.as_ref().unwrap();
    assert_eq!((carried[0].target.as_str(), failure.1), ("gone", 2));
    assert!(failure.0.to_string().contains("gone"), "{}", failure.0);
    assert!(carried[1].failure.is_none() && tree(&mirror) == tree(house.root()));
    let carrier = Carrier::new(&house.config).unwrap();
    assert!(carrier.probe("gone").await.is_err());

    fs::remove_file(&gone).unwrap();
    house.publish("2026-03-03", 1, 10);
    house.carry_all().await;
    assert!(tree(&gone) == tree(house.root()));
}

#[tokio::test]
async fn a_revision_that_was_changed_is_not_carried() {
    let folder = tempfile::tempdir().unwrap();
    let mirror = folder.path().join("mirror");
    let house = House::new(named(&[("mirror", target(TargetKind::Folder, &mirror.to_string_lossy()))]));
    let manifest = house.root().join("2026/03/02/r01/manifest.json");
    fs::write(&manifest, fs::read_to_string(&manifest).unwrap().replace("small", "large")).unwrap();
    let carried = house.carry().await;
    assert!(carried[0].failure.as_ref().unwrap().0.to_string().contains("was changed"), "{carried:?}");
    assert!(!mirror.join("latest.json").exists(), "nothing leads to what is not there");
}

#[tokio::test]
async fn a_file_that_went_bad_on_the_disk_is_not_carried() {
    let folder = tempfile::tempdir().unwrap();
    let mirror = folder.path().join("mirror");
    let house = House::new(named(&[("mirror", target(TargetKind::Folder, &mirror.to_string_lossy()))]));
    let file = house.root().join("2026/03/02/r01/members.nc");
    let mut bytes = fs::read(&file).unwrap();
    bytes[500] ^= 1;
    fs::write(&file, bytes).unwrap();
    let carried = house.carry().await;
    let error = carried[0].failure.as_ref().unwrap().0.to_string();
    let verify = format!("`nilas verify {}`", file.parent().unwrap().display());
    for part in [&*file.to_string_lossy(), &verify, "nilas withdraw 2026-03-02 --revision 1"] {
        assert!(error.contains(part), "{part} is not in: {error}");
    }
    assert!(!mirror.join("2026/03/02/r01/members.nc").exists() && !mirror.join("latest.json").exists());
    assert!(mirror.join("2026/03/01/r01/manifest.json").exists(), "it keeps no other back");

    house.withdraw("2026-03-02", 1);
    house.carry_all().await;
}

#[tokio::test]
async fn what_was_taken_back_is_told_whatever_else_cannot_be_carried() {
    let folder = tempfile::tempdir().unwrap();
    let mirror = folder.path().join("mirror");
    let house = House::new(named(&[("mirror", target(TargetKind::Folder, &mirror.to_string_lossy()))]));
    house.carry_all().await;
    house.publish("2026-03-03", 1, 10);
    house.write("2026/03/03/r01/members.nc", "gone bad");
    house.withdraw("2026-03-01", 1);
    let carried = house.carry().await;
    assert!(carried[0].failure.as_ref().unwrap().0.is_of_a_revision(), "{carried:?}");
    assert!(!mirror.join("2026/03/03").exists(), "nothing of it");
    fs::remove_file(house.root().join("2026/03/03/r01/members.nc")).unwrap();
    assert!(house.carry().await[0].failure.as_ref().unwrap().0.is_of_a_revision());
    assert!(mirror.join("2026/03/01/r01/withdrawn.json").exists());
    let latest = fs::read_to_string(mirror.join("latest.json")).unwrap();
    assert!(latest.contains("2026-03-02"), "readers are led to what is there: {latest}");
}

#[tokio::test]
async fn readers_are_led_to_a_revision_when_it_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let mirror = folder.path().join("mirror");
    let house = House::new(named(&[("mirror", target(TargetKind::Folder, &mirror.to_string_lossy()))]));
    house.carry_all().await;
    // Published, and the ledger does not know it yet.
    let latest = fs::read_to_string(house.root().join("latest.json")).unwrap();
    house.write("latest.json", latest.replace("2026-03-02", "2026-03-03"));
    house.carry_all().await;
    assert_eq!(fs::read_to_string(mirror.join("latest.json")).unwrap(), latest);
    house.publish("2026-03-03", 1, 10);
    house.carry_all().await;
    assert!(tree(&mirror) == tree(house.root()));
}

#[tokio::test]
async fn a_service_is_told_once_the_files_are_everywhere() {
    let folder = tempfile::tempdir().unwrap();
    let mirror = folder.path().join("mirror");
    fs::write(&mirror, "a file where a folder must be").unwrap();
    let mut service = WebhookServer::start().await;
    let house = House::new(named(&[
        ("mirror", target(TargetKind::Folder, &mirror.to_string_lossy())),
        ("a-service", target(TargetKind::Webhook, &service.url())),
    ]));
    house.carry().await;
    assert!(service.bodies().is_empty(), "the mirror has nothing yet");

    fs::remove_file(&mirror).unwrap();
    service.answer(500);
    let carried = house.carry().await;
    let (error, waiting) = carried[1].failure.as_ref().unwrap();
    assert!(error.to_string().contains("answers 500") && *waiting == 2, "{error}");
    assert!(!error.to_string().contains(&service.url()), "its address may be a secret: {error}");

    service.answer(200);
    let before = service.bodies().len();
    house.carry_all().await;
    house.carry_all().await;
    let told = &service.bodies()[before..];
    let days: Vec<_> = told.iter().map(|told| told["day"].as_str().unwrap()).collect();
    assert_eq!(days, ["2026-03-02", "2026-03-01"]);
    assert_eq!(told[0]["event"], "published");
    assert_eq!(told[0]["manifest"], "https://example.org/products/2026/03/02/r01/manifest.json");

    house.withdraw("2026-03-01", 1);
    house.carry_all().await;
    let last = service.bodies().pop().unwrap();
    assert_eq!((&last["event"], &last["day"]), (&"withdrawn".into(), &"2026-03-01".into()));
}

/// A redirect would tell the address elsewhere, and turn the message into a question.
#[tokio::test]
async fn a_service_that_sends_elsewhere_is_not_followed() {
    let mut service = WebhookServer::start().await;
    service.answer(302);
    let house = House::new(named(&[("a-service", target(TargetKind::Webhook, &service.url()))]));
    let carried = house.carry().await;
    let (error, waiting) = carried[0].failure.as_ref().unwrap();
    assert!(error.to_string().contains("answers 302") && *waiting == 2, "{error}");
    assert_eq!(service.paths(), ["POST /hook"]);
}

/// A redirect would bring what is published to where nobody has named.
#[tokio::test]
async fn a_store_that_sends_elsewhere_is_not_followed() {
    let mut server = WebhookServer::start().await;
    server.answer(302);
    let house = House::new(named(&[("store", target(TargetKind::S3, &server.url()))]));
    let carried = house.carry().await;
    let (error, waiting) = carried[0].failure.as_ref().unwrap();
    assert!(error.to_string().contains("302") && *waiting == 2, "{error}");
    assert_eq!(server.paths(), ["PUT /hook/2026/03/02/r01/mean.tif"]);
}

#[test]
fn a_target_that_cannot_be_meant_is_refused_with_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let shipped = fs::read_to_string("config/nilas.toml").unwrap();
    let grid = fs::canonicalize("config/grids/arctic-3km.toml").unwrap();
    let shipped = shipped.replace("grids/arctic-3km.toml", &grid.to_string_lossy());
    for (target, words) in [
        ("kind = \"folder\"", ["targets.x.address", "path of a folder"]),
        ("kind = \"s3\"\naddress = \"bucket\"", ["targets.x.address", "https://host/bucket"]),
        ("kind = \"webhook\"", ["targets.x.address", "address_file"]),
        ("kind = \"webhook\"\naddress = \"https://a/b\"", ["targets.x.products_url", "readers find"]),
        (
            "kind = \"webhook\"\naddress = \"https://a:b@c/\"",
            ["targets.x.address", "name that as address_file"],
        ),
        ("kind = \"ftp\"", ["unknown variant", "ftp"]),
    ] {
        let path = folder.path().join("nilas.toml");
        fs::write(&path, format!("{shipped}\n[targets.x]\n{target}\n")).unwrap();
        let message = Config::load(&path, &Overrides::default()).unwrap_err().to_string();
        assert!(words.iter().all(|word| message.contains(word)), "{message}");
    }
}
