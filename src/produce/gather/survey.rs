//! What the places of a quantity offer.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::config::Input;
use crate::fetch::{FetchError, Fetcher, Remote};
use crate::source::{self, KnownName, Role};
use crate::time::ProductDay;

use super::{GatherError, Gatherer};

/// What the places of a quantity offer.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// What lies there, in the order of the places.
    pub(super) offers: Vec<Offer>,
    /// Why places could not be looked at, with their servers.
    pub(super) failures: Vec<(String, FetchError)>,
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
    /// In the cache, accepted before; its server may be down or have taken it away.
    Cache { path: PathBuf, sha256: String },
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

impl Gatherer<'_> {
    /// What there is for `role` around `day`: in the configured places, and accepted before.
    pub(super) async fn survey(&self, role: Role, day: ProductDay) -> Result<Survey, GatherError> {
        let input = role.input(&self.config.inputs);
        let mut survey = Survey::of(&self.fetcher, role, day, input).await;
        let oldest = day.plus_days(-i64::from(input.oldest_days));
        let rows = self.ledger.accepted_files(role.name(), oldest, day)?;
        for row in rows.into_iter().filter(|row| self.is_of_the_series(row)) {
            if let Some(path) = self.fetcher.cached(&row.sha256, &row.name).await? {
                survey
                    .offers
                    .push(Offer { name: row.name, origin: Origin::Cache { path, sha256: row.sha256 } });
            }
        }
        Ok(survey)
    }
}

impl Survey {
    /// Lists the places of `role` around `day`, as far back as it takes to know how the series stands.
    pub(super) async fn of(fetcher: &Fetcher, role: Role, day: ProductDay, input: &Input) -> Self {
        let mut survey = Self::default();
        for place in source::folders(input, role, day, source::days_to_list(input)) {
            // A server that has just let all tries fail is not asked for the next month, too.
            if survey.failures.iter().any(|(server, _)| *server == place.server) {
                continue;
            }
            match fetcher.list(&place.server, &place.folder).await {
                Ok(listed) => survey.add(place.server, listed),
                // The folder of a month begins with its first file.
                Err(error) if error.is_not_found() => survey.add(place.server, Vec::new()),
                Err(error) => survey.fail(place.server, error),
            }
        }
        survey
    }

    fn add(&mut self, server: String, listed: Vec<Remote>) {
        self.offers.extend(listed.into_iter().map(|remote| Offer {
            name: remote.name.clone(),
            origin: Origin::Server { server: server.clone(), remote },
        }));
        self.answered.insert(server);
    }

    fn fail(&mut self, server: String, error: FetchError) {
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
