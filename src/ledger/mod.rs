//! The ledger: what Nilas must remember from one run to the next, in SQL.
//!
//! * `opening`: the file is made, checked, and brought to the version that this program knows (`migrations`); or opened to look only.
//!   `recovery`: a damaged one gives way to its newest copy.
//! * `files`: every input file that came, its verdict and what was measured on it.
//! * `days`: which files were chosen for a day, and which inputs of it are not waited for any more.
//! * `standing`: how days stand, and which are asked for. `runs`: the productions that worked on them. `products`: what was
//!   published.
//! * `looking`: what is asked only to show it.
//! * `service`: holds, daily chores, copies of the ledger.
//! * `incidents`: what people are told, and how far they were told, so that they are told once.
//! * `outbox`: messages that tell them, until they have arrived.
//! * `values`: how days, times and paths are written.
//!
//! It knows no product: roles, words and measures are texts here. Several processes may have it open at once; each call is a
//! transaction of its own, which is on disk when the call returns.

mod carried;
mod days;
mod error;
mod files;
mod incidents;
mod looking;
mod opening;
mod outbox;
mod products;
mod recovery;
mod runs;
mod service;
mod standing;
#[cfg(test)]
mod tests;
mod values;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, TransactionBehavior};

pub use carried::CarriedRoot;
pub use days::DayInput;
pub use error::LedgerError;
pub use files::{CheckRow, FileRow, Refusal, Verdict};
pub use incidents::{Incident, Severity, Told};
pub use looking::Gap;
pub use outbox::{Channel, Delivery, IncidentStep, MessageKind, NewMessage, Recipient};
pub use products::{ProductInput, ProductRow, Withdrawal};
pub use recovery::Recovery;
pub use runs::{Aftermath, Origin, Outcome, RunEnd, RunRow};
pub use service::Hold;
#[cfg(test)]
pub(crate) use service::tests::damage_index;
pub use standing::{Asked, DayRow, DayState};

/// An open ledger. Its calls block on the disk, and for some seconds where another process is writing.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    connection: Mutex<Connection>,
}

impl Ledger {
    /// Name of the ledger's file in the folder for what Nilas must remember.
    pub const FILE_NAME: &str = "ledger.sqlite";

    /// Opens the ledger at `path`; a new one, with its folder, where there is none.
    ///
    /// # Errors
    /// [`LedgerError`], where the file cannot be used, is damaged, or was written by a newer Nilas.
    pub fn open(path: &Path) -> Result<Self, LedgerError> {
        Ok(Self { path: path.to_owned(), connection: Mutex::new(opening::open(path)?) })
    }

    /// The same for whoever only looks, which takes as long after years as on the first day: nothing can be written, and damage is told
    /// where it is met ([`LedgerError::Damaged`]), not where it lies in pages that nobody asks for.
    ///
    /// # Errors
    /// As for [`Ledger::open`].
    pub fn open_to_look(path: &Path) -> Result<Self, LedgerError> {
        Ok(Self { path: path.to_owned(), connection: Mutex::new(opening::open_to_look(path)?) })
    }

    /// What `action` reads is of one moment, whoever writes meanwhile.
    fn read<T>(&self, action: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, LedgerError> {
        self.transact(TransactionBehavior::Deferred, action)
    }

    /// All of what `action` writes, or nothing. The right to write is taken at the beginning, where waiting for it is safe.
    fn write<T>(&self, action: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, LedgerError> {
        self.transact(TransactionBehavior::Immediate, action)
    }

    fn transact<T>(
        &self,
        behavior: TransactionBehavior,
        action: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, LedgerError> {
        let mut connection = self.connection();
        let done = connection.transaction_with_behavior(behavior).and_then(|transaction| {
            let value = action(&transaction)?;
            transaction.commit()?;
            Ok(value)
        });
        done.map_err(|error| LedgerError::of(&self.path, error))
    }

    /// The connection, also after a thread has panicked with it: its transaction was taken back as it fell.
    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
