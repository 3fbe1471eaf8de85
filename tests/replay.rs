//! Ten days as on the providers' servers, fetched over HTTP and FTP at once: each byte as it was, and nothing twice.
//!
//! `NILAS_REPLAY` names a tree in which the days lie as on the servers. The same layout, made from the sample day, is always there.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "common/fetching.rs"]
mod fetching;
#[path = "common/ftp_server.rs"]
mod ftp_server;
#[path = "common/http_server.rs"]
mod http_server;
#[path = "common/replay_tree.rs"]
mod replay_tree;
#[path = "common/say.rs"]
mod say;

use std::fs;
use std::path::Path;
use std::time::Duration;

use futures_util::future::join_all;
use nilas::config::{Server, ServerKind};
use nilas::fetch::{Fetched, Fetcher, Remote};
use nilas::time::ProductDay;

use fetching::{SERVER, fetcher, impatient};
use ftp_server::{Door, FtpServer};
use http_server::HttpServer;
use replay_tree::replay_tree;

const DAYS: usize = 10;
const CONCENTRATION: &str = "osisaf/met.no/ice/amsr2_conc/2026/03";
const DRIFT: &str = "osisaf/met.no/ice/drift_lr/merged/2026/03";
const THICKNESS: &str = "sea_ice/product/cryosat2_smos/v300/nh/LATEST";

/// Lists folders and fetches everything in them at once.
async fn fetch_all(fetcher: &Fetcher, folders: &[&str]) -> Vec<(Remote, Fetched)> {
    let listings = join_all(folders.iter().map(|folder| fetcher.list(SERVER, folder))).await;
    let files: Vec<Remote> = listings.into_iter().flat_map(Result::unwrap).collect();
    let fetched = join_all(files.iter().map(|file| fetcher.fetch(SERVER, file))).await;
    files.iter().cloned().zip(fetched.into_iter().map(Result::unwrap)).collect()
}

/// Fetches folders of a tree twice. `sent` tells how many bytes of files the server has sent.
async fn replay(tree: &Path, folders: &[&str], server: Server, sent: impl Fn() -> u64) {
    let cache = tempfile::tempdir().unwrap();
    let new_fetcher = || fetcher(server.clone(), &impatient(), cache.path()).unwrap();
    let first = fetch_all(&new_fetcher(), folders).await;
    assert_eq!(first.len(), folders.len() * DAYS);
    for (remote, fetched) in &first {
        let below = remote.path.trim_start_matches("fileServer/");
        assert_eq!(fs::read(&fetched.path).unwrap(), fs::read(tree.join(below)).unwrap(), "{below}");
    }
    let all = first.iter().map(|(_, fetched)| fetched.size_bytes).sum::<u64>();
    // The FTP server counts a file after its last word about it.
    let counted = async {
        while sent() < all {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), counted).await.unwrap();

    let second = fetch_all(&new_fetcher(), folders).await;
    assert_eq!(sent(), all, "the second run transfers no data");
    for ((_, first), (_, second)) in first.iter().zip(&second) {
        assert_eq!((&first.path, second.transferred_bytes), (&second.path, 0));
    }
}

async fn replay_over_http(tree: &Path) {
    let server = HttpServer::start(tree).await;
    let configured = server.configured(ServerKind::Thredds);
    replay(tree, &[CONCENTRATION, DRIFT], configured, || server.file_bytes()).await;
}

async fn replay_over_ftp(tree: &Path) {
    let server = FtpServer::start(tree, Door::Open).await;
    replay(tree, &[THICKNESS], server.configured(), || server.file_bytes()).await;
}

/// The sample day under the names of ten days; a byte more for each, so that no two files are equal.
fn made_from_the_sample_day(tree: &Path) {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/sample-day");
    let concentration = fs::read(sample.join("ice_conc_nh_polstere-100_amsr2_202204151200.nc")).unwrap();
    let drift =
        fs::read(sample.join("ice_drift_nh_polstere-625_multi-oi_202204141200-202204161200.nc")).unwrap();
    let thickness =
        fs::read(sample.join("W_XX-ESA,SMOS_CS2,NH_25KM_EASE2_20220412_20220418_r_v206_01_l4sit.nc"))
            .unwrap();
    for folder in [CONCENTRATION, DRIFT, THICKNESS] {
        fs::create_dir_all(tree.join(folder)).unwrap();
    }
    let first: ProductDay = "2026-03-01".parse().unwrap();
    for number in 0..DAYS {
        let (day, begin) = (first.plus_days(number as i64), first.plus_days(number as i64 - 2));
        let name = format!("ice_conc_nh_polstere-100_amsr2_{}1200.nc", day.compact());
        let path = tree.join(CONCENTRATION).join(name);
        fs::write(path, [&concentration[..], &[number as u8]].concat()).unwrap();
        let name =
            format!("ice_drift_nh_polstere-625_multi-oi_{}1200-{}1200.nc", begin.compact(), day.compact());
        fs::write(tree.join(DRIFT).join(name), [&drift[..], &[number as u8]].concat()).unwrap();
        let (begin, end) = (day.plus_days(-3).compact(), day.plus_days(3).compact());
        let name = format!("W_XX-ESA,SMOS_CS2_S3A_S3B,NH_12P5KM_EASE2_{begin}_{end}_o_v300_01_l4sit.nc");
        fs::write(tree.join(THICKNESS).join(name), [&thickness[..], &[number as u8]].concat()).unwrap();
    }
}

#[tokio::test]
async fn ten_days_made_from_the_sample_day_are_fetched_once() {
    let tree = tempfile::tempdir().unwrap();
    made_from_the_sample_day(tree.path());
    replay_over_http(tree.path()).await;
    replay_over_ftp(tree.path()).await;
}

#[tokio::test]
async fn ten_days_of_the_replay_tree_are_fetched_once_over_http() {
    if let Some(tree) = replay_tree() {
        replay_over_http(&tree).await;
    }
}

#[tokio::test]
async fn ten_days_of_the_replay_tree_are_fetched_once_over_ftp() {
    if let Some(tree) = replay_tree() {
        replay_over_ftp(&tree).await;
    }
}
