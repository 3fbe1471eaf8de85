//! A production in a process of its own: watched over, within limits, and gone with whoever started it.

use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rustix::process::Signal;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time;
use tokio_util::sync::CancellationToken;

use crate::config::Production;
use crate::produce::{Event, Failed, Order, Produced};
use crate::progress::Processor;
use crate::sys::{self, WorkGroup};
use crate::time::Clock;

/// How often the resident size is looked at. A production grows over seconds.
const LOOK: Duration = Duration::from_millis(250);

/// What a production may take to end itself after it has said its last word.
const LAST_BREATH: Duration = Duration::from_secs(30);

const MEGABYTE: u64 = 1_000_000;

/// What `nilas-engine` is told of the environment. It needs neither servers nor credentials, and reads foreign files.
const ENVIRONMENT: &[&str] = &[
    // As any program: where programs, libraries and temporary files are, in which language errors of the system are told.
    "PATH",
    "LD_LIBRARY_PATH",
    "HOME",
    "TMPDIR",
    "LANG",
    "LC_*",
    "RUST_BACKTRACE",
    // Its log, and whether that is the journal.
    "NILAS_LOG",
    "NILAS_LOG_FORMAT",
    "JOURNAL_STREAM",
    "INVOCATION_ID",
    // Threads and instructions of libtorch and the libraries below it.
    "OMP_*",
    "GOMP_*",
    "KMP_*",
    "MKL_*",
    "DNNL_*",
    "ONEDNN_*",
    "ATEN_*",
    "TORCH_*",
    "PYTORCH_*",
    "RAYON_NUM_THREADS",
    // GPUs: which there are, and what CUDA keeps of compiled code.
    "CUDA_*",
    "CUBLAS_*",
    "CUDNN_*",
    "NVIDIA_*",
    // Tables of projections.
    "GDAL_DATA",
    "PROJ_*",
];

/// Whoever can produce a day.
#[async_trait]
pub trait Producer: Send + Sync {
    /// Produces what is ordered. `stop` ends it early.
    async fn produce(&self, order: &Order, stop: &CancellationToken) -> Ended;
}

/// A production that has ended.
#[derive(Debug)]
pub struct Ended {
    /// With a product, or why without.
    pub result: Result<Produced, Mishap>,
    /// Its exit code, where it ended by itself.
    pub exit_code: Option<i32>,
    /// The largest resident size that was seen, bytes.
    pub peak_memory_bytes: Option<u64>,
    /// Its stages in order, with their seconds.
    pub stages: Vec<(String, f64)>,
}

/// Why a production ended without a product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mishap {
    /// It said why itself.
    Failed(Failed),
    /// It took more than it may, in a sentence.
    Killed(String),
    /// It died, or could not be started.
    Died {
        /// How, in a sentence.
        reason: String,
        /// Whether a GPU was at work for it, which may have been what killed it.
        of_device: bool,
    },
    /// It was told to stop.
    Stopped,
}

impl Mishap {
    /// The reason, for people.
    #[must_use]
    pub fn reason(&self) -> &str {
        match self {
            Self::Failed(failed) => &failed.reason,
            Self::Killed(reason) | Self::Died { reason, .. } => reason,
            Self::Stopped => "it was told to stop",
        }
    }

    /// Whether the device failed that the network ran on, so that another may do.
    #[must_use]
    pub fn is_of_device(&self) -> bool {
        match self {
            Self::Failed(failed) => failed.of_device,
            Self::Died { of_device, .. } => *of_device,
            Self::Killed(_) | Self::Stopped => false,
        }
    }
}

/// Productions by `nilas-engine`.
pub struct Worker {
    /// The program.
    engine: PathBuf,
    limits: Production,
    clock: Arc<dyn Clock>,
    /// Where systemd lets us, the limit of memory is the kernel's, too.
    group: Option<Arc<WorkGroup>>,
}

impl Worker {
    /// A worker that starts the program `engine` within `limits`.
    #[must_use]
    pub fn new(
        engine: PathBuf,
        limits: Production,
        clock: Arc<dyn Clock>,
        group: Option<Arc<WorkGroup>>,
    ) -> Self {
        Self { engine, limits, clock, group }
    }

    fn start(&self) -> Result<Child, String> {
        let mut command = Command::new(&self.engine);
        command
            .args(["work", "--nice", &self.limits.nice.to_string()])
            .args(["--parent", &std::process::id().to_string()])
            .env_clear()
            .envs(sys::listed_variables(&[ENVIRONMENT, sys::FAULT_VARIABLES]))
            .envs([sys::NO_HDF5_PLUGINS, sys::NO_HDF5_LOCKS])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        command.spawn().map_err(|error| {
            let engine = self.engine.display();
            format!("{engine} cannot be started ({error}); install the programs of Nilas into one folder")
        })
    }

    /// Waits for the child's last word, but not beyond its limits.
    async fn watch(&self, child: &mut Child, order: &Order, stop: &CancellationToken) -> Watched {
        let (Some(process), Some(stdin), Some(stdout)) =
            (child.id(), child.stdin.take(), child.stdout.take())
        else {
            return Watched::default();
        };
        self.limit(process);
        let mut watched = Watched::default();
        watched.ending = {
            let mut heard = std::pin::pin!(hear(stdout, &mut watched.news));
            let mut told = std::pin::pin!(tell(stdin, order));
            let mut is_told = false;
            let limits = self.until_too_much(process, &mut watched.peak);
            let mut limits = std::pin::pin!(limits);
            loop {
                tokio::select! {
                    () = &mut heard => break Ending::Quiet,
                    () = &mut told, if !is_told => is_told = true,
                    () = stop.cancelled() => break Ending::Stopped,
                    ending = &mut limits => break ending,
                }
            }
        };
        watched
    }

    fn limit(&self, process: u32) {
        let Some(group) = &self.group else { return };
        if let Err(error) = group.take_in(process, self.limits.memory_megabytes * MEGABYTE) {
            tracing::warn!(
                "the kernel does not limit this production's memory ({error}); it is watched over all the same"
            );
        }
    }

    /// Looks at a process again and again, until it takes more than it may.
    async fn until_too_much(&self, process: u32, peak: &mut u64) -> Ending {
        let begin = self.clock.monotonic();
        let mut look = time::interval(LOOK);
        loop {
            look.tick().await;
            let memory = sys::resident_bytes_of_family(process).unwrap_or(0);
            *peak = memory.max(*peak);
            if memory > self.limits.memory_megabytes * MEGABYTE {
                return Ending::TooLarge(memory);
            }
            if self.clock.monotonic().saturating_sub(begin).as_secs() >= self.limits.deadline_seconds {
                return Ending::TooLong;
            }
        }
    }

    fn mishap(&self, ending: &Ending) -> Option<Mishap> {
        let limits = &self.limits;
        match ending {
            Ending::Quiet => None,
            Ending::Stopped => Some(Mishap::Stopped),
            Ending::TooLarge(bytes) => Some(Mishap::Killed(format!(
                "the production was ended: it took {} MB of memory and may take {} MB; see what grew, or raise production.memory_megabytes",
                bytes / MEGABYTE,
                limits.memory_megabytes
            ))),
            Ending::TooLong => Some(Mishap::Killed(format!(
                "the production was ended: it took longer than {} s; see what the machine is busy with, or raise production.deadline_seconds",
                limits.deadline_seconds
            ))),
        }
    }
}

/// What was seen and heard of a child.
#[derive(Default)]
struct Watched {
    news: News,
    peak: u64,
    ending: Ending,
}

/// Why a child is not watched any more.
#[derive(Default)]
enum Ending {
    /// It has closed its output.
    #[default]
    Quiet,
    Stopped,
    TooLarge(u64),
    TooLong,
}

/// What a child has said so far.
#[derive(Default)]
struct News {
    stages: Vec<(String, f64)>,
    stage: Option<(String, Processor)>,
    last: Option<Result<Produced, Failed>>,
}

impl News {
    fn add(&mut self, line: &[u8]) {
        match serde_json::from_slice(line) {
            Ok(Event::Begins { stage, processor, .. }) => self.stage = Some((stage, processor)),
            Ok(Event::Ended { stage, seconds }) => {
                self.stage = None;
                self.stages.push((stage, seconds));
            }
            Ok(Event::Produced(produced)) => self.last = Some(Ok(*produced)),
            Ok(Event::Failed(failed)) => self.last = Some(Err(failed)),
            // What is cut off is followed by the end, and that by its reason.
            Err(error) => {
                let line = String::from_utf8_lossy(line);
                tracing::debug!(%line, "a production says what is not understood: {error}");
            }
        }
    }
}

async fn tell(mut stdin: impl tokio::io::AsyncWrite + Unpin, order: &Order) {
    let text = serde_json::to_string(order).unwrap_or_default();
    // A child that does not listen dies, and its death says why.
    let _ = stdin.write_all(text.as_bytes()).await;
    let _ = stdin.shutdown().await;
}

async fn hear(stdout: impl AsyncRead + Unpin, news: &mut News) {
    // As bytes: a library may say what is no text, and that is no end.
    let mut lines = BufReader::new(stdout).split(b'\n');
    while let Ok(Some(line)) = lines.next_segment().await {
        news.add(&line);
    }
}

#[async_trait]
impl Producer for Worker {
    async fn produce(&self, order: &Order, stop: &CancellationToken) -> Ended {
        let mut child = match self.start() {
            Ok(child) => child,
            Err(reason) => {
                return Ended {
                    result: Err(Mishap::Died { reason, of_device: false }),
                    exit_code: None,
                    peak_memory_bytes: None,
                    stages: Vec::new(),
                };
            }
        };
        sys::fail_point("worker.started");
        let watched = self.watch(&mut child, order, stop).await;
        sys::fail_point("worker.ended");
        let mishap = self.mishap(&watched.ending);
        if mishap.is_some() {
            // It may be gone by now.
            let _ = child.start_kill();
        }
        let status = time::timeout(LAST_BREATH, child.wait()).await;
        let status = status.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()));
        if status.is_err() {
            let _ = child.start_kill();
        }
        let News { stages, stage, last } = watched.news;
        let result = match (mishap, last) {
            // What is published is published, also where the end came a moment later.
            (_, Some(Ok(produced))) => Ok(produced),
            (Some(mishap), _) => Err(mishap),
            (None, Some(Err(failed))) => Err(Mishap::Failed(failed)),
            (None, None) => Err(death(&status, stage, watched.peak)),
        };
        Ended {
            exit_code: status.ok().and_then(|status| status.code()),
            peak_memory_bytes: Some(watched.peak).filter(|peak| *peak > 0),
            stages,
            result,
        }
    }
}

/// What is made of an end without a last word. The drivers of a GPU end a process by a signal, and libtorch by a panic, where they
/// cannot say what went wrong; the kernel, which ends one for want of memory, does that on any device.
fn death(
    status: &std::io::Result<ExitStatus>,
    stage: Option<(String, Processor)>,
    peak_bytes: u64,
) -> Mishap {
    let on_gpu = matches!(stage, Some((_, Processor::Gpu)));
    let stage = stage.map_or("before its first stage".to_owned(), |(stage, _)| {
        format!("in its stage {stage}{}", if on_gpu { " on the GPU" } else { "" })
    });
    if status.as_ref().is_ok_and(|status| status.signal() == Some(Signal::KILL.as_raw())) {
        let reason = format!(
            "the production was killed, {stage}, after it had taken {} MB of memory; if nobody did that, the kernel had no memory left: give the machine or the container more",
            peak_bytes / MEGABYTE
        );
        return Mishap::Died { reason, of_device: false };
    }
    let how = status.as_ref().map_or_else(ToString::to_string, ToString::to_string);
    let reason = format!(
        "the production died without a word, {stage} ({how}); see its log for what happened before, and the kernel's for a lack of memory"
    );
    Mishap::Died { reason, of_device: on_gpu }
}
