//! Reads one input file in confinement and says what is in it; see `src/cli/inspector.rs`.

use std::process::ExitCode;

fn main() -> ExitCode {
    nilas::cli::inspector()
}
