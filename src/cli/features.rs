//! `nilas features`: the network's inputs of a day.

use std::path::PathBuf;

use clap::Args;

use super::failure::Failure;
use super::produce::{Common, HandedOver};
use super::{inspection_program, print};
use crate::config::Overrides;
use crate::prepare::{Prepared, flag};
use crate::produce::{FeatureFiles, features};
use crate::progress::Stages;
use crate::time::{ProductDay, SystemClock};

/// Writes the network's inputs of a day on the grid, before standardising: as NetCDF, into an archive for `nilas evaluate
/// --observed`, or both.
#[derive(Args)]
pub(super) struct Arguments {
    /// The day, such as 2022-04-15.
    #[arg(long)]
    pub(super) date: ProductDay,
    /// NetCDF file to write.
    #[arg(long, required_unless_present = "archive")]
    out: Option<PathBuf>,
    /// Folder of an archive to add the day to (observations/features/YYYYMMDD.safetensors).
    #[arg(long)]
    archive: Option<PathBuf>,
    #[command(flatten)]
    pub(super) common: Common,
}

pub(super) fn run(arguments: &Arguments, inputs: &HandedOver) -> Result<(), Failure> {
    let config = arguments.common.load(Overrides::default())?;
    let clock = SystemClock::new();
    let files = FeatureFiles { netcdf: arguments.out.as_deref(), archive: arguments.archive.as_deref() };
    let prepared =
        features(&inputs.gathered, &config, &inspection_program()?, files, &mut Stages::new(&clock))?;
    let (rows, columns) = prepared.mask.dim();
    for written in [&arguments.out, &arguments.archive].into_iter().flatten() {
        print(format_args!("{}: {rows} x {columns}", written.display()));
    }
    print(format_args!("  ice              {:>8} cells", count(&prepared, flag::ICE)));
    print(format_args!("  filled drift     {:>8} cells", count(&prepared, flag::FILLED_DRIFT)));
    print(format_args!("  missing drift    {:>8} cells", count(&prepared, flag::MISSING_DRIFT)));
    print(format_args!("  filled thickness {:>8} cells", count(&prepared, flag::FILLED_THICKNESS)));
    print(format_args!("  missing input    {:>8} cells of ice", count(&prepared, flag::MISSING_INPUT)));
    Ok(())
}

fn count(prepared: &Prepared, bit: u32) -> usize {
    prepared.flags.iter().filter(|&&flags| flags & bit != 0).count()
}
