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
mod product;
mod quicklook;
mod read_back;
mod retention;
mod scratch;
mod staging;
#[cfg(test)]
mod synthetic;
#[cfg(test)]
mod tests;
mod withdrawal;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::grid::GridError;
use crate::plot::PlotError;
use crate::progress::Bar;
use crate::sys;
use crate::time::ProductDay;

use cog::{Caption, Mapper};
use geography::Geography;
use staging::Staging;

pub use features::write_features;
pub use latest::{Latest, Pointer, read_latest, repair_latest};
pub use manifest::{FileRecord, Manifest, ManifestError, read_manifest};
pub use product::{Features, Figures, InputRecord, Lineage, Product, Status};
pub use read_back::{Fields, ReadBack, Violation, read_back};
pub use retention::{Reason, Stored, remove, stored, stored_of, superfluous};
pub use scratch::ScratchFile;
pub use staging::highest_revision;
pub use withdrawal::{WithdrawalNote, read_withdrawal, withdraw};

/// Steps that [`publish`] tells the bar: the NetCDF file, five maps, the quicklook, the manifest, the move.
pub const STEPS: usize = 9;

/// What can go wrong when a product is published. Nothing of it is visible then (but see [`PublishError::NotLatest`]), and
/// what was published before stays.
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
    #[error("NetCDF file {path}: {reason}; see that its folder is writable and has space")]
    Netcdf {
        /// The file.
        path: PathBuf,
        /// What the library said, in words: this error also passes through programs that do not load it.
        reason: String,
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
    /// The revision is there, but `latest.json` does not name it.
    #[error(
        "revision {folder} is published and whole, but latest.json could not be swapped: {source}; the next publication does it"
    )]
    NotLatest {
        /// Folder of the revision.
        folder: PathBuf,
        /// What went wrong.
        source: Box<PublishError>,
    },
    /// The revision is there already, or a higher one.
    #[error(
        "revision {revision} of {day} cannot be published: {found} lies in the product root already; another run was quicker, so look at what it made"
    )]
    Taken {
        /// The day.
        day: ProductDay,
        /// The revision that was to be.
        revision: u32,
        /// The highest that is there.
        found: u32,
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

/// A revision that is there for everybody.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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

/// Publishes a product under `root` as this revision of its day, which must be above those that are there. `bar` goes [`STEPS`] steps.
///
/// Only one process publishes under a root at a time; others wait. The members go through memory one at a time.
///
/// # Errors
/// [`PublishError`]. Nothing of the revision is visible then, with the one exception of [`PublishError::NotLatest`].
pub fn publish(
    root: &Path,
    product: &Product<'_>,
    revision: u32,
    bar: &Bar,
) -> Result<Published, PublishError> {
    let _lock = staging::lock(root)?;
    staging::remove_leftovers(root)?;
    let (day, found) = (product.day, staging::highest_revision(root, product.day)?);
    if found >= revision {
        return Err(PublishError::Taken { day, revision, found });
    }
    let staging = Staging::begin(root, product.day, revision)?;
    let manifest = write_files(staging.folder(), product, revision, bar)?;
    sys::fail_point("publish.written");
    let folder = staging.commit()?;
    sys::fail_point("publish.visible");
    latest::refresh(root)
        .map_err(|source| PublishError::NotLatest { folder: folder.clone(), source: Box::new(source) })?;
    sys::fail_point("publish.done");
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

/// What a file of JSON says; `None` where it is not there.
fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<Option<T>, PublishError> {
    let failed = |source| PublishError::File { path: path.to_owned(), source };
    let text = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => read.map_err(failed)?,
    };
    serde_json::from_slice(&text).map(Some).map_err(|error| failed(error.into()))
}

/// Noon of a day as the NetCDF files count time.
fn seconds_since_1970(day: ProductDay) -> f64 {
    day.noon().and_utc().timestamp() as f64
}
