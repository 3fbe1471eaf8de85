//! `nilas synth`: a synthetic archive to train on.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::configuration::ConfigurationFile;
use super::failure::Failure;
use super::print;
use crate::archive::{self, Coordinates, Entry, ObservedArchive};
use crate::grid::Grid;
use crate::progress::Stages;
use crate::source::{DeliveryError, Satellites};
use crate::synth::{
    Forcing, Observer, Portrait, Report, Series, Split, SynthError, SyntheticDay, provenance,
};
use crate::sys;
use crate::time::{ProductDay, SystemClock};

/// Where the drift of the winters lies, below what is installed.
const FORCING: &str = "forcing/arctic-winters.safetensors";

/// Makes a synthetic training archive in the SuperIce layout (model/features/YYYYMMDD, safetensors) on the configuration's grid.
#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    configuration: ConfigurationFile,
    /// Folder of the archive.
    #[arg(long)]
    out: PathBuf,
    /// Number of days. Five follow each other every fourth day; then another winter's ice is driven.
    #[arg(long)]
    days: usize,
    /// Seed: the same seed gives the same archive.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Which winters and thickness fields may be used.
    #[arg(long, value_enum, default_value_t = Part::Training)]
    part: Part,
    /// Drift and thickness that drive the ice [default: forcing/arctic-winters.safetensors beside the folder of the configuration, else in
    /// share/nilas beside the folder of the programs].
    #[arg(long)]
    forcing: Option<PathBuf>,
    /// Also write what the satellites saw of each day into this folder, as files like those of OSI-408-a, OSI-405-d and CS3SMOS.
    #[arg(long, value_name = "FOLDER")]
    satellite_files: Option<PathBuf>,
    /// Hold the inputs against those of the real days in this archive (`nilas features --archive`).
    #[arg(long, value_name = "ARCHIVE")]
    observed: Option<PathBuf>,
}

/// The option that needs NetCDF.
pub(super) const SATELLITE_FILES: &str = "--satellite-files";
/// What writes the satellites' files of a day into a folder, with a sentence about their origin.
pub(super) type Deliver = fn(&Path, ProductDay, &Satellites, &str) -> Result<(), DeliveryError>;

/// Parts of the data, which share no winter. All begin with the thickness of one April; that of the test part is mirrored.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Part {
    Training,
    Validation,
    Test,
}

/// Synthetic days have no date; they are numbered from this one on.
const FIRST_DAY: &str = "2001-01-01";

/// Makes the archive; `deliver` is there in a program that has NetCDF.
pub(super) fn run(arguments: &Arguments, deliver: Option<Deliver>) -> Result<(), Failure> {
    let delivery = match (&arguments.satellite_files, deliver) {
        (Some(folder), Some(deliver)) => Some((folder, deliver)),
        (Some(_), None) => {
            return Err(Failure::Usage(format!(
                "{SATELLITE_FILES} writes NetCDF, which this program does without; call it through nilas, with nilas-engine beside it"
            )));
        }
        (None, _) => None,
    };
    let config = arguments.configuration.load()?;
    let forcing = Forcing::read(&arguments.forcing_path()?)?;
    let observer = Observer::new(&config, Grid::load(&config.grid_file()?).map_err(SynthError::from)?)?;
    let coordinates = coordinates(observer.grid())?;
    let split = arguments.part.into();
    let stated = provenance(split, arguments.seed);
    let first: ProductDay = FIRST_DAY.parse().map_err(Failure::other)?;
    let clock = SystemClock::new();
    let mut report = Report::default();
    Stages::new(&clock).run("synth", arguments.days, |bar| {
        for begin in (0..arguments.days).step_by(Series::SAMPLES) {
            let number = begin / Series::SAMPLES;
            let mut series = Series::begin(&forcing, &observer, split, arguments.seed, number)?;
            for index in begin..arguments.days.min(begin + Series::SAMPLES) {
                let SyntheticDay { driven_by, sample, seen } = series.next_sample()?;
                let day = first.plus_days(index as i64);
                let entry = Entry { sample: &sample, provenance: &stated, coordinates: Some(&coordinates) };
                archive::write(&arguments.out, day, entry).map_err(Failure::other)?;
                if let Some((folder, deliver)) = delivery {
                    deliver(folder, day, &seen, &stated.origin).map_err(Failure::other)?;
                }
                tracing::info!(%day, %driven_by, series = number, "synthetic day written");
                report.add_day(&sample);
                bar.step();
            }
            report.add_series(series.budget());
        }
        Ok::<_, Failure>(())
    })?;
    if let Some(folder) = &arguments.observed {
        let archive = ObservedArchive::open(folder).map_err(Failure::other)?;
        for (index, day) in archive.days().enumerate() {
            report.add_real_day(day, &archive.read(index).map_err(Failure::other)?);
        }
    }
    let path = arguments.out.join("synthetic-ice.md");
    let text = report.text(&stated.origin, &Portrait::of_nextsim(&forcing));
    sys::replace_file(&path, text.as_bytes()).map_err(|error| {
        Failure::other(format!(
            "{}: {error}; see that the folder may be written and has space",
            path.display()
        ))
    })?;
    print(format_args!("{} synthetic days in {}", arguments.days, arguments.out.display()));
    print(format_args!("volume not explained, at most {:.4} %", 100.0 * report.largest_imbalance()));
    print(format_args!("compared with neXtSIM in {}", path.display()));
    Ok(())
}

fn coordinates(grid: &Grid) -> Result<Coordinates, SynthError> {
    let places = grid.spec.lonlat()?;
    Ok(Coordinates {
        longitude: places.mapv(|place| place.lon as f32),
        latitude: places.mapv(|place| place.lat as f32),
    })
}

impl Arguments {
    fn forcing_path(&self) -> Result<PathBuf, Failure> {
        if let Some(path) = &self.forcing {
            return Ok(path.clone());
        }
        let configuration = self.configuration.path()?;
        let configuration = std::path::absolute(&configuration).unwrap_or(configuration);
        let beside = configuration.parent().and_then(Path::parent).unwrap_or(Path::new("/")).join(FORCING);
        // As installed, where the configuration in use lies elsewhere.
        let own = std::env::current_exe().ok();
        let installed = own.and_then(|own| Some(own.parent()?.parent()?.join("share/nilas").join(FORCING)));
        Ok(if beside.is_file() { beside } else { installed.filter(|path| path.is_file()).unwrap_or(beside) })
    }
}

impl From<Part> for Split {
    fn from(part: Part) -> Self {
        match part {
            Part::Training => Self::Training,
            Part::Validation => Self::Validation,
            Part::Test => Self::Test,
        }
    }
}
