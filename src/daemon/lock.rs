//! One daemon a ledger.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::thread;
use std::time::Duration;

use super::DaemonError;
use crate::sys;

const FILE_NAME: &str = "daemon.lock";

/// A look at the lock takes far less than this many pauses.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(20);

/// The right to be the daemon of a ledger; given back when dropped, and by the system when the process dies.
#[derive(Debug)]
pub struct DaemonLock {
    _file: File,
}

impl DaemonLock {
    /// Takes the lock in the folder for what Nilas must remember.
    ///
    /// # Errors
    /// [`DaemonError::Second`] where another daemon has it.
    pub fn take(state: &Path) -> Result<Self, DaemonError> {
        let path = state.join(FILE_NAME);
        let failed = |source| DaemonError::Lock { path: path.clone(), source };
        fs::create_dir_all(state).map_err(failed)?;
        let mut file = sys::open_private(&path).map_err(failed)?;
        match lock(&file) {
            Ok(()) => {
                write_over(&mut file, &std::process::id().to_string()).map_err(failed)?;
                Ok(Self { _file: file })
            }
            Err(TryLockError::WouldBlock) => {
                let process = process_in(&mut file);
                Err(DaemonError::Second { path, process })
            }
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// The process that has the lock; `None` where no daemon is at work.
    ///
    /// # Errors
    /// [`DaemonError::Lock`].
    pub fn holder(state: &Path) -> Result<Option<String>, DaemonError> {
        let path = state.join(FILE_NAME);
        let failed = |source| DaemonError::Lock { path: path.clone(), source };
        let mut file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(failed)?,
        };
        // Not waited for, and shared with others who look: only a daemon has it for itself.
        match file.try_lock_shared() {
            Ok(()) => Ok(None),
            Err(TryLockError::WouldBlock) => Ok(Some(process_in(&mut file))),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }
}

/// Replaces what a file says. Written first and cut afterwards, so that a daemon starts again on a disk without any space.
fn write_over(file: &mut File, text: &str) -> io::Result<()> {
    file.seek(SeekFrom::Start(0))?;
    file.write_all(text.as_bytes())?;
    file.set_len(text.len() as u64)
}

/// Who has the lock: it only helps to find it.
fn process_in(file: &mut File) -> String {
    let mut process = String::new();
    let _ = file.read_to_string(&mut process);
    if process.is_empty() { "unknown".to_owned() } else { process }
}

/// Whoever only looks who has the lock holds it for a moment, which is no reason to end.
fn lock(file: &File) -> Result<(), TryLockError> {
    for _ in 0..TRIES {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => thread::sleep(PAUSE),
            done => return done,
        }
    }
    file.try_lock()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_the_first_is() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(DaemonLock::holder(folder.path()).unwrap(), None);
        let first = DaemonLock::take(folder.path()).unwrap();
        let error = DaemonLock::take(folder.path()).unwrap_err().to_string();
        let own = std::process::id().to_string();
        assert!(error.contains(&own) && error.contains("stop it first"), "{error}");
        assert_eq!(DaemonLock::holder(folder.path()).unwrap(), Some(own));
        assert_eq!(sys::mode(&folder.path().join(FILE_NAME)), 0o600, "nobody else may lock it");
        drop(first);
        assert_eq!(DaemonLock::holder(folder.path()).unwrap(), None);
        DaemonLock::take(folder.path()).unwrap();
    }

    #[test]
    fn nothing_is_left_of_what_a_longer_lock_said() {
        let folder = tempfile::tempdir().unwrap();
        drop(DaemonLock::take(folder.path()).unwrap());
        let path = folder.path().join(FILE_NAME);
        fs::write(&path, "12345678901234567890").unwrap();
        let _first = DaemonLock::take(folder.path()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), std::process::id().to_string());
    }

    #[test]
    fn who_looks_is_no_daemon_to_others_who_look() {
        let folder = tempfile::tempdir().unwrap();
        drop(DaemonLock::take(folder.path()).unwrap());
        let looking = File::open(folder.path().join(FILE_NAME)).unwrap();
        looking.try_lock_shared().unwrap();
        assert_eq!(DaemonLock::holder(folder.path()).unwrap(), None);
    }
}
