//! What is asked only to show it to readers: bounded, however long the history is.

use chrono::{DateTime, Utc};

use super::values::UtcTime;
use super::{DayRow, Ledger, LedgerError, Outcome, standing};
use crate::time::ProductDay;

/// A day that goes without the file of a role that is centred on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// What the file would have given.
    pub role: String,
    /// Why it is not waited for any more, in a sentence.
    pub reason: String,
    /// When that was declared, UTC.
    pub declared_at: DateTime<Utc>,
}

impl Ledger {
    /// The known days from `first` to `last` alone, the oldest first.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn days_between(&self, first: ProductDay, last: ProductDay) -> Result<Vec<DayRow>, LedgerError> {
        self.read(|connection| {
            let sql = "SELECT * FROM days WHERE day BETWEEN ?1 AND ?2 ORDER BY day";
            connection.prepare_cached(sql)?.query_map([first, last], standing::day_row)?.collect()
        })
    }

    /// How many days are asked for.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn days_asked_for(&self) -> Result<usize, LedgerError> {
        self.read(|connection| {
            let sql = "SELECT count(*) FROM days WHERE asked_at IS NOT NULL";
            connection.query_row(sql, [], |row| row.get::<_, i64>(0)).map(|count| count as usize)
        })
    }

    /// How many runs ended in each way from one moment on.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn outcomes_since(&self, from: DateTime<Utc>) -> Result<Vec<(Outcome, u64)>, LedgerError> {
        self.read(|connection| {
            let sql =
                "SELECT outcome, count(*) FROM runs WHERE ended_at >= ?1 GROUP BY outcome ORDER BY outcome";
            connection
                .prepare_cached(sql)?
                .query_map([UtcTime(from)], |row| Ok((row.get(0)?, row.get::<_, i64>(1)? as u64)))?
                .collect()
        })
    }

    /// What a day goes without, by role.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn gaps_of(&self, day: ProductDay) -> Result<Vec<Gap>, LedgerError> {
        self.read(|connection| {
            let sql = "SELECT role, reason, declared_at FROM gaps WHERE day = ?1 ORDER BY role";
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map([day], |row| {
                Ok(Gap {
                    role: row.get("role")?,
                    reason: row.get("reason")?,
                    declared_at: row.get::<_, UtcTime>("declared_at")?.0,
                })
            })?;
            rows.collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use tempfile::TempDir;

    use super::*;
    use crate::ledger::{Aftermath, DayState, Origin, RunEnd};

    fn scratch() -> (TempDir, Ledger) {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&folder.path().join(Ledger::FILE_NAME)).unwrap();
        (folder, ledger)
    }

    fn day(text: &str) -> ProductDay {
        text.parse().unwrap()
    }

    fn now() -> DateTime<Utc> {
        "2026-03-02T05:30:00Z".parse().unwrap()
    }

    /// How `SQLite` would find the rows, one line a step.
    fn way(ledger: &Ledger, sql: &str) -> Vec<String> {
        let plan = |connection: &rusqlite::Connection| {
            let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
            statement.query_map([], |row| row.get("detail"))?.collect()
        };
        ledger.read(plan).unwrap()
    }

    #[test]
    fn days_are_shown_without_those_that_are_asked_for_elsewhere() {
        let (_folder, ledger) = scratch();
        ledger.set_day(day("2026-03-01"), DayState::Waiting, "waits", now()).unwrap();
        ledger.ask_for(&[day("2026-01-01"), day("2026-02-28")], false, now()).unwrap();
        let shown = ledger.days_between(day("2026-02-20"), day("2026-03-01")).unwrap();
        let shown: Vec<_> = shown.iter().map(|row| row.day.to_string()).collect();
        assert_eq!(shown, ["2026-02-28", "2026-03-01"]);
        assert_eq!(ledger.days_asked_for().unwrap(), 2);
        ledger.settle_asked(day("2026-01-01")).unwrap();
        assert_eq!(ledger.days_asked_for().unwrap(), 1);
    }

    #[test]
    fn outcomes_are_counted_from_a_moment_on() {
        let (_folder, ledger) = scratch();
        let aftermath = Aftermath { state: DayState::Waiting, note: String::new(), counts_as_failure: false };
        for (hours, outcome) in [(0, Outcome::Failed), (1, Outcome::Killed), (2, Outcome::Failed)] {
            let run = ledger.begin_run(day("2026-03-01"), Origin::Schedule, 0, now()).unwrap();
            let end = RunEnd {
                at: now() + TimeDelta::hours(hours),
                outcome,
                exit_code: None,
                reason: None,
                device: None,
                peak_memory_bytes: None,
                stages: Vec::new(),
            };
            ledger.end_run(&run, &end, None, &aftermath).unwrap();
        }
        ledger.begin_run(day("2026-03-01"), Origin::Schedule, 0, now()).unwrap();
        let since = |hours| ledger.outcomes_since(now() + TimeDelta::hours(hours)).unwrap();
        assert_eq!(since(0), [(Outcome::Failed, 2), (Outcome::Killed, 1)]);
        assert_eq!(since(1), [(Outcome::Failed, 1), (Outcome::Killed, 1)]);
        assert_eq!(since(3), []);
    }

    #[test]
    fn gaps_are_told_with_their_reasons() {
        let (_folder, ledger) = scratch();
        for (role, reason) in [("thickness", "given up"), ("drift", "the series went on")] {
            assert!(ledger.declare_gap(day("2026-03-01"), role, reason, now()).unwrap());
        }
        let gap = |role: &str, reason: &str| Gap {
            role: role.to_owned(),
            reason: reason.to_owned(),
            declared_at: now(),
        };
        let gaps = ledger.gaps_of(day("2026-03-01")).unwrap();
        assert_eq!(gaps, [gap("drift", "the series went on"), gap("thickness", "given up")]);
        assert_eq!(ledger.gaps_of(day("2026-03-02")).unwrap(), []);
    }

    /// What is asked for every page and every scrape reads an index, not twenty years.
    #[test]
    fn what_is_shown_is_found_by_an_index() {
        let (_folder, ledger) = scratch();
        for sql in [
            "SELECT * FROM days WHERE day BETWEEN '2026-02-01' AND '2026-03-01' ORDER BY day",
            "SELECT count(*) FROM days WHERE asked_at IS NOT NULL",
            "SELECT outcome, count(*) FROM runs WHERE ended_at >= '2026' GROUP BY outcome ORDER BY outcome",
            "SELECT outcome, count(*) FROM runs WHERE outcome IS NOT NULL GROUP BY outcome ORDER BY outcome",
            "SELECT * FROM runs WHERE outcome IS NULL ORDER BY +id",
            "SELECT * FROM products WHERE day BETWEEN '2026-02-01' AND '2026-03-01' ORDER BY day, revision",
            "SELECT * FROM products WHERE withdrawn_at IS NULL AND removed_at IS NULL ORDER BY day DESC, revision DESC LIMIT 1",
            "SELECT max(centre) FROM files WHERE role = 'drift' AND verdict = 'accepted'",
            "SELECT * FROM incidents WHERE closed_at IS NULL ORDER BY opened_at, id",
            "SELECT count(*) FROM deliveries WHERE sent_at IS NULL AND channel = 'mail'",
        ] {
            let way = way(&ledger, sql);
            let is_indexed = |step: &String| step.contains("INDEX") || step.contains("PRIMARY KEY");
            let sorts = |step: &String| step.starts_with("USE TEMP B-TREE");
            assert!(way.iter().all(|step| is_indexed(step) || sorts(step)), "{sql}\n{way:#?}");
        }
    }
}
