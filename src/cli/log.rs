//! The log: to the journal where systemd has started us, else to standard error; in words or as JSON.

use std::io::IsTerminal;
use std::os::fd::AsFd;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

/// Which events are kept, such as `info` or `debug`.
const LEVEL: &str = "NILAS_LOG";
/// `text` or `json` on standard error; without it the journal, where standard error is the journal.
const FORMAT: &str = "NILAS_LOG_FORMAT";

/// What systemd calls the journal that it has given us as standard error: device and inode.
const JOURNAL_STREAM: &str = "JOURNAL_STREAM";

/// Starts the log of this process.
pub(super) fn start_log() {
    let filter = EnvFilter::try_from_env(LEVEL).unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::registry().with(layer().with_filter(filter)).init();
}

fn layer() -> Box<dyn Layer<Registry> + Send + Sync> {
    let format = std::env::var(FORMAT).unwrap_or_default();
    if format.is_empty()
        && is_journal()
        && let Ok(journal) = tracing_journald::layer()
    {
        // Fields keep their names: DAY and RUN of a production can be asked for.
        return journal.with_field_prefix(Some("NILAS".to_owned())).boxed();
    }
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false);
    if format == "json" {
        lines.json().flatten_event(true).boxed()
    } else {
        lines.with_ansi(std::io::stderr().is_terminal()).boxed()
    }
}

fn is_journal() -> bool {
    let Ok(stream) = std::env::var(JOURNAL_STREAM) else { return false };
    let own = rustix::fs::fstat(std::io::stderr().as_fd());
    own.is_ok_and(|own| stream == format!("{}:{}", own.st_dev, own.st_ino))
}
