//! What carries letters to people.

use std::error::Error;

use async_trait::async_trait;

use super::letter::Letter;
use crate::text::plain_text;

/// Carries letters by one channel. It tries once; who tries again is the [`super::Notifier`].
#[async_trait]
pub trait Courier: Send + Sync {
    /// Brings a letter to a recipient; returns when the other side has taken it over.
    ///
    /// # Errors
    /// [`Undelivered`], in words that hold no password and no secret address.
    async fn deliver(&self, letter: &Letter, recipient: &str) -> Result<(), Undelivered>;

    /// Where letters go first, for people: never with anything secret.
    fn place(&self) -> String;
}

/// Why a letter did not arrive.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Undelivered {
    /// The server cannot be reached, or does not let us in: every letter would fail now.
    #[error("{0}")]
    Channel(String),
    /// This letter, or this recipient, is refused; others may pass.
    #[error("{0}")]
    Letter(String),
}

/// What stands in for a courier that this process cannot set up: nothing goes its way, and each try says why.
pub(super) struct Unready(pub(super) String);

#[async_trait]
impl Courier for Unready {
    async fn deliver(&self, _: &Letter, _: &str) -> Result<(), Undelivered> {
        Err(Undelivered::Channel(self.0.clone()))
    }

    fn place(&self) -> String {
        "nowhere".to_owned()
    }
}

/// An error with its causes, in one line; a cause that it repeats in its own words is said once.
pub(super) fn causes(error: &dyn Error) -> String {
    let mut said = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let words = cause.to_string();
        if !said.contains(&words) {
            said = format!("{said}: {words}");
        }
        next = cause.source();
    }
    plain_text(&said)
}
