//! What a series of days tells beyond one day. Each thing is said once, when it begins, and once, when it ends; the ledger
//! remembers what is open.

use std::collections::BTreeMap;

use crate::ledger::Severity;
use crate::source::{self, Role, Season};
use crate::time::ProductDay;

use super::survey::Survey;
use super::{GatherError, Gatherer, Search, Series};

/// What the keys of incidents about new names begin with.
const NAME: &str = "name:";

/// Whether the files looked at are a series that is watched over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watch {
    /// The configured servers: what is late, missing or new there is said and recorded.
    Series,
    /// Files that a person put together for a day; what is not among them says nothing about the provider.
    Nothing,
}

impl Gatherer {
    /// Says what began or ended with this search.
    pub(super) fn take_note(&self, search: &Search, day: ProductDay) -> Result<(), GatherError> {
        if search.accepted.is_some() {
            // Where nothing else was found the refusal ends the gathering, and is said by whoever handles that.
            for refused in search.refused.iter().filter(|refused| refused.is_new) {
                tracing::warn!("another file is taken in its place: {}", refused.reason);
            }
        }
        if self.watch == Watch::Nothing {
            if search.accepted.is_some() {
                for reason in &search.not_fetched {
                    tracing::warn!("another file is taken in place of one that is there: {reason}");
                }
            }
            return Ok(());
        }
        self.note_transfers(search)?;
        let due = source::due(self.clock.now(), search.role, search.role.input(&self.config.inputs));
        // Only around today is everything listed that would have to be there by now.
        if day >= due {
            self.note_season(search)?;
            self.note_lateness(search, due)?;
            self.note_product(search, day)?;
        }
        Ok(())
    }

    /// A file that is there and does not come: an older one stands in, which must not pass unnoticed.
    fn note_transfers(&self, search: &Search) -> Result<(), GatherError> {
        let key = format!("fetch:{}", search.role);
        match search.not_fetched.first() {
            Some(reason) => self.raise(&key, Severity::Warning, reason),
            None if search.accepted.is_some() => {
                self.settle(&key, &format!("{} can be fetched again", search.role))
            }
            None => Ok(()),
        }
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
            Season::Open => self.settle(&key, &format!("the season of {role} has begun")),
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
        let before = self.ledger.previous_accepted(role.name(), day)?;
        let Some(before) = before.filter(|row| self.is_of_the_series(row)) else { return Ok(()) };
        let products = &role.input(&self.config.inputs).products;
        let rank = |word: &str| products.iter().position(|product| product == word);
        match (rank(&accepted.word), rank(&before.product)) {
            (Some(now), Some(then)) if now > then => {
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

    /// Reports names that look like a new version of a product, each once, and servers that stop or begin to answer.
    pub(super) fn report(&self, role: Role, survey: &Survey) -> Result<(), GatherError> {
        if self.watch == Watch::Nothing {
            return Ok(());
        }
        let news = survey.offers.iter().filter_map(|offer| {
            Some((source::unknown_shape(&offer.name, &self.config.inputs)?, &offer.name))
        });
        for (shape, name) in news.collect::<BTreeMap<_, _>>() {
            let text = format!(
                "new product name seen: {name}; if it is to be taken, add its word to inputs.*.products"
            );
            self.raise(&format!("{NAME}{shape}"), Severity::Warning, &text)?;
        }
        self.settle_names()?;
        let key = |server: &str| format!("server:{server}:{role}");
        for (server, error) in &survey.failures {
            self.raise(&key(server), Severity::Warning, &error.to_string())?;
        }
        for server in &survey.answered {
            self.settle(&key(server), &format!("server {server} answers again for {role}"))?;
        }
        Ok(())
    }

    /// Names that have been configured are no news any more.
    fn settle_names(&self) -> Result<(), GatherError> {
        for incident in self.ledger.open_incidents()? {
            let shape = incident.key.strip_prefix(NAME);
            if shape.is_some_and(|shape| source::is_known_by_now(shape, &self.config.inputs)) {
                self.settle(&incident.key, "a new product name is configured now")?;
            }
        }
        Ok(())
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

impl Search {
    fn is_hole(&self, day: ProductDay) -> bool {
        let is_known = self.unreachable.is_empty() && self.series.season_of_day == Season::Open;
        is_known && !self.series.has_any_of_day && self.own.is_hole(day, self.series.newest)
    }
}
