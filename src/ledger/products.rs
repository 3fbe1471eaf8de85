//! Products: what was published, of what it was made, and what became of it.

use std::slice;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, Row, Statement, named_params};

use super::values::{InOrder, UtcTime};
use super::{Ledger, LedgerError};
use crate::time::ProductDay;

/// A published revision.
#[derive(Debug, Clone, PartialEq)]
pub struct ProductRow {
    /// The day.
    pub day: ProductDay,
    /// The revision, from 1.
    pub revision: u32,
    /// The run that made it; none where it was found in the product folder.
    pub run: Option<i64>,
    /// Whether it is made of the inputs of its day.
    pub is_final: bool,
    /// When it was made, UTC.
    pub published_at: DateTime<Utc>,
    /// What its files take, bytes.
    pub size_bytes: u64,
    /// SHA-256 of its manifest, as the manifest states it.
    pub manifest_sha256: String,
    /// SHA-256 of the checkpoint that made it.
    pub checkpoint_sha256: String,
    /// Hash of the configuration that made it.
    pub config_hash: String,
    /// What is worse than it should be beside aged inputs, in a sentence.
    pub degradation: Option<String>,
    /// That it was taken back.
    pub withdrawal: Option<Withdrawal>,
    /// When its files were cleared away, UTC.
    pub removed_at: Option<DateTime<Utc>>,
    /// What it was made of.
    pub inputs: Vec<ProductInput>,
}

/// That a product was taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Withdrawal {
    /// When, UTC.
    pub at: DateTime<Utc>,
    /// Why, in a person's words.
    pub reason: String,
}

/// A file that a product was made of.
#[derive(Debug, Clone, PartialEq)]
pub struct ProductInput {
    /// What it gave.
    pub role: String,
    /// Its name.
    pub name: String,
    /// SHA-256 of its bytes, hexadecimal.
    pub sha256: String,
    /// Days from its centre to the day.
    pub age_days: f64,
}

/// Windows of some products end a second early or late; an input of the day's own is never this old, days.
const AGED_DAYS: f64 = 0.5;

impl ProductInput {
    /// Whether it is older than that of the day.
    #[must_use]
    pub fn is_aged(&self) -> bool {
        self.age_days > AGED_DAYS
    }
}

impl ProductRow {
    /// Whether it is there for readers.
    #[must_use]
    pub fn stands(&self) -> bool {
        self.withdrawal.is_none() && self.removed_at.is_none()
    }
}

impl Ledger {
    /// Writes down a product that was found in the product folder. True where it was not known.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn adopt_product(&self, product: &ProductRow) -> Result<bool, LedgerError> {
        Ok(self.adopt_products(slice::from_ref(product))? == 1)
    }

    /// Writes down those that were not known, all or none of them; how many there were.
    ///
    /// # Errors
    /// [`LedgerError`]; then nothing was written.
    pub fn adopt_products(&self, products: &[ProductRow]) -> Result<usize, LedgerError> {
        self.write(|connection| {
            let mut adopted = 0;
            for product in products {
                if !is_known(connection, product)? {
                    insert(connection, product)?;
                    adopted += 1;
                }
            }
            Ok(adopted)
        })
    }

    /// The products of a day, the oldest revision first.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn products_of(&self, day: ProductDay) -> Result<Vec<ProductRow>, LedgerError> {
        self.products("WHERE day = ?1 ORDER BY revision", [day])
    }

    /// The products of these days and those between them, by day and revision.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn products_between(
        &self,
        first: ProductDay,
        last: ProductDay,
    ) -> Result<Vec<ProductRow>, LedgerError> {
        self.products("WHERE day BETWEEN ?1 AND ?2 ORDER BY day, revision", [first, last])
    }

    /// What became known from one moment on and before another, in order: when its production ended, or, where it was found in the
    /// product folder, when it was made.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn published_between(
        &self,
        from: DateTime<Utc>,
        before: DateTime<Utc>,
    ) -> Result<Vec<ProductRow>, LedgerError> {
        let known = "ifnull((SELECT ended_at FROM runs WHERE runs.id = products.run), published_at)";
        let selection = format!("WHERE {known} >= ?1 AND {known} < ?2 ORDER BY published_at, id");
        self.products(&selection, [UtcTime(from), UtcTime(before)])
    }

    /// Every revision by day and number, and whether its files lie in the product folder, as far as is known.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn revisions(&self) -> Result<Vec<(ProductDay, u32, bool)>, LedgerError> {
        self.read(|connection| {
            let sql = "SELECT day, revision, removed_at IS NULL FROM products ORDER BY day, revision";
            let mut statement = connection.prepare_cached(sql)?;
            statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect()
        })
    }

    /// The highest revision of the newest day that stands.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn newest_product(&self) -> Result<Option<ProductRow>, LedgerError> {
        let selection =
            "WHERE withdrawn_at IS NULL AND removed_at IS NULL ORDER BY day DESC, revision DESC LIMIT 1";
        Ok(self.products(selection, [])?.pop())
    }

    /// Whether any product is known.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn has_products(&self) -> Result<bool, LedgerError> {
        self.read(|connection| {
            connection.query_row("SELECT EXISTS (SELECT 1 FROM products)", [], |row| row.get(0))
        })
    }

    /// Takes a product back. False where it is not known or was taken back before.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn withdraw_product(
        &self,
        day: ProductDay,
        revision: u32,
        withdrawal: &Withdrawal,
    ) -> Result<bool, LedgerError> {
        self.write(|connection| {
            let sql = "UPDATE products SET withdrawn_at = :at, withdrawal_reason = :reason
                       WHERE day = :day AND revision = :revision AND withdrawn_at IS NULL";
            let parameters = named_params! {
                ":at": UtcTime(withdrawal.at), ":reason": withdrawal.reason, ":day": day, ":revision": revision
            };
            Ok(connection.execute(sql, parameters)? == 1)
        })
    }

    /// Writes down that the files of a product were cleared away.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn remove_product(
        &self,
        day: ProductDay,
        revision: u32,
        now: DateTime<Utc>,
    ) -> Result<(), LedgerError> {
        self.write(|connection| {
            let sql =
                "UPDATE products SET removed_at = ?3 WHERE day = ?1 AND revision = ?2 AND removed_at IS NULL";
            connection.execute(sql, (day, revision, UtcTime(now))).map(|_| ())
        })
    }

    /// Writes down that the files of a product are there after all.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn bring_back_product(&self, day: ProductDay, revision: u32) -> Result<(), LedgerError> {
        self.write(|connection| {
            let sql = "UPDATE products SET removed_at = NULL WHERE day = ?1 AND revision = ?2";
            connection.execute(sql, (day, revision)).map(|_| ())
        })
    }

    pub(super) fn products(
        &self,
        selection: &str,
        parameters: impl rusqlite::Params,
    ) -> Result<Vec<ProductRow>, LedgerError> {
        self.read(|connection| {
            let sql = format!("SELECT {COLUMNS} FROM products {selection}");
            let (mut products, mut inputs) =
                (connection.prepare_cached(&sql)?, connection.prepare_cached(INPUTS)?);
            products.query_map(parameters, |row| product_row(row, &mut inputs))?.collect()
        })
    }
}

fn is_known(connection: &Connection, product: &ProductRow) -> rusqlite::Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM products WHERE day = ?1 AND revision = ?2)";
    connection.prepare_cached(sql)?.query_row((product.day, product.revision), |row| row.get(0))
}

/// Writes a product down, within a transaction. One that is known, because it was found in the folder, gets the run that made it.
pub(super) fn insert(connection: &Connection, product: &ProductRow) -> rusqlite::Result<()> {
    let sql = "INSERT INTO products (day, revision, run, status, published_at, size_bytes, manifest_sha256,
                                     checkpoint_sha256, config_hash, degradation, withdrawn_at, withdrawal_reason)
               VALUES (:day, :revision, :run, :status, :published_at, :size_bytes, :manifest_sha256,
                       :checkpoint_sha256, :config_hash, :degradation, :withdrawn_at, :withdrawal_reason)
               ON CONFLICT (day, revision) DO UPDATE SET run = ifnull(excluded.run, run)
               RETURNING id";
    let withdrawal = product.withdrawal.as_ref();
    let parameters = named_params! {
        ":day": product.day,
        ":revision": product.revision,
        ":run": product.run,
        ":status": if product.is_final { "final" } else { "provisional" },
        ":published_at": UtcTime(product.published_at),
        ":size_bytes": product.size_bytes as i64,
        ":manifest_sha256": product.manifest_sha256,
        ":checkpoint_sha256": product.checkpoint_sha256,
        ":config_hash": product.config_hash,
        ":degradation": product.degradation,
        ":withdrawn_at": withdrawal.map(|withdrawal| UtcTime(withdrawal.at)),
        ":withdrawal_reason": withdrawal.map(|withdrawal| &withdrawal.reason),
    };
    let id: i64 = connection.query_row(sql, parameters, |row| row.get(0))?;
    let sql = "INSERT INTO product_inputs (product, role, name, sha256, age_days) VALUES (?1, ?2, ?3, ?4, ?5)
               ON CONFLICT DO NOTHING";
    product.inputs.iter().try_for_each(|input| {
        let values = (id, &input.role, &input.name, &input.sha256, input.age_days);
        connection.execute(sql, values).map(|_| ())
    })
}

/// In the order in which [`product_row`] takes them.
const COLUMNS: &str = "id, day, revision, run, status, published_at, size_bytes, manifest_sha256,
                       checkpoint_sha256, config_hash, degradation, withdrawn_at, withdrawal_reason, removed_at";

/// A row of [`COLUMNS`], with what `inputs` says of it.
fn product_row(row: &Row<'_>, inputs: &mut Statement<'_>) -> rusqlite::Result<ProductRow> {
    let mut columns = InOrder::of(row);
    let id = columns.next::<i64>()?;
    Ok(ProductRow {
        day: columns.next()?,
        revision: columns.next()?,
        run: columns.next()?,
        is_final: columns.next::<String>()? == "final",
        published_at: columns.next::<UtcTime>()?.0,
        size_bytes: columns.next::<i64>()? as u64,
        manifest_sha256: columns.next()?,
        checkpoint_sha256: columns.next()?,
        config_hash: columns.next()?,
        degradation: columns.next()?,
        withdrawal: Option::zip(columns.next::<Option<UtcTime>>()?, columns.next()?)
            .map(|(at, reason)| Withdrawal { at: at.0, reason }),
        removed_at: columns.next::<Option<UtcTime>>()?.map(|time| time.0),
        inputs: inputs.query_map([id], product_input)?.collect::<Result<_, _>>()?,
    })
}

const INPUTS: &str =
    "SELECT role, name, sha256, age_days FROM product_inputs WHERE product = ?1 ORDER BY role";

/// A row of [`INPUTS`].
fn product_input(row: &Row<'_>) -> rusqlite::Result<ProductInput> {
    let (role, name, sha256, age_days) = row.try_into()?;
    Ok(ProductInput { role, name, sha256, age_days })
}
