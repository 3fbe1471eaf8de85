//! What commands say: results on standard output, failures on standard error, both without what foreign text could do to a terminal.

use std::fmt::Display;
use std::io::{Write, stderr, stdout};

use crate::text::{plain_lines, plain_text};

/// Prints one line of the result, or several. A reader that has gone away is no failure of ours.
pub(super) fn print(text: impl Display) {
    let _ = writeln!(stdout(), "{}", plain_lines(&text.to_string()));
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
    use super::*;

    #[test]
    fn a_failure_is_one_line_whatever_a_server_answers() {
        let reason = "ftp.example.org: 550 no\r\n\u{1b}[2Jnilas: all is well\u{202e}";
        assert_eq!(complaint(reason), "nilas: ftp.example.org: 550 no   [2Jnilas: all is well ");
    }
}
