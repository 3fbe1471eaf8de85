//! What is done once a day: a copy of the ledger, clearing up, the digest.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use chrono::{DateTime, TimeDelta, Utc};

use crate::config::{Config, Retention};
use crate::fetch;
use crate::ledger::{Ledger, ProductInput, ProductRow, Severity};
use crate::notify::{Digest, DigestEntry, DigestInput, DigestTiming, Notifier};
use crate::publish;
use crate::sys;
use crate::time::ProductDay;

use super::recovery::LEDGER;
use super::{DaemonError, incidents, leftovers};

const MEGABYTE: u64 = 1_000_000;

/// Folder of the copies of the ledger, in the folder for what Nilas must remember.
pub(super) const COPIES: &str = "backups";
/// Folder of refused files there.
const QUARANTINE: &str = "quarantine";

/// Something that is done once a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chore {
    /// A copy of the ledger.
    Copy,
    /// Clearing up.
    ClearUp,
    /// The daily mail.
    Digest,
}

impl Chore {
    pub(super) const ALL: [Self; 3] = [Self::Copy, Self::ClearUp, Self::Digest];

    fn name(self) -> &'static str {
        match self {
            Self::Copy => "copy",
            Self::ClearUp => "clear-up",
            Self::Digest => "digest",
        }
    }
}

/// Does what has not been done for today. One chore that fails holds up no other: while the ledger cannot be copied the disk must not fill.
///
/// # Errors
/// [`DaemonError`] of the first one that failed; it is tried again the next time.
pub(super) fn run(
    ledger: &Ledger,
    notifier: &Notifier,
    config: &Config,
    now: DateTime<Utc>,
) -> Result<(), DaemonError> {
    let today = ProductDay::new(now.date_naive());
    let mut all = Ok(());
    for chore in Chore::ALL {
        // A day that lies ahead is of a clock that did, and would put the chore off until then.
        if ledger.chore(chore.name())? == Some(today) || !is_time(chore, config, now) {
            continue;
        }
        let done = match chore {
            Chore::Copy => copy_ledger(ledger, config, now),
            Chore::ClearUp => clear_up(ledger, config, now, false).map(|cleared| {
                for Cleared { path, size_bytes, reason } in cleared {
                    tracing::info!(path = %path.display(), bytes = size_bytes, "cleared away: {reason}");
                }
            }),
            Chore::Digest => send_digest(ledger, notifier, config, now),
        };
        all = all.and(done.and_then(|()| Ok(ledger.chore_done(chore.name(), today, now)?)));
    }
    all
}

fn is_time(chore: Chore, config: &Config, now: DateTime<Utc>) -> bool {
    use chrono::Timelike;
    match chore {
        Chore::Copy | Chore::ClearUp => true,
        Chore::Digest => config.notify.digest.enabled && now.hour() >= config.notify.digest.hour_utc,
    }
}

/// Copies the ledger, and gives up the oldest copies.
fn copy_ledger(ledger: &Ledger, config: &Config, now: DateTime<Utc>) -> Result<(), DaemonError> {
    let today = ProductDay::new(now.date_naive());
    let folder = config.folders.state.join(COPIES);
    sys::make_private_folder(&folder).map_err(|source| DaemonError::File { path: folder.clone(), source })?;
    let newest = folder.join(Ledger::copy_name(today));
    ledger.copy_to(&newest).map_err(DaemonError::Copy)?;
    let mut copies = listed(&folder)?;
    copies.retain(|path| path.extension().is_some_and(|extension| extension == "sqlite"));
    // First those of days to come: they were made while the clock was ahead.
    copies.sort_by_key(|path| (*path <= newest, path.clone()));
    let superfluous = copies.len().saturating_sub(config.retention.ledger_copies as usize);
    for path in &copies[..superfluous] {
        fs::remove_file(path).map_err(|source| DaemonError::File { path: path.clone(), source })?;
    }
    let recovered = ledger.incident(LEDGER)?.filter(|open| open.severity == Severity::Failure);
    // A copy that has just taken the place of a damaged ledger is copied again at once, before people have heard of it.
    if recovered.is_some_and(|open| now - open.opened_at < TimeDelta::days(1)) {
        return Ok(());
    }
    incidents::settle(ledger, LEDGER, "the ledger is whole, and there is a copy of it", now)
}

/// What is in a folder, by name; nothing where the folder is not there.
pub(super) fn listed(folder: &Path) -> Result<Vec<PathBuf>, DaemonError> {
    let failed = |source| DaemonError::File { path: folder.to_owned(), source };
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>().map_err(failed)?;
    paths.sort();
    Ok(paths)
}

/// Something that is not kept any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cleared {
    /// The folder.
    pub path: PathBuf,
    /// What it took, bytes.
    pub size_bytes: u64,
    /// Why it goes.
    pub reason: &'static str,
}

/// Clears away what is not kept any more: revisions, fetched and refused files, old entries of the ledger, what killed processes have left.
/// A `rehearsal` only says what would go. Its limit of size the cache keeps by itself.
///
/// # Errors
/// [`DaemonError`]; what was cleared before is gone.
pub fn clear_up(
    ledger: &Ledger,
    config: &Config,
    now: DateTime<Utc>,
    rehearsal: bool,
) -> Result<Vec<Cleared>, DaemonError> {
    let root = &config.folders.products;
    let mut cleared = Vec::new();
    for (stored, reason) in publish::superfluous(&publish::stored(root)?, &config.retention, now) {
        if !rehearsal {
            publish::remove(root, stored.day, stored.revision)?;
            ledger.remove_product(stored.day, stored.revision, now)?;
        }
        let (path, size_bytes) = (stored.folder, stored.size_bytes);
        cleared.push(Cleared { path, size_bytes, reason: reason.in_words() });
    }
    if config.retention.cache_days > 0 {
        let before = now - TimeDelta::days(i64::from(config.retention.cache_days));
        let unused = fetch::give_up_unused(&config.folders.cache, before, rehearsal)
            .map_err(|error| DaemonError::Gather(error.into()))?;
        let reason = publish::Reason::Old.in_words();
        cleared.extend(unused.into_iter().map(|(path, size_bytes)| Cleared { path, size_bytes, reason }));
    }
    for refused in superfluous_quarantine(&config.folders.state, &config.retention, now)? {
        if !rehearsal {
            let failed = |source| DaemonError::File { path: refused.path.clone(), source };
            fs::remove_dir_all(&refused.path).map_err(failed)?;
        }
        cleared.push(refused);
    }
    if !rehearsal && config.retention.log_days > 0 {
        let before = now - TimeDelta::days(i64::from(config.retention.log_days));
        ledger.forget_runs(before)?;
        ledger.prune_messages(before)?;
        ledger.prune_incidents(before)?;
    }
    for left in leftovers::find(config, now)? {
        if !rehearsal {
            leftovers::remove(&left.path)?;
        }
        cleared.push(left);
    }
    Ok(cleared)
}

/// Folders of refused files that are not kept any more, the oldest first.
///
/// # Errors
/// [`DaemonError::File`].
pub fn superfluous_quarantine(
    state: &Path,
    retention: &Retention,
    now: DateTime<Utc>,
) -> Result<Vec<Cleared>, DaemonError> {
    let mut kept: Vec<(DateTime<Utc>, PathBuf, u64)> = Vec::new();
    for path in listed(&state.join(QUARANTINE))? {
        let failed = |source| DaemonError::File { path: path.clone(), source };
        let metadata = fs::symlink_metadata(&path).map_err(failed)?;
        // Nilas keeps folders there and nothing else: what people have left is theirs.
        if !metadata.is_dir() {
            continue;
        }
        let changed = metadata.modified().map_err(failed)?;
        let sizes = listed(&path)?.into_iter().map(|file| Ok(fs::symlink_metadata(file)?.len()));
        let size = sizes.sum::<io::Result<u64>>().map_err(failed)?;
        kept.push((changed.into(), path, size));
    }
    kept.sort();
    let oldest = now - TimeDelta::days(i64::from(retention.quarantine_days));
    let most = retention.quarantine_megabytes.saturating_mul(MEGABYTE);
    let mut taken: u64 = kept.iter().map(|(_, _, size)| size).sum();
    let mut gone = Vec::new();
    for (changed, path, size_bytes) in kept {
        let reason = if retention.quarantine_days > 0 && changed < oldest {
            publish::Reason::Old
        } else if most > 0 && taken > most {
            publish::Reason::TooMuch
        } else {
            continue;
        };
        taken -= size_bytes;
        gone.push(Cleared { path, size_bytes, reason: reason.in_words() });
    }
    Ok(gone)
}

fn send_digest(
    ledger: &Ledger,
    notifier: &Notifier,
    config: &Config,
    now: DateTime<Utc>,
) -> Result<(), DaemonError> {
    notifier.queue_digest(&digest(ledger, &config.folders.products, now)?)?;
    Ok(())
}

/// What was published since the last one, so that each product is in one of them; the first tells of a day.
fn digest(ledger: &Ledger, root: &Path, now: DateTime<Utc>) -> Result<Digest, DaemonError> {
    let today = ProductDay::new(now.date_naive());
    let last = ledger.chore_done_at(Chore::Digest.name())?.filter(|last| *last < now);
    let published = ledger.published_between(last.unwrap_or(now - TimeDelta::days(1)), now)?;
    let standing = published.iter().filter(|product| product.stands());
    let newest = standing.max_by_key(|product| (product.day, product.revision));
    let quicklook = newest.and_then(|product| quicklook(root, product));
    let entries =
        published.iter().map(|product| entry(ledger, root, product)).collect::<Result<_, DaemonError>>()?;
    Ok(Digest { day: today, published: entries, quicklook })
}

/// The picture of a product.
pub(super) fn quicklook(root: &Path, product: &ProductRow) -> Option<PathBuf> {
    let folder = publish::revision_folder(root, product.day, product.revision);
    listed(&folder).ok()?.into_iter().find(|path| publish::is_quicklook(path))
}

fn entry(ledger: &Ledger, root: &Path, product: &ProductRow) -> Result<DigestEntry, DaemonError> {
    let runs = ledger.runs_of(product.day)?;
    let own = runs.iter().find(|run| Some(run.id) == product.run);
    let stages = own.and_then(|run| Some(run.end.as_ref()?.stages.clone())).unwrap_or_default();
    let digest_input = |input: &ProductInput| DigestInput {
        role: input.role.clone(),
        name: input.name.clone(),
        age_days: input.age_days,
    };
    Ok(DigestEntry {
        day: product.day,
        revision: product.revision,
        status: match &product.withdrawal {
            Some(_) => "taken back",
            None if product.is_final => "final",
            None => "provisional",
        }
        .to_owned(),
        published_at: product.published_at,
        inputs: product.inputs.iter().map(digest_input).collect(),
        timings: stages.into_iter().map(|(stage, seconds)| DigestTiming { stage, seconds }).collect(),
        place: Some(publish::revision_folder(root, product.day, product.revision).display().to_string()),
    })
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::symlink;
    use std::sync::Arc;
    use std::time::{Duration, SystemTime};

    use super::super::scratch_house::{House, day};
    use super::*;
    use crate::config::Overrides;
    use crate::ledger::{LedgerError, damage_index};
    use crate::time::SystemClock;

    fn at(text: &str) -> DateTime<Utc> {
        format!("{text}:00Z").parse().unwrap()
    }

    /// A refused file that was put away so long ago.
    fn refuse(state: &Path, name: &str, days_ago: u64, bytes: usize, now: DateTime<Utc>) {
        let folder = state.join(QUARANTINE).join(name);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("file.nc"), vec![0; bytes]).unwrap();
        let then = SystemTime::from(now) - Duration::from_hours(24 * days_ago);
        File::open(&folder).unwrap().set_modified(then).unwrap();
    }

    fn gone(state: &Path, retention: &Retention, now: DateTime<Utc>) -> Vec<(String, &'static str)> {
        let gone = superfluous_quarantine(state, retention, now).unwrap().into_iter();
        gone.map(|one| (one.path.file_name().unwrap().to_str().unwrap().to_owned(), one.reason)).collect()
    }

    #[test]
    fn the_daily_mail_does_not_show_what_was_taken_back_as_if_it_stood() {
        let house = House::full();
        let digest = digest(&house.ledger, &house.config.folders.products, at("2026-03-02T05:00")).unwrap();
        let [taken_back] = digest.published.try_into().unwrap();
        assert_eq!((taken_back.day, taken_back.status.as_str()), (day("2026-02-27"), "taken back"));
        assert_eq!(digest.quicklook, None);
    }

    #[test]
    fn every_product_is_in_one_daily_mail_whenever_it_goes_out() {
        let house = House::full();
        let mut told = Vec::new();
        for now in [
            "2026-02-28T12:15",
            "2026-03-01T03:00",
            "2026-03-01T05:10",
            "2026-03-04T09:00",
            "2026-03-05T04:00",
        ] {
            let root = &house.config.folders.products;
            told.push(digest(&house.ledger, root, at(now)).unwrap().published.len());
            house.ledger.chore_done(Chore::Digest.name(), day(&now[..10]), at(now)).unwrap();
        }
        assert_eq!(told, [1, 1, 0, 1, 0]);
    }

    #[test]
    fn refused_files_go_when_they_are_old_or_too_many() {
        let state = tempfile::tempdir().unwrap();
        let now = at("2026-03-10T06:00");
        let keep_all = Retention { quarantine_days: 0, quarantine_megabytes: 0, ..Retention::default() };
        assert_eq!(gone(state.path(), &keep_all, now), []);
        for (name, days_ago) in [("a", 40), ("b", 3), ("c", 20)] {
            refuse(state.path(), name, days_ago, 600_000, now);
        }
        assert_eq!(gone(state.path(), &keep_all, now), []);
        let (old, much) = (publish::Reason::Old.in_words(), publish::Reason::TooMuch.in_words());
        let by_age = Retention { quarantine_days: 30, ..keep_all.clone() };
        assert_eq!(gone(state.path(), &by_age, now), [("a".to_owned(), old)]);
        let by_size = Retention { quarantine_megabytes: 1, ..keep_all };
        assert_eq!(gone(state.path(), &by_size, now), [("a".to_owned(), much), ("c".to_owned(), much)]);
    }

    #[test]
    fn what_people_leave_among_refused_files_holds_nothing_up() {
        let state = tempfile::tempdir().unwrap();
        let now = at("2026-03-10T06:00");
        refuse(state.path(), "a", 40, 1000, now);
        let quarantine = state.path().join(QUARANTINE);
        fs::write(quarantine.join("notes.txt"), "look at a").unwrap();
        symlink(state.path(), quarantine.join("shortcut")).unwrap();
        symlink("nothing", quarantine.join("broken")).unwrap();
        symlink("nothing", quarantine.join("a/broken")).unwrap();
        let then = SystemTime::from(now) - Duration::from_hours(24 * 40);
        File::open(quarantine.join("a")).unwrap().set_modified(then).unwrap();
        let by_age = Retention { quarantine_days: 30, ..Retention::default() };
        assert_eq!(gone(state.path(), &by_age, now), [("a".to_owned(), publish::Reason::Old.in_words())]);
    }

    #[test]
    fn fetched_files_that_nobody_uses_go() {
        let root = tempfile::tempdir().unwrap();
        let now = at("2026-03-10T06:00");
        for (name, days_ago) in [("old", 91), ("young", 89)] {
            let path = root.path().join("inputs/files").join(name).join("file.nc");
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "bytes").unwrap();
            let then = SystemTime::from(now) - Duration::from_hours(24 * days_ago);
            File::options().write(true).open(&path).unwrap().set_modified(then).unwrap();
        }
        let before = now - TimeDelta::days(90);
        let old = root.path().join("inputs/files/old/file.nc");
        for rehearsal in [true, false] {
            assert!(old.exists());
            assert_eq!(fetch::give_up_unused(root.path(), before, rehearsal).unwrap(), [(old.clone(), 5)]);
        }
        assert!(
            !root.path().join("inputs/files/old").exists() && root.path().join("inputs/files/young").exists()
        );
        assert_eq!(fetch::give_up_unused(&root.path().join("nothing"), before, false).unwrap(), []);
    }

    /// A house with its ledger, and what tells its people.
    fn house(root: &Path) -> (Config, Ledger, Notifier) {
        let overrides = Overrides {
            products: Some(root.join("products")),
            state: Some(root.join("state")),
            cache: Some(root.join("cache")),
            ..Overrides::default()
        };
        let config = Config::load(Path::new("config/nilas.toml"), &overrides).unwrap();
        let open = || Ledger::open(&config.folders.state.join(Ledger::FILE_NAME)).unwrap();
        let clock = Arc::new(SystemClock::new());
        let notifier = Notifier::new(&config.notify, Arc::new(open()), clock).unwrap();
        let ledger = open();
        (config, ledger, notifier)
    }

    #[test]
    fn the_ledger_is_copied_daily_and_the_oldest_copies_go() {
        let root = tempfile::tempdir().unwrap();
        let (mut config, ledger, notifier) = house(root.path());
        config.retention.ledger_copies = 2;
        let copies = config.folders.state.join(COPIES);
        for day in ["2026-03-08T00:10", "2026-03-08T09:00", "2026-03-09T00:10", "2026-03-10T00:10"] {
            ledger.hold(day, at(day)).unwrap();
            run(&ledger, &notifier, &config, at(day)).unwrap();
            ledger.resume(at(day)).unwrap();
        }
        let names = |paths: Vec<PathBuf>| -> Vec<String> {
            paths.iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect()
        };
        assert_eq!(names(listed(&copies).unwrap()), ["ledger-20260309.sqlite", "ledger-20260310.sqlite"]);
        // A copy of a day to come, made while the clock was ahead, is the first to go.
        fs::copy(copies.join("ledger-20260309.sqlite"), copies.join("ledger-20310101.sqlite")).unwrap();
        fs::remove_file(copies.join("ledger-20260309.sqlite")).unwrap();
        run(&ledger, &notifier, &config, at("2026-03-11T00:10")).unwrap();
        assert_eq!(names(listed(&copies).unwrap()), ["ledger-20260310.sqlite", "ledger-20260311.sqlite"]);
        let copy = copies.join("ledger-20260310.sqlite");
        assert_eq!([sys::mode(&copies), sys::mode(&copy)], [0o700, 0o600], "for nobody else to read");
        // A copy is a ledger by itself, as it was then.
        let copy = root.path().join("restored.sqlite");
        fs::copy(copies.join("ledger-20260310.sqlite"), &copy).unwrap();
        assert_eq!(Ledger::open(&copy).unwrap().current_hold().unwrap().unwrap().reason, "2026-03-10T00:10");
    }

    #[test]
    fn a_copy_that_is_not_whole_costs_no_other() {
        let root = tempfile::tempdir().unwrap();
        let (mut config, ledger, notifier) = house(root.path());
        config.retention.ledger_copies = 1;
        run(&ledger, &notifier, &config, at("2026-03-08T00:10")).unwrap();
        damage_index(&config.folders.state.join(Ledger::FILE_NAME));
        for now in ["2026-03-09T00:10", "2026-03-09T00:25"] {
            let error = run(&ledger, &notifier, &config, at(now)).unwrap_err();
            assert!(matches!(error, DaemonError::Copy(LedgerError::DamagedCopy { .. })), "{error}");
        }
        let cleared = ledger.chore(Chore::ClearUp.name()).unwrap();
        assert_eq!(cleared, Some("2026-03-09".parse().unwrap()), "it holds nothing else up");
        let mut copies = listed(&config.folders.state.join(COPIES)).unwrap();
        copies.retain(|path| path.extension().is_some_and(|extension| extension == "sqlite"));
        assert_eq!(copies, [config.folders.state.join(COPIES).join("ledger-20260308.sqlite")]);
    }
}
