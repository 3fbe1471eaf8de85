//! The verbs that need libtorch only: synth, train, model.

use std::process::ExitCode;

fn main() -> ExitCode {
    nilas::cli::trainer()
}
