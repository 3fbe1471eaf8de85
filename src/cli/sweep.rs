//! `nilas train --sweep`: trains a table of configurations, scores each on the held-out days, and draws the measures over the
//! configurations, as figures 4 to 7 of SuperIce deliverable 3.1 do.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::evaluate::SamplerText;
use super::failure::Failure;
use super::print;
use crate::archive::Archive;
use crate::evaluate::{Candidates, DayChoice, EvaluateOptions, Grounds, Row, evaluate};
use crate::model::{Checkpoint, Objective, Placement};
use crate::plot::{Axis, Chart, Curve, Stroke, page, table};
use crate::progress::Stages;
use crate::sys;
use crate::time::{Clock, ProductDay};
use crate::train::{End, Limits, Outcome, TrainError, TrainOptions, train};

/// What is shown of every configuration: measure, axis, and what is right, if that is a number.
const MEASURES: [(&str, &str, Option<f64>); 4] = [
    ("mean_rmse_m", "RMSE of the members' mean, m", None),
    ("deviation_ratio", "standard deviation of the anomaly over the truth's", Some(1.0)),
    ("fine_scale_bias", "power at 6 to 20 km over the truth's", Some(1.0)),
    ("fair_crps_m", "fair CRPS, m", None),
];
/// Figure of the configurations that name none.
const FIGURE: &str = "configurations";

/// The table, as it stands in the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    /// Options that hold for all runs, by their names in a checkpoint's state (`learning_rate`, `schedule.max_signal_rate`).
    #[serde(default)]
    all: toml::Table,
    /// How the runs are scored.
    #[serde(default)]
    evaluate: Scoring,
    /// The runs.
    run: Vec<Run>,
}

/// How runs are scored.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Scoring {
    samplers: Vec<String>,
    members: usize,
    /// Days, evenly spaced over those that are held out.
    days: usize,
    /// Cells along a side of the window of each day; 0 takes whole fields.
    window: usize,
    seed: u64,
}

impl Default for Scoring {
    fn default() -> Self {
        Self { samplers: vec!["usual".into()], members: 10, days: 8, window: 256, seed: 1 }
    }
}

/// One configuration.
#[derive(Debug, Deserialize)]
struct Run {
    name: String,
    /// The figure that it is a point of.
    figure: Option<String>,
    /// Its place on that figure's axis.
    x: Option<f64>,
    samplers: Option<Vec<String>>,
    /// The options that it has for itself.
    #[serde(flatten)]
    options: toml::Table,
}

/// A run that is ready to start.
struct Prepared<'a> {
    run: &'a Run,
    options: TrainOptions,
    samplers: Vec<SamplerText>,
    out: PathBuf,
}

/// What has come out of a run.
struct Done<'a> {
    prepared: &'a Prepared<'a>,
    best_loss: f64,
    rows: Vec<Row>,
    /// Step and validation loss.
    losses: Vec<(f64, f64)>,
}

/// What all runs share.
pub(super) struct Sweep<'a> {
    pub(super) archive: &'a Archive,
    /// Folder of the archive.
    pub(super) folder: &'a Path,
    /// What the command line says; runs change parts of it.
    pub(super) options: &'a TrainOptions,
    pub(super) limits: Limits,
    pub(super) placement: Placement,
    pub(super) out: &'a Path,
    pub(super) clock: &'a dyn Clock,
}

impl Sweep<'_> {
    /// Trains and scores every run of the table in `file`, and writes `sweep.csv` and `sweep.html`. What is done already is not done again.
    pub(super) fn run(&self, file: &Path) -> Result<(), Failure> {
        let text = fs::read_to_string(file)
            .map_err(|error| Failure::Usage(format!("--sweep {}: {error}", file.display())))?;
        let usage = |reason: String| Failure::Usage(format!("--sweep {}: {reason}", file.display()));
        let table: Table = toml::from_str(&text).map_err(|error| usage(error.to_string()))?;
        let prepared = prepare(&table, self.options, self.out).map_err(usage)?;
        let begin = self.clock.monotonic();
        let mut done = Vec::new();
        for run in &prepared {
            let passed = self.clock.monotonic().saturating_sub(begin);
            let left = self.limits.time.map(|time| time.saturating_sub(passed));
            let limits = Limits { time: left, ..self.limits };
            let Some(finished) = self.train_and_score(run, &table.evaluate, limits)? else {
                print(format_args!("{} is not done after --minutes; the same command goes on", run.run.name));
                return Ok(());
            };
            done.push(finished);
            self.write(&done)?;
        }
        print(format_args!("{}", self.out.join("sweep.html").display()));
        Ok(())
    }

    /// `None` when the time was over before the end.
    fn train_and_score<'a>(
        &self,
        run: &'a Prepared<'a>,
        scoring: &Scoring,
        limits: Limits,
    ) -> Result<Option<Done<'a>>, Failure> {
        tracing::info!(run = run.run.name, "run begins");
        let outcome = train(self.archive, &run.options, limits, self.placement, &run.out, self.clock)?;
        let Outcome { end, best: Some(best), .. } = outcome else { return Ok(None) };
        if end == End::Time || limits.time.is_some_and(|time| time == Duration::ZERO) {
            return Ok(None);
        }
        let days: Vec<ProductDay> = self.archive.days().collect();
        let days = spread(&run.options.validation_days.of(&days)?, scoring.days);
        let checkpoint = Checkpoint::load(&best.path, self.placement)?;
        let candidates = match run.options.objective {
            Objective::Noise | Objective::Velocity => {
                Candidates { checkpoints: vec![checkpoint], regressions: Vec::new() }
            }
            Objective::Mean => Candidates { checkpoints: Vec::new(), regressions: vec![checkpoint] },
        };
        let options = EvaluateOptions {
            days: DayChoice::Listed(days),
            window: (scoring.window > 0).then_some(scoring.window),
            members: scoring.members,
            seed: scoring.seed,
            batch: run.options.batch,
            samplers: run.samplers.iter().map(|sampler| sampler.0).collect(),
            ..EvaluateOptions::default()
        };
        let scores = run.out.join("evaluation");
        let grounds = Grounds { archive: Some((self.archive, self.folder)), observed: None };
        let evaluation = evaluate(grounds, &candidates, &options, &scores, &mut Stages::new(self.clock))?;
        let rows = evaluation.rows.into_iter().filter(|row| row.checkpoint.is_some()).collect();
        Ok(Some(Done { prepared: run, best_loss: best.loss, rows, losses: losses(&run.out)? }))
    }

    fn write(&self, done: &[Done<'_>]) -> Result<(), Failure> {
        let (titles, cells) = cells(done);
        let csv = |cells: &[String]| format!("{}\n", cells.join(","));
        let text: String = std::iter::once(csv(&titles)).chain(cells.iter().map(|row| csv(row))).collect();
        let body = format!("{}{}", table(&titles, &cells), figures(done));
        for (name, text) in [("sweep.csv", text), ("sweep.html", page("A table of trainings", &body))] {
            let path = self.out.join(name);
            sys::replace_file(&path, text.as_bytes()).map_err(|source| TrainError::File { path, source })?;
        }
        Ok(())
    }
}

/// The runs with all of their options.
fn prepare<'a>(table: &'a Table, options: &TrainOptions, out: &Path) -> Result<Vec<Prepared<'a>>, String> {
    if table.evaluate.members == 0 {
        return Err("members of [evaluate] is 0, and no run could be scored; give at least 1".into());
    }
    let base = toml::Table::try_from(options).map_err(|error| error.to_string())?;
    let base = merged(base, &table.all);
    let mut names = BTreeSet::new();
    table
        .run
        .iter()
        .map(|run| {
            let refuse = |reason: String| format!("run \"{}\": {reason}", run.name);
            let allowed = |letter: char| letter.is_ascii_alphanumeric() || "-_.+".contains(letter);
            if run.name.is_empty() || !run.name.chars().all(allowed) || run.name.starts_with('.') {
                return Err(refuse(
                    "a name is made of letters, digits and -_.+, and begins without a dot".into(),
                ));
            }
            if !names.insert(run.name.as_str()) {
                return Err(refuse("there are two of this name".into()));
            }
            let mut options: TrainOptions = merged(base.clone(), &run.options)
                .try_into()
                .map_err(|error: toml::de::Error| refuse(error.to_string()))?;
            options.name.clone_from(&run.name);
            options.validate().map_err(refuse)?;
            let samplers = run.samplers.as_ref().unwrap_or(&table.evaluate.samplers);
            let samplers: Result<Vec<_>, _> = samplers.iter().map(|text| text.parse()).collect();
            Ok(Prepared { run, options, samplers: samplers.map_err(refuse)?, out: out.join(&run.name) })
        })
        .collect()
}

/// `base` with the entries of `more` in place of its own.
fn merged(mut base: toml::Table, more: &toml::Table) -> toml::Table {
    for (name, value) in more {
        let value = match (base.remove(name), value) {
            (Some(toml::Value::Table(own)), toml::Value::Table(more)) => {
                toml::Value::Table(merged(own, more))
            }
            _ => value.clone(),
        };
        base.insert(name.clone(), value);
    }
    base
}

/// At most `count` of the days, evenly spaced.
fn spread(days: &[ProductDay], count: usize) -> Vec<ProductDay> {
    let count = count.clamp(1, days.len().max(1));
    (0..count).filter_map(|number| days.get(number * days.len() / count).copied()).collect()
}

/// Step and validation loss of a training's log.
fn losses(out: &Path) -> Result<Vec<(f64, f64)>, TrainError> {
    let path = out.join("log.csv");
    let text = fs::read_to_string(&path).map_err(|source| TrainError::File { path, source })?;
    let number = |cell: Option<&str>| cell.and_then(|cell| cell.parse().ok()).unwrap_or(f64::NAN);
    let row = |line: &str| {
        let mut cells = line.split(',');
        (number(cells.next()), number(cells.nth(2)))
    };
    Ok(text.lines().skip(1).map(row).collect())
}

fn calls(row: &Row) -> Option<usize> {
    row.sampler.as_ref().map(|sampler| sampler.steps)
}

/// The table: titles and rows.
fn cells(done: &[Done<'_>]) -> (Vec<String>, Vec<Vec<String>>) {
    let titles = ["run", "figure", "row", "validation loss"].into_iter().map(str::to_owned);
    let titles = titles.chain(MEASURES.iter().map(|(_, title, _)| title.replace(',', " in"))).collect();
    let mut cells = Vec::new();
    for finished in done {
        let Run { name, figure, .. } = finished.prepared.run;
        for row in &finished.rows {
            let measures = MEASURES.iter().map(|(measure, ..)| {
                row.measures.get(measure).map_or_else(String::new, |found| format!("{:.4}", found.value))
            });
            let first = [
                name.clone(),
                figure.clone().unwrap_or_else(|| FIGURE.into()).replace(',', ";"),
                row.name.replace(',', ";"),
                format!("{:.5}", finished.best_loss),
            ];
            cells.push(first.into_iter().chain(measures).collect());
        }
    }
    (titles, cells)
}

/// For every figure the losses over the steps, and the measures over the configurations.
fn figures(done: &[Done<'_>]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for finished in done {
        let name = finished.prepared.run.figure.as_deref().unwrap_or(FIGURE);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let figure = |name: &&str| {
        let runs: Vec<_> =
            done.iter().filter(|run| run.prepared.run.figure.as_deref().unwrap_or(FIGURE) == *name).collect();
        let charts = MEASURES.iter().map(|measure| over_configurations(name, &runs, *measure));
        let svgs: String =
            std::iter::once(over_steps(&runs)).chain(charts).map(|chart| chart.svg()).collect();
        format!("<h2>{}</h2>\n<div class=\"charts\">{svgs}</div>\n", crate::plot::escape(name))
    };
    names.iter().map(figure).collect()
}

fn over_steps(runs: &[&Done<'_>]) -> Chart {
    let curve = |(number, run): (usize, &&Done<'_>)| Curve {
        name: run.prepared.run.name.clone(),
        colour: number,
        stroke: Stroke::Line,
        points: run.losses.clone(),
        band: Vec::new(),
    };
    Chart {
        title: "Loss on held-out days".into(),
        x: Axis::linear("step"),
        y: Axis::logarithmic("noise loss"),
        curves: runs.iter().enumerate().map(curve).collect(),
        ..Chart::default()
    }
}

/// A measure over the configurations. Runs with one sampler and a place on the axis make one curve; a run with several samplers is
/// a curve over their network calls; others stand side by side.
fn over_configurations(
    figure: &str,
    runs: &[&Done<'_>],
    (measure, title, right): (&str, &str, Option<f64>),
) -> Chart {
    let value = |row: &Row| row.measures.get(measure).map(|found| (found.value, found.low, found.high));
    let over_calls = runs.iter().any(|run| run.rows.len() > 1);
    let on_axis = !over_calls && runs.iter().all(|run| run.prepared.run.x.is_some());
    let mut curves: Vec<Curve> = Vec::new();
    for (number, run) in runs.iter().enumerate() {
        let place = |row: &Row| match (over_calls, run.prepared.run.x) {
            (true, _) => calls(row).map_or(f64::NAN, |calls| calls as f64),
            (false, Some(x)) if on_axis => x,
            _ => number as f64 + 1.0,
        };
        let found: Vec<_> = run.rows.iter().filter_map(|row| Some((place(row), value(row)?))).collect();
        let points = found.iter().map(|&(x, (value, ..))| (x, value));
        let band = found.iter().map(|&(x, (_, low, high))| (x, low, high));
        if on_axis && number > 0 {
            curves[0].points.extend(points);
            curves[0].band.extend(band);
        } else {
            curves.push(Curve {
                name: if on_axis { figure.to_owned() } else { run.prepared.run.name.clone() },
                colour: number,
                stroke: Stroke::Dotted,
                points: points.collect(),
                band: band.collect(),
            });
        }
    }
    for curve in &mut curves {
        curve.points.sort_by(|a, b| a.0.total_cmp(&b.0));
        curve.band.sort_by(|a, b| a.0.total_cmp(&b.0));
    }
    let places = curves.iter().flat_map(|curve| curve.points.iter().map(|(x, _)| *x));
    let ends = places.fold([f64::INFINITY, f64::NEG_INFINITY], |ends, x| [ends[0].min(x), ends[1].max(x)]);
    let label = if over_calls {
        "network calls"
    } else if on_axis {
        figure
    } else {
        "configuration"
    };
    Chart {
        title: title.to_owned(),
        x: if over_calls { Axis::logarithmic(label) } else { Axis::linear(label) },
        y: Axis::linear(title),
        curves,
        reference: right.filter(|_| ends[0].is_finite()).map(|right| [(ends[0], right), (ends[1], right)]),
        ..Chart::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = r#"
        [all]
        steps = 10
        schedule = { max_signal_rate = 0.99 }
        [[run]]
        name = "a"
        [[run]]
        name = "b"
        figure = "lowest signal rate"
        x = 0.01
        samplers = ["ddim:3", "ddim:5"]
        schedule = { min_signal_rate = 0.01 }
        features = { deformation = false }
        target = "full"
        seed = 3
    "#;

    fn prepared(text: &str) -> Result<Vec<TrainOptions>, String> {
        let table: Table = toml::from_str(text).map_err(|error| error.to_string())?;
        let prepared = prepare(&table, &TrainOptions::default(), Path::new("out"))?;
        Ok(prepared.into_iter().map(|run| run.options).collect())
    }

    #[test]
    fn a_run_has_its_own_options_and_those_of_all() {
        let runs = prepared(TABLE).unwrap();
        let rates = |run: &TrainOptions| [run.schedule.min_signal_rate, run.schedule.max_signal_rate];
        assert_eq!((runs[0].steps, runs[1].steps), (Some(10), Some(10)));
        assert_eq!((rates(&runs[0]), rates(&runs[1])), ([0.02, 0.99], [0.01, 0.99]));
        assert!(runs[0].features.deformation && !runs[1].features.deformation);
        assert!(runs[1].features.concentration);
        assert_eq!((runs[1].seed, runs[1].name.as_str()), (3, "b"));
    }

    #[test]
    fn a_table_that_makes_no_sense_is_refused_with_the_run() {
        for (wrong, part) in [
            ("[[run]]\nname = \"a/b\"", "letters"),
            ("[[run]]\nname = \"a\"\n[[run]]\nname = \"a\"", "two"),
            ("[[run]]\nname = \"a\"\nlearning_speed = 1", "learning_speed"),
            ("[[run]]\nname = \"a\"\nlearning_rate = -1.0", "--learning-rate"),
            ("[[run]]\nname = \"a\"\nsamplers = [\"euler\"]", "euler"),
            ("[evaluate]\nmembers = 0\n[[run]]\nname = \"a\"", "members of [evaluate]"),
        ] {
            let error = prepared(wrong).unwrap_err();
            assert!(error.contains(part) && error.contains("run"), "{error}");
        }
    }

    #[test]
    fn days_are_spread() {
        let first: ProductDay = "2020-10-18".parse().unwrap();
        let days: Vec<_> = (0..10).map(|number| first.plus_days(number)).collect();
        assert_eq!(spread(&days, 2), [days[0], days[5]]);
        assert_eq!(spread(&days, 99), days);
    }
}
