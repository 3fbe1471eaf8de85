//! One look at everything: what is due is gathered, judged and produced, the newest day first; then one day that was asked for.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::ledger::{Aftermath, DayState, Ledger, Origin};
use crate::produce::{GatherError, Gathered, Gatherer, Look, ProduceError};
use crate::source::{Availability, Role};
use crate::time::{Clock, ProductDay};

use super::incidents::Refusals;
use super::planner::{self, Cause, Decision, DueDay, History};
use super::production::{Conclusion, Productions};
use super::pulse::Pulse;
use super::worker::Mishap;
use super::{DaemonError, incidents, records};

/// Room for what is not the work itself: a busy disk, a slow machine.
const MARGIN: Duration = Duration::from_mins(5);

/// Products of the days before say for so long which is the best to be had.
const LATELY_DAYS: i64 = 7;

/// Everything that a look at the days needs.
pub(super) struct Round<'a> {
    pub(super) config: &'a Config,
    pub(super) ledger: &'a Ledger,
    pub(super) gatherer: &'a Gatherer,
    pub(super) productions: Productions<'a>,
    pub(super) clock: &'a dyn Clock,
    pub(super) pulse: &'a Pulse,
    /// Ends productions early.
    pub(super) stop: &'a CancellationToken,
    /// Holds what asks for the configuration to be read again, which is done before the next day.
    pub(super) reload: &'a mpsc::Receiver<()>,
}

/// What a day's inputs came to.
enum Gathering {
    /// They are worth a production.
    Ready(Gathered),
    /// They are not, or are not there: how the day stands.
    Stands(DayState, String),
    /// A file was refused, and nothing else serves.
    Refused(String),
    /// Servers did not answer: how the day stands as far as is known.
    Unknown(DayState, String),
    /// The daemon was told to stop meanwhile.
    Interrupted,
}

impl Round<'_> {
    /// Looks at everything that is due, and produces what can be. A day that fails costs no other.
    ///
    /// # Errors
    /// The first one; what is of a day only when all others were looked at.
    pub(super) async fn run(&self) -> Result<(), DaemonError> {
        if incidents::note_missing(self.ledger, &self.config.folders.products, self.clock.now())? {
            return Ok(());
        }
        records::settle_cut_off(self.ledger, self.config, self.clock.now())?;
        records::adopt_named(self.ledger, &self.config.folders.products)?;
        self.productions.note_space(self.clock.now())?;
        if let Some(hold) = self.ledger.current_hold()? {
            incidents::held(self.ledger, &hold, self.clock.now())?;
            return self.note_standing(true);
        }
        incidents::not_held(self.ledger, self.clock.now())?;
        let look = self.gatherer.look_anew();
        let mut refused = Refusals::default();
        let mut tried = BTreeSet::new();
        let mut all = Ok(());
        while let Some(due) = self.next(&tried, Cause::is_regular)? {
            tried.insert(due.day);
            let attended = self.attend(Some(&look), due.day, Origin::Schedule, &mut refused, self.stop).await;
            // What it may have met nobody knows.
            refused.is_partial |= attended.is_err();
            all = all.and(of_the_day(attended)?);
            if self.is_called_off()? {
                return all;
            }
        }
        if all.is_ok() {
            look.complete()?;
        }
        incidents::note_refused(self.ledger, &refused, self.clock.now())?;
        self.note_standing(false)?;
        all
    }

    /// Says how the days stand, whoever has made them, or has not.
    fn note_standing(&self, is_held: bool) -> Result<(), DaemonError> {
        incidents::note_failed(self.ledger, self.clock.now(), self.config)?;
        incidents::note_overdue(self.ledger, self.clock.now(), self.config, is_held)
    }

    /// Makes days that were asked for, one after the other, until none is left or it is time for the next look. One that is at work
    /// is given up when `is_urgent` returns: a day that is looked after could be made.
    pub(super) async fn backfill(
        &self,
        next_look: DateTime<Utc>,
        is_urgent: impl AsyncFn(),
    ) -> Result<(), DaemonError> {
        let mut tried = BTreeSet::new();
        let mut all = Ok(());
        while self.clock.now() < next_look && !self.is_called_off()? {
            let Some(due) = self.next(&tried, |cause| !cause.is_regular())? else { break };
            tried.insert(due.day);
            let urgent = self.stop.child_token();
            let mut refused = Refusals::default();
            let mut backfill =
                std::pin::pin!(self.attend(None, due.day, Origin::Backfill, &mut refused, &urgent));
            tokio::select! {
                attended = &mut backfill => all = all.and(of_the_day(attended)?),
                () = is_urgent() => {
                    urgent.cancel();
                    return all.and(backfill.await);
                }
            }
        }
        all
    }

    /// Whether no other day is to begin as things are: a person wants none, or there is nowhere to publish it.
    fn is_called_off(&self) -> Result<bool, DaemonError> {
        let is_told = self.stop.is_cancelled() || !self.reload.is_empty();
        Ok(is_told || self.ledger.current_hold()?.is_some() || incidents::is_folder_away(self.ledger)?)
    }

    fn next(
        &self,
        tried: &BTreeSet<ProductDay>,
        is_wanted: impl Fn(Cause) -> bool,
    ) -> Result<Option<DueDay>, DaemonError> {
        let now = self.clock.now();
        let plan = planner::plan(&history(self.ledger, self.config, now)?, now, self.config);
        Ok(plan.into_iter().find(|due| is_wanted(due.cause) && !tried.contains(&due.day)))
    }

    /// Whether a day that is looked after could be produced now: gathered, but not produced.
    pub(super) async fn is_anything_ready(&self) -> Result<bool, DaemonError> {
        let look = self.gatherer.look_anew();
        let mut tried = BTreeSet::new();
        while let Some(due) = self.next(&tried, Cause::is_regular)? {
            tried.insert(due.day);
            if matches!(self.gather(Some(&look), due.day).await?, Gathering::Ready(_)) {
                return Ok(true);
            }
        }
        look.complete()?;
        Ok(false)
    }

    /// Gathers a day and produces it, where that is worth it.
    async fn attend(
        &self,
        look: Option<&Look<'_>>,
        day: ProductDay,
        origin: Origin,
        refused: &mut Refusals,
        stop: &CancellationToken,
    ) -> Result<(), DaemonError> {
        match self.gather(look, day).await? {
            Gathering::Interrupted => Ok(()),
            Gathering::Unknown(state, note) => {
                refused.is_partial = true;
                self.ledger.set_day(day, state, &note, self.clock.now())?;
                Ok(())
            }
            Gathering::Ready(gathered) => self.produce(gathered, origin, stop).await,
            Gathering::Stands(state, note) => {
                self.ledger.set_day(day, state, &note, self.clock.now())?;
                if origin == Origin::Backfill {
                    self.ledger.settle_asked(day)?;
                    tracing::info!(%day, "asked for, and not made: {note}");
                }
                Ok(())
            }
            Gathering::Refused(reason) => {
                let Aftermath { state, note, .. } = records::after_nothing(self.ledger, day, &reason)?;
                self.ledger.set_day(day, state, &note, self.clock.now())?;
                if origin == Origin::Backfill {
                    self.ledger.settle_asked(day)?;
                    tracing::warn!(%day, "asked for, and not made: {reason}");
                }
                refused.days.push((day, reason));
                Ok(())
            }
        }
    }

    async fn gather(&self, look: Option<&Look<'_>>, day: ProductDay) -> Result<Gathering, DaemonError> {
        // Three roles are searched at once, and each may ask for several files.
        let longest = Duration::from_secs(self.config.fetching.deadline_seconds).saturating_mul(8);
        let _at_work =
            self.pulse.begins(format!("gathering {day}"), self.clock.monotonic(), longest + MARGIN);
        let gather = async {
            match look {
                Some(look) => look.gather(day).await,
                None => self.gatherer.gather(day).await,
            }
        };
        let gathered = tokio::select! {
            gathered = gather => gathered,
            () = self.stop.cancelled() => return Ok(Gathering::Interrupted),
        };
        match gathered {
            Ok(gathered) => self.judge(gathered),
            Err(GatherError::Refused { reason }) => Ok(Gathering::Refused(reason)),
            Err(
                error @ (GatherError::OffSeason { .. }
                | GatherError::NotYet { .. }
                | GatherError::Unreachable { .. }),
            ) => {
                let Aftermath { state, note, .. } =
                    records::after_nothing(self.ledger, day, &error.in_short())?;
                Ok(match &error {
                    GatherError::Unreachable { .. } => Gathering::Unknown(state, note),
                    _ if state != DayState::Waiting => Gathering::Stands(state, note),
                    GatherError::OffSeason { .. } => Gathering::Stands(DayState::OffSeason, note),
                    error if is_hopeless(error) => Gathering::Stands(DayState::Gap, note),
                    _ => Gathering::Stands(state, note),
                })
            }
            Err(error) => Err(error.into()),
        }
    }

    fn judge(&self, gathered: Gathered) -> Result<Gathering, DaemonError> {
        let (day, now) = (gathered.day, self.clock.now());
        let known = history_of(self.ledger, day, self.config)?;
        Ok(match planner::decide(&gathered, &known, now, self.config) {
            Decision::Produce => Gathering::Ready(gathered),
            Decision::Wait(lacking) => {
                let lacking: Vec<String> =
                    lacking.iter().map(|(role, centre)| format!("{role} of {centre}")).collect();
                let until = planner::cut_off(day, self.config).format("%Y-%m-%d %H:%M UTC");
                let note =
                    format!("waits until {until} for {}, which should be there", lacking.join(" and "));
                Gathering::Stands(DayState::Waiting, note)
            }
            Decision::WaitForBetter(expected) => {
                let until = expected.format("%Y-%m-%d %H:%M UTC");
                let note = format!("waits until {until} for the better concentration, which days before had");
                Gathering::Stands(DayState::Waiting, note)
            }
            Decision::Keep => Self::kept(&gathered, &known),
        })
    }

    fn kept(gathered: &Gathered, known: &planner::DayHistory) -> Gathering {
        let Some(product) = known.product() else {
            let note = "its product was taken back, and the inputs are still the same; `nilas backfill --again` makes it all the same";
            return Gathering::Stands(DayState::Waiting, note.to_owned());
        };
        let Aftermath { state, note, .. } = records::after_product(product);
        let gaps = &gathered.declared_gaps;
        if state == DayState::Provisional && !gaps.is_empty() {
            let roles: Vec<&str> = gaps.iter().map(|role| role.name()).collect();
            let note = format!("{note}; there will be no {} of this day", roles.join(" and no "));
            return Gathering::Stands(DayState::Gap, note);
        }
        Gathering::Stands(state, note)
    }

    async fn produce(
        &self,
        gathered: Gathered,
        origin: Origin,
        stop: &CancellationToken,
    ) -> Result<(), DaemonError> {
        let day = gathered.day;
        // With a second try on another device.
        let longest = Duration::from_secs(self.config.production.deadline_seconds).saturating_mul(2);
        let _at_work =
            self.pulse.begins(format!("producing {day}"), self.clock.monotonic(), longest + MARGIN);
        match self.productions.run(gathered, origin, stop).await {
            Ok(Conclusion::Published(produced)) => {
                incidents::note_degradation(self.ledger, day, self.clock.now())?;
                tracing::info!(%day, revision = produced.published.revision, folder = %produced.published.folder.display(), "published");
                Ok(())
            }
            Ok(Conclusion::Found { revision, reason }) => {
                tracing::warn!(%day, revision, "published, though the production did not end as it should: {reason}");
                Ok(())
            }
            // Told to stop, or somebody else is at it: what comes of that stands in the ledger next time.
            Ok(Conclusion::Without(Mishap::Stopped))
            | Err(DaemonError::Produce(ProduceError::Busy { .. })) => Ok(()),
            Ok(Conclusion::Without(mishap)) => {
                tracing::error!(%day, "production failed: {}", mishap.reason());
                Ok(())
            }
            Err(error @ DaemonError::Space { .. }) => {
                incidents::no_space(self.ledger, &error, self.clock.now())?;
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

/// What became of one day: its own trouble is kept for later, and only that of the ledger, without which nothing can be remembered, ends
/// the look at others.
fn of_the_day(attended: Result<(), DaemonError>) -> Result<Result<(), DaemonError>, DaemonError> {
    match attended {
        Err(error) if error.of_ledger().is_some() => Err(error),
        of_the_day => Ok(of_the_day),
    }
}

impl Cause {
    /// Whether a day is looked after without being asked for.
    pub(super) fn is_regular(self) -> bool {
        self != Self::Asked
    }
}

/// Whether every file that is lacking has been given up.
fn is_hopeless(error: &GatherError) -> bool {
    let GatherError::NotYet { lacking, .. } = error else { return false };
    lacking.iter().all(|lack| matches!(lack.availability, Some(Availability::Missing { .. })))
}

/// What the ledger knows of the days that may be due.
pub(super) fn history(ledger: &Ledger, config: &Config, now: DateTime<Utc>) -> Result<History, DaemonError> {
    let (newest, first) = planner::looked_after(now, config);
    let mut history =
        History { newest_thickness: ledger.newest_centre(Role::Thickness.name())?, ..History::default() };
    for row in ledger.days(first, newest)? {
        let day = row.day;
        history.days.entry(day).or_default().row = Some(row);
    }
    for product in ledger.products_between(first, newest)? {
        history.days.entry(product.day).or_default().products.push(product);
    }
    // Days that are asked for may lie anywhere.
    for (day, known) in &mut history.days {
        if *day < first || *day > newest {
            known.products = ledger.products_of(*day)?;
        }
    }
    Ok(history)
}

fn history_of(ledger: &Ledger, day: ProductDay, config: &Config) -> Result<planner::DayHistory, DaemonError> {
    let products = &config.inputs.concentration.products;
    let (first, last) = (day.plus_days(-LATELY_DAYS), day.plus_days(-1));
    let before = ledger.accepted_files(Role::Concentration.name(), first, last)?;
    let concentration_before =
        products.iter().find(|product| before.iter().any(|row| row.product == **product)).cloned();
    Ok(planner::DayHistory {
        row: ledger.day(day)?,
        products: ledger.products_of(day)?,
        concentration_before,
    })
}
