//! Runs: processes that worked on a day, how they ended, and what they left.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, Row, named_params};

use super::products::{self, ProductRow};
use super::standing::{self, DayState};
use super::values::{UtcTime, named_value};
use super::{Ledger, LedgerError};
use crate::time::ProductDay;

/// Who wanted a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The daemon: the day was due.
    Schedule,
    /// The daemon: a person had asked for the day.
    Backfill,
    /// A person at a terminal.
    Person,
}

named_value!(Origin { Schedule => "schedule", Backfill => "backfill", Person => "person" });

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// With a product.
    Published,
    /// By itself, without.
    Failed,
    /// It took too long or too much, and was ended.
    Killed,
    /// Something else went first, or the daemon was stopped.
    Abandoned,
    /// Whoever watched over it died.
    Lost,
}

named_value!(Outcome {
    Published => "published",
    Failed => "failed",
    Killed => "killed",
    Abandoned => "abandoned",
    Lost => "lost",
});

/// A run.
#[derive(Debug, Clone, PartialEq)]
pub struct RunRow {
    /// Its number.
    pub id: i64,
    /// The day that it worked on.
    pub day: ProductDay,
    /// Who wanted it.
    pub origin: Origin,
    /// The number that its product has, should there be one.
    pub revision: u32,
    /// When it began, UTC.
    pub started_at: DateTime<Utc>,
    /// How it ended; none while it is at work.
    pub end: Option<RunEnd>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub struct RunEnd {
    /// When, UTC.
    pub at: DateTime<Utc>,
    /// How.
    pub outcome: Outcome,
    /// Its exit code, where it ended by itself.
    pub exit_code: Option<i32>,
    /// Why it ended so, in a sentence; none where it published.
    pub reason: Option<String>,
    /// Where the network ran, as far as it came.
    pub device: Option<String>,
    /// The largest resident size that was seen, bytes.
    pub peak_memory_bytes: Option<u64>,
    /// Its stages in order, with their seconds.
    pub stages: Vec<(String, f64)>,
}

/// What becomes of the day when a run has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aftermath {
    /// How the day stands now.
    pub state: DayState,
    /// Why, in a sentence.
    pub note: String,
    /// Whether the run counts as one that failed, after which the next waits.
    pub counts_as_failure: bool,
}

impl Ledger {
    /// Begins a run and gives its product a number: above every one that the ledger knows, and above `highest_in_folder`.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn begin_run(
        &self,
        day: ProductDay,
        origin: Origin,
        highest_in_folder: u32,
        now: DateTime<Utc>,
    ) -> Result<RunRow, LedgerError> {
        self.write(|connection| {
            let known: u32 = connection.query_row(
                "SELECT ifnull(max(revision), 0) FROM products WHERE day = ?1",
                [day],
                |row| row.get(0),
            )?;
            let revision = known.max(highest_in_folder) + 1;
            let sql = "INSERT INTO runs (day, origin, revision, started_at) VALUES (:day, :origin, :revision, :now)";
            let parameters = named_params! {
                ":day": day, ":origin": origin, ":revision": revision, ":now": UtcTime(now)
            };
            connection.execute(sql, parameters)?;
            let id = connection.last_insert_rowid();
            standing::set(connection, day, DayState::Running, &format!("run {id} is at work"), now)?;
            Ok(RunRow { id, day, origin, revision, started_at: now, end: None })
        })
    }

    /// Ends a run: how it ended, what it published and how its day stands are one entry.
    ///
    /// # Errors
    /// [`LedgerError`]; then nothing was written.
    pub fn end_run(
        &self,
        run: &RunRow,
        end: &RunEnd,
        product: Option<&ProductRow>,
        aftermath: &Aftermath,
    ) -> Result<(), LedgerError> {
        self.write(|connection| {
            close(connection, run.id, end)?;
            if let Some(product) = product {
                products::insert(connection, product)?;
                let sql = "UPDATE days SET asked_at = NULL, asked_again = 0 WHERE day = ?1";
                connection.execute(sql, [run.day])?;
            }
            standing::set(connection, run.day, aftermath.state, &aftermath.note, end.at)?;
            count_failure(connection, run.day, aftermath.counts_as_failure, product.is_some(), end.at)
        })
    }

    /// The runs of a day, the oldest first.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn runs_of(&self, day: ProductDay) -> Result<Vec<RunRow>, LedgerError> {
        self.runs("WHERE day = ?1 ORDER BY id", [day])
    }

    /// The runs that are at work, or were cut off.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn runs_at_work(&self) -> Result<Vec<RunRow>, LedgerError> {
        // The plus lets SQLite take the index of the few instead of reading all runs in their order.
        self.runs("WHERE outcome IS NULL ORDER BY +id", [])
    }

    /// The last run that ended, whatever its day.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn last_run(&self) -> Result<Option<RunRow>, LedgerError> {
        Ok(self.runs("WHERE outcome IS NOT NULL ORDER BY id DESC LIMIT 1", [])?.pop())
    }

    /// How many runs ended in each way.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn outcomes(&self) -> Result<Vec<(Outcome, u64)>, LedgerError> {
        self.read(|connection| {
            let sql = "SELECT outcome, count(*) FROM runs WHERE outcome IS NOT NULL GROUP BY outcome ORDER BY outcome";
            connection
                .prepare_cached(sql)?
                .query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)? as u64)))?
                .collect()
        })
    }

    /// Forgets the runs without a product that ended before a time.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn forget_runs(&self, before: DateTime<Utc>) -> Result<usize, LedgerError> {
        self.write(|connection| {
            let sql = "DELETE FROM runs WHERE ended_at < ?1 AND id NOT IN (SELECT run FROM products WHERE run IS NOT NULL)";
            connection.execute(sql, [UtcTime(before)])
        })
    }

    fn runs(&self, selection: &str, parameters: impl rusqlite::Params) -> Result<Vec<RunRow>, LedgerError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(&format!("SELECT * FROM runs {selection}"))?;
            statement.query_map(parameters, |row| run_row(connection, row))?.collect()
        })
    }
}

fn close(connection: &Connection, run: i64, end: &RunEnd) -> rusqlite::Result<()> {
    let sql = "UPDATE runs SET ended_at = :at, outcome = :outcome, exit_code = :exit_code, reason = :reason,
                   device = :device, peak_memory_bytes = :peak WHERE id = :run AND outcome IS NULL";
    let parameters = named_params! {
        ":at": UtcTime(end.at),
        ":outcome": end.outcome,
        ":exit_code": end.exit_code,
        ":reason": end.reason,
        ":device": end.device,
        ":peak": end.peak_memory_bytes.map(|bytes| bytes as i64),
        ":run": run,
    };
    connection.execute(sql, parameters)?;
    let sql = "INSERT INTO run_stages (run, position, stage, seconds) VALUES (?1, ?2, ?3, ?4)";
    end.stages.iter().enumerate().try_for_each(|(position, (stage, seconds))| {
        connection.execute(sql, (run, position as i64, stage, seconds)).map(|_| ())
    })
}

/// A product ends a row of failures.
fn count_failure(
    connection: &Connection,
    day: ProductDay,
    failed: bool,
    published: bool,
    now: DateTime<Utc>,
) -> rusqlite::Result<()> {
    if failed {
        let sql = "UPDATE days SET failures = failures + 1, failed_at = ?2 WHERE day = ?1";
        connection.execute(sql, (day, UtcTime(now)))?;
    } else if published {
        connection.execute("UPDATE days SET failures = 0, failed_at = NULL WHERE day = ?1", [day])?;
    }
    Ok(())
}

fn run_row(connection: &Connection, row: &Row<'_>) -> rusqlite::Result<RunRow> {
    let id = row.get("id")?;
    let end = match row.get::<_, Option<UtcTime>>("ended_at")? {
        None => None,
        Some(at) => Some(RunEnd {
            at: at.0,
            outcome: row.get("outcome")?,
            exit_code: row.get("exit_code")?,
            reason: row.get("reason")?,
            device: row.get("device")?,
            peak_memory_bytes: row.get::<_, Option<i64>>("peak_memory_bytes")?.map(|bytes| bytes as u64),
            stages: stages(connection, id)?,
        }),
    };
    Ok(RunRow {
        id,
        day: row.get("day")?,
        origin: row.get("origin")?,
        revision: row.get("revision")?,
        started_at: row.get::<_, UtcTime>("started_at")?.0,
        end,
    })
}

fn stages(connection: &Connection, run: i64) -> rusqlite::Result<Vec<(String, f64)>> {
    let sql = "SELECT stage, seconds FROM run_stages WHERE run = ?1 ORDER BY position";
    connection.prepare_cached(sql)?.query_map([run], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}
