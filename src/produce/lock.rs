//! One run a day at a time, whoever started it.

use std::fs::{self, File, TryLockError};
use std::path::Path;

use super::ProduceError;
use crate::publish;
use crate::sys;
use crate::time::ProductDay;

/// The right to produce a day; given back when dropped, and by the system when the process dies.
#[derive(Debug)]
pub struct DayLock {
    _file: File,
}

impl DayLock {
    /// Takes the lock of `day` under the product root, which is made if need be.
    ///
    /// # Errors
    /// [`ProduceError::Busy`] where another process has it, [`ProduceError::Lock`] where the root cannot be written.
    pub fn take(root: &Path, day: ProductDay) -> Result<Self, ProduceError> {
        let private = publish::private_folder(root);
        let folder = private.join("days");
        let path = folder.join(format!("{}.lock", day.compact()));
        let refuse = |source| ProduceError::Lock { path: path.clone(), source };
        sys::make_private_folder(&private).and_then(|()| fs::create_dir_all(&folder)).map_err(refuse)?;
        let file = sys::open_private(&path).map_err(refuse)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(ProduceError::Busy { day, path: path.clone() }),
            Err(TryLockError::Error(source)) => Err(refuse(source)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_produced_once_at_a_time_and_another_day_beside_it() {
        let root = tempfile::tempdir().unwrap();
        let day: ProductDay = "2022-04-15".parse().unwrap();
        let first = DayLock::take(root.path(), day).unwrap();
        assert!(matches!(DayLock::take(root.path(), day), Err(ProduceError::Busy { .. })));
        DayLock::take(root.path(), day.plus_days(1)).unwrap();
        let (folder, file) = (root.path().join(".nilas"), root.path().join(".nilas/days/20220415.lock"));
        assert_eq!([sys::mode(&folder), sys::mode(&file)], [0o700, 0o600], "nobody else may lock it");
        drop(first);
        DayLock::take(root.path(), day).unwrap();
    }
}
