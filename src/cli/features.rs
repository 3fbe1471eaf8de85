//! `nilas features`: the network's inputs of a day.

use std::path::PathBuf;

use clap::Args;

use super::failure::Failure;
use super::print;
use super::produce::{Common, HandedOver};
use crate::config::Overrides;
use crate::prepare::{Prepared, flag};
use crate::produce::features;
use crate::time::{ProductDay, SystemClock};

/// Writes the network's inputs of a day on the grid, before standardising, as NetCDF.
#[derive(Args)]
pub(super) struct Arguments {
    /// The day, such as 2022-04-15.
    #[arg(long)]
    pub(super) date: ProductDay,
    /// File to write.
    #[arg(long)]
    out: PathBuf,
    #[command(flatten)]
    pub(super) common: Common,
}

pub(super) fn run(arguments: &Arguments, inputs: &HandedOver) -> Result<(), Failure> {
    let config = arguments.common.load(Overrides::default())?;
    let prepared = features(&inputs.gathered, &config, &arguments.out, &SystemClock::new())?;
    let (rows, columns) = prepared.mask.dim();
    print(format_args!("{}: {rows} x {columns}", arguments.out.display()));
    print(format_args!("  ice              {:>8} cells", count(&prepared, flag::ICE)));
    print(format_args!("  filled drift     {:>8} cells", count(&prepared, flag::FILLED_DRIFT)));
    print(format_args!("  filled thickness {:>8} cells", count(&prepared, flag::FILLED_THICKNESS)));
    print(format_args!("  missing input    {:>8} cells of ice", count(&prepared, flag::MISSING_INPUT)));
    Ok(())
}

fn count(prepared: &Prepared, bit: u16) -> usize {
    prepared.flags.iter().filter(|&&flags| flags & bit != 0).count()
}
