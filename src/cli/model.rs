//! `nilas model`: what a checkpoint is, and its network and sampler on plain tensors.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::evaluate::DaysText;
use super::failure::Failure;
use super::placement::PlacementOptions;
use super::print;
use super::sampler::SamplerOptions;
use crate::archive::Archive;
use crate::config::{DeviceChoice, Precision, SamplerChoice};
use crate::evaluate::{EvaluateError, EvaluateOptions, calibrate};
use crate::model::{
    Checkpoint, CheckpointInfo, ModelError, Network, NetworkConfiguration, Placement, Target, read_tensors,
    select_placement,
};
use crate::progress::Stages;
use crate::time::SystemClock;

/// Looks at a checkpoint, or runs it on tensors in safetensors files.
#[derive(Subcommand)]
pub(super) enum Arguments {
    /// Says what a checkpoint is. A file, or a built-in configuration: small, reference.
    Info {
        /// The checkpoint file, `small` or `reference`.
        checkpoint: String,
    },
    /// The noise that the network sees: reads `z` `[n,1,h,w]`, `context` `[n,4,h,w]` and `noise_variance` (one number), writes `noise`.
    Apply(Tensors),
    /// A sample: reads `context` `[n,4,h,w]` and `noise` `[n,1,h,w]`, writes `anomaly` in units of the target's scale.
    Sample {
        #[command(flatten)]
        tensors: Tensors,
        #[command(flatten)]
        sampler: SamplerOptions,
    },
    /// Fits the spread of its samples to held-out truth, and writes the checkpoint with this calibration.
    Calibrate(Box<Calibrate>),
}

/// What a calibration is fitted to.
#[derive(Args)]
pub(super) struct Calibrate {
    /// The checkpoint file.
    checkpoint: PathBuf,
    /// Folder of the archive (the one that holds model/features). Its days were not trained on and will not be scored.
    #[arg(long)]
    archive: PathBuf,
    /// Checkpoint file to write.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Days: a number, spread evenly over the archive, or a list such as 2022-10-20,2022-11-05.
    #[arg(long, default_value = "20")]
    days: DaysText,
    /// Cells along a side of the window, half of it ice, that is drawn from each day; 0 takes whole fields.
    #[arg(long, default_value_t = 256)]
    window: usize,
    /// Members that are drawn for each scene.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(2..))]
    members: u16,
    /// Seed of noise and windows.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Members handled at once on a GPU.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    batch: u16,
    #[command(flatten)]
    sampler: SamplerOptions,
    /// Where the network runs.
    #[arg(long, default_value = "auto")]
    device: DeviceChoice,
    /// Threads on CPU; 0 takes as many as the process may use.
    #[arg(long, default_value_t = 0)]
    threads: usize,
}

/// Files and place of a run.
#[derive(Args)]
pub(super) struct Tensors {
    /// The checkpoint file.
    checkpoint: PathBuf,
    /// Safetensors file to read.
    #[arg(long = "in", value_name = "FILE")]
    input: PathBuf,
    /// Safetensors file to write.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    placement: PlacementOptions,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    match arguments {
        Arguments::Info { checkpoint } => info(checkpoint),
        Arguments::Apply(tensors) => tensors.run(Checkpoint::apply_file),
        Arguments::Sample { tensors, sampler } => {
            tensors.run(|checkpoint, input, out| checkpoint.sample_file(input, out, sampler.choice()))
        }
        Arguments::Calibrate(options) => options.run(),
    }
}

fn info(name: &str) -> Result<(), Failure> {
    let (network, info) = if let Some(configuration) = NetworkConfiguration::named(name) {
        (Network::new(&configuration, Placement::CPU.device).for_inference(Precision::F32), None)
    } else {
        let checkpoint = Checkpoint::load(Path::new(name), Placement::CPU)?;
        (checkpoint.network, Some((checkpoint.info, checkpoint.sha256)))
    };
    let configuration = network.configuration();
    print(format_args!("parameters    {}", network.parameter_count()));
    print(format_args!("widths        {:?}", configuration.widths));
    print(format_args!("block depth   {}", configuration.block_depth));
    if let Some((info, sha256)) = info {
        describe(&info, &sha256)?;
    }
    Ok(())
}

fn describe(info: &CheckpointInfo, sha256: &str) -> Result<(), Failure> {
    let sampler = info.sampler(SamplerChoice::default())?;
    let (training, scale) = (&info.training, &info.target_scale);
    print(format_args!("name          {}", info.name));
    print(format_args!("sha256        {sha256}"));
    print(format_args!("thickness     {}", info.thickness_definition));
    print(format_args!(
        "signal rates  {} to {}",
        info.schedule.max_signal_rate, info.schedule.min_signal_rate
    ));
    print(format_args!(
        "sampler       {}, {} calls ({}) down to a noise rate of {:.4}",
        sampler.kind.name(),
        sampler.steps,
        sampler.time_grid.name(),
        sampler.lowest_noise_rate
    ));
    let target = match info.target {
        Target::Anomaly => "anomaly",
        Target::Full => "full field",
    };
    print(format_args!("gives         {} of the {target}", info.objective));
    let features =
        [("concentration", info.features.concentration), ("deformation", info.features.deformation)];
    let shown: Vec<_> = features.into_iter().filter(|(_, shown)| *shown).map(|(name, _)| name).collect();
    print(format_args!(
        "sees          {}",
        ["thickness, mask"].into_iter().chain(shown).collect::<Vec<_>>().join(", ")
    ));
    let calibration = info.calibration.as_ref().map_or("none".to_owned(), |fitted| {
        format!("{} (fitted on {})", fitted.in_words(), fitted.fitted_on)
    });
    print(format_args!("calibration   {calibration}"));
    print(format_args!("scale         {:.4} m + {:.4} x thickness", scale.constant_m, scale.per_metre));
    print(format_args!("mean          {:?}", info.statistics.mean));
    print(format_args!("deviation     {:?}", info.statistics.standard_deviation));
    print(format_args!("degradation   {}", info.degradation));
    print(format_args!("data          {}", training.data));
    print(format_args!(
        "training      {} steps of {} windows of {2} x {2} on {3}",
        training.steps, training.batch, training.window, training.device
    ));
    print(format_args!("validation    noise loss {:.4}", training.validation_noise_loss));
    Ok(())
}

impl Calibrate {
    fn run(&self) -> Result<(), Failure> {
        let archive = Archive::open(&self.archive).map_err(EvaluateError::from)?;
        let placement = select_placement(self.device, self.threads, Precision::F32)?;
        let mut checkpoint = Checkpoint::load(&self.checkpoint, placement)?;
        let sampler = checkpoint.info.sampler(self.sampler.choice())?;
        let options = EvaluateOptions {
            days: self.days.0.clone(),
            window: (self.window > 0).then_some(self.window),
            members: usize::from(self.members),
            seed: self.seed,
            batch: usize::from(self.batch),
            ..EvaluateOptions::default()
        };
        let clock = SystemClock::new();
        let fitted = calibrate(&archive, &mut checkpoint, sampler, &options, &mut Stages::new(&clock))?;
        let tensors: Vec<_> = read_tensors(&self.checkpoint)?.into_iter().collect();
        Checkpoint::save(&self.out, &checkpoint.info, &tensors)?;
        print(fitted.in_words());
        print(self.out.display());
        Ok(())
    }
}

impl Tensors {
    fn run(
        &self,
        work: impl FnOnce(&Checkpoint, &Path, &Path) -> Result<(), ModelError>,
    ) -> Result<(), Failure> {
        let checkpoint = Checkpoint::load(&self.checkpoint, self.placement.place()?)?;
        work(&checkpoint, &self.input, &self.out)?;
        print(self.out.display());
        Ok(())
    }
}
