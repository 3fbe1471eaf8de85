//! `nilas explain`: the story of a day.

use clap::Args;

use super::configuration::ConfigurationFile;
use super::failure::Failure;
use super::{print, status};
use crate::daemon;
use crate::ledger::Ledger;
use crate::time::{Clock, ProductDay, SystemClock};

/// Tells the story of a day: what was fetched and refused, what was made of it, and what it waits for.
#[derive(Args)]
pub(super) struct Arguments {
    /// The day, such as 2026-03-01.
    day: ProductDay,
    #[command(flatten)]
    configuration: ConfigurationFile,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let config = arguments.configuration.load()?;
    let Some(path) = status::existing_ledger(&config) else { return Ok(()) };
    let ledger = Ledger::open_to_look(&path).map_err(Failure::other)?;
    for sentence in daemon::explain(&ledger, &config, arguments.day, SystemClock::new().now())? {
        print(sentence);
    }
    Ok(())
}
