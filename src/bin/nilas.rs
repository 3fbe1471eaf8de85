//! The light front: every verb is reached through it, and it loads none of the large libraries.

use std::process::ExitCode;

fn main() -> ExitCode {
    nilas::cli::front::run()
}
