//! What each program is linked with, and what the light one costs while it does nothing.
//!
//! `nilas` waits all day, so it must load none of the large libraries. `nilas-train` must start on machines that have
//! neither GDAL nor NetCDF. `nilas-inspect` opens files that may be bad, with as little beside them as can be. A use of the
//! library in the wrong place breaks that without any error, so the programs are read.

#![expect(clippy::unwrap_used, reason = "a test may stop at once")]

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use nilas::ledger::Ledger;

const LIGHT: &str = env!("CARGO_BIN_EXE_nilas");
const ENGINE: &str = env!("CARGO_BIN_EXE_nilas-engine");
const TRAIN: &str = env!("CARGO_BIN_EXE_nilas-train");
const INSPECT: &str = env!("CARGO_BIN_EXE_nilas-inspect");

/// Section type of the table of all symbols.
const SHT_SYMTAB: u64 = 2;
/// Section type of the list of dynamic entries.
const SHT_DYNAMIC: u64 = 6;
/// Section type of the table of the symbols that libraries are bound to, and may bind to.
const SHT_DYNSYM: u64 = 11;
/// Section of a symbol that is defined elsewhere.
const SHN_UNDEF: u64 = 0;
/// Dynamic entry: a library that is loaded at start.
const DT_NEEDED: u64 = 1;
/// What `nilas` may take while it runs, bytes.
const LIGHT_MEMORY: u64 = 20 << 20;

/// The 64-bit little-endian ELF file that a program is.
struct Elf(Vec<u8>);

/// Place and shape of a section in the file.
struct Section {
    kind: u64,
    link: u64,
    offset: u64,
    size: u64,
}

impl Elf {
    fn read(program: &str) -> Self {
        let elf = Self(fs::read(program).unwrap());
        assert_eq!(elf.0[..6], *b"\x7fELF\x02\x01", "{program} is no 64-bit little-endian ELF file");
        elf
    }

    fn number(&self, offset: u64, bytes: u64) -> u64 {
        let bytes = &self.0[offset as usize..(offset + bytes) as usize];
        bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
    }

    fn section(&self, index: u64) -> Section {
        let at = self.number(0x28, 8) + index * self.number(0x3a, 2);
        Section {
            kind: self.number(at + 4, 4),
            link: self.number(at + 0x28, 4),
            offset: self.number(at + 0x18, 8),
            size: self.number(at + 0x20, 8),
        }
    }

    fn text(&self, offset: u64) -> String {
        let bytes = self.0[offset as usize..].iter().take_while(|&&byte| byte != 0);
        String::from_utf8(bytes.copied().collect()).unwrap()
    }

    fn sections(&self) -> Vec<Section> {
        (0..self.number(0x3c, 2)).map(|index| self.section(index)).collect()
    }

    /// Names of the symbols that are defined here, from one of the tables of symbols.
    fn defined(&self, table: u64) -> Vec<String> {
        let sections = self.sections();
        let table = sections.iter().find(|section| section.kind == table).unwrap();
        let texts = &sections[table.link as usize];
        let symbols = (table.offset..table.offset + table.size).step_by(24);
        let defined = symbols.filter(|&symbol| self.number(symbol + 6, 2) != SHN_UNDEF);
        defined.map(|symbol| self.text(texts.offset + self.number(symbol, 4))).collect()
    }

    /// Names of the libraries that are loaded at start.
    fn needed(&self) -> Vec<String> {
        let sections = self.sections();
        let dynamic = sections.iter().find(|section| section.kind == SHT_DYNAMIC).unwrap();
        let texts = &sections[dynamic.link as usize];
        let entries = (dynamic.offset..dynamic.offset + dynamic.size).step_by(16);
        let needed = entries.filter(|&entry| self.number(entry, 8) == DT_NEEDED);
        needed.map(|entry| self.text(texts.offset + self.number(entry + 8, 8))).collect()
    }
}

/// The libraries that a program needs, checked to be a list at all: every program here needs the C library.
fn needed(program: &str) -> Vec<String> {
    let needed = Elf::read(program).needed();
    assert!(needed.iter().any(|name| name == "libc.so.6"), "{program} needs {needed:?}");
    needed
}

fn needs(needed: &[String], library: &str) -> bool {
    needed.iter().any(|name| name.starts_with(&format!("{library}.so")))
}

#[test]
fn nilas_needs_the_system_s_own_libraries_only() {
    let needed = needed(LIGHT);
    // The C++ library comes with the linking of torch's shim; it is small and every system has it.
    let system = [
        "libc",
        "libm",
        "libgcc_s",
        "libstdc++",
        "libdl",
        "libpthread",
        "librt",
        "ld-linux-x86-64",
        "ld-linux-aarch64",
    ];
    let large: Vec<_> = needed
        .iter()
        .filter(|name| !system.iter().any(|known| name.starts_with(&format!("{known}.so"))))
        .collect();
    assert!(large.is_empty(), "nilas would load {large:?}");
}

#[test]
fn nilas_train_needs_libtorch_but_neither_gdal_nor_netcdf() {
    let needed = needed(TRAIN);
    assert!(needs(&needed, "libtorch_cpu"), "{needed:?}");
    // hdf5 has the name of its build in that of its library.
    for absent in ["libgdal", "libproj", "libnetcdf", "libhdf5"] {
        assert!(
            !needed.iter().any(|name| name.starts_with(absent)),
            "nilas-train would load {absent}: {needed:?}"
        );
    }
}

/// What a bad file could reach: the NetCDF library and what that brings, and nothing of ours.
#[test]
fn nilas_inspect_needs_netcdf_but_neither_libtorch_nor_gdal_nor_sqlite() {
    let needed = needed(INSPECT);
    assert!(needs(&needed, "libnetcdf"), "{needed:?}");
    for absent in ["libtorch", "libc10", "libgomp", "libgdal", "libproj", "libsqlite3"] {
        assert!(
            !needed.iter().any(|name| name.starts_with(absent)),
            "nilas-inspect would load {absent}: {needed:?}"
        );
    }
}

#[test]
fn nilas_engine_needs_all_of_them() {
    let needed = needed(ENGINE);
    for library in ["libtorch_cpu", "libgdal", "libnetcdf"] {
        assert!(needs(&needed, library), "{library} is not among {needed:?}");
    }
}

/// No program may need libtorch's CUDA part: it would not start on a machine without it.
#[test]
fn no_program_needs_cuda() {
    for program in [LIGHT, ENGINE, TRAIN, INSPECT] {
        let needed = needed(program);
        let cuda: Vec<_> = needed.iter().filter(|name| name.contains("cuda")).collect();
        assert!(cuda.is_empty(), "{program} needs {cuda:?}");
    }
}

fn of_sqlite(symbols: Vec<String>) -> Vec<String> {
    symbols.into_iter().filter(|name| name.starts_with("sqlite3_")).collect()
}

/// GDAL and PROJ bring a `SQLite` of their own, which would call parts of ours if it saw them, and mix two versions in one process.
#[test]
fn no_program_shows_its_sqlite_to_the_libraries() {
    for program in [LIGHT, ENGINE, TRAIN, INSPECT] {
        let shown = of_sqlite(Elf::read(program).defined(SHT_DYNSYM));
        assert!(shown.is_empty(), "{program} shows {shown:?}");
    }
}

/// This test is a program, too, linked by the same rules; it has a ledger, and so a `SQLite` to hide.
#[test]
fn a_program_that_has_a_ledger_hides_its_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    Ledger::open(&folder.path().join("ledger.sqlite")).unwrap();
    let own = Elf::read(std::env::current_exe().unwrap().to_str().unwrap());
    assert!(of_sqlite(own.defined(SHT_SYMTAB)).contains(&"sqlite3_open_v2".to_owned()), "it has none");
    let shown = of_sqlite(own.defined(SHT_DYNSYM));
    assert!(shown.is_empty(), "shown are {shown:?}");
}

/// A stream into which nothing more fits, and its other end.
fn full_stream() -> (UnixStream, UnixStream) {
    let (mut writer, reader) = UnixStream::pair().unwrap();
    writer.set_nonblocking(true).unwrap();
    for chunk in [&[0_u8; 4096][..], &[0]] {
        while match writer.write(chunk) {
            Ok(_) => true,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                false
            }
        } {}
    }
    writer.set_nonblocking(false).unwrap();
    (writer, reader)
}

/// A line of `/proc/PID/status`, without its name.
fn status(process: u32, name: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix(name)).map(|rest| rest.trim().to_owned())
}

/// The system tells the peak of a process while it lives only. So the program is given an output that is full: it stops when
/// it prints its result, and can be looked at.
#[test]
fn nilas_is_small_while_it_runs() {
    let (writer, mut reader) = full_stream();
    let mut child =
        Command::new(LIGHT).arg("--help").stdout(Stdio::from(OwnedFd::from(writer))).spawn().unwrap();
    let program = fs::canonicalize(LIGHT).unwrap();
    let runs = |process: u32| fs::read_link(format!("/proc/{process}/exe")).is_ok_and(|exe| exe == program);
    let sleeps = |process: u32| status(process, "State:").is_some_and(|state| state.starts_with('S'));
    let waits = (0..2000).any(|_| {
        thread::sleep(Duration::from_millis(5));
        runs(child.id()) && sleeps(child.id())
    });
    assert!(waits, "nilas --help did not get to printing: {:?}", status(child.id(), "State:"));
    let peak = status(child.id(), "VmHWM:").unwrap();
    let peak: u64 = peak.strip_suffix(" kB").unwrap().trim().parse::<u64>().unwrap() * 1024;
    let mut printed = Vec::new();
    reader.read_to_end(&mut printed).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(String::from_utf8_lossy(&printed).contains("Usage: nilas"), "this was not the help");
    assert!(peak < LIGHT_MEMORY, "{} took {} KiB", Path::new(LIGHT).display(), peak / 1024);
}
