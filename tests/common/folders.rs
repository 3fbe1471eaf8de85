//! Folders that tests share, and what lies in a folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use nilas::sys;

/// An empty folder for the whole of this test program. It cannot be removed when the program ends, for statics are not dropped; so
/// those of programs that have ended are removed here.
pub(crate) fn shared_folder() -> PathBuf {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR"));
    for entry in fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        let process = path.extension().and_then(|number| number.to_str()).unwrap_or_default();
        if !process.is_empty() && !Path::new("/proc").join(process).exists() {
            // Two programs may find the same folder; the one that comes second has nothing left to do.
            let _ = fs::remove_dir_all(&path);
        }
    }
    let folder = root.join(format!("{}.{}", env!("CARGO_CRATE_NAME"), std::process::id()));
    fs::create_dir(&folder).unwrap();
    folder
}

/// Everything below a folder by its relative path: the SHA-256 of files, nothing for folders. Left out are the days' lock
/// files, which are empty and stay, and what is remembered of every run: the ledger and refused files.
pub(crate) fn tree(root: &Path) -> BTreeMap<PathBuf, Option<String>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_owned();
            let remembered = name.to_str().is_some_and(|name| name.starts_with(".nilas/ledger"));
            if remembered || name == Path::new(".nilas/quarantine") {
                continue;
            }
            if path.is_file() {
                found.insert(name, Some(sys::sha256_of_file(&path).unwrap()));
            } else if name != Path::new(".nilas/days") {
                found.insert(name, None);
                folders.push(path);
            }
        }
    }
    found
}

/// The files of [`tree`].
pub(crate) fn files(root: &Path) -> Vec<String> {
    let files = tree(root).into_iter().filter(|(_, digest)| digest.is_some());
    files.map(|(path, _)| path.to_str().unwrap().to_owned()).collect()
}

/// Copies a folder with everything in it.
pub(crate) fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_tree(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}
