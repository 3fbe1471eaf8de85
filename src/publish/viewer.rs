//! The map page, which is laid into the product root so that any server of files shows it.

use std::fs;
use std::path::Path;

use crate::sys;

use super::PublishError;
use super::names::private_folder;

// `FILES`: name and content of each file; empty where this program was built without the page.
include!(concat!(env!("OUT_DIR"), "/viewer.rs"));

const FOLDER: &str = "viewer";

/// Whether there is a map page in a product root.
#[must_use]
pub fn has_viewer(root: &Path) -> bool {
    root.join(FOLDER).join("index.html").is_file()
}

/// Brings the map page in the product root up to date.
pub(super) fn refresh(root: &Path) -> Result<(), PublishError> {
    let folder = root.join(FOLDER);
    let failed = |source| PublishError::File { path: folder.clone(), source };
    let changed =
        |name: &str, content: &[u8]| fs::read(folder.join(name)).map_or(true, |there| there != content);
    // The page comes last, so that what it asks for is there.
    let page_last = |name: &&str| *name == "index.html";
    let mut files: Vec<_> = FILES.iter().filter(|(name, content)| changed(name, content)).collect();
    files.sort_by_key(|(name, _)| page_last(name));
    if !files.is_empty() {
        fs::create_dir_all(&folder).map_err(failed)?;
    }
    for (name, content) in files {
        sys::replace_file_through(&private_folder(root).join("staging"), &folder.join(name), content)
            .map_err(failed)?;
    }
    Ok(())
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
