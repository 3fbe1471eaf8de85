//! A machine of its own: a Debian whose first process is systemd, in a container without network.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use nilas::time::{Clock, SystemClock};
use tempfile::TempDir;

/// What the container is made and entered with.
const TOOLS: [&str; 2] = ["systemd-nspawn", "nsenter"];
/// How long a Debian may take until it is up, and until it is off again.
const BOOT_SECONDS: f64 = 90.0;
const POWEROFF_SECONDS: f64 = 60.0;
/// Between two looks at something that is waited for.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// A machine that is up; it is switched off and removed when it is dropped.
pub(crate) struct Machine {
    root: TempDir,
    container: Child,
    /// Its first process, by the number that it has outside.
    init: u32,
}

/// A command that has ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    /// Standard output, then standard error.
    pub(crate) text: String,
}

impl Machine {
    /// Boots a copy of the tree `bare`. Each of `shared` is a file or folder outside and the path by which it can be read inside.
    ///
    /// # Errors
    /// Why this machine cannot boot another one: that is nothing that Nilas has a part in, for it is not installed yet.
    pub(crate) fn boot(bare: &Path, shared: &[(&Path, &str)]) -> Result<Self, String> {
        if !rustix::process::geteuid().is_root() {
            return Err("only root can boot a container".to_owned());
        }
        for tool in TOOLS {
            Command::new(tool)
                .arg("--version")
                .stdout(Stdio::null())
                .status()
                .map_err(|error| format!("{tool} cannot be started: {error}"))?;
        }
        let root = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let tree = root.path().join("root");
        let copied = Command::new("cp").args(["-a", "--reflink=auto"]).arg(bare).arg(&tree).status().unwrap();
        assert!(copied.success(), "{} cannot be copied", bare.display());

        let mut command = Command::new("systemd-nspawn");
        command.arg("--quiet").arg("--boot").arg("--directory").arg(&tree);
        command.arg(format!("--machine=nilas-{}", std::process::id()));
        // Without the services of a systemd outside, which need not be there; without network, so that nothing can ask for it.
        command.args(["--register=no", "--keep-unit", "--private-network", "--console=pipe"]);
        // The container would keep it from all that is inside, whatever the units let it do.
        command.arg("--system-call-filter=landlock_create_ruleset landlock_add_rule landlock_restrict_self");
        for (outside, inside) in shared {
            command.arg(format!("--bind-ro={}:{inside}", outside.display()));
        }
        let log = fs::File::create(root.path().join("console")).unwrap();
        let container = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .map_err(|error| error.to_string())?;

        let mut machine = Self { root, container, init: 0 };
        if machine.is_up() {
            return Ok(machine);
        }
        let console = fs::read_to_string(machine.root.path().join("console")).unwrap_or_default();
        Err(format!("no systemd comes up in a container here: {}", console.trim().replace('\n', "; ")))
    }

    fn is_up(&mut self) -> bool {
        let nspawn = self.container.id();
        let Some(init) = within(BOOT_SECONDS, || {
            // There is no first process to come where the container's own has ended.
            let ended = !matches!(self.container.try_wait(), Ok(None));
            first_process_below(nspawn).map(Some).or(ended.then_some(None))
        }) else {
            return false;
        };
        let Some(init) = init else { return false };
        self.init = init;
        within(BOOT_SECONDS, || {
            let state = self.run("systemctl is-system-running");
            ["running", "degraded"].contains(&state.text.trim()).then_some(())
        })
        .is_some()
    }

    /// Runs a command line of the shell inside, as root.
    pub(crate) fn run(&self, line: &str) -> Ran {
        let output = self.enter().args(["/bin/sh", "-c", line]).output();
        let Output { status, stdout, stderr } = output.expect("nsenter starts");
        let text = String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr);
        Ran { code: status.code(), text }
    }

    /// Runs a command line that has to succeed, and gives what it said, without white space around it.
    #[track_caller]
    pub(crate) fn succeed(&self, line: &str) -> String {
        let ran = self.run(line);
        assert_eq!(ran.code, Some(0), "{line}\n{}", ran.text);
        ran.text.trim().to_owned()
    }

    fn enter(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.arg("--target").arg(self.init.to_string());
        command.args(["--mount", "--uts", "--ipc", "--net", "--pid", "--root", "--wd", "--"]);
        // A login's environment, nothing of the build's.
        command.env_clear().env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command.env("HOME", "/root").env("LANG", "C.UTF-8").stdin(Stdio::null());
        command
    }

    /// Where something inside lies outside.
    pub(crate) fn path(&self, inside: &str) -> PathBuf {
        self.root.path().join("root").join(inside.trim_start_matches('/'))
    }

    /// One property of a unit.
    pub(crate) fn property(&self, unit: &str, name: &str) -> String {
        self.succeed(&format!("systemctl show --property={name} --value {unit}"))
    }

    /// What is in the journal of a unit since the journal held `lines` lines: one entry a line, without times.
    pub(crate) fn journal(&self, unit: &str, lines: usize) -> String {
        let all = self.succeed(&format!("journalctl --quiet --no-pager --output=cat --unit={unit}"));
        all.lines().skip(lines).collect::<Vec<_>>().join("\n")
    }

    /// Looks again and again until there is an answer.
    ///
    /// # Panics
    /// After `seconds`, with the end of the journal.
    #[track_caller]
    pub(crate) fn wait<T>(&self, what: &str, seconds: f64, look: impl FnMut() -> Option<T>) -> T {
        let found = within(seconds, look);
        found.unwrap_or_else(|| {
            let journal = self.run("journalctl --no-pager --lines=80").text;
            panic!("{what}: not within {seconds} s\n{journal}")
        })
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if self.init != 0 {
            // It says that the bus went away, which it did.
            let _ = self.enter().args(["systemctl", "poweroff"]).output();
            let _ = within(POWEROFF_SECONDS, || self.container.try_wait().ok().flatten());
        }
        let _ = self.container.kill();
        let _ = self.container.wait();
    }
}

fn within<T>(seconds: f64, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let clock = SystemClock::new();
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if clock.monotonic().as_secs_f64() > seconds {
            return None;
        }
        thread::sleep(LOOK_AGAIN);
    }
}

/// The child of a process that is the first one in a room of its own.
fn first_process_below(parent: u32) -> Option<u32> {
    let processes = fs::read_dir("/proc").ok()?;
    let mut numbers = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    numbers.find(|number| is_first_process_below(*number, parent).unwrap_or(false))
}

fn is_first_process_below(process: u32, parent: u32) -> io::Result<bool> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let field =
        |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim();
    // The number in each room, from the outermost to its own.
    let numbers: Vec<_> = field("NSpid:").split_whitespace().collect();
    Ok(field("PPid:").parse() == Ok(parent) && numbers.len() > 1 && numbers.last() == Some(&"1"))
}
