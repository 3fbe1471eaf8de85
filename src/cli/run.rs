//! `nilas run`: the daemon.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::configuration::ConfigurationFile;
use super::failure::Failure;
use super::runtime;
use crate::config::{Config, Overrides};
use crate::daemon::{DaemonError, DaemonLock, Service, Signals, Worker, World, open_ledger};
use crate::deliver::Carrier;
use crate::ledger::Ledger;
use crate::notify::Notifier;
use crate::produce::{Gatherer, Watch};
use crate::source::InspectionProgram;
use crate::sys::WorkGroup;
use crate::time::{Clock, SystemClock};

/// What the end waits for threads that are at work. A copy to a mount whose server is gone may never come to its end; one that is cut
/// short is made again.
const LONGEST_END: Duration = Duration::from_secs(10);

/// Makes every day when its inputs are there, until it is stopped. Started by systemd.
#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    configuration: ConfigurationFile,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let path = arguments.configuration.path()?;
    let config = Config::load(&path, &Overrides::default())?;
    let _only = DaemonLock::take(&config.folders.state)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let ledger = Arc::new(open_ledger(&config, &*clock)?);
    let service = Service::new(ledger, Arc::clone(&clock), builder(path, clock)?)?;
    let runtime = runtime()?;
    let ended: Result<(), Failure> = runtime.block_on(async {
        let signals = Signals::of_process().map_err(Failure::other)?;
        Ok(Box::pin(service.run(signals)).await?)
    });
    runtime.shutdown_timeout(LONGEST_END);
    ended
}

/// Builds the world that the configuration file describes at the time.
fn builder(path: PathBuf, clock: Arc<dyn Clock>) -> Result<Box<crate::daemon::Build>, Failure> {
    let (engine, inspector) = (super::program("nilas-engine")?, super::program("nilas-inspect")?);
    // This process moves into a group beside that of productions, once.
    let group = WorkGroup::delegated()
        .inspect_err(|reason| tracing::debug!("the kernel does not limit productions: {reason}"))
        .ok()
        .map(Arc::new);
    Ok(Box::new(move |ledger: Arc<Ledger>| {
        let config = Arc::new(Config::load(&path, &Overrides::default())?);
        let inspector = Box::new(InspectionProgram::new(inspector.clone()));
        let gatherer = Gatherer::new(
            Arc::clone(&config),
            Arc::clone(&ledger),
            inspector,
            Watch::Series,
            Arc::clone(&clock),
        )?;
        let limits = config.production.clone();
        let producer = Box::new(Worker::new(engine.clone(), limits, Arc::clone(&clock), group.clone()));
        let carrier = Carrier::new(&config)?;
        let notifier = Notifier::new(&config.notify, ledger, Arc::clone(&clock))?;
        Ok::<_, DaemonError>(World { config, gatherer, producer, notifier, carrier })
    }))
}
