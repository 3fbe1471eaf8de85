//! Incidents: what people are told once when it begins, and once when it is over.

use chrono::{DateTime, Utc};
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{OptionalExtension, Row, named_params};

use super::values::UtcTime;
use super::{Ledger, LedgerError};

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
}

/// How much an incident matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Good to know: nothing is in the way of the products.
    Notice,
    /// Somebody should look: products come late, or are worse than they could be.
    Warning,
    /// Somebody must act: there will be no product.
    Failure,
}

impl Severity {
    const ALL: [Self; 3] = [Self::Notice, Self::Warning, Self::Failure];

    /// Its name in the ledger and in messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Failure => "failure",
        }
    }
}

impl ToSql for Severity {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.name().into())
    }
}

impl FromSql for Severity {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let name = value.as_str()?;
        Self::ALL.into_iter().find(|severity| severity.name() == name).ok_or(FromSqlError::InvalidType)
    }
}

impl Ledger {
    /// Raises an incident. True where none was open for the key: then people are told. Else the open one takes over severity and
    /// text, and counts one more.
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
                           severity = excluded.severity, text = excluded.text,
                           last_seen_at = excluded.last_seen_at, count = count + 1
                       RETURNING count = 1";
            let parameters =
                named_params! { ":key": key, ":severity": severity, ":text": text, ":now": UtcTime(now) };
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
        closed_at: row.get::<_, Option<UtcTime>>("closed_at")?.map(|time| time.0),
    })
}
