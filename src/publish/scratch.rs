//! Members on disk while an ensemble is drawn.

use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use ndarray::{Array2, ArrayView2};

use crate::ensemble::MemberStore;

const BYTES: usize = size_of::<f32>();

/// Members in a file without a name: raw little-endian 32-bit floats, member after member, row after row.
/// The file is gone when the process ends, however it ends.
#[derive(Debug)]
pub struct ScratchFile {
    file: File,
    shape: Option<(usize, usize)>,
    members: usize,
}

impl ScratchFile {
    /// An empty store in `folder`, which is made where it is not there.
    ///
    /// # Errors
    /// What the system says when the folder cannot be made or written.
    pub fn create_in(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        Ok(Self { file: tempfile::tempfile_in(folder)?, shape: None, members: 0 })
    }
}

impl MemberStore for ScratchFile {
    fn append(&mut self, member: ArrayView2<'_, f32>) -> io::Result<()> {
        let shape = *self.shape.get_or_insert(member.dim());
        if shape != member.dim() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the member has another shape than the first one",
            ));
        }
        let bytes: Vec<u8> = member.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.file.write_all_at(&bytes, (self.members * bytes.len()) as u64)?;
        self.members += 1;
        Ok(())
    }

    fn len(&self) -> usize {
        self.members
    }

    fn rows(&self, member: usize, rows: Range<usize>) -> io::Result<Array2<f32>> {
        let (height, width) = self.shape.unwrap_or_default();
        if member >= self.members || rows.start > rows.end || rows.end > height {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut bytes = vec![0; rows.len() * width * BYTES];
        self.file.read_exact_at(&mut bytes, ((member * height + rows.start) * width * BYTES) as u64)?;
        let values =
            bytes.chunks_exact(BYTES).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        Array2::from_shape_vec((rows.len(), width), values).map_err(io::Error::other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scratch_file_is_a_member_store() {
        let folder = tempfile::tempdir().unwrap();
        crate::ensemble::conformance(ScratchFile::create_in(folder.path()).unwrap());
    }

    #[test]
    fn a_scratch_file_leaves_no_name_behind() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = ScratchFile::create_in(&folder.path().join("members")).unwrap();
        store.append(Array2::zeros((2, 2)).view()).unwrap();
        assert_eq!(fs::read_dir(folder.path().join("members")).unwrap().count(), 0);
    }
}
