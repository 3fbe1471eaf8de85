//! Days as satellites saw them, without a truth: `observations/features/YYYYMMDD.safetensors`, as `nilas features --archive` writes them.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use ::safetensors::tensor::{Dtype, SafeTensors, TensorView};
use ndarray::Array2;

use super::safetensors::field;
use super::{ArchiveError, days};
use crate::sys;
use crate::time::ProductDay;

const FOLDER: &str = "observations/features";
const SUFFIX: &str = "safetensors";
const ORIGIN: &str = "origin";
/// Bit of `filled` where the deformation was filled from its neighbourhood.
const DRIFT: u8 = 1;
/// Bit of `filled` where the thickness was.
const THICKNESS: u8 = 2;

/// The network's inputs of a day on the 3 km grid, `[row, column]`, NaN where there is none.
#[derive(Debug, Clone)]
pub struct Observed {
    /// Concentration, fraction (`sic_reprocessed`).
    pub concentration: Array2<f32>,
    /// Effective thickness, m (`sit_reprocessed`).
    pub effective_thickness_m: Array2<f32>,
    /// Divergence, 1/day (`divergence_reprocessed`).
    pub divergence_per_day: Array2<f32>,
    /// Shear, 1/day (`shear_reprocessed`).
    pub shear_per_day: Array2<f32>,
    /// Where the deformation was filled from its neighbourhood (`filled`, 1).
    pub filled_drift: Array2<bool>,
    /// Where the thickness was filled from its neighbourhood (`filled`, 2).
    pub filled_thickness: Array2<bool>,
    /// Where the day comes from, in one sentence.
    pub origin: String,
}

/// Days without a truth on disk.
#[derive(Debug, Clone)]
pub struct ObservedArchive(Vec<(ProductDay, PathBuf)>);

impl ObservedArchive {
    /// Finds the days in `folder`, oldest first.
    ///
    /// # Errors
    /// [`ArchiveError::NoObservation`] when there is none.
    pub fn open(folder: &Path) -> Result<Self, ArchiveError> {
        let folder = folder.join(FOLDER);
        let entries =
            fs::read_dir(&folder).map_err(|source| ArchiveError::File { path: folder.clone(), source })?;
        let paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        let days = days(&paths, SUFFIX);
        if days.is_empty() { Err(ArchiveError::NoObservation { folder }) } else { Ok(Self(days)) }
    }

    /// The days, oldest first.
    #[must_use]
    pub fn days(&self) -> impl ExactSizeIterator<Item = ProductDay> {
        self.0.iter().map(|(day, _)| *day)
    }

    /// Reads day number `index`.
    ///
    /// # Errors
    /// [`ArchiveError`] when the file cannot be read or has another layout.
    ///
    /// # Panics
    /// Never for an index below the number of days.
    pub fn read(&self, index: usize) -> Result<Observed, ArchiveError> {
        let path = &self.0[index].1;
        let bytes = fs::read(path).map_err(|source| ArchiveError::File { path: path.clone(), source })?;
        parse(&bytes).map_err(|reason| ArchiveError::Layout { path: path.clone(), reason })
    }
}

/// Writes one day without a truth into the archive in `folder`.
///
/// # Errors
/// [`ArchiveError`] when the file cannot be written.
pub fn write_observed(folder: &Path, day: ProductDay, observed: &Observed) -> Result<PathBuf, ArchiveError> {
    let path = folder.join(FOLDER).join(format!("{}.{SUFFIX}", day.compact()));
    let fields = [
        ("sic_reprocessed", &observed.concentration),
        ("sit_reprocessed", &observed.effective_thickness_m),
        ("divergence_reprocessed", &observed.divergence_per_day),
        ("shear_reprocessed", &observed.shear_per_day),
    ];
    let shape = |(rows, columns): (usize, usize)| vec![rows, columns];
    let mut buffers: Vec<(&str, Dtype, Vec<usize>, Vec<u8>)> = fields
        .into_iter()
        .map(|(name, values)| {
            let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            (name, Dtype::F32, shape(values.dim()), bytes)
        })
        .collect();
    let filled = observed.filled_drift.iter().zip(&observed.filled_thickness);
    let filled =
        filled.map(|(&drift, &thickness)| (DRIFT * u8::from(drift)) | (THICKNESS * u8::from(thickness)));
    buffers.push(("filled", Dtype::U8, shape(observed.filled_drift.dim()), filled.collect()));
    let views = buffers
        .iter()
        .map(|(name, dtype, shape, bytes)| Ok((*name, TensorView::new(*dtype, shape.clone(), bytes)?)))
        .collect::<Result<Vec<_>, ::safetensors::SafeTensorError>>();
    let metadata = HashMap::from([(ORIGIN.to_owned(), observed.origin.clone())]);
    let bytes = views
        .and_then(|views| ::safetensors::serialize(views, Some(metadata)))
        .map_err(|error| ArchiveError::Layout { path: path.clone(), reason: error.to_string() })?;
    sys::replace_file(&path, &bytes).map_err(|source| ArchiveError::File { path: path.clone(), source })?;
    Ok(path)
}

fn parse(bytes: &[u8]) -> Result<Observed, String> {
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|error| error.to_string())?;
    let origin = metadata.metadata().as_ref().and_then(|entries| entries.get(ORIGIN)).cloned();
    let file = SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?;
    let concentration = field(&file, "sic_reprocessed")?;
    let view = file.tensor("filled").map_err(|error| error.to_string())?;
    let bits = (view.dtype() == Dtype::U8).then(|| view.data().to_vec());
    let bits = bits.and_then(|bits| Array2::from_shape_vec(concentration.dim(), bits).ok());
    let bits = bits.ok_or("filled is not u8 of the shape of sic_reprocessed")?;
    let like = |name: &str| {
        let values = field(&file, name)?;
        let fits = values.dim() == concentration.dim();
        fits.then_some(values).ok_or_else(|| format!("{name} has another shape than sic_reprocessed"))
    };
    Ok(Observed {
        effective_thickness_m: like("sit_reprocessed")?,
        divergence_per_day: like("divergence_reprocessed")?,
        shear_per_day: like("shear_reprocessed")?,
        filled_drift: bits.mapv(|bits| bits & DRIFT != 0),
        filled_thickness: bits.mapv(|bits| bits & THICKNESS != 0),
        origin: origin.unwrap_or_else(|| "not stated".into()),
        concentration,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let values = |first: f32| Array2::from_shape_fn((2, 3), |(r, c)| first + (3 * r + c) as f32);
        let mut written = Observed {
            concentration: values(0.0),
            effective_thickness_m: values(10.0),
            divergence_per_day: values(20.0),
            shear_per_day: values(30.0),
            filled_drift: Array2::from_shape_fn((2, 3), |(r, _)| r == 0),
            filled_thickness: Array2::from_shape_fn((2, 3), |(_, c)| c == 0),
            origin: "numbers in a row".into(),
        };
        written.concentration[[1, 1]] = f32::NAN;
        let day: ProductDay = "2026-03-01".parse().unwrap();
        write_observed(folder.path(), day, &written).unwrap();
        let archive = ObservedArchive::open(folder.path()).unwrap();
        assert_eq!(archive.days().collect::<Vec<_>>(), [day]);
        let read = archive.read(0).unwrap();
        assert_eq!(read.concentration.mapv(f32::to_bits), written.concentration.mapv(f32::to_bits));
        assert_eq!(read.shear_per_day, written.shear_per_day);
        assert_eq!(read.filled_drift, written.filled_drift);
        assert_eq!(read.filled_thickness, written.filled_thickness);
        assert_eq!(read.origin, written.origin);
    }

    #[test]
    fn a_folder_without_days_and_a_file_without_fields_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join(FOLDER)).unwrap();
        let none = ObservedArchive::open(folder.path()).unwrap_err();
        assert!(matches!(none, ArchiveError::NoObservation { .. }));
        fs::write(folder.path().join(FOLDER).join("20260301.safetensors"), b"no tensors").unwrap();
        let error = ObservedArchive::open(folder.path()).unwrap().read(0).unwrap_err();
        assert!(matches!(error, ArchiveError::Layout { .. }), "{error}");
    }
}
