//! Synthetic ice through the program: the same seed gives the same archive, and a page says what it is like.

#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test may stop at once")]

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::tiny_window::TinyHouse;
use nilas::archive::{Archive, ObservedArchive};

const TRAINER: &str = env!("CARGO_BIN_EXE_nilas-train");
const NILAS: &str = env!("CARGO_BIN_EXE_nilas");

/// Makes one day on the smallest window.
fn synthesise(house: &TinyHouse, out: &Path, options: &[&str]) {
    let forcing = Path::new(env!("CARGO_MANIFEST_DIR")).join("forcing/arctic-winters.safetensors");
    let mut command = Command::new(NILAS);
    command.args(["synth", "--days", "1", "--part", "test", "--config"]).arg(house.configuration());
    let output = command.arg("--forcing").arg(forcing).arg("--out").arg(out).args(options).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert!(!errors.contains("WARN") && !errors.contains("ERROR"), "{errors}");
}

#[test]
fn a_seed_makes_its_archive_and_a_page_about_it() {
    let folder = tempfile::tempdir().unwrap();
    let house = TinyHouse::new(&folder.path().join("house"), &[]);
    let [one, again, other] = ["one", "again", "other"].map(|name| folder.path().join(name));
    synthesise(&house, &one, &["--seed", "7"]);
    synthesise(&house, &again, &["--seed", "7"]);
    synthesise(&house, &other, &["--seed", "8"]);
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

/// The shipped limits are for fields of the whole Arctic, and thickness that is released as it comes.
const LIMITS_OF_A_WINDOW: [(&str, &str); 14] = [
    ("processing = [\"r\"]", "processing = [\"o\"]"),
    ("{ least = 35.0, most = 70.0 }", "{ most = 100.0 }"),
    ("{ least = 2.0, most = 45.0 }", "{ most = 100.0 }"),
    ("{ least = 5.0, most = 50.0 }", "{ most = 100.0 }"),
    ("{ least = 2.5, most = 16.0 }", "{ most = 100.0 }"),
    ("ice_on_land_percent = { most = 10.0 }", ""),
    ("{ least = 3.0, most = 60.0 }", "{ most = 100.0 }"),
    ("{ least = 0.05, most = 3.0 }", "{ most = 100.0 }"),
    ("{ least = 2.5, most = 17.0 }", "{ most = 100.0 }"),
    ("{ least = 2.0, most = 16.0 }", "{ most = 100.0 }"),
    ("{ least = 1.0, most = 30.0 }", "{ most = 100.0 }"),
    ("{ least = 0.3, most = 20.0 }", "{ most = 100.0 }"),
    ("{ least = 1.5, most = 14.0 }", "{ most = 100.0 }"),
    ("ice_on_land_percent = { most = 5.0 }", ""),
];

#[test]
fn files_like_the_satellites_lead_to_the_inputs_that_the_archive_has() {
    let folder = tempfile::tempdir().unwrap();
    // Large enough for drift to have neighbours.
    let house = TinyHouse::of_side(&folder.path().join("house"), 192, &LIMITS_OF_A_WINDOW);
    let [archive, files, observed] = ["archive", "files", "observed"].map(|name| folder.path().join(name));
    synthesise(&house, &archive, &["--seed", "7", "--satellite-files", files.to_str().unwrap()]);
    house
        .nilas("features")
        .option("--date", "2001-01-01")
        .option("--inputs", &files)
        .option("--archive", &observed)
        .expect_code(0);
    let (sample, _) = Archive::open(&archive).unwrap().read(0).unwrap();
    let seen = ObservedArchive::open(&observed).unwrap().read(0).unwrap();
    for (name, found, made) in [
        ("concentration", &seen.concentration, &sample.low_concentration),
        ("thickness", &seen.effective_thickness_m, &sample.low_effective_thickness_m),
        ("divergence", &seen.divergence_per_day, &sample.low_divergence_per_day),
        ("shear", &seen.shear_per_day, &sample.low_shear_per_day),
    ] {
        let both: Vec<_> = found.iter().zip(made).filter(|(a, b)| !a.is_nan() && !b.is_nan()).collect();
        assert!(both.len() > 2000, "{name}: {} cells", both.len());
        assert!(found.iter().zip(made).all(|(a, b)| a.is_nan() == b.is_nan()), "{name} lies elsewhere");
        let apart = both.iter().map(|(a, b)| (*a - *b).abs()).fold(0.0, f32::max);
        assert!(apart < 1e-4, "{name} is off by {apart}");
    }

    let held = folder.path().join("held");
    synthesise(&house, &held, &["--seed", "7", "--observed", observed.to_str().unwrap()]);
    let page = fs::read_to_string(held.join("synthetic-ice.md")).unwrap();
    let line =
        page.lines().find(|line| line.starts_with("| 2001-01-01 |")).expect("the day is not on the page");
    let numbers = line.split(['|', ',']).skip(2).filter(|cell| !cell.is_empty());
    let numbers: Vec<f64> = numbers.map(|cell| cell.trim().parse().unwrap()).collect();
    assert_eq!(numbers.len(), 6, "{line}");
    for pair in numbers.chunks(2) {
        assert!(pair[0].abs() <= 0.01 && (pair[1] - 1.0).abs() <= 0.01, "{line}");
    }
}

#[test]
fn the_trainer_alone_says_that_it_cannot_write_satellite_files() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(TRAINER)
        .args(["synth", "--days", "1", "--satellite-files", "files", "--out"])
        .arg(folder.path())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(errors.contains("nilas-engine") && errors.contains("--satellite-files"), "{errors}");
}
