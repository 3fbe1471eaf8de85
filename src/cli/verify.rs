//! `nilas verify`: is a published day whole and sane?

use std::path::PathBuf;

use clap::Args;

use super::failure::Failure;
use super::print;
use crate::produce::verify;

/// Checks a published revision: manifest, checksums, conventions, physics.
#[derive(Args)]
pub(super) struct Arguments {
    /// Folder of the revision, such as products/2026/03/01/r01.
    folder: PathBuf,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let verdict = verify(&arguments.folder).map_err(|error| Failure::FailedChecks(error.to_string()))?;
    for line in &verdict.good {
        print(format_args!("ok      {line}"));
    }
    for line in &verdict.bad {
        print(format_args!("WRONG   {line}"));
    }
    if verdict.bad.is_empty() {
        return Ok(());
    }
    let folder = arguments.folder.display();
    Err(Failure::FailedChecks(format!(
        "{folder} is not as it was published: {} finding(s) above; produce the day again",
        verdict.bad.len()
    )))
}
