//! Processes that watch over others: how large one is, that it dies with whoever started it, that it yields, and how the kernel
//! limits it where systemd lets us.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::process::{
    Pid, Signal, getppid, kill_process, set_parent_process_death_signal, setpriority_process,
};

/// The resident size of a process, bytes; `None` where it is gone.
#[must_use]
pub fn resident_bytes(process: u32) -> Option<u64> {
    status_bytes(&format!("/proc/{process}/status"), "VmRSS:")
}

/// The resident size of a process together with those that its first thread has started, bytes; what they have mapped of files, above all
/// the same libraries, counts once. `None` where the process is gone.
#[must_use]
pub fn resident_bytes_of_family(process: u32) -> Option<u64> {
    let own = resident_bytes(process)?;
    let listed = fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
    let children = listed.split_whitespace().filter_map(|child| {
        let status = format!("/proc/{child}/status");
        Some(status_bytes(&status, "VmRSS:")?.saturating_sub(status_bytes(&status, "RssFile:")?))
    });
    Some(own + children.sum::<u64>())
}

/// The largest resident size that this process has had, bytes; `None` where the system does not say.
#[must_use]
pub fn peak_resident_bytes() -> Option<u64> {
    status_bytes("/proc/self/status", "VmHWM:")
}

fn status_bytes(path: &str, key: &str) -> Option<u64> {
    let status = fs::read_to_string(path).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// Lets the kernel end this process when the thread that started it ends, however that comes about. False where `parent` is gone
/// already.
///
/// # Errors
/// What the system says.
pub fn die_with_parent(parent: u32) -> io::Result<bool> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    Ok(getppid().is_some_and(|found| found.as_raw_nonzero().get() as u32 == parent))
}

/// Sends the signal by which a daemon reads its configuration again (SIGHUP).
///
/// # Errors
/// What the system says; also where the number is that of no process.
pub fn signal_reload(process: u32) -> io::Result<()> {
    let process = i32::try_from(process).ok().and_then(Pid::from_raw);
    let process = process.ok_or_else(|| io::Error::other("this is the number of no process"))?;
    Ok(kill_process(process, Signal::HUP)?)
}

/// Lets this process yield to others, by 0 to 19.
///
/// # Errors
/// What the system says.
pub fn yield_to_others(nice: u8) -> io::Result<()> {
    Ok(setpriority_process(None::<Pid>, i32::from(nice))?)
}

/// What is free for us in the file system of a folder, bytes; the folder need not be there yet.
///
/// # Errors
/// What the system says.
pub fn free_bytes(folder: &Path) -> io::Result<u64> {
    let there = folder.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(Path::new("/"));
    let space = rustix::fs::statvfs(there)?;
    Ok(space.f_bavail.saturating_mul(space.f_frsize))
}

/// A control group of ours, in which the kernel limits the memory of one process at a time.
#[derive(Debug)]
pub struct WorkGroup {
    folder: PathBuf,
}

impl WorkGroup {
    /// Makes one below the group of this process, which systemd has to have delegated (`Delegate=memory`); this process moves into a
    /// group beside it, because the kernel limits only groups whose parent holds no process.
    ///
    /// # Errors
    /// Why there is none: not delegated, or no unified hierarchy with a controller of memory.
    pub fn delegated() -> io::Result<Self> {
        let own = fs::read_to_string("/proc/self/cgroup")?;
        let path = own.lines().find_map(|line| line.strip_prefix("0::/"));
        let path = path.ok_or_else(|| io::Error::other("there is no unified hierarchy of control groups"))?;
        Self::below(&Path::new("/sys/fs/cgroup").join(path))
    }

    fn below(service: &Path) -> io::Result<Self> {
        let controllers = fs::read_to_string(service.join("cgroup.controllers"))?;
        if !controllers.split_whitespace().any(|name| name == "memory") {
            return Err(io::Error::other("memory is not delegated"));
        }
        let (watcher, folder) = (service.join("watcher"), service.join("production"));
        for group in [&watcher, &folder] {
            fs::create_dir_all(group)?;
        }
        fs::write(watcher.join("cgroup.procs"), std::process::id().to_string())?;
        fs::write(service.join("cgroup.subtree_control"), "+memory")?;
        Ok(Self { folder })
    }

    /// Takes a process in, which may take so much memory.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn take_in(&self, process: u32, most_bytes: u64) -> io::Result<()> {
        fs::write(self.folder.join("memory.max"), most_bytes.to_string())?;
        fs::write(self.folder.join("cgroup.procs"), process.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn sizes_of_processes_are_known() {
        assert!(peak_resident_bytes().unwrap() > 1 << 20);
        let now = resident_bytes(std::process::id()).unwrap();
        assert!(now > 1 << 20 && now <= peak_resident_bytes().unwrap());
        assert_eq!(resident_bytes(u32::MAX), None);
    }

    #[test]
    fn a_family_is_larger_than_its_head() {
        let mut shell = Command::new("sh")
            .args(["-c", "cat | cat; true"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        shell.stdin.as_mut().unwrap().write_all(b"?").unwrap();
        // What comes back has been through both of the children.
        shell.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        let (head, family) = (resident_bytes(shell.id()), resident_bytes_of_family(shell.id()));
        drop(shell.stdin.take());
        shell.wait().unwrap();
        assert!(family.unwrap() > head.unwrap(), "{family:?} {head:?}");
        assert_eq!(resident_bytes_of_family(u32::MAX), None);
    }

    #[test]
    fn space_is_known_also_where_the_folder_is_not_there_yet() {
        let folder = tempfile::tempdir().unwrap();
        assert!(free_bytes(&folder.path().join("not/yet")).unwrap() > 0);
    }

    /// The kernel's files, as plain ones.
    #[test]
    fn a_delegated_group_is_limited_and_holds_the_process() {
        let service = tempfile::tempdir().unwrap();
        let file = |name: &str| service.path().join(name);
        fs::write(file("cgroup.controllers"), "cpu pids\n").unwrap();
        assert!(WorkGroup::below(service.path()).is_err(), "memory was not delegated");
        fs::write(file("cgroup.controllers"), "cpu memory pids\n").unwrap();
        let group = WorkGroup::below(service.path()).unwrap();
        let read = |name: &str| fs::read_to_string(file(name)).unwrap();
        assert_eq!(read("watcher/cgroup.procs"), std::process::id().to_string());
        assert_eq!(read("cgroup.subtree_control"), "+memory");
        group.take_in(42, 6_000_000_000).unwrap();
        assert_eq!(read("production/memory.max"), "6000000000");
        assert_eq!(read("production/cgroup.procs"), "42");
    }
}
