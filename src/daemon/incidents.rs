//! What goes wrong beyond the inputs and is told to people: one incident for each cause, raised and settled by what the ledger says.

use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};

use crate::config::Config;
use crate::ledger::{Hold, Ledger, Outcome, Severity};
use crate::publish;
use crate::time::ProductDay;

use super::DaemonError;
use super::overview::overdue;
use super::planner::looked_after;

const HELD: &str = "held";
const REFUSED: &str = "refused";
const PRODUCTION: &str = "production";
const OVERDUE: &str = "overdue";
const DEGRADED: &str = "degraded";
const SPACE: &str = "space";
const MISSING: &str = "missing";

/// So many days or products stand in a message; more are counted.
const MOST_NAMED: usize = 5;

/// So long it stays open that products were gone, for people to hear of it.
const SHOWN: TimeDelta = TimeDelta::hours(24);

/// Raises an incident; the first time it is said in the log, too.
pub(super) fn raise(
    ledger: &Ledger,
    key: &str,
    severity: Severity,
    text: &str,
    now: DateTime<Utc>,
) -> Result<(), DaemonError> {
    if ledger.raise(key, severity, text, now)? {
        match severity {
            Severity::Notice => tracing::info!(incident = key, "{text}"),
            Severity::Warning => tracing::warn!(incident = key, "{text}"),
            Severity::Failure => tracing::error!(incident = key, "{text}"),
        }
    }
    Ok(())
}

/// Settles an incident, if it is open.
pub(super) fn settle(ledger: &Ledger, key: &str, text: &str, now: DateTime<Utc>) -> Result<(), DaemonError> {
    if ledger.settle(key, now)? {
        tracing::info!(incident = key, "{text}");
    }
    Ok(())
}

/// A person holds production: that is not to be forgotten.
pub(super) fn held(ledger: &Ledger, hold: &Hold, now: DateTime<Utc>) -> Result<(), DaemonError> {
    let text = format!(
        "production is held since {}: {}; `nilas resume` lets it go on",
        hold.began_at.format("%Y-%m-%d %H:%M UTC"),
        hold.reason
    );
    raise(ledger, HELD, Severity::Warning, &text, now)
}

/// Nobody does any more.
pub(super) fn not_held(ledger: &Ledger, now: DateTime<Utc>) -> Result<(), DaemonError> {
    settle(ledger, HELD, "production goes on", now)
}

/// What a look at days has met of files that were refused.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    /// The days that cannot be made because of one, with its reason.
    pub(super) days: Vec<(ProductDay, String)>,
    /// Whether servers did not answer, so that nobody knows of all files.
    pub(super) is_partial: bool,
}

/// Days that cannot be made because a file was refused, of those that were looked at.
pub(super) fn note_refused(
    ledger: &Ledger,
    refused: &Refusals,
    now: DateTime<Utc>,
) -> Result<(), DaemonError> {
    let Some((day, reason)) = refused.days.first() else {
        // A file that is not seen because its server is away may be as bad as before.
        if refused.is_partial {
            return Ok(());
        }
        return settle(ledger, REFUSED, "no day lacks a file that was refused", now);
    };
    let more = match refused.days.len() {
        1 => String::new(),
        several => format!(" ({} more days lack files that were refused)", several - 1),
    };
    raise(ledger, REFUSED, Severity::Failure, &format!("{day} cannot be made: {reason}{more}"), now)
}

/// Days whose production failed.
pub(super) fn note_failed(ledger: &Ledger, now: DateTime<Utc>, config: &Config) -> Result<(), DaemonError> {
    let (newest, first) = looked_after(now, config);
    let rows = ledger.days(first, newest)?;
    let failed: Vec<_> = rows.iter().rev().filter(|row| row.failures > 0).collect();
    let Some(last) = failed.iter().max_by_key(|row| row.failed_at) else {
        return settle(ledger, PRODUCTION, "every day that failed is made", now);
    };
    let mut days: Vec<String> = failed.iter().take(MOST_NAMED).map(|row| row.day.to_string()).collect();
    if failed.len() > MOST_NAMED {
        days.push(format!("{} more", failed.len() - MOST_NAMED));
    }
    let runs = ledger.runs_of(last.day)?;
    // A run that was told to stop has not failed, and hides why others have.
    let failures = runs.iter().rev().filter_map(|run| run.end.as_ref());
    let reason =
        failures.filter(|end| end.outcome != Outcome::Abandoned).find_map(|end| end.reason.as_deref());
    let text = format!(
        "the production of {} fails: {}; it is tried again, at growing intervals",
        days.join(", "),
        reason.unwrap_or(&last.note)
    );
    raise(ledger, PRODUCTION, Severity::Failure, &text, now)
}

/// There is no young product, whatever the reason: what nobody has thought of shows here at the latest.
/// While production is held that is known, and it only ends.
pub(super) fn note_overdue(
    ledger: &Ledger,
    now: DateTime<Utc>,
    config: &Config,
    is_held: bool,
) -> Result<(), DaemonError> {
    match overdue(ledger, config, now)? {
        Some(_) if is_held => Ok(()),
        Some(text) => raise(ledger, OVERDUE, Severity::Failure, &text, now),
        None => settle(ledger, OVERDUE, "no product is overdue any more", now),
    }
}

/// Whether the newest product of a day is worse than it should be.
pub(super) fn note_degradation(
    ledger: &Ledger,
    day: ProductDay,
    now: DateTime<Utc>,
) -> Result<(), DaemonError> {
    let product = ledger.products_of(day)?.pop();
    match product.and_then(|product| Some((product.revision, product.degradation?))) {
        Some((revision, degradation)) => {
            let text = format!("revision {revision} of {day} was {degradation}");
            raise(ledger, DEGRADED, Severity::Warning, &text, now)?;
        }
        None => settle(ledger, DEGRADED, "products are as they should be again", now)?,
    }
    Ok(())
}

/// There is space for a production.
pub(super) fn has_space(ledger: &Ledger, now: DateTime<Utc>) -> Result<(), DaemonError> {
    settle(ledger, SPACE, "there is space again", now)
}

/// Holds the revisions that the ledger knows against the product folder: readers have what is there. Those that are gone count as cleared
/// away from then on, and people are told; those that are there again are so in the ledger, too. True where not even the folder of a year
/// is there: then it is the product folder that is away, nothing is written down, and nothing may be published.
pub(super) fn note_missing(ledger: &Ledger, root: &Path, now: DateTime<Utc>) -> Result<bool, DaemonError> {
    let revisions = ledger.revisions()?;
    let kept = revisions.iter().filter(|(.., is_kept)| *is_kept).count();
    // One that cannot be looked at is taken to be as it was.
    let found = |&(day, revision, is_kept): &(ProductDay, u32, bool)| {
        publish::revision_folder(root, day, revision).try_exists().unwrap_or(is_kept)
    };
    let (missing, back): (Vec<_>, Vec<_>) =
        revisions.iter().filter(|one| found(one) != one.2).partition(|(.., is_kept)| *is_kept);
    if kept > 0 && missing.len() == kept && !publish::has_years(root) {
        let text = format!(
            "none of the revisions that were published ({kept}) is in {}, and nothing is produced: mount the disk; if this is the folder now, \
             `nilas produce --date DAY` begins in it anew",
            root.display()
        );
        raise(ledger, MISSING, Severity::Failure, &text, now)?;
        return Ok(true);
    }
    for (day, revision, _) in back {
        ledger.bring_back_product(day, revision)?;
        tracing::info!(%day, revision, "its files are in the product folder again");
    }
    if missing.is_empty() {
        let open = ledger.incident(MISSING)?.filter(|one| one.closed_at.is_none());
        // That some are gone shows once, and nothing would end it.
        if !open.is_some_and(|one| one.severity == Severity::Warning && now - one.last_seen_at < SHOWN) {
            settle(ledger, MISSING, "every product that stands is in the product folder", now)?;
        }
        return Ok(false);
    }
    let mut named: Vec<String> = missing
        .iter()
        .rev()
        .take(MOST_NAMED)
        .map(|(day, revision, _)| format!("{day} revision {revision}"))
        .collect();
    if missing.len() > MOST_NAMED {
        named.push(format!("{} more", missing.len() - MOST_NAMED));
    }
    for (day, revision, _) in missing {
        ledger.remove_product(day, revision, now)?;
    }
    let text = format!(
        "products are gone from {}: {}; they count as cleared away now, and `nilas backfill DAY --again` makes a day again",
        root.display(),
        named.join(", ")
    );
    raise(ledger, MISSING, Severity::Warning, &text, now)?;
    Ok(false)
}

/// Whether the product folder was away when it was looked for last.
pub(super) fn is_folder_away(ledger: &Ledger) -> Result<bool, DaemonError> {
    let incident = ledger.incident(MISSING)?;
    Ok(incident.is_some_and(|one| one.closed_at.is_none() && one.severity == Severity::Failure))
}

/// There is too little space to begin.
pub(super) fn no_space(ledger: &Ledger, error: &DaemonError, now: DateTime<Utc>) -> Result<(), DaemonError> {
    raise(ledger, SPACE, Severity::Failure, &error.to_string(), now)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::scratch_house::{House, day, time};
    use super::*;

    #[test]
    fn a_stop_does_not_hide_why_a_day_fails() {
        let house = House::full();
        let failed = day("2026-02-28");
        house.stop(failed, "2026-03-02T05:28:00Z");
        note_failed(&house.ledger, time("2026-03-02T05:30:00Z"), &house.config).unwrap();
        let text = house.ledger.incident(PRODUCTION).unwrap().unwrap().text;
        assert!(
            text.starts_with("the production of 2026-02-28 fails: the model did not answer; it is"),
            "{text}"
        );
    }

    #[test]
    fn what_is_gone_from_the_folder_stands_no_longer_unless_the_folder_itself_is_away() {
        let house = House::full();
        let (ledger, root) = (&house.ledger, &house.config.folders.products);
        let look_at = |day: &str| {
            let is_away = note_missing(ledger, root, time(&format!("{day}T05:30:00Z"))).unwrap();
            assert_eq!(is_away, is_folder_away(ledger).unwrap());
            let open = ledger.open_incidents().unwrap().into_iter().find(|open| open.key == MISSING);
            (open.map(|open| open.severity), ledger.revisions().unwrap().iter().filter(|one| one.2).count())
        };
        let look = || look_at("2026-03-02");
        assert_eq!(look(), (None, 3));
        let away = root.with_extension("away");
        fs::rename(root, &away).unwrap();
        assert_eq!(look(), (Some(Severity::Failure), 3), "a disk that is not mounted has lost nothing");
        fs::rename(&away, root).unwrap();
        assert_eq!(look(), (None, 3));
        fs::rename(root, &away).unwrap();
        fs::create_dir_all(publish::private_folder(root)).unwrap();
        assert_eq!(look(), (Some(Severity::Failure), 3), "a lock in the empty mount point is no product");
        // Something was published into it all the same.
        fs::create_dir_all(publish::revision_folder(root, day("2026-03-01"), 9)).unwrap();
        assert_eq!(look(), (Some(Severity::Warning), 0));
        fs::remove_dir_all(root).unwrap();
        fs::rename(&away, root).unwrap();
        assert_eq!(look(), (Some(Severity::Warning), 3), "what is there again stands again");
        assert_eq!(look_at("2026-03-03"), (None, 3));
        fs::remove_dir_all(publish::revision_folder(root, day("2026-02-26"), 1)).unwrap();
        assert_eq!(look_at("2026-03-03"), (Some(Severity::Warning), 2));
        let text = ledger.incident(MISSING).unwrap().unwrap().text;
        assert!(text.contains(": 2026-02-26 revision 1; they count as cleared away"), "{text}");
        assert_eq!(look_at("2026-03-03"), (Some(Severity::Warning), 2), "the next look hushes nothing up");
        assert_eq!(look_at("2026-03-04"), (None, 2));
    }
}
