//! What is logged while something is done, for tests.

use std::io;
use std::sync::{Arc, Mutex};

/// What is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The warnings that come meanwhile.
pub(crate) fn warnings(work: impl FnOnce()) -> Vec<String> {
    let log = Log::default();
    let writer = log.clone();
    // With one subscriber alone, `tracing` asks that of the thread that first comes by a place, where there is none, and the place is mute.
    let _second = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::default());
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    tracing::subscriber::with_default(subscriber, work);
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    text.lines().filter(|line| line.contains(" WARN ")).map(str::to_owned).collect()
}
