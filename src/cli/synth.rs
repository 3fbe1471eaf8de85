//! `nilas synth`: a synthetic archive to train on.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::configuration::ConfigurationFile;
use super::failure::Failure;
use super::print;
use crate::archive;
use crate::grid::Grid;
use crate::progress::Stages;
use crate::synth::{Budget, Forcing, Observer, Series, Split, SynthError, provenance};
use crate::time::{ProductDay, SystemClock};

/// Makes a synthetic training archive in the SuperIce layout (model/features/YYYYMMDD, safetensors) on the configuration's grid.
#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    configuration: ConfigurationFile,
    /// Folder of the archive.
    #[arg(long)]
    out: PathBuf,
    /// Number of days. Five follow each other every fourth day; then another winter's ice is driven.
    #[arg(long)]
    days: usize,
    /// Seed: the same seed gives the same archive.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Which winters and thickness fields may be used.
    #[arg(long, value_enum, default_value_t = Part::Training)]
    part: Part,
    /// Drift and thickness that drive the ice [default: forcing/arctic-winters.safetensors beside the folder of the configuration].
    #[arg(long)]
    forcing: Option<PathBuf>,
}

/// Parts of the data, which share neither winters nor thickness fields.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Part {
    Training,
    Validation,
    Test,
}

/// Synthetic days have no date; they are numbered from this one on.
const FIRST_DAY: &str = "2001-01-01";

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let config = arguments.configuration.load()?;
    let forcing = Forcing::read(&arguments.forcing_path()?)?;
    let observer = Observer::new(&config, Grid::load(&config.grid_file()?).map_err(SynthError::from)?)?;
    let split = arguments.part.into();
    let stated = provenance(split, arguments.seed);
    let first: ProductDay = FIRST_DAY.parse().map_err(Failure::other)?;
    let clock = SystemClock::new();
    let mut budgets = Vec::new();
    Stages::new(&clock).run("synth", arguments.days, |bar| {
        for begin in (0..arguments.days).step_by(Series::SAMPLES) {
            let number = begin / Series::SAMPLES;
            let mut series = Series::begin(&forcing, &observer, split, arguments.seed, number)?;
            for index in begin..arguments.days.min(begin + Series::SAMPLES) {
                let (driven_by, sample) = series.next_sample()?;
                let day = first.plus_days(index as i64);
                archive::write(&arguments.out, day, &sample, &stated).map_err(Failure::other)?;
                tracing::info!(%day, %driven_by, series = number, "synthetic day written");
                bar.step();
            }
            budgets.push(series.budget());
        }
        Ok::<_, Failure>(())
    })?;
    report(arguments, &budgets);
    Ok(())
}

fn report(arguments: &Arguments, budgets: &[Budget]) {
    let days = arguments.days;
    print(format_args!("{days} synthetic days in {}", arguments.out.display()));
    let of_initial = |of: fn(&Budget) -> f64| {
        let sum: f64 = budgets.iter().map(|budget| of(budget) / budget.initial_volume).sum();
        100.0 * sum / budgets.len() as f64
    };
    print(format_args!(
        "volume, % of the beginning: grown {:.1}, molten {:.1}, drifted out {:.1}; not explained at most {:.4}; area opened {:.4} closed {:.4} vol {:.4}",
        of_initial(|budget| budget.grown_volume),
        of_initial(|budget| budget.molten_volume),
        of_initial(|budget| budget.exported_volume),
        100.0 * budgets.iter().map(Budget::imbalance).fold(0.0, f64::max),
        of_initial(|b| 1.7 * b.opened_area),
        of_initial(|b| 1.7 * b.closed_area),
        of_initial(|b| b.volume)
    ));
}

impl Arguments {
    fn forcing_path(&self) -> Result<PathBuf, Failure> {
        if let Some(path) = &self.forcing {
            return Ok(path.clone());
        }
        let configuration = self.configuration.path()?;
        let folder = configuration.parent().and_then(Path::parent).unwrap_or(Path::new(".")).to_owned();
        Ok(folder.join("forcing/arctic-winters.safetensors"))
    }
}

impl From<Part> for Split {
    fn from(part: Part) -> Self {
        match part {
            Part::Training => Self::Training,
            Part::Validation => Self::Validation,
            Part::Test => Self::Test,
        }
    }
}
