//! `nilas evaluate` as a program: what it writes, that it goes on where it was stopped, and that it says what it cannot do.

#![expect(clippy::unwrap_used, reason = "a test may stop at once")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::SystemTime;

use ndarray::Array2;
use nilas::archive::{Archive, Entry, Observed, Safetensors, Sample, write_observed};
use serde_json::Value;
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_nilas-train");
/// Side of the fields; spectra need 128 cells.
const SIDE: &str = "160";

/// A folder with an archive and two very small networks.
struct Workshop(TempDir);

impl Workshop {
    fn new() -> Self {
        let workshop = Self(tempfile::tempdir().unwrap());
        write_archive(&workshop.path("archive"));
        workshop.train("members", "noise");
        workshop.train("mean", "mean");
        workshop
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn checkpoint(&self, name: &str) -> PathBuf {
        self.path(name).join(format!("{name}.safetensors"))
    }

    fn train(&self, name: &str, objective: &str) {
        let mut command = Command::new(PROGRAM);
        command.args([
            "train",
            "--name",
            name,
            "--objective",
            objective,
            "--widths",
            "4,6",
            "--block-depth",
            "1",
        ]);
        command.args(["--batch", "2", "--window", "32", "--steps", "4", "--device", "cpu", "--threads", "1"]);
        command.arg("--archive").arg(self.path("archive")).arg("--out").arg(self.path(name));
        expect_success(&command.output().unwrap());
    }

    /// The command, with some options changed or added.
    fn evaluate(&self, changed: &[(&str, &str)]) -> Command {
        let usual = [("--samplers", "ddim:2"), ("--members", "3"), ("--days", "2"), ("--window", SIDE)];
        let mut command = Command::new(PROGRAM);
        command.args(["evaluate", "--device", "cpu", "--threads", "1"]);
        // An option that is given twice is refused for that alone.
        let kept = usual.iter().filter(|(name, _)| !changed.iter().any(|(other, _)| other == name));
        for (name, value) in kept.chain(changed) {
            command.args([name, value]);
        }
        command.arg("--archive").arg(self.path("archive")).arg("--out").arg(self.path("out"));
        command.arg("--checkpoint").arg(self.checkpoint("members"));
        command.arg("--regression").arg(self.checkpoint("mean"));
        command
    }

    fn metrics(&self) -> Value {
        serde_json::from_slice(&fs::read(self.path("out/metrics.json")).unwrap()).unwrap()
    }

    /// When the scores that are kept were written.
    fn kept(&self) -> BTreeMap<PathBuf, SystemTime> {
        let files = fs::read_dir(self.path("out/cache")).unwrap().map(|entry| entry.unwrap().path());
        let scores = files.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
        scores.map(|path| (path.clone(), fs::metadata(&path).unwrap().modified().unwrap())).collect()
    }
}

/// Four days of ice with waves of many lengths: their low resolution is smooth, and they differ from day to day.
fn write_archive(folder: &Path) {
    let side: usize = SIDE.parse().unwrap();
    let provenance = nilas::archive::Provenance {
        origin: "waves".into(),
        thickness_definition: "effective".into(),
        degradation: "none of the waves shorter than 100 cells".into(),
    };
    for number in 0..4_u32 {
        let wave = |cells: f64, row: usize, column: usize| {
            let turned = f64::from(number) + 0.3 * cells;
            let place = row as f64 * turned.cos() + column as f64 * turned.sin();
            (std::f64::consts::TAU * place / cells).sin()
        };
        let low = Array2::from_shape_fn((side, side), |(r, c)| (1.0 + 0.4 * wave(120.0, r, c)) as f32);
        let high = Array2::from_shape_fn((side, side), |(r, c)| {
            let detail: f64 = [40.0, 17.0, 9.0, 5.0, 3.0].iter().map(|&cells| wave(cells, r, c)).sum();
            (1.0 + 0.4 * wave(120.0, r, c) + 0.05 * detail) as f32
        });
        let even = |value: f32| Array2::from_elem((side, side), value);
        let sample = Sample {
            concentration: even(0.95),
            effective_thickness_m: high,
            divergence_per_day: even(0.01),
            shear_per_day: even(0.02),
            low_concentration: even(0.95),
            low_effective_thickness_m: low,
            low_divergence_per_day: even(0.01),
            low_shear_per_day: even(0.02),
        };
        let day = "2020-01-01".parse::<nilas::time::ProductDay>().unwrap().plus_days(i64::from(number));
        let entry = Entry { sample: &sample, provenance: &provenance, coordinates: None };
        nilas::archive::write(folder, day, entry).unwrap();
    }
}

/// The low resolution of an archive's days as satellites would have seen it, a corner of it filled.
fn write_observations(from: &Path, to: &Path) {
    let archive = Archive::open_as(from, &Safetensors).unwrap();
    for (index, day) in archive.days().enumerate() {
        let (sample, _) = archive.read(index).unwrap();
        let filled = Array2::from_shape_fn(sample.low_concentration.dim(), |(row, _)| row < 60);
        let observed = Observed {
            concentration: sample.low_concentration,
            effective_thickness_m: sample.low_effective_thickness_m,
            divergence_per_day: sample.low_divergence_per_day,
            shear_per_day: sample.low_shear_per_day,
            filled_thickness: filled.mapv(|_| false),
            filled_drift: filled,
            origin: "what the waves look like from afar".into(),
        };
        write_observed(to, day, &observed).unwrap();
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn expect_success(output: &Output) {
    assert!(output.status.success(), "{}: {}", output.status, stderr(output));
}

fn row<'a>(metrics: &'a Value, name: &str) -> &'a Value {
    let rows = metrics["rows"].as_array().unwrap();
    rows.iter().find(|row| row["name"] == name).unwrap()
}

fn value(row: &Value, measure: &str) -> f64 {
    row["measures"][measure]["value"].as_f64().unwrap()
}

#[test]
fn an_evaluation_scores_baselines_a_regression_and_members_and_goes_on_where_it_was() {
    let workshop = Workshop::new();
    expect_success(&workshop.evaluate(&[]).output().unwrap());
    let metrics = workshop.metrics();
    let names: Vec<&str> =
        metrics["rows"].as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["low resolution", "random field", "mean regression", "members ddim:2"]);

    // Five waves of amplitude 0.05.
    let low = row(&metrics, "low resolution");
    let expected = (5.0 * 0.05_f64.powi(2) / 2.0).sqrt();
    assert!((value(low, "low_rmse_m") / expected - 1.0).abs() < 0.05, "{}", value(low, "low_rmse_m"));
    assert!((value(low, "crps_over_low") - 1.0).abs() < 1e-9);
    let random = row(&metrics, "random field");
    assert!((value(random, "deviation_ratio") - 1.0).abs() < 0.15, "{}", value(random, "deviation_ratio"));
    let members = row(&metrics, "members ddim:2");
    assert!(members["comparisons"]["fair_rmse_over_regression"]["value"].is_number());
    assert!(members["comparisons"]["crps_over_random_field"]["value"].is_number());
    assert_eq!(members["sampler"]["steps"], 2);
    assert_eq!(members["ranks"].as_array().unwrap().len(), 4);

    let page = fs::read_to_string(workshop.path("out/report.html")).unwrap();
    assert!(page.contains("members ddim:2") && page.contains("data:image/png;base64,"));
    let foreign = ["src=\"http", "href=\"http", "url(http", "@import", "<script"];
    assert!(foreign.iter().all(|text| !page.contains(text)), "the page reaches out");

    // Another sampler is one more row; nothing else is drawn again.
    let before = workshop.kept();
    expect_success(&workshop.evaluate(&[("--samplers", "ddim:3")]).output().unwrap());
    let after = workshop.kept();
    assert!(before.iter().all(|(path, written)| after.get(path) == Some(written)));
    assert_eq!(after.len(), before.len() + 2);

    // What was lost is scored again, to the digit.
    fs::remove_file(before.keys().next().unwrap()).unwrap();
    expect_success(&workshop.evaluate(&[]).output().unwrap());
    let again = workshop.metrics();
    for name in names {
        assert_eq!(row(&again, name)["measures"], row(&metrics, name)["measures"], "{name}");
    }
}

#[test]
fn days_without_a_truth_are_looked_at() {
    let workshop = Workshop::new();
    write_observations(&workshop.path("archive"), &workshop.path("seen"));
    let seen = workshop.path("seen");
    let more = [("--observed", seen.to_str().unwrap()), ("--variants", "published,raw")];
    expect_success(&workshop.evaluate(&more).output().unwrap());
    let metrics = workshop.metrics();
    let rows = metrics["observed"]["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    let of = |row: &Value, measure: &str| row["measures"][measure]["value"].as_f64().unwrap();
    let [published, raw] = [&rows[0], &rows[1]];
    // A network that has learnt nothing draws what few corrections cannot bring back, but they bring it nearer.
    let [nearer, as_drawn] = [published, raw].map(|row| of(row, "seen_inner_m"));
    assert!(nearer < as_drawn, "{nearer} {as_drawn}");
    for measure in ["bump", "hole_gradient", "daily_change", "deviation_over_truth"] {
        assert!(of(published, measure).is_finite(), "{measure}");
    }
    assert_eq!(published["measures"]["daily_change"]["by_day"].as_array().unwrap().len(), 3);
    assert!(metrics["observed"]["truth_hole_gradient"].is_number());
    let page = fs::read_to_string(workshop.path("out/report.html")).unwrap();
    assert!(page.contains("what the waves look like from afar"));

    // How much synthetic ice varies does not hang on the days of it that are scored.
    expect_success(&workshop.evaluate(&[more[0], more[1], ("--days", "1")]).output().unwrap());
    let fewer = &workshop.metrics()["observed"]["rows"][0];
    assert_eq!(fewer["measures"]["deviation_over_truth"], published["measures"]["deviation_over_truth"]);
}

#[test]
fn what_cannot_be_scored_is_said() {
    let workshop = Workshop::new();
    let refused = |command: &mut Command, words: &str| {
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(stderr(&output).contains(words), "{}", stderr(&output));
    };
    refused(&mut workshop.evaluate(&[("--days", "2031-01-01")]), "--days 2031-01-01");
    refused(&mut workshop.evaluate(&[("--window", "400")]), "smaller --window");
    refused(&mut workshop.evaluate(&[("--observed-days", "0")]), "--observed-days");
    let mean = workshop.checkpoint("mean");
    let mean = mean.to_str().unwrap();
    refused(&mut workshop.evaluate(&[("--checkpoint", mean)]), "mean");
    let nothing =
        Command::new(PROGRAM).args(["evaluate", "--out", "x", "--checkpoint", mean]).output().unwrap();
    assert_eq!(nothing.status.code(), Some(2));
}
