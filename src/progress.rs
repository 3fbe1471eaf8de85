//! Stages of a long job: how long each took, and a bar for people at a terminal.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::{Deserialize, Serialize};

use crate::time::Clock;

/// How long one stage took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageTiming {
    /// Name of the stage.
    pub stage: String,
    /// Seconds from its beginning to its end.
    pub seconds: f64,
}

/// Where a stage does its work. What a GPU and its driver do to a process is not the fault of what it works on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Processor {
    /// On the machine's own processors.
    #[default]
    Cpu,
    /// On one GPU or several.
    Gpu,
}

/// What a job says of its stages while it runs.
#[derive(Debug, Clone, PartialEq)]
pub enum StageNews<'a> {
    /// A stage of so many steps begins.
    Begins {
        /// Its name.
        stage: &'a str,
        /// Its steps.
        steps: usize,
        /// Where it does its work.
        processor: Processor,
    },
    /// It has ended, with or without a result.
    Ended(&'a StageTiming),
}

/// The stages of one job, in the order in which they ended.
pub struct Stages<'a> {
    clock: &'a dyn Clock,
    timings: Vec<StageTiming>,
    listener: Box<dyn Fn(StageNews<'_>) + 'a>,
}

impl<'a> Stages<'a> {
    /// No stage yet.
    #[must_use]
    pub fn new(clock: &'a dyn Clock) -> Self {
        Self::heard_by(clock, |_| ())
    }

    /// The same, with somebody who is told of every beginning and end.
    #[must_use]
    pub fn heard_by(clock: &'a dyn Clock, listener: impl Fn(StageNews<'_>) + 'a) -> Self {
        Self { clock, timings: Vec::new(), listener: Box::new(listener) }
    }

    /// The clock that the stages are timed by.
    #[must_use]
    pub fn clock(&self) -> &'a dyn Clock {
        self.clock
    }

    /// Runs one stage of `steps` steps on the CPU, showing a bar on terminals, and keeps its time whether it succeeds or not.
    ///
    /// # Errors
    /// Those of the stage itself.
    pub fn run<T, E>(
        &mut self,
        stage: &str,
        steps: usize,
        work: impl FnOnce(&Bar) -> Result<T, E>,
    ) -> Result<T, E> {
        self.run_on(Processor::Cpu, stage, steps, work)
    }

    /// [`Self::run`] for a stage that may work elsewhere.
    ///
    /// # Errors
    /// Those of the stage itself.
    pub fn run_on<T, E>(
        &mut self,
        processor: Processor,
        stage: &str,
        steps: usize,
        work: impl FnOnce(&Bar) -> Result<T, E>,
    ) -> Result<T, E> {
        tracing::debug!(stage, "stage begins");
        (self.listener)(StageNews::Begins { stage, steps, processor });
        let bar = Bar::new(stage, steps);
        let begin = self.clock.monotonic();
        let result = work(&bar);
        let seconds = self.clock.monotonic().saturating_sub(begin).as_secs_f64();
        bar.finish();
        let rounded = (seconds * 1000.0).round() / 1000.0;
        // What went wrong is said by whoever handles the error.
        let outcome = if result.is_ok() { "stage done" } else { "stage ended without result" };
        tracing::info!(stage, seconds = rounded, "{outcome}");
        let timing = StageTiming { stage: stage.to_owned(), seconds };
        (self.listener)(StageNews::Ended(&timing));
        self.timings.push(timing);
        result
    }

    /// The stages that have ended, with their times.
    #[must_use]
    pub fn timings(&self) -> &[StageTiming] {
        &self.timings
    }
}

/// The progress of one stage. On anything but a terminal it shows nothing.
pub struct Bar(ProgressBar);

impl Bar {
    /// A bar of `steps` steps on standard error, drawn only if that is a terminal.
    #[must_use]
    pub fn new(stage: &str, steps: usize) -> Self {
        let bar = ProgressBar::with_draw_target(Some(steps as u64), draw_target());
        let template = "{prefix:>10} {bar:40} {pos}/{len} {elapsed} {msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_prefix(stage.to_owned());
        if !bar.is_hidden() {
            bar.enable_steady_tick(Duration::from_millis(200));
        }
        Self(bar)
    }

    /// A bar that is never drawn.
    #[must_use]
    pub fn hidden() -> Self {
        Self(ProgressBar::hidden())
    }

    /// One step further.
    pub fn step(&self) {
        self.0.inc(1);
    }

    /// Jumps to a step, when a job goes on where an earlier one ended.
    pub fn jump_to(&self, step: usize) {
        self.0.set_position(step as u64);
    }

    /// Shows a short text behind the bar.
    pub fn say(&self, message: String) {
        self.0.set_message(message);
    }

    fn finish(&self) {
        self.0.finish_and_clear();
    }
}

/// Files on their way, each with a bar of its own below the others. On anything but a terminal nothing is shown.
#[derive(Debug)]
pub struct Transfers(MultiProgress);

impl Transfers {
    /// No file yet.
    #[must_use]
    pub fn new() -> Self {
        Self(MultiProgress::with_draw_target(draw_target()))
    }

    /// A file of `size` bytes, where that is known.
    #[must_use]
    pub fn begin(&self, name: &str, size: Option<u64>) -> TransferBar {
        let bar = self.0.add(size.map_or_else(ProgressBar::no_length, ProgressBar::new));
        let template = "{bar:20} {bytes:>10} of {total_bytes:<10} {bytes_per_sec:>14} {wide_msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(name.to_owned());
        TransferBar(bar)
    }
}

impl Default for Transfers {
    fn default() -> Self {
        Self::new()
    }
}

/// The bar of one file; gone when dropped.
#[derive(Debug)]
pub struct TransferBar(ProgressBar);

impl TransferBar {
    /// These many bytes more are there.
    pub fn advance(&self, bytes: u64) {
        self.0.inc(bytes);
    }
}

impl Drop for TransferBar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

fn draw_target() -> ProgressDrawTarget {
    if std::io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::sync::atomic::{AtomicU64, Ordering};

    use chrono::{DateTime, Utc};

    use super::*;

    /// A clock that is one second later at every look.
    struct Ticking(AtomicU64);

    impl Clock for Ticking {
        fn now(&self) -> DateTime<Utc> {
            DateTime::UNIX_EPOCH
        }

        fn monotonic(&self) -> Duration {
            Duration::from_secs(self.0.fetch_add(1, Ordering::Relaxed))
        }
    }

    #[test]
    fn a_failed_stage_keeps_its_time_too() {
        let clock = Ticking(AtomicU64::new(0));
        let heard = RefCell::new(Vec::new());
        let mut stages = Stages::heard_by(&clock, |news| heard.borrow_mut().push(format!("{news:?}")));
        let good: Result<i32, String> = stages.run("read", 1, |_| Ok(7));
        let bad: Result<i32, String> = stages.run_on(Processor::Gpu, "draw", 1, |_| Err("no".into()));
        assert_eq!((good, bad), (Ok(7), Err("no".into())));
        let names: Vec<_> =
            stages.timings().iter().map(|timing| (timing.stage.as_str(), timing.seconds)).collect();
        assert_eq!(names, [("read", 1.0), ("draw", 1.0)]);
        assert_eq!(heard.borrow().len(), 4);
        assert_eq!(heard.borrow()[2], "Begins { stage: \"draw\", steps: 1, processor: Gpu }");
    }
}
