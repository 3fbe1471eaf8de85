//! Incidents: what people are told once when it begins, and once when it is over.

use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension, Row, named_params};
use serde::{Deserialize, Serialize};

use super::values::{UtcTime, named_value, sentence};
use super::{Ledger, LedgerError, outbox};

/// Something that people are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incident {
    /// Its cause: one incident is open for each at a time.
    pub key: String,
    /// How much it matters.
    pub severity: Severity,
    /// What is the matter, in a sentence: as it was said last.
    pub text: String,
    /// When it was raised first, UTC.
    pub opened_at: DateTime<Utc>,
    /// When it was raised last, UTC.
    pub last_seen_at: DateTime<Utc>,
    /// How often it was raised.
    pub count: u32,
    /// When it was settled, UTC; none while it is open.
    pub closed_at: Option<DateTime<Utc>>,
    /// When a person said that they know of it, UTC.
    pub acknowledged_at: Option<DateTime<Utc>>,
}

/// An incident of which people may have to be told, and how far they were told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Its number in the ledger.
    pub id: i64,
    /// The incident.
    pub incident: Incident,
    /// The greatest severity that people were told of; none where they were not told.
    pub severity: Option<Severity>,
    /// Reminders so far.
    pub reminders: u32,
    /// When the next reminder is due, UTC; none where there will be none.
    pub remind_at: Option<DateTime<Utc>>,
}

/// How much an incident matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know: nothing is in the way of the products.
    Notice,
    /// Somebody should look: products come late, or are worse than they could be.
    Warning,
    /// Somebody must act: there will be no product.
    Failure,
}

named_value!(Severity { Notice => "notice", Warning => "warning", Failure => "failure" });

impl Ledger {
    /// Raises an incident. True where none was open for the key: then people are told. Else the open one takes over severity and
    /// text, and counts one more. One that gets worse is not acknowledged any more: what a person knew of was less.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn raise(
        &self,
        key: &str,
        severity: Severity,
        text: &str,
        now: DateTime<Utc>,
    ) -> Result<bool, LedgerError> {
        self.write(|connection| {
            let sql = "INSERT INTO incidents (key, severity, text, opened_at, last_seen_at)
                       VALUES (:key, :severity, :text, :now, :now)
                       ON CONFLICT (key) WHERE closed_at IS NULL DO UPDATE SET
                           acknowledged_at = CASE WHEN
                               instr('notice warning failure', excluded.severity) > instr('notice warning failure', severity)
                               THEN NULL ELSE acknowledged_at END,
                           severity = excluded.severity, text = excluded.text,
                           last_seen_at = excluded.last_seen_at, count = count + 1
                       RETURNING count = 1";
            let parameters = named_params! {
                ":key": key, ":severity": severity, ":text": sentence(text), ":now": UtcTime(now)
            };
            connection.query_row(sql, parameters, |row| row.get(0))
        })
    }

    /// Settles the incident of a key. True where one was open: then people are told that it is over.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn settle(&self, key: &str, now: DateTime<Utc>) -> Result<bool, LedgerError> {
        self.write(|connection| {
            let sql = "UPDATE incidents SET closed_at = :now WHERE key = :key AND closed_at IS NULL";
            Ok(connection.execute(sql, named_params! { ":key": key, ":now": UtcTime(now) })? == 1)
        })
    }

    /// Says that a person knows of the open incident of a key, so that no reminder goes out. True where one is open; a second
    /// acknowledgement changes nothing.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn acknowledge(&self, key: &str, now: DateTime<Utc>) -> Result<bool, LedgerError> {
        self.write(|connection| {
            let sql = "UPDATE incidents SET acknowledged_at = coalesce(acknowledged_at, :now)
                       WHERE key = :key AND closed_at IS NULL RETURNING id";
            let parameters = named_params! { ":key": key, ":now": UtcTime(now) };
            let open = connection.query_row(sql, parameters, |row| row.get::<_, i64>(0)).optional()?;
            open.map_or(Ok(()), |id| outbox::drop_unsent_reminders(connection, id))?;
            Ok(open.is_some())
        })
    }

    /// The incidents of which people may have to be told something: those that are open, and those that were told and have ended
    /// without a word; the oldest first.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn incidents_to_tell(&self) -> Result<Vec<Told>, LedgerError> {
        self.read(|connection| {
            let sql = "SELECT * FROM incidents
                       WHERE closed_at IS NULL OR (told_at IS NOT NULL AND recovery_told_at IS NULL)
                       ORDER BY opened_at, id";
            let mut statement = connection.prepare_cached(sql)?;
            statement.query_map([], told)?.collect()
        })
    }

    /// Forgets incidents that were over before `closed_before` and that no message is about. Their number.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn prune_incidents(&self, closed_before: DateTime<Utc>) -> Result<usize, LedgerError> {
        self.write(|connection| {
            let sql = "DELETE FROM incidents WHERE closed_at < ?1 AND NOT EXISTS
                           (SELECT 1 FROM messages WHERE messages.incident = incidents.id)";
            connection.execute(sql, [UtcTime(closed_before)])
        })
    }

    /// The last incident of a key, open or settled.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn incident(&self, key: &str) -> Result<Option<Incident>, LedgerError> {
        self.read(|connection| {
            let sql = "SELECT * FROM incidents WHERE key = ?1 ORDER BY id DESC LIMIT 1";
            connection.query_row(sql, [key], incident).optional()
        })
    }

    /// The open incidents, the oldest first.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn open_incidents(&self) -> Result<Vec<Incident>, LedgerError> {
        self.read(|connection| {
            let sql = "SELECT * FROM incidents WHERE closed_at IS NULL ORDER BY opened_at, id";
            let mut statement = connection.prepare_cached(sql)?;
            statement.query_map([], incident)?.collect()
        })
    }
}

fn incident(row: &Row<'_>) -> rusqlite::Result<Incident> {
    Ok(Incident {
        key: row.get("key")?,
        severity: row.get("severity")?,
        text: row.get("text")?,
        opened_at: row.get::<_, UtcTime>("opened_at")?.0,
        last_seen_at: row.get::<_, UtcTime>("last_seen_at")?.0,
        count: row.get("count")?,
        closed_at: optional_time(row, "closed_at")?,
        acknowledged_at: optional_time(row, "acknowledged_at")?,
    })
}

fn told(row: &Row<'_>) -> rusqlite::Result<Told> {
    Ok(Told {
        id: row.get("id")?,
        incident: incident(row)?,
        severity: row.get("told_severity")?,
        reminders: row.get("reminders")?,
        remind_at: optional_time(row, "remind_at")?,
    })
}

fn optional_time(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<DateTime<Utc>>> {
    Ok(row.get::<_, Option<UtcTime>>(column)?.map(|time| time.0))
}
