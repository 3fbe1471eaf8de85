//! Why the ledger cannot be used. Each names the file and what to do.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

use super::opening::BUSY_TIMEOUT;

/// What can go wrong with the ledger.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// Root would make files there that the user whose folder it is could not use.
    #[error(
        "{folder} belongs to the user {owner}, who could not use what root makes there; do it as that user: `sudo -u nilas nilas ...` or \
         `runuser -u nilas -- nilas ...`"
    )]
    OfAnother {
        /// The folder of the ledger.
        folder: PathBuf,
        /// The number of its user.
        owner: u32,
    },
    /// Its folder or its lock cannot be made.
    #[error(
        "{path}: {source}; do it as the user that Nilas runs as (`sudo -u nilas nilas ...`), and check that folders.state of the configuration \
         lies where that user may write"
    )]
    Folder {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is no ledger, or not a whole one.
    #[error(
        "the ledger {path} is damaged ({reason}); start the daemon (again): it keeps the file under another name, puts the newest copy in its \
         place, and says what it did"
    )]
    Damaged {
        /// The ledger.
        path: PathBuf,
        /// What `SQLite` found.
        reason: String,
    },
    /// A copy is not whole, mostly because the ledger is not.
    #[error(
        "the copy {path} is damaged ({reason}); if it is again at the next look, so is the ledger: see to the disk, stop Nilas, and put the \
         newest whole copy in its place"
    )]
    DamagedCopy {
        /// The copy.
        path: PathBuf,
        /// What `SQLite` found.
        reason: String,
    },
    /// The file has tables that this program does not know.
    #[error(
        "the ledger {path} has version {found}, and this Nilas knows none above {known}; run the newer Nilas that wrote it, or put a \
         backup from before in its place"
    )]
    Newer {
        /// The ledger.
        path: PathBuf,
        /// Its version.
        found: i32,
        /// The newest version known.
        known: i32,
    },
    /// The file system does not do what several processes at one file need.
    #[error(
        "the ledger {path} cannot have a write-ahead log there; let folders.state of the configuration be a disk of this machine"
    )]
    NoWriteAheadLog {
        /// The ledger.
        path: PathBuf,
    },
    /// Another process does not let go of it.
    #[error(
        "the ledger {path} was held by another process for more than {} s; find it with `fuser {path}`, and try again when it has ended",
        BUSY_TIMEOUT.as_secs()
    )]
    Busy {
        /// The ledger, or the lock under which it is opened.
        path: PathBuf,
    },
    /// Anything else that `SQLite` says.
    #[error("the ledger {path}: {source}; check that Nilas may write there, and that there is space")]
    Sql {
        /// The ledger.
        path: PathBuf,
        /// What `SQLite` said.
        source: rusqlite::Error,
    },
}

impl LedgerError {
    /// Whether it may be otherwise in a while without anybody touching the ledger: no space, a disk that does not answer, another process.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        let Self::Sql { source, .. } = self else { return matches!(self, Self::Busy { .. }) };
        let code = source.sqlite_error_code();
        code.is_some_and(|code| {
            matches!(
                code,
                ErrorCode::DiskFull
                    | ErrorCode::SystemIoFailure
                    | ErrorCode::CannotOpen
                    | ErrorCode::ReadOnly
                    | ErrorCode::OutOfMemory
            )
        })
    }

    /// What is said of a copy that was being made: a start of the daemon, which mends a damaged ledger, would not help.
    pub(super) fn of_copy(self) -> Self {
        match self {
            Self::Damaged { path, reason } => Self::DamagedCopy { path, reason },
            other => other,
        }
    }

    /// The meaning of what `SQLite` said of the ledger at `path`.
    pub(super) fn of(path: &Path, source: rusqlite::Error) -> Self {
        let path = path.to_owned();
        match source.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::Damaged { path, reason: source.to_string() }
            }
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy { path },
            _ => Self::Sql { path, source },
        }
    }
}
