//! A published product is taken back: readers are led to what stands, the ledger remembers why, people are told.

use chrono::{DateTime, SubsecRound, Utc};

use crate::config::Config;
use crate::ledger::{Aftermath, Ledger, Severity, Withdrawal};
use crate::notify::Notifier;
use crate::produce::DayLock;
use crate::publish::{self, WithdrawalNote};
use crate::time::ProductDay;

use super::DaemonError;
use super::records;

/// A product that was taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Withdrawn {
    /// Its revision.
    pub revision: u32,
    /// The newest day that is published now.
    pub newest: Option<ProductDay>,
}

/// Takes back a revision of a day; without a number the highest that stands. One that was cleared away here has to be named, and some
/// target has to have it. `None` where there is no such revision.
///
/// # Errors
/// [`DaemonError`].
pub fn withdraw(
    ledger: &Ledger,
    notifier: &Notifier,
    config: &Config,
    (day, revision): (ProductDay, Option<u32>),
    reason: &str,
    now: DateTime<Utc>,
) -> Result<Option<Withdrawn>, DaemonError> {
    // As the ledger keeps it, from which targets get their note.
    let now = now.trunc_subsecs(3);
    let root = &config.folders.products;
    let _lock = DayLock::take(root, day)?;
    records::adopt_day(ledger, root, day)?;
    let products = ledger.products_of(day)?;
    let found = products
        .iter()
        .rev()
        .filter(|product| product.withdrawal.is_none())
        .find(|product| revision.map_or(product.stands(), |revision| product.revision == revision));
    let Some(product) = found else { return Ok(None) };
    let revision = product.revision;
    if product.stands() {
        let note = WithdrawalNote { withdrawn_at: now, reason: reason.to_owned() };
        publish::withdraw(root, day, revision, &note)?;
    } else if !ledger.is_delivered_anywhere(day, revision)? {
        return Ok(None);
    }
    ledger.withdraw_product(day, revision, &Withdrawal { at: now, reason: reason.to_owned() })?;
    let why = format!("revision {revision} was taken back: {reason}");
    let Aftermath { state, note, .. } = records::after_nothing(ledger, day, &why)?;
    ledger.set_day(day, state, &note, now)?;
    let newest = publish::read_latest(root)?.map(|latest| latest.newest.day);
    let left =
        newest.map_or("nothing is published now".to_owned(), |newest| format!("latest.json names {newest}"));
    notifier.queue_announcement(
        &format!("withdrawn:{day}:{revision}"),
        Severity::Warning,
        &format!("product of {day}, revision {revision}, was taken back"),
        &format!("Revision {revision} of {day} was taken back: {reason}. Do not use it any more; {left}."),
    )?;
    Ok(Some(Withdrawn { revision, newest }))
}
