//! What the places of a quantity offer.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::config::Input;
use crate::fetch::{FetchError, Fetcher, Remote};
use crate::source::{self, KnownName, Role};
use crate::time::ProductDay;

use super::listings::Listings;
use super::{GatherError, Gatherer};

/// What the places of a quantity offer.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// What lies there, in the order of the places.
    pub(super) offers: Vec<Offer>,
    /// Why places could not be looked at, with their servers.
    pub(super) failures: Vec<(String, Arc<FetchError>)>,
    /// Servers that answered every time.
    pub(super) answered: BTreeSet<String>,
}

/// A file that can be had.
#[derive(Debug, Clone)]
pub(super) struct Offer {
    pub(super) name: String,
    pub(super) origin: Origin,
}

/// Where a file can be had.
#[derive(Debug, Clone)]
pub(super) enum Origin {
    /// At a server.
    Server { server: String, remote: Remote },
    /// In the cache, accepted before; its server may be down or have taken it away, and the cache may have given it up.
    Cache { sha256: String },
}

impl Offer {
    /// The server that has to be asked for it, if any.
    pub(super) fn server(&self) -> Option<&str> {
        match &self.origin {
            Origin::Server { server, .. } => Some(server),
            Origin::Cache { .. } => None,
        }
    }
}

impl Gatherer {
    /// What there is for `role` around `day`: in the configured places, and accepted before.
    pub(super) async fn survey(&self, role: Role, day: ProductDay) -> Result<Survey, GatherError> {
        let input = role.input(&self.config.inputs);
        let mut survey = Survey::of(&self.fetcher, &self.listings, role, day, input).await;
        let oldest = day.plus_days(-i64::from(input.oldest_days));
        let rows = self.ledger.accepted_files(role.name(), oldest, day)?;
        let remembered = rows.into_iter().filter(|row| self.is_of_the_series(row));
        let offers =
            remembered.map(|row| Offer { name: row.name, origin: Origin::Cache { sha256: row.sha256 } });
        survey.offers.extend(offers);
        Ok(survey)
    }
}

impl Survey {
    /// Lists the places of `role` around `day`, as far back as it takes to know how the series stands.
    pub(super) async fn of(
        fetcher: &Fetcher,
        listings: &Listings,
        role: Role,
        day: ProductDay,
        input: &Input,
    ) -> Self {
        let mut survey = Self::default();
        for place in source::folders(input, role, day, source::days_to_list(input)) {
            // A server that has just let all tries fail is not asked for another folder, too. One that refuses a folder may give the next.
            let gave_up = |error: &FetchError| matches!(error, FetchError::GaveUp { .. });
            if survey.failures.iter().any(|(server, error)| *server == place.server && gave_up(error)) {
                continue;
            }
            match listings.list(fetcher, &place).await {
                Ok(listed) => survey.add(place.server, &listed),
                // The folder of a month begins with its first file.
                Err(error) if error.is_not_found() => survey.add(place.server, &[]),
                Err(error) => survey.fail(place.server, error),
            }
        }
        survey
    }

    fn add(&mut self, server: String, listed: &[Remote]) {
        self.offers.extend(listed.iter().map(|remote| Offer {
            name: remote.name.clone(),
            origin: Origin::Server { server: server.clone(), remote: remote.clone() },
        }));
        if self.failures.iter().all(|(failed, _)| *failed != server) {
            self.answered.insert(server);
        }
    }

    fn fail(&mut self, server: String, error: Arc<FetchError>) {
        self.answered.remove(&server);
        self.failures.push((server, error));
    }

    /// The files that the configuration takes.
    pub(super) fn taken(&self, role: Role, input: &Input) -> impl Iterator<Item = KnownName> {
        self.recognised().filter(move |known| source::is_taken(known, role, input))
    }

    /// The newest of these.
    pub(super) fn newest(&self, role: Role, input: &Input) -> Option<KnownName> {
        self.taken(role, input).max_by_key(KnownName::centre)
    }

    /// Whether some file of the role is centred on a day, also one that the configuration does not take.
    pub(super) fn has_any_of(&self, role: Role, day: ProductDay) -> bool {
        self.recognised().any(|known| known.role() == role && known.centre() == day)
    }

    fn recognised(&self) -> impl Iterator<Item = KnownName> {
        self.offers.iter().filter_map(|offer| source::recognise(&offer.name))
    }
}
