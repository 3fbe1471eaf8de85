//! What the service itself must remember: whether it is held, which daily chores are done; and copies of the ledger.

use std::fs;
use std::path::Path;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::values::UtcTime;
use super::{Ledger, LedgerError};
use crate::sys;
use crate::time::ProductDay;

/// A time in which nothing is produced by the daemon, because a person said so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// Why, in the person's words.
    pub reason: String,
    /// Since when, UTC.
    pub began_at: DateTime<Utc>,
}

impl Ledger {
    /// Holds production. False where it is held already; then the first reason stays.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn hold(&self, reason: &str, now: DateTime<Utc>) -> Result<bool, LedgerError> {
        self.write(|connection| {
            let sql = "INSERT INTO holds (reason, began_at) SELECT :reason, :now
                       WHERE NOT EXISTS (SELECT 1 FROM holds WHERE ended_at IS NULL)";
            Ok(connection.execute(sql, named_params! { ":reason": reason, ":now": UtcTime(now) })? == 1)
        })
    }

    /// Lets production go on. False where it was not held.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn resume(&self, now: DateTime<Utc>) -> Result<bool, LedgerError> {
        self.write(|connection| {
            let sql = "UPDATE holds SET ended_at = ?1 WHERE ended_at IS NULL";
            Ok(connection.execute(sql, [UtcTime(now)])? == 1)
        })
    }

    /// The hold that is on, if any.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn current_hold(&self) -> Result<Option<Hold>, LedgerError> {
        let hold = |row: &Row<'_>| {
            Ok(Hold { reason: row.get("reason")?, began_at: row.get::<_, UtcTime>("began_at")?.0 })
        };
        self.read(|connection| {
            connection.query_row("SELECT * FROM holds WHERE ended_at IS NULL", [], hold).optional()
        })
    }

    /// The day for which a daily chore was done last.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn chore(&self, name: &str) -> Result<Option<ProductDay>, LedgerError> {
        self.read(|connection| {
            connection
                .query_row("SELECT day FROM chores WHERE name = ?1", [name], |row| row.get(0))
                .optional()
        })
    }

    /// Writes down that a daily chore is done for a day.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn chore_done(&self, name: &str, day: ProductDay, now: DateTime<Utc>) -> Result<(), LedgerError> {
        self.write(|connection| {
            let sql = "INSERT INTO chores (name, day, done_at) VALUES (:name, :day, :now)
                       ON CONFLICT (name) DO UPDATE SET day = excluded.day, done_at = excluded.done_at";
            let parameters = named_params! { ":name": name, ":day": day, ":now": UtcTime(now) };
            connection.execute(sql, parameters).map(|_| ())
        })
    }

    /// A number that changes when another process, or another opening of the ledger, has written something.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn changes_elsewhere(&self) -> Result<i64, LedgerError> {
        let version = self.connection().pragma_query_value(None, "data_version", |row| row.get(0));
        version.map_err(|error| LedgerError::of(&self.path, error))
    }

    /// Copies the ledger to `path` while others use it. The copy is a ledger of its own, whole, or not there, and for nobody else to read.
    ///
    /// # Errors
    /// [`LedgerError`]; then an older copy at `path` is as it was.
    pub fn copy_to(&self, path: &Path) -> Result<(), LedgerError> {
        let part = path.with_added_extension("part");
        let folder = |source| LedgerError::Folder { path: path.to_owned(), source };
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(folder)?;
        }
        sys::make_private(&part).map_err(folder)?;
        self.connection().backup("main", &part, None).map_err(|error| LedgerError::of(&part, error))?;
        // A single file, which can be copied anywhere: without a log beside it.
        Connection::open(&part)
            .and_then(|copy| copy.pragma_update_and_check(None, "journal_mode", "delete", |_| Ok(())))
            .map_err(|error| LedgerError::of(&part, error))?;
        fs::File::open(&part).and_then(|file| file.sync_all()).map_err(folder)?;
        fs::rename(&part, path).map_err(folder)
    }
}
