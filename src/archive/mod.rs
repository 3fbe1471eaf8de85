//! Training archives: pairs of high- and low-resolution fields, a file a day.
//!
//! The layout is that of the SuperIce archive (`model/features/YYYYMMDD`, variables `sic`, `sit`, `divergence`, `shear` and their
//! low-resolution twins `*_reprocessed`), here in safetensors files, because networks are trained on machines that
//! have no NetCDF. `sit` is effective thickness. NaN is missing.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use ndarray::Array2;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

use crate::sys;
use crate::time::ProductDay;

const FOLDER: &str = "model/features";
const SUFFIX: &str = ".safetensors";

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
    #[error("archive file {path}: {reason}; write it again with `nilas synth`")]
    Layout {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
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
    fn to_metadata(&self) -> HashMap<String, String> {
        let entries = [
            ("origin", &self.origin),
            ("thickness_definition", &self.thickness_definition),
            ("degradation", &self.degradation),
        ];
        entries.into_iter().map(|(key, text)| (key.to_owned(), text.clone())).collect()
    }

    fn from_metadata(entries: &HashMap<String, String>) -> Result<Self, String> {
        let text = |key: &str| {
            entries.get(key).cloned().ok_or_else(|| format!("its metadata has no entry \"{key}\""))
        };
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
    fn variables(&self) -> [(&'static str, &Array2<f32>); 8] {
        [
            ("sic", &self.concentration),
            ("sit", &self.effective_thickness_m),
            ("divergence", &self.divergence_per_day),
            ("shear", &self.shear_per_day),
            ("sic_reprocessed", &self.low_concentration),
            ("sit_reprocessed", &self.low_effective_thickness_m),
            ("divergence_reprocessed", &self.low_divergence_per_day),
            ("shear_reprocessed", &self.low_shear_per_day),
        ]
    }
}

/// An archive on disk.
#[derive(Debug, Clone)]
pub struct Archive {
    days: Vec<(ProductDay, PathBuf)>,
}

impl Archive {
    /// Finds the days of the archive in `folder`, oldest first.
    ///
    /// # Errors
    /// [`ArchiveError::Empty`] when there is none.
    pub fn open(folder: &Path) -> Result<Self, ArchiveError> {
        let folder = folder.join(FOLDER);
        let entries =
            fs::read_dir(&folder).map_err(|source| ArchiveError::File { path: folder.clone(), source })?;
        let mut days: Vec<_> = entries
            .filter_map(|entry| {
                let path = entry.ok()?.path();
                let name = path.file_name()?.to_str()?.strip_suffix(SUFFIX)?;
                Some((ProductDay::from_compact(name).ok()?, path))
            })
            .collect();
        days.sort();
        if days.is_empty() { Err(ArchiveError::Empty { folder }) } else { Ok(Self { days }) }
    }

    /// The days, oldest first.
    #[must_use]
    pub fn days(&self) -> impl ExactSizeIterator<Item = ProductDay> {
        self.days.iter().map(|(day, _)| *day)
    }

    /// Reads day number `index`, with what it says of its data.
    ///
    /// # Errors
    /// [`ArchiveError`] when the file cannot be read or has another layout.
    ///
    /// # Panics
    /// Never for an index below the number of days.
    pub fn read(&self, index: usize) -> Result<(Sample, Provenance), ArchiveError> {
        let path = &self.days[index].1;
        let bytes = fs::read(path).map_err(|source| ArchiveError::File { path: path.clone(), source })?;
        parse(&bytes).map_err(|reason| ArchiveError::Layout { path: path.clone(), reason })
    }
}

/// Writes one day into the archive in `folder`.
///
/// # Errors
/// [`ArchiveError`] when the file cannot be written.
pub fn write(
    folder: &Path,
    day: ProductDay,
    sample: &Sample,
    provenance: &Provenance,
) -> Result<PathBuf, ArchiveError> {
    let path = folder.join(FOLDER).join(format!("{}{SUFFIX}", day.compact()));
    let buffers = sample.variables().map(|(name, values)| {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        (name, vec![values.nrows(), values.ncols()], bytes)
    });
    let views = buffers
        .iter()
        .map(|(name, shape, bytes)| Ok((*name, TensorView::new(Dtype::F32, shape.clone(), bytes)?)))
        .collect::<Result<Vec<_>, safetensors::SafeTensorError>>();
    let bytes = views
        .and_then(|views| safetensors::serialize(views, Some(provenance.to_metadata())))
        .map_err(|error| ArchiveError::Layout { path: path.clone(), reason: error.to_string() })?;
    sys::replace_file(&path, &bytes).map_err(|source| ArchiveError::File { path: path.clone(), source })?;
    Ok(path)
}

fn parse(bytes: &[u8]) -> Result<(Sample, Provenance), String> {
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|error| error.to_string())?;
    let provenance = Provenance::from_metadata(metadata.metadata().as_ref().unwrap_or(&HashMap::new()))?;
    let file = SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?;
    let shape = file.tensor("sit").map_err(|error| error.to_string())?.shape().to_vec();
    let field = |name: &str| {
        let view = file.tensor(name).map_err(|error| error.to_string())?;
        if view.dtype() != Dtype::F32 || view.shape() != shape || shape.len() != 2 {
            return Err(format!("{name} is {:?} {:?}, expected f32 {shape:?}", view.dtype(), view.shape()));
        }
        let values =
            view.data().chunks_exact(4).map(|word| f32::from_le_bytes([word[0], word[1], word[2], word[3]]));
        Array2::from_shape_vec((shape[0], shape[1]), values.collect()).map_err(|error| error.to_string())
    };
    let sample = Sample {
        concentration: field("sic")?,
        effective_thickness_m: field("sit")?,
        divergence_per_day: field("divergence")?,
        shear_per_day: field("shear")?,
        low_concentration: field("sic_reprocessed")?,
        low_effective_thickness_m: field("sit_reprocessed")?,
        low_divergence_per_day: field("divergence_reprocessed")?,
        low_shear_per_day: field("shear_reprocessed")?,
    };
    Ok((sample, provenance))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Sample {
        let field = |start: f32| Array2::from_shape_fn((2, 3), |(r, c)| start + (3 * r + c) as f32);
        Sample {
            concentration: field(0.0),
            effective_thickness_m: field(10.0),
            divergence_per_day: field(20.0),
            shear_per_day: field(30.0),
            low_concentration: field(40.0),
            low_effective_thickness_m: field(50.0),
            low_divergence_per_day: field(60.0),
            low_shear_per_day: field(70.0),
        }
    }

    fn provenance() -> Provenance {
        Provenance {
            origin: "numbers in a row".into(),
            thickness_definition: "effective".into(),
            degradation: "none".into(),
        }
    }

    #[test]
    fn a_day_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let days: Vec<ProductDay> = ["2001-01-02", "2001-01-01"].map(|day| day.parse().unwrap()).to_vec();
        for &day in &days {
            write(folder.path(), day, &sample(), &provenance()).unwrap();
        }
        let archive = Archive::open(folder.path()).unwrap();
        assert_eq!(archive.days().collect::<Vec<_>>(), [days[1], days[0]]);
        let (read, stated) = archive.read(0).unwrap();
        assert_eq!(stated, provenance());
        for ((name, written), (_, read)) in sample().variables().into_iter().zip(read.variables()) {
            assert_eq!(written, read, "{name}");
        }
    }

    #[test]
    fn a_folder_without_days_and_a_file_without_fields_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join(FOLDER)).unwrap();
        assert!(matches!(Archive::open(folder.path()), Err(ArchiveError::Empty { .. })));
        fs::write(folder.path().join(FOLDER).join("20010101.safetensors"), b"no tensors").unwrap();
        let error = Archive::open(folder.path()).unwrap().read(0).unwrap_err();
        assert!(matches!(error, ArchiveError::Layout { .. }), "{error}");
    }
}
