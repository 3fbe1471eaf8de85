//! Which revisions are cleared away, and doing so. The newest product stays, whatever its age and size.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use chrono::{DateTime, TimeDelta, Utc};

use crate::config::Retention;
use crate::time::ProductDay;

use super::latest::{revisions, revisions_of};
use super::manifest::manifest_among_others;
use super::names::{day_folder, revision_folder};
use super::root::{self, Extent};
use super::withdrawal::is_withdrawn;
use super::{PublishError, staging};

const MEGABYTE: u64 = 1_000_000;

/// A revision on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The day.
    pub day: ProductDay,
    /// The revision, from 1.
    pub revision: u32,
    /// Its folder.
    pub folder: PathBuf,
    /// When it was made, UTC.
    pub created: DateTime<Utc>,
    /// What it takes, bytes.
    pub size_bytes: u64,
    /// Whether it was taken back: it takes no other's place.
    pub is_withdrawn: bool,
}

/// Why something is cleared away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// A newer revision of its day was published long enough ago.
    Superseded,
    /// It is too old.
    Old,
    /// All together take too much.
    TooMuch,
}

impl Reason {
    /// In a few words, for people.
    #[must_use]
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Superseded => "a newer revision took its place",
            Self::Old => "it is older than things are kept",
            Self::TooMuch => "all together take more than they may",
        }
    }
}

/// Every revision under `root`, the oldest first. One without a readable manifest is not listed, for it is not known what it
/// is; that is said in the log.
///
/// # Errors
/// [`PublishError::File`].
pub fn stored(root: &Path) -> Result<Vec<Stored>, PublishError> {
    let failed = |path: &Path, source| PublishError::File { path: path.to_owned(), source };
    if !root.is_dir() {
        return Ok(Vec::new());
    }
    described(revisions(root).map_err(|source| failed(root, source))?)
}

/// Those of one day.
///
/// # Errors
/// [`PublishError::File`].
pub fn stored_of(root: &Path, day: ProductDay) -> Result<Vec<Stored>, PublishError> {
    let folder = root.join(day_folder(day));
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let failed = |source| PublishError::File { path: folder.clone(), source };
    described(revisions_of(day, &folder).map_err(failed)?)
}

fn described(revisions: Vec<(ProductDay, u32, PathBuf)>) -> Result<Vec<Stored>, PublishError> {
    let mut found = Vec::new();
    for (day, revision, folder) in revisions {
        let Some(manifest) = manifest_among_others(&folder) else { continue };
        let failed = |source| PublishError::File { path: folder.clone(), source };
        let size_bytes = size_of(&folder).map_err(failed)?;
        let is_withdrawn = is_withdrawn(&folder);
        found.push(Stored { day, revision, folder, created: manifest.created, size_bytes, is_withdrawn });
    }
    found.sort_by_key(|stored| (stored.day, stored.revision));
    Ok(found)
}

/// Those of `stored`, the oldest first, that are not kept any more at `now`.
#[must_use]
pub fn superfluous(stored: &[Stored], retention: &Retention, now: DateTime<Utc>) -> Vec<(Stored, Reason)> {
    let newest = stored.iter().rfind(|one| !one.is_withdrawn).or(stored.last());
    let Some(newest) = newest else { return Vec::new() };
    let older_than =
        |time: DateTime<Utc>, days: u32| days > 0 && now - time > TimeDelta::days(i64::from(days));
    let reason = |index: usize, one: &Stored| {
        let of_its_day = stored[index + 1..].iter().take_while(|next| next.day == one.day);
        let after = of_its_day.into_iter().find(|next| !next.is_withdrawn);
        if after.is_some_and(|next| older_than(next.created, retention.superseded_days)) {
            Some(Reason::Superseded)
        } else if older_than(one.day.noon().and_utc(), retention.product_days) {
            Some(Reason::Old)
        } else {
            None
        }
    };
    let mut gone = Vec::new();
    let mut kept = Vec::new();
    for (index, one) in stored.iter().enumerate() {
        match reason(index, one).filter(|_| one != newest) {
            Some(reason) => gone.push((one.clone(), reason)),
            None => kept.push(one),
        }
    }
    let most = retention.product_megabytes.saturating_mul(MEGABYTE);
    let mut taken: u64 = kept.iter().map(|one| one.size_bytes).sum();
    for one in kept.into_iter().filter(|one| most > 0 && *one != newest) {
        if taken <= most {
            break;
        }
        taken -= one.size_bytes;
        gone.push((one.clone(), Reason::TooMuch));
    }
    gone
}

/// Clears a revision away, and lets `latest.json` say what is there then.
///
/// # Errors
/// [`PublishError`]; the revision is out of sight then, or as it was.
pub fn remove(root: &Path, day: ProductDay, revision: u32) -> Result<(), PublishError> {
    let _lock = staging::lock(root)?;
    staging::remove(root, &revision_folder(root, day, revision))?;
    root::refresh(root, Extent::YearOf(day))
}

fn size_of(folder: &Path) -> io::Result<u64> {
    fs::read_dir(folder)?.map(|entry| Ok(entry?.metadata()?.len())).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(day: &str, revision: u32, created: &str, megabytes: u64) -> Stored {
        Stored {
            day: day.parse().unwrap(),
            revision,
            folder: PathBuf::from(format!("{day}/{revision}")),
            created: format!("{created}T06:00:00Z").parse().unwrap(),
            size_bytes: megabytes * MEGABYTE,
            is_withdrawn: false,
        }
    }

    fn gone(stored: &[Stored], retention: Retention, today: &str) -> Vec<(String, Reason)> {
        let now = format!("{today}T06:00:00Z").parse().unwrap();
        let names = superfluous(stored, &retention, now).into_iter();
        names.map(|(one, reason)| (format!("{} r{}", one.day, one.revision), reason)).collect()
    }

    #[test]
    fn revisions_go_for_their_reasons_and_the_newest_stays() {
        let stored = [
            one("2026-01-01", 1, "2026-01-02", 10),
            one("2026-01-01", 2, "2026-01-06", 10),
            one("2026-03-01", 1, "2026-03-02", 10),
            one("2026-03-01", 2, "2026-03-06", 10),
            one("2026-03-02", 1, "2026-03-03", 10),
        ];
        let none = Retention::default();
        assert_eq!(gone(&stored, none.clone(), "2030-01-01"), []);
        let superseded = Retention { superseded_days: 10, ..none.clone() };
        let first = ("2026-01-01 r1".to_owned(), Reason::Superseded);
        assert_eq!(gone(&stored, superseded.clone(), "2026-03-10"), std::slice::from_ref(&first));
        let old = Retention { product_days: 30, ..superseded.clone() };
        let second = ("2026-01-01 r2".to_owned(), Reason::Old);
        assert_eq!(gone(&stored, old.clone(), "2026-03-10"), [first, second]);
        assert_eq!(gone(&stored, old, "2036-03-10").len(), 4);
        let much = Retention { product_megabytes: 25, ..none };
        let too_much = |name: &str| (name.to_owned(), Reason::TooMuch);
        let expected = [too_much("2026-01-01 r1"), too_much("2026-01-01 r2"), too_much("2026-03-01 r1")];
        assert_eq!(gone(&stored, much.clone(), "2026-03-10"), expected);
        assert_eq!(gone(&stored, Retention { product_megabytes: 1, ..much }, "2026-03-10").len(), 4);
    }

    #[test]
    fn what_was_taken_back_takes_no_other_s_place() {
        let taken_back = |one| Stored { is_withdrawn: true, ..one };
        let stored = [
            one("2026-01-01", 1, "2026-01-02", 10),
            taken_back(one("2026-01-01", 2, "2026-01-06", 10)),
            one("2026-03-01", 1, "2026-03-02", 10),
            taken_back(one("2026-03-01", 2, "2026-03-06", 10)),
        ];
        let superseded = Retention { superseded_days: 10, ..Retention::default() };
        assert_eq!(gone(&stored, superseded, "2026-06-01"), []);
        let old = Retention { product_days: 10, ..Retention::default() };
        let names: Vec<String> = gone(&stored, old, "2026-06-01").into_iter().map(|(name, _)| name).collect();
        assert_eq!(
            names,
            ["2026-01-01 r1", "2026-01-01 r2", "2026-03-01 r2"],
            "the newest that stands stays"
        );
        let again = [&stored[..2], &[one("2026-01-01", 3, "2026-01-07", 10)]].concat();
        let superseded = Retention { superseded_days: 10, ..Retention::default() };
        let names: Vec<String> =
            gone(&again, superseded, "2026-06-01").into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["2026-01-01 r1", "2026-01-01 r2"]);
    }

    proptest! {
        #[test]
        fn the_newest_product_is_never_among_them(
            days in prop::collection::btree_set((0_i64..400, 1_u32..4), 1..30),
            limits in prop::array::uniform3(0_u32..100),
            today in 0_i64..2000,
        ) {
            let begin: ProductDay = "2026-01-01".parse().unwrap();
            let stored: Vec<Stored> = days
                .iter()
                .map(|(day, revision)| {
                    let day = begin.plus_days(*day);
                    one(&day.to_string(), *revision, &day.plus_days(i64::from(*revision)).to_string(), 7)
                })
                .collect();
            let [superseded_days, product_days, megabytes] = limits;
            let product_megabytes = u64::from(megabytes);
            let retention = Retention { superseded_days, product_days, product_megabytes, ..Retention::default() };
            let now = begin.plus_days(today).noon().and_utc();
            let gone = superfluous(&stored, &retention, now);
            prop_assert!(gone.iter().all(|(one, _)| Some(one) != stored.last()));
            let left: u64 = stored.iter().filter(|one| gone.iter().all(|(gone, _)| gone != *one)).map(|one| one.size_bytes).sum();
            prop_assert!(product_megabytes == 0 || left <= product_megabytes.max(7) * MEGABYTE);
        }
    }
}
