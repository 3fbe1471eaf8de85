//! What was carried from the product folder to other places.

use chrono::{DateTime, Utc};
use rusqlite::OptionalExtension;

use super::values::UtcTime;
use super::{Ledger, LedgerError, ProductRow};
use crate::time::ProductDay;

impl Ledger {
    /// Writes down where a target is. True where it was elsewhere when something was carried to it before: what was is forgotten, since
    /// it has nothing at this place.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn target_is_at(&self, target: &str, place: &str) -> Result<bool, LedgerError> {
        self.write(|connection| {
            let sql = "SELECT place FROM target_places WHERE target = ?1";
            let before = connection.query_row(sql, [target], |row| row.get::<_, String>(0)).optional()?;
            let has_moved = before.as_ref().is_some_and(|before| before != place);
            if has_moved {
                connection.execute("DELETE FROM carried WHERE target = ?1", [target])?;
                connection.execute("DELETE FROM carried_roots WHERE target = ?1", [target])?;
            }
            if before.as_deref() != Some(place) {
                let sql = "INSERT INTO target_places (target, place) VALUES (?1, ?2)
                           ON CONFLICT (target) DO UPDATE SET place = excluded.place";
                connection.execute(sql, [target, place])?;
            }
            Ok(has_moved)
        })
    }

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

    /// The digest of the files in the product root that a target has; none where it has none.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn delivered_root(&self, target: &str) -> Result<Option<String>, LedgerError> {
        let sql = "SELECT digest FROM carried_roots WHERE target = ?1";
        self.read(|connection| connection.query_row(sql, [target], |row| row.get(0)).optional())
    }

    /// Writes that digest down.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn set_delivered_root(
        &self,
        target: &str,
        digest: &str,
        now: DateTime<Utc>,
    ) -> Result<(), LedgerError> {
        self.write(|connection| {
            let sql = "INSERT INTO carried_roots (target, digest, carried_at) VALUES (?1, ?2, ?3)
                       ON CONFLICT (target) DO UPDATE SET digest = excluded.digest, carried_at = excluded.carried_at";
            connection.execute(sql, (target, digest, UtcTime(now))).map(|_| ())
        })
    }
}
