//! What was carried from the product folder to other places.

use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension, Row};

use super::values::UtcTime;
use super::{Ledger, LedgerError, ProductRow};
use crate::time::ProductDay;

/// The files in the product root that lead to the revisions, as a target has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CarriedRoot {
    /// A digest of all.
    pub digest: String,
    /// Their paths below the root, with slashes.
    pub files: Vec<String>,
}

/// A target is known by whatever text tells it from others, its place included: at another place it has nothing.
impl Ledger {
    /// The revisions that stand and that a target does not have, the newest first.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn undelivered(&self, target: &str) -> Result<Vec<ProductRow>, LedgerError> {
        let selection = "WHERE withdrawn_at IS NULL AND removed_at IS NULL AND NOT EXISTS
            (SELECT 1 FROM carried WHERE target = ?1 AND product = products.id) ORDER BY day DESC, revision DESC";
        self.products(selection, [target])
    }

    /// The revisions that a target has, that were taken back since, and that it was not told of; also those that were cleared away here.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn untold_withdrawals(&self, target: &str) -> Result<Vec<ProductRow>, LedgerError> {
        let selection = "WHERE withdrawn_at IS NOT NULL AND EXISTS
            (SELECT 1 FROM carried WHERE target = ?1 AND product = products.id AND told_withdrawn_at IS NULL)
            ORDER BY day DESC, revision DESC";
        self.products(selection, [target])
    }

    /// Whether any target has a revision.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn is_delivered_anywhere(&self, day: ProductDay, revision: u32) -> Result<bool, LedgerError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM carried JOIN products ON products.id = product
                   WHERE day = ?1 AND revision = ?2)";
        self.read(|connection| connection.query_row(sql, (day, revision), |row| row.get(0)))
    }

    /// Whether a target has a revision.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn is_delivered(&self, target: &str, day: ProductDay, revision: u32) -> Result<bool, LedgerError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM carried JOIN products ON products.id = product
                   WHERE target = ?1 AND day = ?2 AND revision = ?3)";
        self.read(|connection| connection.query_row(sql, (target, day, revision), |row| row.get(0)))
    }

    /// Writes down that a target has a revision.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn delivered(
        &self,
        target: &str,
        (day, revision): (ProductDay, u32),
        now: DateTime<Utc>,
    ) -> Result<(), LedgerError> {
        self.write(|connection| {
            let sql = "INSERT INTO carried (target, product, carried_at)
                       SELECT ?1, id, ?4 FROM products WHERE day = ?2 AND revision = ?3 ON CONFLICT DO NOTHING";
            connection.execute(sql, (target, day, revision, UtcTime(now))).map(|_| ())
        })
    }

    /// Writes down that a target was told that a revision was taken back.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn told_withdrawn(
        &self,
        target: &str,
        (day, revision): (ProductDay, u32),
        now: DateTime<Utc>,
    ) -> Result<(), LedgerError> {
        self.write(|connection| {
            let sql = "UPDATE carried SET told_withdrawn_at = ?4 WHERE target = ?1 AND product =
                       (SELECT id FROM products WHERE day = ?2 AND revision = ?3)";
            connection.execute(sql, (target, day, revision, UtcTime(now))).map(|_| ())
        })
    }

    /// What a target has of the files in the product root; none where it has none of them.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn delivered_root(&self, target: &str) -> Result<Option<CarriedRoot>, LedgerError> {
        let sql = "SELECT digest, files FROM carried_roots WHERE target = ?1";
        let root = |row: &Row<'_>| {
            let files = row.get::<_, String>("files")?.lines().map(str::to_owned).collect();
            Ok(CarriedRoot { digest: row.get("digest")?, files })
        };
        self.read(|connection| connection.query_row(sql, [target], root).optional())
    }

    /// Writes that down.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn set_delivered_root(
        &self,
        target: &str,
        root: &CarriedRoot,
        now: DateTime<Utc>,
    ) -> Result<(), LedgerError> {
        self.write(|connection| {
            let sql = "INSERT INTO carried_roots (target, digest, files, carried_at) VALUES (?1, ?2, ?3, ?4)
                       ON CONFLICT (target) DO UPDATE SET
                           digest = excluded.digest, files = excluded.files, carried_at = excluded.carried_at";
            let values = (target, &root.digest, root.files.join("\n"), UtcTime(now));
            connection.execute(sql, values).map(|_| ())
        })
    }
}
