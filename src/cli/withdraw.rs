//! `nilas withdraw`: takes a published product back.

use std::sync::Arc;

use clap::Args;

use super::configuration::ConfigurationFile;
use super::failure::Failure;
use super::{house, print, runtime};
use crate::daemon::{self, DaemonLock};
use crate::notify::Notifier;
use crate::time::{Clock, ProductDay, SystemClock};

/// Takes the product of a day back: `latest.json` names what stands, its folder says why, people get a mail. Its files stay.
#[derive(Args)]
pub(super) struct Arguments {
    /// The day, such as 2026-03-01.
    day: ProductDay,
    /// Why, in a sentence for those who have used it.
    #[arg(long)]
    reason: String,
    /// The revision, instead of the highest that stands.
    #[arg(long)]
    revision: Option<u32>,
    #[command(flatten)]
    configuration: ConfigurationFile,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let config = arguments.configuration.load()?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let ledger = house::ledger(&config)?;
    let notifier =
        Notifier::patient(&config.notify, Arc::clone(&ledger), Arc::clone(&clock)).map_err(Failure::other)?;
    let which = (arguments.day, arguments.revision);
    let withdrawn = daemon::withdraw(&ledger, &notifier, &config, which, &arguments.reason, clock.now())?;
    let day = arguments.day;
    let Some(withdrawn) = withdrawn else {
        return Err(Failure::Usage(format!(
            "{day} has no such product that stands, or that was cleared away here and a target has; `nilas explain {day}` says what it has"
        )));
    };
    print(format_args!("revision {} of {day} is taken back", withdrawn.revision));
    match withdrawn.newest {
        Some(newest) => print(format_args!("latest.json names {newest}")),
        None => print("nothing is published now"),
    }
    print(format_args!("it is made again when other inputs come, or now by: nilas backfill {day} --again"));
    // A daemon that is at work sends the mail; two senders could send it twice.
    if DaemonLock::holder(&config.folders.state)?.is_none() {
        let delivered = runtime()?.block_on(notifier.deliver()).map_err(Failure::other)?;
        if let Some(reason) = delivered.first_failure {
            print(format_args!("the mail waits for the daemon: {reason}"));
        }
    }
    Ok(())
}
