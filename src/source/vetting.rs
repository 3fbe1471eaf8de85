//! Looks at a file's bytes before the NetCDF library does: what came instead of NetCDF, and classic NetCDF that ends too early.
//!
//! HDF5 notices a missing end by itself. The classic format does not: what lies beyond the end is read as zeros, which are
//! valid values. So the length that its header announces is compared with the file's.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::source::SourceError;

/// Headers of the products are a few kB.
const LONGEST_HEADER: u64 = 1 << 20;

/// Refuses what cannot be whole NetCDF.
pub(super) fn vet(path: &Path, expected: &'static str) -> Result<(), SourceError> {
    let path = path.to_owned();
    let (length, head) = match head(&path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(SourceError::NoFile { path, expected });
        }
        Err(source) => return Err(SourceError::Unreadable { path, expected, source }),
    };
    if length == 0 {
        return Err(SourceError::Empty { path, expected });
    }
    if head.trim_ascii_start().starts_with(b"<") {
        return Err(SourceError::Html { path, expected });
    }
    if head.starts_with(b"\x89HDF") {
        return Ok(());
    }
    if !head.starts_with(b"CDF") {
        return Err(SourceError::NotNetcdf { path, expected });
    }
    match announced_length(&head) {
        Some(announced) if announced <= length => Ok(()),
        Some(announced) => {
            let reason = format!("it has {length} bytes of {announced}");
            Err(SourceError::Damaged { path, expected, reason })
        }
        None => Err(SourceError::Damaged { path, expected, reason: "its header makes no sense".into() }),
    }
}

fn head(path: &Path) -> io::Result<(u64, Vec<u8>)> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut head = Vec::new();
    file.take(LONGEST_HEADER).read_to_end(&mut head)?;
    Ok((length, head))
}

/// The length of a classic NetCDF file as its header has it (the NetCDF User's Guide, "File format specification");
/// `None` where it is not such a header.
fn announced_length(head: &[u8]) -> Option<u64> {
    let mut header = Header::new(head)?;
    let records = header.count()?;
    let dimensions = header.dimensions()?;
    header.skip_attributes()?;
    let variables = header.variables(&dimensions)?;
    let padded = |variable: &Variable| variable.bytes.checked_next_multiple_of(4);
    let in_records: Vec<&Variable> = variables.iter().filter(|variable| variable.in_records).collect();
    let record_bytes = match in_records.as_slice() {
        // The only record variable is stored without padding.
        [only] => only.bytes,
        several => several.iter().try_fold(0_u64, |sum, variable| sum.checked_add(padded(variable)?))?,
    };
    let mut end = header.position as u64;
    for variable in &variables {
        let bytes_before_last = match (variable.in_records, records) {
            (false, _) => 0,
            // A record variable without records holds nothing.
            (true, 0) => continue,
            (true, records) => record_bytes.checked_mul(records - 1)?,
        };
        end = end.max(variable.begin.checked_add(bytes_before_last)?.checked_add(variable.bytes)?);
    }
    Some(end)
}

/// A variable in a classic header; of a record variable, one record.
struct Variable {
    bytes: u64,
    begin: u64,
    in_records: bool,
}

/// Walks through a classic header.
struct Header<'a> {
    bytes: &'a [u8],
    position: usize,
    wide_counts: bool,
    wide_offsets: bool,
}

impl<'a> Header<'a> {
    fn new(bytes: &'a [u8]) -> Option<Self> {
        let (wide_counts, wide_offsets) = match bytes.get(..4)? {
            b"CDF\x01" => (false, false),
            b"CDF\x02" => (false, true),
            b"CDF\x05" => (true, true),
            _ => return None,
        };
        Some(Self { bytes, position: 4, wide_counts, wide_offsets })
    }

    fn skip(&mut self, length: u64) -> Option<&'a [u8]> {
        let end = self.position.checked_add(usize::try_from(length).ok()?)?;
        let skipped = self.bytes.get(self.position..end)?;
        self.position = end;
        Some(skipped)
    }

    fn number(&mut self, wide: bool) -> Option<u64> {
        let bytes = self.skip(if wide { 8 } else { 4 })?;
        Some(bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    fn count(&mut self) -> Option<u64> {
        self.number(self.wide_counts)
    }

    fn skip_name(&mut self) -> Option<()> {
        let length = self.count()?;
        self.skip(length.checked_next_multiple_of(4)?).map(|_| ())
    }

    /// The beginning of a list: its tag, not needed here, and the number of its elements.
    fn list(&mut self) -> Option<u64> {
        self.number(false)?;
        self.count()
    }

    /// Lengths of the dimensions; the one along records has length 0.
    fn dimensions(&mut self) -> Option<Vec<u64>> {
        let count = self.list()?;
        let mut lengths = Vec::new();
        for _ in 0..count {
            self.skip_name()?;
            lengths.push(self.count()?);
        }
        Some(lengths)
    }

    fn skip_attributes(&mut self) -> Option<()> {
        for _ in 0..self.list()? {
            self.skip_name()?;
            let value_bytes = type_bytes(self.number(false)?)?;
            let bytes = self.count()?.checked_mul(value_bytes)?;
            self.skip(bytes.checked_next_multiple_of(4)?)?;
        }
        Some(())
    }

    fn variables(&mut self, dimensions: &[u64]) -> Option<Vec<Variable>> {
        let count = self.list()?;
        let mut variables = Vec::new();
        for _ in 0..count {
            self.skip_name()?;
            let (cells, in_records) = self.shape(dimensions)?;
            self.skip_attributes()?;
            let bytes = cells.checked_mul(type_bytes(self.number(false)?)?)?;
            // The size stored here overflows for large variables; the shape says it better.
            self.count()?;
            let begin = self.number(self.wide_offsets)?;
            variables.push(Variable { bytes, begin, in_records });
        }
        Some(variables)
    }

    /// Number of cells of a variable (in one record), and whether it grows by records.
    fn shape(&mut self, dimensions: &[u64]) -> Option<(u64, bool)> {
        let (mut cells, mut in_records) = (1_u64, false);
        for place in 0..self.count()? {
            let dimension = usize::try_from(self.count()?).ok()?;
            match dimensions.get(dimension)? {
                0 if place == 0 => in_records = true,
                length => cells = cells.checked_mul(*length)?,
            }
        }
        Some((cells, in_records))
    }
}

fn type_bytes(number: u64) -> Option<u64> {
    match number {
        1 | 2 | 7 => Some(1),
        3 | 8 => Some(2),
        4 | 5 | 9 => Some(4),
        6 | 10 | 11 => Some(8),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;

    fn vet_bytes(bytes: &[u8]) -> Result<(), SourceError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file.nc");
        fs::write(&path, bytes).unwrap();
        vet(&path, "a test file")
    }

    /// A classic file of a fixed variable of 5 shorts and `records` records of two variables, and its length.
    fn classic(options: netcdf::Options, records: usize) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file.nc");
        let mut file = netcdf::create_with(&path, options).unwrap();
        file.add_dimension("x", 5).unwrap();
        file.add_unlimited_dimension("time").unwrap();
        file.add_attribute("title", "abcde").unwrap();
        file.add_variable::<i16>("fixed", &["x"]).unwrap().put_attribute("scale", 0.5_f64).unwrap();
        file.add_variable::<i8>("bytes", &["time", "x"]).unwrap();
        file.add_variable::<f32>("floats", &["time", "x"]).unwrap();
        file.enddef().unwrap();
        file.variable_mut("fixed").unwrap().put_values(&[7_i16; 5], ..).unwrap();
        for record in 0..records {
            file.variable_mut("bytes").unwrap().put_values(&[7_i8; 5], (record..=record, ..)).unwrap();
            file.variable_mut("floats").unwrap().put_values(&[7_f32; 5], (record..=record, ..)).unwrap();
        }
        file.close().unwrap();
        fs::read(path).unwrap()
    }

    #[test]
    fn the_announced_length_of_classic_files_is_their_length() {
        for records in [1, 3] {
            for options in
                [netcdf::Options::empty(), netcdf::Options::_64BIT_OFFSET, netcdf::Options::_64BIT_DATA]
            {
                let format = options.bits();
                let bytes = classic(options, records);
                let length = Some(bytes.len() as u64);
                assert_eq!(announced_length(&bytes), length, "format {format:x}, {records} records");
                assert!(vet_bytes(&bytes).is_ok());
                let message = vet_bytes(&bytes[..bytes.len() - 1]).unwrap_err().to_string();
                assert!(message.contains("truncated or damaged (it has"), "{message}");
                let message = vet_bytes(&bytes[..60]).unwrap_err().to_string();
                assert!(message.contains("truncated or damaged (its header"), "{message}");
            }
        }
    }

    #[test]
    fn what_is_not_netcdf_is_told_apart() {
        let message = |bytes: &[u8]| vet_bytes(bytes).unwrap_err().to_string();
        assert!(message(b"").contains("the file is empty, expected a test file; fetch it again"));
        assert!(message(b"\n  <!DOCTYPE html><html>").contains("an HTML page, not a NetCDF file"));
        assert!(message(b"\x1f\x8b\x08 gzip").contains("not NetCDF"));
        assert!(message(b"CDF\x07").contains("header makes no sense"));
        assert!(vet_bytes(b"\x89HDF\r\n\x1a\n").is_ok());
    }

    #[test]
    fn a_folder_or_nothing_at_all_is_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let message = vet(folder.path(), "a test file").unwrap_err().to_string();
        assert!(message.contains("cannot be read"), "{message}");
        let message = vet(&folder.path().join("other.nc"), "a test file").unwrap_err().to_string();
        assert!(message.contains("other.nc: there is no such file, expected a test file"), "{message}");
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..200), version in 0_u8..7) {
            bytes.splice(0..0, [b'C', b'D', b'F', version]);
            let _ = announced_length(&bytes);
        }
    }
}
