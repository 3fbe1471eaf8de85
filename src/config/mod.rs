//! The configuration: read, merged with what the command line says, checked as a whole, resolved to absolute paths.
//!
//! Every error names the file, the key, the value and the remedy; nothing is found out later, at 03:00.

mod daemon;
mod inputs;
mod notify;
mod passwords;
mod publication;
mod sampler;
mod targets;
mod validation;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::sys;

use validation::Wrong;

pub use daemon::{Http, Production, Retention, Schedule, parse_cron};
pub use inputs::{
    Checks, Fetching, Input, Inputs, Inspection, Limits, Measure, Place, Processing, Server, ServerKind,
};
pub use notify::{
    DigestSettings, HeartbeatSettings, MailSecurity, MailSettings, Notify, Recipients, SmallestSeverity,
    WebhookSettings,
};
pub use passwords::is_this_machine;
pub use publication::Publication;
pub use sampler::{SamplerChoice, SamplerKind, TimeGrid};
pub use targets::{Target, TargetKind};

/// What is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("configuration {path}: {source}; name another file with --config")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file that makes the grid cannot be read.
    #[error("{path}: {source}; see that it is there and may be read, or name another with {key}")]
    Grid {
        /// The file.
        path: PathBuf,
        /// The key that names it, and where that stands.
        key: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// No file was named and none lies where one is looked for.
    #[error("no configuration {name} in {}; name one with --config", folders.iter().map(|f| f.display().to_string()).collect::<Vec<_>>().join(" or "))]
    NotFound {
        /// The file's name.
        name: String,
        /// Where it was looked for.
        folders: Vec<PathBuf>,
    },
    /// The file is not TOML of the expected shape: unknown or missing keys, values of another type.
    #[error("configuration {path}, line {line}: {reason}; config/nilas.toml explains every key")]
    Shape {
        /// The file.
        path: PathBuf,
        /// Where in it, from 1.
        line: usize,
        /// The parser's words, with the line itself.
        reason: String,
    },
    /// A value is out of its range.
    #[error("configuration {path}: {key} = {value}: {remedy}")]
    Value {
        /// The file.
        path: PathBuf,
        /// The key, dotted.
        key: String,
        /// The value found.
        value: String,
        /// What it must be.
        remedy: &'static str,
    },
}

/// The whole configuration, paths absolute.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The grid file.
    pub grid: PathBuf,
    /// Where things lie.
    pub folders: Folders,
    /// The servers that input files come from, by name.
    pub servers: BTreeMap<String, Server>,
    /// Which input files make a day, and when they are expected.
    pub inputs: Inputs,
    /// How they are fetched.
    pub fetching: Fetching,
    /// The confined process that opens a file for the first time.
    pub inspection: Inspection,
    /// What their values must be like.
    pub checks: Checks,
    /// From satellite fields to features.
    pub prepare: Prepare,
    /// The network.
    pub model: Model,
    /// The ensemble.
    pub ensemble: Ensemble,
    /// When days are made.
    #[serde(default)]
    pub schedule: Schedule,
    /// What a production may take.
    #[serde(default)]
    pub production: Production,
    /// What is shown over HTTP.
    #[serde(default)]
    pub http: Http,
    /// How long things are kept.
    #[serde(default)]
    pub retention: Retention,
    /// What is published of a day.
    #[serde(default)]
    pub publication: Publication,
    /// Where products are carried to, by name.
    #[serde(default)]
    pub targets: BTreeMap<String, Target>,
    /// Who publishes.
    pub publisher: Publisher,
    /// Whom Nilas tells; nobody, where nothing is said.
    #[serde(default)]
    pub notify: Notify,
}

/// Where things lie.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Folders {
    /// The product root.
    pub products: PathBuf,
    /// What Nilas must remember: the ledger, refused files.
    pub state: PathBuf,
    /// What can be made again: fetched files, remap weights, scratch.
    pub cache: PathBuf,
}

/// From satellite fields to features.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prepare {
    /// Whether holes of thickness and drift inside the ice are filled.
    pub fill_gaps: bool,
    /// How far from data a hole is filled, km.
    pub fill_reach_km: f64,
    /// Gaussian remap kernels by input: `concentration`, `thickness_v206`, `thickness_v300`, `deformation`.
    pub remap: BTreeMap<RemapInput, GaussianKernel>,
}

/// An input that has a remap kernel of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RemapInput {
    /// OSI SAF concentration, 10 km.
    Concentration,
    /// CS2SMOS v206, 25 km.
    #[serde(rename = "thickness_v206")]
    ThicknessV206,
    /// CS3SMOS v300, 12.5 km.
    #[serde(rename = "thickness_v300")]
    ThicknessV300,
    /// Divergence and shear of the OSI SAF drift, 62.5 km.
    Deformation,
}

/// A remap kernel reaches at most so many cells of its input: memory grows with the square.
const LARGEST_REACH_CELLS: f64 = 10.0;
/// And at most so many scales: beyond, weights come near the least number that there is, and cells with no nearer input lose their value.
const LARGEST_REACH_SCALES: f64 = 8.0;

impl RemapInput {
    /// Side of the input's cells, km.
    fn cell_km(self) -> f64 {
        match self {
            Self::Concentration => 10.0,
            Self::ThicknessV206 => 25.0,
            Self::ThicknessV300 => 12.5,
            Self::Deformation => 62.5,
        }
    }

    const ALL: [Self; 4] = [Self::Concentration, Self::ThicknessV206, Self::ThicknessV300, Self::Deformation];
}

/// The weight exp(-d^2/scale^2) within a radius.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GaussianKernel {
    /// Scale, km.
    pub scale_km: f64,
    /// Radius, km.
    pub radius_km: f64,
}

/// The network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// The checkpoint file.
    pub checkpoint: PathBuf,
    /// SHA-256 of that file, hexadecimal; another file is refused. None takes whatever lies there.
    pub checkpoint_sha256: Option<String>,
    /// Where it runs.
    pub device: DeviceChoice,
    /// Whether a day is drawn on the CPU where CUDA fails on the way; the product then says so.
    pub fall_back_to_cpu: bool,
    /// Number format of the network; the sampler always works in f32.
    pub precision: Precision,
    /// Threads on CPU; 0 takes as many as the process may use.
    pub threads: usize,
    /// Whether the spread is that which was fitted, where the checkpoint has a calibration.
    #[serde(default = "yes")]
    pub calibrate: bool,
}

/// What switches are where a file does not name them.
fn yes() -> bool {
    true
}

/// Where the network runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum DeviceChoice {
    /// CUDA where there is one, else the CPU; which one it was is said.
    Auto,
    /// The CPU.
    Cpu,
    /// The first CUDA device, or an error.
    Cuda,
}

/// Number format of the network's weights and activations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32-bit floats.
    F32,
    /// bfloat16.
    Bf16,
}

impl Precision {
    /// The name in products and on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        }
    }
}

/// The ensemble.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ensemble {
    /// Number of members.
    pub members: usize,
    /// The sampler; None takes the one that the checkpoint names.
    pub sampler: Option<SamplerKind>,
    /// Network calls per member; None takes as many as the checkpoint says.
    pub steps: Option<usize>,
    /// How the calls are spread between much and little noise; None takes what the checkpoint says.
    pub time_grid: Option<TimeGrid>,
    /// The noise rate that the sampler goes down to; None takes what the checkpoint says.
    pub lowest_noise_rate: Option<f64>,
    /// Seed of the members' noise; it stands in the product.
    pub seed: u64,
    /// Members that the network handles at once.
    pub batch: usize,
    /// Whether each member starts from a thickness of its own, within the uncertainty that the input states.
    #[serde(default = "yes")]
    pub perturb_input: bool,
    /// In what members agree with the thickness that they started from.
    #[serde(default)]
    pub consistency: Consistency,
}

/// In what a member agrees with the low-resolution thickness that it started from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Consistency {
    /// The thickness product, which sees through a Gaussian of some 38 km, would see that thickness in the member.
    #[default]
    Seen,
    /// Means over the ice, through a Gaussian of 26 km, are the same of both: more than the truth does.
    Means,
}

impl Ensemble {
    /// What is said about the sampler.
    #[must_use]
    pub fn sampler_choice(&self) -> SamplerChoice {
        SamplerChoice {
            kind: self.sampler,
            steps: self.steps,
            time_grid: self.time_grid,
            lowest_noise_rate: self.lowest_noise_rate,
        }
    }
}

/// Who publishes; goes into the files as it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Publisher {
    /// The institution.
    pub institution: String,
    /// Its address on the web.
    pub url: String,
    /// Whom a user may write to.
    pub email: String,
    /// The licence of the products.
    pub license: String,
}

/// Side of a cell, m: a network on other cells, and an ensemble with its lengths in cells, would give wrong products without a word.
const CELL_SIZE_M: f64 = 3000.0;

/// A grid file: where the cells lie and which are land.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GridFile {
    /// Name, as it stands in file names.
    pub name: String,
    /// PROJ string.
    pub projection: String,
    /// Number of rows.
    pub rows: usize,
    /// Number of columns.
    pub columns: usize,
    /// Side of the square cells, m.
    pub cell_size_m: f64,
    /// x of the centre of cell (0, 0), m.
    pub first_cell_centre_x_m: f64,
    /// y of the centre of cell (0, 0), m.
    pub first_cell_centre_y_m: f64,
    /// The land mask, an image beside the grid file.
    pub land_mask: PathBuf,
    /// The seas that figures are given for, a file beside the grid file; None gives none.
    pub regions: Option<PathBuf>,
}

/// What the command line says instead of the file; `None` leaves the file's word.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Overrides {
    /// Folder of the input files.
    pub inputs: Option<PathBuf>,
    /// The product root.
    pub products: Option<PathBuf>,
    /// What Nilas must remember.
    pub state: Option<PathBuf>,
    /// What can be made again.
    pub cache: Option<PathBuf>,
    /// Number of members.
    pub members: Option<usize>,
    /// The sampler, part by part.
    pub sampler: SamplerChoice,
    /// Seed of the noise.
    pub seed: Option<u64>,
    /// Members at once.
    pub batch: Option<usize>,
    /// Where the network runs.
    pub device: Option<DeviceChoice>,
    /// Number format.
    pub precision: Option<Precision>,
    /// Threads on CPU.
    pub threads: Option<usize>,
    /// Whether the spread is calibrated.
    pub calibrate: Option<bool>,
    /// Whether the input is perturbed.
    pub perturb_input: Option<bool>,
    /// The checkpoint.
    pub checkpoint: Option<PathBuf>,
}

impl Config {
    /// Reads the configuration file, applies the overrides, checks every value and makes the file's relative
    /// paths absolute: they are meant from the file's own folder.
    ///
    /// # Errors
    /// [`ConfigError`], naming file, key, value and remedy.
    pub fn load(path: &Path, overrides: &Overrides) -> Result<Self, ConfigError> {
        let text =
            fs::read_to_string(path).map_err(|source| ConfigError::File { path: path.to_owned(), source })?;
        Self::from_text(&text, path, overrides)
    }

    /// The same from a text that stands, or could stand, in the file `path`.
    ///
    /// # Errors
    /// [`ConfigError`], naming file, key, value and remedy.
    pub fn from_text(text: &str, path: &Path, overrides: &Overrides) -> Result<Self, ConfigError> {
        let mut config: Self = parse(text, path)?;
        config.resolve_paths(path);
        config.merge(overrides);
        config.validate(path)?;
        Ok(config)
    }

    /// The file `name` in `./config`, else in `/etc/nilas`, else in `share/nilas/config` beside the folder of the programs.
    ///
    /// # Errors
    /// [`ConfigError::NotFound`].
    pub fn find(name: &str) -> Result<PathBuf, ConfigError> {
        let here = Path::new("config");
        let here = std::path::absolute(here).unwrap_or_else(|_| here.to_owned());
        let mut folders = vec![here, PathBuf::from("/etc/nilas")];
        let installed = std::env::current_exe()
            .ok()
            .and_then(|own| Some(own.parent()?.parent()?.join("share/nilas/config")));
        folders.extend(installed);
        folders
            .iter()
            .map(|folder| folder.join(name))
            .find(|file| file.is_file())
            .ok_or(ConfigError::NotFound { name: name.to_owned(), folders })
    }

    /// Reads the grid file that the configuration names.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn grid_file(&self) -> Result<GridFile, ConfigError> {
        let text = fs::read_to_string(&self.grid).map_err(|source| ConfigError::Grid {
            path: self.grid.clone(),
            key: "`grid` in the configuration",
            source,
        })?;
        let mut grid: GridFile = parse(&text, &self.grid)?;
        grid.land_mask = beside(&self.grid, &grid.land_mask);
        grid.regions = grid.regions.map(|regions| beside(&self.grid, &regions));
        let refuse = |key: &str, value: String, remedy| {
            Err(ConfigError::Value { path: self.grid.clone(), key: key.to_owned(), value, remedy })
        };
        if grid.rows == 0 || grid.columns == 0 {
            return refuse(
                "rows, columns",
                format!("{}, {}", grid.rows, grid.columns),
                "a grid has at least one cell",
            );
        }
        if grid.cell_size_m.total_cmp(&CELL_SIZE_M).is_ne() {
            let remedy = "give 3000 (metres): networks are trained on such cells, and know no other";
            return refuse("cell_size_m", grid.cell_size_m.to_string(), remedy);
        }
        Ok(grid)
    }

    /// The kernel that remaps an input.
    #[must_use]
    pub fn kernel(&self, input: RemapInput) -> GaussianKernel {
        self.prepare.remap[&input]
    }

    /// SHA-256 over everything here that shapes a product on `grid`, hexadecimal: not where files lie, on how many threads or
    /// in which batches the network runs. The checkpoint has a sum of its own.
    ///
    /// # Errors
    /// [`ConfigError::Grid`] when the land mask, which is a part of it, cannot be read.
    pub fn hash(&self, grid: &GridFile) -> Result<String, ConfigError> {
        let mask = sys::sha256_of_file(&grid.land_mask).map_err(|source| ConfigError::Grid {
            path: grid.land_mask.clone(),
            key: "`land_mask` in the grid file",
            source,
        })?;
        let cells = (&grid.name, &grid.projection, grid.rows, grid.columns, grid.cell_size_m);
        let place = (grid.first_cell_centre_x_m, grid.first_cell_centre_y_m);
        let Ensemble { members, seed, perturb_input, consistency, .. } = self.ensemble;
        let (precision, calibrate) = (self.model.precision, self.model.calibrate);
        let oldest_days = (self.inputs.thickness.oldest_days, self.inputs.drift.oldest_days);
        let sampler = self.ensemble.sampler_choice();
        let drawing = (members, sampler, seed, precision, calibrate, perturb_input);
        // A configuration of before there was this key means what is the default: its products can still be made again.
        let consistency = match consistency {
            Consistency::Seen => "",
            Consistency::Means => "means",
        };
        let text = serde_json::to_string(&(
            cells,
            place,
            mask,
            oldest_days,
            &self.prepare,
            drawing,
            (self.publication.members, &self.publication.thinner_than_m),
            &self.publisher,
        ));
        Ok(sys::sha256(text.unwrap_or_default() + consistency))
    }

    fn resolve_paths(&mut self, file: &Path) {
        self.notify.resolve_paths(file);
        self.resolve_targets(file);
        for path in [
            &mut self.grid,
            &mut self.folders.products,
            &mut self.folders.state,
            &mut self.folders.cache,
            &mut self.model.checkpoint,
        ] {
            *path = beside(file, path);
        }
        for server in self.servers.values_mut() {
            if server.kind == ServerKind::Folder {
                server.address = beside(file, Path::new(&server.address)).to_string_lossy().into_owned();
            }
            if let Some(authorities) = &mut server.authorities {
                *authorities = beside(file, authorities);
            }
        }
    }

    fn resolve_targets(&mut self, file: &Path) {
        for target in self.targets.values_mut() {
            if let (TargetKind::Folder, Some(folder)) = (target.kind, &mut target.address) {
                *folder = beside(file, Path::new(folder)).to_string_lossy().into_owned();
            }
            if let Some(authorities) = &mut target.authorities {
                *authorities = beside(file, authorities);
            }
        }
    }

    fn merge(&mut self, overrides: &Overrides) {
        fn set<T: Clone>(target: &mut T, value: Option<&T>) {
            if let Some(value) = value {
                *target = value.clone();
            }
        }
        if let Some(folder) = &overrides.inputs {
            self.take_inputs_from(folder);
        }
        if let Some(products) = &overrides.products {
            // Products of another root are not those that the configured ledger knows.
            self.folders.state = products.join(".nilas");
            self.folders.products.clone_from(products);
        }
        set(&mut self.folders.state, overrides.state.as_ref());
        set(&mut self.folders.cache, overrides.cache.as_ref());
        set(&mut self.ensemble.members, overrides.members.as_ref());
        let Ensemble { sampler, steps, time_grid, lowest_noise_rate, .. } = &mut self.ensemble;
        *sampler = overrides.sampler.kind.or(*sampler);
        *steps = overrides.sampler.steps.or(*steps);
        *time_grid = overrides.sampler.time_grid.or(*time_grid);
        *lowest_noise_rate = overrides.sampler.lowest_noise_rate.or(*lowest_noise_rate);
        set(&mut self.ensemble.seed, overrides.seed.as_ref());
        set(&mut self.ensemble.batch, overrides.batch.as_ref());
        set(&mut self.model.device, overrides.device.as_ref());
        set(&mut self.model.precision, overrides.precision.as_ref());
        set(&mut self.model.threads, overrides.threads.as_ref());
        set(&mut self.model.calibrate, overrides.calibrate.as_ref());
        set(&mut self.ensemble.perturb_input, overrides.perturb_input.as_ref());
        if let Some(checkpoint) = &overrides.checkpoint {
            // Whoever names another file does not mean the sum of the configured one.
            self.model.checkpoint.clone_from(checkpoint);
            self.model.checkpoint_sha256 = None;
        }
    }

    /// One folder instead of all servers. A person chose what lies there, so reprocessed thickness is welcome, and first.
    fn take_inputs_from(&mut self, folder: &Path) {
        const NAME: &str = "inputs";
        let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
        let server = Server {
            kind: ServerKind::Folder,
            address: folder.to_string_lossy().into_owned(),
            connections: 1,
            credentials: None,
            authorities: None,
            region: None,
        };
        self.servers = BTreeMap::from([(NAME.to_owned(), server)]);
        for input in [&mut self.inputs.concentration, &mut self.inputs.thickness, &mut self.inputs.drift] {
            input.places = vec![Place { server: NAME.to_owned(), folder: String::new() }];
        }
        self.inputs.thickness.processing = vec![Processing::Reprocessed, Processing::Operational];
    }

    fn validate(&self, path: &Path) -> Result<(), ConfigError> {
        let refuse = |key: &str, value: String, remedy| {
            Err(ConfigError::Value { path: path.to_owned(), key: key.to_owned(), value, remedy })
        };
        if let Some(Wrong { key, value, remedy }) = validation::wrong(self) {
            return refuse(&key, value, remedy);
        }
        if self.ensemble.members < 2 {
            return refuse(
                "ensemble.members",
                self.ensemble.members.to_string(),
                "a spread needs at least 2 members; 30 is usual",
            );
        }
        if let Some(steps) = self.ensemble.steps
            && !(1..=SamplerChoice::MOST_STEPS).contains(&steps)
        {
            let remedy = "give at least 1 and at most 500, or leave the key out: the checkpoint knows how many it needs";
            return refuse("ensemble.steps", steps.to_string(), remedy);
        }
        if let Some(rate) = self.ensemble.lowest_noise_rate
            && !(0.0 < rate && rate < 1.0)
        {
            let remedy =
                "give a rate above 0 and below 1, or leave the key out: the checkpoint knows its own";
            return refuse("ensemble.lowest_noise_rate", rate.to_string(), remedy);
        }
        if !(self.prepare.fill_reach_km >= 0.0 && self.prepare.fill_reach_km.is_finite()) {
            return refuse(
                "prepare.fill_reach_km",
                self.prepare.fill_reach_km.to_string(),
                "give a length of 0 km or more; 150 is usual",
            );
        }
        for input in RemapInput::ALL {
            let Some(kernel) = self.prepare.remap.get(&input) else {
                return refuse(
                    "prepare.remap",
                    format!("{input:?} is missing"),
                    "give scale_km and radius_km for each input",
                );
            };
            let largest_km = LARGEST_REACH_CELLS * input.cell_km();
            if !(0.0 < kernel.scale_km
                && kernel.scale_km <= largest_km
                && 0.0 < kernel.radius_km
                && kernel.radius_km <= largest_km)
            {
                return refuse(
                    "prepare.remap",
                    format!("{input:?} {kernel:?}"),
                    "give lengths above 0 and of at most ten cells of the input",
                );
            }
            if kernel.radius_km > LARGEST_REACH_SCALES * kernel.scale_km {
                let remedy = "give a radius of at most eight scales: farther away weights vanish";
                return refuse("prepare.remap", format!("{input:?} {kernel:?}"), remedy);
            }
        }
        Ok(())
    }
}

fn parse<T: for<'de> Deserialize<'de>>(text: &str, path: &Path) -> Result<T, ConfigError> {
    toml::from_str(text).map_err(|error| {
        let before = &text[..error.span().map_or(0, |span| span.start)];
        let line = before.matches('\n').count() + 1;
        let content = text.lines().nth(line - 1).unwrap_or_default().trim();
        let reason = format!("{} in `{content}`", error.message().replace('\n', " "));
        ConfigError::Shape { path: path.to_owned(), line, reason }
    })
}

/// `path` seen from the folder of `file`, without `..`, so that messages can be read; absolute paths stay.
fn beside(file: &Path, path: &Path) -> PathBuf {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Only where no link is left in the folder's name does `..` mean the folder before it in the text.
    let mut resolved = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    for part in path.components() {
        match part {
            Component::ParentDir => {
                resolved.pop();
            }
            Component::CurDir => {}
            _ => resolved.push(part),
        }
    }
    resolved
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "config/nilas.toml";

    fn load(overrides: &Overrides) -> Result<Config, ConfigError> {
        Config::load(Path::new(FILE), overrides)
    }

    /// The shipped configuration with one line changed.
    fn changed(line: &str, to: &str) -> Result<Config, ConfigError> {
        let text = fs::read_to_string(FILE).unwrap();
        assert!(text.contains(line), "{line}");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("changed.toml");
        fs::write(&path, text.replace(line, to)).unwrap();
        Config::load(&path, &Overrides::default())
    }

    #[test]
    fn relative_paths_are_meant_from_the_file_and_absolute_ones_stay() {
        let config = load(&Overrides::default()).unwrap();
        let here = std::env::current_dir().unwrap().canonicalize().unwrap();
        assert_eq!(config.model.checkpoint, here.join("models/small.safetensors"));
        assert_eq!(config.grid, here.join("config/grids/arctic-3km.toml"));
        assert_eq!(config.folders.products, Path::new("/var/lib/nilas/products"));
    }

    #[test]
    fn the_command_line_wins_and_changes_the_hash() {
        let overrides = Overrides { members: Some(3), seed: Some(9), ..Overrides::default() };
        let (changed, plain) = (load(&overrides).unwrap(), load(&Overrides::default()).unwrap());
        let grid = plain.grid_file().unwrap();
        assert_eq!((changed.ensemble.members, changed.ensemble.seed), (3, 9));
        assert_eq!(changed.ensemble.steps, plain.ensemble.steps);
        assert_ne!(changed.hash(&grid).unwrap(), plain.hash(&grid).unwrap());
        let other_grid =
            Config::load(Path::new("config/demo.toml"), &Overrides::default()).unwrap().grid_file().unwrap();
        assert_ne!(plain.hash(&other_grid).unwrap(), plain.hash(&grid).unwrap());
    }

    #[test]
    fn where_and_how_it_runs_does_not_change_the_hash() {
        let elsewhere = Overrides {
            products: Some("/elsewhere".into()),
            checkpoint: Some("/elsewhere/small.safetensors".into()),
            threads: Some(1),
            batch: Some(2),
            ..Overrides::default()
        };
        let plain = load(&Overrides::default()).unwrap();
        let grid = plain.grid_file().unwrap();
        assert_eq!(load(&elsewhere).unwrap().hash(&grid).unwrap(), plain.hash(&grid).unwrap());
    }

    #[test]
    fn errors_name_the_file_the_key_the_value_and_the_remedy() {
        for (line, to, words) in [
            ("members = 30", "members = 1", ["ensemble.members", "= 1", "at least 2"]),
            ("#steps = 10", "steps = 0", ["ensemble.steps", "= 0", "at least 1"]),
            ("#steps = 10", "steps = 501", ["ensemble.steps", "= 501", "at most 500"]),
            (
                "#lowest_noise_rate = 0.02",
                "lowest_noise_rate = 1.0",
                ["ensemble.lowest_noise_rate", "= 1", "below 1"],
            ),
            (
                "thinner_than_m = [0.10,",
                "thinner_than_m = [0.40,",
                ["publication.thinner_than_m", "0.4", "rising"],
            ),
            (
                "fill_reach_km = 150.0",
                "fill_reach_km = -1.0",
                ["prepare.fill_reach_km", "-1", "0 km or more"],
            ),
            ("seed = 1", "seeed = 1", ["seeed", "unknown field", "line"]),
            ("#sampler = \"dpm-solver++\"", "sampler = \"dim\"", ["dim", "unknown variant", "ddim"]),
            ("radius_km = 20.0", "radius_km = 300.0", ["prepare.remap", "300", "ten cells"]),
            (
                "cache_megabytes = 20000",
                "cache_megabytes = 999",
                ["fetching.cache_megabytes", "= 999", "at least 1000"],
            ),
            ("scale_km = 30.0", "scale_km = 7.0", ["prepare.remap", "ThicknessV206", "eight scales"]),
            ("deformation = {", "drift = {", ["drift", "unknown variant", "deformation"]),
        ] {
            let message = changed(line, to).unwrap_err().to_string();
            for word in words.into_iter().chain(["changed.toml"]) {
                assert!(message.contains(word), "{word} is not in: {message}");
            }
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_told_with_what_names_it() {
        let gone = Path::new("gone.toml");
        let error = Config::load(gone, &Overrides::default()).unwrap_err().to_string();
        assert!(error.contains("gone.toml") && error.contains("--config"), "{error}");
        let mut config = load(&Overrides::default()).unwrap();
        let mut grid = config.grid_file().unwrap();
        grid.land_mask = "gone.png".into();
        let error = config.hash(&grid).unwrap_err().to_string();
        assert!(error.contains("gone.png") && error.contains("`land_mask` in the grid file"), "{error}");
        config.grid = gone.to_owned();
        let error = config.grid_file().unwrap_err().to_string();
        assert!(error.contains("gone.toml") && error.contains("`grid` in the configuration"), "{error}");
        assert!(!error.contains("--config"), "{error}");
    }

    #[test]
    fn a_grid_of_other_cells_than_networks_know_is_refused() {
        let text = fs::read_to_string("config/grids/demo.toml").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut config = load(&Overrides::default()).unwrap();
        config.grid = folder.path().join("grid.toml");
        for other in ["6000.0", "0.0", "-3000.0", "nan"] {
            let changed = text.replace("cell_size_m = 3000.0", &format!("cell_size_m = {other}"));
            fs::write(&config.grid, changed).unwrap();
            let error = config.grid_file().unwrap_err().to_string();
            assert!(error.contains("grid.toml: cell_size_m = ") && error.contains("give 3000"), "{error}");
        }
    }

    #[test]
    fn every_shipped_configuration_and_grid_is_valid() {
        for file in ["nilas.toml", "demo.toml"] {
            let config = Config::load(&Path::new("config").join(file), &Overrides::default()).unwrap();
            assert!(config.grid_file().unwrap().land_mask.is_file());
        }
    }
}
