//! Files that are there whole or not at all.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::fail_points::fail_point;

/// The bytes of a file where the system has them in memory. For files that are replaced as a whole and never written to in place: whoever
/// did that would change what is read here.
#[derive(Debug)]
pub struct FileMap(memmap2::Mmap);

impl FileMap {
    /// Maps a file.
    ///
    /// # Errors
    /// What the system says.
    #[expect(unsafe_code, reason = "nobody may change the file while it is mapped")]
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        // SAFETY: the files that are mapped are only ever replaced by others, by `replace_file`.
        unsafe { memmap2::Mmap::map(&file) }.map(Self)
    }
}

impl std::ops::Deref for FileMap {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// What the names of temporary files and folders begin with.
pub const TEMPORARY: &str = ".tmp";

/// Puts a file with these bytes at `path`, making its folder if need be. A reader sees the old file or the whole new one; the new one
/// is on disk when this returns.
///
/// # Errors
/// What the system says; then the old file, if any, is as it was.
pub fn replace_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace_file_through(folder_of(path), path, bytes)
}

/// The same by way of a temporary file in the folder `way`, which must lie in the same file system. A process that is killed
/// in between leaves that file behind: choose a folder that somebody clears.
///
/// # Errors
/// As for [`replace_file`].
pub fn replace_file_through(way: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::create_dir_all(way)?;
    // Others must be able to read what is published; the umask still applies.
    let permissions = Permissions::from_mode(0o666);
    let mut file = tempfile::Builder::new().prefix(TEMPORARY).permissions(permissions).tempfile_in(way)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    fail_point("files.written");
    file.persist(path).map_err(|error| error.error)?;
    // The name must last, too: it is an entry of the folder.
    File::open(folder_of(path))?.sync_all()
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/file");
        replace_file(&path, b"first").unwrap();
        replace_file(&path, b"second").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(fs::read_dir(folder.path().join("new")).unwrap().count(), 1);
        assert_ne!(fs::metadata(&path).unwrap().permissions().mode() & 0o044, 0, "others can read it");
    }
}
