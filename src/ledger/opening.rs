//! A ledger is opened: made where there is none, checked, and brought to the version that this program knows.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use rusqlite_migration::{Error as MigrationError, M, Migrations};

use super::LedgerError;
use crate::sys;

/// How long a call waits while another process writes. Writing takes milliseconds.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// The number of the user root.
const ROOT: u32 = 0;
/// Between two looks whether another process still opens the ledger.
const PAUSE: Duration = Duration::from_millis(20);

/// One step for every version; those that have gone out are never changed.
const STEPS: &[M<'static>] = &[
    M::up(include_str!("migrations/1_inputs.sql")),
    M::up(include_str!("migrations/2_messages.sql")),
    M::up(include_str!("migrations/3_days.sql")),
    M::up(include_str!("migrations/4_carried.sql")),
    M::up(include_str!("migrations/5_places.sql")),
];
const MIGRATIONS: Migrations<'static> = Migrations::from_slice(STEPS);

/// Opens the ledger at `path` after looking through all of it: what is damaged is not written to.
pub(super) fn open(path: &Path) -> Result<Connection, LedgerError> {
    let _lock = opening_lock(path, BUSY_TIMEOUT)?;
    let mut connection = connect(path)?;
    check(&connection, path, "quick_check")?;
    migrate(&mut connection, path)?;
    Ok(connection)
}

/// Opens the ledger at `path` for whoever writes nothing. Looking through all of it would take longer with every year, so what is read is
/// checked as it is read.
pub(super) fn open_to_look(path: &Path) -> Result<Connection, LedgerError> {
    let _lock = opening_lock(path, BUSY_TIMEOUT)?;
    let mut connection = connect(path)?;
    if steps_ahead(&connection, path)? != 0 {
        // An older one is written to after all.
        check(&connection, path, "quick_check")?;
        migrate(&mut connection, path)?;
    }
    let protect = || connection.pragma_update(None, "query_only", true);
    protect().map_err(|error| LedgerError::of(path, error))?;
    Ok(connection)
}

fn connect(path: &Path) -> Result<Connection, LedgerError> {
    close_to_others(path).map_err(|source| LedgerError::Folder { path: path.to_owned(), source })?;
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection =
        Connection::open_with_flags(path, flags).map_err(|error| LedgerError::of(path, error))?;
    settle(&connection, path)?;
    Ok(connection)
}

/// Root may open everything, and so may begin a ledger, or a product, that the daemon cannot open afterwards.
fn keep_root_out(path: &Path) -> Result<(), LedgerError> {
    let Some(folder) = path.parent() else { return Ok(()) };
    match fs::metadata(folder).map(|metadata| metadata.uid()) {
        // One that is not there will be root's own.
        Err(_) | Ok(ROOT) => Ok(()),
        Ok(owner) => Err(LedgerError::OfAnother { folder: folder.to_owned(), owner }),
    }
}

/// What `SQLite` puts beside a ledger that is in use.
pub(super) fn companions(path: &Path) -> [PathBuf; 2] {
    ["-wal", "-shm"].map(|end| {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        PathBuf::from(name)
    })
}

/// Lets nobody read the ledger but the user that Nilas runs as. `SQLite` would make it readable for all; what it puts beside it gets the
/// ledger's own mode, where it was not there before.
fn close_to_others(path: &Path) -> io::Result<()> {
    sys::make_private(path)?;
    companions(path).iter().try_for_each(|companion| sys::keep_private(companion))
}

/// Lets one process at a time open the ledger: `SQLite` has no wait for two that turn a new file into a ledger at once.
fn opening_lock(path: &Path, patience: Duration) -> Result<File, LedgerError> {
    if rustix::process::geteuid().is_root() {
        keep_root_out(path)?;
    }
    let lock = path.with_added_extension("lock");
    let refuse = |source| LedgerError::Folder { path: lock.clone(), source };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(refuse)?;
    }
    let file = sys::open_private(&lock).map_err(refuse)?;
    let mut waited = Duration::ZERO;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(source)) => return Err(refuse(source)),
            Err(TryLockError::WouldBlock) if waited >= patience => {
                return Err(LedgerError::Busy { path: lock });
            }
            Err(TryLockError::WouldBlock) => thread::sleep(PAUSE),
        }
        waited += PAUSE;
    }
}

/// Sets what every connection to the ledger at `path` needs.
pub(super) fn settle(connection: &Connection, path: &Path) -> Result<(), LedgerError> {
    let set = || {
        connection.busy_timeout(BUSY_TIMEOUT)?;
        // A message that went out must not be forgotten in a power cut, else it goes out again. There are so few commits that each
        // of them can wait for the disk.
        connection.pragma_update(None, "synchronous", "full")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        // Of a damaged page more is noticed when it is read.
        connection.pragma_update(None, "cell_size_check", true)?;
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
    let ahead = steps_ahead(connection, path)?;
    if ahead > 0 {
        let known = STEPS.len() as i32;
        return Err(LedgerError::Newer { path: path.to_owned(), found: known + ahead, known });
    }
    MIGRATIONS.to_latest(connection).map_err(|error| migration_error(path, error))
}

/// By how many versions the ledger is newer than this program; below 0 where it is older.
fn steps_ahead(connection: &Connection, path: &Path) -> Result<i32, LedgerError> {
    let pending = MIGRATIONS.pending_migrations(connection);
    pending.map(|steps| -steps).map_err(|error| migration_error(path, error))
}

fn migration_error(path: &Path, error: MigrationError) -> LedgerError {
    match error {
        MigrationError::RusqliteError { err, .. } => LedgerError::of(path, err),
        other => LedgerError::Damaged { path: path.to_owned(), reason: other.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_ledger_and_all_beside_it_are_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.sqlite");
        let [log, index] = companions(&path);
        let files = [&path, &log, &index, &path.with_added_extension("lock")];
        let first = open(&path).unwrap();
        assert_eq!(files.map(|file| sys::mode(file)), [0o600; 4]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), files.len());
        // As an earlier Nilas left them that was killed.
        for file in files {
            fs::set_permissions(file, Permissions::from_mode(0o644)).unwrap();
        }
        let second = open(&path).unwrap();
        assert_eq!(files.map(|file| sys::mode(file)), [0o600; 4]);
        drop((first, second));
    }

    #[test]
    fn root_begins_nothing_in_the_folder_of_another_user() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.sqlite");
        let is_root = rustix::process::geteuid().is_root();
        if is_root {
            keep_root_out(&path).unwrap();
            std::os::unix::fs::chown(folder.path(), Some(990), None).unwrap();
        }
        for only_looks in [false, true] {
            let opened = || if only_looks { open_to_look(&path) } else { open(&path) };
            let refused = if is_root { opened().map(drop) } else { keep_root_out(&path) };
            let error = refused.unwrap_err();
            assert!(matches!(&error, LedgerError::OfAnother { owner, .. } if *owner != ROOT), "{error}");
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        }
        keep_root_out(&folder.path().join("new/ledger.sqlite")).unwrap();
    }

    #[test]
    fn who_never_comes_to_an_end_with_opening_is_not_waited_for_without_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.sqlite");
        let held = opening_lock(&path, Duration::ZERO).unwrap();
        let error = opening_lock(&path, Duration::from_millis(100)).unwrap_err();
        assert!(
            matches!(&error, LedgerError::Busy { path } if path.ends_with("ledger.sqlite.lock")),
            "{error}"
        );
        drop(held);
        opening_lock(&path, Duration::ZERO).unwrap();
    }
}
