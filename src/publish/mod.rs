//! Publishing: the files of a day, all or nothing.
//!
//! A revision is written into a folder that nobody looks at, made durable, and moved to its place as a whole; then `latest.json`
//! is swapped. Whoever reads the product root sees whole revisions only.

mod attributes;
mod cf;
mod cog;
mod features;
mod geography;
mod latest;
mod manifest;
mod names;
mod netcdf;
mod quicklook;
mod read_back;
mod scratch;
mod staging;
#[cfg(test)]
mod synthetic;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use ndarray::{Array2, Zip};
use serde::{Deserialize, Serialize};

use crate::config::Publisher;
use crate::ensemble::{MemberStore, Quantiles, Statistics};
use crate::grid::{Grid, GridError};
use crate::plot::PlotError;
use crate::prepare::Prepared;
use crate::progress::{Bar, StageTiming};
use crate::time::{ProductDay, Window};

use cog::{Caption, Mapper};
use geography::Geography;
use staging::Staging;

pub use features::{Features, write_features};
pub use latest::{Latest, Pointer};
pub use manifest::{FileRecord, Manifest, ManifestError, read_manifest};
pub use read_back::{Fields, ReadBack, Violation, read_back};
pub use scratch::ScratchFile;

/// Steps that [`publish`] tells the bar: the NetCDF file, five maps, the quicklook, the manifest, the move.
pub const STEPS: usize = 9;

/// What can go wrong when a product is published. Nothing is visible then, and what was published before stays.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// A file or folder cannot be read or written.
    #[error("{path}: {source}; see that the product root exists, is writable and has space")]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A NetCDF file cannot be written.
    #[error("NetCDF file {path}: {source}; see that its folder is writable and has space")]
    Netcdf {
        /// The file.
        path: PathBuf,
        /// What the library said.
        source: ::netcdf::Error,
    },
    /// A map cannot be written.
    #[error(
        "map {path}: {source}; see that its folder is writable and has space, and that GDAL has its COG driver (3.1 or newer)"
    )]
    Gdal {
        /// The file.
        path: PathBuf,
        /// What the library said.
        source: gdal::errors::GdalError,
    },
    /// The quicklook cannot be drawn or written.
    #[error(transparent)]
    Plot(#[from] PlotError),
    /// The grid's projection cannot be described.
    #[error(
        "GDAL does not understand the projection \"{text}\" ({source}); give the grid a PROJ string that it knows"
    )]
    Projection {
        /// The PROJ string.
        text: String,
        /// What the library said.
        source: gdal::errors::GdalError,
    },
    /// The grid cannot be worked with.
    #[error(transparent)]
    Grid(#[from] GridError),
    /// A member cannot be read back from where it was kept.
    #[error(
        "member {member} cannot be read back ({source}); see that the cache folder is whole and run the day again"
    )]
    Member {
        /// Number of the member, from 0.
        member: usize,
        /// What the store said.
        source: std::io::Error,
    },
    /// A quantile that is published was not computed.
    #[error(
        "the product has no quantile for the probability {probability}; compute those of 0.1, 0.5 and 0.9"
    )]
    Quantile {
        /// The probability.
        probability: f64,
    },
}

/// How settled a product is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Made with older inputs than the final product will have; their ages are in the product.
    Provisional,
    /// Made with the inputs that belong to its day.
    Final,
}

/// One input file of a product.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InputRecord {
    /// What it gives: `concentration`, `thickness` or `drift`.
    pub role: String,
    /// The file's name at its provider.
    pub name: String,
    /// The product's identity as the file states it, such as `OSI-408-a`.
    pub product: String,
    /// SHA-256 of the file, hexadecimal.
    pub sha256: String,
    /// What stretch of time it observes.
    pub window: Window,
    /// Days from the centre of that window to noon of the product's day.
    pub age_days: f64,
}

/// Where a product comes from: with it, anyone can make the product again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lineage {
    /// The input files.
    pub inputs: Vec<InputRecord>,
    /// The checkpoint's name.
    pub checkpoint: String,
    /// SHA-256 of the checkpoint file, hexadecimal.
    pub checkpoint_sha256: String,
    /// What the checkpoint says of its training data, in one sentence.
    pub training_data: String,
    /// The sampler.
    pub sampler: String,
    /// Network calls per member.
    pub steps: usize,
    /// Seed of the members' noise.
    pub seed: u64,
    /// The device that the network ran on.
    pub device: String,
    /// Number format of the network.
    pub precision: String,
    /// Hash of the configuration.
    pub config_hash: String,
    /// Version of Nilas.
    pub code_version: String,
}

/// Everything that is published for a day.
pub struct Product<'a> {
    /// The day.
    pub day: ProductDay,
    /// How settled it is.
    pub status: Status,
    /// When it was made.
    pub created: DateTime<Utc>,
    /// The grid.
    pub grid: &'a Grid,
    /// The network's inputs.
    pub prepared: &'a Prepared,
    /// Mean and spread.
    pub statistics: &'a Statistics,
    /// Quantiles.
    pub quantiles: &'a Quantiles,
    /// The members.
    pub members: &'a dyn MemberStore,
    /// Where it comes from.
    pub lineage: &'a Lineage,
    /// Who publishes.
    pub publisher: &'a Publisher,
    /// How long the stages before publishing took.
    pub timings: &'a [StageTiming],
}

impl<'a> Product<'a> {
    /// The quantile of a probability.
    fn quantile(&self, probability: f64) -> Result<&'a Array2<f32>, PublishError> {
        let quantiles = self.quantiles;
        let known = quantiles.probabilities.iter().zip(&quantiles.values_m);
        known
            .filter(|(known, _)| (**known - probability).abs() < 1e-9)
            .map(|(_, values)| values)
            .next()
            .ok_or(PublishError::Quantile { probability })
    }
}

/// A product in a few numbers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Cells inside the ice mask.
    pub ice_cells: usize,
    /// True area of the ice inside the mask: cell area times concentration, km2.
    pub ice_area_km2: f64,
    /// Volume of the ice inside the mask, km3.
    pub ice_volume_km3: f64,
    /// Mean over the mask of the effective thickness, weighted by the cells' area, m.
    pub mean_thickness_m: f64,
    /// Mean over the mask of the spread, weighted by the cells' area, m.
    pub mean_spread_m: f64,
}

impl Figures {
    fn of(product: &Product<'_>, geography: &Geography) -> Self {
        let prepared = product.prepared;
        let (mut cells, mut area, mut ice_area, mut volume, mut spread) = (0, 0.0, 0.0, 0.0, 0.0);
        Zip::from(&prepared.mask)
            .and(&geography.cell_area_m2)
            .and(&prepared.concentration)
            .and(&product.statistics.mean_m)
            .and(&product.statistics.spread_m)
            .for_each(|&ice, &cell_m2, &concentration, &mean_m, &spread_m| {
                if ice {
                    let cell_km2 = f64::from(cell_m2) / 1e6;
                    cells += 1;
                    area += cell_km2;
                    ice_area += cell_km2 * f64::from(concentration);
                    volume += cell_km2 * f64::from(mean_m) / 1e3;
                    spread += cell_km2 * f64::from(spread_m);
                }
            });
        let over_mask = |sum: f64| if area > 0.0 { sum / area } else { 0.0 };
        Self {
            ice_cells: cells,
            ice_area_km2: ice_area,
            ice_volume_km3: volume,
            mean_thickness_m: over_mask(volume * 1e3),
            mean_spread_m: over_mask(spread),
        }
    }
}

/// A revision that is there for everybody.
#[derive(Debug, Clone, PartialEq)]
pub struct Published {
    /// Its folder.
    pub folder: PathBuf,
    /// Its number, from 1.
    pub revision: u32,
    /// Its files, the manifest left out.
    pub files: Vec<FileRecord>,
    /// The product in a few numbers.
    pub figures: Figures,
}

/// Publishes a product under `root` as the day's next revision. `bar` goes [`STEPS`] steps.
///
/// Only one process publishes under a root at a time; others wait. The members go through memory one at a time.
///
/// # Errors
/// [`PublishError`]. Nothing of the revision is visible then, unless it was already moved to its place and only
/// `latest.json` could not be swapped: the next publishing swaps it.
pub fn publish(root: &Path, product: &Product<'_>, bar: &Bar) -> Result<Published, PublishError> {
    let _lock = staging::lock(root)?;
    staging::remove_leftovers(root)?;
    let revision = staging::next_revision(root, product.day)?;
    let staging = Staging::begin(root, product.day, revision)?;
    let manifest = write_files(staging.folder(), product, revision, bar)?;
    let folder = staging.commit()?;
    latest::refresh(root)?;
    bar.step();
    Ok(Published { folder, revision, files: manifest.files, figures: manifest.figures })
}

fn write_files(
    folder: &Path,
    product: &Product<'_>,
    revision: u32,
    bar: &Bar,
) -> Result<Manifest, PublishError> {
    let geography = Geography::of(&product.grid.spec)?;
    let figures = Figures::of(product, &geography);
    let stem = names::stem(&product.grid.spec.name, product.day, revision);
    netcdf::write(&folder.join(format!("{stem}.nc")), product, revision, &geography)?;
    bar.step();
    write_maps(folder, product, revision, bar)?;
    quicklook::write(&folder.join(format!("{stem}.png")), product, revision, &figures)?;
    bar.step();
    let manifest = manifest::write(folder, product, revision, figures)?;
    bar.step();
    Ok(manifest)
}

fn write_maps(folder: &Path, product: &Product<'_>, revision: u32, bar: &Bar) -> Result<(), PublishError> {
    let mapper = Mapper::from(&product.grid.spec)?;
    let stem = names::stem(names::MAP_GRID, product.day, revision);
    let software = format!("nilas {}", product.lineage.code_version);
    let maps = [
        ("mean", "mean of the members", &product.statistics.mean_m),
        ("spread", "standard deviation between the members", &product.statistics.spread_m),
        ("p10", "10th percentile of the members", product.quantile(0.1)?),
        ("p50", "median of the members", product.quantile(0.5)?),
        ("p90", "90th percentile of the members", product.quantile(0.9)?),
    ];
    for (name, what, values) in maps {
        let description = format!("effective sea-ice thickness (ice volume per cell area), {what}");
        let status = attributes::status_words(product.status);
        let caption = Caption {
            description: &description,
            title: &format!("{description}, {} {} ({status})", product.day, names::revision_name(revision)),
            created: product.created,
            software: &software,
            license: &product.publisher.license,
        };
        mapper.write(&folder.join(format!("{stem}_{name}.tif")), values, &caption)?;
        bar.step();
    }
    Ok(())
}

/// Noon of a day as the NetCDF files count time.
fn seconds_since_1970(day: ProductDay) -> f64 {
    day.noon().and_utc().timestamp() as f64
}
