//! Days: which files were chosen for them, and what they go without.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, named_params};

use super::values::UtcTime;
use super::{Ledger, LedgerError};
use crate::time::ProductDay;

/// A file that was chosen for a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DayInput {
    /// What it gives to the day.
    pub role: String,
    /// SHA-256 of its bytes, hexadecimal.
    pub sha256: String,
    /// Its name.
    pub name: String,
    /// Days from its centre to the day.
    pub age_days: u32,
}

impl Ledger {
    /// Writes down which files were chosen for a day. True where the choice for a role is another than before, or the first.
    ///
    /// # Errors
    /// [`LedgerError`], also where a file was not recorded before; then nothing was written.
    pub fn record_day_inputs(
        &self,
        day: ProductDay,
        inputs: &[DayInput],
        now: DateTime<Utc>,
    ) -> Result<bool, LedgerError> {
        self.write(|connection| {
            let chosen = chosen(connection, day)?;
            let changes: Vec<&DayInput> = inputs.iter().filter(|input| !chosen.contains(input)).collect();
            for input in &changes {
                insert(connection, day, input, now)?;
            }
            Ok(!changes.is_empty())
        })
    }

    /// The files that were last chosen for a day, one a role.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn day_inputs(&self, day: ProductDay) -> Result<Vec<DayInput>, LedgerError> {
        self.read(|connection| chosen(connection, day))
    }

    /// Declares that a day goes without the file of a role that is centred on it. True the first time.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn declare_gap(
        &self,
        day: ProductDay,
        role: &str,
        reason: &str,
        now: DateTime<Utc>,
    ) -> Result<bool, LedgerError> {
        self.write(|connection| {
            let sql = "INSERT INTO gaps (day, role, reason, declared_at) VALUES (:day, :role, :reason, :now)
                       ON CONFLICT DO NOTHING";
            let parameters =
                named_params! { ":day": day, ":role": role, ":reason": reason, ":now": UtcTime(now) };
            Ok(connection.execute(sql, parameters)? == 1)
        })
    }

    /// Takes a gap back, because the file has come after all. True where there was one.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn withdraw_gap(&self, day: ProductDay, role: &str) -> Result<bool, LedgerError> {
        self.write(|connection| {
            let sql = "DELETE FROM gaps WHERE day = :day AND role = :role";
            Ok(connection.execute(sql, named_params! { ":day": day, ":role": role })? == 1)
        })
    }

    /// Whether such a gap was declared.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn is_gap(&self, day: ProductDay, role: &str) -> Result<bool, LedgerError> {
        self.read(|connection| {
            let sql = "SELECT EXISTS (SELECT 1 FROM gaps WHERE day = :day AND role = :role)";
            connection.query_row(sql, named_params! { ":day": day, ":role": role }, |row| row.get(0))
        })
    }
}

fn chosen(connection: &Connection, day: ProductDay) -> rusqlite::Result<Vec<DayInput>> {
    let sql = "SELECT day_inputs.role, sha256, name, age_days
               FROM day_inputs JOIN files ON files.id = day_inputs.file
               WHERE day_inputs.id IN (SELECT max(id) FROM day_inputs WHERE day = ?1 GROUP BY role)
               ORDER BY day_inputs.role";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map([day], |row| {
        Ok(DayInput {
            role: row.get("role")?,
            sha256: row.get("sha256")?,
            name: row.get("name")?,
            age_days: row.get("age_days")?,
        })
    })?;
    rows.collect()
}

fn insert(
    connection: &Connection,
    day: ProductDay,
    input: &DayInput,
    now: DateTime<Utc>,
) -> rusqlite::Result<()> {
    let sql = "INSERT INTO day_inputs (day, role, file, age_days, recorded_at)
               VALUES (:day, :role, (SELECT id FROM files WHERE sha256 = :sha256 AND name = :name), :age_days, :now)";
    let parameters = named_params! {
        ":day": day,
        ":role": input.role,
        ":sha256": input.sha256,
        ":name": input.name,
        ":age_days": input.age_days,
        ":now": UtcTime(now),
    };
    connection.execute(sql, parameters).map(|_| ())
}
