//! What lies in the product folder, as the ledger has it. The folder is what readers see, so it is the folder that is believed: what
//! is published there and not known is taken over, and a run that was cut off is judged by what it left.

use std::iter;
use std::path::Path;

use chrono::{DateTime, Utc};

use crate::config::Config;
use crate::ledger::{
    Aftermath, DayState, Ledger, Outcome, ProductInput, ProductRow, RunEnd, RunRow, Withdrawal,
};
use crate::produce::{DayLock, ProduceError};
use crate::publish::{self, Manifest, Status, Stored};
use crate::time::ProductDay;

use super::DaemonError;

/// Takes over every revision that the ledger does not know; how many there were. Where the ledger was lost, that is all of them: one entry,
/// so that a start that is cut off leaves none that knows a part, and years of them are taken over in a second.
pub(super) fn adopt_all(ledger: &Ledger, root: &Path) -> Result<usize, DaemonError> {
    let rows: Vec<ProductRow> = publish::stored(root)?.iter().map(found).collect::<Result<_, _>>()?;
    take_over(ledger, &rows)
}

/// Those that were not known; and of those that were, what has been taken back since the ledger was as it is: one that was damaged has
/// given way to a copy of an earlier day.
fn take_over(ledger: &Ledger, rows: &[ProductRow]) -> Result<usize, DaemonError> {
    let adopted = ledger.adopt_products(rows)?;
    for row in rows {
        if let Some(withdrawal) = &row.withdrawal {
            ledger.withdraw_product(row.day, row.revision, withdrawal)?;
        }
    }
    Ok(adopted)
}

/// Takes over those of one day.
pub(super) fn adopt_day(ledger: &Ledger, root: &Path, day: ProductDay) -> Result<(), DaemonError> {
    for stored in publish::stored_of(root, day)? {
        if ledger.adopt_product(&found(&stored)?)? {
            tracing::info!(%day, revision = stored.revision, "a revision in the product folder was not in the ledger; it is now");
        }
    }
    Ok(())
}

/// Takes over the days that `latest.json` names, which a person may have put into the folder: targets are led to what the ledger knows.
/// One that is being produced is left to whoever does that; a file that cannot be read is written anew with the next product. No other day
/// is held up by what cannot be taken over.
pub(super) fn adopt_named(ledger: &Ledger, root: &Path) -> Result<(), DaemonError> {
    let Ok(Some(latest)) = publish::read_latest(root) else { return Ok(()) };
    for pointer in iter::once(latest.newest).chain(latest.newest_final) {
        let Ok(_lock) = DayLock::take(root, pointer.day) else { continue };
        match adopt_day(ledger, root, pointer.day) {
            Err(error @ DaemonError::Ledger(_)) => return Err(error),
            Err(error) => {
                tracing::warn!(day = %pointer.day, %error, "a day that readers are led to cannot be taken over into the ledger");
            }
            Ok(()) => {}
        }
    }
    Ok(())
}

/// A revision as it lies in the product folder.
fn found(stored: &Stored) -> Result<ProductRow, DaemonError> {
    let manifest = publish::read_manifest(&stored.folder)?;
    let withdrawal = publish::withdrawal_among_others(&stored.folder)
        .map(|note| Withdrawal { at: note.withdrawn_at, reason: note.reason });
    Ok(ProductRow { withdrawal, ..product_row(&manifest, None) })
}

/// The product of a run as the folder has it; `None` where it left none.
pub(super) fn left_by(run: &RunRow, root: &Path) -> Result<Option<ProductRow>, DaemonError> {
    let stored = publish::stored_of(root, run.day)?;
    let own = stored.iter().find(|stored| stored.revision == run.revision);
    own.map(|stored| Ok(product_row(&publish::read_manifest(&stored.folder)?, Some(run.id)))).transpose()
}

fn product_row(manifest: &Manifest, run: Option<i64>) -> ProductRow {
    let lineage = &manifest.lineage;
    let inputs = lineage.inputs.iter().map(|input| ProductInput {
        role: input.role.clone(),
        name: input.name.clone(),
        sha256: input.sha256.clone(),
        age_days: input.age_days,
    });
    ProductRow {
        day: manifest.day,
        revision: manifest.revision,
        run,
        is_final: manifest.status == Status::Final,
        published_at: manifest.created,
        size_bytes: manifest.files.iter().map(|file| file.bytes).sum(),
        manifest_sha256: manifest.manifest_sha256.clone(),
        checkpoint_sha256: lineage.checkpoint_sha256.clone(),
        config_hash: lineage.config_hash.clone(),
        degradation: lineage.degradation.clone(),
        withdrawal: None,
        removed_at: None,
        inputs: inputs.collect(),
    }
}

/// Judges the runs that were cut off: those that are at work by the ledger while nobody holds their day.
pub(super) fn settle_cut_off(
    ledger: &Ledger,
    config: &Config,
    now: DateTime<Utc>,
) -> Result<(), DaemonError> {
    for run in ledger.runs_at_work()? {
        let _lock = match DayLock::take(&config.folders.products, run.day) {
            Ok(lock) => lock,
            Err(ProduceError::Busy { .. }) => continue,
            Err(error) => return Err(error.into()),
        };
        settle_run(ledger, &run, &config.folders.products, now)?;
    }
    Ok(())
}

/// The same for a run whose day is held by the caller.
pub(super) fn settle_run(
    ledger: &Ledger,
    run: &RunRow,
    root: &Path,
    now: DateTime<Utc>,
) -> Result<(), DaemonError> {
    let product = left_by(run, root)?;
    if product.is_some() {
        publish::repair_root(root)?;
    }
    let (outcome, reason) = match &product {
        Some(_) => (Outcome::Published, None),
        None => (Outcome::Lost, Some("whoever watched over it ended before it did".to_owned())),
    };
    tracing::info!(day = %run.day, run = run.id, outcome = outcome.name(), "a run that was cut off is settled");
    let end = RunEnd {
        at: now,
        outcome,
        exit_code: None,
        reason,
        device: None,
        peak_memory_bytes: None,
        stages: Vec::new(),
    };
    let aftermath = match &product {
        Some(product) => after_product(product),
        None => Aftermath {
            counts_as_failure: false,
            ..after_nothing(ledger, run.day, "its production was cut off")?
        },
    };
    Ok(ledger.end_run(run, &end, product.as_ref(), &aftermath)?)
}

/// How a day stands with a product.
pub(super) fn after_product(product: &ProductRow) -> Aftermath {
    let revision = product.revision;
    let (state, note) = if product.is_final {
        (DayState::Final, format!("revision {revision} is made of the inputs of its day"))
    } else {
        let aged: Vec<String> = product
            .inputs
            .iter()
            .filter(|input| input.is_aged())
            .map(|input| format!("{} {:.0} days old", input.role, input.age_days))
            .collect();
        (DayState::Provisional, format!("revision {revision} stands, with {}", aged.join(" and ")))
    };
    Aftermath { state, note, counts_as_failure: false }
}

/// How a day stands that got no product: as it did, or it waits.
pub(super) fn after_nothing(ledger: &Ledger, day: ProductDay, why: &str) -> Result<Aftermath, DaemonError> {
    let products = ledger.products_of(day)?;
    let standing = products.iter().rev().find(|product| product.stands());
    Ok(match standing {
        Some(product) => {
            let Aftermath { state, note, .. } = after_product(product);
            Aftermath { state, note: format!("{note}; {why}"), counts_as_failure: false }
        }
        None => Aftermath { state: DayState::Waiting, note: why.to_owned(), counts_as_failure: false },
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::daemon::scratch_house::{House, day, time};
    use crate::sys;

    #[test]
    fn a_product_that_was_taken_back_behind_the_back_of_a_ledger_is_not_its_newest() {
        let house = House::full();
        let known = house.ledger.products_of(day("2026-02-26")).unwrap().remove(0);
        let withdrawal = Some(Withdrawal { at: time("2026-03-01T09:00:00Z"), reason: "wrong drift".into() });
        assert_eq!(house.ledger.newest_product().unwrap().unwrap().day, known.day);
        let from_the_folder = ProductRow { withdrawal: withdrawal.clone(), run: None, ..known.clone() };
        assert_eq!(take_over(&house.ledger, &[from_the_folder]).unwrap(), 0);
        let now = house.ledger.products_of(known.day).unwrap().remove(0);
        assert_eq!(now, ProductRow { withdrawal, ..known });
        assert_eq!(house.ledger.newest_product().unwrap().unwrap().day, day("2026-02-25"));
    }

    #[test]
    fn days_that_a_person_put_into_the_folder_are_taken_over_where_readers_are_led_to_them() {
        let house = House::full();
        let root = &house.config.folders.products;
        let folder = publish::revision_folder(root, day("2026-02-28"), 1);
        let mut manifest: Manifest = serde_json::from_value(serde_json::json!({
            "manifest_sha256": "", "day": "2026-02-28", "revision": 1, "status": Status::Final,
            "created": "2026-03-03T04:00:00Z", "grid": "test", "members": 2, "members_in_file": true,
            "figures": {"ice_cells": 1, "ice_area_km2": 1.0, "ice_volume_km3": 1.0, "mean_thickness_m": 1.0, "mean_spread_m": 1.0},
            "lineage": {
                "inputs": [], "declared_gaps": [], "checkpoint": "small", "checkpoint_sha256": "0", "training_data": "none",
                "sampler": "ddim", "steps": 1, "seed": 1, "device": "cpu", "precision": "f32", "config_hash": "0",
                "code_version": "0"
            },
            "timings": [], "files": []
        }))
        .unwrap();
        let text = |manifest: &Manifest| serde_json::to_string_pretty(manifest).unwrap();
        manifest.manifest_sha256 = sys::sha256(text(&manifest));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(publish::MANIFEST), text(&manifest)).unwrap();
        adopt_named(&house.ledger, root).unwrap();
        assert_eq!(house.ledger.products_of(day("2026-02-28")).unwrap(), [], "nothing leads to it");
        publish::repair_root(root).unwrap();
        adopt_named(&house.ledger, root).unwrap();
        assert_eq!(house.ledger.newest_product().unwrap().unwrap().day, day("2026-02-28"));
    }

    #[test]
    fn products_are_taken_over_together_or_not_at_all() {
        let full = House::full();
        let known: Vec<ProductRow> = ["2026-02-25", "2026-02-26"]
            .map(|day| ProductRow {
                run: None,
                ..full.ledger.products_of(day.parse().unwrap()).unwrap().remove(0)
            })
            .to_vec();
        let empty = House::empty();
        let new = &empty.ledger;
        // SQLite keeps what is not a number as nothing, and an age has to be there.
        let mut unspeakable = known[1].clone();
        unspeakable.inputs[0].age_days = f64::NAN;
        let with_one_that_fails = [known[0].clone(), unspeakable];
        assert!(new.adopt_products(&with_one_that_fails).is_err());
        assert!(!new.has_products().unwrap());
        assert_eq!(new.adopt_products(&known).unwrap(), 2);
        assert_eq!(new.adopt_products(&known).unwrap(), 0, "that is done once");
    }
}
