//! A control group in which the kernel limits the memory of a program and of all that it starts, of either version of its interface.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use nilas::time::{Clock, SystemClock};

/// In this time a program that was killed is gone.
const DEADLINE: Duration = Duration::from_secs(20);

/// The group; it is removed when dropped.
pub(crate) struct MemoryGroup {
    folder: PathBuf,
    /// The names of its files.
    files: &'static Files,
}

/// What the kernel calls things.
struct Files {
    /// What all may take together.
    limit: &'static str,
    /// Where a machine has it: memory and swap, or swap alone, and whether that is set to the limit.
    swap: (&'static str, bool),
    /// Where a line `oom_kill` counts.
    events: &'static str,
}

const FIRST: Files = Files {
    limit: "memory.limit_in_bytes",
    swap: ("memory.memsw.limit_in_bytes", true),
    events: "memory.oom_control",
};
const SECOND: Files =
    Files { limit: "memory.max", swap: ("memory.swap.max", false), events: "memory.events" };

impl MemoryGroup {
    /// A group of this limit, as near to this process's own as one can be made.
    ///
    /// # Errors
    /// Why none can, in a sentence.
    pub(crate) fn new(bytes: u64) -> Result<Self, String> {
        let own = fs::read_to_string("/proc/self/cgroup").map_err(|error| error.to_string())?;
        let path_of = |is_it: fn(&str) -> bool| {
            let mut lines = own.lines().filter_map(|line| line.split_once(':'));
            lines.find_map(|(_, line)| line.split_once(':').filter(|(name, _)| is_it(name)))
        };
        let first = path_of(|names| names.split(',').any(|name| name == "memory"));
        let (root, path, files) = match (first, path_of(str::is_empty)) {
            (Some((_, path)), _) => ("/sys/fs/cgroup/memory", path, &FIRST),
            (None, Some((_, path))) => ("/sys/fs/cgroup", path, &SECOND),
            (None, None) => return Err("this process is in no control group".to_owned()),
        };
        let root = Path::new(root);
        let own = root.join(path.trim_start_matches('/'));
        let mut last = String::new();
        for above in own.ancestors().take_while(|folder| folder.starts_with(root)) {
            match Self::below(above, files, bytes) {
                Ok(group) => return Ok(group),
                Err(error) => last = format!("{}: {error}", above.display()),
            }
        }
        Err(last)
    }

    fn below(above: &Path, files: &'static Files, bytes: u64) -> io::Result<Self> {
        static MADE: AtomicU64 = AtomicU64::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let folder = above.join(format!("nilas-test-{}-{number}", std::process::id()));
        fs::create_dir(&folder)?;
        let group = Self { folder, files };
        // The kernel may let us make a group and not let us move into it.
        if !group.carries(&Command::new("true")).status()?.success() {
            return Err(io::Error::other("no process can be moved into a group here"));
        }
        group.write(files.limit, bytes)?;
        let (swap, is_limit) = files.swap;
        if group.folder.join(swap).exists() {
            group.write(swap, if is_limit { bytes } else { 0 })?;
        }
        Ok(group)
    }

    fn write(&self, name: &str, number: u64) -> io::Result<()> {
        // Not made: where there is no such file the kernel does not limit memory here.
        let mut file = fs::File::options().write(true).open(self.folder.join(name))?;
        io::Write::write_all(&mut file, number.to_string().as_bytes())
    }

    /// The same command in this group.
    pub(crate) fn carries(&self, command: &Command) -> Command {
        let mut carried = Command::new("sh");
        carried.args(["-c", "echo $$ >\"$0\" && exec \"$@\""]).arg(self.folder.join("cgroup.procs"));
        carried.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            if let Some(value) = value {
                carried.env(name, value);
            }
        }
        carried
    }

    /// How many processes the kernel has killed for want of memory.
    pub(crate) fn kills(&self) -> u64 {
        let events = fs::read_to_string(self.folder.join(self.files.events)).unwrap();
        let kills = events.lines().find_map(|line| line.strip_prefix("oom_kill "));
        kills.unwrap_or_else(|| panic!("{events}")).parse().unwrap()
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        let clock = SystemClock::new();
        while fs::remove_dir(&self.folder).is_err() && clock.monotonic() < DEADLINE {
            thread::sleep(Duration::from_millis(20));
        }
    }
}
