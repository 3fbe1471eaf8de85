//! Metrics for Prometheus, in its text format 0.0.4. All of them follow from the ledger as it is when they are written, so that they are
//! right at once after a restart. Ages count from the end of the time that a product or a file is of.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::prometheus_text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::{DaemonError, ShowError, Shown};
use crate::daemon::overview::Overview;
use crate::ledger::{DayState, Outcome, Severity};
use crate::sys;

/// The type that goes with the text.
pub(super) const CONTENT_TYPE: &str = prometheus_text::CONTENT_TYPE;

const OUTCOMES: [Outcome; 5] =
    [Outcome::Published, Outcome::Failed, Outcome::Killed, Outcome::Abandoned, Outcome::Lost];

const STATES: [DayState; 7] = [
    DayState::Waiting,
    DayState::Running,
    DayState::Provisional,
    DayState::Final,
    DayState::Failed,
    DayState::OffSeason,
    DayState::Gap,
];

type Value = Gauge<f64, AtomicU64>;
type Labels = Vec<(&'static str, String)>;

/// Metrics that are put together.
struct Metrics(Registry);

impl Metrics {
    /// A value, where there is one.
    fn value(&mut self, name: &str, help: &str, value: Option<f64>) {
        if let Some(value) = value {
            let gauge = Value::default();
            gauge.set(value);
            self.0.register(name, help, gauge);
        }
    }

    /// Values that a label tells apart.
    fn values(
        &mut self,
        name: &str,
        help: &str,
        label: &'static str,
        values: impl IntoIterator<Item = (String, f64)>,
    ) {
        let family = Family::<Labels, Value>::default();
        let mut is_empty = true;
        for (of, value) in values {
            is_empty = false;
            family.get_or_create(&vec![(label, of)]).set(value);
        }
        if !is_empty {
            self.0.register(name, help, family);
        }
    }
}

/// Everything that is measured.
pub(super) fn text(overview: &Overview, shown: &Shown) -> Result<String, ShowError> {
    let mut metrics = Metrics(Registry::default());
    products(&mut metrics, overview);
    last_run(&mut metrics, overview);
    counts(&mut metrics, overview);
    let runs = Family::<Labels, Counter>::default();
    let since = shown.ledger.outcomes_since(shown.started_at).map_err(DaemonError::from)?;
    for outcome in OUTCOMES {
        let count = since.iter().find(|(known, _)| *known == outcome).map_or(0, |(_, count)| *count);
        runs.get_or_create(&vec![("outcome", outcome.name().to_owned())]).inc_by(count);
    }
    metrics.0.register("nilas_runs", "Productions that ended since the daemon was started", runs);
    process(&mut metrics, shown);
    let mut text = String::new();
    prometheus_text::encode(&mut text, &metrics.0)?;
    Ok(text)
}

fn products(metrics: &mut Metrics, overview: &Overview) {
    let newest = overview.newest.as_ref();
    metrics.value(
        "nilas_product_age_seconds",
        "Time since the end of the day of the newest product; absent where there is none",
        newest.map(|newest| newest.age_seconds as f64),
    );
    metrics.value(
        "nilas_product_published_timestamp_seconds",
        "When the newest product was made, in seconds since 1970",
        newest.map(|newest| newest.published_at.timestamp() as f64),
    );
    metrics.value(
        "nilas_product_final",
        "Whether the newest product is made of the inputs of its own day",
        newest.map(|newest| f64::from(u8::from(newest.is_final))),
    );
    metrics.value(
        "nilas_ready",
        "Whether the newest product is young enough, or it is off season",
        Some(f64::from(u8::from(overview.overdue.is_none()))),
    );
    let ages =
        overview.inputs.iter().filter_map(|input| Some((input.role, input.newest.as_ref()?.age_seconds)));
    metrics.values(
        "nilas_input_age_seconds",
        "Time since the end of what the newest accepted file of an input observes; absent where there is none",
        "input",
        ages.map(|(role, age)| (role.to_owned(), age as f64)),
    );
    metrics.values(
        "nilas_input_late",
        "Whether an input is late: its newest file is older than it should be at this time of the day",
        "input",
        overview.inputs.iter().map(|input| {
            (input.role.to_owned(), f64::from(u8::from(matches!(input.standing, "late" | "none"))))
        }),
    );
}

fn last_run(metrics: &mut Metrics, overview: &Overview) {
    let Some(run) = &overview.last_run else { return };
    metrics.values(
        "nilas_run_stage_seconds",
        "Duration of each stage of the last production that ended",
        "stage",
        run.stages.iter().map(|stage| (stage.stage.clone(), stage.seconds)),
    );
    let help = "Duration of the last production that ended";
    metrics.value("nilas_run_duration_seconds", help, Some(run.seconds as f64));
    let help = "Largest resident memory of the last production that ended; absent where it was not seen";
    metrics.value("nilas_run_peak_memory_bytes", help, run.peak_memory_bytes.map(|bytes| bytes as f64));
    let end = run.started_at.timestamp() + run.seconds;
    let help = "When the last production ended, in seconds since 1970";
    metrics.value("nilas_run_end_timestamp_seconds", help, Some(end as f64));
}

fn counts(metrics: &mut Metrics, overview: &Overview) {
    metrics.values(
        "nilas_day_states",
        "The last 30 days by how they stand; a day that was never looked at is in none of them",
        "state",
        STATES.into_iter().map(DayState::name).map(|state| {
            let days = overview.days.iter().filter(|day| day.state == state);
            (state.to_owned(), days.count() as f64)
        }),
    );
    metrics.values(
        "nilas_incidents_open",
        "Open incidents by their severity",
        "severity",
        Severity::ALL.iter().map(|severity| {
            let open = overview.incidents.iter().filter(|incident| incident.severity == *severity);
            (severity.name().to_owned(), open.count() as f64)
        }),
    );
    for (name, help, count) in [
        ("nilas_messages_waiting", "Messages to people that have not arrived yet", overview.messages_waiting),
        ("nilas_backfill_waiting", "Days that were asked for and are not made yet", overview.days_asked_for),
        ("nilas_runs_active", "Productions that are at work", overview.at_work.len()),
        ("nilas_held", "Whether a person holds production", usize::from(overview.hold.is_some())),
    ] {
        metrics.value(name, help, Some(count as f64));
    }
}

fn process(metrics: &mut Metrics, shown: &Shown) {
    let is_alive = shown.pulse.is_good(shown.clock.monotonic());
    metrics.value(
        "nilas_alive",
        "Whether the work of the daemon goes on",
        Some(f64::from(u8::from(is_alive))),
    );
    metrics.values(
        "nilas_build_info",
        "Always 1; the label says which version is at work",
        "version",
        [(env!("CARGO_PKG_VERSION").to_owned(), 1.0)],
    );
    metrics.value(
        "process_start_time_seconds",
        "When the daemon was started, in seconds since 1970",
        Some(shown.started_at.timestamp() as f64),
    );
    metrics.value(
        "process_resident_memory_bytes",
        "Resident memory of the daemon",
        sys::resident_bytes(std::process::id()).map(|bytes| bytes as f64),
    );
}
