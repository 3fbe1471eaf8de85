//! What systemd is told, where it has started us; elsewhere nothing happens.

use std::time::Duration;

use sd_notify::NotifyState;

/// A watchdog is fed twice in its time, as systemd recommends.
const MEALS: u32 = 2;

/// The service is ready, with a line on what it does.
pub(super) fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// A line on what the service does.
pub(super) fn status(status: &str) {
    tell(&[NotifyState::Status(status)]);
}

/// The configuration is being read again; [`ready`] ends that.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

/// The service is about to end.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// The service is alive.
pub(super) fn feed() {
    tell(&[NotifyState::Watchdog]);
}

/// How often [`feed`] is to be called; `None` without a watchdog.
pub(super) fn feeding_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|limit| limit / MEALS)
}

/// Whoever does not listen to us does not need us either.
fn tell(news: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(news) {
        tracing::debug!("systemd is not told: {error}");
    }
}
