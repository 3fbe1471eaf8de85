//! `nilas-inspect`: opens one input file in confinement, for whoever must not be harmed by it.

use std::io::{self, BufWriter, Write, stdout};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use super::failure::Failure;
use super::finish;
use crate::source::{INSPECTOR_GREETING, Inspected, decode, hand_over, measure};
use crate::sys::confine;

/// Reads an input file within limits of memory and time, and prints its own name and version, then what it measured as JSON.
#[derive(Parser)]
#[command(name = "nilas-inspect", version)]
struct Options {
    /// The file, under its provider's name.
    file: PathBuf,
    /// Print the decoded fields instead, for a program.
    #[arg(long)]
    fields: bool,
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
    // From here on all that happens is the file's doing.
    say(stdout(), INSPECTOR_GREETING)?;
    if options.fields {
        let mut out = BufWriter::new(stdout());
        return hand_over(decode(&options.file), &mut out).and_then(|()| out.flush()).map_err(not_written);
    }
    let inspected = Inspected::from(measure(&options.file));
    let answer = serde_json::to_string(&inspected).map_err(Failure::other)?;
    say(stdout(), &format!("{answer}\n"))
}

/// Says a part of the answer. The answer is all that this process is for: where it does not arrive, whatever the cause, that is a failure.
fn say(mut listener: impl Write, text: &str) -> Result<(), Failure> {
    listener.write_all(text.as_bytes()).and_then(|()| listener.flush()).map_err(not_written)
}

fn not_written(error: io::Error) -> Failure {
    Failure::Other(format!("the answer cannot be written ({error}); see where standard output leads"))
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn an_answer_that_does_not_arrive_is_a_failure() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let failure = say(full, "{}\n").unwrap_err();
        assert_eq!(failure.code(), 1);
        assert!(failure.to_string().starts_with("the answer cannot be written (No space"), "{failure}");
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        assert_eq!(say(writer, "{}\n").unwrap_err().code(), 1, "nobody listens");
    }
}
