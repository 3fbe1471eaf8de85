//! Why a day's inputs could not be gathered.

use chrono::{DateTime, Utc};

use crate::config::Place;
use crate::fetch::FetchError;
use crate::ledger::LedgerError;
use crate::source::{self, Availability, Role, Season, SourceError};
use crate::time::ProductDay;

use super::{Gatherer, MOST_FAILED, Search, Watch};

/// Why a day's inputs could not be gathered. What was accepted so far stays in the cache.
#[derive(Debug, thiserror::Error)]
pub enum GatherError {
    /// Nothing is wrong but that files have not come yet.
    #[error(
        "the inputs of {day} are not all there yet: {}; wait until the providers deliver, or put the files into a folder and name it with --inputs",
        in_words(lacking)
    )]
    NotYet {
        /// The day.
        day: ProductDay,
        /// What is lacking.
        lacking: Vec<Lack>,
    },
    /// The product of a quantity is not made at this time of the year.
    #[error(
        "{day} is off season: the newest thickness is centred on {newest}; production goes on with the first file of the next season"
    )]
    OffSeason {
        /// The day.
        day: ProductDay,
        /// The centre of the newest file.
        newest: ProductDay,
    },
    /// A file that would serve was refused, and there is no other.
    #[error("{reason}")]
    Refused {
        /// The sentence that names the file, what was expected, and what to do.
        reason: String,
    },
    /// Servers did not answer, so nobody knows what is there.
    #[error("the inputs of {day} cannot be looked for: {}", reasons.join("; "))]
    Unreachable {
        /// The day.
        day: ProductDay,
        /// What each said.
        reasons: Vec<String>,
    },
    /// A server's configuration or the cache cannot be used.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The ledger cannot be used.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The program that opens files does not work.
    #[error(transparent)]
    Inspection(#[from] SourceError),
}

/// An input that a day lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lack {
    /// What the file would give.
    pub role: Role,
    /// The names that would serve.
    pub looked_for: String,
    /// The addresses where they were looked for.
    pub looked_in: Vec<String>,
    /// Whether it is still waited for; none where the files are no series.
    pub availability: Option<Availability>,
}

impl Gatherer {
    /// What to say of searches that did not all find something. A refusal comes before silence: a person can help there.
    pub(super) fn incomplete(&self, day: ProductDay, searches: &[Search; 3]) -> GatherError {
        let without = || searches.iter().filter(|search| search.accepted.is_none());
        if let Some(reason) = without().find_map(Search::refusal) {
            return GatherError::Refused { reason };
        }
        let reasons: Vec<String> =
            without().flat_map(|search| [&search.unreachable[..], &search.not_fetched].concat()).collect();
        if !reasons.is_empty() {
            return GatherError::Unreachable { day, reasons };
        }
        let over = without().find_map(|search| match search.series.season_of_day {
            Season::Over { newest } => Some(newest),
            Season::Open => None,
        });
        match over {
            Some(newest) if self.watch == Watch::Series => GatherError::OffSeason { day, newest },
            _ => {
                GatherError::NotYet { day, lacking: without().map(|search| self.lack(search, day)).collect() }
            }
        }
    }

    fn lack(&self, search: &Search, day: ProductDay) -> Lack {
        let input = search.role.input(&self.config.inputs);
        let address = |place: &Place| {
            let url = self.fetcher.url(&place.server, &place.folder);
            url.trim_end_matches('/').to_owned()
        };
        Lack {
            role: search.role,
            looked_for: source::expected_names(search.role, day, input),
            looked_in: input.places.iter().map(address).collect(),
            availability: (self.watch == Watch::Series).then_some(search.own),
        }
    }
}

impl Search {
    /// Why the best of the files that came does not serve, and whether others were left alone; none where no file was refused.
    fn refusal(&self) -> Option<String> {
        let reason = self.refused.first()?;
        Some(if self.is_exhausted() {
            format!("{reason} ({MOST_FAILED} files have failed, and no others are asked for in this look)")
        } else {
            reason.clone()
        })
    }
}

impl GatherError {
    /// The same in a few words, where many days stand below each other: without the names and places that were looked for.
    #[must_use]
    pub fn in_short(&self) -> String {
        match self {
            Self::NotYet { lacking, .. } => {
                let one = |lack: &Lack| match &lack.availability {
                    Some(state) => format!("{} ({})", lack.role, state_in_words(state)),
                    None => lack.role.to_string(),
                };
                format!("waits for {}", lacking.iter().map(one).collect::<Vec<_>>().join(", "))
            }
            Self::OffSeason { newest, .. } => {
                format!("off season: the newest thickness is centred on {newest}")
            }
            other => other.to_string(),
        }
    }

    /// True where nothing is wrong but that files have not come yet.
    #[must_use]
    pub fn is_not_there_yet(&self) -> bool {
        matches!(self, Self::NotYet { .. } | Self::OffSeason { .. })
    }
}

fn in_words(lacking: &[Lack]) -> String {
    let one = |lack: &Lack| {
        let state =
            lack.availability.as_ref().map_or(String::new(), |state| format!(", {}", state_in_words(state)));
        format!("no {} ({}) in {}{state}", lack.role, lack.looked_for, lack.looked_in.join(" or "))
    };
    lacking.iter().map(one).collect::<Vec<_>>().join("; ")
}

fn state_in_words(state: &Availability) -> String {
    let time = |moment: &DateTime<Utc>| moment.format("%Y-%m-%d %H:%M UTC");
    match state {
        Availability::Waiting { expected } => format!("expected from {}", time(expected)),
        Availability::Late { expected } => format!("late: it was expected from {}", time(expected)),
        Availability::Missing { expected } => format!("given up: it was expected from {}", time(expected)),
    }
}
