//! Waiting for what happens elsewhere, but not for ever.

use std::thread;
use std::time::Duration;

use nilas::time::{Clock, SystemClock};

/// The longest that something may take.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);
const PAUSE: Duration = Duration::from_millis(50);

/// Looks until there is something.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let clock = SystemClock::new();
    let deadline = clock.monotonic() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(clock.monotonic() < deadline, "{what}: not within {PATIENCE:?}");
        thread::sleep(PAUSE);
    }
}
