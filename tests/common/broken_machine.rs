//! A machine whose disk, memory or clock fails at a chosen moment, for programs that run on it: `tests/tools/faults.c`, preloaded.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::demo_window::{repository, shared};

/// Larger than what the programs share.
const STATE_BYTES: u64 = 1 << 20;
/// Where in it things stand: numbers of 64 bits.
const AT: u64 = 0;
const CALLS: u64 = 8;
const CLOCK_OFFSET: u64 = 16;
const HIT: u64 = 24;
const WHAT: u64 = 32;
const WHAT_BYTES: usize = 512;

/// What a call does that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It and all after it find no space.
    FullDisk,
    /// It alone finds no space: somebody has made some.
    NoSpace,
    /// It alone fails, as on a bad sector.
    BadSector,
    /// It and all after it find that nothing may be written any more, as after the kernel has seen errors.
    ReadOnly,
    /// A call that reads fails.
    BadRead,
    /// All programs are killed at it.
    Kill,
    /// The same, and what was not made durable by then is gone.
    PowerCut,
}

impl Fault {
    pub(crate) const ALL: [Self; 7] = [
        Self::FullDisk,
        Self::NoSpace,
        Self::BadSector,
        Self::ReadOnly,
        Self::BadRead,
        Self::Kill,
        Self::PowerCut,
    ];

    pub(crate) fn kills(self) -> bool {
        matches!(self, Self::Kill | Self::PowerCut)
    }

    fn kind(self) -> i32 {
        match self {
            Self::FullDisk | Self::NoSpace => libc::ENOSPC,
            Self::BadSector | Self::BadRead => libc::EIO,
            Self::ReadOnly => libc::EROFS,
            Self::Kill => 0,
            Self::PowerCut => -1,
        }
    }

    fn lasts(self) -> bool {
        matches!(self, Self::FullDisk | Self::ReadOnly)
    }
}

/// What the machine keeps for the programs that run on it.
pub(crate) struct BrokenMachine {
    state: File,
    path: PathBuf,
    folder: PathBuf,
}

impl BrokenMachine {
    /// A machine on which nothing fails yet. Only what programs do in `folder` counts; `state` is a file outside of it.
    pub(crate) fn new(folder: &Path, state: PathBuf) -> Self {
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&state).unwrap();
        file.set_len(STATE_BYTES).unwrap();
        Self { state: file, path: state, folder: fs::canonicalize(folder).unwrap() }
    }

    /// Lets a program run on it, in a process group of its own, with calls of this kind counted.
    pub(crate) fn carries(&self, command: &mut Command, fault: Fault) {
        let word = |yes: bool| if yes { "1" } else { "0" };
        command
            .env("LD_PRELOAD", library())
            .env("FAULT_FOLDER", &self.folder)
            .env("FAULT_STATE", &self.path)
            .env("FAULT_KIND", fault.kind().to_string())
            .env("FAULT_READS", word(fault == Fault::BadRead))
            .env("FAULT_LASTS", word(fault.lasts()))
            .process_group(0);
    }

    /// The call of this number fails, counted from the start; none where it is 0.
    pub(crate) fn fail_at(&self, number: u64) {
        self.write(AT, number as i64);
    }

    /// How many calls there were.
    pub(crate) fn calls(&self) -> u64 {
        self.read(CALLS) as u64
    }

    /// Steps the clock of everything that runs on it, seconds from the true time.
    pub(crate) fn set_clock_off(&self, seconds: i64) {
        self.write(CLOCK_OFFSET, seconds);
    }

    /// The call that failed, if one did.
    pub(crate) fn hit(&self) -> Option<String> {
        if self.read(HIT) == 0 {
            return None;
        }
        let mut text = [0; WHAT_BYTES];
        self.state.read_exact_at(&mut text, WHAT).unwrap();
        let end = text.iter().position(|byte| *byte == 0).unwrap_or(WHAT_BYTES);
        Some(String::from_utf8_lossy(&text[..end]).into_owned())
    }

    fn read(&self, at: u64) -> i64 {
        let mut bytes = [0; 8];
        self.state.read_exact_at(&mut bytes, at).unwrap();
        i64::from_le_bytes(bytes)
    }

    fn write(&self, at: u64, number: i64) {
        self.state.write_all_at(&number.to_le_bytes(), at).unwrap();
    }
}

/// The library, compiled once for this test program.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let library = shared("faults.so");
        let source = repository("tests/tools/faults.c");
        let status = Command::new("cc")
            .args(["-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o"])
            .arg(&library)
            .arg(source)
            .status()
            .expect("a C compiler is there: the build needs one, too");
        assert!(status.success());
        library
    })
}
