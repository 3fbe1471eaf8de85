//! A damaged ledger gives way to the newest whole copy of it.

use std::cmp::Reverse;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use super::service::UNFINISHED_COPY;
use super::{Ledger, LedgerError, opening};
use crate::time::ProductDay;

/// Ending of a ledger that is to take the place of a damaged one.
const RECOVERED: &str = "recovered";

/// What became of a damaged ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// What was wrong with it.
    pub reason: String,
    /// Where it lies now, for whoever wants to look at it.
    pub damaged: PathBuf,
    /// The copy that stands in its place; `None` where there was none to be used, and an empty ledger does.
    pub copy: Option<PathBuf>,
}

impl Ledger {
    /// Opens the ledger at `path`. A damaged one is put aside, and the newest whole ledger of the folder `copies` takes its place; an empty
    /// one where there is none. For whoever no other process shares the ledger with that writes to it.
    ///
    /// # Errors
    /// As for [`Ledger::open`], but [`LedgerError::Damaged`] only where it cannot be put aside.
    pub fn open_or_recover(
        path: &Path,
        copies: &Path,
        now: DateTime<Utc>,
    ) -> Result<(Self, Option<Recovery>), LedgerError> {
        let reason = match Self::open(path) {
            Err(LedgerError::Damaged { reason, .. }) => reason,
            opened => return Ok((opened?, None)),
        };
        let failed = |source| LedgerError::Folder { path: path.to_owned(), source };
        let (fresh, copy) = newest_whole(path, copies, now)?;
        let damaged = path.with_added_extension(now.format("damaged-%Y%m%dT%H%M%SZ").to_string());
        put_aside(path, &damaged).map_err(failed)?;
        fs::rename(&fresh, path).and_then(|()| sync_folder_of(path)).map_err(failed)?;
        Ok((Self::open(path)?, Some(Recovery { reason, damaged, copy })))
    }

    /// Whether a file is a copy of a ledger that did not come to its end, what was to take the place of a damaged one, or a companion of
    /// such a file.
    #[must_use]
    pub fn is_unfinished(path: &Path) -> bool {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        [RECOVERED, UNFINISHED_COPY].iter().any(|ending| name.contains(&format!(".sqlite.{ending}")))
    }
}

/// Makes a ledger beside `path` of the newest copy that is whole, or an empty one; where it lies, and which copy it was.
fn newest_whole(
    path: &Path,
    copies: &Path,
    now: DateTime<Utc>,
) -> Result<(PathBuf, Option<PathBuf>), LedgerError> {
    let fresh = path.with_added_extension(RECOVERED);
    let failed = |source| LedgerError::Folder { path: fresh.clone(), source };
    for copy in newest_first(copies, now).map_err(failed)? {
        remove(&fresh).map_err(failed)?;
        fs::copy(&copy, &fresh).map_err(failed)?;
        // A copy that cannot be used is passed over, whatever is wrong with it: an older one may do.
        if Ledger::open(&fresh).is_ok() {
            File::open(&fresh).and_then(|file| file.sync_all()).map_err(failed)?;
            return Ok((fresh, Some(copy)));
        }
    }
    remove(&fresh).map_err(failed)?;
    Ledger::open(&fresh)?;
    Ok((fresh, None))
}

/// The copies by their names, in which their days stand. Those of days to come were made while the clock was ahead, nobody knows when, and
/// come last.
fn newest_first(copies: &Path, now: DateTime<Utc>) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(copies) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "sqlite"));
    let today = copies.join(Ledger::copy_name(ProductDay::new(now.date_naive())));
    paths.sort_by_key(|path| (*path > today, Reverse(path.clone())));
    Ok(paths)
}

/// Keeps the damaged ledger under another name. Its own name goes last, in one step with what takes its place: a process that is killed in
/// between finds it damaged once more, and not a new one.
fn put_aside(path: &Path, damaged: &Path) -> io::Result<()> {
    fs::hard_link(path, damaged)?;
    for (companion, beside) in opening::companions(path).iter().zip(opening::companions(damaged)) {
        match fs::rename(companion, beside) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            renamed => renamed?,
        }
    }
    sync_folder_of(path)
}

fn sync_folder_of(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

/// Removes a file, if it is there.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-11-29T03:00:00Z".parse().unwrap()
    }

    /// A ledger in use in which one thing is written, and the folder of its copies.
    fn ledger(folder: &Path) -> (PathBuf, PathBuf) {
        let path = folder.join(Ledger::FILE_NAME);
        Ledger::open(&path).unwrap().hold("written down", now()).unwrap();
        (path, folder.join("copies"))
    }

    /// Overwrites pages in the middle of the file.
    fn damage(path: &Path) {
        let file = File::options().write(true).open(path).unwrap();
        let length = file.metadata().unwrap().len();
        file.write_all_at(&vec![0xa5; length as usize / 2], length / 4).unwrap();
    }

    fn reason_of_hold(ledger: &Ledger) -> Option<String> {
        ledger.current_hold().unwrap().map(|hold| hold.reason)
    }

    #[test]
    fn a_whole_ledger_is_opened_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let (path, copies) = ledger(folder.path());
        let (opened, recovery) = Ledger::open_or_recover(&path, &copies, now()).unwrap();
        assert_eq!(recovery, None);
        assert_eq!(reason_of_hold(&opened).unwrap(), "written down");
    }

    #[test]
    fn the_newest_whole_copy_takes_the_place_of_a_damaged_ledger() {
        let folder = tempfile::tempdir().unwrap();
        let (path, copies) = ledger(folder.path());
        let copy = |day: u32| copies.join(format!("ledger-202611{day:02}.sqlite"));
        Ledger::open(&path).unwrap().copy_to(&copy(27)).unwrap();
        Ledger::open(&path).unwrap().resume(now()).unwrap();
        Ledger::open(&path).unwrap().copy_to(&copy(28)).unwrap();
        damage(&copy(28));
        let day = ProductDay::new(now().date_naive());
        Ledger::open(&path).unwrap().chore_done("digest", day, now()).unwrap();
        damage(&path);
        assert!(matches!(Ledger::open(&path), Err(LedgerError::Damaged { .. })));

        let (opened, recovery) = Ledger::open_or_recover(&path, &copies, now()).unwrap();
        let recovery = recovery.unwrap();
        assert_eq!(recovery.copy, Some(copy(27)), "that of the 28th is damaged, too");
        assert_eq!(recovery.damaged, path.with_added_extension("damaged-20261129T030000Z"));
        assert!(recovery.damaged.is_file());
        assert_eq!(reason_of_hold(&opened).unwrap(), "written down");
        assert_eq!(opened.chore("digest").unwrap(), None, "what came after the copy is not known any more");
        drop(opened);
        assert_eq!(Ledger::open_or_recover(&path, &copies, now()).unwrap().1, None, "that is done once");
    }

    #[test]
    fn without_a_copy_a_damaged_ledger_gives_way_to_an_empty_one() {
        let folder = tempfile::tempdir().unwrap();
        let (path, copies) = ledger(folder.path());
        damage(&path);
        let (opened, recovery) = Ledger::open_or_recover(&path, &copies, now()).unwrap();
        assert_eq!(recovery.unwrap().copy, None);
        assert_eq!(reason_of_hold(&opened), None);
    }

    #[test]
    fn what_is_no_ledger_at_all_is_kept_too() {
        let folder = tempfile::tempdir().unwrap();
        let (path, copies) = ledger(folder.path());
        fs::write(&path, "not a ledger, by any means").unwrap();
        let (_, recovery) = Ledger::open_or_recover(&path, &copies, now()).unwrap();
        assert_eq!(fs::read(recovery.unwrap().damaged).unwrap(), b"not a ledger, by any means");
    }
}
