//! Input files: where they came from, what they were judged to be, and what was measured on them.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::values::{UtcTime, path_text, sentence};
use super::{Ledger, LedgerError};
use crate::time::ProductDay;

/// An input file as it came.
#[derive(Debug, Clone, PartialEq)]
pub struct FileRow {
    /// Its name at the provider.
    pub name: String,
    /// SHA-256 of its bytes, hexadecimal.
    pub sha256: String,
    /// What it gives to a day.
    pub role: String,
    /// The word of its name that tells its product from others of the role.
    pub product: String,
    /// The first day that it observes.
    pub first_day: ProductDay,
    /// The last day that it observes.
    pub last_day: ProductDay,
    /// The day in the middle.
    pub centre: ProductDay,
    /// Name of the server that gave it.
    pub server: String,
    /// Where it lay there.
    pub url: String,
    /// Its size, bytes.
    pub size_bytes: u64,
    /// When it came first, UTC.
    pub fetched_at: DateTime<Utc>,
    /// When it was last judged, UTC.
    pub judged_at: DateTime<Utc>,
    /// What it was judged to be.
    pub verdict: Verdict,
    /// What was measured then.
    pub checks: Vec<CheckRow>,
}

/// What a file was judged to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It may make a day.
    Accepted,
    /// It may not.
    Refused(Refusal),
}

/// Why a file was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The reason in a word that stays the same.
    pub kind: String,
    /// The reason in a sentence.
    pub reason: String,
    /// Where the file is kept; none where it could not be.
    pub quarantine: Option<PathBuf>,
}

/// A check of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckRow {
    /// What was measured.
    pub name: String,
    /// The value; NaN where it could not be measured.
    pub measured: f64,
    /// The least that passes, if that was limited.
    pub least: Option<f64>,
    /// The most that passes, if that was limited.
    pub most: Option<f64>,
    /// Whether it passed.
    pub passed: bool,
}

impl FileRow {
    /// What the check of this name measured.
    #[must_use]
    pub fn measured(&self, check: &str) -> Option<f64> {
        self.checks.iter().find(|row| row.name == check).map(|row| row.measured)
    }
}

impl Ledger {
    /// What is known of these bytes under this name; `None` where they never came.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn known_file(&self, sha256: &str, name: &str) -> Result<Option<FileRow>, LedgerError> {
        self.read(|connection| {
            let sql = "SELECT * FROM files WHERE sha256 = ?1 AND name = ?2";
            connection.query_row(sql, [sha256, name], |row| file(connection, row)).optional()
        })
    }

    /// Writes down a file with its checks. Bytes that came before under this name are judged anew: their origin, verdict and checks are
    /// replaced, the rest stays as it was when they came first.
    ///
    /// # Errors
    /// [`LedgerError`]; then nothing was written.
    pub fn record_file(&self, file: &FileRow) -> Result<(), LedgerError> {
        self.write(|connection| {
            let id = upsert(connection, file)?;
            connection.execute("DELETE FROM checks WHERE file = ?1", [id])?;
            file.checks.iter().try_for_each(|check| insert_check(connection, id, check))
        })
    }

    /// The youngest accepted file of a role that is centred before a day, with its checks: what the next one is compared with.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn previous_accepted(&self, role: &str, before: ProductDay) -> Result<Option<FileRow>, LedgerError> {
        self.read(|connection| {
            let sql = "SELECT * FROM files WHERE role = :role AND verdict = 'accepted' AND centre < :before
                       ORDER BY centre DESC, judged_at DESC, id DESC LIMIT 1";
            let parameters = named_params! { ":role": role, ":before": before };
            connection.query_row(sql, parameters, |row| file(connection, row)).optional()
        })
    }

    /// The centre of the newest accepted file of a role.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn newest_centre(&self, role: &str) -> Result<Option<ProductDay>, LedgerError> {
        self.read(|connection| {
            let sql = "SELECT max(centre) FROM files WHERE role = ?1 AND verdict = 'accepted'";
            connection.query_row(sql, [role], |row| row.get(0))
        })
    }

    /// What became of the files of a role that are centred on a day, in the order in which they came.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn files_of(&self, role: &str, centre: ProductDay) -> Result<Vec<FileRow>, LedgerError> {
        self.read(|connection| {
            let sql = "SELECT * FROM files WHERE role = :role AND centre = :centre ORDER BY fetched_at, id";
            let parameters = named_params! { ":role": role, ":centre": centre };
            connection.prepare_cached(sql)?.query_map(parameters, |row| file(connection, row))?.collect()
        })
    }

    /// The accepted files of a role that are centred on these days or between them, the youngest first.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn accepted_files(
        &self,
        role: &str,
        first: ProductDay,
        last: ProductDay,
    ) -> Result<Vec<FileRow>, LedgerError> {
        self.read(|connection| {
            let sql = "SELECT * FROM files WHERE role = :role AND verdict = 'accepted' AND centre BETWEEN :first AND :last
                       ORDER BY centre DESC, judged_at DESC, id DESC";
            let parameters = named_params! { ":role": role, ":first": first, ":last": last };
            connection.prepare(sql)?.query_map(parameters, |row| file(connection, row))?.collect()
        })
    }
}

/// The number of the file's row.
fn upsert(connection: &Connection, file: &FileRow) -> rusqlite::Result<i64> {
    let refusal = match &file.verdict {
        Verdict::Accepted => None,
        Verdict::Refused(refusal) => Some(refusal),
    };
    let quarantine = refusal.and_then(|refusal| refusal.quarantine.as_deref()).map(path_text).transpose()?;
    let sql = "INSERT INTO files (name, sha256, role, product, first_day, last_day, centre, server, url, size_bytes,
                                  fetched_at, judged_at, verdict, refusal_kind, refusal_reason, quarantine)
               VALUES (:name, :sha256, :role, :product, :first_day, :last_day, :centre, :server, :url, :size_bytes,
                       :fetched_at, :judged_at, :verdict, :refusal_kind, :refusal_reason, :quarantine)
               ON CONFLICT (sha256, name) DO UPDATE SET
                   server = excluded.server, url = excluded.url,
                   judged_at = excluded.judged_at, verdict = excluded.verdict, refusal_kind = excluded.refusal_kind,
                   refusal_reason = excluded.refusal_reason, quarantine = excluded.quarantine
               RETURNING id";
    let parameters = named_params! {
        ":name": file.name,
        ":sha256": file.sha256,
        ":role": file.role,
        ":product": file.product,
        ":first_day": file.first_day,
        ":last_day": file.last_day,
        ":centre": file.centre,
        ":server": file.server,
        ":url": file.url,
        ":size_bytes": file.size_bytes as i64,
        ":fetched_at": UtcTime(file.fetched_at),
        ":judged_at": UtcTime(file.judged_at),
        ":verdict": if refusal.is_some() { "refused" } else { "accepted" },
        ":refusal_kind": refusal.map(|refusal| &refusal.kind),
        ":refusal_reason": refusal.map(|refusal| sentence(&refusal.reason)),
        ":quarantine": quarantine,
    };
    connection.query_row(sql, parameters, |row| row.get(0))
}

fn insert_check(connection: &Connection, file: i64, check: &CheckRow) -> rusqlite::Result<()> {
    let sql = "INSERT INTO checks (file, name, measured, least, most, passed)
               VALUES (:file, :name, :measured, :least, :most, :passed)";
    let parameters = named_params! {
        ":file": file,
        ":name": check.name,
        // SQLite has no NaN and would take it for a NULL; said here so that nobody wonders.
        ":measured": (!check.measured.is_nan()).then_some(check.measured),
        ":least": check.least,
        ":most": check.most,
        ":passed": check.passed,
    };
    connection.execute(sql, parameters).map(|_| ())
}

fn file(connection: &Connection, row: &Row<'_>) -> rusqlite::Result<FileRow> {
    Ok(FileRow {
        name: row.get("name")?,
        sha256: row.get("sha256")?,
        role: row.get("role")?,
        product: row.get("product")?,
        first_day: row.get("first_day")?,
        last_day: row.get("last_day")?,
        centre: row.get("centre")?,
        server: row.get("server")?,
        url: row.get("url")?,
        size_bytes: row.get::<_, i64>("size_bytes")? as u64,
        fetched_at: row.get::<_, UtcTime>("fetched_at")?.0,
        judged_at: row.get::<_, UtcTime>("judged_at")?.0,
        verdict: verdict(row)?,
        checks: checks(connection, row.get("id")?)?,
    })
}

fn verdict(row: &Row<'_>) -> rusqlite::Result<Verdict> {
    if row.get::<_, String>("verdict")? == "accepted" {
        return Ok(Verdict::Accepted);
    }
    Ok(Verdict::Refused(Refusal {
        kind: row.get("refusal_kind")?,
        reason: row.get("refusal_reason")?,
        quarantine: row.get::<_, Option<String>>("quarantine")?.map(PathBuf::from),
    }))
}

fn checks(connection: &Connection, file: i64) -> rusqlite::Result<Vec<CheckRow>> {
    let mut statement = connection.prepare_cached("SELECT * FROM checks WHERE file = ?1 ORDER BY name")?;
    let rows = statement.query_map([file], |row| {
        Ok(CheckRow {
            name: row.get("name")?,
            measured: row.get::<_, Option<f64>>("measured")?.unwrap_or(f64::NAN),
            least: row.get("least")?,
            most: row.get("most")?,
            passed: row.get("passed")?,
        })
    })?;
    rows.collect()
}
