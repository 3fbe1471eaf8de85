//! `nilas bench`: how fast it is on this machine, as JSON.

use std::fs;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use clap::{Args, Subcommand};
use ndarray::{Array2, ArrayView2};
use serde_json::{Value, json};

use super::failure::Failure;
use super::placement::PlacementOptions;
use super::produce::{Common, EnsembleOptions};
use super::sampler::SamplerOptions;
use super::{Handed, inspection_program, print};
use crate::config::Config;
use crate::drawing::{DrawingProcess, Weights};
use crate::ensemble::{Drawer, EnsembleError, MemberStore, Parts, Plan, draw_together};
use crate::model::{Checkpoint, NetworkConfiguration, Workload, closed_ice, select_placements, thread_count};
use crate::produce::{FeatureFiles, Gathered, Order, features, produce};
use crate::progress::{Bar, Stages};
use crate::source::InspectionProgram;
use crate::sys;
use crate::time::{Clock, ProductDay, SystemClock};

/// What members' inputs are perturbed by where that is timed, m; it takes as long whatever it is.
const INPUT_UNCERTAINTY_M: f32 = 0.2;

/// What can be measured.
#[derive(Subcommand)]
pub(super) enum Arguments {
    Model(Model),
    Pipeline(Box<Pipeline>),
}

/// What needs libtorch only.
#[derive(Subcommand)]
pub(super) enum OfModel {
    Model(Model),
}

/// What needs files of satellites.
#[derive(Subcommand)]
pub(super) enum OfPipeline {
    Pipeline(Box<Handed<Pipeline>>),
}

/// Times calls of a network and the drawing of members, all of them over closed ice.
#[derive(Args)]
pub(super) struct Model {
    /// A checkpoint file, or a built-in size with random weights: small, reference.
    #[arg(default_value = "reference")]
    checkpoint: String,
    /// Rows of the field.
    #[arg(long, default_value_t = 1088)]
    rows: usize,
    /// Columns of the field.
    #[arg(long, default_value_t = 1312)]
    columns: usize,
    /// Samples in a call, and members at once on a GPU; 0 takes what fits into the memory of a GPU.
    #[arg(long, default_value_t = 1)]
    batch: usize,
    /// Timed calls.
    #[arg(long, default_value_t = 5)]
    calls: usize,
    /// Calls before them that are not timed.
    #[arg(long, default_value_t = 1)]
    warm: usize,
    /// Members to draw after the calls, with all that belongs to a member.
    #[arg(long, default_value_t = 0)]
    members: usize,
    /// Processes that share the members; 0 has one for each GPU. More than there are GPUs share these, on a CPU its threads.
    #[arg(long, default_value_t = 0)]
    processes: usize,
    /// Time the parts of a member's way beside the network, each by itself, for as many members as are handled at once.
    #[arg(long)]
    parts: bool,
    #[command(flatten)]
    sampler: SamplerOptions,
    #[command(flatten)]
    placement: PlacementOptions,
}

/// Times the way from the input files of a day to the network's inputs, cold and warm, and the making of a product. What is
/// published goes into a folder of the cache, which is cleared away afterwards.
#[derive(Args)]
pub(super) struct Pipeline {
    /// The day, such as 2022-04-15.
    #[arg(long)]
    pub(super) date: ProductDay,
    /// How often each is done.
    #[arg(long, default_value_t = 5)]
    repeats: usize,
    #[command(flatten)]
    pub(super) common: Common,
    #[command(flatten)]
    ensemble: EnsembleOptions,
}

pub(super) fn model(OfModel::Model(options): &OfModel) -> Result<(), Failure> {
    let clock = SystemClock::new();
    let wanted = &options.placement;
    let threads = thread_count(wanted.threads).div_ceil(options.processes.max(1));
    let (placement, others) = select_placements(wanted.device, threads, wanted.precision)?;
    let others: Vec<_> = match options.processes {
        0 => others,
        count => [placement].into_iter().chain(others).cycle().skip(1).take(count - 1).collect(),
    };
    let weights = options.weights();
    let first = weights.load(placement)?;
    let processes = 1 + others.len();
    let shape = (options.rows, options.columns);
    let batch = if options.batch > 0 { options.batch } else { first.batch(0, shape) };
    let workload = Workload::random(batch, shape, placement.device);
    let mut calls = Vec::new();
    for number in 0..options.warm + options.calls {
        let begin = clock.monotonic();
        workload.ask(&first)?;
        if number >= options.warm {
            calls.push(clock.monotonic().saturating_sub(begin));
        }
    }
    let parts = options.parts.then(|| options.time_parts(&first, batch, &clock)).transpose()?;
    let start = |other| Ok(DrawingProcess::start(other, threads)?.with(&weights, &first));
    let draw = || {
        let others =
            others.into_iter().map(start).collect::<Result<_, EnsembleError>>().map_err(Failure::other)?;
        options.draw(&first, others, batch, &clock)
    };
    let members = (options.members > 0).then(draw).transpose()?;
    print(json!({
        "what": "network call",
        "program": format!("nilas {}", env!("CARGO_PKG_VERSION")),
        "network": first.network.configuration(),
        "rows": shape.0,
        "columns": shape.1,
        "batch": batch,
        "device": placement.device_name(),
        "processes": processes,
        "precision": first.network.precision().name(),
        "threads": threads,
        "seconds": seconds(&calls),
        "parts": parts,
        "members": members,
        "peak_memory_bytes": sys::peak_resident_bytes(),
    }));
    Ok(())
}

impl Model {
    fn weights(&self) -> Weights {
        match NetworkConfiguration::named(&self.checkpoint) {
            Some(configuration) => Weights::Untrained(configuration),
            None => Weights::File(self.checkpoint.clone().into()),
        }
    }

    fn plan(
        &self,
        checkpoint: &Checkpoint,
        members: usize,
        clock: &SystemClock,
    ) -> Result<Plan<'_>, Failure> {
        let sampler = checkpoint.info.sampler(self.sampler.choice())?;
        Ok(Plan::new(ProductDay::new(clock.now().date_naive()), members, sampler, 1))
    }

    fn draw(
        &self,
        checkpoint: &Checkpoint,
        others: Vec<Box<dyn Drawer>>,
        batch: usize,
        clock: &SystemClock,
    ) -> Result<Value, Failure> {
        let plan = Plan { batch, ..self.plan(checkpoint, self.members, clock)? };
        let context = closed_ice(self.rows, self.columns);
        let begin = clock.monotonic();
        let mut store = Discarded { clock, begin, came: Vec::new() };
        draw_together(checkpoint, others, &context, plan, &mut store, &Bar::hidden())
            .map_err(Failure::other)?;
        let elapsed = clock.monotonic().saturating_sub(begin);
        Ok(json!({
            "members": self.members,
            "steps": plan.sampler.steps,
            "seconds": elapsed.as_secs_f64(),
            "came_after_seconds": seconds(&store.came),
        }))
    }

    /// What a member needs beside the network, and the same without each of the choices that were made for it.
    fn time_parts(
        &self,
        checkpoint: &Checkpoint,
        members: usize,
        clock: &SystemClock,
    ) -> Result<Value, Failure> {
        let uncertainty_m = Array2::from_elem((self.rows, self.columns), INPUT_UNCERTAINTY_M);
        let plan =
            Plan { input_uncertainty_m: Some(&uncertainty_m), ..self.plan(checkpoint, members, clock)? };
        let context = closed_ice(self.rows, self.columns);
        let parts = Parts::new(checkpoint, &context, plan).map_err(Failure::other)?;
        let time = |part: &dyn Fn() -> Result<(), EnsembleError>| {
            let mut timed = Vec::new();
            for number in 0..self.warm + self.calls {
                let begin = clock.monotonic();
                part().map_err(Failure::other)?;
                if number >= self.warm {
                    timed.push(clock.monotonic().saturating_sub(begin));
                }
            }
            Ok::<_, Failure>(seconds(&timed))
        };
        Ok(json!({
            "members": members,
            "noise_and_inputs": time(&|| {
                parts.ask();
                Ok(())
            })?,
            "to_device": time(&|| parts.to_device(true))?,
            "to_device_unpinned": time(&|| parts.to_device(false))?,
            "bounds_and_statistics": time(&|| {
                parts.finish();
                Ok(())
            })?,
            "bounds_and_statistics_on_host": time(&|| parts.finish_on_host())?,
            "to_host": time(&|| parts.to_host(true))?,
            "to_host_unpinned": time(&|| parts.to_host(false))?,
        }))
    }
}

/// Takes members and keeps when they came, and nothing else.
struct Discarded<'a> {
    clock: &'a SystemClock,
    begin: Duration,
    came: Vec<Duration>,
}

impl MemberStore for Discarded<'_> {
    fn append(&mut self, _member: ArrayView2<'_, f32>) -> io::Result<()> {
        self.came.push(self.clock.monotonic().saturating_sub(self.begin));
        Ok(())
    }

    fn len(&self) -> usize {
        self.came.len()
    }

    fn rows(&self, _member: usize, _rows: Range<usize>) -> io::Result<Array2<f32>> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

pub(super) fn pipeline(OfPipeline::Pipeline(handed): &OfPipeline) -> Result<(), Failure> {
    let (options, gathered) = (&handed.arguments, &handed.inputs.gathered);
    let mut config = options.common.load(options.ensemble.overrides())?;
    // What a kill leaves there is cleared like any other temporary folder.
    let scratch = config.folders.cache.join(format!("{}-bench", sys::TEMPORARY));
    config.folders.products = scratch.join("products");
    config.folders.cache = scratch.join("cache");
    let clock = SystemClock::new();
    let inspector = inspection_program()?;
    let (mut cold, mut warm) = (Vec::new(), Vec::new());
    for _ in 0..options.repeats {
        clear(&scratch)?;
        cold.push(timed_features(gathered, &config, &inspector, &clock)?);
        warm.push(timed_features(gathered, &config, &inspector, &clock)?);
    }
    let mut productions = Vec::new();
    for revision in 1..=options.repeats as u32 {
        let order =
            Order { config: config.clone(), gathered: gathered.clone(), revision, run: 0, degradation: None };
        let produced = produce(&order, &inspector, &mut Stages::new(&clock))?;
        let stages: serde_json::Map<_, _> =
            produced.timings.iter().map(|timing| (timing.stage.clone(), json!(timing.seconds))).collect();
        productions.push(json!({ "stages": stages, "peak_memory_bytes": produced.peak_memory_bytes }));
    }
    clear(&scratch)?;
    print(json!({
        "what": "pipeline",
        "program": format!("nilas {}", env!("CARGO_PKG_VERSION")),
        "features_cold_seconds": seconds(&cold),
        "features_warm_seconds": seconds(&warm),
        "members": config.ensemble.members,
        "productions": productions,
    }));
    Ok(())
}

fn timed_features(
    gathered: &Gathered,
    config: &Config,
    inspector: &InspectionProgram,
    clock: &SystemClock,
) -> Result<Duration, Failure> {
    let begin = clock.monotonic();
    let nothing = FeatureFiles { netcdf: None, archive: None };
    let context = features(gathered, config, inspector, nothing, &mut Stages::new(clock))?.context();
    let elapsed = clock.monotonic().saturating_sub(begin);
    drop(context);
    Ok(elapsed)
}

/// Clears the folder away in which is measured; it may not be there.
fn clear(folder: &Path) -> Result<(), Failure> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Failure::Other(format!("{} cannot be cleared away: {error}", folder.display())))
        }
        _ => Ok(()),
    }
}

fn seconds(durations: &[Duration]) -> Vec<f64> {
    durations.iter().map(Duration::as_secs_f64).collect()
}
