//! Runs `nilas` as a user does, and holds every run to a clean log: what a program complains of on standard error fails the
//! test, unless the test said that it would come.

use std::ffi::OsStr;
use std::process::{Command, Stdio};

/// A run that is being put together.
pub(crate) struct Nilas {
    command: Command,
    expected: Vec<String>,
}

/// A run that ended as it should.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Nilas {
    /// `nilas VERB`.
    pub(crate) fn new(verb: &str) -> Self {
        Self::of_program(env!("CARGO_BIN_EXE_nilas")).arg(verb)
    }

    /// Another program, held to the same.
    pub(crate) fn of_program(program: &str) -> Self {
        let mut command = Command::new(program);
        // Not what the person who runs the tests has set: warnings must show.
        command.env("NILAS_LOG", "info").stdin(Stdio::null());
        Self { command, expected: Vec::new() }
    }

    /// One more argument.
    pub(crate) fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// An option with its value.
    pub(crate) fn option(self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.arg(name).arg(value)
    }

    /// Something in its environment.
    pub(crate) fn environment(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// A complaint with this text must come, and may.
    pub(crate) fn expecting(mut self, text: impl Into<String>) -> Self {
        self.expected.push(text.into());
        self
    }

    /// Runs it.
    ///
    /// # Panics
    /// Where it ends with another code, complains of something that was not expected, or does not say what was.
    #[track_caller]
    pub(crate) fn expect_code(mut self, code: i32) -> Finished {
        let output = self.command.output().expect("the program starts");
        let stdout = String::from_utf8(output.stdout).expect("results are text");
        let stderr = String::from_utf8(output.stderr).expect("messages are text");
        let run = format!("{:?}\n--- stdout\n{stdout}\n--- stderr\n{stderr}", self.command);
        assert_eq!(output.status.code(), Some(code), "{run}");
        for expected in &self.expected {
            assert!(stderr.contains(expected), "\"{expected}\" was expected from {run}");
        }
        let unexpected: Vec<_> = stderr
            .lines()
            .filter(|line| complains(line, code))
            .filter(|line| !self.expected.iter().any(|expected| line.contains(expected)))
            .collect();
        assert!(unexpected.is_empty(), "unexpected: {unexpected:?}\nfrom {run}");
        Finished { stdout, stderr }
    }
}

impl Finished {
    /// The lines on standard error that are no log: what the program says to the person.
    pub(crate) fn said(&self) -> Vec<&str> {
        self.stderr.lines().filter(|line| level(line).is_none()).collect()
    }

    /// The number behind a label of the report, such as `peak memory`.
    pub(crate) fn figure(&self, label: &str) -> f64 {
        let line = self.stdout.lines().find_map(|line| line.trim_start().strip_prefix(label));
        let number = line.and_then(|rest| rest.split_whitespace().next()).map(str::parse);
        number.unwrap_or_else(|| panic!("no {label} in\n{}", self.stdout)).expect("a figure is a number")
    }
}

/// Whether a line is a warning or an error, of our own log or of a library that writes past it.
/// A run that succeeds has nothing to say but its log.
fn complains(line: &str, code: i32) -> bool {
    match level(line) {
        Some(level) => ["WARN", "ERROR"].contains(&level),
        None if code == 0 => true,
        None => {
            let line = line.to_lowercase();
            ["warn", "error", "panicked"].iter().any(|word| line.contains(word))
        }
    }
}

/// The level of a line of the log.
fn level(line: &str) -> Option<&str> {
    let word = line.split_whitespace().nth(1)?;
    ["TRACE", "DEBUG", "INFO", "WARN", "ERROR"].contains(&word).then_some(word)
}
