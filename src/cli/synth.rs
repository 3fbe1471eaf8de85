//! `nilas synth`: a synthetic archive to train on.

use std::path::PathBuf;

use clap::Args;

use super::failure::Failure;
use super::print;
use crate::archive;
use crate::progress::Stages;
use crate::time::{ProductDay, SystemClock};
use crate::train::{SynthOptions, synthesise};

/// Makes a synthetic training archive in the SuperIce layout (model/features/YYYYMMDD, safetensors).
#[derive(Args)]
pub(super) struct Arguments {
    /// Folder of the archive.
    #[arg(long)]
    out: PathBuf,
    /// Number of days; each is an independent field.
    #[arg(long)]
    days: usize,
    /// Seed: the same seed gives the same archive.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Cells of 3 km along a side of the square fields.
    #[arg(long, default_value_t = 384, value_parser = clap::value_parser!(u16).range(32..))]
    size: u16,
}

/// Synthetic days have no date; they are numbered from this one on.
const FIRST_DAY: &str = "2001-01-01";

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let options = SynthOptions { size: usize::from(arguments.size), seed: arguments.seed };
    let first: ProductDay = FIRST_DAY.parse().map_err(Failure::other)?;
    let clock = SystemClock::new();
    Stages::new(&clock).run("synth", arguments.days, |bar| {
        for number in 0..arguments.days {
            let day = first.plus_days(number as i64);
            archive::write(&arguments.out, day, &synthesise(options, number), &options.provenance())
                .map_err(Failure::other)?;
            bar.step();
        }
        Ok::<_, Failure>(())
    })?;
    print(format_args!(
        "{} synthetic days of {1} x {1} cells in {2}",
        arguments.days,
        arguments.size,
        arguments.out.display()
    ));
    Ok(())
}
