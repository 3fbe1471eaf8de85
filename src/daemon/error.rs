//! Why the daemon cannot go on, or a production cannot begin.

use std::io;
use std::path::PathBuf;

use crate::config::ConfigError;
use crate::deliver::DeliverError;
use crate::ledger::LedgerError;
use crate::notify::NotifyError;
use crate::produce::{GatherError, ProduceError};
use crate::publish::{ManifestError, PublishError};

/// What can go wrong around productions. What was published stays.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// Another daemon works on the same ledger.
    #[error(
        "another `nilas run` (process {process}) works on the ledger in {}; stop it first, or give this one other [folders]",
        path.parent().unwrap_or(path).display()
    )]
    Second {
        /// The lock that the other one holds.
        path: PathBuf,
        /// Its process, where it says so.
        process: String,
    },
    /// The lock of the daemon cannot be taken.
    #[error("{path}: {source}; check that folders.state of the configuration lies where Nilas may write")]
    Lock {
        /// The lock.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is too little space to begin.
    #[error(
        "{folder} has {free_megabytes} MB free, and a production does not begin with less than {least_megabytes} MB (production.least_free_megabytes); \
         free some space: `nilas prune` clears what is not kept"
    )]
    Space {
        /// The folder that lacks space.
        folder: PathBuf,
        /// What is free there, MB.
        free_megabytes: u64,
        /// What must be, MB.
        least_megabytes: u64,
    },
    /// A folder cannot be looked at, or a file of the daemon's not written.
    #[error("{path}: {source}; check that Nilas may read and write there, and that there is space")]
    File {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The address for HTTP cannot be listened on.
    #[error(
        "http.listen = {address} cannot be listened on ({source}); free the address, name another (its port has to stand in SocketBindAllow= of \
         nilas.service, too), or set http.enabled = false"
    )]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A cron expression cannot be used.
    #[error(
        "schedule.wake = \"{expression}\": {reason}; give second minute hour day month weekday, such as \"0 */15 * * * *\""
    )]
    Cron {
        /// The expression.
        expression: String,
        /// What is wrong.
        reason: String,
    },
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The ledger cannot be used.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// There is no copy of the ledger of today; older ones stay.
    #[error("the ledger cannot be copied: {0}")]
    Copy(LedgerError),
    /// Messages cannot be prepared.
    #[error(transparent)]
    Notify(#[from] NotifyError),
    /// The product root cannot be used.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// A manifest cannot be relied on.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// Products cannot be carried elsewhere as it is configured.
    #[error(transparent)]
    Deliver(#[from] DeliverError),
    /// Inputs cannot be gathered, whatever the day.
    #[error(transparent)]
    Gather(#[from] GatherError),
    /// A day cannot be worked on.
    #[error(transparent)]
    Produce(#[from] ProduceError),
}

impl DaemonError {
    /// What is the matter with the ledger, where that is what is the matter.
    pub(super) fn of_ledger(&self) -> Option<&LedgerError> {
        match self {
            Self::Ledger(error)
            | Self::Notify(NotifyError::Ledger(error))
            | Self::Deliver(DeliverError::Ledger(error))
            | Self::Gather(GatherError::Ledger(error)) => Some(error),
            _ => None,
        }
    }
}
