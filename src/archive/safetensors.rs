//! Days in safetensors files: f32 tensors `[row, column]`, NaN for missing; the provenance is the files' metadata.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use ndarray::Array2;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde_json::Value;

use super::{ArchiveError, Coordinates, Day, Entry, Format, Provenance, Sample};
use crate::sys;

/// The format that every program reads.
#[derive(Debug, Clone, Copy)]
pub struct Safetensors;

impl Format for Safetensors {
    fn suffix(&self) -> &'static str {
        "safetensors"
    }

    fn read(&self, path: &Path) -> Result<Day, ArchiveError> {
        let bytes = fs::read(path).map_err(|source| ArchiveError::File { path: path.to_owned(), source })?;
        parse(&bytes).map_err(|reason| ArchiveError::Layout { path: path.to_owned(), reason })
    }

    fn write(&self, path: &Path, day: Entry<'_>) -> Result<(), ArchiveError> {
        let coordinates = day.coordinates.into_iter();
        let coordinates =
            coordinates.flat_map(|at| [("longitude", &at.longitude), ("latitude", &at.latitude)]);
        let buffers: Vec<_> = day
            .sample
            .fields()
            .into_iter()
            .chain(coordinates)
            .map(|(name, values)| {
                let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
                (name, vec![values.nrows(), values.ncols()], bytes)
            })
            .collect();
        let views = buffers
            .iter()
            .map(|(name, shape, bytes)| Ok((*name, TensorView::new(Dtype::F32, shape.clone(), bytes)?)))
            .collect::<Result<Vec<_>, safetensors::SafeTensorError>>();
        let entries = day.provenance.entries().map(|(key, text)| (key.to_owned(), text.clone()));
        let bytes = views
            .and_then(|views| safetensors::serialize(views, Some(HashMap::from(entries))))
            .map_err(|error| error.to_string())
            .and_then(|bytes| with_sorted_header(&bytes))
            .map_err(|reason| ArchiveError::Layout { path: path.to_owned(), reason })?;
        sys::replace_file(path, &bytes).map_err(|source| ArchiveError::File { path: path.to_owned(), source })
    }
}

/// The same file with the entries of its header in the order of their names. The library writes them in an order of chance, and the
/// same day would be another file each time.
fn with_sorted_header(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let (length, rest) = bytes.split_first_chunk().ok_or("it has no header")?;
    let (header, data) =
        rest.split_at_checked(u64::from_le_bytes(*length) as usize).ok_or("its header is cut off")?;
    let entries: BTreeMap<String, BTreeMap<String, Value>> =
        serde_json::from_slice(header).map_err(|error| error.to_string())?;
    let mut header = serde_json::to_vec(&entries).map_err(|error| error.to_string())?;
    header.resize(header.len().next_multiple_of(8), b' ');
    Ok([&(header.len() as u64).to_le_bytes(), header.as_slice(), data].concat())
}

fn parse(bytes: &[u8]) -> Result<Day, String> {
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|error| error.to_string())?;
    let entries = metadata.metadata().clone().unwrap_or_default().into_iter().collect();
    let provenance = Provenance::from_entries(&entries)?;
    let file = SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?;
    let field = |name: &str| field(&file, name);
    let has = |name: &str| file.names().into_iter().any(|known| known == name);
    let coordinates = (has("longitude") && has("latitude"))
        .then(|| {
            Ok::<_, String>(Coordinates { longitude: field("longitude")?, latitude: field("latitude")? })
        })
        .transpose()?;
    Ok(Day { sample: Sample::from_fields(field)?, provenance, coordinates })
}

/// A field of a file, `[row, column]`.
pub(super) fn field(file: &SafeTensors<'_>, name: &str) -> Result<Array2<f32>, String> {
    let view = file.tensor(name).map_err(|error| error.to_string())?;
    let &[rows, columns] = view.shape() else {
        return Err(format!("{name} has the shape {:?}, expected rows and columns", view.shape()));
    };
    if view.dtype() != Dtype::F32 {
        return Err(format!("{name} is {:?}, expected f32", view.dtype()));
    }
    let values =
        view.data().chunks_exact(4).map(|word| f32::from_le_bytes([word[0], word[1], word[2], word[3]]));
    Array2::from_shape_vec((rows, columns), values.collect()).map_err(|error| error.to_string())
}
