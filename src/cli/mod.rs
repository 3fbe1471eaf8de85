//! The commands, one file each. They read the command line, call the house, and print; nothing else prints.
//!
//! Three binaries share the verbs, so that `nilas` itself stays light: it loads neither libtorch nor GDAL nor NetCDF and
//! hands every verb that needs them to `nilas-engine` or `nilas-train` by replacing itself. All verbs are reached as `nilas VERB`.
//! A fourth, `nilas-inspect`, is no verb but what `nilas` starts to look at a file.

mod archive;
mod backfill;
mod bench;
mod check;
mod configuration;
mod demo;
mod draw;
mod evaluate;
mod explain;
mod failure;
mod features;
pub mod front;
mod health;
mod hold;
mod house;
mod inspect;
mod inspector;
mod journal;
mod log;
mod model;
mod notify;
mod output;
mod placement;
mod produce;
mod prune;
mod report;
mod reproduce;
mod run;
mod sampler;
mod status;
mod sweep;
mod synth;
mod train;
mod verify;
mod withdraw;
mod work;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use failure::Failure;
pub use inspector::inspector;
use log::start_log;
use output::{all_printed, complain, print};

use crate::source::InspectionProgram;

/// Sea-ice thickness at 3 km: the verbs that need libtorch, GDAL and NetCDF.
// The binary is named as people call it: they reach every verb as `nilas VERB`.
#[derive(Parser)]
#[command(name = "nilas", bin_name = "nilas", version)]
struct EngineArguments {
    #[command(subcommand)]
    verb: EngineVerb,
}

#[derive(Subcommand)]
enum EngineVerb {
    #[command(hide = true)]
    Work(work::Arguments),
    #[command(hide = true)]
    Draw(draw::Arguments),
    Verify(verify::Arguments),
    Reproduce(reproduce::Arguments),
    Features(Box<Handed<features::Arguments>>),
    #[command(subcommand)]
    Archive(archive::Arguments),
    /// What needs the satellites' files; the rest is a verb of `nilas-train`.
    #[command(subcommand, hide = true)]
    Bench(bench::OfPipeline),
    /// With the satellites' files; without them it is a verb of `nilas-train`.
    #[command(hide = true)]
    Synth(synth::Arguments),
}

/// The arguments of a verb with the inputs that the front gathered for it.
#[derive(Args)]
struct Handed<T: Args> {
    #[command(flatten)]
    arguments: T,
    #[command(flatten)]
    inputs: produce::HandedOver,
}

/// Sea-ice thickness at 3 km: the verbs that need libtorch only.
#[derive(Parser)]
#[command(name = "nilas", bin_name = "nilas", version)]
struct TrainArguments {
    #[command(subcommand)]
    verb: TrainVerb,
}

#[derive(Subcommand)]
enum TrainVerb {
    Synth(synth::Arguments),
    Train(Box<train::Arguments>),
    Evaluate(evaluate::Arguments),
    #[command(subcommand)]
    Model(model::Arguments),
    #[command(subcommand, hide = true)]
    Bench(bench::OfModel),
    #[command(hide = true)]
    Draw(draw::Arguments),
}

/// Runs `nilas-engine`.
#[must_use]
pub fn engine() -> ExitCode {
    prepare_process();
    finish(match EngineArguments::parse().verb {
        EngineVerb::Work(arguments) => work::run(&arguments),
        EngineVerb::Draw(arguments) => draw::run(&arguments),
        EngineVerb::Verify(arguments) => verify::run(&arguments),
        EngineVerb::Reproduce(arguments) => reproduce::run(&arguments),
        EngineVerb::Features(handed) => features::run(&handed.arguments, &handed.inputs),
        EngineVerb::Archive(arguments) => archive::run(&arguments),
        EngineVerb::Bench(arguments) => bench::pipeline(&arguments),
        EngineVerb::Synth(arguments) => synth::run(&arguments, Some(crate::source::deliver)),
    })
}

/// Runs `nilas-train`.
#[must_use]
pub fn trainer() -> ExitCode {
    prepare_process();
    finish(match TrainArguments::parse().verb {
        TrainVerb::Synth(arguments) => synth::run(&arguments, None),
        TrainVerb::Train(arguments) => train::run(&arguments),
        TrainVerb::Evaluate(arguments) => evaluate::run(&arguments),
        TrainVerb::Model(arguments) => model::run(&arguments),
        TrainVerb::Bench(arguments) => bench::model(&arguments),
        TrainVerb::Draw(arguments) => draw::run(&arguments),
    })
}

/// What a process that computes needs before its first thread starts: memory that stays, and a log.
fn prepare_process() {
    crate::sys::keep_freed_memory();
    start_log();
}

/// What waits for servers and child processes; one thread is enough for that.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Failure::Other(format!("the runtime cannot be started ({error})")))
}

/// Another program of Nilas: beside this one, not on the path, because all are of one version.
fn program(name: &str) -> Result<PathBuf, Failure> {
    std::env::current_exe().map(|own| own.with_file_name(name)).map_err(|error| {
        Failure::Other(format!(
            "{name} cannot be found: {error}; install the programs of Nilas into one folder"
        ))
    })
}

/// The program that opens foreign files.
fn inspection_program() -> Result<InspectionProgram, Failure> {
    program("nilas-inspect").map(InspectionProgram::new)
}

fn finish(result: Result<(), Failure>) -> ExitCode {
    match result.and_then(|()| all_printed()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.is_told() {
                complain(&failure);
            }
            failure.exit_code()
        }
    }
}
