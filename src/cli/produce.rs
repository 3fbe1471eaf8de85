//! `nilas produce`: one day, now; and what it shares with the other verbs that work on a day.

use std::path::PathBuf;

use clap::Args;

use super::configuration::ConfigurationFile;
use super::failure::Failure;
use super::sampler::SamplerOptions;
use super::{house, report};
use crate::config::{Config, ConfigError, DeviceChoice, Overrides, Precision};
use crate::produce::{Gathered, Watch};
use crate::time::ProductDay;

/// Produces one day from its input files and publishes it as the day's next revision.
#[derive(Args)]
pub(super) struct Arguments {
    /// The day, such as 2022-04-15.
    #[arg(long)]
    pub(super) date: ProductDay,
    #[command(flatten)]
    pub(super) common: Common,
    #[command(flatten)]
    ensemble: EnsembleOptions,
}

/// Options of every verb that works on a day.
#[derive(Args)]
pub(super) struct Common {
    #[command(flatten)]
    configuration: ConfigurationFile,
    /// Folder that holds the day's input files, instead of the configured servers.
    #[arg(long)]
    pub(super) inputs: Option<PathBuf>,
    /// Product root, instead of the configured one; its ledger lies in it, unless --state names another.
    #[arg(long)]
    products: Option<PathBuf>,
    /// Folder for the ledger and for refused files, instead of the configured one.
    #[arg(long)]
    state: Option<PathBuf>,
    /// Folder for what can be made again, instead of the configured one.
    #[arg(long)]
    cache: Option<PathBuf>,
}

/// How the ensemble is drawn, instead of what the configuration says.
#[derive(Args)]
pub(super) struct EnsembleOptions {
    /// Number of members.
    #[arg(long)]
    members: Option<usize>,
    #[command(flatten)]
    sampler: SamplerOptions,
    /// Seed of the members' noise.
    #[arg(long)]
    seed: Option<u64>,
    /// Members that a GPU handles at once.
    #[arg(long)]
    batch: Option<usize>,
    /// Where the network runs.
    #[arg(long)]
    device: Option<DeviceChoice>,
    /// Number format of the network.
    #[arg(long)]
    precision: Option<Precision>,
    /// Threads on the CPU; 0 takes as many as the process may use.
    #[arg(long)]
    threads: Option<usize>,
    /// The checkpoint.
    #[arg(long)]
    checkpoint: Option<PathBuf>,
    /// Leave the spread as the network draws it, though the checkpoint has a calibration.
    #[arg(long)]
    no_calibration: bool,
    /// Let all members start from the same thickness, though its uncertainty is known.
    #[arg(long)]
    no_input_uncertainty: bool,
}

/// What the front hands to the engine: the inputs, gathered and accepted.
#[derive(Args)]
pub(super) struct HandedOver {
    /// The accepted input files, as JSON.
    #[arg(long, hide = true)]
    pub(super) gathered: Gathered,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let config = arguments.common.load(arguments.ensemble.overrides())?;
    arguments.common.require_inputs()?;
    report::produced(&house::produce(config, arguments.common.watch(), arguments.date)?);
    Ok(())
}

impl Common {
    /// Refuses a folder of input files that is not there.
    pub(super) fn require_inputs(&self) -> Result<(), Failure> {
        let Some(folder) = self.inputs.as_ref().filter(|folder| !folder.is_dir()) else { return Ok(()) };
        let folder = folder.display();
        Err(Failure::Usage(format!(
            "the folder of input files {folder} is not there; name an existing folder that Nilas may read"
        )))
    }

    /// Files that a person put together are no series.
    pub(super) fn watch(&self) -> Watch {
        if self.inputs.is_some() { Watch::Nothing } else { Watch::Series }
    }

    /// The configuration with what the command line says instead.
    pub(super) fn load(&self, overrides: Overrides) -> Result<Config, ConfigError> {
        let overrides = Overrides {
            inputs: self.inputs.clone(),
            products: self.products.clone(),
            state: self.state.clone(),
            cache: self.cache.clone(),
            ..overrides
        };
        self.configuration.load_with(&overrides)
    }
}

impl EnsembleOptions {
    pub(super) fn overrides(&self) -> Overrides {
        Overrides {
            members: self.members,
            sampler: self.sampler.choice(),
            seed: self.seed,
            batch: self.batch,
            device: self.device,
            precision: self.precision,
            threads: self.threads,
            checkpoint: self.checkpoint.clone(),
            calibrate: self.no_calibration.then_some(false),
            perturb_input: self.no_input_uncertainty.then_some(false),
            ..Overrides::default()
        }
    }
}
