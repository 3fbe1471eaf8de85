//! Files are opened by a process of their own, `nilas-inspect`: a file that crashes the NetCDF library, takes it over, or takes too much
//! of the machine, does so to nothing but that process.

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
use crate::source::handover::{LONGEST_HANDOVER_BYTES, taken_over};
use crate::source::{Decoded, Measured, OtherRole, SourceError};
use crate::sys;
use crate::text::{excerpt, plain_text};

/// What `nilas-inspect` says once it is confined and before it opens the file, which shows that it is the program that it should be:
/// whatever comes behind this line is the file's doing.
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
        result.map_or_else(|error| Self::Refused(error.into()), Self::Measured)
    }
}

impl Inspected {
    /// What the process says, in plain words: it has read a foreign file, which may have made it say anything.
    fn understood(said: &[u8]) -> Result<Self, String> {
        match serde_json::from_slice(said).map_err(|error| excerpt(&error.to_string()))? {
            Self::Measured(measured) => {
                Ok(Self::Measured(Measured { product: excerpt(&measured.product), ..measured }))
            }
            Self::Refused(refusal) => Ok(Self::Refused(refusal.in_plain_words())),
        }
    }
}

impl From<SourceError> for Refusal {
    fn from(error: SourceError) -> Self {
        let kind = error.kind().to_owned();
        Self::new(&kind, &error.in_plain_words().to_string())
    }
}

impl Refusal {
    fn new(kind: &str, reason: &str) -> Self {
        Self { kind: kind.to_owned(), reason: plain_text(reason) }
    }

    /// The same for whoever does not trust who says it.
    pub(super) fn in_plain_words(self) -> Self {
        Self::new(&excerpt(&self.kind), &self.reason)
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

/// The program `nilas-inspect`, a process of its own for each file.
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

    /// Decodes a file of a role within these limits.
    ///
    /// # Errors
    /// [`SourceError::Refused`] whatever the file does to the process, and [`SourceError::Inspector`] when no file can be decoded.
    pub async fn decode<T>(&self, file: &Path, limits: &Inspection) -> Result<T, SourceError>
    where
        T: TryFrom<Decoded, Error = OtherRole>,
    {
        let asked =
            Asked { file, limits, longest_answer_bytes: LONGEST_HANDOVER_BYTES, options: &["--fields"] };
        let understood = |said: &[u8]| match taken_over(said, file)? {
            Ok(decoded) => decoded.try_into().map(Ok).map_err(|OtherRole(role)| format!("a {role}")),
            Err(refusal) => Ok(Err(refusal)),
        };
        self.ask(&asked, understood).await?.flatten().map_err(SourceError::Refused)
    }

    /// Asks the program, and understands its answer; else why the file is refused.
    async fn ask<T>(
        &self,
        asked: &Asked<'_>,
        understood: impl Fn(&[u8]) -> Result<T, String>,
    ) -> Result<Result<T, Refusal>, SourceError> {
        let wrong = |reason: String| SourceError::Inspector { program: self.program.clone(), reason };
        let ended = run(&self.program, asked)
            .await
            .map_err(|error| wrong(format!("it cannot be started ({error})")))?;
        let Some(ended) = ended else { return Ok(Err(asked.too_slow())) };
        if !ended.complaint.is_empty() {
            tracing::debug!(file = %asked.file.display(), complaint = ended.complaint, "while it was inspected");
        }
        ended.judged(asked, understood).map_err(wrong)
    }
}

#[async_trait]
impl Inspector for InspectionProgram {
    async fn inspect(&self, file: &Path, limits: &Inspection) -> Result<Inspected, SourceError> {
        let asked = Asked { file, limits, longest_answer_bytes: LONGEST_ANSWER_BYTES, options: &[] };
        Ok(self.ask(&asked, Inspected::understood).await?.unwrap_or_else(Inspected::Refused))
    }
}

/// What the program is asked.
#[derive(Debug, Clone, Copy)]
struct Asked<'a> {
    file: &'a Path,
    limits: &'a Inspection,
    longest_answer_bytes: u64,
    options: &'a [&'a str],
}

/// How the process ended, and what it said.
struct Ended {
    status: ExitStatus,
    answer: Vec<u8>,
    /// In one line.
    complaint: String,
}

impl Ended {
    /// What the file brought, or why it is refused; else what is wrong with the program, and not with the file.
    fn judged<T>(
        &self,
        asked: &Asked<'_>,
        understood: impl Fn(&[u8]) -> Result<T, String>,
    ) -> Result<Result<T, Refusal>, String> {
        let answer = self.answer.strip_prefix(INSPECTOR_GREETING.as_bytes());
        let is_cut = self.answer.len() as u64 >= asked.longest_answer_bytes;
        match (self.status.code(), answer) {
            (None | Some(PANICKED), _) => Ok(Err(asked.killed(self.status, &self.complaint))),
            // Who is not listened to any more cannot end well.
            (Some(_), Some(_)) if is_cut => Ok(Err(asked.confused("more than anybody reads"))),
            (Some(0), Some(answer)) => {
                Ok(understood(answer).map_err(|why| asked.confused(&format!("what makes no sense ({why})"))))
            }
            (Some(0), None) => {
                let expected = INSPECTOR_GREETING.trim_end();
                Err(format!("its answer makes no sense (it does not begin with \"{expected}\")"))
            }
            (Some(code), Some(_)) => Ok(Err(asked.confused(&format!("nothing, and end with code {code}")))),
            (Some(code), None) => Err(format!("it ended with code {code}: {}", self.complaint.trim())),
        }
    }
}

/// Runs the process to its end; `None` where that does not come in time.
async fn run(program: &Path, asked: &Asked<'_>) -> io::Result<Option<Ended>> {
    let Asked { file, limits, longest_answer_bytes, options } = *asked;
    let mut child = Command::new(program)
        .args(options)
        .arg("--memory-megabytes")
        .arg(limits.memory_megabytes.to_string())
        .arg("--cpu-seconds")
        .arg(limits.cpu_seconds.to_string())
        .arg("--")
        .arg(file)
        .env_clear()
        // Libraries may lie where only this tells.
        .envs(sys::listed_variables(&[&["LD_LIBRARY_PATH"]]))
        .envs([sys::NO_HDF5_PLUGINS, sys::NO_HDF5_LOCKS])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let (answer, complaint) = (child.stdout.take(), child.stderr.take());
    let end = async {
        tokio::try_join!(
            said(answer, longest_answer_bytes),
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

impl Asked<'_> {
    /// The file ended its reader.
    fn killed(&self, status: ExitStatus, complaint: &str) -> Refusal {
        let by = |signal: Signal| status.signal() == Some(signal.as_raw());
        // The words of Rust's standard library before it aborts.
        let out_of_memory = by(Signal::ABORT) && complaint.contains("memory allocation of");
        if by(Signal::XCPU) {
            return self.too_slow();
        }
        let (kind, what) = if out_of_memory {
            let most = self.limits.memory_megabytes;
            (
                "out_of_memory",
                format!("takes more memory than the {most} MB of inspection.memory_megabytes to read"),
            )
        } else if by(Signal::KILL) {
            (
                "killed",
                "was being read by a process that was killed, as the kernel does for want of memory: if that happens again, give the machine more"
                    .to_owned(),
            )
        } else {
            ("crashed", format!("crashes the NetCDF library ({status})"))
        };
        self.refusal(kind, &what)
    }

    /// The file makes its reader say other things than an answer.
    fn confused(&self, what: &str) -> Refusal {
        self.refusal("crashed", &format!("makes nilas-inspect say {what}"))
    }

    fn too_slow(&self) -> Refusal {
        let most = self.limits.cpu_seconds;
        let what = format!("takes longer than the {most} s of inspection.cpu_seconds to read");
        self.refusal("out_of_time", &what)
    }

    fn refusal(&self, kind: &str, what: &str) -> Refusal {
        Refusal::new(kind, &format!("{}: the file {what}; fetch it again", self.file.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Inspection = Inspection { memory_megabytes: 512, cpu_seconds: 60 };

    fn asked() -> Asked<'static> {
        let file = Path::new("/in/file.nc");
        Asked { file, limits: &LIMITS, longest_answer_bytes: LONGEST_ANSWER_BYTES, options: &[] }
    }

    #[test]
    fn each_way_to_die_has_a_name_and_a_remedy() {
        let no_memory = "memory allocation of 5 bytes failed";
        for (status, complaint, kind, words) in [
            (Signal::SEGV.as_raw(), "", "crashed", "crashes the NetCDF library (signal: 11"),
            (Signal::ABORT.as_raw(), "free(): invalid pointer", "crashed", "crashes"),
            (Signal::ABORT.as_raw(), no_memory, "out_of_memory", "more memory than the 512 MB"),
            (Signal::XCPU.as_raw(), "", "out_of_time", "longer than the 60 s"),
            (Signal::KILL.as_raw(), "", "killed", "killed, as the kernel does for want of memory"),
            (PANICKED << 8, "thread 'main' panicked", "crashed", "crashes"),
        ] {
            let Refusal { kind: found, reason } = asked().killed(ExitStatus::from_raw(status), complaint);
            assert_eq!(found, kind, "{reason}");
            assert!(reason.starts_with("/in/file.nc: the file ") && reason.contains(words), "{reason}");
            assert!(reason.ends_with("; fetch it again"), "{reason}");
        }
    }

    #[test]
    fn what_one_process_says_another_understands() {
        let refused = Inspected::Refused(Refusal::new("damaged", "a file"));
        let text = serde_json::to_string(&refused).unwrap();
        assert_eq!(text, r#"{"refused":{"kind":"damaged","reason":"a file"}}"#);
        assert_eq!(serde_json::from_str::<Inspected>(&text).unwrap(), refused);
    }

    /// What is made of a process that has ended with this code and said this.
    fn judged(code: i32, answer: &str) -> Result<Result<Inspected, Refusal>, String> {
        let (status, answer) = (ExitStatus::from_raw(code << 8), answer.as_bytes().to_vec());
        Ended { status, answer, complaint: "it complains".into() }.judged(&asked(), Inspected::understood)
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
            (1, INSPECTOR_GREETING, "makes nilas-inspect say nothing, and end with code 1"),
        ] {
            let Refusal { kind, reason } = judged(code, answer).unwrap().unwrap_err();
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
            (1, String::new(), "it ended with code 1: it complains"),
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
            let (kind, whole) = (error.kind().to_owned(), error.to_string());
            let refusal = Refusal::from(error);
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
            judged(0, &greeted(&serde_json::to_string(&refused).unwrap())).unwrap().unwrap()
        };
        let plain = Inspected::Refused(Refusal::new("a b", "c [2J  d"));
        assert_eq!(answer("a\nb", "c\u{1b}[2J\r\nd"), plain);
    }
}
