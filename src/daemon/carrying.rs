//! When products are carried to their targets: as soon as there is something new; a target that fails is left alone for a while.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use crate::config::{Config, Schedule};
use crate::deliver::Carrier;
use crate::ledger::{Ledger, Severity};
use crate::time::Clock;

use super::{DaemonError, incidents};

/// What the incidents of targets begin with.
const TARGET: &str = "target";

/// How a target has failed since it last did not.
#[derive(Debug, Clone, Copy)]
struct Failing {
    times: u32,
    next_try: DateTime<Utc>,
}

/// What is remembered from one time to the next; after a restart every target is tried at once.
#[derive(Debug, Default)]
pub(super) struct Patience {
    failing: BTreeMap<String, Failing>,
}

impl Patience {
    /// Carries what there is to every target that is not left alone now.
    pub(super) async fn carry(
        &mut self,
        carrier: &Carrier,
        ledger: &Ledger,
        config: &Config,
        clock: &dyn Clock,
    ) -> Result<(), DaemonError> {
        self.failing.retain(|target, _| config.targets.contains_key(target));
        settle_unconfigured(ledger, config, clock.now())?;
        let now = clock.now();
        let wanted = |target: &str| self.failing.get(target).is_none_or(|failing| failing.next_try <= now);
        let carried = carrier.carry(ledger, &config.folders.products, clock, wanted).await?;
        for one in carried {
            let (key, now) = (format!("{TARGET}:{}", one.target), clock.now());
            let Some((error, waiting)) = one.failure else {
                self.failing.remove(&one.target);
                incidents::settle(ledger, &key, &format!("{} has everything again", one.target), now)?;
                continue;
            };
            // Where only a revision here is at fault the target takes things: what is new does not wait for it.
            let takes_things = error.is_of_a_revision();
            let times = self.failing.get(&one.target).filter(|_| !takes_things).map_or(0, |one| one.times);
            let next_try = now + pause(&config.schedule, times);
            self.failing.insert(one.target.clone(), Failing { times: times + 1, next_try });
            let waits = if waiting == 1 {
                "1 revision waits".to_owned()
            } else {
                format!("{waiting} revisions wait")
            };
            let text = format!("products cannot be carried to {} ({waits}): {error}", one.target);
            incidents::raise(ledger, &key, Severity::Warning, &text, now)?;
        }
        Ok(())
    }
}

/// A target that is not configured any more misses nothing.
fn settle_unconfigured(ledger: &Ledger, config: &Config, now: DateTime<Utc>) -> Result<(), DaemonError> {
    for incident in ledger.open_incidents()? {
        let target = incident.key.split_once(':').filter(|(kind, _)| *kind == TARGET);
        if target.is_some_and(|(_, name)| !config.targets.contains_key(name)) {
            incidents::settle(ledger, &incident.key, "the target is not configured any more", now)?;
        }
    }
    Ok(())
}

/// As after a production that failed: twice as long each time.
fn pause(schedule: &Schedule, failed_before: u32) -> TimeDelta {
    let minutes = i64::from(schedule.retry_minutes) << failed_before.min(16);
    TimeDelta::minutes(minutes.min(i64::from(schedule.longest_retry_minutes)))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use crate::config::{Target, TargetKind};
    use crate::daemon::scratch_house::House;
    use crate::time::SystemClock;

    use super::*;

    fn keys(ledger: &Ledger) -> Vec<String> {
        ledger.open_incidents().unwrap().into_iter().map(|incident| incident.key).collect()
    }

    #[tokio::test]
    async fn a_target_that_fails_is_an_incident_until_it_takes_things_again() {
        let (folder, ledger, mut config) = House::empty().into_parts();
        let gone = folder.path().join("gone");
        fs::write(&gone, "a file where a folder must be").unwrap();
        let target = Target {
            kind: TargetKind::Folder,
            address: Some(gone.to_string_lossy().into_owned()),
            address_file: None,
            products_url: None,
            credentials: None,
            authorities: None,
            region: None,
        };
        config.targets = [("mirror".to_owned(), target)].into();
        fs::create_dir_all(&config.folders.products).unwrap();
        fs::write(config.folders.products.join("catalog.json"), "{}").unwrap();
        let (carrier, clock) = (Carrier::new(&config).unwrap(), SystemClock::new());
        let mut patience = Patience::default();
        patience.carry(&carrier, &ledger, &config, &clock).await.unwrap();
        assert_eq!(keys(&ledger), ["target:mirror"]);
        fs::remove_file(&gone).unwrap();
        patience.carry(&carrier, &ledger, &config, &clock).await.unwrap();
        assert_eq!(keys(&ledger), ["target:mirror"], "it is left alone for a while");
        patience.failing.clear();
        patience.carry(&carrier, &ledger, &config, &clock).await.unwrap();
        assert_eq!(keys(&ledger), [] as [&str; 0]);
        assert!(gone.join("catalog.json").is_file());
    }

    #[tokio::test]
    async fn an_incident_of_a_target_that_is_not_configured_any_more_is_over() {
        let (_folder, ledger, config) = House::empty().into_parts();
        let clock = SystemClock::new();
        ledger.raise("target:gone", Severity::Warning, "it was down", clock.now()).unwrap();
        let carrier = Carrier::new(&config).unwrap();
        Patience::default().carry(&carrier, &ledger, &config, &clock).await.unwrap();
        assert_eq!(keys(&ledger), [] as [&str; 0]);
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let schedule = Schedule { retry_minutes: 10, longest_retry_minutes: 60, ..Schedule::default() };
        let pauses = [0, 1, 2, 3, 40].map(|failed| pause(&schedule, failed).num_minutes());
        assert_eq!(pauses, [10, 20, 40, 60, 60]);
    }
}
