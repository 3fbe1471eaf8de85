//! A published day is made again from its manifest, and is the same to the last bit; and where it cannot be, that is said.

#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use common::nilas::{Finished, Nilas};
use common::tiny_window::TinyHouse;

/// A house with its day published, drawn on one thread, and the revision's folder.
fn published(root: &Path) -> (TinyHouse, PathBuf) {
    let house = TinyHouse::new(&root.join("house"), &[("threads = 0", "threads = 1")]);
    house.deliver();
    house.nilas("produce").option("--date", house.day.to_string()).option("--members", "3").expect_code(0);
    let folder = house.revisions().remove(0);
    (house, folder)
}

fn reproduce(house: &TinyHouse, folder: &Path) -> Nilas {
    house.nilas("reproduce").arg(folder)
}

/// The line about a variable.
fn line<'a>(run: &'a Finished, variable: &str) -> &'a str {
    let is_it = |line: &&str| line.contains(&format!(" {variable}:"));
    run.stdout.lines().find(is_it).unwrap_or_else(|| panic!("no {variable} in\n{}", run.stdout))
}

/// Writes the configuration of a house with another text in one place.
fn change(house: &TinyHouse, from: &str, to: &str) {
    let text = fs::read_to_string(house.configuration()).unwrap();
    assert_eq!(text.matches(from).count(), 1, "{from}");
    fs::write(house.configuration(), text.replace(from, to)).unwrap();
}

#[test]
fn a_day_is_made_again_to_the_last_bit_on_another_number_of_threads() {
    let root = tempfile::tempdir().unwrap();
    let (house, folder) = published(root.path());
    change(&house, "threads = 1", "threads = 2");
    let run = reproduce(&house, &folder.join("manifest.json")).expect_code(0);
    assert!(run.stdout.contains("no bit of its data differs"), "{}", run.stdout);
    assert!(run.stdout.lines().filter(|line| line.starts_with("same")).count() >= 20, "{}", run.stdout);
    assert!(line(&run, "sea_ice_thickness").contains(&format!("{} values", 3 * 64 * 64)));
    assert_eq!(house.revisions().len(), 1, "nothing was published");
}

#[test]
fn a_value_that_was_changed_after_publishing_is_found() {
    let root = tempfile::tempdir().unwrap();
    let (house, folder) = published(root.path());
    let name = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let netcdf = name.into_iter().find(|path| path.extension().is_some_and(|ending| ending == "nc")).unwrap();
    {
        let mut file = netcdf::append(&netcdf).unwrap();
        let mut mean = file.variable_mut("sea_ice_thickness_mean").unwrap();
        let value: f32 = mean.get_value([30, 31]).unwrap();
        mean.put_value(value + 0.25, [30, 31]).unwrap();
    }
    // As a program holds it that somebody has opened the product with.
    let held = File::open(&netcdf).unwrap();
    held.lock().unwrap();
    let run = reproduce(&house, &folder)
        .expecting("differs in sea_ice_thickness_mean; it was drawn on cpu in f32")
        .expect_code(5);
    assert!(line(&run, "sea_ice_thickness_mean").contains("1 of 4096 values, by at most 0.250000"));
    assert!(line(&run, "sea_ice_thickness_spread").starts_with("same"));
}

#[test]
fn another_configuration_or_a_lost_input_is_named() {
    let root = tempfile::tempdir().unwrap();
    let (house, folder) = published(root.path());
    change(&house, "fill_reach_km = 150.0", "fill_reach_km = 140.0");
    reproduce(&house, &folder).expecting("the configuration is not the one that").expect_code(2);
    change(&house, "fill_reach_km = 140.0", "fill_reach_km = 150.0");
    let elsewhere = root.path().join("empty");
    let lost = || reproduce(&house, &folder).option("--cache", &elsewhere);
    lost().expecting("is not here; put it into a folder under this name").expect_code(1);
    // From the provider's folder, where somebody has put all of them.
    let inputs = root.path().join("inputs");
    fs::create_dir(&inputs).unwrap();
    for path in files_below(&house.root.join("provider")) {
        fs::copy(&path, inputs.join(path.file_name().unwrap())).unwrap();
    }
    lost().option("--inputs", &inputs).expect_code(0);
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}
