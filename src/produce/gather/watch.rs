//! What a series of days tells beyond one day. Each thing is said once, when it begins, and once, when it ends; the ledger
//! remembers what is open.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::TimeDelta;

use crate::ledger::Severity;
use crate::source::{self, Availability, Role, Season};
use crate::time::ProductDay;

use super::survey::Survey;
use super::{GatherError, Gathered, Gatherer, Search, Series};

/// So many new names stand in a message; more are counted. A server can list as many as it likes.
const MOST_NAMED: usize = 5;
/// So long no new name must have been seen before that is over. Days that are looked at one after the other list different folders, and
/// not all of these hold the name; looks come much more often.
const QUIET: TimeDelta = TimeDelta::hours(6);

/// Whether the files looked at are a series that is watched over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watch {
    /// The configured servers: what is late, missing or new there is said and recorded.
    Series,
    /// Files that a person put together for a day; what is not among them says nothing about the provider.
    Nothing,
}

/// A look at days that is under way: servers, and files that can stand in for several days, are shared by these, so that a cause is over
/// when a whole look has not met it. Days that are gathered outside of one, because a person asks for them, may lie long ago: what they
/// meet is written to the log, and no incident of the series.
pub struct Look<'a> {
    gatherer: &'a Gatherer,
    met: Mutex<Met>,
}

/// What a look has met so far.
#[derive(Debug, Default)]
struct Met {
    causes: BTreeSet<String>,
    /// What is to be said where the cause is not among these.
    well: BTreeMap<String, String>,
}

/// By cause the days for which another file stood in when they were looked at last. Not every look comes by every day.
pub(super) type StandingIn = BTreeMap<String, BTreeSet<ProductDay>>;

impl Look<'_> {
    /// As [`Gatherer::gather`], for a day of this look.
    ///
    /// # Errors
    /// Those of it.
    pub async fn gather(&self, day: ProductDay) -> Result<Gathered, GatherError> {
        self.gatherer.gather_in(Some(self), day).await
    }

    /// All days were looked at: what none of them has met any more is over.
    ///
    /// # Errors
    /// [`GatherError`] of the ledger.
    pub fn complete(self) -> Result<(), GatherError> {
        let Self { gatherer, met } = self;
        let Met { causes, well } = met.into_inner().unwrap_or_else(PoisonError::into_inner);
        for (key, text) in well.into_iter().filter(|(key, _)| !causes.contains(key)) {
            if !gatherer.stands_in(&key) {
                gatherer.settle(&key, &text)?;
            }
        }
        Ok(())
    }

    fn met(&self) -> MutexGuard<'_, Met> {
        self.met.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A cause has shown; the newest day is looked at first, and its words are kept.
    fn meet(&self, key: &str, text: &str) -> Result<(), GatherError> {
        let is_first = self.met().causes.insert(key.to_owned());
        if is_first { self.gatherer.raise(key, Severity::Warning, text) } else { Ok(()) }
    }

    /// A day has not met a cause; `text` is said should no other one have.
    fn is_well(&self, key: String, text: String) {
        self.met().well.insert(key, text);
    }
}

/// A cause has shown: in a look it may be an incident, outside it stands in the log.
fn meet(look: Option<&Look<'_>>, key: &str, text: &str) -> Result<(), GatherError> {
    let Some(look) = look else {
        tracing::warn!("{text}");
        return Ok(());
    };
    look.meet(key, text)
}

impl Gatherer {
    /// Servers are asked anew what they have: what they listed before is of another moment. Days that are gathered until the next look
    /// share one answer.
    pub fn look_anew(&self) -> Look<'_> {
        self.listings.forget();
        Look { gatherer: self, met: Mutex::default() }
    }

    fn standing_in(&self) -> MutexGuard<'_, StandingIn> {
        self.standing_in.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether another file stands in for a day that is still looked after, because of this cause.
    fn stands_in(&self, key: &str) -> bool {
        let today = ProductDay::new(self.clock.now().date_naive());
        let first = today.plus_days(-i64::from(self.config.schedule.look_back_days));
        self.standing_in().get(key).is_some_and(|days| days.iter().any(|day| *day >= first))
    }

    /// Says what began or ended with this search.
    pub(super) fn take_note(
        &self,
        look: Option<&Look<'_>>,
        search: &Search,
        day: ProductDay,
    ) -> Result<(), GatherError> {
        if self.watch == Watch::Nothing {
            if search.accepted.is_some() {
                for reason in search.not_used() {
                    tracing::warn!("{reason}");
                }
            }
            return Ok(());
        }
        let role = search.role;
        let not_fetched = search.not_fetched.first().cloned();
        let over = || format!("{role} can be fetched again");
        self.note_stand_in(look, &format!("fetch:{role}"), search, day, not_fetched, over)?;
        // Where nothing serves the gathering ends with the refusal, and whoever handles that says it.
        let refused = search.refused.first().filter(|_| search.accepted.is_some());
        let over = || format!("no better file of {role} is refused");
        self.note_stand_in(
            look,
            &format!("refused:{role}"),
            search,
            day,
            refused.map(|reason| in_its_place(reason)),
            over,
        )?;
        let due = source::due(self.clock.now(), search.role, search.role.input(&self.config.inputs));
        // Only around today is everything listed that would have to be there by now.
        if day >= due {
            self.note_season(search)?;
            self.note_lateness(search, due)?;
            self.note_product(search, day)?;
        }
        Ok(())
    }

    /// A file that is there and cannot be had, or not be used: an older one stands in, which must not pass unnoticed. `over` is what is
    /// said when that is over.
    fn note_stand_in(
        &self,
        look: Option<&Look<'_>>,
        key: &str,
        search: &Search,
        day: ProductDay,
        reason: Option<String>,
        over: impl Fn() -> String,
    ) -> Result<(), GatherError> {
        match (reason, look) {
            (Some(reason), _) => {
                if look.is_some() {
                    self.standing_in().entry(key.to_owned()).or_default().insert(day);
                }
                meet(look, key, &reason)?;
            }
            (None, Some(look)) if search.accepted.is_some() => {
                if let Some(days) = self.standing_in().get_mut(key) {
                    days.remove(&day);
                }
                look.is_well(key.to_owned(), over());
            }
            _ => {}
        }
        Ok(())
    }

    fn note_season(&self, search: &Search) -> Result<(), GatherError> {
        let (key, role) = (format!("season:{}", search.role), search.role);
        match search.series.season_now {
            Season::Over { newest } => {
                let text = format!(
                    "the season of {role} is over: the newest is centred on {newest}; quiet until the first of the next"
                );
                self.raise(&key, Severity::Notice, &text)
            }
            Season::Open => self.settle(&key, &format!("{role} is in season: its files are waited for")),
        }
    }

    /// A series is late when it does not reach the day that is due.
    fn note_lateness(&self, search: &Search, due: ProductDay) -> Result<(), GatherError> {
        let (key, role) = (format!("late:{}", search.role), search.role);
        let Series { newest, season_now, .. } = search.series;
        if season_now != Season::Open || newest >= Some(due) {
            return self.settle(&key, &format!("{role} is not late any more"));
        }
        // Nobody knows what is there while a server does not answer; that has been said.
        if !search.unreachable.is_empty() {
            return Ok(());
        }
        let newest =
            newest.map_or("none is there".to_owned(), |newest| format!("the newest is centred on {newest}"));
        let text = format!("{role} is late: {newest}, that of {due} should have come");
        self.raise(&key, Severity::Warning, &text)
    }

    /// The better of two products that stops is a loss, also while the other one fills every day.
    fn note_product(&self, search: &Search, day: ProductDay) -> Result<(), GatherError> {
        let (key, role) = (format!("product:{}", search.role), search.role);
        let Some(accepted) = &search.accepted else { return Ok(()) };
        // A better one that is there and cannot be used was told as that.
        if search.not_used().next().is_some() {
            return Ok(());
        }
        let (time, input) = (self.clock.now(), role.input(&self.config.inputs));
        // Before its time it is not missed.
        let is_expected = time >= Availability::at(time, role, day, input).expected();
        let before = self.ledger.previous_accepted(role.name(), day)?;
        let Some(before) = before.filter(|row| self.is_of_the_series(row)) else { return Ok(()) };
        let products = &input.products;
        let rank = |word: &str| products.iter().position(|product| product == word);
        match (rank(&accepted.word), rank(&before.product)) {
            (Some(now), Some(then)) if now > then && is_expected => {
                let (word, better) = (&accepted.word, &before.product);
                let text = format!(
                    "{role} of {day} is taken from {word}: {better}, which served before, is not there"
                );
                self.raise(&key, Severity::Warning, &text)
            }
            (Some(now), Some(then)) if now < then => {
                self.settle(&key, &format!("{role} is taken from {} again", accepted.word))
            }
            _ => Ok(()),
        }
    }

    /// The roles whose own file will not come any more: holes in the series, declared once, and taken back should it come after all.
    pub(super) fn declared_gaps(
        &self,
        searches: &[Search],
        day: ProductDay,
    ) -> Result<Vec<Role>, GatherError> {
        let mut gaps = Vec::new();
        for search in searches.iter().filter(|_| self.watch == Watch::Series) {
            let role = search.role;
            if search.has_own() {
                if self.ledger.withdraw_gap(day, role.name())? {
                    tracing::info!(%day, "the {role} of {day} has come after all");
                }
            } else if search.is_hole(day) {
                let reason = "its time has passed, and the series has gone on without it";
                if self.ledger.declare_gap(day, role.name(), reason, self.clock.now())? {
                    tracing::warn!(%day, "there will be no {role} of {day}: {reason}");
                }
                gaps.push(role);
            }
        }
        Ok(gaps)
    }

    /// Reports names that look like a new version of a product, and servers that stop or begin to answer.
    pub(super) fn report(
        &self,
        look: Option<&Look<'_>>,
        role: Role,
        survey: &Survey,
    ) -> Result<(), GatherError> {
        if self.watch == Watch::Nothing {
            return Ok(());
        }
        self.note_names(role, survey)?;
        let key = |server: &str| format!("server:{server}:{role}");
        for (server, error) in &survey.failures {
            meet(look, &key(server), &error.to_string())?;
        }
        if let Some(look) = look {
            for server in &survey.answered {
                look.is_well(key(server), format!("server {server} answers again for {role}"));
            }
        }
        Ok(())
    }

    /// One incident for all new names of a role, however many there are: each would be a mail and a wait for the disk.
    fn note_names(&self, role: Role, survey: &Survey) -> Result<(), GatherError> {
        let (key, now) = (format!("names:{role}"), self.clock.now());
        let shapes: BTreeSet<String> =
            survey.offers.iter().filter_map(|offer| self.new_shape(&offer.name, role)).collect();
        if !shapes.is_empty() {
            let text = format!(
                "new product names seen for {role}: {}; if one is to be taken, add its word to inputs.*.products",
                in_words(&shapes)
            );
            return self.raise(&key, Severity::Warning, &text);
        }
        let last = self.ledger.incident(&key)?.map(|incident| incident.last_seen_at);
        if survey.failures.is_empty() && last.is_some_and(|last| now - last >= QUIET) {
            self.settle(&key, &format!("no new product names are seen for {role} any more"))?;
        }
        Ok(())
    }

    /// The shape of a name that is new. One that tells its role is that role's news, also where several lie in one folder.
    fn new_shape(&self, name: &str, role: Role) -> Option<String> {
        let shape = source::unknown_shape(name, &self.config.inputs)?;
        source::recognise(name).is_none_or(|known| known.role() == role).then_some(shape)
    }

    fn raise(&self, key: &str, severity: Severity, text: &str) -> Result<(), GatherError> {
        if self.ledger.raise(key, severity, text, self.clock.now())? {
            match severity {
                Severity::Notice => tracing::info!("{text}"),
                Severity::Warning | Severity::Failure => tracing::warn!("{text}"),
            }
        }
        Ok(())
    }

    fn settle(&self, key: &str, text: &str) -> Result<(), GatherError> {
        if self.ledger.settle(key, self.clock.now())? {
            tracing::info!("{text}");
        }
        Ok(())
    }
}

/// What is said of a file that was refused, where another one serves.
fn in_its_place(reason: &str) -> String {
    format!("another file is taken in its place: {reason}")
}

impl Search {
    /// What is said of each better file that is there, in place of which the accepted one serves.
    fn not_used(&self) -> impl Iterator<Item = String> {
        let not_fetched = self.not_fetched.iter();
        not_fetched
            .map(|reason| format!("another file is taken in place of one that is there: {reason}"))
            .chain(self.refused.iter().map(|reason| in_its_place(reason)))
    }

    fn is_hole(&self, day: ProductDay) -> bool {
        let is_known = self.unreachable.is_empty() && self.series.season_of_day == Season::Open;
        is_known && !self.series.has_any_of_day && self.own.is_hole(day, self.series.newest)
    }
}

/// The first of some shapes, and how many more there are.
fn in_words(shapes: &BTreeSet<String>) -> String {
    let named: Vec<&str> = shapes.iter().take(MOST_NAMED).map(String::as_str).collect();
    match shapes.len() - named.len() {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_shapes_are_named_and_the_others_counted() {
        let words = |number: usize| in_words(&(0..number).map(|n| format!("ice_{n:05}.nc")).collect());
        assert_eq!(words(1), "ice_00000.nc");
        assert_eq!(words(5), "ice_00000.nc, ice_00001.nc, ice_00002.nc, ice_00003.nc, ice_00004.nc");
        assert!(words(100_000).ends_with("ice_00004.nc and 99995 more"), "{}", words(100_000));
    }
}
