//! Gathers the input files of a day: what the servers offer, the best of it that passes its checks, and what has to be said of the rest.
//!
//! * `survey`: what is there.
//! * `acceptance`: one file, fetched, inspected in confinement, judged, recorded; refused files go to `quarantine`.
//! * `watch`: what a series of days tells beyond one day: late, missing, off season, a new name, a server that does not answer.
//!
//! No foreign file is opened in this process.

mod acceptance;
mod error;
mod inquiry;
mod listings;
mod quarantine;
mod survey;
mod watch;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use crate::config::Config;
use crate::fetch::{FetchError, Fetcher};
use crate::ledger::{DayInput, FileRow, Ledger};
use crate::source::{self, Availability, Inspector, Role, Season};
use crate::sys;
use crate::time::{Clock, ProductDay};

use super::gathered::{AcceptedFile, Gathered};

pub use error::{GatherError, Lack};
pub use inquiry::{Answer, Held, inquire};
pub use watch::{Look, Watch};

use acceptance::Outcome;
use listings::Listings;
use quarantine::Quarantine;
use survey::Survey;
use watch::StandingIn;

/// After so many files of a role that were refused, or did not come, no other is asked for in this look at a day. Each can take a
/// transfer and an inspection, a server can list as many as it likes, and other days wait meanwhile. Providers whose files are bad have
/// two or three that could serve.
const MOST_FAILED: usize = 5;

/// Gathers the inputs of days.
pub struct Gatherer {
    config: Arc<Config>,
    fetcher: Fetcher,
    listings: Listings,
    ledger: Arc<Ledger>,
    /// Whoever opens files.
    inspector: Box<dyn Inspector>,
    quarantine: Quarantine,
    watch: Watch,
    standing_in: Mutex<StandingIn>,
    clock: Arc<dyn Clock>,
}

/// What a search for one role came to.
struct Search {
    role: Role,
    /// The best file that passed.
    accepted: Option<Accepted>,
    /// Better ones that did not, for people.
    refused: Vec<String>,
    /// Servers that could not be asked, for people.
    unreachable: Vec<String>,
    /// Files that are there and did not come, for people.
    not_fetched: Vec<String>,
    /// How many were listed and are not there; a provider has just replaced them, or lists what it does not have.
    vanished: usize,
    /// How it stands with the file that is centred on the day.
    own: Availability,
    series: Series,
}

/// A role's files beyond one day.
struct Series {
    /// The centre of the newest file.
    newest: Option<ProductDay>,
    /// Whether the product is made now.
    season_now: Season,
    /// Whether it was made on the day.
    season_of_day: Season,
    /// Whether any file is centred on the day, also one of another product or processing.
    has_any_of_day: bool,
}

/// An accepted file of a day.
struct Accepted {
    file: AcceptedFile,
    /// The word of its product.
    word: String,
    age_days: u32,
}

impl Gatherer {
    /// Knows the servers; asks none yet.
    ///
    /// # Errors
    /// [`GatherError`] when a server's configuration cannot be used.
    pub fn new(
        config: Arc<Config>,
        ledger: Arc<Ledger>,
        inspector: Box<dyn Inspector>,
        watch: Watch,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, GatherError> {
        let cache = &config.folders.cache;
        let fetcher = Fetcher::new(&config.servers, &config.fetching, cache, Arc::clone(&clock))?;
        let quarantine = Quarantine::new(&config.folders.state, config.retention.quarantine_megabytes);
        let listings = Listings::default();
        let standing_in = Mutex::default();
        Ok(Self { config, fetcher, listings, ledger, inspector, quarantine, watch, standing_in, clock })
    }

    /// Finds an accepted file for each role of the day: centred on it, or where that is not there, the newest that serves.
    ///
    /// # Errors
    /// [`GatherError`]: not there yet, off season, refused, unreachable.
    pub async fn gather(&self, day: ProductDay) -> Result<Gathered, GatherError> {
        self.gather_in(None, day).await
    }

    async fn gather_in(&self, look: Option<&Look<'_>>, day: ProductDay) -> Result<Gathered, GatherError> {
        let searches = tokio::try_join!(
            self.search(look, Role::Concentration, day),
            self.search(look, Role::Thickness, day),
            self.search(look, Role::Drift, day),
        )?;
        let searches = [searches.0, searches.1, searches.2];
        for search in &searches {
            self.take_note(look, search, day)?;
        }
        let declared_gaps = self.declared_gaps(&searches, day)?;
        match searches {
            [
                Search { accepted: Some(concentration), .. },
                Search { accepted: Some(thickness), .. },
                Search { accepted: Some(drift), .. },
            ] => {
                let chosen = [
                    (Role::Concentration, &concentration),
                    (Role::Thickness, &thickness),
                    (Role::Drift, &drift),
                ];
                self.record(day, chosen)?;
                Ok(Gathered {
                    day,
                    concentration: concentration.file,
                    thickness: thickness.file,
                    drift: drift.file,
                    declared_gaps,
                })
            }
            incomplete => Err(self.incomplete(day, &incomplete)),
        }
    }

    async fn search(
        &self,
        look: Option<&Look<'_>>,
        role: Role,
        day: ProductDay,
    ) -> Result<Search, GatherError> {
        let input = role.input(&self.config.inputs);
        let survey = self.survey(role, day).await?;
        self.report(look, role, &survey)?;
        let mut search = Search {
            role,
            accepted: None,
            refused: Vec::new(),
            unreachable: survey.failures.iter().map(|(_, error)| error.to_string()).collect(),
            not_fetched: Vec::new(),
            vanished: 0,
            own: Availability::at(self.clock.now(), role, day, input),
            series: self.series(&survey, role, day)?,
        };
        let mut away = BTreeSet::new();
        for candidate in source::candidates(&survey.offers, |offer| &offer.name, role, day, input) {
            let server = candidate.offer.server();
            // What was accepted before lies in the cache, and may serve all the same.
            if server.is_some_and(|server| away.contains(server) || search.is_exhausted()) {
                continue;
            }
            match self.accept(&candidate).await? {
                Outcome::Accepted(file) => {
                    let (word, age_days) = (candidate.known.word().to_owned(), candidate.age_days);
                    search.accepted = Some(Accepted { file, word, age_days });
                    break;
                }
                Outcome::Refused(reason) => search.refused.push(reason),
                Outcome::Gone => {}
                Outcome::NotFetched(error) if error.is_not_found() => search.vanished += 1,
                Outcome::NotFetched(error) => {
                    // After all its tries a server is not asked for older files as well.
                    if matches!(error, FetchError::GaveUp { .. }) {
                        away.extend(server);
                    }
                    search.not_fetched.push(error.to_string());
                }
            }
        }
        Ok(search)
    }

    fn series(&self, survey: &Survey, role: Role, day: ProductDay) -> Result<Series, GatherError> {
        let input = role.input(&self.config.inputs);
        // Where the provider has put its folder away, what was accepted before is remembered.
        let before = self.ledger.previous_accepted(role.name(), day)?;
        let before = before.filter(|row| self.is_of_the_series(row)).map(|row| row.centre);
        let centres = || survey.taken(role, input).map(|known| known.centre()).chain(before);
        let newest = centres().max();
        let today = ProductDay::new(self.clock.now().date_naive());
        let season_now = source::season(newest, today, input);
        let season_of_day = match season_now {
            // The days since the last file: while the season was open they waited, now they are known to be out of it.
            Season::Over { newest } if day > newest => season_now,
            _ => source::season(centres().filter(|centre| *centre <= day).max(), day, input),
        };
        Ok(Series { newest, season_now, season_of_day, has_any_of_day: survey.has_any_of(role, day) })
    }

    /// Whether a file belongs to the series that is watched: it came from a server that is configured, not from a folder that a person
    /// named.
    fn is_of_the_series(&self, row: &FileRow) -> bool {
        self.watch == Watch::Series && self.config.servers.contains_key(&row.server)
    }

    fn record(&self, day: ProductDay, chosen: [(Role, &Accepted); 3]) -> Result<(), GatherError> {
        let inputs = chosen.map(|(role, accepted)| DayInput {
            role: role.name().to_owned(),
            sha256: accepted.file.sha256.clone(),
            name: accepted.file.name(),
            age_days: accepted.age_days,
        });
        self.ledger.record_day_inputs(day, &inputs, self.clock.now())?;
        sys::fail_point("gather.chosen");
        Ok(())
    }
}

impl Search {
    /// Whether the file that is centred on the day was found.
    fn has_own(&self) -> bool {
        self.accepted.as_ref().is_some_and(|accepted| accepted.age_days == 0)
    }

    /// Whether so many files have failed that servers are not asked for others.
    fn is_exhausted(&self) -> bool {
        self.refused.len() + self.not_fetched.len() + self.vanished >= MOST_FAILED
    }
}
