//! The story of one day, from its input files to its products.
//!
//! The daemon, a backfill, a person at a terminal and the demo all come through [`produce`].

mod gather;
mod gathered;
mod inputs;
mod lock;
mod order;
mod reproduce;
mod verify;

use std::fs;
use std::path::{Path, PathBuf};

use ndarray::{Array2, Array3};
use serde::{Deserialize, Serialize};

use crate::archive::{self, ArchiveError, Observed};
use crate::config::{Config, ConfigError, Precision, SamplerChoice};
use crate::drawing::{DrawingProcess, Weights};
use crate::ensemble::{self, EnsembleError, MemberStore, Plan};
use crate::fetch::FetchError;
use crate::grid::{Grid, GridError, Regions, RemapCache};
use crate::model::{self, Checkpoint, FeatureStatistics, ModelError, Placement, Sampler, select_placements};
use crate::prepare::{Prepared, flag, outside_training_range, standardise};
use crate::progress::{StageTiming, Stages};
use crate::publish::{
    self, Features, InputRecord, Lineage, Product, PublishError, Published, ScratchFile, Status,
    write_features,
};
use crate::quality::{self, Checked, Finding};
use crate::source::{InspectionProgram, SourceError};
use crate::sys;
use crate::time::ProductDay;

use inputs::{Inputs, Reader};

pub use gather::{Answer, GatherError, Gatherer, Held, Lack, Look, Watch, inquire};
pub use gathered::{AcceptedFile, Gathered};
pub use lock::DayLock;
pub use order::{Event, Failed, Order};
pub use reproduce::{ReproduceError, Reproduced, reproduce};
pub use verify::{Verdict, verify};

/// Probabilities of the published quantiles.
const PROBABILITIES: [f64; 3] = [0.1, 0.5, 0.9];

/// bfloat16 may change what a member adds to the low-resolution thickness by this share, root mean squares: a few times more than
/// trained networks show, and far less than members differ.
const MOST_ROUNDING: f64 = 0.1;

/// What a product was made without where its thickness file says nothing of its error that can be used.
const NO_UNCERTAINTY: &str = "made without the uncertainty of the thickness, which its file does not state in metres: the spread is that of the fine scales only";

/// What a product was made without where its thickness file has words of its own for what its values rest on.
const UNKNOWN_BASIS: &str = "made without knowing where the provider interpolated the thickness: the words of its file for that are not known";

/// How a product was drawn whose calibration was fitted to members of another sampler.
const OTHER_SAMPLER: &str =
    "drawn with a sampler that its spread was not fitted for: the spread may be too small or too large";

/// Why a day could not be produced. Nothing was published then (but see [`PublishError::NotLatest`]), and what was published
/// before stays.
#[derive(Debug, thiserror::Error)]
pub enum ProduceError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The input folder cannot be read.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// An input is not there, or was refused.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// An input file is not named as a product that is known.
    #[error("{path} has the name of no known product; give it the name that it has at its provider")]
    UnknownName {
        /// The file.
        path: PathBuf,
    },
    /// An input file is not the one any more that was accepted.
    #[error("{path} has changed since it was accepted; run the day again")]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// Nothing can be started that decodes the inputs.
    #[error(
        "the inputs cannot be decoded, because the runtime cannot be started ({source}); see that there is free memory, and run the day again"
    )]
    Runtime {
        /// What the system said.
        source: std::io::Error,
    },
    /// The grid cannot be used.
    #[error(transparent)]
    Grid(#[from] GridError),
    /// The model cannot be used.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The checkpoint is not the one that the configuration means.
    #[error(
        "checkpoint {path} has the SHA-256 {found}, the configuration says {expected} (model.checkpoint_sha256); put the right file back, or change the key if the new one is meant"
    )]
    OtherCheckpoint {
        /// The file.
        path: PathBuf,
        /// The sum that was configured.
        expected: String,
        /// The sum that it has.
        found: String,
    },
    /// The inputs could not be added to an archive.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The ensemble could not be drawn.
    #[error(transparent)]
    Ensemble(#[from] EnsembleError),
    /// The product could not be written.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// An output file or its folder cannot be made.
    #[error("{path} cannot be made ({source}); name a file in a folder that Nilas may write")]
    Output {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Members could not be kept or read again.
    #[error(
        "no scratch file for the members can be used in {folder} ({source}); see that the folder exists, may be written and has space, or name another with folders.cache or --cache"
    )]
    Scratch {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The product root cannot be written.
    #[error(
        "{path}: {source}; see that the product root exists and may be written, or name another with folders.products or --products"
    )]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another process is at work on the day.
    #[error("another run is producing {day} (it holds {path}); wait for it to end")]
    Busy {
        /// The day.
        day: ProductDay,
        /// The lock file.
        path: PathBuf,
    },
    /// The inputs leave no ice to work on.
    #[error(
        "{day} has no cell of ice of known thickness on the grid {grid}; look at the inputs with `nilas features`"
    )]
    NoIce {
        /// The day.
        day: ProductDay,
        /// The grid.
        grid: String,
    },
    /// The product failed its checks and was not published.
    #[error("the product of {day} failed its checks and was not published: {}", failed.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Quality {
        /// The day.
        day: ProductDay,
        /// The checks that failed.
        failed: Vec<Finding>,
    },
}

impl ProduceError {
    /// Whether the device failed that the network ran on, so that another may do.
    #[must_use]
    pub fn is_of_device(&self) -> bool {
        match self {
            Self::Model(ModelError::NoCuda { .. }) => true,
            Self::Ensemble(error) => error.is_of_gpu(),
            _ => false,
        }
    }
}

/// A day that was produced.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Produced {
    /// The day.
    pub day: ProductDay,
    /// How settled the product is.
    pub status: Status,
    /// Number of members.
    pub members: usize,
    /// Share of the members' cells that would be below 0 m and are held there.
    pub clamped_fraction: f64,
    /// The input files.
    pub inputs: Vec<InputRecord>,
    /// Where the network ran.
    pub device: String,
    /// What was published.
    pub published: Published,
    /// The largest resident size of the process that did it, bytes.
    pub peak_memory_bytes: Option<u64>,
    /// How long each stage took.
    pub timings: Vec<StageTiming>,
}

/// Produces a day: has its inputs decoded by `inspector`, prepares them, draws the ensemble, checks it and publishes it as the revision
/// that is ordered. Whoever gives the order holds the [`DayLock`].
///
/// # Errors
/// [`ProduceError`]; nothing of this run is visible then, but for [`PublishError::NotLatest`].
pub fn produce(
    order: &Order,
    inspector: &InspectionProgram,
    stages: &mut Stages<'_>,
) -> Result<Produced, ProduceError> {
    let Order { config, gathered, .. } = order;
    let (day, reader) = (gathered.day, Reader { program: inspector, limits: &config.inspection });
    let mut store = scratch(config)?;
    let grid_file = config.grid_file()?;
    let grid = Grid::load(&grid_file)?;
    let regions = grid_file.regions.as_deref().map(|path| Regions::load(path, &grid.spec)).transpose()?;

    let inputs = stages.run("read", inputs::STEPS, |bar| inputs::read(gathered, reader, bar))?;
    sys::fail_point("produce.read");
    let (placement, others) =
        select_placements(config.model.device, config.model.threads, config.model.precision)?;
    let processor = placement.processor();
    let (checkpoint, processes) = stages.run_on(processor, "load", 1, |_| {
        // These come to life while the day is prepared. Nobody is started who would have no member to draw.
        let threads = model::thread_count(config.model.threads).div_ceil(1 + others.len());
        let others = others.into_iter().take(config.ensemble.members.saturating_sub(1));
        let others = others.map(|other| DrawingProcess::start(other, threads));
        let processes = others.collect::<Result<Vec<_>, _>>()?;
        Ok::<_, ProduceError>((load_checkpoint(config, placement)?, processes))
    })?;
    let sampler = checkpoint.info.sampler(config.ensemble.sampler_choice())?;
    let prepared = stages.run("prepare", 1, |_| prepare(day, &inputs, config, &grid))?;

    let context = prepared.context();
    let plan = plan(day, config, sampler, &prepared);
    let checkpoint = precise(config, checkpoint, &context, plan, stages)?;
    let weights = Weights::File(config.model.checkpoint.clone());
    let others = processes.into_iter().map(|process| process.with(&weights, &checkpoint)).collect();
    let statistics = stages.run_on(processor, "draw", plan.members * plan.sampler.steps, |bar| {
        ensemble::draw_together(&checkpoint, others, &context, plan, &mut store, bar)
    })?;
    sys::fail_point("produce.drawn");
    let thresholds_m = &config.publication.thinner_than_m;
    let distribution = stages.run("quantiles", 1, |_| {
        ensemble::distribution(&store, prepared.mask.dim(), &PROBABILITIES, thresholds_m)
            .map_err(|source| ProduceError::Scratch { folder: config.folders.cache.clone(), source })
    })?;

    require_quality(
        day,
        &Checked {
            mask: prepared.mask.view(),
            mean_m: statistics.mean_m.view(),
            spread_m: statistics.spread_m.view(),
            quantiles: &distribution.quantiles,
        },
    )?;
    let lineage = lineage(order, config.hash(&grid_file)?, &inputs, &checkpoint, &plan);
    let timings = stages.timings().to_vec();
    let info = &checkpoint.info;
    let outside_training_range = far_from_training(&context, &info.statistics, info.features);
    let product = Product {
        day,
        status: inputs.status,
        created: stages.clock().now(),
        grid: &grid,
        prepared: &prepared,
        statistics: &statistics,
        quantiles: &distribution.quantiles,
        thinner: &distribution.thinner,
        members: &store,
        with_members: config.publication.members,
        outside_training_range: &outside_training_range,
        regions: regions.as_ref(),
        animation_days: config.publication.animation_days,
        lineage: &lineage,
        publisher: &config.publisher,
        timings: &timings,
    };
    let published = stages.run("publish", publish::STEPS, |bar| {
        publish::publish(&config.folders.products, &product, order.revision, bar)
    })?;
    Ok(Produced {
        day,
        status: inputs.status,
        members: store.len(),
        clamped_fraction: statistics.clamped_fraction,
        device: lineage.device,
        inputs: inputs.records,
        published,
        peak_memory_bytes: sys::peak_resident_bytes(),
        timings: stages.timings().to_vec(),
    })
}

/// Where the network's inputs of a day go.
#[derive(Debug, Clone, Copy)]
pub struct FeatureFiles<'a> {
    /// A NetCDF file.
    pub netcdf: Option<&'a Path>,
    /// The folder of an archive of days without a truth.
    pub archive: Option<&'a Path>,
}

/// Writes the network's inputs of a day, which `inspector` decodes.
///
/// # Errors
/// [`ProduceError`].
pub fn features(
    gathered: &Gathered,
    config: &Config,
    inspector: &InspectionProgram,
    files: FeatureFiles<'_>,
    stages: &mut Stages<'_>,
) -> Result<Prepared, ProduceError> {
    let (day, reader) = (gathered.day, Reader { program: inspector, limits: &config.inspection });
    files.netcdf.map_or(Ok(()), make_folder_of)?;
    let grid = Grid::load(&config.grid_file()?)?;
    let inputs = stages.run("read", inputs::STEPS, |bar| inputs::read(gathered, reader, bar))?;
    let prepared = stages.run("prepare", 1, |_| prepare(day, &inputs, config, &grid))?;
    let created = stages.clock().now();
    stages.run("write", 1, |_| {
        if let Some(folder) = files.archive {
            archive::write_observed(folder, day, &observed(&prepared, &inputs))?;
        }
        let Some(out) = files.netcdf else { return Ok(()) };
        let features = Features {
            day,
            created,
            grid: &grid,
            prepared: &prepared,
            inputs: &inputs.records,
            publisher: &config.publisher,
        };
        // A file that is already there stays until the new one is whole.
        let part = out.with_extension("part");
        write_features(&part, &features)?;
        fs::rename(&part, out).map_err(|source| ProduceError::Output { path: out.to_owned(), source })
    })?;
    Ok(prepared)
}

/// The prepared fields of a day as an archive holds them.
fn observed(prepared: &Prepared, inputs: &Inputs) -> Observed {
    let names: Vec<&str> = inputs.records.iter().map(|record| record.name.as_str()).collect();
    let flagged = |bit: u32| prepared.flags.mapv(|flags| flags & bit != 0);
    Observed {
        concentration: prepared.concentration.clone(),
        effective_thickness_m: prepared.effective_thickness_m.clone(),
        divergence_per_day: prepared.divergence_per_day.clone(),
        shear_per_day: prepared.shear_per_day.clone(),
        filled_drift: flagged(flag::FILLED_DRIFT),
        filled_thickness: flagged(flag::FILLED_THICKNESS),
        origin: format!("satellites: {}", names.join(", ")),
    }
}

/// Makes the folder that a file shall be written to, before any work is spent on the file.
fn make_folder_of(file: &Path) -> Result<(), ProduceError> {
    let folder = file.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(|source| ProduceError::Output { path: folder.to_owned(), source })
}

/// The same checkpoint where its number format changes a member of this day by little, else that of 32-bit floats: the product then says
/// that these were used.
fn precise(
    config: &Config,
    checkpoint: Checkpoint,
    context: &Array3<f32>,
    plan: Plan<'_>,
    stages: &mut Stages<'_>,
) -> Result<Checkpoint, ProduceError> {
    let used = checkpoint.placement();
    if used.precision == Precision::F32 {
        return Ok(checkpoint);
    }
    stages.run_on(used.processor(), "precision", 1, |_| {
        let exact = load_checkpoint(config, Placement { precision: Precision::F32, ..used })?;
        let difference = ensemble::relative_difference(&exact, &checkpoint, context, plan)?;
        if difference <= MOST_ROUNDING {
            return Ok(checkpoint);
        }
        tracing::warn!(
            difference,
            most = MOST_ROUNDING,
            "bfloat16 changes this day's members too much; the network computes in 32-bit floats"
        );
        Ok(exact)
    })
}

fn load_checkpoint(config: &Config, placement: Placement) -> Result<Checkpoint, ProduceError> {
    let checkpoint = Checkpoint::load(&config.model.checkpoint, placement)?;
    match &config.model.checkpoint_sha256 {
        Some(expected) if *expected != checkpoint.sha256 => Err(ProduceError::OtherCheckpoint {
            path: config.model.checkpoint.clone(),
            expected: expected.clone(),
            found: checkpoint.sha256,
        }),
        _ => Ok(checkpoint),
    }
}

fn prepare(day: ProductDay, inputs: &Inputs, config: &Config, grid: &Grid) -> Result<Prepared, ProduceError> {
    let cache = RemapCache::new(config.folders.cache.join("remap"));
    let prepared = inputs.prepare(config, grid, &cache)?;
    if prepared.mask.iter().any(|&inside| inside) {
        Ok(prepared)
    } else {
        Err(ProduceError::NoIce { day, grid: grid.spec.name.clone() })
    }
}

fn plan<'a>(day: ProductDay, config: &Config, sampler: Sampler, prepared: &'a Prepared) -> Plan<'a> {
    let ensemble = &config.ensemble;
    let uncertainty_m = prepared.effective_thickness_uncertainty_m.as_ref();
    Plan {
        calibrated: config.model.calibrate,
        consistency: Some(ensemble.consistency),
        batch: ensemble.batch,
        input_uncertainty_m: uncertainty_m.filter(|_| ensemble.perturb_input),
        ..Plan::new(day, ensemble.members, sampler, ensemble.seed)
    }
}

/// Where what the network sees of a context lies far from what it was trained with: a channel that it is not shown changes nothing.
fn far_from_training(
    context: &Array3<f32>,
    statistics: &FeatureStatistics,
    features: model::Features,
) -> Array2<bool> {
    let mut seen = context.clone();
    standardise(&mut seen, statistics.mean, statistics.standard_deviation);
    features.hide_unused(&mut seen);
    outside_training_range(&seen)
}

fn scratch(config: &Config) -> Result<ScratchFile, ProduceError> {
    let folder = config.folders.cache.join("scratch");
    ScratchFile::create_in(&folder).map_err(|source| ProduceError::Scratch { folder, source })
}

fn require_quality(day: ProductDay, product: &Checked<'_>) -> Result<(), ProduceError> {
    let failed: Vec<_> = quality::check(product).into_iter().filter(|finding| !finding.passed()).collect();
    if failed.is_empty() { Ok(()) } else { Err(ProduceError::Quality { day, failed }) }
}

fn lineage(
    order: &Order,
    config_hash: String,
    inputs: &Inputs,
    checkpoint: &Checkpoint,
    plan: &Plan<'_>,
) -> Lineage {
    let Order { gathered, .. } = order;
    let placement = checkpoint.placement();
    Lineage {
        inputs: inputs.records.clone(),
        declared_gaps: gathered.declared_gaps.iter().map(ToString::to_string).collect(),
        checkpoint: checkpoint.info.name.clone(),
        checkpoint_sha256: checkpoint.sha256.clone(),
        training_data: checkpoint.info.training.data.clone(),
        sampler: plan.sampler.kind,
        steps: plan.sampler.steps,
        time_grid: Some(plan.sampler.time_grid),
        lowest_noise_rate: Some(plan.sampler.lowest_noise_rate),
        calibration: checkpoint.info.calibration.clone().filter(|_| plan.calibrated),
        input_perturbed: plan.input_uncertainty_m.is_some(),
        consistency: order.config.ensemble.consistency,
        seed: plan.seed,
        device: placement.device_name(),
        precision: placement.precision.name().into(),
        config_hash,
        code_version: env!("CARGO_PKG_VERSION").into(),
        degradation: degradation(order, inputs, checkpoint, plan),
    }
}

/// What is worse than it should be: what was known before, and what inputs and plan show.
fn degradation(order: &Order, inputs: &Inputs, checkpoint: &Checkpoint, plan: &Plan<'_>) -> Option<String> {
    let info = &checkpoint.info;
    let is_calibrated = plan.calibrated && info.calibration.is_some();
    // A calibration is for the sampler that stands beside it in the checkpoint.
    let is_fitted = info.sampler(SamplerChoice::default()).is_ok_and(|fitted| fitted == plan.sampler);
    let shown = [
        (order.config.ensemble.perturb_input && plan.input_uncertainty_m.is_none(), NO_UNCERTAINTY),
        (inputs.has_unknown_basis(), UNKNOWN_BASIS),
        (is_calibrated && !is_fitted, OTHER_SAMPLER),
    ];
    let shown = shown.into_iter().filter(|(holds, _)| *holds).map(|(_, reason)| reason.to_owned());
    let shown = shown.inspect(|reason| tracing::warn!("the product is {reason}"));
    let reasons: Vec<_> = order.degradation.clone().into_iter().chain(shown).collect();
    (!reasons.is_empty()).then(|| reasons.join("; and "))
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn what_the_network_is_not_shown_is_not_far_from_its_training() {
        let mut context = Array3::<f32>::ones((4, 1, 2));
        (context[[0, 0, 0]], context[[1, 0, 1]]) = (9.0, 9.0);
        let statistics = FeatureStatistics { mean: [1.0; 3], standard_deviation: [1.0; 3] };
        let far = |concentration: bool| {
            let features = model::Features { concentration, ..model::Features::default() };
            far_from_training(&context, &statistics, features)
        };
        assert_eq!(far(true), array![[true, true]]);
        assert_eq!(far(false), array![[false, true]]);
    }
}
