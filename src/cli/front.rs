//! `nilas` itself: finds out which verb is meant and becomes the binary that has it.

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

/// Every verb with the binary that has it and what it does.
const VERBS: [(&str, &str, &str); 7] = [
    ("demo", "nilas-engine", "the sample day through the whole chain, no network needed"),
    ("produce", "nilas-engine", "one day from its input files"),
    ("features", "nilas-engine", "the network's inputs of a day as NetCDF"),
    ("verify", "nilas-engine", "checks a published day"),
    ("synth", "nilas-train", "a synthetic archive to train on"),
    ("train", "nilas-train", "a checkpoint from an archive"),
    ("model", "nilas-train", "looks at a checkpoint or runs it on tensors"),
];

/// Runs `nilas`: replaces this process by the binary of the verb, or says what the verbs are.
#[must_use]
pub fn run() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let first = arguments.next();
    match first.as_ref().and_then(|verb| verb.to_str()) {
        Some("--version" | "-V") => {
            super::print(format_args!("nilas {}", env!("CARGO_PKG_VERSION")));
            ExitCode::SUCCESS
        }
        Some("--help" | "-h" | "help") => {
            super::print(help());
            ExitCode::SUCCESS
        }
        Some(verb) => match VERBS.iter().find(|(name, ..)| *name == verb) {
            Some((_, binary, _)) => become_binary(binary, first.iter().cloned().chain(arguments)),
            None => usage_error(&format!("there is no verb \"{verb}\"")),
        },
        None => usage_error("a verb is needed"),
    }
}

/// Only returns when the binary could not be started.
fn become_binary(binary: &str, arguments: impl Iterator<Item = OsString>) -> ExitCode {
    // Beside this file, not on the path: the three binaries are of one version.
    let path = std::env::current_exe().map(|own| own.with_file_name(binary));
    let (path, error) = match path {
        Ok(path) => {
            let error = Command::new(&path).args(arguments).exec();
            (path.display().to_string(), error)
        }
        Err(error) => (binary.to_owned(), error),
    };
    say(&format!("nilas: {path} cannot be started: {error}; install the three binaries into one folder"));
    ExitCode::FAILURE
}

fn usage_error(reason: &str) -> ExitCode {
    say(&format!("nilas: {reason}\n\n{}", help()));
    ExitCode::from(2)
}

fn help() -> String {
    let verbs: Vec<String> = VERBS.iter().map(|(name, _, what)| format!("  {name:<10} {what}")).collect();
    format!(
        "Daily high-resolution sea-ice thickness from satellite inputs.\n\nUsage: nilas VERB [OPTIONS]\n\n{}\n\nnilas VERB --help says more.",
        verbs.join("\n")
    )
}

fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::{EngineArguments, TrainArguments};

    #[test]
    fn every_verb_of_the_other_binaries_is_reached() {
        for (binary, command) in
            [("nilas-engine", EngineArguments::command()), ("nilas-train", TrainArguments::command())]
        {
            let there: Vec<_> = command.get_subcommands().map(|verb| verb.get_name().to_owned()).collect();
            let known: Vec<_> =
                VERBS.iter().filter(|(_, owner, _)| *owner == binary).map(|(name, ..)| *name).collect();
            assert_eq!(known, there, "{binary}");
        }
    }

    #[test]
    fn the_command_lines_are_consistent() {
        EngineArguments::command().debug_assert();
        TrainArguments::command().debug_assert();
    }
}
