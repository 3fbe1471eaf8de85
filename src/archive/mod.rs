//! Training archives: pairs of high- and low-resolution fields, a file a day.
//!
//! The layout is that of the SuperIce archive (`model/features/YYYYMMDD`, variables `sic`, `sit`, `divergence`, `shear` and their
//! low-resolution twins `*_reprocessed`), in NetCDF or, because networks are trained on machines that have no NetCDF, in
//! safetensors. `sit` is effective thickness. NaN is missing.

mod netcdf;
mod observed;
mod safetensors;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::fs;
use std::path::{Path, PathBuf};

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::time::ProductDay;

pub use netcdf::NetCdf;
pub use observed::{Observed, ObservedArchive, write_observed};
pub use safetensors::Safetensors;

const FOLDER: &str = "model/features";
/// The only meaning of thickness that an archive may have.
const EFFECTIVE: &str = "effective";
/// Names of the eight fields of a day, in the order of [`Sample::fields`].
const FIELDS: [&str; 8] = [
    "sic",
    "sit",
    "divergence",
    "shear",
    "sic_reprocessed",
    "sit_reprocessed",
    "divergence_reprocessed",
    "shear_reprocessed",
];

/// What can go wrong with an archive.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// A file or folder could not be read or written.
    #[error("archive {path}: {source}; see that it exists and may be read and written")]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is not one of an archive.
    #[error(
        "archive file {path}: {reason}; write it again as it was made, by `nilas synth`, `nilas features --date D --archive DIR` or `nilas archive convert --from DIR --to DIR`"
    )]
    Layout {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Thickness means something else in a file.
    #[error(
        "archive file {path} has {found} thickness, but Nilas works with effective thickness (volume per cell area); make the archive with that, and state thickness_definition as effective"
    )]
    ThicknessDefinition {
        /// The file.
        path: PathBuf,
        /// The definition that it states.
        found: String,
    },
    /// A day lies on another grid than the first one of its archive.
    #[error(
        "day {day} has {found:?} cells (rows, columns), but the first day of the archive {first:?}; put the days of each grid into an archive of their own"
    )]
    OtherGrid {
        /// The day.
        day: ProductDay,
        /// Its rows and columns.
        found: (usize, usize),
        /// Those of the first day.
        first: (usize, usize),
    },
    /// The archive is in another format than the one that can be read here.
    #[error(
        "the days in {folder} are .{found} files, and this program reads .{wanted} only; write them anew with `nilas archive convert --from DIR --to DIR`"
    )]
    Format {
        /// The folder.
        folder: PathBuf,
        /// End of the names of the files that are there.
        found: &'static str,
        /// End of the names of the files that can be read.
        wanted: &'static str,
    },
    /// There is no day as satellites saw it.
    #[error(
        "no day in {folder}; write days with `nilas features --date D --archive DIR`, or name the folder that holds observations/features"
    )]
    NoObservation {
        /// The folder that was looked into.
        folder: PathBuf,
    },
    /// There is nothing in the archive.
    #[error(
        "no day in {folder}; make an archive with `nilas synth --out`, or name the folder that holds model/features"
    )]
    Empty {
        /// The folder that was looked into.
        folder: PathBuf,
    },
}

/// How the days of an archive are stored.
pub trait Format: Debug + Sync {
    /// How the names of the files end.
    fn suffix(&self) -> &'static str;

    /// Reads a day.
    ///
    /// # Errors
    /// [`ArchiveError`] when the file cannot be read or has another layout.
    fn read(&self, path: &Path) -> Result<Day, ArchiveError>;

    /// Writes a day through a temporary file, making the folder if need be.
    ///
    /// # Errors
    /// [`ArchiveError`] when the file cannot be written.
    fn write(&self, path: &Path, day: Entry<'_>) -> Result<(), ArchiveError>;
}

/// The suffixes of all formats.
const SUFFIXES: [&str; 2] = ["safetensors", "nc"];

/// A day as it lies in an archive.
#[derive(Debug, Clone)]
pub struct Day {
    /// The fields.
    pub sample: Sample,
    /// What the archive says of them.
    pub provenance: Provenance,
    /// Where the cells lie, if the archive says so.
    pub coordinates: Option<Coordinates>,
}

/// A day to be written.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// The fields.
    pub sample: &'a Sample,
    /// What is said of them.
    pub provenance: &'a Provenance,
    /// Where the cells lie.
    pub coordinates: Option<&'a Coordinates>,
}

/// Longitude and latitude of the cells, degrees, `[row, column]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Coordinates {
    /// Degrees east.
    pub longitude: Array2<f32>,
    /// Degrees north.
    pub latitude: Array2<f32>,
}

impl Day {
    /// The day as it is written.
    #[must_use]
    pub fn entry(&self) -> Entry<'_> {
        Entry { sample: &self.sample, provenance: &self.provenance, coordinates: self.coordinates.as_ref() }
    }
}

/// What an archive says of its data; every day of it carries this.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// Where the data come from, in one sentence; says so where they are synthetic.
    pub origin: String,
    /// What thickness means: `effective` (volume per cell area).
    pub thickness_definition: String,
    /// The observation operator that made the low-resolution fields.
    pub degradation: String,
}

impl Provenance {
    /// The entries that every file of the archive carries, by name.
    fn entries(&self) -> [(&'static str, &String); 3] {
        [
            ("origin", &self.origin),
            ("thickness_definition", &self.thickness_definition),
            ("degradation", &self.degradation),
        ]
    }

    /// What a file's entries say. A file without any is one of the SuperIce archive of neXtSIM, whose thickness is effective.
    fn from_entries(entries: &BTreeMap<String, String>) -> Result<Self, String> {
        let text =
            |key: &str| entries.get(key).cloned().ok_or_else(|| format!("it says nothing of its \"{key}\""));
        let names = ["origin", "thickness_definition", "degradation"];
        if names.iter().all(|name| !entries.contains_key(*name)) {
            return Ok(Self {
                origin:
                    "an archive in the SuperIce layout that says nothing of its origin, taken for neXtSIM"
                        .into(),
                thickness_definition: EFFECTIVE.into(),
                degradation: "not stated by the archive".into(),
            });
        }
        Ok(Self {
            origin: text("origin")?,
            thickness_definition: text("thickness_definition")?,
            degradation: text("degradation")?,
        })
    }
}

/// One day of an archive. All arrays have one shape, `[row, column]`, cells of 3 km, NaN where there is no value.
#[derive(Debug, Clone)]
pub struct Sample {
    /// High-resolution sea-ice concentration, fraction (`sic`).
    pub concentration: Array2<f32>,
    /// High-resolution effective thickness, m (`sit`): the truth.
    pub effective_thickness_m: Array2<f32>,
    /// High-resolution divergence, 1/day.
    pub divergence_per_day: Array2<f32>,
    /// High-resolution shear, 1/day.
    pub shear_per_day: Array2<f32>,
    /// Low-resolution concentration, fraction (`sic_reprocessed`).
    pub low_concentration: Array2<f32>,
    /// Low-resolution effective thickness, m (`sit_reprocessed`).
    pub low_effective_thickness_m: Array2<f32>,
    /// Low-resolution divergence, 1/day.
    pub low_divergence_per_day: Array2<f32>,
    /// Low-resolution shear, 1/day.
    pub low_shear_per_day: Array2<f32>,
}

impl Sample {
    /// Every field with the name that it has in files.
    fn fields(&self) -> [(&'static str, &Array2<f32>); 8] {
        let fields = [
            &self.concentration,
            &self.effective_thickness_m,
            &self.divergence_per_day,
            &self.shear_per_day,
            &self.low_concentration,
            &self.low_effective_thickness_m,
            &self.low_divergence_per_day,
            &self.low_shear_per_day,
        ];
        std::array::from_fn(|index| (FIELDS[index], fields[index]))
    }

    /// A sample of what `field` finds by name; all fields must have the shape of the truth.
    fn from_fields(field: impl Fn(&str) -> Result<Array2<f32>, String>) -> Result<Self, String> {
        let sample = Self {
            concentration: field("sic")?,
            effective_thickness_m: field("sit")?,
            divergence_per_day: field("divergence")?,
            shear_per_day: field("shear")?,
            low_concentration: field("sic_reprocessed")?,
            low_effective_thickness_m: field("sit_reprocessed")?,
            low_divergence_per_day: field("divergence_reprocessed")?,
            low_shear_per_day: field("shear_reprocessed")?,
        };
        sample.check_shapes()?;
        Ok(sample)
    }

    fn check_shapes(&self) -> Result<(), String> {
        let shape = self.effective_thickness_m.dim();
        match self.fields().into_iter().find(|(_, values)| values.dim() != shape) {
            Some((name, values)) => Err(format!("{name} has {:?} cells, but sit {shape:?}", values.dim())),
            None => Ok(()),
        }
    }
}

/// An archive on disk.
#[derive(Debug, Clone)]
pub struct Archive {
    days: Vec<(ProductDay, PathBuf)>,
    format: &'static dyn Format,
}

impl Archive {
    /// Finds the days of the safetensors archive in `folder`, oldest first.
    ///
    /// # Errors
    /// [`ArchiveError::Empty`] when there is none, [`ArchiveError::Format`] when they are in another format.
    pub fn open(folder: &Path) -> Result<Self, ArchiveError> {
        Self::open_as(folder, &Safetensors)
    }

    /// The same for any format.
    ///
    /// # Errors
    /// As for [`Archive::open`].
    pub fn open_as(folder: &Path, format: &'static dyn Format) -> Result<Self, ArchiveError> {
        let folder = folder.join(FOLDER);
        let entries =
            fs::read_dir(&folder).map_err(|source| ArchiveError::File { path: folder.clone(), source })?;
        let paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        let wanted = format.suffix();
        let days = days(&paths, wanted);
        if !days.is_empty() {
            return Ok(Self { days, format });
        }
        match SUFFIXES.into_iter().find(|&suffix| !self::days(&paths, suffix).is_empty()) {
            Some(found) => Err(ArchiveError::Format { folder, found, wanted }),
            None => Err(ArchiveError::Empty { folder }),
        }
    }

    /// The days, oldest first.
    #[must_use]
    pub fn days(&self) -> impl ExactSizeIterator<Item = ProductDay> {
        self.days.iter().map(|(day, _)| *day)
    }

    /// Reads day number `index`, with what it says of its data.
    ///
    /// # Errors
    /// [`ArchiveError`] when the file cannot be read, has another layout, or has thickness that is not effective.
    ///
    /// # Panics
    /// Never for an index below the number of days.
    pub fn read(&self, index: usize) -> Result<(Sample, Provenance), ArchiveError> {
        let day = self.read_day(index)?;
        Ok((day.sample, day.provenance))
    }

    /// The same with the coordinates.
    ///
    /// # Errors
    /// As for [`Archive::read`].
    ///
    /// # Panics
    /// Never for an index below the number of days.
    pub fn read_day(&self, index: usize) -> Result<Day, ArchiveError> {
        let path = &self.days[index].1;
        let day = self.format.read(path)?;
        let found = &day.provenance.thickness_definition;
        if found != EFFECTIVE {
            return Err(ArchiveError::ThicknessDefinition { path: path.clone(), found: found.clone() });
        }
        Ok(day)
    }
}

/// The files that are days of a format, oldest first.
fn days(paths: &[PathBuf], suffix: &str) -> Vec<(ProductDay, PathBuf)> {
    let day = |path: &PathBuf| {
        let name = path.file_name()?.to_str()?.strip_suffix(suffix)?.strip_suffix('.')?;
        Some((ProductDay::from_compact(name).ok()?, path.clone()))
    };
    let mut days: Vec<_> = paths.iter().filter_map(day).collect();
    days.sort();
    days
}

/// Writes one day into the safetensors archive in `folder`.
///
/// # Errors
/// [`ArchiveError`] when the file cannot be written.
pub fn write(folder: &Path, day: ProductDay, entry: Entry<'_>) -> Result<PathBuf, ArchiveError> {
    write_as(folder, &Safetensors, day, entry)
}

/// Writes one day into the archive in `folder`, in any format.
///
/// # Errors
/// [`ArchiveError`] when the file cannot be written.
pub fn write_as(
    folder: &Path,
    format: &dyn Format,
    day: ProductDay,
    entry: Entry<'_>,
) -> Result<PathBuf, ArchiveError> {
    let path = folder.join(FOLDER).join(format!("{}.{}", day.compact(), format.suffix()));
    if let Err(reason) = entry.sample.check_shapes() {
        return Err(ArchiveError::Layout { path, reason });
    }
    format.write(&path, entry)?;
    Ok(path)
}

#[cfg(test)]
mod tests;
