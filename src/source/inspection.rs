//! The first look at a file, by a process of its own: a file that crashes the NetCDF library, or takes too much of the machine,
//! crashes or stops nothing but that process.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use async_trait::async_trait;
use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::time::timeout;

use crate::config::Inspection;
use crate::source::{Measured, SourceError};
use crate::sys;
use crate::text::{excerpt, plain_text};

/// What `nilas-inspect` says before it opens the file, which shows that it is the program that it should be: whatever comes behind this
/// line is the file's doing.
pub const INSPECTOR_GREETING: &str = concat!("nilas-inspect ", env!("CARGO_PKG_VERSION"), "\n");

/// What the process may say. Its own words are far from that.
const LONGEST_ANSWER_BYTES: u64 = 1 << 20;
/// What is kept of complaints.
const LONGEST_COMPLAINT_BYTES: u64 = 4096;
/// Seconds of the clock for each of the processor, on a machine that has more to do.
const CLOCK_PER_CPU: u64 = 5;
/// With this code a Rust program ends that has panicked, as the binding of the NetCDF library does on some damaged names.
const PANICKED: i32 = 101;

/// What the look at a file brought.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Inspected {
    /// Its reader takes it, and this is what it is like.
    Measured(Measured),
    /// It cannot be used.
    Refused(Refusal),
}

/// Why a file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// One word, by which refusals are counted and found.
    pub kind: String,
    /// A sentence with the file, what is wrong, and the remedy.
    pub reason: String,
}

impl From<Result<Measured, SourceError>> for Inspected {
    fn from(result: Result<Measured, SourceError>) -> Self {
        match result {
            Ok(measured) => Self::Measured(measured),
            Err(error) => Self::refused(error.kind(), &error.in_plain_words().to_string()),
        }
    }
}

impl Inspected {
    fn refused(kind: &str, reason: &str) -> Self {
        Self::Refused(Refusal { kind: kind.to_owned(), reason: plain_text(reason) })
    }

    /// The same in plain words: who says it has read a foreign file, which may have made it say anything.
    fn in_plain_words(self) -> Self {
        match self {
            Self::Measured(measured) => {
                Self::Measured(Measured { product: excerpt(&measured.product), ..measured })
            }
            Self::Refused(refusal) => Self::refused(&excerpt(&refusal.kind), &refusal.reason),
        }
    }
}

/// Whoever takes the first look at a file.
#[async_trait]
pub trait Inspector: Send + Sync {
    /// Looks at a file within these limits. Whatever a file does to it is a refusal of the file.
    ///
    /// # Errors
    /// [`SourceError::Inspector`] when no file can be looked at.
    async fn inspect(&self, file: &Path, limits: &Inspection) -> Result<Inspected, SourceError>;
}

/// The look by the program `nilas-inspect`, a process of its own for each file.
#[derive(Debug)]
pub struct InspectionProgram {
    program: PathBuf,
}

impl InspectionProgram {
    /// By the program at this path.
    #[must_use]
    pub fn new(program: PathBuf) -> Self {
        Self { program }
    }
}

#[async_trait]
impl Inspector for InspectionProgram {
    async fn inspect(&self, file: &Path, limits: &Inspection) -> Result<Inspected, SourceError> {
        let wrong = |reason: String| SourceError::Inspector { program: self.program.clone(), reason };
        let ended = run(&self.program, file, limits)
            .await
            .map_err(|error| wrong(format!("it cannot be started ({error})")))?;
        let Some(ended) = ended else {
            return Ok(too_slow(file, limits));
        };
        if !ended.complaint.is_empty() {
            tracing::debug!(file = %file.display(), complaint = ended.complaint, "while it was inspected");
        }
        ended.judged(file, limits).map_err(wrong)
    }
}

/// How the process ended, and what it said.
struct Ended {
    status: ExitStatus,
    answer: Vec<u8>,
    /// In one line.
    complaint: String,
}

impl Ended {
    /// What the look has brought; else what is wrong with the program, and not with the file.
    fn judged(&self, file: &Path, limits: &Inspection) -> Result<Inspected, String> {
        let answer = self.answer.strip_prefix(INSPECTOR_GREETING.as_bytes());
        let is_cut = self.answer.len() as u64 >= LONGEST_ANSWER_BYTES;
        match (self.status.code(), answer) {
            (None | Some(PANICKED), _) => Ok(refusal_of_dead(file, limits, self.status, &self.complaint)),
            // Who is not listened to any more cannot end well.
            (Some(_), Some(_)) if is_cut => Ok(confused(file, "more than anybody reads")),
            (Some(0), Some(answer)) => Ok(serde_json::from_slice(answer).map_or_else(
                |error| confused(file, &format!("what makes no sense ({})", excerpt(&error.to_string()))),
                Inspected::in_plain_words,
            )),
            (Some(0), None) => {
                let expected = INSPECTOR_GREETING.trim_end();
                Err(format!("its answer makes no sense (it does not begin with \"{expected}\")"))
            }
            (Some(code), _) => Err(format!("it ended with code {code}: {}", self.complaint.trim())),
        }
    }
}

/// Runs the process to its end; `None` where that does not come in time.
async fn run(program: &Path, file: &Path, limits: &Inspection) -> io::Result<Option<Ended>> {
    let mut child = Command::new(program)
        .arg("--memory-megabytes")
        .arg(limits.memory_megabytes.to_string())
        .arg("--cpu-seconds")
        .arg(limits.cpu_seconds.to_string())
        .arg("--")
        .arg(file)
        .env_clear()
        // Libraries may lie where only this tells.
        .envs(sys::listed_variables(&[&["LD_LIBRARY_PATH"]]))
        .envs([sys::NO_HDF5_PLUGINS])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let (answer, complaint) = (child.stdout.take(), child.stderr.take());
    let end = async {
        tokio::try_join!(
            said(answer, LONGEST_ANSWER_BYTES),
            said(complaint, LONGEST_COMPLAINT_BYTES),
            child.wait()
        )
    };
    let longest = Duration::from_secs(limits.cpu_seconds.saturating_mul(CLOCK_PER_CPU));
    if let Ok(ended) = timeout(longest, end).await {
        let (answer, complaint, status) = ended?;
        let complaint = plain_text(&String::from_utf8_lossy(&complaint));
        return Ok(Some(Ended { status, answer, complaint }));
    }
    // It may have ended by itself just now.
    let _ = child.kill().await;
    Ok(None)
}

/// What comes out of a pipe, up to a length; then the pipe is closed, and whoever writes on is told so.
async fn said(pipe: Option<impl AsyncRead + Unpin>, longest: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        pipe.take(longest).read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}

fn refusal_of_dead(file: &Path, limits: &Inspection, status: ExitStatus, complaint: &str) -> Inspected {
    let by = |signal: Signal| status.signal() == Some(signal.as_raw());
    // The words of Rust's standard library before it aborts.
    let out_of_memory = by(Signal::ABORT) && complaint.contains("memory allocation of");
    if by(Signal::XCPU) {
        return too_slow(file, limits);
    }
    let (kind, what) = if out_of_memory {
        let most = limits.memory_megabytes;
        (
            "out_of_memory",
            format!("takes more memory than the {most} MB of inspection.memory_megabytes to read"),
        )
    } else if by(Signal::KILL) {
        ("killed", "was being read by a process that was killed from outside".to_owned())
    } else {
        ("crashed", format!("crashes the NetCDF library ({status})"))
    };
    Inspected::refused(kind, &sentence(file, &what))
}

/// A file that makes its reader say other things than an answer.
fn confused(file: &Path, what: &str) -> Inspected {
    Inspected::refused("crashed", &sentence(file, &format!("makes nilas-inspect say {what}")))
}

fn too_slow(file: &Path, limits: &Inspection) -> Inspected {
    let most = limits.cpu_seconds;
    let what = format!("takes longer than the {most} s of inspection.cpu_seconds to read");
    Inspected::refused("out_of_time", &sentence(file, &what))
}

fn sentence(file: &Path, what: &str) -> String {
    format!("{}: the file {what}; fetch it again", file.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Inspection = Inspection { memory_megabytes: 512, cpu_seconds: 60 };

    /// The kind and the sentence of a refusal after the process died so.
    fn refusal(status: i32, complaint: &str) -> (String, String) {
        let status = ExitStatus::from_raw(status);
        match refusal_of_dead(Path::new("/in/file.nc"), &LIMITS, status, complaint) {
            Inspected::Refused(Refusal { kind, reason }) => (kind, reason),
            measured @ Inspected::Measured(_) => panic!("{measured:?}"),
        }
    }

    #[test]
    fn each_way_to_die_has_a_name_and_a_remedy() {
        let no_memory = "memory allocation of 5 bytes failed";
        for (status, complaint, kind, words) in [
            (Signal::SEGV.as_raw(), "", "crashed", "crashes the NetCDF library (signal: 11"),
            (Signal::ABORT.as_raw(), "free(): invalid pointer", "crashed", "crashes"),
            (Signal::ABORT.as_raw(), no_memory, "out_of_memory", "more memory than the 512 MB"),
            (Signal::XCPU.as_raw(), "", "out_of_time", "longer than the 60 s"),
            (Signal::KILL.as_raw(), "", "killed", "killed from outside"),
            (PANICKED << 8, "thread 'main' panicked", "crashed", "crashes"),
        ] {
            let (found, reason) = refusal(status, complaint);
            assert_eq!(found, kind, "{reason}");
            assert!(reason.starts_with("/in/file.nc: the file ") && reason.contains(words), "{reason}");
            assert!(reason.ends_with("; fetch it again"), "{reason}");
        }
    }

    #[test]
    fn what_one_process_says_another_understands() {
        let refused = Inspected::refused("damaged", "a file");
        let text = serde_json::to_string(&refused).unwrap();
        assert_eq!(text, r#"{"refused":{"kind":"damaged","reason":"a file"}}"#);
        assert_eq!(serde_json::from_str::<Inspected>(&text).unwrap(), refused);
    }

    /// What is made of a process that has ended with this code and said this.
    fn judged(code: i32, answer: &str) -> Result<Inspected, String> {
        let (status, answer) = (ExitStatus::from_raw(code << 8), answer.as_bytes().to_vec());
        Ended { status, answer, complaint: "it complains".into() }.judged(Path::new("/in/file.nc"), &LIMITS)
    }

    fn greeted(answer: &str) -> String {
        format!("{INSPECTOR_GREETING}{answer}")
    }

    #[test]
    fn a_file_that_makes_its_reader_say_anything_is_refused() {
        let endless = greeted(&"x".repeat(LONGEST_ANSWER_BYTES as usize));
        let cut = &endless[..LONGEST_ANSWER_BYTES as usize];
        let unknown = greeted(&format!(r#"{{"{}":1}}"#, "x".repeat(100_000)));
        for (code, answer, words) in [
            (0, cut, "makes nilas-inspect say more than anybody reads"),
            (1, cut, "makes nilas-inspect say more than anybody reads"),
            (0, &unknown, "makes nilas-inspect say what makes no sense (unknown variant `xxx"),
            (0, INSPECTOR_GREETING, "makes nilas-inspect say what makes no sense (EOF"),
        ] {
            let Inspected::Refused(Refusal { kind, reason }) = judged(code, answer).unwrap() else {
                panic!("{code}");
            };
            assert_eq!(kind, "crashed");
            assert!(reason.starts_with("/in/file.nc: the file ") && reason.contains(words), "{reason}");
            assert!(reason.ends_with("; fetch it again") && reason.len() < 400, "{reason}");
        }
    }

    #[test]
    fn a_program_that_is_another_or_cannot_answer_is_no_fault_of_the_file() {
        for (code, answer, words) in [
            (0, String::new(), "does not begin with \"nilas-inspect "),
            (0, "nilas-inspect 0.0.0\n{}".into(), "does not begin with \"nilas-inspect "),
            (1, greeted(""), "it ended with code 1: it complains"),
            (2, String::new(), "it ended with code 2: it complains"),
        ] {
            let reason = judged(code, &answer).unwrap_err();
            assert!(reason.contains(words), "{code}: {reason}");
        }
    }

    #[test]
    fn what_a_file_says_is_refused_in_a_plain_short_sentence() {
        let foreign = || "\u{1}\u{202e}\n".repeat(100_000);
        let (path, known) = (PathBuf::from("/in/file\n.nc"), "a product");
        let errors = [
            SourceError::Damaged { path: path.clone(), expected: known, reason: foreign() },
            SourceError::UnknownProduct { path: path.clone(), expected: known, found: foreign() },
            SourceError::Layout { path: path.clone(), expected: foreign(), found: foreign() },
            SourceError::Unit { path: path.clone(), variable: foreign(), found: foreign(), expected: known },
            SourceError::WrongGrid { path: path.clone(), expected: foreign(), found: foreign() },
            SourceError::WrongDate { path: path.clone(), expected: foreign(), found: foreign() },
            SourceError::Implausible {
                path: path.clone(),
                variable: foreign(),
                expected: known,
                found: foreign(),
            },
            SourceError::UnknownFlags { path, variable: foreign(), expected: foreign(), found: foreign() },
        ];
        for error in errors {
            let (kind, whole) = (error.kind(), error.to_string());
            let Inspected::Refused(refusal) = Inspected::from(Err(error)) else { panic!("{kind}") };
            assert_eq!(refusal.kind, kind);
            assert!(refusal.reason.chars().all(crate::text::is_plain), "{:?}", refusal.reason);
            let remedy = whole.rsplit("; ").next().unwrap();
            assert!(refusal.reason.ends_with(remedy) && refusal.reason.len() < 2000, "{}", refusal.reason);
        }
    }

    #[test]
    fn another_process_is_not_trusted_to_speak_plainly() {
        let answer = |kind: &str, reason: &str| {
            let refused = Inspected::Refused(Refusal { kind: kind.into(), reason: reason.into() });
            judged(0, &greeted(&serde_json::to_string(&refused).unwrap())).unwrap()
        };
        assert_eq!(answer("a\nb", "c\u{1b}[2J\r\nd"), Inspected::refused("a b", "c [2J  d"));
    }
}
