//! A published revision is made again from what its manifest says, and compared with what was published.

use std::path::{Path, PathBuf};

use crate::config::{Config, ConfigError, DeviceChoice};
use crate::fetch;
use crate::progress::Stages;
use crate::publish::{self, Compared, ComparisonError, InputRecord, Lineage, Manifest, ManifestError};
use crate::source::{InspectionProgram, Role};
use crate::sys;

use super::{AcceptedFile, Gathered, Order, ProduceError, produce};

/// A revision that was made again.
#[derive(Debug, Clone, PartialEq)]
pub struct Reproduced {
    /// What the manifest says of the published one.
    pub manifest: Manifest,
    /// Where the network ran now.
    pub device: String,
    /// Every variable of the NetCDF file.
    pub variables: Vec<Compared>,
}

/// A revision cannot be made again.
#[derive(Debug, thiserror::Error)]
pub enum ReproduceError {
    /// There is no manifest to go by.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The manifest does not say which file gave one of the inputs, or names no NetCDF file.
    #[error("the manifest of {folder} lacks {what}; take the folder again from where it was published")]
    Lacks {
        /// The folder of the revision.
        folder: PathBuf,
        /// What is not there.
        what: String,
    },
    /// An input is not here any more.
    #[error(
        "the input {name} with the SHA-256 {sha256} is not here; put it into a folder under this name and name the folder with --inputs"
    )]
    Input {
        /// The file's name.
        name: String,
        /// The sum of the bytes that are wanted.
        sha256: String,
    },
    /// The configuration makes other products than that of the manifest.
    #[error(
        "the configuration is not the one that {folder} was made with (hash {found}, and {expected} in the manifest); name that one with --config: \
         grid, [prepare], [ensemble], [model], [publication], [publisher] and oldest_days count"
    )]
    OtherConfiguration {
        /// The folder of the revision.
        folder: PathBuf,
        /// The hash in the manifest.
        expected: String,
        /// The hash of the configuration.
        found: String,
    },
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The day cannot be made.
    #[error(transparent)]
    Produce(#[from] ProduceError),
    /// There is no place for it.
    #[error(
        "no folder can be made in {folder} ({source}); see that it may be written, or name another with folders.cache or --cache"
    )]
    Place {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// What was made cannot be compared with what was published.
    #[error(transparent)]
    Comparison(#[from] ComparisonError),
}

/// Makes the revision in `folder` again, in a folder of its own that goes afterwards, and compares every value of its NetCDF file. Inputs
/// are taken from the cache of fetched files, or from `inputs`.
///
/// # Errors
/// [`ReproduceError`]. Values that differ are none.
pub fn reproduce(
    folder: &Path,
    config: &Config,
    inputs: Option<&Path>,
    inspector: &InspectionProgram,
    stages: &mut Stages<'_>,
) -> Result<Reproduced, ReproduceError> {
    let manifest = publish::read_manifest(folder)?;
    let lacks = |what: &str| ReproduceError::Lacks { folder: folder.to_owned(), what: what.to_owned() };
    let is_netcdf = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "nc");
    let mut files = manifest.files.iter().map(|file| folder.join(&file.name));
    let published = files.find(is_netcdf).ok_or_else(|| lacks("a NetCDF file"))?;
    let gathered = gathered(&manifest, folder, config, inputs)?;
    let mut config = configured_as(&manifest, folder, config)?;
    let cache = config.folders.cache.clone();
    let place = |source| ReproduceError::Place { folder: cache.clone(), source };
    std::fs::create_dir_all(&cache).map_err(place)?;
    let root = tempfile::Builder::new().prefix(sys::TEMPORARY).tempdir_in(&cache).map_err(place)?;
    root.path().clone_into(&mut config.folders.products);
    let order = Order { config, gathered, revision: manifest.revision, run: 0, degradation: None };
    let made = produce(&order, inspector, stages)?;
    let again = made.published.folder.join(published.file_name().unwrap_or_default());
    Ok(Reproduced { variables: publish::compare(&published, &again)?, device: made.device, manifest })
}

/// The inputs that the manifest names, found by their content.
fn gathered(
    manifest: &Manifest,
    folder: &Path,
    config: &Config,
    inputs: Option<&Path>,
) -> Result<Gathered, ReproduceError> {
    let accepted = |role: Role| {
        let record = manifest.lineage.inputs.iter().find(|input| input.role == role.name());
        let lacks = || ReproduceError::Lacks { folder: folder.to_owned(), what: format!("its {role}") };
        find(record.ok_or_else(lacks)?, config, inputs)
    };
    Ok(Gathered {
        day: manifest.day,
        concentration: accepted(Role::Concentration)?,
        thickness: accepted(Role::Thickness)?,
        drift: accepted(Role::Drift)?,
        declared_gaps: declared_gaps(&manifest.lineage),
    })
}

fn find(
    record: &InputRecord,
    config: &Config,
    inputs: Option<&Path>,
) -> Result<AcceptedFile, ReproduceError> {
    let InputRecord { name, sha256, .. } = record;
    let kept = fetch::kept_file(&config.folders.cache, sha256, name);
    let places = [Some(kept), inputs.map(|folder| folder.join(name))];
    let is_it = |path: &PathBuf| fetch::sha256(path).is_ok_and(|found| found == *sha256);
    match places.into_iter().flatten().find(is_it) {
        Some(path) => Ok(AcceptedFile { path, sha256: sha256.clone() }),
        None => Err(ReproduceError::Input { name: name.clone(), sha256: sha256.clone() }),
    }
}

fn declared_gaps(lineage: &Lineage) -> Vec<Role> {
    let is_one = |role: &Role| lineage.declared_gaps.iter().any(|name| name == role.name());
    Role::ALL.into_iter().filter(is_one).collect()
}

/// The configuration that the revision was made with. Members, seed and sampler may have come from the command line then.
fn configured_as(manifest: &Manifest, folder: &Path, config: &Config) -> Result<Config, ReproduceError> {
    let lineage = &manifest.lineage;
    let mut config = config.clone();
    config.model.checkpoint_sha256 = Some(lineage.checkpoint_sha256.clone());
    if lineage.device == "cpu" {
        config.model.device = DeviceChoice::Cpu;
    }
    let grid = config.grid_file()?;
    let found = config.hash(&grid)?;
    config.ensemble.members = manifest.members;
    config.ensemble.seed = lineage.seed;
    config.ensemble.consistency = lineage.consistency;
    let as_shipped = config.clone();
    config.ensemble.steps = Some(lineage.steps);
    let with_steps = config.clone();
    config.ensemble.sampler = Some(lineage.sampler);
    for candidate in [as_shipped, with_steps, config] {
        if candidate.hash(&grid)? == lineage.config_hash {
            return Ok(candidate);
        }
    }
    Err(ReproduceError::OtherConfiguration {
        folder: folder.to_owned(),
        expected: lineage.config_hash.clone(),
        found,
    })
}
