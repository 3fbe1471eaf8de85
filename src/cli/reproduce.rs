//! `nilas reproduce`: is a published day what its manifest says it was made of?

use std::path::PathBuf;

use clap::Args;

use super::failure::Failure;
use super::produce::Common;
use super::{inspection_program, print};
use crate::config::Overrides;
use crate::produce::{ReproduceError, Reproduced, reproduce};
use crate::progress::Stages;
use crate::publish::Compared;
use crate::time::SystemClock;

/// Makes a published revision again from what its manifest says, and compares every value with what was published.
#[derive(Args)]
pub(super) struct Arguments {
    /// The manifest, such as products/2026/03/01/r01/manifest.json, or the folder that it lies in.
    manifest: PathBuf,
    #[command(flatten)]
    common: Common,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let clock = SystemClock::new();
    let config = arguments.common.load(Overrides::default())?;
    arguments.common.require_inputs()?;
    let folder = match arguments.manifest.parent() {
        Some(folder) if arguments.manifest.is_file() => folder,
        _ => &arguments.manifest,
    };
    let inputs = arguments.common.inputs.as_deref();
    let reproduced = reproduce(folder, &config, inputs, &inspection_program()?, &mut Stages::new(&clock))?;
    for line in reproduced.variables.iter().map(in_words) {
        print(line);
    }
    verdict(&reproduced)
}

fn in_words(compared: &Compared) -> String {
    let Compared { variable, values, differing, largest } = compared;
    if compared.is_same() {
        format!("same      {variable}: {values} values")
    } else {
        format!("DIFFERS   {variable}: {differing} of {values} values, by at most {largest:.6}")
    }
}

fn verdict(reproduced: &Reproduced) -> Result<(), Failure> {
    let Reproduced { manifest, device, variables } = reproduced;
    let (day, revision) = (manifest.day, manifest.revision);
    let differing: Vec<&str> = variables
        .iter()
        .filter(|compared| !compared.is_same())
        .map(|compared| compared.variable.as_str())
        .collect();
    if differing.is_empty() {
        print(format_args!("revision {revision} of {day} was made again, and no bit of its data differs"));
        return Ok(());
    }
    let lineage = &manifest.lineage;
    Err(Failure::FailedChecks(format!(
        "revision {revision} of {day} was made again and differs in {}; it was drawn on {} in {} by Nilas {}, now on {device} by Nilas {}: only on \
         CPUs of one kind, in f32, are the bits the same",
        differing.join(", "),
        lineage.device,
        lineage.precision,
        lineage.code_version,
        env!("CARGO_PKG_VERSION")
    )))
}

impl From<ReproduceError> for Failure {
    fn from(error: ReproduceError) -> Self {
        match error {
            ReproduceError::Config(error) => error.into(),
            ReproduceError::Produce(error) => error.into(),
            ReproduceError::OtherConfiguration { .. } => Self::Usage(error.to_string()),
            _ => Self::other(error),
        }
    }
}
