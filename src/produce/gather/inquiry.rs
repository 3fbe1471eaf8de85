//! Asks every configured place what it has, and takes nothing.

use std::sync::Arc;
use std::time::Duration;

use crate::config::{Input, Place};
use crate::fetch::{FetchError, Fetcher};
use crate::source::{KnownName, Role};
use crate::time::{Clock, ProductDay};

use super::listings::Listings;
use super::survey::Survey;

/// What one place answers.
#[derive(Debug)]
pub struct Answer {
    /// The quantity that was asked for.
    pub role: Role,
    /// The place, with its placeholders.
    pub place: Place,
    /// What is there.
    pub held: Result<Held, Arc<FetchError>>,
    /// How long the answer took.
    pub duration: Duration,
}

/// What a place holds of a quantity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Number of files of configured products.
    pub files: usize,
    /// The newest of them.
    pub newest: Option<KnownName>,
}

/// Asks the places of `role` for what they hold around `today`. That a server does not answer is part of the answer.
pub async fn inquire(
    fetcher: &Fetcher,
    role: Role,
    today: ProductDay,
    input: &Input,
    clock: &dyn Clock,
) -> Vec<Answer> {
    let mut answers = Vec::new();
    for place in &input.places {
        let begin = clock.monotonic();
        let only_here = Input { places: vec![place.clone()], ..input.clone() };
        let survey = Survey::of(fetcher, &Listings::default(), role, today, &only_here).await;
        let held = Held { files: survey.taken(role, input).count(), newest: survey.newest(role, input) };
        answers.push(Answer {
            role,
            place: place.clone(),
            held: survey.failures.into_iter().next().map_or(Ok(held), |(_, failure)| Err(failure)),
            duration: clock.monotonic().saturating_sub(begin),
        });
    }
    answers
}
