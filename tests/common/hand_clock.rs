//! A clock that stands still until it is moved.

use std::sync::Mutex;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use nilas::time::Clock;

/// The clock.
pub(crate) struct HandClock {
    start: DateTime<Utc>,
    now: Mutex<DateTime<Utc>>,
}

impl HandClock {
    pub(crate) fn new(start: &str) -> Self {
        let start = start.parse().unwrap();
        Self { start, now: Mutex::new(start) }
    }

    pub(crate) fn pass(&self, time: TimeDelta) {
        *self.now.lock().unwrap() += time;
    }
}

impl Clock for HandClock {
    fn now(&self) -> DateTime<Utc> {
        *self.now.lock().unwrap()
    }

    fn monotonic(&self) -> Duration {
        (self.now() - self.start).to_std().unwrap()
    }
}
