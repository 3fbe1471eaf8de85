//! Synthetic ice through the program: the same seed gives the same archive, and a page says what it is like.

#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test may stop at once")]

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::tiny_window::TinyHouse;
use nilas::archive::Archive;

const PROGRAM: &str = env!("CARGO_BIN_EXE_nilas-train");

/// Makes one day on the smallest window.
fn synthesise(house: &TinyHouse, out: &Path, seed: &str) {
    let forcing = Path::new(env!("CARGO_MANIFEST_DIR")).join("forcing/arctic-winters.safetensors");
    let mut command = Command::new(PROGRAM);
    command
        .args(["synth", "--days", "1", "--part", "test", "--seed", seed, "--config"])
        .arg(house.configuration());
    let output = command.arg("--forcing").arg(forcing).arg("--out").arg(out).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert!(!errors.contains("WARN") && !errors.contains("ERROR"), "{errors}");
}

#[test]
fn a_seed_makes_its_archive_and_a_page_about_it() {
    let folder = tempfile::tempdir().unwrap();
    let house = TinyHouse::new(&folder.path().join("house"), &[]);
    let [one, again, other] = ["one", "again", "other"].map(|name| folder.path().join(name));
    synthesise(&house, &one, "7");
    synthesise(&house, &again, "7");
    synthesise(&house, &other, "8");
    let day = |archive: &Path| fs::read(archive.join("model/features/20010101.safetensors")).unwrap();
    assert_eq!(day(&one), day(&again));
    assert_ne!(day(&one), day(&other));

    let (sample, provenance) = Archive::open(&one).unwrap().read(0).unwrap();
    assert!(provenance.origin.starts_with("SYNTHETIC") && provenance.origin.contains("test part"));
    let known = |values: &ndarray::Array2<f32>| values.iter().filter(|value| !value.is_nan()).count();
    assert!(known(&sample.effective_thickness_m) > 4000 && known(&sample.low_effective_thickness_m) > 2000);
    let page = fs::read_to_string(one.join("synthetic-ice.md")).unwrap();
    assert!(page.contains("neXtSIM") && page.contains("SYNTHETIC"), "{page}");
}
