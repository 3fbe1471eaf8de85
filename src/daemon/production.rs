//! One production with everything around it: space, the day's lock, its number, the process, what it left, and the ledger. The daemon,
//! a backfill and a person at a terminal all come through [`Productions::run`].

use std::path::Path;

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::config::{Config, DeviceChoice, Folders};
use crate::ledger::{Aftermath, DayState, Ledger, Origin, Outcome, RunEnd, RunRow};
use crate::produce::{DayLock, Gathered, Order, Produced};
use crate::publish;
use crate::sys;
use crate::time::Clock;

use super::worker::{Ended, Mishap, Producer};
use super::{DaemonError, incidents, records};

const MEGABYTE: u64 = 1_000_000;

/// How a production ended that began.
#[derive(Debug)]
pub enum Conclusion {
    /// With a product.
    Published(Box<Produced>),
    /// With a product, as the product folder has it; the process did not live to say so.
    Found {
        /// Its number.
        revision: u32,
        /// How the process ended instead, in a sentence.
        reason: String,
    },
    /// Without one.
    Without(Mishap),
}

/// What productions need.
#[derive(Clone, Copy)]
pub struct Productions<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// The ledger.
    pub ledger: &'a Ledger,
    /// Whoever produces.
    pub producer: &'a dyn Producer,
    /// The clock.
    pub clock: &'a dyn Clock,
}

impl Productions<'_> {
    /// Produces the day of `gathered` as its next revision and writes down what came of it. `stop` ends it early.
    ///
    /// # Errors
    /// [`DaemonError`] where it could not begin (no space, another run at the day) or could not be written down.
    pub async fn run(
        &self,
        gathered: Gathered,
        origin: Origin,
        stop: &CancellationToken,
    ) -> Result<Conclusion, DaemonError> {
        let (day, root) = (gathered.day, &self.config.folders.products);
        self.require_space()?;
        let _lock = DayLock::take(root, day)?;
        sys::fail_point("production.locked");
        self.settle_earlier(&gathered)?;
        let highest = publish::highest_revision(root, day)?;
        let run = self.ledger.begin_run(day, origin, highest, self.clock.now())?;
        sys::fail_point("production.begun");
        let order = Order {
            config: self.config.clone(),
            gathered,
            revision: run.revision,
            run: run.id,
            degradation: None,
        };
        let span = tracing::info_span!("production", %day, run = run.id);
        async {
            tracing::info!(revision = run.revision, origin = origin.name(), "production begins");
            let (ended, device) = self.produce(order, stop).await;
            self.conclude(&run, ended, device)
        }
        .instrument(span)
        .await
    }

    /// Says that there is space again, whoever made it.
    pub(super) fn note_space(&self, now: DateTime<Utc>) -> Result<(), DaemonError> {
        if self.require_space().is_ok() { incidents::has_space(self.ledger, now) } else { Ok(()) }
    }

    fn require_space(&self) -> Result<(), DaemonError> {
        let least_megabytes = self.config.production.least_free_megabytes;
        let Folders { products, cache, state } = &self.config.folders;
        // Without space for the ledger a production could not be written down.
        for folder in [products, cache, state] {
            let file = |source| DaemonError::File { path: folder.clone(), source };
            let free_megabytes = sys::free_bytes(folder).map_err(file)? / MEGABYTE;
            if free_megabytes < least_megabytes {
                return Err(DaemonError::Space { folder: folder.clone(), free_megabytes, least_megabytes });
            }
        }
        Ok(())
    }

    /// Whoever holds the day's lock knows that no other run is at work on it.
    fn settle_earlier(&self, gathered: &Gathered) -> Result<(), DaemonError> {
        let (day, root) = (gathered.day, &self.config.folders.products);
        for run in self.ledger.runs_of(day)?.iter().filter(|run| run.end.is_none()) {
            records::settle_run(self.ledger, run, root, self.clock.now())?;
        }
        records::adopt_day(self.ledger, root, day)
    }

    /// The production; once more on the CPU, where the device failed and the configuration allows it.
    async fn produce(&self, mut order: Order, stop: &CancellationToken) -> (Ended, Option<String>) {
        let first = self.producer.produce(&order, stop).await;
        match &first.result {
            Err(mishap) if mishap.is_of_device() && self.config.model.fall_back_to_cpu => {
                let reason = mishap.reason();
                tracing::warn!("the device failed ({reason}); the day is drawn on the CPU");
                order.degradation =
                    Some(format!("drawn on the CPU, because the configured device failed: {reason}"));
                order.config.model.device = DeviceChoice::Cpu;
                (self.producer.produce(&order, stop).await, Some("cpu".to_owned()))
            }
            Ok(produced) => {
                let device = produced.device.clone();
                (first, Some(device))
            }
            Err(_) => (first, None),
        }
    }

    /// Writes down how a run ended. What lies in the product folder counts, whatever the process said.
    fn conclude(
        &self,
        run: &RunRow,
        ended: Ended,
        device: Option<String>,
    ) -> Result<Conclusion, DaemonError> {
        let root = &self.config.folders.products;
        let product = records::left_by(run, root)?;
        if product.is_some() && ended.result.is_err() {
            publish::repair_root(root)?;
        }
        let end = self.end(&ended, product.is_some(), device);
        let aftermath = match &product {
            Some(product) => records::after_product(product),
            None => self.after_failure(run, &end)?,
        };
        self.ledger.end_run(run, &end, product.as_ref(), &aftermath)?;
        sys::fail_point("production.recorded");
        tracing::info!(outcome = end.outcome.name(), "production has ended");
        Ok(match (product, ended.result) {
            (Some(_), Ok(produced)) => Conclusion::Published(Box::new(produced)),
            (Some(product), Err(mishap)) => {
                Conclusion::Found { revision: product.revision, reason: mishap.reason().to_owned() }
            }
            (None, Err(mishap)) => Conclusion::Without(mishap),
            (None, Ok(produced)) => {
                let reason = not_there(&produced.published.folder);
                Conclusion::Without(Mishap::Died { reason, of_device: false })
            }
        })
    }

    fn end(&self, ended: &Ended, has_product: bool, device: Option<String>) -> RunEnd {
        let (outcome, reason) = match &ended.result {
            _ if has_product => (Outcome::Published, None),
            Ok(produced) => (Outcome::Failed, Some(not_there(&produced.published.folder))),
            Err(Mishap::Failed(failed)) => (Outcome::Failed, Some(failed.reason.clone())),
            Err(Mishap::Died { reason, .. }) => (Outcome::Failed, Some(reason.clone())),
            Err(Mishap::Killed(reason)) => (Outcome::Killed, Some(reason.clone())),
            Err(Mishap::Stopped) => (Outcome::Abandoned, Some("it was told to stop".to_owned())),
        };
        // What is seen from outside, four times a second, may have missed it.
        let said = ended.result.as_ref().ok().and_then(|produced| produced.peak_memory_bytes);
        RunEnd {
            at: self.clock.now(),
            outcome,
            exit_code: ended.exit_code,
            reason,
            device,
            peak_memory_bytes: ended.peak_memory_bytes.max(said),
            stages: ended.stages.clone(),
        }
    }

    fn after_failure(&self, run: &RunRow, end: &RunEnd) -> Result<Aftermath, DaemonError> {
        let reason = end.reason.as_deref().unwrap_or("without a reason");
        if end.outcome == Outcome::Abandoned {
            return records::after_nothing(self.ledger, run.day, "its production was stopped");
        }
        let why = format!("run {} failed: {reason}", run.id);
        let aftermath = records::after_nothing(self.ledger, run.day, &why)?;
        // A product that stands is what people want to see of the day, also while no better one can be made.
        let state = if aftermath.state == DayState::Waiting { DayState::Failed } else { aftermath.state };
        Ok(Aftermath { state, counts_as_failure: true, ..aftermath })
    }
}

fn not_there(folder: &Path) -> String {
    format!(
        "the production said that it published {}, but nothing whole lies there; see whether something else writes in the product root",
        folder.display()
    )
}
