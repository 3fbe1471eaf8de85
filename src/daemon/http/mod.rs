//! What readers are shown over HTTP: whether the daemon is alive and ready, metrics, one page. Reading only; nothing can be changed.
//!
//! * `/healthz`: 200 while the work goes on. `/readyz`: 200 while the newest product is young enough.
//! * `/metrics`: for Prometheus (`metrics`). `/status`: for people (`page`), with `/status.css` and `/quicklook.png`.
//! * `/products`: the product root, and the map page in it (`files`).
//! * `door`: how many readers come in at once, and how long they may stay.

mod door;
mod files;
mod metrics;
mod page;

use std::fs;
use std::future::IntoFuture;
use std::io;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use chrono::{DateTime, Utc};
use tokio::net::TcpListener;
use tokio::sync::{Mutex, Semaphore};
use tokio::time;
use tokio_util::sync::CancellationToken;

use super::overview::{Overview, overdue};
use super::pulse::Pulse;
use super::{DaemonError, chores};
use crate::config::Config;
use crate::ledger::Ledger;
use crate::publish;
use crate::time::Clock;

use door::Door;

/// What an answer may take; a ledger that is held by another process is waited for some seconds.
const LONGEST_ANSWER: Duration = Duration::from_secs(30);
/// Questions to the ledger and the disk at once: the daemon needs them, too.
const LOOKS_AT_ONCE: usize = 2;
/// How old a page or metrics may be: however many ask, the ledger is looked at once in so long.
const FRESH: Duration = Duration::from_secs(1);
/// How long the end waits for readers.
const LONGEST_FAREWELL: Duration = Duration::from_secs(5);
/// A picture larger than this is none of ours, bytes.
const LARGEST_PICTURE: u64 = 50 << 20;

const STYLE: &str = include_str!("status.css");

/// No script, no frame, no form, nothing from elsewhere.
const POLICY: &str = "default-src 'none'; img-src 'self'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What stands in the head of every answer that does not say otherwise.
const HEAD: [(HeaderName, &str); 5] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
];

/// What readers are shown of.
pub(super) struct Shown {
    pub(super) ledger: Arc<Ledger>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) pulse: Arc<Pulse>,
    /// Another one after the configuration was read again.
    pub(super) config: Arc<RwLock<Arc<Config>>>,
    pub(super) started_at: DateTime<Utc>,
}

impl Shown {
    fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn has_map(&self) -> bool {
        publish::has_viewer(&self.config().folders.products)
    }

    fn overview(&self) -> Result<Overview, DaemonError> {
        Overview::of(&self.ledger, &self.config(), self.clock.now())
    }
}

/// Why an answer could not be given.
#[derive(Debug, thiserror::Error)]
enum ShowError {
    #[error(transparent)]
    Daemon(#[from] DaemonError),
    #[error(transparent)]
    Page(#[from] minijinja::Error),
    #[error("the metrics cannot be written ({0})")]
    Metrics(#[from] std::fmt::Error),
    #[error(
        "the picture of the newest product cannot be read ({0}); look at its folder, or make the day again"
    )]
    Picture(#[from] io::Error),
    #[error("what was to be shown came to no end ({0})")]
    Task(#[from] tokio::task::JoinError),
    #[error("too many questions wait for the ledger")]
    Busy,
}

impl IntoResponse for ShowError {
    /// Readers are told no more than that: what names folders stands in the log.
    fn into_response(self) -> Response {
        tracing::warn!("a reader got no answer: {self}");
        (StatusCode::INTERNAL_SERVER_ERROR, "this cannot be shown now; the log of nilas says why\n")
            .into_response()
    }
}

/// What the handlers share.
struct Hall {
    shown: Arc<Shown>,
    looks: Arc<Semaphore>,
    metrics: Poster,
    page: Poster,
}

/// A text that all readers are shown while it is fresh, and when it was made.
#[derive(Default)]
struct Poster(Mutex<Option<(Duration, Bytes)>>);

type Answer = Result<Response, ShowError>;

impl Hall {
    /// Looks at ledger or disk, where waiting holds nobody up.
    async fn look<T: Send + 'static>(
        &self,
        at: impl FnOnce(&Shown) -> Result<T, ShowError> + Send + 'static,
    ) -> Result<T, ShowError> {
        let turn = Arc::clone(&self.looks).acquire_owned().await.map_err(|_closed| ShowError::Busy)?;
        let shown = Arc::clone(&self.shown);
        tokio::task::spawn_blocking(move || {
            // Also when the reader has gone away meanwhile, the next one waits for the end of this look.
            let _turn = turn;
            at(&shown)
        })
        .await?
    }

    /// What hangs on a poster; a new text where that is not fresh. Readers who come meanwhile wait for the same.
    async fn read(
        &self,
        poster: &Poster,
        make: fn(&Shown) -> Result<String, ShowError>,
    ) -> Result<Bytes, ShowError> {
        let mut hanging = poster.0.lock().await;
        let now = self.shown.clock.monotonic();
        if let Some((_, text)) = hanging.as_ref().filter(|(made_at, _)| now < *made_at + FRESH) {
            return Ok(text.clone());
        }
        let text = Bytes::from(self.look(make).await?);
        *hanging = Some((now, text.clone()));
        Ok(text)
    }
}

/// All that is shown.
pub(super) fn router(shown: Arc<Shown>) -> Router {
    let looks = Arc::new(Semaphore::new(LOOKS_AT_ONCE));
    let hall = Arc::new(Hall { shown, looks, metrics: Poster::default(), page: Poster::default() });
    Router::new()
        .route("/healthz", get(alive))
        .route("/readyz", get(ready))
        .route("/metrics", get(show_metrics))
        .route("/status", get(show_page))
        .route("/status.css", get(|| async { ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], STYLE) }))
        .route("/quicklook.png", get(show_quicklook))
        .route("/", get(|| async { Redirect::temporary("/status") }))
        .nest_service(files::PLACE, get(serve_file).with_state(Arc::clone(&hall)))
        .fallback(|| async {
            (StatusCode::NOT_FOUND, "there is /status, /products/, /metrics, /healthz and /readyz\n")
        })
        .with_state(hall)
        .layer(middleware::from_fn(frame))
}

/// Answers until it is told to stop; who is being answered then is given some seconds.
pub(super) async fn serve(listener: TcpListener, shown: Arc<Shown>, stop: CancellationToken) {
    let door = Door::new(listener);
    let router = router(shown).layer(middleware::from_fn_with_state(door.crowd(), door::show_out));
    let serving = axum::serve(door, router).with_graceful_shutdown(stop.clone().cancelled_owned());
    let patience = async {
        stop.cancelled().await;
        time::sleep(LONGEST_FAREWELL).await;
    };
    tokio::select! {
        served = serving.into_future() => {
            if let Err(error) = served {
                tracing::warn!("readers are not answered any more: {error}");
            }
        }
        () = patience => {}
    }
}

/// Limits how long an answer may take, and writes what stands in every head.
async fn frame(request: Request, next: Next) -> Response {
    let late = (StatusCode::SERVICE_UNAVAILABLE, "the ledger is busy; try again\n");
    let answered = time::timeout(LONGEST_ANSWER, next.run(request)).await;
    let mut response = answered.unwrap_or_else(|_elapsed| late.into_response());
    for (name, value) in HEAD {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

async fn alive(State(hall): State<Arc<Hall>>) -> Response {
    let shown = &hall.shown;
    if shown.pulse.is_good(shown.clock.monotonic()) {
        return "alive\n".into_response();
    }
    let work = shown.pulse.work();
    let stuck = if work.is_empty() { "nothing is at work".to_owned() } else { format!("stuck at: {work}") };
    (StatusCode::SERVICE_UNAVAILABLE, format!("{stuck}\n")).into_response()
}

async fn ready(State(hall): State<Arc<Hall>>) -> Answer {
    let late = hall.look(|shown| Ok(overdue(&shown.ledger, &shown.config(), shown.clock.now())?)).await?;
    Ok(match late {
        None => "ready\n".into_response(),
        Some(sentence) => (StatusCode::SERVICE_UNAVAILABLE, format!("{sentence}\n")).into_response(),
    })
}

async fn show_metrics(State(hall): State<Arc<Hall>>) -> Answer {
    let text = hall.read(&hall.metrics, |shown| metrics::text(&shown.overview()?, shown)).await?;
    Ok(([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response())
}

async fn show_page(State(hall): State<Arc<Hall>>) -> Answer {
    let make = |shown: &Shown| Ok(page::html(&shown.overview()?, &shown.pulse.work(), shown.has_map())?);
    let html = hall.read(&hall.page, make).await?;
    Ok(([(header::CONTENT_TYPE, "text/html; charset=utf-8")], html).into_response())
}

async fn serve_file(State(hall): State<Arc<Hall>>, request: Request) -> Response {
    files::answer(&hall.shown.config().folders.products, request).await
}

async fn show_quicklook(State(hall): State<Arc<Hall>>) -> Answer {
    Ok(match hall.look(quicklook).await? {
        Some(bytes) => ([(header::CONTENT_TYPE, "image/png")], bytes).into_response(),
        None => (StatusCode::NOT_FOUND, "there is no picture yet\n").into_response(),
    })
}

/// The picture of the newest product.
fn quicklook(shown: &Shown) -> Result<Option<Vec<u8>>, ShowError> {
    let product = shown.ledger.newest_product().map_err(DaemonError::from)?;
    let config = shown.config();
    let path = product.and_then(|product| chores::quicklook(&config.folders.products, &product));
    let Some(path) = path else { return Ok(None) };
    if fs::metadata(&path)?.len() > LARGEST_PICTURE {
        return Err(io::Error::from(io::ErrorKind::FileTooLarge).into());
    }
    Ok(Some(fs::read(path)?))
}

#[cfg(test)]
mod tests;
