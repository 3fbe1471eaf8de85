//! Whether the daemon's work goes on: each piece of work says how long it may take at most, and the watchdog is fed while that holds.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What is at work.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    works: Mutex<Vec<Work>>,
}

#[derive(Debug)]
struct Work {
    number: u64,
    name: String,
    /// By the monotonic clock.
    good_until: Duration,
}

/// A piece of work; it has ended when this is dropped.
#[derive(Debug)]
pub(super) struct AtWork<'a> {
    pulse: &'a Pulse,
    number: u64,
}

impl Pulse {
    /// Work begins at `now` that takes `longest` at most.
    #[must_use]
    pub(super) fn begins(&self, name: impl Into<String>, now: Duration, longest: Duration) -> AtWork<'_> {
        let mut works = self.works();
        let number = works.last().map_or(0, |work| work.number + 1);
        works.push(Work { number, name: name.into(), good_until: now.saturating_add(longest) });
        AtWork { pulse: self, number }
    }

    /// Whether all that is at work is within its time; between two pieces of work nothing is, for a moment.
    #[must_use]
    pub(super) fn is_good(&self, now: Duration) -> bool {
        self.works().iter().all(|work| now <= work.good_until)
    }

    /// What began last, in a few words.
    #[must_use]
    pub(super) fn work(&self) -> String {
        self.works().last().map(|work| work.name.clone()).unwrap_or_default()
    }

    fn works(&self) -> MutexGuard<'_, Vec<Work>> {
        self.works.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        self.pulse.works().retain(|work| work.number != self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_that_takes_longer_than_it_may_has_no_pulse() {
        let (pulse, second) = (Pulse::default(), Duration::from_secs);
        let producing = pulse.begins("producing", second(100), second(1000));
        let gathering = pulse.begins("gathering", second(100), second(60));
        assert!(pulse.is_good(second(160)));
        assert!(!pulse.is_good(second(161)));
        assert_eq!(pulse.work(), "gathering");
        drop(gathering);
        assert!(pulse.is_good(second(161)), "the other one may take longer");
        assert_eq!(pulse.work(), "producing");
        assert!(!pulse.is_good(second(1101)));
        drop(producing);
        assert!(pulse.is_good(second(1101)));
    }
}
