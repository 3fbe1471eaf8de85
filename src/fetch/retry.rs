//! Asking again: how often, how soon, and when to give up.

use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use tokio::time;

use super::FetchError;
use crate::config::Fetching;
use crate::time::Clock;

/// How long one thing is asked for.
#[derive(Debug, Clone)]
pub(super) struct Patience {
    /// What one try may take.
    longest_try: Duration,
    /// What all tries may take together, with the pauses between them.
    deadline: Duration,
    /// The shortest pause, seconds.
    shortest_pause: f64,
    /// The longest pause that nobody has asked for, seconds.
    longest_pause: f64,
}

impl Patience {
    pub(super) fn new(fetching: &Fetching) -> Self {
        Self {
            longest_try: Duration::from_secs(fetching.try_seconds),
            deadline: Duration::from_secs(fetching.deadline_seconds),
            shortest_pause: fetching.shortest_pause_seconds,
            longest_pause: fetching.longest_pause_seconds,
        }
    }

    /// What all tries may take together.
    pub(super) fn deadline(&self) -> Duration {
        self.deadline
    }

    /// Tries until it works, until an error comes that will not pass, or until the deadline.
    ///
    /// # Errors
    /// [`FetchError::GaveUp`] with the last error, where that may pass but not in time; other errors as they come.
    pub(super) async fn persevere<T, A>(
        &self,
        url: &str,
        clock: &dyn Clock,
        seed: u64,
        attempt: impl Fn() -> A,
    ) -> Result<T, FetchError>
    where
        A: Future<Output = Result<T, FetchError>>,
    {
        let begin = clock.monotonic();
        let elapsed = || clock.monotonic().saturating_sub(begin);
        let mut pauses = Pauses::new(self, seed);
        let (mut tries, mut before) = (0, None);
        loop {
            tries += 1;
            let limit = self.longest_try.min(self.deadline.saturating_sub(elapsed()));
            let error = match time::timeout(limit, attempt()).await {
                Ok(Err(error)) if error.is_transient() => error,
                Ok(done) => return done,
                // Where only the deadline ended the try, the error before it says more.
                Err(_) => before.filter(|_| limit < self.longest_try).unwrap_or_else(|| too_slow(url, limit)),
            };
            let pause = pauses.after(&error);
            if elapsed().saturating_add(pause) >= self.deadline {
                return Err(FetchError::GaveUp {
                    tries,
                    seconds: elapsed().as_secs(),
                    last: Box::new(error),
                });
            }
            tracing::info!(tries, pause_seconds = pause.as_secs_f64(), "{error}");
            time::sleep(pause).await;
            before = Some(error);
        }
    }
}

fn too_slow(url: &str, limit: Duration) -> FetchError {
    FetchError::Broken {
        url: url.to_owned(),
        reason: format!("it took longer than {:.1} s", limit.as_secs_f64()),
    }
}

/// Pauses between tries, with decorrelated jitter: each is drawn between the shortest and three times the one before. They grow as
/// exponential pauses do, and clients that failed together do not come back together.
struct Pauses {
    shortest: f64,
    longest: f64,
    previous: f64,
    dice: ChaCha20Rng,
}

impl Pauses {
    fn new(patience: &Patience, seed: u64) -> Self {
        let (shortest, longest) = (patience.shortest_pause, patience.longest_pause);
        Self { shortest, longest, previous: shortest, dice: ChaCha20Rng::seed_from_u64(seed) }
    }

    /// The pause after an error: at least what the server asks for.
    fn after(&mut self, error: &FetchError) -> Duration {
        let share = (self.dice.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        let drawn = self.shortest + share * (3.0 * self.previous - self.shortest).max(0.0);
        self.previous = drawn.min(self.longest);
        let own = Duration::try_from_secs_f64(self.previous).unwrap_or_default();
        match error {
            FetchError::Busy { retry_after: Some(asked), .. } => own.max(*asked),
            _ => own,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use chrono::{DateTime, Utc};
    use tokio::time::Instant;

    use super::*;

    /// tokio's clock, which stands still but for those who sleep.
    struct Paused(Instant);

    impl Clock for Paused {
        fn now(&self) -> DateTime<Utc> {
            DateTime::UNIX_EPOCH
        }

        fn monotonic(&self) -> Duration {
            self.0.elapsed()
        }
    }

    const PATIENCE: Patience = Patience {
        longest_try: Duration::from_secs(10),
        deadline: Duration::from_secs(100),
        shortest_pause: 1.0,
        longest_pause: 8.0,
    };

    fn busy(retry_after: Option<u64>) -> FetchError {
        let retry_after = retry_after.map(Duration::from_secs);
        FetchError::Busy { url: "u".into(), answer: "503".into(), retry_after }
    }

    /// What comes of answers that are given one after the other, the last one again and again, and when each was asked for.
    async fn run(answers: &[fn() -> Result<i32, FetchError>]) -> (Result<i32, FetchError>, Vec<f64>) {
        let clock = Paused(Instant::now());
        let asked = RefCell::new(Vec::new());
        let attempt = || {
            let place = asked.borrow().len().min(answers.len() - 1);
            asked.borrow_mut().push(clock.monotonic().as_secs_f64());
            async move { answers[place]() }
        };
        let outcome = PATIENCE.persevere("u", &clock, 1, attempt).await;
        (outcome, asked.into_inner())
    }

    #[tokio::test(start_paused = true)]
    async fn what_passes_is_asked_for_again() {
        let (outcome, asked) = run(&[|| Err(busy(None)), || Err(busy(None)), || Ok(7)]).await;
        assert_eq!((outcome.unwrap(), asked.len()), (7, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_pass_is_said_at_once() {
        let (outcome, asked) = run(&[|| Err(FetchError::NotFound { url: "u".into() })]).await;
        assert!(outcome.unwrap_err().is_not_found());
        assert_eq!(asked, [0.0]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_deadline_ends_it_with_the_last_error() {
        let (outcome, asked) = run(&[|| Err(busy(None))]).await;
        let Err(FetchError::GaveUp { tries, seconds, last }) = outcome else { panic!("{outcome:?}") };
        assert!(matches!(*last, FetchError::Busy { .. }));
        assert_eq!(tries as usize, asked.len());
        assert!((85..100).contains(&seconds) && tries > 12, "{tries} tries in {seconds} s");
    }

    #[tokio::test(start_paused = true)]
    async fn retry_after_is_the_least_pause_and_may_be_longer_than_our_longest() {
        let (outcome, asked) = run(&[|| Err(busy(Some(50))), || Ok(1)]).await;
        assert_eq!(outcome.unwrap(), 1);
        assert!((asked[1] - 50.0).abs() < 0.01, "{asked:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_beyond_the_deadline_is_not_waited_for() {
        let (outcome, asked) = run(&[|| Err(busy(Some(3600)))]).await;
        assert!(matches!(outcome, Err(FetchError::GaveUp { tries: 1, seconds: 0, .. })), "{outcome:?}");
        assert_eq!(asked, [0.0]);
    }

    #[tokio::test(start_paused = true)]
    async fn no_pause_is_too_long_to_be_refused() {
        let (outcome, asked) = run(&[|| Err(busy(None)), || Err(busy(Some(u64::MAX)))]).await;
        assert!(matches!(outcome, Err(FetchError::GaveUp { tries: 2, .. })), "{outcome:?}");
        assert_eq!(asked.len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_try_that_hangs_is_ended_and_followed_by_another() {
        let clock = &Paused(Instant::now());
        let tries = Cell::new(0);
        let attempt = || {
            tries.set(tries.get() + 1);
            let hangs = tries.get() == 1;
            async move {
                if hangs {
                    std::future::pending::<()>().await;
                }
                Ok(clock.monotonic().as_secs_f64())
            }
        };
        let seconds = PATIENCE.persevere("u", clock, 1, attempt).await.unwrap();
        assert!((11.0..=13.0).contains(&seconds), "{seconds}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_try_that_the_deadline_ends_does_not_hide_the_error_before() {
        let tries = Cell::new(0);
        let attempt = || {
            tries.set(tries.get() + 1);
            let fails = tries.get() == 1;
            async move { if fails { Err(busy(Some(95))) } else { std::future::pending::<Result<(), _>>().await } }
        };
        let outcome = PATIENCE.persevere("u", &Paused(Instant::now()), 1, attempt).await;
        let Err(FetchError::GaveUp { tries: 2, seconds: 100, last }) = outcome else { panic!("{outcome:?}") };
        assert!(matches!(*last, FetchError::Busy { .. }), "{last}");
    }

    #[test]
    fn pauses_stay_in_their_limits_grow_and_differ_between_seeds() {
        let draw = |seed| {
            let mut pauses = Pauses::new(&PATIENCE, seed);
            (0..200).map(|_| pauses.after(&busy(None)).as_secs_f64()).collect::<Vec<_>>()
        };
        let drawn = draw(1);
        assert!(drawn.iter().all(|pause| (1.0..=8.0).contains(pause)), "{drawn:?}");
        assert!(drawn[0] <= 3.0 && drawn.iter().any(|pause| *pause > 7.0));
        assert_eq!(drawn, draw(1));
        assert_ne!(drawn, draw(2));
    }
}
