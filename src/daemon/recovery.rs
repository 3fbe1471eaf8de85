//! The daemon opens its ledger. A damaged one gives way to its newest copy, and people are told.

use crate::config::Config;
use crate::ledger::{Ledger, Recovery, Severity};
use crate::time::Clock;

use super::chores::COPIES;
use super::{DaemonError, incidents, records};

/// The incident of a ledger that was damaged. It is over when a copy of the ledger is made a day later, or more.
pub(super) const LEDGER: &str = "ledger";

/// Opens the ledger for the daemon. Where it is damaged, its newest whole copy takes its place and learns of all products that were
/// published since; what was done about it is an incident of the ledger that comes back.
///
/// # Errors
/// [`DaemonError`], where neither can be used.
pub fn open_ledger(config: &Config, clock: &dyn Clock) -> Result<Ledger, DaemonError> {
    let state = &config.folders.state;
    let (path, now) = (state.join(Ledger::FILE_NAME), clock.now());
    let (ledger, recovery) = Ledger::open_or_recover(&path, &state.join(COPIES), now)?;
    if let Some(recovery) = recovery {
        let adopted = records::adopt_all(&ledger, &config.folders.products)?;
        incidents::raise(&ledger, LEDGER, Severity::Failure, &in_words(&recovery, adopted), now)?;
    }
    Ok(ledger)
}

fn in_words(recovery: &Recovery, adopted: usize) -> String {
    let Recovery { reason, damaged, copy } = recovery;
    let place = match copy {
        Some(copy) => format!("its copy {} stands in its place", copy.display()),
        None => "an empty one stands in its place, for there was no copy to be used".to_owned(),
    };
    format!(
        "the ledger was damaged ({reason}) and lies at {} now; {place}, and {adopted} products were taken over from the product folder; what \
         was written down since, such as holds and days that were asked for, is lost; look at the disk",
        damaged.display()
    )
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::daemon::scratch_house::House;
    use crate::time::SystemClock;

    #[test]
    fn people_are_told_what_became_of_a_damaged_ledger() {
        let (folder, ledger, config) = House::full().into_parts();
        let copy = folder.path().join(COPIES).join("ledger-20260302.sqlite");
        ledger.copy_to(&copy).unwrap();
        drop(ledger);
        fs::write(folder.path().join(Ledger::FILE_NAME), "nonsense in the place of a ledger").unwrap();
        let clock = SystemClock::new();
        let told = |ledger: &Ledger| -> Vec<String> {
            let open = ledger.open_incidents().unwrap().into_iter();
            open.filter(|incident| incident.key == LEDGER).map(|incident| incident.text).collect()
        };
        let recovered = open_ledger(&config, &clock).unwrap();
        let texts = told(&recovered);
        assert_eq!(texts.len(), 1);
        assert!(texts[0].contains(&format!("its copy {} stands", copy.display())), "{}", texts[0]);
        assert_eq!(recovered.products_of("2026-02-26".parse().unwrap()).unwrap().len(), 1);
        drop(recovered);
        let again = open_ledger(&config, &clock).unwrap();
        assert_eq!(told(&again), texts, "it stays open, and nothing is recovered twice");
    }
}
