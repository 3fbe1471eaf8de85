//! Files and folders that are for this user alone, also where they were there before.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// The part of a mode that is for others than the owner.
const OTHERS: u32 = 0o077;
/// The owner reads and writes.
const FILE: u32 = 0o600;
/// The owner goes in, too.
const FOLDER: u32 = 0o700;

/// Opens a file of this user alone for reading and writing, an empty one where there is none. Locks are such files: whoever may read a
/// file may lock it, and then nobody else gets on.
///
/// # Errors
/// What the system says.
pub fn open_private(path: &Path) -> io::Result<File> {
    let mut how = File::options();
    let file = how.read(true).write(true).create(true).truncate(false).mode(FILE).open(path)?;
    if let Some(tighter) = tighter(&file.metadata()?.permissions()) {
        file.set_permissions(tighter)?;
    }
    Ok(file)
}

/// Makes an empty file of this user alone, or takes one that is there from all others. That one is not opened: when a process closes a
/// file, it loses all record locks that it has on it, and with such locks `SQLite` keeps processes apart.
///
/// # Errors
/// What the system says.
pub fn make_private(path: &Path) -> io::Result<()> {
    match File::options().write(true).create_new(true).mode(FILE).open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => keep_private(path),
        made => made.map(drop),
    }
}

/// Takes a file or folder from all others, where there is one.
///
/// # Errors
/// What the system says.
pub fn keep_private(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        found => tighter(&found?.permissions()).map_or(Ok(()), |tighter| fs::set_permissions(path, tighter)),
    }
}

/// Makes a folder of this user alone, or takes one that is there from all others. Folders above it that are made with it are as open as the
/// umask lets them be.
///
/// # Errors
/// What the system says.
pub fn make_private_folder(path: &Path) -> io::Result<()> {
    if let Some(above) = path.parent() {
        fs::create_dir_all(above)?;
    }
    match DirBuilder::new().mode(FOLDER).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => keep_private(path),
        made => made,
    }
}

/// The same permissions without what they give to others; `None` where they give nothing.
fn tighter(permissions: &Permissions) -> Option<Permissions> {
    let mode = permissions.mode();
    (mode & OTHERS != 0).then(|| Permissions::from_mode(mode & !OTHERS))
}

/// The mode of a file or folder.
#[cfg(test)]
pub(crate) fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file as an earlier Nilas made it.
    fn open_to_all(path: &Path) {
        fs::write(path, "text").unwrap();
        fs::set_permissions(path, Permissions::from_mode(0o664)).unwrap();
    }

    #[test]
    fn a_private_file_is_for_its_owner_alone_and_keeps_what_is_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let (new, old) = (folder.path().join("new"), folder.path().join("old"));
        open_to_all(&old);
        for path in [&new, &old] {
            open_private(path).unwrap();
            assert_eq!(mode(path), 0o600);
        }
        assert_eq!(fs::read(&old).unwrap(), b"text");
    }

    #[test]
    fn a_file_is_made_private_without_being_opened() {
        let folder = tempfile::tempdir().unwrap();
        let (new, old) = (folder.path().join("new"), folder.path().join("old"));
        open_to_all(&old);
        for path in [&new, &old] {
            make_private(path).unwrap();
            assert_eq!(mode(path), 0o600);
        }
        assert_eq!(fs::read(&old).unwrap(), b"text");
        keep_private(&folder.path().join("missing")).unwrap();
        assert!(!folder.path().join("missing").exists());
    }

    #[test]
    fn a_private_folder_lies_in_one_that_others_may_enter() {
        let folder = tempfile::tempdir().unwrap();
        let (open, private) = (folder.path().join("open"), folder.path().join("open/private"));
        make_private_folder(&private).unwrap();
        assert_eq!(mode(&private), 0o700);
        assert_ne!(mode(&open) & 0o055, 0);
        fs::set_permissions(&private, Permissions::from_mode(0o755)).unwrap();
        make_private_folder(&private).unwrap();
        assert_eq!(mode(&private), 0o700);
    }
}
