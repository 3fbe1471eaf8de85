//! Disks of any size, which can also become read-only: tmpfs. They are mounted where nobody but the test and its programs sees them, so
//! that nothing is left of them whatever becomes of the test.

use std::env;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use nilas::sys;

use super::say::say;

/// Tells a test program that it is inside.
const INSIDE: &str = "NILAS_TEST_MOUNTS";

/// Mounts of its own for root, and for anybody else.
const WAYS: [&str; 2] = ["--mount", "-Urm"];

/// Runs the body of a test where it can mount, in a process of its own, and says what it found. Where nobody lets it mount anything it
/// says that it was skipped. `name` is that of the test.
pub(crate) fn where_disks_can_be_mounted(name: &str, body: impl FnOnce() -> String) {
    if env::var_os(INSIDE).is_some() {
        let found = body();
        // Standard output is the harness's.
        io::stderr().write_all(found.as_bytes()).unwrap();
        return;
    }
    let tries: Vec<Result<&str, String>> = WAYS.map(can_mount).into();
    let Some(way) = tries.iter().find_map(|way| way.as_ref().ok()) else {
        return say(&format!("skipped: nothing can be mounted here: {tries:?}"));
    };
    let output = Command::new("unshare")
        .arg(way)
        .arg(env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let (out, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.contains(" 1 passed"), "{out}\n{said}");
    say(said.trim());
}

fn can_mount(way: &'static str) -> Result<&'static str, String> {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("unshare");
    command.args([way, "mount", "-t", "tmpfs", "-o", "size=1m", "nilas"]).arg(folder.path());
    let output = command.output().map_err(|error| error.to_string())?;
    if output.status.success() { Ok(way) } else { Err(words(&output)) }
}

/// A disk; it is unmounted when dropped.
pub(crate) struct SmallDisk {
    folder: PathBuf,
}

impl SmallDisk {
    /// Mounts one of this size at a folder, which is made.
    pub(crate) fn at(folder: &Path, bytes: u64) -> Self {
        fs::create_dir_all(folder).unwrap();
        let disk = Self { folder: folder.to_owned() };
        mount(&["-t", "tmpfs", "-o", &size(bytes), "nilas"], folder);
        disk
    }

    pub(crate) fn resize(&self, bytes: u64) {
        mount(&["-o", &format!("remount,{}", size(bytes))], &self.folder);
    }

    /// From now on nothing can be written.
    pub(crate) fn make_read_only(&self) {
        mount(&["-o", "remount,ro"], &self.folder);
    }

    pub(crate) fn make_writable(&self) {
        mount(&["-o", "remount,rw"], &self.folder);
    }

    /// What can still be written, bytes.
    pub(crate) fn free_bytes(&self) -> u64 {
        sys::free_bytes(&self.folder).unwrap()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a program that a failed test leaves behind may still have a file open.
        let _ = Command::new("umount").arg("--lazy").arg(&self.folder).status();
    }
}

/// A tmpfs of size 0 would have no limit.
fn size(bytes: u64) -> String {
    assert!(bytes > 0);
    format!("size={bytes}")
}

fn mount(options: &[&str], folder: &Path) {
    let output = Command::new("mount").args(options).arg(folder).output().unwrap();
    assert!(output.status.success(), "{options:?}: {}", words(&output));
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).trim().to_owned()
}
