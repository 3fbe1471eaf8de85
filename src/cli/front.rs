//! `nilas` itself: does what is light, starts productions, and becomes the binary that has the verb.

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use clap::{Parser, Subcommand};

use super::failure::Failure;
use super::{
    backfill, bench, check, demo, explain, features, health, hold, house, inspect, notify, produce, prune,
    run, status, synth, withdraw,
};
use crate::produce::Gathered;
use crate::sys;

/// Every verb with the binary that has it and what it does.
const VERBS: [(&str, &str, &str); 23] = [
    ("demo", "nilas", "the sample day through the whole chain, no network needed"),
    ("produce", "nilas", "one day, now"),
    ("run", "nilas", "the daemon: makes every day when its inputs are there"),
    ("status", "nilas", "how everything stands: incidents, inputs, the last days"),
    ("explain", "nilas", "the story of a day, and what it waits for"),
    ("health", "nilas", "asks the daemon whether it is alive"),
    ("backfill", "nilas", "asks the daemon for days of the past"),
    ("hold", "nilas", "lets nothing be produced by the daemon"),
    ("resume", "nilas", "lets it go on"),
    ("withdraw", "nilas", "takes a published product back"),
    ("prune", "nilas", "clears away what is not kept any more"),
    ("check", "nilas", "says what would fail at 03:00: configuration, folders, model, servers"),
    ("notify", "nilas", "tries the ways to people, or tells them that a unit has failed"),
    ("inspect", "nilas", "measures an input file and holds it against its limits"),
    ("bench", "nilas", "how fast it is on this machine"),
    ("verify", "nilas-engine", "checks a published day"),
    ("reproduce", "nilas-engine", "makes a published day again and compares every value"),
    ("features", "nilas-engine", "the network's inputs of a day as NetCDF"),
    ("archive", "nilas-engine", "turns training archives from NetCDF into safetensors and back"),
    ("synth", "nilas-train", "a synthetic archive to train on"),
    ("train", "nilas-train", "a checkpoint from an archive"),
    ("evaluate", "nilas-train", "how good a checkpoint is, in numbers and as a report"),
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
    Run(run::Arguments),
    Status(status::Arguments),
    Explain(explain::Arguments),
    Health(health::Arguments),
    Backfill(backfill::Arguments),
    Hold(hold::HoldArguments),
    Resume(hold::ResumeArguments),
    Withdraw(withdraw::Arguments),
    Prune(prune::Arguments),
    Check(check::Arguments),
    #[command(subcommand)]
    Notify(notify::Arguments),
    Inspect(inspect::Arguments),
    Features(features::Arguments),
    #[command(subcommand)]
    Bench(bench::Arguments),
}

/// Runs `nilas`: does the verb, or replaces this process by the binary that has it, or says what the verbs are.
#[must_use]
pub fn run() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    match arguments.first().and_then(|verb| verb.to_str()) {
        Some("--version" | "-V") => {
            super::print(format_args!("nilas {}", env!("CARGO_PKG_VERSION")));
            super::finish(Ok(()))
        }
        Some("--help" | "-h" | "help") => {
            super::print(help());
            super::finish(Ok(()))
        }
        Some(verb) => match VERBS.iter().find(|(name, ..)| *name == verb) {
            Some(_) if FrontArguments::has(verb) => run_here(arguments),
            Some((_, binary, _)) => {
                become_binary(if needs_netcdf(&arguments) { "nilas-engine" } else { binary }, arguments)
            }
            None => usage_error(&format!("there is no verb \"{verb}\"")),
        },
        None => usage_error("a verb is needed"),
    }
}

/// Whether a verb of the trainer is asked for what only the engine can write.
fn needs_netcdf(arguments: &[OsString]) -> bool {
    arguments.iter().any(|argument| argument.to_string_lossy().starts_with(synth::SATELLITE_FILES))
}

impl FrontArguments {
    fn has(verb: &str) -> bool {
        use clap::CommandFactory;
        Self::command().get_subcommands().any(|known| known.get_name() == verb)
    }
}

/// Does a verb of the light program; of `features` and `bench` another program does what is left.
fn run_here(arguments: Vec<OsString>) -> ExitCode {
    super::start_log();
    if let Err(error) = sys::keep_memory_private() {
        return super::finish(Err(Failure::Other(format!(
            "the memory of this process cannot be kept from core dumps ({error}); see the limits that it is started with"
        ))));
    }
    super::finish(match FrontArguments::parse().verb {
        FrontVerb::Demo(arguments) => demo::run(&arguments),
        FrontVerb::Produce(arguments) => produce::run(&arguments),
        FrontVerb::Run(arguments) => run::run(&arguments),
        FrontVerb::Status(arguments) => status::run(&arguments),
        FrontVerb::Explain(arguments) => explain::run(&arguments),
        FrontVerb::Health(arguments) => health::run(&arguments),
        FrontVerb::Backfill(arguments) => backfill::run(&arguments),
        FrontVerb::Hold(arguments) => hold::hold(&arguments),
        FrontVerb::Resume(arguments) => hold::resume(&arguments),
        FrontVerb::Withdraw(arguments) => withdraw::run(&arguments),
        FrontVerb::Prune(arguments) => prune::run(&arguments),
        FrontVerb::Check(arguments) => check::run(&arguments),
        FrontVerb::Notify(arguments) => notify::run(arguments),
        FrontVerb::Inspect(arguments) => inspect::run(&arguments),
        FrontVerb::Features(wanted) => {
            return go_on_with(arguments, house::gather_for(&wanted.common, wanted.date));
        }
        FrontVerb::Bench(bench::Arguments::Model(_)) => return become_binary("nilas-train", arguments),
        FrontVerb::Bench(bench::Arguments::Pipeline(wanted)) => {
            return go_on_with(arguments, house::gather_for(&wanted.common, wanted.date));
        }
    })
}

/// Lets the engine do what is left of a verb when the inputs are gathered.
fn go_on_with(mut arguments: Vec<OsString>, gathered: Result<Gathered, Failure>) -> ExitCode {
    match gathered {
        Ok(gathered) => {
            arguments.extend(["--gathered".into(), gathered.to_string().into()]);
            become_binary("nilas-engine", arguments)
        }
        Err(failure) => super::finish(Err(failure)),
    }
}

/// Only returns when the binary could not be started.
fn become_binary(binary: &str, arguments: Vec<OsString>) -> ExitCode {
    let error = match super::program(binary) {
        Ok(path) => {
            let error = Command::new(&path).args(arguments).envs([sys::NO_HDF5_LOCKS]).exec();
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
    super::complain(reason);
    let _ = writeln!(std::io::stderr(), "\n{}", help());
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
            // What `nilas` starts by itself is no verb for people, nor what it starts for another binary.
            let hidden = |verb: &String| match binary {
                "nilas-engine" => ["work", "draw", "synth", "bench"].contains(&verb.as_str()),
                _ => ["draw", "bench"].contains(&verb.as_str()),
            };
            let for_people: Vec<_> = verbs(&command).into_iter().filter(|verb| !hidden(verb)).collect();
            assert_eq!(known, for_people, "{binary}");
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
