//! `nilas prune`: clears away what is not kept any more.

use clap::Args;

use super::configuration::ConfigurationFile;
use super::failure::Failure;
use super::{house, print};
use crate::daemon::clear_up;
use crate::time::{Clock, SystemClock};

/// Clears away what `[retention]` of the configuration does not keep; `nilas run` does so daily. The newest product always stays.
#[derive(Args)]
pub(super) struct Arguments {
    /// Only says what would go.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    configuration: ConfigurationFile,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let config = arguments.configuration.load()?;
    let ledger = house::ledger(&config)?;
    let cleared = clear_up(&ledger, &config, SystemClock::new().now(), arguments.dry_run)?;
    for one in &cleared {
        print(format_args!(
            "{:>10.1} MB  {}  {}",
            one.size_bytes as f64 / 1e6,
            one.path.display(),
            one.reason
        ));
    }
    let megabytes = cleared.iter().map(|one| one.size_bytes).sum::<u64>() as f64 / 1e6;
    let what = if arguments.dry_run { "would be cleared away" } else { "cleared away" };
    print(format_args!("{megabytes:>10.1} MB  in {} files and folders {what}", cleared.len()));
    Ok(())
}
