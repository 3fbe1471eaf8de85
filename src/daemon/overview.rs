//! How everything stands: the last days, the inputs, what is at work, what is wrong. The same for people and for machines.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use crate::config::Config;
use crate::ledger::{Channel, DayRow, DayState, FileRow, Incident, Ledger, ProductRow, RunRow, Severity};
use crate::publish;
use crate::source::{Role, Season, due, season, window_end};
use crate::time::ProductDay;

use super::planner::looked_after;
use super::{DaemonError, DaemonLock};

/// The state of a day that was never looked at.
const UNKNOWN: &str = "unknown";

/// How everything stands at a moment. Its JSON is what `nilas status --json` prints; times are UTC.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Overview {
    /// The moment.
    pub at: DateTime<Utc>,
    /// The process of the daemon; none where no daemon is at work.
    pub daemon: Option<String>,
    /// What is overdue, in a sentence; none where the newest product is young enough, or it is off season.
    pub overdue: Option<String>,
    /// That a person holds production.
    pub hold: Option<HoldOverview>,
    /// The newest product that stands.
    pub newest: Option<NewestProduct>,
    /// The inputs, one a role.
    pub inputs: Vec<InputOverview>,
    /// The runs that are at work, or were cut off.
    pub at_work: Vec<RunOverview>,
    /// The last run that ended.
    pub last_run: Option<RunOverview>,
    /// Open incidents, the oldest first.
    pub incidents: Vec<IncidentOverview>,
    /// Days that a person has asked for.
    pub days_asked_for: usize,
    /// Messages to people that have not arrived.
    pub messages_waiting: usize,
    /// How many of the remembered runs ended in each way.
    pub outcomes: BTreeMap<&'static str, u64>,
    /// The last days, the newest first.
    pub days: Vec<DayOverview>,
}

/// That a person holds production.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HoldOverview {
    /// Since when, UTC.
    pub since: DateTime<Utc>,
    /// Why, in the person's words.
    pub reason: String,
}

/// The newest product that stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewestProduct {
    /// Its day.
    pub day: ProductDay,
    /// Its revision.
    pub revision: u32,
    /// Whether it is made of the inputs of its day.
    pub is_final: bool,
    /// When it was made, UTC.
    pub published_at: DateTime<Utc>,
    /// Since the end of its day, s.
    pub age_seconds: i64,
    /// What is worse than it should be beside aged inputs, in a sentence.
    pub degradation: Option<String>,
    /// Its folder.
    pub folder: String,
}

/// How the series of an input stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InputOverview {
    /// What it gives.
    pub role: &'static str,
    /// `current`, `late`, `off_season`, or `none` where no file was ever accepted.
    pub standing: &'static str,
    /// The newest file that was accepted.
    pub newest: Option<NewestFile>,
}

/// The newest accepted file of an input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewestFile {
    /// Its name.
    pub name: String,
    /// The day that it is centred on.
    pub centre: ProductDay,
    /// The server that gave it.
    pub server: String,
    /// When it came, UTC.
    pub fetched_at: DateTime<Utc>,
    /// Since the end of what it observes, s.
    pub age_seconds: i64,
}

/// A run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunOverview {
    /// Its number.
    pub id: i64,
    /// Its day.
    pub day: ProductDay,
    /// Who wanted it: `schedule`, `backfill` or `person`.
    pub origin: &'static str,
    /// The number that its product has, should there be one.
    pub revision: u32,
    /// When it began, UTC.
    pub started_at: DateTime<Utc>,
    /// How long it took, or has taken so far, s.
    pub seconds: i64,
    /// How it ended; none while it is at work.
    pub outcome: Option<&'static str>,
    /// Why it ended so, in a sentence; none where it published.
    pub reason: Option<String>,
    /// Where the network ran.
    pub device: Option<String>,
    /// The largest resident size that was seen, bytes.
    pub peak_memory_bytes: Option<u64>,
    /// Its stages in order.
    pub stages: Vec<StageOverview>,
}

/// A stage of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StageOverview {
    /// Its name.
    pub stage: String,
    /// How long it took, s.
    pub seconds: f64,
}

/// An open incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IncidentOverview {
    /// Its cause; `nilas status --ack` takes it.
    pub key: String,
    /// How much it matters.
    pub severity: Severity,
    /// What is the matter, in a sentence.
    pub text: String,
    /// When it was raised first, UTC.
    pub since: DateTime<Utc>,
    /// When it was raised last, UTC.
    pub last_seen: DateTime<Utc>,
    /// How often it was raised.
    pub count: u32,
    /// When a person said that they know of it, UTC.
    pub acknowledged: Option<DateTime<Utc>>,
}

/// How a day stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DayOverview {
    /// The day.
    pub day: ProductDay,
    /// The state's name in the ledger; `unknown` where it was never looked at.
    pub state: &'static str,
    /// Why it stands so, in a sentence.
    pub note: String,
    /// Since when it has this state, UTC.
    pub since: Option<DateTime<Utc>>,
    /// The revision that readers have, or had before it was cleared away.
    pub revision: Option<u32>,
    /// Whether that is made of the inputs of its day.
    pub is_final: Option<bool>,
    /// When it was made, UTC.
    pub published_at: Option<DateTime<Utc>>,
    /// Whether its files were cleared away.
    pub is_removed: bool,
    /// What is worse than it should be beside aged inputs, in a sentence.
    pub degradation: Option<String>,
    /// The revisions that were taken back.
    pub withdrawn: Vec<WithdrawnOverview>,
    /// Productions that failed since one succeeded.
    pub failures: u32,
    /// Whether a person has asked for it.
    pub is_asked_for: bool,
}

/// A revision that was taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WithdrawnOverview {
    /// Its number.
    pub revision: u32,
    /// When, UTC.
    pub at: DateTime<Utc>,
    /// Why, in a person's words.
    pub reason: String,
}

impl Overview {
    /// The days that readers are shown.
    pub const DAYS: u32 = 30;

    /// How everything stands, with the last [`Overview::DAYS`] days.
    ///
    /// # Errors
    /// [`DaemonError`].
    pub fn of(ledger: &Ledger, config: &Config, now: DateTime<Utc>) -> Result<Self, DaemonError> {
        Self::with_days(ledger, config, now, Self::DAYS)
    }

    /// The same with another number of days. What it costs does not grow with the history.
    ///
    /// # Errors
    /// [`DaemonError`].
    pub fn with_days(
        ledger: &Ledger,
        config: &Config,
        now: DateTime<Utc>,
        days: u32,
    ) -> Result<Self, DaemonError> {
        let hold = ledger.current_hold()?;
        let messages: usize =
            Channel::ALL.iter().map(|channel| ledger.unsent(*channel)).sum::<Result<_, _>>()?;
        let outcomes = ledger.outcomes()?;
        let inputs = Role::ALL.into_iter().map(|role| input(ledger, config, role, now));
        let at_work = ledger.runs_at_work()?;
        Ok(Self {
            at: now,
            daemon: DaemonLock::holder(&config.folders.state)?,
            overdue: overdue(ledger, config, now)?,
            hold: hold.map(|hold| HoldOverview { since: hold.began_at, reason: hold.reason }),
            newest: ledger.newest_product()?.map(|product| newest(product, config, now)),
            inputs: inputs.collect::<Result<_, _>>()?,
            at_work: at_work.into_iter().map(|row| run(row, now)).collect(),
            last_run: ledger.last_run()?.map(|row| run(row, now)),
            incidents: ledger.open_incidents()?.into_iter().map(incident).collect(),
            days_asked_for: ledger.days_asked_for()?,
            messages_waiting: messages,
            outcomes: outcomes.into_iter().map(|(outcome, count)| (outcome.name(), count)).collect(),
            days: last_days(ledger, now, days)?,
        })
    }
}

impl DayOverview {
    /// Its state in a word or two.
    #[must_use]
    pub fn state_in_words(&self) -> &'static str {
        match self.state {
            "running" => "at work",
            "off_season" => "off season",
            UNKNOWN => "not looked at",
            state => state,
        }
    }
}

impl InputOverview {
    /// How it stands, in a word or two.
    #[must_use]
    pub fn standing_in_words(&self) -> &'static str {
        match self.standing {
            "current" => "as expected",
            "off_season" => "off season",
            "none" => "none has come yet",
            standing => standing,
        }
    }
}

/// What is overdue, in a sentence: the day of which a product should be there by now, where there is none as young. Nothing is
/// off season.
pub(super) fn overdue(
    ledger: &Ledger,
    config: &Config,
    now: DateTime<Utc>,
) -> Result<Option<String>, DaemonError> {
    let (newest_day, first) = looked_after(now, config);
    let limit = TimeDelta::hours(i64::from(config.http.ready_hours));
    let mut days = (0..=newest_day.days_since(first)).map(|back| newest_day.plus_days(-back));
    let Some(due) = days.find(|day| window_end(Role::Concentration, *day) + limit <= now) else {
        return Ok(None);
    };
    let row = ledger.day(due)?;
    let newest = ledger.newest_product()?.map(|product| product.day);
    let is_off_season = row.as_ref().is_some_and(|row| row.state == DayState::OffSeason);
    if newest >= Some(due) || is_off_season || may_be_off_season(ledger, config, due)? {
        return Ok(None);
    }
    let newest = newest.map_or("there is none at all".to_owned(), |day| format!("the newest is of {day}"));
    let why = row.map_or("it was not looked at".to_owned(), |row| row.note);
    Ok(Some(format!("there should be a product of {due} by now, and {newest}: {why}")))
}

/// The key of the incident of a thickness that is late.
const LATE_THICKNESS: &str = "late:thickness";

/// Whether no thickness serves a day, that of the days before ended in the part of the year in which its season does, in one year earlier
/// than in another, and that is all: people were told that it is late, and can do no more.
fn may_be_off_season(ledger: &Ledger, config: &Config, day: ProductDay) -> Result<bool, DaemonError> {
    let input = &config.inputs.thickness;
    let Some(newest) = ledger.newest_centre(Role::Thickness.name())? else { return Ok(false) };
    let last_served = newest.plus_days(i64::from(input.oldest_days));
    let is_in_season = input.always_in_season.is_some_and(|part| part.contains(last_served.plus_days(1)));
    let is_told = ledger.incident(LATE_THICKNESS)?.is_some_and(|late| late.closed_at.is_none());
    Ok(day > last_served && !is_in_season && is_told)
}

fn newest(product: ProductRow, config: &Config, now: DateTime<Utc>) -> NewestProduct {
    let folder = publish::revision_folder(&config.folders.products, product.day, product.revision);
    NewestProduct {
        day: product.day,
        revision: product.revision,
        is_final: product.is_final,
        published_at: product.published_at,
        age_seconds: (now - window_end(Role::Concentration, product.day)).num_seconds(),
        degradation: product.degradation,
        folder: folder.display().to_string(),
    }
}

fn input(
    ledger: &Ledger,
    config: &Config,
    role: Role,
    now: DateTime<Utc>,
) -> Result<InputOverview, DaemonError> {
    let centre = ledger.newest_centre(role.name())?;
    let file = match centre {
        Some(centre) => ledger.accepted_files(role.name(), centre, centre)?.into_iter().next(),
        None => None,
    };
    let (input, today) = (role.input(&config.inputs), ProductDay::new(now.date_naive()));
    let standing = match centre {
        None => "none",
        Some(_) if matches!(season(centre, today, input), Season::Over { .. }) => "off_season",
        Some(centre) if centre >= due(now, role, input) => "current",
        Some(_) => "late",
    };
    let newest = file.map(|FileRow { name, centre, server, fetched_at, .. }| NewestFile {
        name,
        centre,
        server,
        fetched_at,
        age_seconds: (now - window_end(role, centre)).num_seconds(),
    });
    Ok(InputOverview { role: role.name(), standing, newest })
}

fn run(row: RunRow, now: DateTime<Utc>) -> RunOverview {
    let end = row.end;
    let until = end.as_ref().map_or(now, |end| end.at);
    let stages = end.as_ref().map(|end| end.stages.clone()).unwrap_or_default();
    RunOverview {
        id: row.id,
        day: row.day,
        origin: row.origin.name(),
        revision: row.revision,
        started_at: row.started_at,
        seconds: (until - row.started_at).num_seconds().max(0),
        outcome: end.as_ref().map(|end| end.outcome.name()),
        peak_memory_bytes: end.as_ref().and_then(|end| end.peak_memory_bytes),
        device: end.as_ref().and_then(|end| end.device.clone()),
        reason: end.and_then(|end| end.reason),
        stages: stages.into_iter().map(|(stage, seconds)| StageOverview { stage, seconds }).collect(),
    }
}

fn incident(incident: Incident) -> IncidentOverview {
    IncidentOverview {
        key: incident.key,
        severity: incident.severity,
        text: incident.text,
        since: incident.opened_at,
        last_seen: incident.last_seen_at,
        count: incident.count,
        acknowledged: incident.acknowledged_at,
    }
}

fn last_days(ledger: &Ledger, now: DateTime<Utc>, days: u32) -> Result<Vec<DayOverview>, DaemonError> {
    let newest = ProductDay::new(now.date_naive()).plus_days(-1);
    let first = newest.plus_days(1 - i64::from(days));
    let mut rows: BTreeMap<ProductDay, DayRow> =
        ledger.days_between(first, newest)?.into_iter().map(|row| (row.day, row)).collect();
    let mut products: BTreeMap<ProductDay, Vec<ProductRow>> = BTreeMap::new();
    for product in ledger.products_between(first, newest)? {
        products.entry(product.day).or_default().push(product);
    }
    let last = (0..i64::from(days)).map(|back| newest.plus_days(-back));
    Ok(last
        .map(|day| day_overview(day, rows.remove(&day), &products.remove(&day).unwrap_or_default()))
        .collect())
}

fn day_overview(day: ProductDay, row: Option<DayRow>, products: &[ProductRow]) -> DayOverview {
    let shown = products.iter().rev().find(|product| product.withdrawal.is_none());
    let withdrawn = products.iter().filter_map(|product| {
        let withdrawal = product.withdrawal.clone()?;
        Some(WithdrawnOverview { revision: product.revision, at: withdrawal.at, reason: withdrawal.reason })
    });
    let adopted = shown.map(|product| if product.is_final { DayState::Final } else { DayState::Provisional });
    DayOverview {
        day,
        state: row.as_ref().map(|row| row.state).or(adopted).map_or(UNKNOWN, DayState::name),
        note: row.as_ref().map(|row| row.note.clone()).unwrap_or_default(),
        since: row.as_ref().map(|row| row.changed_at),
        revision: shown.map(|product| product.revision),
        is_final: shown.map(|product| product.is_final),
        published_at: shown.map(|product| product.published_at),
        is_removed: shown.is_some_and(|product| product.removed_at.is_some()),
        degradation: shown.and_then(|product| product.degradation.clone()),
        withdrawn: withdrawn.collect(),
        failures: row.as_ref().map_or(0, |row| row.failures),
        is_asked_for: row.is_some_and(|row| row.asked.is_some()),
    }
}

/// A stretch of time for people, in its two largest units.
#[must_use]
pub fn stretch(seconds: i64) -> String {
    let minutes = seconds.max(0) / 60;
    match (minutes / 1440, minutes % 1440 / 60) {
        (0, 0) if minutes == 0 => format!("{} s", seconds.max(0)),
        (0, 0) => format!("{minutes} min"),
        (0, hours) => format!("{hours} h {} min", minutes % 60),
        (days, hours) => format!("{days} d {hours} h"),
    }
}

/// A time for people.
pub(super) fn moment(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M UTC").to_string()
}

#[cfg(test)]
#[path = "overview_tests.rs"]
mod tests;
