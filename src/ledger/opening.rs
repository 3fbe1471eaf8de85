//! A ledger is opened: made where there is none, checked, and brought to the version that this program knows.

use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use rusqlite_migration::{Error as MigrationError, M, Migrations};

use super::LedgerError;

/// How long a call waits while another process writes. Writing takes milliseconds.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// One step for every version; those that have gone out are never changed.
const STEPS: &[M<'static>] = &[
    M::up(include_str!("migrations/1_inputs.sql")),
    M::up(include_str!("migrations/2_messages.sql")),
    M::up(include_str!("migrations/3_days.sql")),
    M::up(include_str!("migrations/4_carried.sql")),
];
const MIGRATIONS: Migrations<'static> = Migrations::from_slice(STEPS);

/// Opens the ledger at `path`.
pub(super) fn open(path: &Path) -> Result<Connection, LedgerError> {
    let _lock = opening_lock(path)?;
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection =
        Connection::open_with_flags(path, flags).map_err(|error| LedgerError::of(path, error))?;
    settle(&connection, path)?;
    check(&connection, path, "quick_check")?;
    migrate(&mut connection, path)?;
    Ok(connection)
}

/// Lets one process at a time open the ledger: `SQLite` has no wait for two that turn a new file into a ledger at once.
fn opening_lock(path: &Path) -> Result<File, LedgerError> {
    let lock = path.with_added_extension("lock");
    let refuse = |source| LedgerError::Folder { path: lock.clone(), source };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(refuse)?;
    }
    let file = File::create(&lock).map_err(refuse)?;
    file.lock().map_err(refuse)?;
    Ok(file)
}

/// Sets what every connection to the ledger at `path` needs.
pub(super) fn settle(connection: &Connection, path: &Path) -> Result<(), LedgerError> {
    let set = || {
        connection.busy_timeout(BUSY_TIMEOUT)?;
        // A message that went out must not be forgotten in a power cut, else it goes out again. There are so few commits that each
        // of them can wait for the disk.
        connection.pragma_update(None, "synchronous", "full")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get::<_, String>(0))
    };
    match set().map_err(|error| LedgerError::of(path, error))?.as_str() {
        "wal" => Ok(()),
        _ => Err(LedgerError::NoWriteAheadLog { path: path.to_owned() }),
    }
}

/// Lets `SQLite` look through the file at `path`: by `quick_check`, or by `integrity_check`, which also holds the indexes against the
/// tables.
pub(super) fn check(connection: &Connection, path: &Path, pragma: &str) -> Result<(), LedgerError> {
    let found = connection.pragma_query_value(None, pragma, |row| row.get::<_, String>(0));
    match found.map_err(|error| LedgerError::of(path, error))?.as_str() {
        "ok" => Ok(()),
        reason => Err(LedgerError::Damaged { path: path.to_owned(), reason: reason.to_owned() }),
    }
}

fn migrate(connection: &mut Connection, path: &Path) -> Result<(), LedgerError> {
    let of = |error| match error {
        MigrationError::RusqliteError { err, .. } => LedgerError::of(path, err),
        other => LedgerError::Damaged { path: path.to_owned(), reason: other.to_string() },
    };
    let ahead = -MIGRATIONS.pending_migrations(connection).map_err(of)?;
    if ahead > 0 {
        let known = STEPS.len() as i32;
        return Err(LedgerError::Newer { path: path.to_owned(), found: known + ahead, known });
    }
    MIGRATIONS.to_latest(connection).map_err(of)
}
