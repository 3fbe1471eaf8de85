//! `nilas-engine draw` and `nilas-train draw`: draw a share of the members for the process that started them. No verb for people.

use std::fs::File;
use std::io::{self, stderr, stdin, stdout};

use clap::Args;

use super::failure::Failure;
use crate::drawing::{PROCESS_NAME, draw_for_another};
use crate::sys;

/// Draws what is wanted on standard input.
#[derive(Args)]
pub(super) struct Arguments {
    /// The device: cpu, or cuda:N.
    #[arg(long)]
    device: String,
    /// Threads on the CPU.
    #[arg(long)]
    threads: usize,
    /// The process that this one must not outlive.
    #[arg(long)]
    parent: u32,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    if !sys::die_with_parent(arguments.parent).map_err(Failure::other)? {
        return Err(Failure::Other("whoever wanted these members is gone".into()));
    }
    let answers = answers().map_err(Failure::other)?;
    let drawn = draw_for_another(&arguments.device, arguments.threads, stdin().lock(), answers);
    drawn.map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => Failure::Usage(format!("what is to be drawn makes no sense: {error}")),
        _ => Failure::Other(format!("whoever wanted these members does not listen any more ({error})")),
    })
}

/// Where the answers go: to what was standard output. That is the log now, since libraries of C say things there, too.
fn answers() -> io::Result<File> {
    rustix::thread::set_name(PROCESS_NAME)?;
    let answers = rustix::io::dup(stdout())?;
    rustix::stdio::dup2_stdout(stderr())?;
    Ok(File::from(answers))
}
