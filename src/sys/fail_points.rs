//! Places at which a test lets a process die as if it were killed. Without the feature `fail-points`, which no shipped program has,
//! there is nothing behind them.

/// The names of all of them, in the order in which a production passes them.
pub const FAIL_POINTS: [&str; 17] = [
    "files.written",
    "gather.fetched",
    "gather.recorded",
    "gather.chosen",
    "production.locked",
    "production.begun",
    "worker.started",
    "produce.read",
    "produce.drawn",
    "publish.written",
    "publish.durable",
    "publish.visible",
    "publish.done",
    "worker.ended",
    "production.recorded",
    "notify.queued",
    "notify.sent",
];

/// The process dies here when the environment says `FAILPOINTS=NAME=return`.
#[cfg(feature = "fail-points")]
pub fn fail_point(name: &str) {
    use std::sync::{Arc, LazyLock};

    use fail_parallel::{FailPointRegistry, FailScenario, fail_point};
    use rustix::process::{Signal, getpid, kill_process};

    static REGISTRY: LazyLock<Arc<FailPointRegistry>> = LazyLock::new(|| {
        let registry = Arc::new(FailPointRegistry::new());
        // Torn down when dropped; a process has one scenario for its whole life.
        std::mem::forget(FailScenario::setup(Arc::clone(&registry)));
        registry
    });
    fail_point!(Arc::clone(&REGISTRY), name, |_| {
        // As nobody can catch it, nothing comes after it.
        let _ = kill_process(getpid(), Signal::KILL);
    });
}

/// Nothing.
#[cfg(not(feature = "fail-points"))]
#[inline]
pub fn fail_point(_name: &str) {}
