//! Publishing: the files of a day, all or nothing.
//!
//! A revision is written into a folder that nobody looks at, made durable, and moved to its place as a whole; then the
//! catalogs and `latest.json` are swapped. Whoever reads the product root sees whole revisions only.

mod animation;
mod attributes;
mod cf;
mod cog;
mod comparison;
mod features;
mod flags;
mod geography;
mod latest;
mod manifest;
mod maps;
mod names;
mod netcdf;
mod product;
mod quicklook;
mod read_back;
mod regional;
mod retention;
mod root;
mod scratch;
mod stac;
mod staging;
mod style;
#[cfg(test)]
mod synthetic;
#[cfg(test)]
mod tests;
mod viewer;
mod withdrawal;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use chrono::NaiveDateTime;
use serde::{Deserialize, Serialize};

use crate::grid::GridError;
use crate::plot::PlotError;
use crate::progress::Bar;
use crate::sys;
use crate::time::ProductDay;

use cog::Mapper;
use geography::Geography;
use root::Extent;
use staging::Staging;

pub use comparison::{Compared, ComparisonError, compare};
pub use features::write_features;
pub use latest::{Latest, Pointer, has_years, read_latest};
pub use manifest::{FileRecord, Manifest, ManifestError, read_manifest};
pub use names::{
    LATEST, MANIFEST, WITHDRAWN, cache_control, is_quicklook, private_folder, revision_folder, staging_folder,
};
pub use product::{Features, Figures, InputRecord, Lineage, Product, Status};
pub use read_back::{Fields, ReadBack, Violation, read_back};
pub use regional::RegionalFigures;
pub use retention::{Reason, Stored, remove, stored, stored_of, superfluous};
pub use root::{repair_root, root_files};
pub use scratch::ScratchFile;
pub use staging::highest_revision;
pub use viewer::has_viewer;
pub use withdrawal::{WithdrawalNote, read_withdrawal, withdraw, withdrawal_among_others};

/// Steps that [`publish`] tells the bar: the NetCDF file, the maps, the quicklook, the tables, the manifest, the animation, the
/// move.
pub const STEPS: usize = maps::COUNT + 6;

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
        "map {path}: {source}; see that there is memory, and that GDAL has its COG driver (3.1 or newer)"
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
    /// The revision is there, but the files in the product root do not name it.
    #[error(
        "revision {folder} is published and whole, but the catalogs and latest.json do not name it: {source}; the next publication does it"
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
    /// A value of a member cannot be stored.
    #[error(
        "member {member} has {thickness_m} m of ice in a cell, more than the files can hold (31.99 m); look at the inputs of the day and at the checkpoint"
    )]
    TooThick {
        /// Number of the member, from 0.
        member: usize,
        /// The thickness, m.
        thickness_m: f32,
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
    if let Err(error) = animation::refresh(root, product.animation_days) {
        tracing::warn!(%error, "the animation could not be made; the next publication tries again");
    }
    bar.step();
    viewer::refresh(root)
        .and_then(|()| root::refresh(root, Extent::YearOf(product.day)))
        .and_then(|()| latest::require(root, product.day, revision))
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
    let cell_flags = flags::of(product, &geography);
    let stem = names::stem(&product.grid.spec.name, product.day, revision);
    netcdf::write(&folder.join(format!("{stem}.nc")), product, revision, &geography, &cell_flags)?;
    bar.step();
    let mapper = Mapper::from(&product.grid.spec)?;
    maps::write(folder, product, revision, &cell_flags, &mapper, bar)?;
    let map_stem = names::stem(names::MAP_GRID, product.day, revision);
    quicklook::write(&folder.join(format!("{map_stem}.png")), product, revision, &figures)?;
    bar.step();
    let seas = write_regions(&folder.join(format!("{stem}_regions.csv")), product, &geography)?;
    bar.step();
    let files = manifest::records(folder)?;
    let item = folder.join(format!("{stem}.json"));
    stac::write(&item, product, revision, (&mapper.target, &geography.wkt2), (&files, &seas))?;
    let manifest = manifest::write(folder, product, revision, figures, (files, &item))?;
    bar.step();
    Ok(manifest)
}

/// Writes the table of the seas, where the grid has some, and gives what stands in it.
fn write_regions(
    path: &Path,
    product: &Product<'_>,
    geography: &Geography,
) -> Result<Vec<RegionalFigures>, PublishError> {
    let Some(regions) = product.regions else { return Ok(Vec::new()) };
    let seas = regional::figures(product, regions, geography)?;
    fs::write(path, regional::table(&seas))
        .map_err(|source| PublishError::File { path: path.to_owned(), source })?;
    Ok(seas)
}

/// Removes a file that need not be there.
fn remove_file(path: &Path) -> Result<(), PublishError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(PublishError::File { path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
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

/// A moment, UTC, as the NetCDF files count time.
fn seconds_since_1970(moment: NaiveDateTime) -> f64 {
    moment.and_utc().timestamp() as f64
}
