//! What the verbs of the light program build on: the ledger, whoever gathers and whoever produces.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::failure::Failure;
use super::produce::Common;
use super::{inspection_program, program, runtime};
use crate::config::{Config, Overrides};
use crate::daemon::{Conclusion, Mishap, Productions, Signals, Worker};
use crate::ledger::{Ledger, Origin};
use crate::produce::{Gathered, Gatherer, Produced, Watch};
use crate::time::{Clock, ProductDay, SystemClock};

/// Opens the ledger of a configuration; makes one where there is none.
pub(super) fn ledger(config: &Config) -> Result<Arc<Ledger>, Failure> {
    let path = config.folders.state.join(Ledger::FILE_NAME);
    Ledger::open(&path).map(Arc::new).map_err(Failure::other)
}

/// Whoever gathers the inputs of days.
pub(super) fn gatherer(
    config: &Arc<Config>,
    ledger: &Arc<Ledger>,
    watch: Watch,
    clock: &Arc<dyn Clock>,
) -> Result<Gatherer, Failure> {
    let inspector = Box::new(inspection_program()?);
    Ok(Gatherer::new(Arc::clone(config), Arc::clone(ledger), inspector, watch, Arc::clone(clock))?)
}

/// Gathers the inputs of a day, for another program to go on with.
pub(super) fn gather_for(common: &Common, day: ProductDay) -> Result<Gathered, Failure> {
    common.require_inputs()?;
    let (config, watch) = (common.load(Overrides::default())?, common.watch());
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let ledger = ledger(&config)?;
    let gatherer = gatherer(&Arc::new(config), &ledger, watch, &clock)?;
    Ok(runtime()?.block_on(gatherer.gather(day))?)
}

/// Gathers the inputs of a day and produces it, for a person who waits for it.
pub(super) fn produce(config: Config, watch: Watch, day: ProductDay) -> Result<Produced, Failure> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let ledger = ledger(&config)?;
    let config = Arc::new(config);
    let gatherer = gatherer(&config, &ledger, watch, &clock)?;
    let limits = config.production.clone();
    let worker = Worker::new(program("nilas-engine")?, limits, Arc::clone(&clock), None);
    let productions = Productions { config: &config, ledger: &ledger, producer: &worker, clock: &*clock };
    runtime()?.block_on(async {
        let stop = Signals::of_process().map_err(Failure::other)?.stop;
        let gathered = gatherer.gather(day).await?;
        concluded(productions.run(gathered, Origin::Person, &stop).await?, day, &stop)
    })
}

fn concluded(conclusion: Conclusion, day: ProductDay, stop: &CancellationToken) -> Result<Produced, Failure> {
    match conclusion {
        Conclusion::Published(produced) => Ok(*produced),
        Conclusion::Found { revision, reason } => Err(Failure::Other(format!(
            "revision {revision} of {day} is published and whole, but its production did not end as it should: {reason}"
        ))),
        Conclusion::Without(Mishap::Failed(failed)) => {
            Err(Failure::with_code(failed.exit_code, failed.reason))
        }
        Conclusion::Without(Mishap::Stopped) if stop.is_cancelled() => {
            Err(Failure::Other(format!("stopped; nothing of {day} was published")))
        }
        Conclusion::Without(mishap) => Err(Failure::Other(mishap.reason().to_owned())),
    }
}
