//! What commands say: results on standard output, failures on standard error, both without what foreign text could do to a terminal.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write, stderr, stdout};
use std::sync::OnceLock;

use super::failure::Failure;
use crate::text::{plain_lines, plain_text};

/// Why something could not be printed, the first time that this happened.
static LOST: OnceLock<String> = OnceLock::new();

/// Prints one line of the result, or several. What is lost on the way makes the command fail when it has done its work.
pub(super) fn print(text: impl Display) {
    if let Err(error) = put(stdout(), text) {
        LOST.get_or_init(|| error.to_string());
    }
}

/// Whether everything was printed.
pub(super) fn all_printed() -> Result<(), Failure> {
    LOST.get().map_or(Ok(()), |reason| Err(lost(reason)))
}

fn lost(reason: &str) -> Failure {
    Failure::Other(format!(
        "not everything could be printed ({reason}); see where standard output leads, and that there is space"
    ))
}

/// Writes at once. A reader that has gone away is no failure of ours.
fn put(mut out: impl Write, text: impl Display) -> io::Result<()> {
    match writeln!(out, "{}", plain_lines(&text.to_string())).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        put => put,
    }
}

/// So many days, in words.
pub(super) fn days(count: usize) -> String {
    if count == 1 { "1 day".to_owned() } else { format!("{count} days") }
}

/// Says in one line why a command fails.
pub(super) fn complain(reason: impl Display) {
    let _ = writeln!(stderr(), "{}", complaint(reason));
}

fn complaint(reason: impl Display) -> String {
    format!("nilas: {}", plain_text(&reason.to_string()))
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn what_does_not_arrive_is_a_failure_unless_nobody_reads() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        assert_eq!(put(full, "a day").unwrap_err().kind(), ErrorKind::StorageFull);
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        put(writer, "a day").unwrap();
        let mut page = Vec::new();
        put(&mut page, "two\nlines\r\u{1b}[2J").unwrap();
        assert_eq!(page, b"two\nlines  [2J\n");
    }

    #[test]
    fn a_failure_is_one_line_whatever_a_server_answers() {
        let reason = "ftp.example.org: 550 no\r\n\u{1b}[2Jnilas: all is well\u{202e}";
        assert_eq!(complaint(reason), "nilas: ftp.example.org: 550 no   [2Jnilas: all is well ");
    }
}
