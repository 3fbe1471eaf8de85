//! An input that is missing or cannot be used ends a production with the exit code for it and one clear sentence. Nothing is
//! published then, and what was published before stays as it is, byte by byte.

#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use common::demo_window::{DAY, quick_production, shared};
use common::folders::{copy_tree, tree};
use common::netcdf_copy::Values;
use common::sample_layouts::{self as layouts, CONCENTRATION, DRIFT, THICKNESS};
use tempfile::TempDir;

/// The drift that a provisional product of the sample day takes.
const EARLIER_DRIFT: &str = "ice_drift_nh_polstere-625_multi-oi_202204131200-202204151200.nc";
/// The files of the day with what each is called in messages.
const FILES: [(&str, &str); 3] = [
    (CONCENTRATION, "OSI SAF sea-ice concentration"),
    (THICKNESS, "merged sea-ice thickness (CS2SMOS or CS3SMOS)"),
    (DRIFT, "OSI SAF merged sea-ice drift"),
];

/// A product root in which the sample day was published.
static PUBLISHED: LazyLock<PathBuf> = LazyLock::new(|| {
    let products = shared("products");
    quick_production(DAY, &products).expect_code(0);
    products
});

/// A copy of the sample day's inputs to spoil, and a product root with the day's first revision.
struct Day {
    root: TempDir,
}

impl Day {
    fn new() -> Self {
        let day = Self { root: tempfile::tempdir().unwrap() };
        copy_tree(&layouts::sample_day(), &day.inputs());
        // Else it would stand in for the other one: with it there is no day without drift.
        fs::remove_file(day.inputs().join(EARLIER_DRIFT)).unwrap();
        copy_tree(&PUBLISHED, &day.products());
        day
    }

    fn inputs(&self) -> PathBuf {
        self.root.path().join("inputs")
    }

    fn products(&self) -> PathBuf {
        self.root.path().join("products")
    }

    /// Puts the sample's file back.
    fn restore(&self, name: &str) {
        fs::copy(layouts::sample(name), self.inputs().join(name)).unwrap();
    }

    /// The production of a day must end with `code`, change nothing, and say one sentence, which has all `parts` in it.
    #[track_caller]
    fn refuses(&self, date: &str, code: i32, parts: &[&str]) {
        let before = tree(&self.products());
        assert!(before.contains_key(Path::new("2022/04/15/r01/manifest.json")));
        let run = quick_production(date, &self.products())
            .option("--inputs", self.inputs())
            // The one part that may sound like a complaint of a library: "an error or login page".
            .expecting("nilas: ")
            .expect_code(code);
        let [sentence] = run.said()[..] else { panic!("one sentence, not {:?}", run.said()) };
        assert!(sentence.starts_with("nilas: ") && run.stdout.is_empty(), "{sentence}\n{}", run.stdout);
        for part in parts {
            assert!(sentence.contains(part), "\"{part}\" is not in: {sentence}");
        }
        assert_eq!(tree(&self.products()), before);
    }

    /// A file of the day must be refused with a sentence that names it and has all `parts` in it.
    #[track_caller]
    fn refuses_file(&self, name: &str, parts: &[&str]) {
        let path = self.inputs().join(name);
        self.refuses(DAY, 4, &[&[&*format!("nilas: {}: ", path.display())], parts].concat());
    }
}

#[test]
fn a_missing_file_is_waited_for() {
    let day = Day::new();
    for (name, role) in [
        (CONCENTRATION, "no concentration (ice_conc_nh_polstere-100_{amsr3,amsr2,multi}_202204151200.nc)"),
        (THICKNESS, "no thickness (W_XX-ESA,SMOS_CS2*,NH_{12P5KM,25KM}_EASE2_20220412_20220418_"),
        (
            DRIFT,
            "no drift (ice_drift_nh_polstere-625_multi-oi_202204141200-202204161200.nc or one up to 3 days older)",
        ),
    ] {
        fs::remove_file(day.inputs().join(name)).unwrap();
        let beginning = format!("the inputs of {DAY} are not all there yet: ");
        let folder =
            format!(" in {}; wait until the providers deliver, or put the files", day.inputs().display());
        day.refuses(DAY, 3, &[&beginning, role, &folder]);
        day.restore(name);
    }
}

#[test]
fn an_empty_file_is_refused() {
    let day = Day::new();
    for (name, product) in FILES {
        fs::write(day.inputs().join(name), "").unwrap();
        let expected = format!("the file is empty, expected {product}");
        day.refuses_file(name, &[&expected, "; fetch it again"]);
        day.restore(name);
    }
}

#[test]
fn a_truncated_file_is_refused() {
    let day = Day::new();
    for (name, product) in FILES {
        let bytes = fs::read(layouts::sample(name)).unwrap();
        fs::write(day.inputs().join(name), &bytes[..bytes.len() / 2]).unwrap();
        let expected = format!("expected {product}");
        day.refuses_file(name, &[&expected, "the file is truncated or damaged", "; fetch it again"]);
        day.restore(name);
    }
}

#[test]
fn a_web_page_is_refused() {
    let day = Day::new();
    for (name, product) in FILES {
        fs::write(day.inputs().join(name), "<!DOCTYPE html>\n<html><title>Sign in</title></html>").unwrap();
        let expected = format!("expected {product}");
        let remedy = "; check address and account, then fetch it again";
        day.refuses_file(name, &[&expected, "found an HTML page, not a NetCDF file", remedy]);
        day.restore(name);
    }
}

#[test]
fn a_file_of_another_day_under_the_name_of_the_day_is_refused() {
    let day = Day::new();
    let right_day = "; give the file of the right day";

    fs::copy(layouts::sample(EARLIER_DRIFT), day.inputs().join(DRIFT)).unwrap();
    let found = "found 2022-04-13 12:00 to 2022-04-15 12:00 inside the file";
    day.refuses_file(DRIFT, &["wrong date, expected 2022-04-14 to 2022-04-16", found, right_day]);
    day.restore(DRIFT);

    // The newest thickness that the day can take is now the one whose name says a day earlier than it is.
    let earlier = THICKNESS.replace("20220412", "20220411").replace("20220418", "20220417");
    fs::rename(day.inputs().join(THICKNESS), day.inputs().join(&earlier)).unwrap();
    let found = "found 2022-04-12 00:00 to 2022-04-18 23:59 inside the file";
    day.refuses_file(&earlier, &["wrong date, expected 7 days centred on 2022-04-14", found, right_day]);
    day.restore(THICKNESS);

    let later = day.inputs().join(CONCENTRATION.replace("20220415", "20220416"));
    fs::copy(layouts::sample(CONCENTRATION), &later).unwrap();
    let file = format!("nilas: {}: wrong date", later.display());
    let found =
        "expected one day centred on 2022-04-16, found 2022-04-15 00:00 to 2022-04-16 00:00 inside the file";
    day.refuses("2022-04-16", 4, &[&file, found, right_day]);
}

#[test]
fn a_file_on_another_grid_is_refused() {
    let day = Day::new();
    for (name, _) in FILES {
        let shifted = layouts::changed(&day.inputs(), name, |sample| {
            let Values::Double(x) = &mut sample.variable("xc").values else { panic!("xc is double") };
            for value in x {
                *value += 5.0;
            }
        });
        shifted.unwrap();
        let remedy = "; give the file of the product on this grid";
        day.refuses_file(name, &["wrong grid, expected xc from ", "found xc from ", remedy]);
        day.restore(name);
    }
}

#[test]
fn a_folder_of_inputs_that_is_not_there_is_a_wrong_setting() {
    let day = Day::new();
    fs::remove_dir_all(day.inputs()).unwrap();
    let folder = format!("the folder of input files {} is not there", day.inputs().display());
    day.refuses(DAY, 2, &[&folder, "; name an existing folder that Nilas may read"]);
}
