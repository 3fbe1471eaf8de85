//! A process that takes its own rights away.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::thread;

use landlock::{
    ABI, Access, AccessFs, AccessNet, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetError, RulesetStatus, Scope,
};
use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

/// More files than a reader has open at once.
const OPEN_FILES: u64 = 32;

/// More than it has to say, where its output is a file.
const LARGEST_FILE_BYTES: u64 = 1 << 20;

/// The rules of Landlock that are asked for. A kernel that knows fewer of them applies those.
const RULES: ABI = ABI::V6;

/// What a process needs of the kernel that reads a file, computes and writes to what is open already; how files are opened and what may be
/// executed is said below.
const HARMLESS_CALLS: [i64; 42] = [
    libc::SYS_access,
    libc::SYS_brk,
    libc::SYS_clock_getres,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_close,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_flock,
    libc::SYS_fstat,
    libc::SYS_futex,
    libc::SYS_getcwd,
    libc::SYS_getpid,
    libc::SYS_getrandom,
    libc::SYS_gettid,
    libc::SYS_gettimeofday,
    libc::SYS_getuid,
    libc::SYS_lseek,
    libc::SYS_lstat,
    libc::SYS_madvise,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_nanosleep,
    libc::SYS_newfstatat,
    libc::SYS_pread64,
    libc::SYS_read,
    libc::SYS_readlink,
    libc::SYS_readv,
    libc::SYS_restart_syscall,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_sigaltstack,
    libc::SYS_stat,
    libc::SYS_statx,
    libc::SYS_uname,
    libc::SYS_write,
    libc::SYS_writev,
];

/// What may be done to an open file beside reading it. Not among them are those by which the kernel is made to send signals, to whatever
/// process of the same user.
const HARMLESS_COMMANDS: [i32; 8] = [
    libc::F_DUPFD,
    libc::F_DUPFD_CLOEXEC,
    libc::F_GETFD,
    libc::F_GETFL,
    libc::F_GETLK,
    libc::F_SETFD,
    libc::F_SETLK,
    libc::F_SETLKW,
];

/// Confines this process for the rest of its life to reading `file`: the memory that it may address, the processor time, and no large
/// file written, no core left behind, and no process or thread started (the last does not bind root). The kernel grants nothing beyond what
/// reading and computing need: no other process, no network, nothing opened for writing, no new code. Where it has Landlock, no other file
/// is opened at all, whatever the user may read.
///
/// # Errors
/// What the system says; then only some of the limits hold.
pub fn confine(file: &Path, memory_bytes: u64, cpu_seconds: u64) -> io::Result<()> {
    for (resource, most) in [
        (Resource::As, memory_bytes),
        (Resource::Cpu, cpu_seconds),
        (Resource::Nofile, OPEN_FILES),
        (Resource::Nproc, 0),
        (Resource::Fsize, LARGEST_FILE_BYTES),
        (Resource::Core, 0),
    ] {
        limit(resource, most)?;
    }
    shut_out_files_but(file)?;
    refuse_calls()
}

/// Keeps the memory of this process, in which passwords may stand, out of core dumps and from other processes of the same user.
///
/// # Errors
/// What the system says.
pub fn keep_memory_private() -> io::Result<()> {
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

fn limit(resource: Resource, most: u64) -> io::Result<()> {
    // What the system grants already must not be asked for again: less is fine.
    let granted = getrlimit(resource).maximum.unwrap_or(u64::MAX);
    // A process at its hard limit of time is killed; at the soft one, a second before, it dies of a signal that tells why.
    let grace = u64::from(resource == Resource::Cpu);
    let most = most.min(granted);
    Ok(setrlimit(resource, Rlimit { current: Some(most), maximum: Some(granted.min(most + grace)) })?)
}

/// Whether a process here may give up calls of the kernel; found out without giving any up.
///
/// # Errors
/// What the system says where it may not.
pub fn try_to_refuse_calls() -> io::Result<()> {
    // Only this thread, which ends now, gives anything up.
    let tried = thread::Builder::new().spawn(refuse_calls)?;
    tried.join().unwrap_or_else(|_| Err(io::Error::other("the try ended in a panic")))
}

/// Whether the kernel keeps a process from files that it may not open; found out without giving anything up.
#[must_use]
pub fn has_landlock() -> bool {
    let there = thread::spawn(|| {
        let rules = Ruleset::default().handle_access(AccessFs::from_all(RULES)).and_then(Ruleset::create);
        // Only this thread, which ends now, gives anything up.
        rules.and_then(landlock::RulesetCreated::restrict_self).map(|status| status.ruleset)
    });
    matches!(there.join(), Ok(Ok(status)) if status != RulesetStatus::NotEnforced)
}

/// Leaves this thread nothing in any file system but reading `file`. A file that is not there stays not there: whoever opens it learns
/// that.
fn shut_out_files_but(file: &Path) -> io::Result<()> {
    let wrong = |error: RulesetError| io::Error::other(error);
    let mut rules = Ruleset::default()
        .handle_access(AccessFs::from_all(RULES))
        .and_then(|rules| rules.handle_access(AccessNet::from_all(RULES)))
        .and_then(|rules| rules.scope(Scope::from_all(RULES)))
        .and_then(Ruleset::create)
        .map_err(wrong)?;
    if let Ok(opened) = PathFd::new(file) {
        rules = rules.add_rule(PathBeneath::new(opened, AccessFs::ReadFile)).map_err(wrong)?;
    }
    rules.restrict_self().map(drop).map_err(wrong)
}

/// Lets the kernel refuse this thread every call that a reader of files does not need. Refused, not punished by death: libraries try calls
/// that they can do without.
fn refuse_calls() -> io::Result<()> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        HARMLESS_CALLS.into_iter().map(|call| (call, Vec::new())).collect();
    let writing = libc::O_ACCMODE | libc::O_CREAT | libc::O_TRUNC | libc::O_TMPFILE & !libc::O_DIRECTORY;
    for (call, argument, comparison, value) in [
        (libc::SYS_open, 1, without_bits(writing), 0),
        (libc::SYS_openat, 2, without_bits(writing), 0),
        (libc::SYS_mmap, 2, without_bits(libc::PROT_EXEC), 0),
        (libc::SYS_mprotect, 2, without_bits(libc::PROT_EXEC), 0),
        // Its own limits, and its own end by abort; those of other processes of the same user are the same calls.
        (libc::SYS_prlimit64, 0, SeccompCmpOp::Eq, 0),
        (libc::SYS_tgkill, 0, SeccompCmpOp::Eq, u64::from(std::process::id())),
    ] {
        rules.insert(call, vec![where_argument(argument, comparison, value)?]);
    }
    let commands = HARMLESS_COMMANDS.map(|command| where_argument(1, SeccompCmpOp::Eq, command as u64));
    rules.insert(libc::SYS_fcntl, commands.into_iter().collect::<io::Result<_>>()?);
    let program: BpfProgram = SeccompFilter::new(
        rules,
        SeccompAction::Errno(libc::EPERM as u32),
        SeccompAction::Allow,
        seccompiler::TargetArch::x86_64,
    )
    .and_then(TryInto::try_into)
    .map_err(io::Error::other)?;
    seccompiler::apply_filter(&program).map_err(io::Error::other)
}

/// Lets a call pass by one of its arguments.
fn where_argument(argument: u8, comparison: SeccompCmpOp, value: u64) -> io::Result<SeccompRule> {
    let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, comparison, value);
    condition.and_then(|condition| SeccompRule::new(vec![condition])).map_err(io::Error::other)
}

/// What compares an argument with 0, with none but these bits looked at.
fn without_bits(bits: i32) -> SeccompCmpOp {
    SeccompCmpOp::MaskedEq(bits as u64)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::{ErrorKind, Write};
    use std::net::TcpListener;
    use std::os::fd::AsRawFd;
    use std::process::Command;

    use super::*;

    /// What a thread found that was shut in.
    fn in_confinement<T: Send + 'static>(
        file: &Path,
        shut: fn(&Path) -> io::Result<()>,
        act: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        let file = file.to_owned();
        // Filters and rules hold for the thread that asks for them, and for those that it starts.
        std::thread::spawn(move || {
            shut(&file).unwrap();
            act()
        })
        .join()
        .unwrap()
    }

    #[test]
    fn a_confined_reader_reads_its_file_and_no_other() {
        if !has_landlock() {
            // Not by `println!`, which is kept back of tests that pass.
            writeln!(io::stdout(), "skipped: the kernel has no Landlock").unwrap();
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let (own, other) = (folder.path().join("own.nc"), folder.path().join("other.nc"));
        fs::write(&own, "own").unwrap();
        fs::write(&other, "other").unwrap();
        let path = folder.path().to_owned();
        let (own_text, other_text, listed) = in_confinement(&own.clone(), shut_out_files_but, move || {
            (fs::read_to_string(own), fs::read_to_string(other), fs::read_dir(path).map(drop))
        });
        assert_eq!(own_text.unwrap(), "own");
        assert_eq!(other_text.unwrap_err().kind(), ErrorKind::PermissionDenied);
        assert_eq!(listed.unwrap_err().kind(), ErrorKind::PermissionDenied);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "this thread is as free as it was");
    }

    #[test]
    fn a_file_that_is_not_there_is_not_there_in_confinement_either() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("missing.nc");
        let kind = in_confinement(&file.clone(), shut_out_files_but, || File::open(file).unwrap_err().kind());
        assert_eq!(kind, ErrorKind::NotFound);
    }

    #[test]
    fn a_confined_reader_writes_starts_and_reaches_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "text").unwrap();
        let refused = in_confinement(
            &file.clone(),
            |_| refuse_calls(),
            move || {
                assert_eq!(fs::read_to_string(&file).unwrap(), "text");
                [
                    ("written to", File::options().write(true).open(&file).map(drop)),
                    ("emptied", File::create(&file).map(drop)),
                    ("made", File::create_new(folder.path().join("new")).map(drop)),
                    ("removed", fs::remove_file(&file)),
                    ("renamed", fs::rename(&file, folder.path().join("new"))),
                    ("a folder", fs::create_dir(folder.path().join("new"))),
                    ("a program", Command::new("/bin/true").status().map(drop)),
                    ("the network", TcpListener::bind("127.0.0.1:0").map(drop)),
                    ("another process, by a signal", sends_signals(&File::open(&file).unwrap())),
                ]
            },
        );
        for (what, result) in refused {
            assert_eq!(result.unwrap_err().kind(), ErrorKind::PermissionDenied, "{what}");
        }
    }

    /// Asks that signals about a file be sent, to this very process.
    fn sends_signals(file: &File) -> io::Result<()> {
        #[expect(unsafe_code, reason = "no safe call asks for that")]
        // SAFETY: the file is open, and the command takes a number.
        let answer = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETOWN, libc::getpid()) };
        if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    #[test]
    fn new_code_is_not_executable_in_confinement() {
        #[expect(unsafe_code, reason = "new code is mapped by an unsafe call only")]
        let kind = in_confinement(
            Path::new("/proc/self/exe"),
            |_| refuse_calls(),
            || {
                let program = File::open("/proc/self/exe").unwrap();
                // SAFETY: nobody writes to the program.
                unsafe { memmap2::MmapOptions::new().map_exec(&program) }.map(drop).unwrap_err().kind()
            },
        );
        assert_eq!(kind, ErrorKind::PermissionDenied);
    }
}
