//! `nilas` itself: does what is light, gathers the inputs of a day for whoever needs them, and becomes the binary that has the verb.

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use clap::{Parser, Subcommand};

use super::failure::Failure;
use super::{check, demo, features, gathering, inspect, produce};
use crate::produce::Gathered;

/// Every verb with the binary that has it and what it does.
const VERBS: [(&str, &str, &str); 9] = [
    ("demo", "nilas-engine", "the sample day through the whole chain, no network needed"),
    ("produce", "nilas-engine", "one day from its input files"),
    ("features", "nilas-engine", "the network's inputs of a day as NetCDF"),
    ("verify", "nilas-engine", "checks a published day"),
    ("check", "nilas", "says what would fail at 03:00: configuration, folders, model, servers"),
    ("inspect", "nilas", "measures an input file and holds it against its limits"),
    ("synth", "nilas-train", "a synthetic archive to train on"),
    ("train", "nilas-train", "a checkpoint from an archive"),
    ("model", "nilas-train", "looks at a checkpoint or runs it on tensors"),
];

/// Sea-ice thickness at 3 km: the verbs that the light program has a part in.
#[derive(Parser)]
#[command(name = "nilas", version)]
struct FrontArguments {
    #[command(subcommand)]
    verb: FrontVerb,
}

#[derive(Subcommand)]
enum FrontVerb {
    Demo(demo::Arguments),
    Produce(produce::Arguments),
    Features(features::Arguments),
    Check(check::Arguments),
    Inspect(inspect::Arguments),
}

/// Runs `nilas`: does the verb, or replaces this process by the binary that has it, or says what the verbs are.
#[must_use]
pub fn run() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    match arguments.first().and_then(|verb| verb.to_str()) {
        Some("--version" | "-V") => {
            super::print(format_args!("nilas {}", env!("CARGO_PKG_VERSION")));
            ExitCode::SUCCESS
        }
        Some("--help" | "-h" | "help") => {
            super::print(help());
            ExitCode::SUCCESS
        }
        Some(verb) => match VERBS.iter().find(|(name, ..)| *name == verb) {
            Some(_) if FrontArguments::has(verb) => run_here(arguments),
            Some((_, binary, _)) => become_binary(binary, arguments),
            None => usage_error(&format!("there is no verb \"{verb}\"")),
        },
        None => usage_error("a verb is needed"),
    }
}

impl FrontArguments {
    fn has(verb: &str) -> bool {
        use clap::CommandFactory;
        Self::command().get_subcommands().any(|known| known.get_name() == verb)
    }
}

/// Does what the light program can do of the verb; what is left, the engine does with the inputs that were gathered for it.
fn run_here(arguments: Vec<OsString>) -> ExitCode {
    super::start_log();
    let gathered = match FrontArguments::parse().verb {
        FrontVerb::Check(arguments) => return super::finish(check::run(&arguments)),
        FrontVerb::Inspect(arguments) => return super::finish(inspect::run(&arguments)),
        FrontVerb::Demo(arguments) => arguments.config().and_then(|config| gathering::sample_day(&config)),
        FrontVerb::Produce(arguments) => gathering::for_arguments(&arguments.common, arguments.date),
        FrontVerb::Features(arguments) => gathering::for_arguments(&arguments.common, arguments.date),
    };
    match gathered {
        Ok(gathered) => become_engine(arguments, &gathered),
        Err(failure) => super::finish(Err(failure)),
    }
}

fn become_engine(mut arguments: Vec<OsString>, gathered: &Gathered) -> ExitCode {
    arguments.extend(["--gathered".into(), gathered.to_string().into()]);
    become_binary("nilas-engine", arguments)
}

/// Only returns when the binary could not be started.
fn become_binary(binary: &str, arguments: Vec<OsString>) -> ExitCode {
    let error = match super::program(binary) {
        Ok(path) => {
            let error = Command::new(&path).args(arguments).exec();
            format!(
                "{} cannot be started: {error}; install the programs of Nilas into one folder",
                path.display()
            )
        }
        Err(failure) => failure.to_string(),
    };
    super::finish(Err(Failure::Other(error)))
}

fn usage_error(reason: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "nilas: {reason}\n\n{}", help());
    ExitCode::from(2)
}

fn help() -> String {
    let verbs: Vec<String> = VERBS.iter().map(|(name, _, what)| format!("  {name:<10} {what}")).collect();
    format!(
        "Daily high-resolution sea-ice thickness from satellite inputs.\n\nUsage: nilas VERB [OPTIONS]\n\n{}\n\nnilas VERB --help says more.",
        verbs.join("\n")
    )
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::{EngineArguments, TrainArguments};

    fn verbs(command: &clap::Command) -> Vec<String> {
        command.get_subcommands().map(|verb| verb.get_name().to_owned()).collect()
    }

    #[test]
    fn every_verb_of_the_other_binaries_is_reached() {
        for (binary, command) in
            [("nilas-engine", EngineArguments::command()), ("nilas-train", TrainArguments::command())]
        {
            let known: Vec<_> =
                VERBS.iter().filter(|(_, owner, _)| *owner == binary).map(|(name, ..)| *name).collect();
            assert_eq!(known, verbs(&command), "{binary}");
        }
        for verb in verbs(&FrontArguments::command()) {
            assert!(VERBS.iter().any(|(name, ..)| *name == verb), "{verb}");
        }
    }

    #[test]
    fn the_command_lines_are_consistent() {
        EngineArguments::command().debug_assert();
        TrainArguments::command().debug_assert();
        FrontArguments::command().debug_assert();
    }
}
