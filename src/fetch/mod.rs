//! Fetching: moves bytes and knows no product. So far from one place: a plain folder.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::sys;

/// What can go wrong while files are looked for or read.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The folder cannot be listed.
    #[error(
        "the folder of input files {folder} cannot be listed ({source}); name an existing folder that Nilas may read"
    )]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file cannot be read.
    #[error("{path} cannot be read ({source}); check that the file is there and that Nilas may read it")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// One file that a place offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The file's name, without folders.
    pub name: String,
    /// Where it lies.
    pub path: PathBuf,
    /// Its size, bytes.
    pub size_bytes: u64,
}

/// The files of a plain folder, sorted by name; folders inside it are not looked into.
///
/// # Errors
/// [`FetchError`] when the folder or an entry of it cannot be looked at.
pub fn list(folder: &Path) -> Result<Vec<Listed>, FetchError> {
    let refuse = |source| FetchError::Folder { folder: folder.to_owned(), source };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(refuse)? {
        let entry = entry.map_err(refuse)?;
        let path = entry.path();
        // Follows links: an input folder may well be a farm of them. One that leads nowhere is no file.
        let metadata = match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            found => found.map_err(|source| FetchError::File { path: path.clone(), source })?,
        };
        if metadata.is_file() {
            let name = entry.file_name().to_string_lossy().into_owned();
            files.push(Listed { name, path, size_bytes: metadata.len() });
        }
    }
    files.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(files)
}

/// SHA-256 of a file, hexadecimal; the file is streamed.
///
/// # Errors
/// [`FetchError::File`] when it cannot be read.
pub fn sha256(path: &Path) -> Result<String, FetchError> {
    sys::sha256_of_file(path).map_err(|source| FetchError::File { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_lists_its_files_sorted_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("b.nc"), "12").unwrap();
        fs::write(folder.path().join("a.nc"), "").unwrap();
        fs::create_dir(folder.path().join("c.nc")).unwrap();
        std::os::unix::fs::symlink("nowhere", folder.path().join("d.nc")).unwrap();
        std::os::unix::fs::symlink("b.nc", folder.path().join("e.nc")).unwrap();
        let files = list(folder.path()).unwrap();
        let seen: Vec<_> = files.iter().map(|file| (file.name.as_str(), file.size_bytes)).collect();
        assert_eq!(seen, [("a.nc", 0), ("b.nc", 2), ("e.nc", 2)]);
        assert_eq!(files[1].path, folder.path().join("b.nc"));
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let message = list(Path::new("/no/such/folder")).unwrap_err().to_string();
        assert!(
            message.contains("/no/such/folder") && message.contains("name an existing folder"),
            "{message}"
        );
    }

    #[test]
    fn the_sum_of_a_file_is_the_known_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("abc");
        fs::write(&path, "abc").unwrap();
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(&path).unwrap(), known);
        assert!(sha256(&folder.path().join("other")).unwrap_err().to_string().contains("other"));
    }
}
