//! What is said to the person who runs the tests.

use std::io::Write;

/// Says something that a person who runs the tests wants to read, also of a test that passes.
#[allow(
    clippy::allow_attributes,
    clippy::explicit_write,
    clippy::unwrap_used,
    reason = "the harness keeps back what `println!` says in tests that pass"
)]
pub(crate) fn say(line: &str) {
    writeln!(std::io::stdout(), "{line}").unwrap();
}
