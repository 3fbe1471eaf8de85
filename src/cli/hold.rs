//! `nilas hold` and `nilas resume`: a person lets nothing be produced for a while.

use clap::Args;

use super::configuration::ConfigurationFile;
use super::failure::Failure;
use super::{house, print};
use crate::time::{Clock, SystemClock};

/// Holds production: the daemon gathers and produces nothing until `nilas resume`. What is at work comes to its end.
#[derive(Args)]
pub(super) struct HoldArguments {
    /// Why, for whoever wonders.
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    configuration: ConfigurationFile,
}

/// Lets production go on.
#[derive(Args)]
pub(super) struct ResumeArguments {
    #[command(flatten)]
    configuration: ConfigurationFile,
}

pub(super) fn hold(arguments: &HoldArguments) -> Result<(), Failure> {
    let ledger = house::ledger(&arguments.configuration.load()?)?;
    let is_new = ledger.hold(&arguments.reason, SystemClock::new().now()).map_err(Failure::other)?;
    match ledger.current_hold().map_err(Failure::other)? {
        Some(hold) if !is_new => print(format_args!(
            "production was held already, since {}: {}",
            hold.began_at.format("%Y-%m-%d %H:%M UTC"),
            hold.reason
        )),
        _ => print("production is held; `nilas resume` lets it go on"),
    }
    Ok(())
}

pub(super) fn resume(arguments: &ResumeArguments) -> Result<(), Failure> {
    let ledger = house::ledger(&arguments.configuration.load()?)?;
    let was_held = ledger.resume(SystemClock::new().now()).map_err(Failure::other)?;
    print(if was_held { "production goes on" } else { "production was not held" });
    Ok(())
}
