//! What the daemon is told from outside: to end, and to read its configuration again.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// What the daemon is told.
pub struct Signals {
    /// It is to end.
    pub stop: CancellationToken,
    /// It is to read its configuration again.
    pub reload: mpsc::Receiver<()>,
}

impl Signals {
    /// SIGTERM and SIGINT end it, SIGHUP lets it read its configuration again. Needs a runtime.
    ///
    /// # Errors
    /// What the system says where signals cannot be waited for.
    pub fn of_process() -> std::io::Result<Self> {
        let stop = CancellationToken::new();
        let (asks, reload) = mpsc::channel(1);
        let [terminate, interrupt, hang_up] =
            [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()].map(signal);
        tokio::spawn(end(terminate?, interrupt?, stop.clone()));
        tokio::spawn(pass_on(hang_up?, asks));
        Ok(Self { stop, reload })
    }
}

async fn end(mut terminate: Signal, mut interrupt: Signal, stop: CancellationToken) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    stop.cancel();
}

async fn pass_on(mut hang_up: Signal, asks: mpsc::Sender<()>) {
    while hang_up.recv().await.is_some() {
        // One that waits already is enough.
        let _ = asks.try_send(());
    }
}
