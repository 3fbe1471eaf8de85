//! The first look at a file by a process of its own: what it brings, its limits, and what people see of it.

#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::demo_window::repository;
use common::nilas::{Finished, Nilas};
use common::sample_layouts::{self as layouts, CONCENTRATION, DRIFT, THICKNESS};
use nilas::config::{Inspection, Measure};
use nilas::field::Field;
use nilas::source::merged_thickness::Thickness;
use nilas::source::osisaf_concentration::Concentration;
use nilas::source::osisaf_drift::Drift;
use nilas::source::{
    Decoded, Inspected, InspectionProgram, Inspector, Measured, OtherRole, Refusal, SourceError, decode,
    measure,
};

const INSPECTOR: &str = env!("CARGO_BIN_EXE_nilas-inspect");
const LIMITS: Inspection = Inspection { memory_megabytes: 512, cpu_seconds: 20 };

fn look(program: &str, file: &Path, limits: &Inspection) -> Result<Inspected, SourceError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(InspectionProgram::new(program.into()).inspect(file, limits))
}

fn measured(file: &Path) -> Measured {
    match look(INSPECTOR, file, &LIMITS).unwrap() {
        Inspected::Measured(measured) => measured,
        Inspected::Refused(refusal) => panic!("{refusal:?}"),
    }
}

fn refused(file: &Path, limits: &Inspection) -> Refusal {
    match look(INSPECTOR, file, limits).unwrap() {
        Inspected::Measured(measured) => panic!("{measured:?}"),
        Inspected::Refused(refusal) => refusal,
    }
}

/// `nilas inspect` with the shipped configuration.
fn command(file: &Path) -> Nilas {
    Nilas::new("inspect").arg(file).option("--config", repository("config/nilas.toml"))
}

fn said(run: &Finished) -> String {
    let [sentence] = run.said()[..] else { panic!("one sentence, not {:?}", run.said()) };
    sentence.to_owned()
}

#[test]
fn the_confined_process_measures_what_this_one_does() {
    for name in [CONCENTRATION, THICKNESS, DRIFT] {
        let path = layouts::sample(name);
        assert_eq!(measured(&path), measure(&path).unwrap());
    }
}

/// What the confined process hands over of a file.
fn decoded<T: TryFrom<Decoded, Error = OtherRole>>(file: &Path) -> Result<T, SourceError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(InspectionProgram::new(INSPECTOR.into()).decode(file, &LIMITS))
}

/// The same bits, holes included.
#[track_caller]
fn assert_same(found: &Field, expected: &Field) {
    assert_eq!(found.grid(), expected.grid());
    let bits = |field: &Field| field.values().mapv(f32::to_bits);
    assert!(bits(found) == bits(expected));
}

#[test]
fn the_confined_process_decodes_what_this_one_does() {
    let folder = tempfile::tempdir().unwrap();
    let concentration = layouts::sample(CONCENTRATION);
    let (found, expected) = (decoded::<Concentration>(&concentration).unwrap(), decode(&concentration));
    let expected = Concentration::try_from(expected.unwrap()).unwrap();
    assert_same(&found.fraction, &expected.fraction);
    assert_same(&found.uncertainty_fraction.unwrap(), &expected.uncertainty_fraction.unwrap());
    assert_eq!((found.near_coast, found.flags), (expected.near_coast, expected.flags));
    assert_eq!((found.identity, found.window), (expected.identity, expected.window));
    for path in [layouts::sample(THICKNESS), layouts::thickness_v300(folder.path(), "m").unwrap()] {
        let found: Thickness = decoded(&path).unwrap();
        let expected = Thickness::try_from(decode(&path).unwrap()).unwrap();
        assert_same(&found.thickness_m, &expected.thickness_m);
        assert_same(&found.uncertainty_m.unwrap(), &expected.uncertainty_m.unwrap());
        assert_eq!((found.basis, found.layout), (expected.basis, expected.layout));
        assert_eq!((found.identity, found.window), (expected.identity, expected.window));
    }
    let drift = layouts::sample(DRIFT);
    let (found, expected) = (decoded::<Drift>(&drift).unwrap(), decode(&drift).unwrap());
    let expected = Drift::try_from(expected).unwrap();
    assert_same(&found.displacement_x_km, &expected.displacement_x_km);
    assert_same(&found.displacement_y_km, &expected.displacement_y_km);
    assert_same(&found.uncertainty_km, &expected.uncertainty_km);
    assert_same(&found.duration_days, &expected.duration_days);
    assert_eq!((found.identity, found.window), (expected.identity, expected.window));
}

#[test]
fn a_file_that_cannot_be_decoded_says_why_through_confinement() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join(DRIFT);
    fs::write(&empty, "").unwrap();
    let error = decoded::<Drift>(&empty).unwrap_err();
    assert_eq!((error.kind(), error.to_string()), ("empty", decode(&empty).unwrap_err().to_string()));
    let error = decoded::<Thickness>(&layouts::sample(DRIFT)).unwrap_err();
    assert_eq!(error.kind(), "crashed");
    assert!(error.to_string().contains("makes nilas-inspect say what makes no sense (a drift)"), "{error}");
}

#[test]
fn the_measures_of_the_sample_day_are_known() {
    for (name, measure, least, most) in [
        (CONCENTRATION, Measure::ValidPercent, 50.8, 50.9),
        (CONCENTRATION, Measure::IceAreaMillionKm2, 13.8, 13.9),
        (CONCENTRATION, Measure::IceOnLandPercent, 0.0, 0.0),
        (THICKNESS, Measure::Mean, 1.29, 1.30),
        // 22 906 cells of 625 km2.
        (THICKNESS, Measure::IceAreaMillionKm2, 14.316_249, 14.316_251),
        (DRIFT, Measure::Mean, 7.2, 7.4),
        // 2255 cells of 3906 km2 on the map, a little more on the Earth.
        (DRIFT, Measure::IceAreaMillionKm2, 8.81, 9.36),
        (DRIFT, Measure::UnknownFlagPercent, 0.0, 0.0),
    ] {
        let value = measured(&layouts::sample(name)).values[&measure];
        assert!((least..=most).contains(&value), "{name}, {measure:?}: {value}");
    }
}

#[test]
fn every_layout_of_the_products_is_measured_the_same() {
    let folder = tempfile::tempdir().unwrap();
    for (path, sample) in [
        (layouts::drift_405c(folder.path()).unwrap(), DRIFT),
        (layouts::thickness_v300(folder.path(), "m").unwrap(), THICKNESS),
        (
            layouts::concentration_of(folder.path(), "OSI-408-g", "1.0", layouts::CONCENTRATION_408G)
                .unwrap(),
            CONCENTRATION,
        ),
    ] {
        let (found, expected) = (measured(&path).values, measured(&layouts::sample(sample)).values);
        assert_eq!(found.len(), expected.len());
        for (measure, value) in expected {
            assert!((found[&measure] - value).abs() < 1e-6, "{}, {measure:?}", path.display());
        }
    }
}

#[test]
fn an_uncertainty_in_an_unknown_unit_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = layouts::changed(folder.path(), CONCENTRATION, |sample| {
        sample.variable("total_uncertainty").set("units", "parsec");
    });
    assert_eq!(measured(&path.unwrap()), measured(&layouts::sample(CONCENTRATION)));
}

#[test]
fn a_file_of_no_known_name_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ice.nc");
    fs::copy(layouts::sample(CONCENTRATION), &path).unwrap();
    assert_eq!(refused(&path, &LIMITS).kind, "unknown_product");
}

/// The program and its libraries alone take as much. How it ends then depends on who first asks for more.
#[test]
fn memory_is_limited() {
    let refusal = refused(&layouts::sample(CONCENTRATION), &Inspection { memory_megabytes: 64, ..LIMITS });
    let ends = ["damaged", "out_of_memory", "unreadable", "crashed"];
    assert!(ends.contains(&refusal.kind.as_str()), "{refusal:?}");
}

/// A file that nobody will ever write to: whoever opens it waits.
fn endless(folder: &Path) -> PathBuf {
    let path = folder.join(CONCENTRATION);
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    path
}

#[test]
fn the_process_has_limited_itself_before_it_opens_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = endless(folder.path());
    let options = ["--memory-megabytes", "300", "--cpu-seconds", "7"];
    let mut child = Command::new(INSPECTOR).args(options).arg(&path).stdout(Stdio::null()).spawn().unwrap();
    // Opening the other end waits for the process to open the file.
    let other_end = fs::OpenOptions::new().write(true).open(&path).unwrap();
    let limits = fs::read_to_string(format!("/proc/{}/limits", child.id())).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    drop(other_end);
    for (name, soft, hard) in [
        ("Max address space", "314572800", "314572800"),
        ("Max cpu time", "7", "8"),
        ("Max core file size", "0", "0"),
        ("Max processes", "0", "0"),
    ] {
        let line = limits.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        assert!(line.split_whitespace().take(2).eq([soft, hard]), "{name}: {line}");
    }
}

#[test]
fn a_file_that_takes_forever_is_given_up_and_its_process_ended() {
    let folder = tempfile::tempdir().unwrap();
    let path = endless(folder.path());
    let refusal = refused(&path, &Inspection { cpu_seconds: 1, ..LIMITS });
    assert_eq!(refusal.kind, "out_of_time", "{refusal:?}");
    assert!(refusal.reason.contains("takes longer than the 1 s of inspection.cpu_seconds"), "{refusal:?}");
    assert_eq!(processes_with(&path), Vec::<PathBuf>::new());
}

/// The processes that have this path among their arguments.
fn processes_with(path: &Path) -> Vec<PathBuf> {
    let path = path.to_str().unwrap();
    let processes = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path());
    let has_it = |process: &PathBuf| {
        let arguments = fs::read(process.join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&arguments).contains(path)
    };
    processes.filter(has_it).collect()
}

#[test]
fn a_program_that_does_not_do_its_work_is_no_fault_of_the_file() {
    for (program, reason) in [
        ("/no/such/program", "it cannot be started"),
        ("/bin/true", "its answer makes no sense"),
        ("/bin/false", "it ended with code 1"),
    ] {
        let error = look(program, &layouts::sample(DRIFT), &LIMITS).unwrap_err();
        assert_eq!(error.kind(), "inspector");
        let message = error.to_string();
        assert!(message.starts_with(&format!("{program}: {reason}")), "{message}");
        assert!(message.contains("; install all programs"), "{message}");
    }
}

#[test]
fn an_answer_that_cannot_be_written_is_no_success() {
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let output = Command::new(INSPECTOR).arg(layouts::sample(DRIFT)).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.starts_with("nilas: the answer cannot be written (No space left"), "{said}");
}

#[test]
fn a_person_is_told_where_the_measures_found_no_space() {
    for (stream, code) in [("/dev/full", 1), ("/dev/null", 0)] {
        let stream = fs::File::options().write(true).open(stream).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_nilas"));
        command
            .arg("inspect")
            .arg(layouts::sample(DRIFT))
            .arg("--config")
            .arg(repository("config/nilas.toml"));
        let output = command.stdout(stream).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert_eq!(
            said.contains("nilas: not everything could be printed (No space left"),
            code == 1,
            "{said}"
        );
    }
}

#[test]
fn a_file_that_somebody_else_has_locked_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(DRIFT);
    fs::copy(layouts::sample(DRIFT), &path).unwrap();
    let held = fs::File::open(&path).unwrap();
    held.lock().unwrap();
    assert_eq!(measured(&path), measured(&layouts::sample(DRIFT)));
}

/// Its reader would say more than anybody reads, and no other file would be looked at.
#[test]
fn a_file_that_says_far_too_much_is_refused_in_a_plain_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let long = "\u{1}\u{202e}".repeat(60_000);
    let of_unit = layouts::changed(folder.path(), DRIFT, |sample| sample.variable("dX").set("units", &*long));
    let of_product =
        layouts::changed(folder.path(), CONCENTRATION, |sample| sample.set("product_id", &*long));
    for (path, kind) in [(of_unit.unwrap(), "unit"), (of_product.unwrap(), "unknown_product")] {
        let refusal = refused(&path, &LIMITS);
        assert_eq!(refusal.kind, kind, "{refusal:?}");
        assert!(refusal.reason.chars().count() < 1000, "{}", refusal.reason.len());
        assert!(!refusal.reason.contains(char::is_control) && !refusal.reason.contains('\u{202e}'));
    }
    let versions = layouts::changed(folder.path(), DRIFT, |sample| sample.set("product_version", &*long));
    let measured = measured(&versions.unwrap());
    assert!(measured.product.starts_with("OSI-405-d ") && measured.product.chars().count() == 200);
}

#[test]
fn a_person_sees_every_check() {
    let run = command(&layouts::sample(DRIFT)).expect_code(0);
    assert!(
        run.stdout.starts_with("drift, OSI-405-d, 2022-04-14 12:00 to 2022-04-16 12:00\n"),
        "{}",
        run.stdout
    );
    let checks: Vec<&str> = run.stdout.lines().skip(2).filter(|line| line.ends_with(" ok")).collect();
    assert_eq!(checks.len(), 6, "{}", run.stdout);
    assert!(checks[1].starts_with("mean ") && checks[1].contains("from 1 to 30"), "{}", run.stdout);
}

#[test]
fn a_person_is_told_why_a_file_is_not_taken() {
    let folder = tempfile::tempdir().unwrap();
    let slow = layouts::changed(folder.path(), DRIFT, |sample| {
        for name in ["dX", "dY"] {
            sample.variable(name).set("units", "m");
        }
    });
    let run = command(&slow.unwrap()).expecting("nilas: ").expect_code(4);
    assert!(
        run.stdout.lines().any(|line| line.starts_with("mean ") && line.ends_with(" WRONG")),
        "{}",
        run.stdout
    );
    assert!(said(&run).contains("is not plausible: mean: 0.007 (from 1 to 30)"), "{}", said(&run));

    let empty = folder.path().join(THICKNESS);
    fs::write(&empty, "").unwrap();
    let run = command(&empty).expecting("nilas: ").expect_code(4);
    assert!(run.stdout.is_empty() && said(&run).contains("the file is empty"), "{}", said(&run));

    Nilas::new("inspect").expecting("required arguments were not provided").expect_code(2);
}
