//! What is due, and whether what was gathered for a day is worth a production. Pure: both follow from the ledger, the time and the
//! configuration alone, so that a wake-up that was missed, a restart or a step of the clock changes nothing.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use crate::config::Config;
use crate::ledger::{DayRow, DayState, ProductRow};
use crate::produce::{AcceptedFile, Gathered};
use crate::source::{Availability, Role, recognise, window_end};
use crate::time::ProductDay;

/// The roles that an older file may stand in for.
const REPLACEABLE: [Role; 2] = [Role::Thickness, Role::Drift];

/// Doubling a pause more often than this is longer than any.
const MOST_DOUBLINGS: u32 = 20;

/// What the ledger knows of the days that a plan is made for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct History {
    /// Days that were looked at or asked for, with their products.
    pub days: BTreeMap<ProductDay, DayHistory>,
    /// The centre of the newest thickness file that was accepted.
    pub newest_thickness: Option<ProductDay>,
}

/// What the ledger knows of a day.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DayHistory {
    /// How it stands; none where it was never looked at.
    pub row: Option<DayRow>,
    /// Its products, the oldest revision first, also those that were taken back or cleared away.
    pub products: Vec<ProductRow>,
    /// The best product, by its word, that a concentration of the week before was of; none where there was none.
    pub concentration_before: Option<String>,
}

/// A day to look at now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueDay {
    /// The day.
    pub day: ProductDay,
    /// Why.
    pub cause: Cause,
}

/// Why a day is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// It has no product.
    New,
    /// Its product is provisional, and a better one may be possible.
    Improvement,
    /// A person asked for it.
    Asked,
}

/// Whether what was gathered for a day is worth a production.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It is.
    Produce,
    /// What is published stands: these inputs do not make it better.
    Keep,
    /// Better inputs should be there by now, and are waited for until the cut-off: these roles, centred on these days.
    Wait(Vec<(Role, ProductDay)>),
    /// The concentration is of a worse product than that of days before, and until this time the better one may come as it usually does.
    WaitForBetter(DateTime<Utc>),
}

impl DayHistory {
    /// The product that readers have, or had before it was cleared away; none where it was taken back.
    #[must_use]
    pub fn product(&self) -> Option<&ProductRow> {
        self.products.iter().rev().find(|product| product.withdrawal.is_none())
    }

    fn state(&self) -> Option<DayState> {
        self.row.as_ref().map(|row| row.state)
    }

    /// Whether a person wants it to be made, although a product stands.
    fn is_asked_again(&self) -> bool {
        let asked = self.row.as_ref().and_then(|row| row.asked);
        asked.is_some_and(|asked| asked.again)
    }
}

/// The days to look at now: those that are looked after, the newest first; behind them those that were asked for.
#[must_use]
pub fn plan(history: &History, now: DateTime<Utc>, config: &Config) -> Vec<DueDay> {
    let none = DayHistory::default();
    let of = |day: ProductDay| history.days.get(&day).unwrap_or(&none);
    let (newest, first) = looked_after(now, config);
    let mut due: Vec<DueDay> = (0..=newest.days_since(first))
        .map(|back| newest.plus_days(-back))
        .filter_map(|day| {
            let cause = cause(of(day), day, history, now, config)?;
            Some(DueDay { day, cause })
        })
        .collect();
    let asked = history.days.iter().rev().filter(|(day, known)| {
        let is_wanted = known.row.as_ref().is_some_and(|row| row.asked.is_some());
        let is_open = known.is_asked_again() || !known.product().is_some_and(|product| product.is_final);
        let ended = now >= window_end(Role::Concentration, **day);
        is_wanted
            && is_open
            && ended
            && is_at_rest(known, now, config)
            && due.iter().all(|due| due.day != **day)
    });
    let asked: Vec<DueDay> = asked.map(|(day, _)| DueDay { day: *day, cause: Cause::Asked }).collect();
    due.extend(asked);
    due
}

/// The newest day that has ended, and the first that is looked after without being asked for.
#[must_use]
pub fn looked_after(now: DateTime<Utc>, config: &Config) -> (ProductDay, ProductDay) {
    let newest = ProductDay::new(now.date_naive()).plus_days(-1);
    let first = newest.plus_days(1 - i64::from(config.schedule.look_back_days));
    (newest, config.schedule.first_day.map_or(first, |configured| configured.max(first)))
}

fn cause(
    known: &DayHistory,
    day: ProductDay,
    history: &History,
    now: DateTime<Utc>,
    config: &Config,
) -> Option<Cause> {
    if !is_at_rest(known, now, config) {
        return None;
    }
    match known.product() {
        None => may_be_in_season(known, day, history, now, config).then_some(Cause::New),
        Some(product) if product.is_final => None,
        Some(product) => may_improve(product, day, now, config).then_some(Cause::Improvement),
    }
}

/// Whether no production is at work on it, and the last that failed was long enough ago. A failure in the future is one from before
/// the clock was set back.
fn is_at_rest(known: &DayHistory, now: DateTime<Utc>, config: &Config) -> bool {
    if known.state() == Some(DayState::Running) {
        return false;
    }
    let Some((failures, failed_at)) = known.row.as_ref().and_then(|row| Some((row.failures, row.failed_at?)))
    else {
        return true;
    };
    failed_at > now || now >= failed_at + pause_after(failures, config)
}

/// How long nothing is tried after so many failures in a row.
#[must_use]
pub(super) fn pause_after(failures: u32, config: &Config) -> TimeDelta {
    let schedule = &config.schedule;
    let doublings = failures.saturating_sub(1).min(MOST_DOUBLINGS);
    let minutes = u64::from(schedule.retry_minutes) << doublings;
    TimeDelta::minutes(minutes.min(u64::from(schedule.longest_retry_minutes)) as i64)
}

/// A day that was found off season is looked at again when a thickness file has come that could serve it; the newest day always is,
/// because that is how such a file is found.
fn may_be_in_season(
    known: &DayHistory,
    day: ProductDay,
    history: &History,
    now: DateTime<Utc>,
    config: &Config,
) -> bool {
    let oldest_that_serves = day.plus_days(-i64::from(config.inputs.thickness.oldest_days));
    known.state() != Some(DayState::OffSeason)
        || day == looked_after(now, config).0
        || history.newest_thickness.is_some_and(|newest| newest >= oldest_that_serves)
}

/// Whether a file that the product lacks can be there: not before its window has ended.
fn may_improve(product: &ProductRow, day: ProductDay, now: DateTime<Utc>, config: &Config) -> bool {
    let lacking = REPLACEABLE.into_iter().filter(|role| {
        let own = product.inputs.iter().find(|input| input.role == role.name());
        own.is_none_or(crate::ledger::ProductInput::is_aged)
    });
    let mut ends = lacking.map(|role| window_end(role, day));
    if config.schedule.every_improvement { ends.any(|end| now >= end) } else { ends.all(|end| now >= end) }
}

/// Whether these inputs are worth a production of their day.
#[must_use]
pub fn decide(gathered: &Gathered, known: &DayHistory, now: DateTime<Utc>, config: &Config) -> Decision {
    let day = gathered.day;
    if known.is_asked_again() {
        return Decision::Produce;
    }
    if known.products.last().is_some_and(|last| is_made_of(last, gathered)) {
        return Decision::Keep;
    }
    let ages = REPLACEABLE.map(|role| (role, age_days(file(gathered, role), day)));
    let is_final = ages.iter().all(|(_, age)| *age == Some(0));
    match known.product() {
        Some(product) if product.is_final => Decision::Keep,
        _ if is_final => Decision::Produce,
        Some(product) => {
            let settled =
                ages.iter().all(|(role, age)| *age == Some(0) || gathered.declared_gaps.contains(role));
            let wanted = config.schedule.every_improvement || settled;
            if wanted && is_closer(&ages, product) { Decision::Produce } else { Decision::Keep }
        }
        None => {
            let is_asked = known.row.as_ref().is_some_and(|row| row.asked.is_some());
            if is_asked || now >= cut_off(day, config) {
                return Decision::Produce;
            }
            if let Some(expected) = better_concentration(gathered, known, now, config) {
                return Decision::WaitForBetter(expected);
            }
            let lacking = lacking(&ages, day, now, config);
            if lacking.is_empty() { Decision::Produce } else { Decision::Wait(lacking) }
        }
    }
}

/// When a better product of the day's concentration usually is there, where it served days before and that time is to come. Which of two
/// products comes first is chance.
fn better_concentration(
    gathered: &Gathered,
    known: &DayHistory,
    now: DateTime<Utc>,
    config: &Config,
) -> Option<DateTime<Utc>> {
    let (role, input) = (Role::Concentration, &config.inputs.concentration);
    let rank = |word: &str| input.products.iter().position(|product| product == word);
    let found = recognise(&gathered.concentration.name())?;
    let is_worse = rank(found.word())? > rank(known.concentration_before.as_deref()?)?;
    let expected = Availability::at(now, role, gathered.day, input).expected();
    (is_worse && now < expected).then_some(expected)
}

/// From when on a day is made with whatever inputs are allowed.
#[must_use]
pub fn cut_off(day: ProductDay, config: &Config) -> DateTime<Utc> {
    window_end(Role::Concentration, day) + TimeDelta::hours(i64::from(config.schedule.cut_off_hours))
}

/// The roles whose file is older than the newest that should be there by now, with the centre of that.
fn lacking(
    ages: &[(Role, Option<i64>)],
    day: ProductDay,
    now: DateTime<Utc>,
    config: &Config,
) -> Vec<(Role, ProductDay)> {
    let usual_age = |role: Role| {
        let input = role.input(&config.inputs);
        (0..=i64::from(input.oldest_days))
            .find(|age| now >= Availability::at(now, role, day.plus_days(-age), input).expected())
    };
    ages.iter()
        .filter_map(|(role, age)| {
            let usual = usual_age(*role)?;
            age.is_none_or(|age| age > usual).then(|| (*role, day.plus_days(-usual)))
        })
        .collect()
}

/// Centres of windows are some seconds off: what is closer than this is equally old, days.
const EQUAL_DAYS: f64 = 0.5;

/// Whether some input is closer to the day than the product's, and none farther away.
fn is_closer(ages: &[(Role, Option<i64>)], product: &ProductRow) -> bool {
    let change = |(role, age): &(Role, Option<i64>)| {
        let before = product.inputs.iter().find(|input| input.role == role.name())?;
        Some((*age)? as f64 - before.age_days)
    };
    let changes: Vec<f64> = ages.iter().filter_map(change).collect();
    changes.iter().any(|change| *change < -EQUAL_DAYS) && changes.iter().all(|change| *change < EQUAL_DAYS)
}

fn is_made_of(product: &ProductRow, gathered: &Gathered) -> bool {
    Role::ALL.into_iter().all(|role| {
        let sha256 = &file(gathered, role).sha256;
        product.inputs.iter().any(|input| input.role == role.name() && input.sha256 == *sha256)
    })
}

fn file(gathered: &Gathered, role: Role) -> &AcceptedFile {
    match role {
        Role::Concentration => &gathered.concentration,
        Role::Thickness => &gathered.thickness,
        Role::Drift => &gathered.drift,
    }
}

/// Days from the centre of a file's window to the day; `None` for a name that says nothing.
fn age_days(file: &AcceptedFile, day: ProductDay) -> Option<i64> {
    recognise(&file.name()).map(|known| day.days_since(known.centre()))
}

#[cfg(test)]
#[path = "planner_tests.rs"]
mod tests;
