//! What the service itself must remember: whether it is held, which daily chores are done; and copies of the ledger.

use std::fs;
use std::path::Path;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::values::UtcTime;
use super::{Ledger, LedgerError, opening, recovery};
use crate::sys;
use crate::time::ProductDay;

/// Ending of a copy that is being made.
pub(super) const UNFINISHED_COPY: &str = "part";

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

    /// When a daily chore was done last, UTC.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn chore_done_at(&self, name: &str) -> Result<Option<DateTime<Utc>>, LedgerError> {
        self.read(|connection| {
            let sql = "SELECT done_at FROM chores WHERE name = ?1";
            let time = connection.query_row(sql, [name], |row| row.get::<_, UtcTime>(0)).optional()?;
            Ok(time.map(|time| time.0))
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

    /// What the copy of a day is called.
    #[must_use]
    pub fn copy_name(day: ProductDay) -> String {
        format!("ledger-{}.sqlite", day.compact())
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
    /// [`LedgerError`]; then an older copy at `path` is as it was. [`LedgerError::DamagedCopy`] where what was copied is not whole: it
    /// names a file beside `path`, which stays to be looked at until the next copy is made there, or it is cleared away.
    pub fn copy_to(&self, path: &Path) -> Result<(), LedgerError> {
        let part = path.with_added_extension(UNFINISHED_COPY);
        let folder = |source| LedgerError::Folder { path: path.to_owned(), source };
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(folder)?;
        }
        // What an earlier copy has left there may be no ledger at all, and such a file is not written over.
        recovery::remove(&part).map_err(folder)?;
        sys::make_private(&part).map_err(folder)?;
        self.fill(&part).map_err(LedgerError::of_copy)?;
        fs::File::open(&part).and_then(|file| file.sync_all()).map_err(folder)?;
        fs::rename(&part, path).map_err(folder)
    }

    fn fill(&self, part: &Path) -> Result<(), LedgerError> {
        let failed = |error| LedgerError::of(part, error);
        self.connection().backup("main", part, None).map_err(failed)?;
        let copy = Connection::open(part).map_err(failed)?;
        // A single file, which can be copied anywhere: without a log beside it.
        copy.pragma_update_and_check(None, "journal_mode", "delete", |_| Ok(())).map_err(failed)?;
        // What is wrong with the ledger is copied with it, page by page: it must not take the place of copies that are whole.
        opening::check(&copy, part, "integrity_check")
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-11-29T03:00:00Z".parse().unwrap()
    }

    /// Lets an index have a row of its table as it was before, which only a thorough check finds.
    pub(crate) fn damage_index(path: &Path) {
        let hide = "INSERT INTO incidents (key, severity, text, opened_at, last_seen_at)
                 VALUES ('late', 'warning', 'it is late', '2026-11-29T03:00:00.000Z', '2026-11-29T03:00:00.000Z');
             PRAGMA writable_schema = ON;
             CREATE TEMP TABLE hidden AS SELECT * FROM sqlite_schema WHERE name = 'incidents_by_key';
             DELETE FROM sqlite_schema WHERE name = 'incidents_by_key';
             PRAGMA writable_schema = RESET;
             UPDATE incidents SET key = 'later' WHERE key = 'late';
             PRAGMA writable_schema = ON;
             INSERT INTO sqlite_schema SELECT * FROM temp.hidden;
             PRAGMA writable_schema = RESET;";
        Connection::open(path).unwrap().execute_batch(hide).unwrap();
    }

    #[test]
    fn a_copy_that_is_not_whole_takes_no_place() {
        let folder = tempfile::tempdir().unwrap();
        let (path, copy) = (folder.path().join(Ledger::FILE_NAME), folder.path().join("copies/copy.sqlite"));
        Ledger::open(&path).unwrap().hold("written down", now()).unwrap();
        Ledger::open(&path).unwrap().copy_to(&copy).unwrap();
        let whole = fs::read(&copy).unwrap();

        damage_index(&path);
        let ledger = Ledger::open(&path).unwrap();
        let error = ledger.copy_to(&copy).unwrap_err();
        let LedgerError::DamagedCopy { path: part, reason } = &error else { panic!("{error}") };
        assert!(!error.to_string().contains("start the daemon"), "{error}");
        assert_eq!((part, part.exists()), (&copy.with_added_extension("part"), true));
        assert!(reason.contains("incidents_by_key"), "{reason}");
        assert_eq!(fs::read(&copy).unwrap(), whole, "the older copy stays");

        Connection::open(&path).unwrap().execute_batch("REINDEX").unwrap();
        ledger.copy_to(&copy).unwrap();
        assert!(!part.exists() && Ledger::open(&copy).is_ok());
    }
}
