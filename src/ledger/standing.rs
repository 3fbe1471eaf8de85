//! How days stand: what is known of each, and which a person has asked for.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::values::{UtcTime, named_value, sentence};
use super::{Ledger, LedgerError};
use crate::time::ProductDay;

/// How a day stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DayState {
    /// Nothing is published, and nothing is wrong: its inputs are waited for.
    Waiting,
    /// A production is at work.
    Running,
    /// A product stands that a better one will follow.
    Provisional,
    /// A product stands that is made of the inputs of its day.
    Final,
    /// Its production failed, and is tried again.
    Failed,
    /// One of its inputs is not made at its time of the year.
    OffSeason,
    /// One of its inputs will never come: a provisional product stands for good, or none.
    Gap,
}

named_value!(DayState {
    Waiting => "waiting",
    Running => "running",
    Provisional => "provisional",
    Final => "final",
    Failed => "failed",
    OffSeason => "off_season",
    Gap => "gap",
});

/// A day that was looked at or asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DayRow {
    /// The day.
    pub day: ProductDay,
    /// How it stands.
    pub state: DayState,
    /// Why, in a sentence.
    pub note: String,
    /// Since when, UTC.
    pub changed_at: DateTime<Utc>,
    /// Productions that failed since one succeeded.
    pub failures: u32,
    /// When the last of them failed, UTC.
    pub failed_at: Option<DateTime<Utc>>,
    /// What a person wants of it, until that is settled.
    pub asked: Option<Asked>,
}

/// A person wants a day to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// When that was said, UTC.
    pub at: DateTime<Utc>,
    /// Also where a product stands.
    pub again: bool,
}

impl Ledger {
    /// How a day stands; `None` where it was never looked at.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn day(&self, day: ProductDay) -> Result<Option<DayRow>, LedgerError> {
        self.read(|connection| {
            connection.query_row("SELECT * FROM days WHERE day = ?1", [day], day_row).optional()
        })
    }

    /// The known days from `first` to `last`, and all that are asked for; the oldest first.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn days(&self, first: ProductDay, last: ProductDay) -> Result<Vec<DayRow>, LedgerError> {
        self.read(|connection| {
            let sql = "SELECT * FROM days WHERE day BETWEEN ?1 AND ?2
                       UNION SELECT * FROM days WHERE asked_at IS NOT NULL ORDER BY day";
            connection.prepare_cached(sql)?.query_map([first, last], day_row)?.collect()
        })
    }

    /// Says how a day stands. True where that is another state than before.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn set_day(
        &self,
        day: ProductDay,
        state: DayState,
        note: &str,
        now: DateTime<Utc>,
    ) -> Result<bool, LedgerError> {
        let known = self.day(day)?;
        if known.as_ref().is_some_and(|row| row.state == state && row.note == sentence(note)) {
            return Ok(false);
        }
        self.write(|connection| set(connection, day, state, note, now))?;
        Ok(known.is_none_or(|row| row.state != state))
    }

    /// Writes down that a person wants these days, which is true until [`Ledger::settle_asked`] or a product.
    ///
    /// # Errors
    /// [`LedgerError`]; then none is asked for.
    pub fn ask_for(&self, days: &[ProductDay], again: bool, now: DateTime<Utc>) -> Result<(), LedgerError> {
        self.write(|connection| {
            let sql = "INSERT INTO days (day, state, note, changed_at, asked_at, asked_again)
                       VALUES (:day, 'waiting', 'asked for, not looked at yet', :now, :now, :again)
                       ON CONFLICT (day) DO UPDATE SET asked_at = excluded.asked_at,
                           asked_again = max(asked_again, excluded.asked_again)";
            days.iter().try_for_each(|day| {
                let parameters = named_params! { ":day": day, ":now": UtcTime(now), ":again": again };
                connection.execute(sql, parameters).map(|_| ())
            })
        })
    }

    /// Nobody asks for the day any more: it was made, or cannot be.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn settle_asked(&self, day: ProductDay) -> Result<(), LedgerError> {
        self.write(|connection| {
            let sql = "UPDATE days SET asked_at = NULL, asked_again = 0 WHERE day = ?1";
            connection.execute(sql, [day]).map(|_| ())
        })
    }
}

/// Says how a day stands, within a transaction.
pub(super) fn set(
    connection: &Connection,
    day: ProductDay,
    state: DayState,
    note: &str,
    now: DateTime<Utc>,
) -> rusqlite::Result<()> {
    let sql = "INSERT INTO days (day, state, note, changed_at) VALUES (:day, :state, :note, :now)
               ON CONFLICT (day) DO UPDATE SET
                   changed_at = CASE state WHEN excluded.state THEN changed_at ELSE excluded.changed_at END,
                   state = excluded.state, note = excluded.note";
    let parameters =
        named_params! { ":day": day, ":state": state, ":note": sentence(note), ":now": UtcTime(now) };
    connection.execute(sql, parameters).map(|_| ())
}

pub(super) fn day_row(row: &Row<'_>) -> rusqlite::Result<DayRow> {
    let time = |name: &str| -> rusqlite::Result<Option<DateTime<Utc>>> {
        Ok(row.get::<_, Option<UtcTime>>(name)?.map(|time| time.0))
    };
    let again = row.get("asked_again")?;
    Ok(DayRow {
        day: row.get("day")?,
        state: row.get("state")?,
        note: row.get("note")?,
        changed_at: row.get::<_, UtcTime>("changed_at")?.0,
        failures: row.get("failures")?,
        failed_at: time("failed_at")?,
        asked: time("asked_at")?.map(|at| Asked { at, again }),
    })
}
