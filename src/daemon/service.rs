//! The loop: looks at what is due when it is woken, and in between tells people, feeds the watchdog, and listens to signals.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use cron::Schedule as Cron;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, Notify};
use tokio::time;

use crate::config::{Config, parse_cron};
use crate::deliver::Carrier;
use crate::ledger::{Ledger, LedgerError, Severity};
use crate::notify::Notifier;
use crate::produce::Gatherer;
use crate::time::Clock;

use super::carrying::Patience;
use super::http::{self, Shown};
use super::production::Productions;
use super::pulse::Pulse;
use super::recovery::LEDGER;
use super::round::Round;
use super::signals::Signals;
use super::worker::Producer;
use super::{DaemonError, chores, incidents, records, systemd};

/// How often people are told, and it is looked whether a person has changed something in the ledger.
const TICK: Duration = Duration::from_mins(1);
/// What telling people may take.
const LONGEST_TELLING: Duration = Duration::from_mins(25);
/// How long the end waits for a message that is on its way.
const LONGEST_FAREWELL: Duration = Duration::from_secs(20);
/// A clock that is set back by more than this is looked at anew.
const LARGEST_CORRECTION: TimeDelta = TimeDelta::minutes(5);
/// Without a cron expression that ever comes true it is looked this often.
const LONGEST_SLEEP: TimeDelta = TimeDelta::days(1);

/// People are told of a ledger that cannot be written at most so often, however often that begins anew.
const BETWEEN_TELLINGS: Duration = Duration::from_hours(6);

const CONFIGURATION: &str = "configuration";
const HOUSE: &str = "house";
const BACKFILL: &str = "backfill";

/// The world outside, as a configuration has it. It is built anew when the configuration is read again.
pub struct World {
    /// The configuration.
    pub config: Arc<Config>,
    /// Gathers the inputs of days.
    pub gatherer: Gatherer,
    /// Produces days.
    pub producer: Box<dyn Producer>,
    /// Tells people.
    pub notifier: Notifier,
    /// Carries products elsewhere.
    pub carrier: Carrier,
}

/// Builds the world that a configuration describes, after reading that.
pub type Build = dyn Fn(Arc<Ledger>) -> Result<World, DaemonError> + Send + Sync;

/// The daemon.
pub struct Service {
    ledger: Arc<Ledger>,
    clock: Arc<dyn Clock>,
    build: Box<Build>,
    world: RwLock<Arc<World>>,
    pulse: Arc<Pulse>,
    /// What readers over HTTP are shown of.
    shown: Arc<RwLock<Arc<Config>>>,
    /// There is something to tell.
    news: Notify,
    /// Held while people are told, so that the service does not end between sending and writing down that it was sent.
    telling: Mutex<()>,
    tick: Duration,
}

/// Why a rest is over.
#[derive(Debug, PartialEq, Eq)]
enum Woken {
    /// It is time to look, or to end.
    Look,
    /// The configuration is to be read again.
    Reload,
}

impl Service {
    /// A service that is not at work yet. `build` reads the configuration and is called again when that is to be read again.
    ///
    /// # Errors
    /// Those of `build`, and [`DaemonError::Cron`].
    pub fn new(ledger: Arc<Ledger>, clock: Arc<dyn Clock>, build: Box<Build>) -> Result<Self, DaemonError> {
        let world = build(Arc::clone(&ledger))?;
        wake_ups(&world.config)?;
        let shown = Arc::new(RwLock::new(Arc::clone(&world.config)));
        Ok(Self {
            ledger,
            clock,
            build,
            world: RwLock::new(Arc::new(world)),
            pulse: Arc::default(),
            shown,
            news: Notify::new(),
            telling: Mutex::new(()),
            tick: TICK,
        })
    }

    /// The same with another time between two ticks.
    #[must_use]
    pub fn with_tick(self, tick: Duration) -> Self {
        Self { tick, ..self }
    }

    /// Works until it is told to stop.
    ///
    /// # Errors
    /// [`DaemonError`] where it cannot go on: the ledger cannot be used, or the address not be listened on.
    pub async fn run(&self, mut signals: Signals) -> Result<(), DaemonError> {
        self.listen(&signals).await?;
        let mut lived = self.take_over();
        systemd::ready(&self.state()?);
        tracing::info!(version = env!("CARGO_PKG_VERSION"), "nilas is at work");
        let mut told_at = None;
        if lived.is_ok() {
            lived = self.live(&mut signals).await;
        }
        while let Err(error) = lived {
            if !error.of_ledger().is_some_and(LedgerError::may_pass) {
                return Err(error);
            }
            self.wait_for_ledger(&error, &mut told_at, &signals).await?;
            lived = self.live(&mut signals).await;
        }
        systemd::stopping();
        tracing::info!("nilas has ended its work");
        Ok(())
    }

    /// All that goes on at the same time, until it is told to stop.
    async fn live(&self, signals: &mut Signals) -> Result<(), DaemonError> {
        tokio::select! {
            worked = self.work(signals) => worked,
            error = self.tell_forever() => Err(error),
            error = self.carry_forever() => Err(error),
            () = self.feed_forever() => Ok(()),
            () = self.give_signs_of_life() => Ok(()),
        }
    }

    /// Waits until the ledger can be written again, and goes on as after a new start. A new start would not do: after some of them systemd
    /// gives up, and the service would stay away when there is space again. People are told past the ledger, and when that was last.
    async fn wait_for_ledger(
        &self,
        error: &DaemonError,
        told_at: &mut Option<Duration>,
        signals: &Signals,
    ) -> Result<(), DaemonError> {
        let (since, now) = (self.clock.now(), self.clock.monotonic());
        let text = format!("the ledger cannot be written, and nothing is produced until it can: {error}");
        tracing::error!("{text}");
        systemd::status(&text);
        // Beside the rest: a mail server may let us wait for longer than the watchdog does.
        let tell = async {
            if told_at.is_none_or(|at| now >= at + BETWEEN_TELLINGS) {
                self.world().notifier.tell_now(LEDGER, &text).await?;
                *told_at = Some(now);
            }
            std::future::pending().await
        };
        let again = async {
            loop {
                time::sleep(self.tick).await;
                let text = format!(
                    "the ledger could not be written since {}: {error}; now it can",
                    since.format("%Y-%m-%d %H:%M UTC")
                );
                let written = self.take_over().and_then(|()| {
                    incidents::raise(&self.ledger, LEDGER, Severity::Warning, &text, self.clock.now())
                });
                if written.is_ok() {
                    return;
                }
            }
        };
        tokio::select! {
            told = tell => told,
            () = again => Ok(()),
            () = self.feed_forever() => Ok(()),
            () = signals.stop.cancelled() => Ok(()),
        }
    }

    async fn work(&self, signals: &mut Signals) -> Result<(), DaemonError> {
        while !signals.stop.is_cancelled() {
            let seen = self.ledger.changes_elsewhere()?;
            let wake = Box::pin(self.look(signals)).await?;
            self.news.notify_one();
            if self.rest(wake, seen, signals).await? == Woken::Reload {
                self.reload()?;
            }
        }
        // A message on its way arrives, or is given up for now by its courier.
        let _told = time::timeout(LONGEST_FAREWELL, self.telling.lock()).await;
        Ok(())
    }

    fn world(&self) -> Arc<World> {
        Arc::clone(&self.world.read().unwrap_or_else(PoisonError::into_inner))
    }

    async fn listen(&self, signals: &Signals) -> Result<(), DaemonError> {
        let config = self.world().config.clone();
        if !config.http.enabled {
            return Ok(());
        }
        let address = config.http.listen;
        let listener =
            TcpListener::bind(address).await.map_err(|source| DaemonError::Listen { address, source })?;
        let shown = Shown {
            ledger: Arc::clone(&self.ledger),
            clock: Arc::clone(&self.clock),
            pulse: Arc::clone(&self.pulse),
            config: Arc::clone(&self.shown),
            started_at: self.clock.now(),
        };
        tokio::spawn(http::serve(listener, Arc::new(shown), signals.stop.clone()));
        Ok(())
    }

    /// What an earlier life has left.
    fn take_over(&self) -> Result<(), DaemonError> {
        let config = &self.world().config;
        if incidents::note_missing(&self.ledger, &config.folders.products, self.clock.now())? {
            return Ok(());
        }
        records::settle_cut_off(&self.ledger, config, self.clock.now())?;
        if !self.ledger.has_products()? {
            let adopted = records::adopt_all(&self.ledger, &config.folders.products)?;
            if adopted > 0 {
                tracing::info!(
                    adopted,
                    "products that the ledger did not know were found in the product folder; it knows them now"
                );
            }
        }
        Ok(())
    }

    /// One look at everything, and the time of the next.
    async fn look(&self, signals: &Signals) -> Result<DateTime<Utc>, DaemonError> {
        let world = self.world();
        let World { config, gatherer, producer, .. } = &*world;
        let (ledger, clock) = (&*self.ledger, &*self.clock);
        let round = Round {
            config,
            ledger,
            gatherer,
            productions: Productions { config, ledger, producer: &**producer, clock },
            clock,
            pulse: &self.pulse,
            stop: &signals.stop,
            reload: &signals.reload,
        };
        let done = match round.run().await {
            Err(error) if error.of_ledger().is_some() => Err(error),
            looked => looked.and(chores::run(ledger, &world.notifier, config, clock.now())),
        };
        self.note(HOUSE, done)?;
        self.news.notify_one();
        let next = self.next_wake_up(clock.now());
        let backfill = round.backfill(next, async || self.until_something_is_ready(&round).await);
        self.note(BACKFILL, Box::pin(backfill).await)?;
        Ok(next)
    }

    /// Returns when a day that is looked after could be produced.
    async fn until_something_is_ready(&self, round: &Round<'_>) {
        loop {
            let wake = self.next_wake_up(self.clock.now());
            while self.clock.now() < wake {
                time::sleep((wake - self.clock.now()).to_std().unwrap_or_default().min(self.tick)).await;
            }
            if gives_way(round.is_anything_ready().await) {
                return;
            }
        }
    }

    /// Tells people of what went wrong, except with the ledger, without which nothing can be remembered.
    fn note(&self, key: &str, result: Result<(), DaemonError>) -> Result<(), DaemonError> {
        match result {
            Ok(()) => incidents::settle(&self.ledger, key, "everything works again", self.clock.now()),
            Err(error) if error.of_ledger().is_some() => Err(error),
            Err(error) => {
                let text = error.to_string();
                incidents::raise(&self.ledger, key, Severity::Failure, &text, self.clock.now())
            }
        }
    }

    /// Rests until `wake`, or until something has changed: the ledger by a person since it was `seen`, the configuration, the clock.
    async fn rest(
        &self,
        wake: DateTime<Utc>,
        seen: i64,
        signals: &mut Signals,
    ) -> Result<Woken, DaemonError> {
        let _resting = self.pulse.begins("resting", self.clock.monotonic(), Duration::MAX);
        let mut last = self.clock.now();
        // Also where it is time for the next look, which depends on what is read.
        if signals.reload.try_recv().is_ok() {
            return Ok(Woken::Reload);
        }
        systemd::status(&format!("{}; next look {}", self.state()?, wake.format("%H:%M UTC")));
        while !signals.stop.is_cancelled() {
            let now = self.clock.now();
            let was_set_back = now < last - LARGEST_CORRECTION;
            if now >= wake || was_set_back || self.ledger.changes_elsewhere()? != seen {
                break;
            }
            last = now;
            tokio::select! {
                () = time::sleep((wake - now).to_std().unwrap_or_default().min(self.tick)) => {}
                () = signals.stop.cancelled() => {}
                Some(()) = signals.reload.recv() => return Ok(Woken::Reload),
            }
        }
        Ok(Woken::Look)
    }

    /// Reads the configuration again; where it cannot be used the old one stays.
    fn reload(&self) -> Result<(), DaemonError> {
        systemd::reloading();
        let now = self.clock.now();
        let built =
            (self.build)(Arc::clone(&self.ledger)).and_then(|world| wake_ups(&world.config).map(|_| world));
        match built {
            Ok(world) => {
                let (new, old) = (&world.config, &self.world().config);
                if new.http != old.http || new.folders.state != old.folders.state {
                    tracing::warn!(
                        "changes of [http] and of folders.state take effect when nilas is started again"
                    );
                }
                *self.shown.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&world.config);
                *self.world.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(world);
                incidents::settle(&self.ledger, CONFIGURATION, "the configuration can be used again", now)?;
                tracing::info!("the configuration was read again");
            }
            Err(error) => {
                let text = format!("the new configuration cannot be used, and the old one stays: {error}");
                self.ledger.raise(CONFIGURATION, Severity::Warning, &text, now)?;
                // Also where it is open already: a person waits for the answer.
                tracing::error!("{text}");
            }
        }
        systemd::ready(&self.state()?);
        Ok(())
    }

    /// Tells people what there is to tell, whenever there is something new and with every tick. Ends with an error only.
    async fn tell_forever(&self) -> DaemonError {
        loop {
            if let Err(error) = self.tell().await {
                return error;
            }
            tokio::select! {
                () = time::sleep(self.tick) => {}
                () = self.news.notified() => {}
            }
        }
    }

    /// Carries what is published to its targets, with every tick. Ends with an error only.
    async fn carry_forever(&self) -> DaemonError {
        let mut patience = Patience::default();
        loop {
            let World { carrier, config, .. } = &*self.world();
            if let Err(error) = patience.carry(carrier, &self.ledger, config, &*self.clock).await {
                return error;
            }
            time::sleep(self.tick).await;
        }
    }

    /// Queues what people are to be told, and delivers what can be delivered.
    async fn tell(&self) -> Result<(), DaemonError> {
        let _telling = self.telling.lock().await;
        let _at_work = self.pulse.begins("telling people", self.clock.monotonic(), LONGEST_TELLING);
        let world = self.world();
        world.notifier.queue_due()?;
        let delivered = world.notifier.deliver().await?;
        if let Some(reason) = delivered.first_failure {
            tracing::warn!(
                waiting = delivered.waiting,
                "messages could not be delivered, and wait: {reason}"
            );
        }
        Ok(())
    }

    /// Feeds the watchdog while the work goes on; forever.
    async fn feed_forever(&self) {
        let Some(interval) = systemd::feeding_interval() else { return std::future::pending().await };
        loop {
            if self.pulse.is_good(self.clock.monotonic()) {
                systemd::feed();
            } else {
                tracing::error!(work = self.pulse.work(), "the work does not go on; the watchdog is not fed");
            }
            time::sleep(interval).await;
        }
    }

    /// Gives the signs of life that a watcher outside waits for; forever.
    async fn give_signs_of_life(&self) {
        loop {
            let world = self.world();
            if self.pulse.is_good(self.clock.monotonic())
                && let Err(error) = world.notifier.beat().await
            {
                tracing::warn!("{error}");
            }
            let minutes = world.config.notify.heartbeat.interval_minutes.max(1);
            time::sleep(Duration::from_secs(60 * u64::from(minutes))).await;
        }
    }

    /// In a few words, for `systemctl status`.
    fn state(&self) -> Result<String, DaemonError> {
        let newest = self.ledger.newest_product()?;
        let newest = newest.map_or("no product yet".to_owned(), |product| {
            let status = if product.is_final { "final" } else { "provisional" };
            format!("newest product {} r{:02} {status}", product.day, product.revision)
        });
        let open = self.ledger.open_incidents()?.len();
        Ok(match open {
            0 => newest,
            1 => format!("{newest}; 1 incident open"),
            several => format!("{newest}; {several} incidents open"),
        })
    }

    fn next_wake_up(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        // They were parsed when the configuration was read.
        let wake = wake_ups(&self.world().config).unwrap_or_default();
        let next = wake.iter().filter_map(|cron| cron.after(&now).next()).min();
        next.unwrap_or(now + LONGEST_SLEEP)
    }
}

/// Whether a day that was asked for gives way to those that are looked after. Where these cannot be looked at, it does, too: the next look
/// meets what is wrong, and tells people, and here stands why a production was given up.
fn gives_way(ready: Result<bool, DaemonError>) -> bool {
    ready.unwrap_or_else(|error| {
        tracing::warn!("it cannot be seen whether a day is ready; the days that were asked for wait until it can: {error}");
        true
    })
}

fn wake_ups(config: &Config) -> Result<Vec<Cron>, DaemonError> {
    let parse = |expression: &String| {
        parse_cron(expression).map_err(|reason| DaemonError::Cron { expression: expression.clone(), reason })
    };
    config.schedule.wake.iter().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use crate::produce::GatherError;
    use crate::sys::warnings;

    use super::*;

    #[test]
    fn a_day_that_gives_way_to_what_cannot_be_seen_says_why() {
        let failed = || {
            let reasons = vec!["met-norway: no answer".to_owned()];
            Err(GatherError::Unreachable { day: "2026-03-01".parse().unwrap(), reasons }.into())
        };
        let said = warnings(|| assert!(gives_way(failed())));
        let [warning] = &said[..] else { panic!("{said:?}") };
        assert!(warning.contains("the days that were asked for wait"), "{warning}");
        assert!(warning.contains("met-norway: no answer"), "{warning}");
        assert_eq!(warnings(|| assert!(gives_way(Ok(true)) && !gives_way(Ok(false)))), [""; 0]);
    }
}
