//! The map page, which is laid into the product root so that any server of files shows it.

use std::fs;
use std::io;
use std::path::Path;

use crate::sys;

use super::PublishError;
use super::names::staging_folder;

// `FILES`: name and content of each file; empty where this program was built without the page.
include!(concat!(env!("OUT_DIR"), "/viewer.rs"));

const FOLDER: &str = "viewer";
const PAGE: &str = "index.html";

/// Whether there is a map page in a product root.
#[must_use]
pub fn has_viewer(root: &Path) -> bool {
    root.join(FOLDER).join(PAGE).is_file()
}

/// Brings the map page in the product root up to date.
pub(super) fn refresh(root: &Path) -> Result<(), PublishError> {
    let folder = root.join(FOLDER);
    let failed = |source| PublishError::File { path: folder.clone(), source };
    let changed =
        |name: &str, content: &[u8]| fs::read(folder.join(name)).map_or(true, |there| there != content);
    // The page comes last, so that what it asks for is there.
    let mut files: Vec<_> = FILES.iter().filter(|(name, content)| changed(name, content)).collect();
    files.sort_by_key(|(name, _)| *name == PAGE);
    if !files.is_empty() {
        fs::create_dir_all(&folder).map_err(failed)?;
    }
    for (name, content) in files {
        sys::replace_file_through(&staging_folder(root), &folder.join(name), content).map_err(failed)?;
    }
    Ok(())
}

/// The files of the map page in a product root, as paths below it with slashes; the page itself comes last.
pub(super) fn files(root: &Path) -> io::Result<Vec<String>> {
    if !has_viewer(root) {
        return Ok(Vec::new());
    }
    let mut names: Vec<_> = fs::read_dir(root.join(FOLDER))?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<io::Result<_>>()?;
    names.sort_by_key(|name| (name == PAGE, name.clone()));
    Ok(names.into_iter().map(|name| format!("{FOLDER}/{name}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_laid_down_where_there_is_one_and_mended_where_it_was_changed() {
        let root = tempfile::tempdir().unwrap();
        refresh(root.path()).unwrap();
        assert_eq!(has_viewer(root.path()), !FILES.is_empty());
        if let Some((name, content)) = FILES.first() {
            let path = root.path().join(FOLDER).join(name);
            fs::write(&path, "changed").unwrap();
            refresh(root.path()).unwrap();
            assert_eq!(fs::read(&path).unwrap(), *content);
        }
    }
}
