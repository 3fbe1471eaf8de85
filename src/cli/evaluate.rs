//! `nilas evaluate`: how good a checkpoint is.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum};

use super::failure::Failure;
use super::placement::PlacementOptions;
use super::print;
use crate::archive::{Archive, ObservedArchive};
use crate::config::{SamplerChoice, SamplerKind, TimeGrid};
use crate::evaluate::{
    Candidates, DayChoice, EvaluateError, EvaluateOptions, Evaluation, Grounds, Variant, evaluate,
};
use crate::model::Checkpoint;
use crate::progress::Stages;
use crate::time::{ProductDay, SystemClock};

/// Scores checkpoints on an archive, beside baselines, and writes metrics.json and report.html. Run it again with the same options to go on
/// after an interruption; what was scored before is taken as it is.
#[derive(Args)]
pub(super) struct Arguments {
    /// Folder of an archive with a truth (the one that holds model/features). None of its days may have been trained on.
    #[arg(long, required_unless_present = "observed")]
    archive: Option<PathBuf>,
    /// Folder of an archive of days as satellites saw them (the one that holds observations/features, from `nilas features --archive`).
    #[arg(long)]
    observed: Option<PathBuf>,
    /// The first days of these, so many at most.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    observed_days: Option<u16>,
    /// Cells along a side of the one window that is drawn on all of these days; 0 takes whole fields.
    #[arg(long, default_value_t = 0)]
    observed_window: usize,
    /// A checkpoint; give the option again for more.
    #[arg(long = "checkpoint", required = true)]
    checkpoints: Vec<PathBuf>,
    /// A checkpoint that was trained for the mean (`train --objective mean`) and is called once; give the option again for more.
    #[arg(long = "regression")]
    regressions: Vec<PathBuf>,
    /// Folder for the metrics and the report.
    #[arg(long)]
    out: PathBuf,
    /// Samplers as KIND:CALLS[:GRID[:LOWEST-NOISE-RATE]], such as dpm-solver++:10,ddim:40; `usual` is what each checkpoint says.
    #[arg(long, value_delimiter = ',', default_value = "usual")]
    samplers: Vec<SamplerText>,
    /// What is done to members: each variant is a row of its own. Without the option they are as published, and
    /// uncalibrated as well where the checkpoint is calibrated.
    #[arg(long, value_delimiter = ',')]
    variants: Vec<Variant>,
    /// Members that are drawn for each scene.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..))]
    members: u16,
    /// Days: a number, spread evenly over the archive, or a list such as 2022-10-20,2022-11-05.
    #[arg(long, default_value = "20")]
    days: DaysText,
    /// Cells along a side of the window, half of it ice, that is drawn from each day; 0 takes whole fields.
    #[arg(long, default_value_t = 256)]
    window: usize,
    /// Seed of noise and windows.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Compute the structural similarity, too.
    #[arg(long)]
    ssim: bool,
    /// Members handled at once on a GPU.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    batch: u16,
    #[command(flatten)]
    placement: PlacementOptions,
}

/// A sampler on the command line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct SamplerText(pub(super) SamplerChoice);

impl FromStr for SamplerText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "usual" {
            return Ok(Self(SamplerChoice::default()));
        }
        let mut parts = text.split(':');
        let mut next = || parts.next().filter(|part| !part.is_empty());
        let number = |part: &str| format!("\"{part}\" in \"{text}\" is not a number");
        let choice = SamplerChoice {
            kind: next().map(|kind| SamplerKind::from_str(kind, false)).transpose()?,
            steps: next().map(|part| part.parse().map_err(|_| number(part))).transpose()?,
            time_grid: next().map(|grid| TimeGrid::from_str(grid, false)).transpose()?,
            lowest_noise_rate: next().map(|part| part.parse().map_err(|_| number(part))).transpose()?,
        };
        match parts.next() {
            None => Ok(Self(choice)),
            Some(_) => Err(format!("\"{text}\" has more than KIND:CALLS:GRID:LOWEST-NOISE-RATE")),
        }
    }
}

/// Days on the command line.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct DaysText(pub(super) DayChoice);

impl FromStr for DaysText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(number) = text.parse::<usize>() {
            return match number {
                0 => Err("at least 1 day is needed".into()),
                number => Ok(Self(DayChoice::Number(number))),
            };
        }
        if text == "all" {
            return Ok(Self(DayChoice::All));
        }
        let days: Result<Vec<ProductDay>, _> = text.split(',').map(str::parse).collect();
        days.map(|days| Self(DayChoice::Listed(days))).map_err(|error| error.to_string())
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let archive = arguments.archive.as_deref().map(Archive::open).transpose().map_err(EvaluateError::from)?;
    let observed =
        arguments.observed.as_deref().map(ObservedArchive::open).transpose().map_err(EvaluateError::from)?;
    let placement = arguments.placement.place()?;
    let load = |paths: &[PathBuf]| {
        paths.iter().map(|path| Checkpoint::load(path, placement)).collect::<Result<Vec<_>, _>>()
    };
    let candidates =
        Candidates { checkpoints: load(&arguments.checkpoints)?, regressions: load(&arguments.regressions)? };
    let options = EvaluateOptions {
        days: arguments.days.0.clone(),
        window: (arguments.window > 0).then_some(arguments.window),
        members: usize::from(arguments.members),
        seed: arguments.seed,
        batch: usize::from(arguments.batch),
        samplers: arguments.samplers.iter().map(|sampler| sampler.0).collect(),
        variants: arguments.variants.clone(),
        with_similarity: arguments.ssim,
        observed_days: arguments.observed_days.map(usize::from),
        observed_window: (arguments.observed_window > 0).then_some(arguments.observed_window),
    };
    let clock = SystemClock::new();
    let grounds = Grounds {
        archive: archive.as_ref().zip(arguments.archive.as_deref()),
        observed: observed.as_ref().zip(arguments.observed.as_deref()),
    };
    let found = evaluate(grounds, &candidates, &options, &arguments.out, &mut Stages::new(&clock))?;
    tell(&found);
    print(format_args!("{}", arguments.out.join("report.html").display()));
    Ok(())
}

/// The table in short.
fn tell(found: &Evaluation) {
    const COLUMNS: [(&str, &str); 7] = [
        ("RMSE", "fair_mean_rmse_m"),
        ("CRPS", "fair_crps_m"),
        ("/low", "crps_over_low"),
        ("spread", "spread_skill"),
        ("std", "deviation_ratio"),
        ("6-20km", "fine_scale_bias"),
        ("ranks", "rank_deviation"),
    ];
    let titles: Vec<String> = COLUMNS.iter().map(|(title, _)| format!("{title:>8}")).collect();
    print(format_args!("{:<28}{}", "", titles.concat()));
    for row in &found.rows {
        let cells: String = COLUMNS
            .iter()
            .map(|(_, name)| {
                row.measures.get(name).map_or_else(|| " ".repeat(8), |found| format!("{:>8.3}", found.value))
            })
            .collect();
        print(format_args!("{:<28}{cells}", row.name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samplers_are_read_as_they_are_written() {
        let of = |text: &str| text.parse::<SamplerText>().map(|sampler| sampler.0);
        assert_eq!(of("usual"), Ok(SamplerChoice::default()));
        let ddim =
            SamplerChoice { kind: Some(SamplerKind::Ddim), steps: Some(40), ..SamplerChoice::default() };
        assert_eq!(of("ddim:40"), Ok(ddim));
        let solver = of("dpm-solver++:8:edm:0.05").unwrap();
        assert_eq!((solver.steps, solver.time_grid), (Some(8), Some(TimeGrid::Edm)));
        assert_eq!(solver.lowest_noise_rate, Some(0.05));
        for wrong in ["euler:3", "ddim:many", "ddim:3:edm:0.1:0.2"] {
            of(wrong).unwrap_err();
        }
    }

    #[test]
    fn days_are_a_number_or_a_list() {
        let of = |text: &str| text.parse::<DaysText>().map(|days| days.0);
        assert_eq!(of("3"), Ok(DayChoice::Number(3)));
        assert_eq!(of("all"), Ok(DayChoice::All));
        let day = "2022-01-02".parse().unwrap();
        assert_eq!(of("2022-01-02"), Ok(DayChoice::Listed(vec![day])));
        of("0").unwrap_err();
        of("yesterday").unwrap_err();
    }
}
