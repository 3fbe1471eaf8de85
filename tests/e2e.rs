//! The whole grid, and days of the replay tree: what takes too long for every run of the tests. `./dev e2e` runs it.

#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use common::bad_files::{flipped, look_at, truncated};
use common::demo_window::{DAY, quick_production, repository, shared};
use common::netcdf_copy::open;
use common::nilas::Nilas;
use common::replay_tree::replay_tree;
use common::sample_layouts as layouts;
use common::spoiled_files::spoiled;

/// What the production of a day on the whole grid may take, GiB.
const LARGEST_PEAK_GIB: f64 = 4.0;
/// What six members more may add, as a share.
const GROWTH: f64 = 0.1;

/// A verb on the whole grid with the sample day's inputs.
fn on_the_whole_grid(verb: &str) -> Nilas {
    Nilas::new(verb)
        .option("--config", repository("config/nilas.toml"))
        .option("--date", DAY)
        .option("--inputs", layouts::sample_day())
        .option("--cache", shared("cache"))
        .option("--state", shared("state"))
}

#[test]
fn memory_is_bounded_and_does_not_grow_with_the_members() {
    let products = tempfile::tempdir().unwrap();
    // The first run may have to build the remap weights, which takes memory of its own: it is bounded, too, but not compared.
    let peaks: Vec<f64> = [2, 2, 8, 2, 8, 2, 8]
        .into_iter()
        .enumerate()
        .map(|(earlier, members)| {
            let run = on_the_whole_grid("produce")
                .option("--products", products.path())
                .option("--members", members.to_string())
                .option("--steps", "2")
                .arg("--no-calibration")
                .option("--device", "cpu")
                .expect_code(0);
            let revision = format!("2022/04/15/r{:02}", earlier + 1);
            Nilas::new("verify").arg(products.path().join(revision)).expect_code(0);
            run.figure("peak memory")
        })
        .collect();
    assert!(peaks.iter().all(|peak| *peak < LARGEST_PEAK_GIB), "GiB: {peaks:?}");
    // How threads happen to meet adds up to a tenth to a peak, and never takes anything off.
    let least = |first: usize| peaks.iter().skip(first).step_by(2).copied().fold(f64::INFINITY, f64::min);
    let (two, eight) = (least(1), least(2));
    assert!((eight / two - 1.0).abs() < GROWTH, "GiB for 2 and 8 members: {two}, {eight} of {peaks:?}");
}

#[test]
fn the_features_cover_the_whole_grid() {
    let path = shared("features.nc");
    let run = on_the_whole_grid("features").option("--out", &path).expect_code(0);
    assert!(run.stdout.contains("features.nc: 1086 x 1308\n"), "{}", run.stdout);
    let file = open(&path);
    assert_eq!((file.dimension_len("y"), file.dimension_len("x")), (Some(1086), Some(1308)));
}

/// `NILAS_REPLAY` names a folder in which days of March 2026 lie as on the providers' servers.
#[test]
fn the_days_of_the_replay_are_produced() {
    let Some(replay) = replay_tree() else { return };
    let root = tempfile::tempdir().unwrap();
    let (inputs, products) = (root.path().join("inputs"), root.path().join("products"));
    fs::create_dir(&inputs).unwrap();
    for path in files_below(&replay) {
        fs::copy(&path, inputs.join(path.file_name().unwrap())).unwrap();
    }
    for day in 1..=5 {
        let date = format!("2026-03-{day:02}");
        let run = quick_production(&date, &products).option("--inputs", &inputs).expect_code(0);
        assert!(run.stdout.starts_with(&format!("{date} revision 1, final\n")), "{}", run.stdout);
        Nilas::new("verify").arg(products.join(format!("2026/03/{day:02}/r01"))).expect_code(0);
    }
    let latest = fs::read_to_string(products.join("latest.json")).unwrap();
    assert!(latest.contains("2026/03/05/r01"), "{latest}");
}

#[test]
fn the_whole_corpus_of_bad_files_is_handled() {
    let files = spoiled().into_iter().chain(truncated(1)).chain(flipped(500)).collect();
    let tally = look_at(files);
    writeln!(std::io::stderr(), "bad files: {tally:?}").unwrap();
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files_below(&path)) } else { found.push(path) }
    }
    found
}
