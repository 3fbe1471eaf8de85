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
    let folder = arguments.folder.display();
    if !arguments.folder.is_dir() {
        let remedy = "name that of a revision, such as products/2026/03/01/r01";
        return Err(Failure::Usage(format!("{folder} is no folder; {remedy}")));
    }
    let verdict = verify(&arguments.folder).map_err(|error| Failure::FailedChecks(error.to_string()))?;
    for line in &verdict.good {
        print(format_args!("ok      {line}"));
    }
    for line in &verdict.bad {
        print(format_args!("WRONG   {line}"));
    }
    let Some(first) = verdict.bad.first() else { return Ok(()) };
    let others = match verdict.bad.len() {
        1 => String::new(),
        count => format!(" (and {} more)", count - 1),
    };
    Err(Failure::FailedChecks(format!(
        "{folder} is not as it must be: {first}{others}; produce the day again"
    )))
}
