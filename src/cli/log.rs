//! The log: to the journal where systemd has started us, else to standard error; in words or as JSON.

use std::io::{self, IsTerminal, Write, stderr};
use std::os::fd::AsFd;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use super::journal::Legible;
use crate::text::is_plain;

/// Which events are kept, such as `info` or `debug`.
const LEVEL: &str = "NILAS_LOG";
/// `text` or `json` on standard error; without it the journal, where standard error is the journal.
const FORMAT: &str = "NILAS_LOG_FORMAT";

/// What systemd calls the journal that it has given us as standard error: device and inode.
const JOURNAL_STREAM: &str = "JOURNAL_STREAM";

/// By what the layer colours an event. Foreign text could do no worse with these than to look like it.
const STYLES: [&str; 9] = [
    "\u{1b}[0m",
    "\u{1b}[1m",
    "\u{1b}[2m",
    "\u{1b}[3m",
    "\u{1b}[31m",
    "\u{1b}[32m",
    "\u{1b}[33m",
    "\u{1b}[34m",
    "\u{1b}[35m",
];

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
        return Legible(journal.with_field_prefix(Some("NILAS".to_owned()))).boxed();
    }
    let lines = tracing_subscriber::fmt::layer().with_target(false);
    if format == "json" {
        lines.with_writer(stderr).json().flatten_event(true).boxed()
    } else {
        let is_coloured = stderr().is_terminal();
        lines.with_writer(move || OneLine { out: stderr(), is_coloured }).with_ansi(is_coloured).boxed()
    }
}

/// Writes every event in one line, whatever files and servers have said in it.
struct OneLine<W> {
    out: W,
    is_coloured: bool,
}

impl<W: Write> Write for OneLine<W> {
    /// Takes one event: the layer writes each as a whole.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        self.out.write_all(one_line(&String::from_utf8_lossy(event), self.is_coloured).as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// The event with a space for every character in it that is not plain, and does not begin one of the layer's own styles.
fn one_line(event: &str, is_coloured: bool) -> String {
    let text = event.strip_suffix('\n').unwrap_or(event);
    let is_style = |place: usize| STYLES.iter().any(|style| text[place..].starts_with(style));
    let stays = |place: usize, character: char| is_plain(character) || is_coloured && is_style(place);
    let kept =
        text.char_indices().map(|(place, character)| if stays(place, character) { character } else { ' ' });
    kept.chain(['\n']).collect()
}

fn is_journal() -> bool {
    let Ok(stream) = std::env::var(JOURNAL_STREAM) else { return false };
    let own = rustix::fs::fstat(stderr().as_fd());
    own.is_ok_and(|own| stream == format!("{}:{}", own.st_dev, own.st_ino))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// What is written, in pieces as it is.
    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_event_is_one_line_whatever_was_said() {
        for is_coloured in [false, true] {
            let paper = Paper::default();
            let out = paper.clone();
            let lines = tracing_subscriber::fmt::layer()
                .with_writer(move || OneLine { out: out.clone(), is_coloured })
                .with_ansi(is_coloured);
            tracing::subscriber::with_default(Registry::default().with(lines), || {
                let answer = "550 no\r\n2026-03-01 ERROR all is lost\u{202e}\u{1b}[2J\u{1b}[8m\u{9b}2J";
                tracing::warn!(%answer, "a server says {answer}");
                tracing::info!("quiet");
            });
            let text = String::from_utf8(paper.0.lock().unwrap().clone()).unwrap();
            assert_eq!(text.lines().count(), 2, "{text}");
            assert!(text.ends_with("quiet\n") && text.contains("550 no"), "{text}");
            assert!(!text.contains(['\r', '\u{202e}', '\u{9b}']), "{text}");
            assert!(!text.contains("\u{1b}[2J") && !text.contains("\u{1b}[8m"), "{text}");
            assert_eq!(text.contains("\u{1b}[33m WARN"), is_coloured, "{text}");
        }
    }
}
