//! What the light program does of a verb that works on a day: it gathers the day's inputs.

use std::sync::Arc;

use super::failure::Failure;
use super::produce::Common;
use super::program;
use crate::config::{Config, Overrides};
use crate::produce::{Gathered, Gatherer, Watch};
use crate::time::{ProductDay, SystemClock};

/// The day of the sample that comes with Nilas.
const SAMPLE_DAY: &str = "2022-04-15";

/// Gathers a day's inputs as the command line and the configuration say.
pub(super) fn for_arguments(common: &Common, day: ProductDay) -> Result<Gathered, Failure> {
    let config = common.load(Overrides::default())?;
    if let Some(folder) = common.inputs.as_ref().filter(|folder| !folder.is_dir()) {
        let folder = folder.display();
        return Err(Failure::Usage(format!(
            "the folder of input files {folder} is not there; name an existing folder that Nilas may read"
        )));
    }
    let watch = if common.inputs.is_some() { Watch::Nothing } else { Watch::Series };
    gather(&config, watch, day)
}

/// Gathers the inputs of the sample day.
pub(super) fn sample_day(config: &Config) -> Result<Gathered, Failure> {
    gather(config, Watch::Nothing, SAMPLE_DAY.parse().map_err(Failure::other)?)
}

fn gather(config: &Config, watch: Watch, day: ProductDay) -> Result<Gathered, Failure> {
    let gatherer = Gatherer::new(config, program("nilas-inspect")?, watch, Arc::new(SystemClock::new()))?;
    Ok(super::runtime()?.block_on(gatherer.gather(day))?)
}
