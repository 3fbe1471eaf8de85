//! Members drawn by several processes, one for each GPU: this one has the first, every other has one that it started.
//!
//! Threads of one process that keep several GPUs busy wait for each other in the driver, and a driver that ends a process for one card
//! takes the work of all. So each GPU has a process of its own, which draws its share, sums it up where it was drawn, and ends with whoever
//! started it.

mod wire;

use std::ffi::{CStr, OsStr};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use ndarray::{Array2, Array3};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use crate::config::{Consistency, Precision};
use crate::ensemble::{Counts, Drawer, EnsembleError, Listener, Plan, Share, Sums, Work, draw_share};
use crate::model::{
    CONTEXT_CHANNELS, Checkpoint, ModelError, NetworkConfiguration, Placement, Sampler, open_device,
};
use crate::progress::Processor;
use crate::time::ProductDay;

/// This program, also when its file was replaced since it was started: all processes of a production are of one version.
const OWN_PROGRAM: &str = "/proc/self/exe";

/// What such a process is called in lists of processes.
pub const PROCESS_NAME: &CStr = c"nilas-draw";

/// The exit code of a Rust program that panicked.
const PANICKED: i32 = 101;

/// The verb by which a program helps another one to draw.
const VERB: &str = "draw";

/// Where the weights of a network come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Weights {
    /// From a checkpoint file.
    File(PathBuf),
    /// From nowhere: a network of this size that nobody has trained, to measure with.
    Untrained(NetworkConfiguration),
}

impl Weights {
    /// The network, ready to draw.
    ///
    /// # Errors
    /// [`ModelError`] when there is no such checkpoint.
    pub fn load(&self, placement: Placement) -> Result<Checkpoint, ModelError> {
        match self {
            Self::File(path) => Checkpoint::load(path, placement),
            Self::Untrained(configuration) => Ok(Checkpoint::untrained(configuration, placement)),
        }
    }
}

/// What a process is told before the fields.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Job {
    weights: Weights,
    /// Of the checkpoint that the others draw with.
    sha256: String,
    precision: Precision,
    day: ProductDay,
    members: usize,
    sampler: Sampler,
    seed: u64,
    batch: usize,
    calibrated: bool,
    consistency: Option<Consistency>,
    share: Share,
    shape: (usize, usize),
    has_uncertainty: bool,
}

/// What it says; fields follow where they are named.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum News {
    /// The network was called so many times for a member.
    Called { times: usize },
    /// The next member is there, and its field follows.
    Member { shape: (usize, usize) },
    /// All are; so many fields of sums follow.
    Done { counts: Counts, fields: usize, shape: (usize, usize) },
    /// They are not.
    Failed { on_gpu: bool, reason: String },
}

/// A process that waits to be told what to draw on one device. It ends with this one.
#[derive(Debug)]
pub struct DrawingProcess {
    child: Child,
    placement: Placement,
}

impl DrawingProcess {
    /// Starts this program once more, for another device, with so many threads for what is not done there. The thread that calls this must
    /// live as long as the process is wanted.
    ///
    /// # Errors
    /// [`EnsembleError::Elsewhere`] when no process can be started.
    pub fn start(placement: Placement, threads: usize) -> Result<Self, EnsembleError> {
        Self::start_program(Path::new(OWN_PROGRAM), placement, threads)
    }

    /// The same of the program at a path, which has the verb.
    ///
    /// # Errors
    /// [`EnsembleError::Elsewhere`] when no process can be started.
    pub fn start_program(
        program: &Path,
        placement: Placement,
        threads: usize,
    ) -> Result<Self, EnsembleError> {
        let mut command = Command::new(program);
        command
            .arg0(OsStr::from_bytes(PROCESS_NAME.to_bytes()))
            .args([VERB, "--device", &placement.device_name()])
            .args(["--threads", &threads.to_string()])
            .args(["--parent", &std::process::id().to_string()])
            .env("RAYON_NUM_THREADS", threads.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let cannot_start = |error: io::Error| {
            let reason = format!("it cannot be started ({error}); see that there is free memory");
            failed(placement, false, reason)
        };
        Ok(Self { child: command.spawn().map_err(cannot_start)?, placement })
    }

    /// Lets it draw with the network of `checkpoint`, whose weights are from `weights`, in the same number format.
    #[must_use]
    pub fn with(self, weights: &Weights, checkpoint: &Checkpoint) -> Box<dyn Drawer> {
        let precision = checkpoint.placement().precision;
        Box::new(Helper {
            process: self,
            weights: weights.clone(),
            sha256: checkpoint.sha256.clone(),
            precision,
        })
    }

    /// What is made of a process that makes no sense, or ended without its last word. A driver ends a process by a signal, and libtorch by
    /// a panic, where they cannot say what went wrong; the kernel, which ends one for want of memory, does that on any device.
    fn mishap(&mut self, error: &io::Error) -> EnsembleError {
        if error.kind() == io::ErrorKind::InvalidData {
            let reason =
                format!("it says what is not understood ({error}); see that the programs are of one version");
            return failed(self.placement, false, reason);
        }
        let status = self.child.wait();
        let is_of_driver = |status: &ExitStatus| match status.signal() {
            Some(signal) => signal != Signal::KILL.as_raw(),
            None => status.code() == Some(PANICKED),
        };
        let on_gpu = status.as_ref().is_ok_and(is_of_driver);
        let how = status.map_or_else(|error| error.to_string(), |status| status.to_string());
        let reason = format!(
            "it died without a word ({how}; {error}); see the log for what happened before, and the kernel's for a lack of memory"
        );
        failed(self.placement, on_gpu, reason)
    }
}

impl Drop for DrawingProcess {
    fn drop(&mut self) {
        // It has nothing that anybody still wants, and is mostly gone by now.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A process with what it draws with.
struct Helper {
    process: DrawingProcess,
    weights: Weights,
    sha256: String,
    precision: Precision,
}

impl Helper {
    /// What the process comes to, told what to do and heard to its end.
    fn hear(
        &self,
        (stdin, stdout): (ChildStdin, ChildStdout),
        work: Work<'_>,
        listener: &dyn Listener,
    ) -> io::Result<Result<Option<Sums>, EnsembleError>> {
        let wanted = work.share.count(work.plan.members);
        self.tell(stdin, work)?;
        let mut said = BufReader::new(stdout);
        loop {
            match wire::take_head(&mut said)? {
                News::Called { times } => (0..times).for_each(|_| listener.called()),
                News::Member { shape } => {
                    if !listener.drawn(wire::take_field(&mut said, shape)?) {
                        return Ok(Ok(None));
                    }
                }
                News::Done { counts, fields, shape } => {
                    let fields = (0..fields).map(|_| wire::take_field(&mut said, shape));
                    let sums = Sums::from_fields(counts, fields.collect::<io::Result<_>>()?);
                    let sums = sums.filter(|_| counts.members == wanted);
                    return sums.map(|sums| Ok(Some(sums))).ok_or_else(|| io::ErrorKind::InvalidData.into());
                }
                News::Failed { on_gpu, reason } => {
                    return Ok(Err(failed(self.process.placement, on_gpu, reason)));
                }
            }
        }
    }

    fn tell(&self, stdin: ChildStdin, Work { context, plan, share }: Work<'_>) -> io::Result<()> {
        let (_, rows, columns) = context.dim();
        let job = Job {
            weights: self.weights.clone(),
            sha256: self.sha256.clone(),
            precision: self.precision,
            day: plan.day,
            members: plan.members,
            sampler: plan.sampler,
            seed: plan.seed,
            batch: plan.batch,
            calibrated: plan.calibrated,
            consistency: plan.consistency,
            share,
            shape: (rows, columns),
            has_uncertainty: plan.input_uncertainty_m.is_some(),
        };
        let mut out = BufWriter::new(stdin);
        wire::put_head(&mut out, &job)?;
        for channel in context.outer_iter() {
            wire::put_field(&mut out, channel)?;
        }
        if let Some(uncertainty_m) = plan.input_uncertainty_m {
            wire::put_field(&mut out, uncertainty_m.view())?;
        }
        out.flush()
    }
}

impl Drawer for Helper {
    fn draw(
        mut self: Box<Self>,
        work: Work<'_>,
        listener: &dyn Listener,
    ) -> Result<Option<Sums>, EnsembleError> {
        let child = &mut self.process.child;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(self.process.mishap(&io::ErrorKind::BrokenPipe.into()));
        };
        let heard = self.hear((stdin, stdout), work, listener);
        heard.unwrap_or_else(|error| Err(self.process.mishap(&error)))
    }
}

fn failed(placement: Placement, on_gpu: bool, reason: String) -> EnsembleError {
    let on_gpu = on_gpu && placement.processor() == Processor::Gpu;
    EnsembleError::Elsewhere { device: placement.device_name(), on_gpu, reason }
}

/// Draws a share on the device of that name for the process that says on `input` what is wanted, and tells it on `output`.
///
/// # Errors
/// Those of `input` and `output`: whoever wanted it is gone.
pub fn draw_for_another(
    device: &str,
    threads: usize,
    mut input: impl BufRead,
    output: impl Write + Send,
) -> io::Result<()> {
    let opened = open_device(device, threads);
    let job: Job = wire::take_head(&mut input)?;
    let _span = tracing::info_span!("drawing", day = %job.day, device).entered();
    let (rows, columns) = job.shape;
    let mut context = Array3::zeros((CONTEXT_CHANNELS as usize, rows, columns));
    for mut channel in context.outer_iter_mut() {
        channel.assign(&wire::take_field(&mut input, job.shape)?);
    }
    let uncertainty_m = job.has_uncertainty.then(|| wire::take_field(&mut input, job.shape)).transpose()?;
    let plan = Plan {
        day: job.day,
        members: job.members,
        sampler: job.sampler,
        seed: job.seed,
        batch: job.batch,
        calibrated: job.calibrated,
        consistency: job.consistency,
        input_uncertainty_m: uncertainty_m.as_ref(),
    };
    let voice = Voice { out: Mutex::new(BufWriter::new(output)), calls: AtomicUsize::new(0) };
    let checkpoint = opened
        .and_then(|device| job.weights.load(Placement { device, precision: job.precision }))
        .map_err(|error| (error.is_of_cuda(), error.to_string()))
        .and_then(|checkpoint| {
            if checkpoint.sha256 == job.sha256 {
                return Ok(checkpoint);
            }
            Err((
                false,
                "the checkpoint has changed since the first process read it; run the day again".into(),
            ))
        });
    let drawn = checkpoint.and_then(|checkpoint| {
        let work = Work { context: &context, plan, share: job.share };
        draw_share(&checkpoint, work, &voice).map_err(|error| (error.is_of_gpu(), error.to_string()))
    });
    match drawn {
        Ok(sums) => voice.say_sums(sums),
        Err((on_gpu, reason)) => voice.say(&News::Failed { on_gpu, reason }, None),
    }
}

/// Says what is drawn to whoever wanted it.
struct Voice<W: Write> {
    out: Mutex<BufWriter<W>>,
    /// Calls of the network that were not told yet.
    calls: AtomicUsize,
}

impl<W: Write> Voice<W> {
    fn say(&self, news: &News, field: Option<&Array2<f32>>) -> io::Result<()> {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        self.say_calls(&mut out)?;
        wire::put_head(&mut *out, news)?;
        field.map_or(Ok(()), |field| wire::put_field(&mut *out, field.view()))?;
        out.flush()
    }

    fn say_calls(&self, out: &mut BufWriter<W>) -> io::Result<()> {
        match self.calls.swap(0, Ordering::Relaxed) {
            0 => Ok(()),
            times => wire::put_head(&mut *out, &News::Called { times }).and_then(|()| out.flush()),
        }
    }

    fn say_sums(&self, sums: Sums) -> io::Result<()> {
        let (counts, fields) = sums.into_fields();
        let shape = fields.first().map_or((0, 0), Array2::dim);
        self.say(&News::Done { counts, fields: fields.len(), shape }, None)?;
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        fields.iter().try_for_each(|field| wire::put_field(&mut *out, field.view()))?;
        out.flush()
    }
}

impl<W: Write + Send> Listener for Voice<W> {
    fn called(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        // The network does not wait while a member is on its way; nor does it matter here whether anybody listens.
        if let Ok(mut out) = self.out.try_lock() {
            let _ = self.say_calls(&mut out);
        }
    }

    fn drawn(&self, field: Array2<f32>) -> bool {
        self.say(&News::Member { shape: field.dim() }, Some(&field)).is_ok()
    }
}
