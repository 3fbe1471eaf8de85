//! `nilas-inspect`: measures one input file in confinement, for whoever must not be harmed by it.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use super::failure::Failure;
use super::{finish, print};
use crate::source::{Inspected, measure};
use crate::sys::confine;

/// Measures an input file within limits of memory and time, and prints what it found as JSON.
#[derive(Parser)]
#[command(name = "nilas-inspect", version)]
struct Options {
    /// The file, under its provider's name.
    file: PathBuf,
    /// Memory that this process may address, MB.
    #[arg(long, default_value_t = 1024)]
    memory_megabytes: u64,
    /// Processor time that it may use, seconds.
    #[arg(long, default_value_t = 60)]
    cpu_seconds: u64,
}

/// Runs `nilas-inspect`. A file that is refused is a result like any other.
#[must_use]
pub fn inspector() -> ExitCode {
    let options = Options::parse();
    finish(inspect(&options))
}

fn inspect(options: &Options) -> Result<(), Failure> {
    confine(&options.file, options.memory_megabytes << 20, options.cpu_seconds).map_err(Failure::other)?;
    let inspected = Inspected::from(measure(&options.file));
    print(serde_json::to_string(&inspected).map_err(Failure::other)?);
    Ok(())
}
