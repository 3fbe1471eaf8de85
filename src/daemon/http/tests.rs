//! What readers get, asked of a real listener.

use std::net::SocketAddr;
use std::sync::Mutex;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::daemon::scratch_house::{House, PICTURE, day, time as at};
use crate::ledger::Severity;
use crate::publish;

/// A clock that stands until it is set.
struct HandClock(Mutex<(DateTime<Utc>, Duration)>);

impl Clock for HandClock {
    fn now(&self) -> DateTime<Utc> {
        self.0.lock().unwrap().0
    }

    fn monotonic(&self) -> Duration {
        self.0.lock().unwrap().1
    }
}

/// A house that is shown.
struct Served {
    address: SocketAddr,
    shown: Arc<Shown>,
    clock: Arc<HandClock>,
    stop: CancellationToken,
    serving: tokio::task::JoinHandle<()>,
    folder: Box<dyn std::any::Any + Send>,
}

struct Got {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Served {
    async fn start(house: House) -> Self {
        let (folder, ledger, config) = house.into_parts();
        let clock = Arc::new(HandClock(Mutex::new((House::now(), Duration::ZERO))));
        let shown = Arc::new(Shown {
            ledger: Arc::new(ledger),
            clock: clock.clone(),
            pulse: Arc::default(),
            config: Arc::new(RwLock::new(Arc::new(config))),
            started_at: at("2026-03-02T00:00:00Z"),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let serving = tokio::spawn(serve(listener, Arc::clone(&shown), stop.clone()));
        Self { address, shown, clock, stop, serving, folder: Box::new(folder) }
    }

    async fn ask(&self, request: &str) -> Got {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!("{request} HTTP/1.1\r\nHost: nilas\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(answer[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Got { status, head: head.to_lowercase(), body: answer.split_off(end + 4) }
    }

    async fn get(&self, path: &str) -> Got {
        self.ask(&format!("GET {path}")).await
    }
}

impl Got {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

#[tokio::test]
async fn it_is_alive_while_the_work_goes_on() {
    let served = Served::start(House::full()).await;
    let _work = served.shown.pulse.begins("producing 2026-03-01", Duration::ZERO, Duration::from_mins(1));
    let alive = served.get("/healthz").await;
    assert_eq!((alive.status, alive.text()), (200, "alive\n"));
    served.clock.0.lock().unwrap().1 = Duration::from_secs(61);
    let stuck = served.get("/healthz").await;
    assert_eq!((stuck.status, stuck.text()), (503, "stuck at: producing 2026-03-01\n"));
}

#[tokio::test]
async fn it_is_ready_while_the_newest_product_is_young_enough() {
    let house = House::full();
    house.publish(day("2026-02-28"), [0, 3, 0], "2026-03-02T05:00:00Z");
    let served = Served::start(house).await;
    assert_eq!(served.get("/readyz").await.status, 200);
    served.clock.0.lock().unwrap().0 = at("2026-03-03T12:00:00Z");
    let late = served.get("/readyz").await;
    assert_eq!(late.status, 503);
    assert!(
        late.text().starts_with("there should be a product of 2026-03-01 by now, and"),
        "{}",
        late.text()
    );
}

#[tokio::test]
async fn every_answer_has_the_same_strict_head() {
    let served = Served::start(House::full()).await;
    for (path, kind) in [
        ("/status", "text/html; charset=utf-8"),
        ("/status.css", "text/css; charset=utf-8"),
        ("/quicklook.png", "image/png"),
        ("/metrics", "text/plain; version=0.0.4; charset=utf-8"),
        ("/healthz", "text/plain; charset=utf-8"),
        ("/nowhere", "text/plain; charset=utf-8"),
    ] {
        let Got { head, .. } = served.get(path).await;
        for line in [
            &format!("content-type: {kind}"),
            "content-security-policy: default-src 'none'; img-src 'self'; style-src 'self'; base-uri 'none'",
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
            "cache-control: no-store",
        ] {
            assert!(head.contains(line), "{path}: {line} is not in\n{head}");
        }
    }
}

#[tokio::test]
async fn only_what_is_shown_can_be_got() {
    let served = Served::start(House::full()).await;
    for path in ["/status/", "/quicklook.png/..", "/../ledger.sqlite", "/%2e%2e/ledger.sqlite"] {
        assert_eq!(served.get(path).await.status, 404, "{path}");
    }
    for method in ["POST", "PUT", "DELETE"] {
        assert_eq!(served.ask(&format!("{method} /status")).await.status, 405, "{method}");
    }
    assert_eq!(served.ask("HEAD /status").await.body, b"");
}

#[tokio::test]
async fn the_picture_is_that_of_the_newest_product() {
    let served = Served::start(House::full()).await;
    let got = served.get("/quicklook.png").await;
    assert_eq!((got.status, &got.body[..]), (200, PICTURE));
    let served = Served::start(House::empty()).await;
    assert_eq!(served.get("/quicklook.png").await.status, 404);
}

#[tokio::test]
async fn the_page_says_everything_in_words() {
    let served = Served::start(House::full()).await;
    let _work = served.shown.pulse.begins("resting", Duration::ZERO, Duration::MAX);
    served.shown.ledger.hold("a new disk", House::now()).unwrap();
    let got = served.get("/status").await;
    let page = got.text();
    for part in [
        "<h1>Somebody must act</h1>",
        "the production of 2026-02-28 fails: exit code 9",
        "nilas status --ack production",
        "Acknowledged on 2026-03-02 05:00 UTC.",
        "<strong>Held since 2026-03-02 05:30 UTC:</strong> a new disk.",
        "<strong>2026-02-26</strong>, revision 1",
        "It was made on cpu, because the GPU failed.",
        "<img class=\"quicklook\" src=\"/quicklook.png\"",
        "title=\"2026-02-27: waiting; its product was taken back; revision 1 was taken back: the drift was of the wrong day\"",
        "came 2026-03-02 04:31 UTC from met-norway",
        "The daemon is resting.",
        "2 days are asked for",
        "<td>540.2 s</td>",
    ] {
        assert!(page.contains(part), "{part}\nis not in\n{page}");
    }
    assert_eq!(page.matches("<li class=\"day ").count(), 30);
    assert!(!page.contains("<script") && !page.contains("style=") && !page.contains("<style"), "{page}");
}

#[tokio::test]
async fn an_empty_house_has_a_page() {
    let served = Served::start(House::empty()).await;
    let got = served.get("/status").await;
    assert_eq!(got.status, 200);
    for part in
        ["There is none yet.", "none has come yet", "Nothing was produced yet.", "The daemon is not at work."]
    {
        assert!(got.text().contains(part), "{part}\nis not in\n{}", got.text());
    }
}

/// Names of files and answers of servers come into incidents, and a person's words into reasons.
#[tokio::test]
async fn hostile_texts_stay_texts() {
    let house = House::full();
    let hostile = "</p><script>alert('x')</script>\" onload=\"";
    house.ledger.raise("name:<b>", Severity::Failure, hostile, House::now()).unwrap();
    house.ledger.hold(hostile, House::now()).unwrap();
    house.ledger.set_day(day("2026-03-01"), crate::ledger::DayState::Failed, hostile, House::now()).unwrap();
    let served = Served::start(house).await;
    let got = served.get("/status").await;
    let page = got.text();
    assert!(!page.contains("<script") && !page.contains("<b>") && !page.contains("\" onload"), "{page}");
    assert_eq!(page.matches("&lt;script&gt;").count(), 3, "incident, hold and title of the day: {page}");
}

/// What the page says is to be pasted into a shell.
#[tokio::test]
async fn a_key_is_one_word_of_a_command() {
    let house = House::full();
    house.ledger.raise("name:$(reboot)'s", Severity::Notice, "a new name", House::now()).unwrap();
    let served = Served::start(house).await;
    let got = served.get("/status").await;
    let page = got.text().replace("&#x27;", "'").replace("&#x5c;", "\\");
    assert!(page.contains(r"nilas status --ack 'name:$(reboot)'\''s'</code>"), "{page}");
}

#[tokio::test]
async fn metrics_are_those_of_the_ledger() {
    let served = Served::start(House::full()).await;
    let got = served.get("/metrics").await;
    let text = got.text();
    for line in [
        "nilas_product_age_seconds 279000",
        "nilas_input_age_seconds{input=\"concentration\"} 19800",
        "nilas_run_stage_seconds{stage=\"ensemble\"} 540.25",
        "nilas_runs_total{outcome=\"failed\"} 1",
        "nilas_runs_total{outcome=\"published\"} 0",
        "nilas_incidents_open{severity=\"failure\"} 1",
        "nilas_incidents_open{severity=\"notice\"} 0",
        "nilas_day_states{state=\"provisional\"} 1",
        "nilas_backfill_waiting 2",
        "nilas_messages_waiting 0",
        concat!("nilas_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
        "process_start_time_seconds 1772409600",
    ] {
        let has = text.lines().any(|found| found == line || found == format!("{line}.0"));
        assert!(has, "{line}\nis not in\n{text}");
    }
}

/// Many may ask many times: production needs the machine more.
#[tokio::test]
async fn pages_and_metrics_are_made_once_a_second_at_most() {
    let served = Served::start(House::full()).await;
    let new = "the disk of the ledger is slow";
    let shown = async || {
        let (metrics, page) = (served.get("/metrics").await, served.get("/status").await);
        (metrics.text().contains("nilas_incidents_open{severity=\"notice\"} 1"), page.text().contains(new))
    };
    assert_eq!(shown().await, (false, false));
    served.shown.ledger.raise("disk", Severity::Notice, new, House::now()).unwrap();
    assert_eq!(shown().await, (false, false), "it was looked at in this second");
    served.clock.0.lock().unwrap().1 += FRESH;
    assert_eq!(shown().await, (true, true));
}

/// What names folders stands in the log only.
#[tokio::test]
async fn a_picture_that_cannot_be_read_is_no_secret_told() {
    let house = House::full();
    let newest = house.ledger.newest_product().unwrap().unwrap();
    let folder = publish::revision_folder(&house.config.folders.products, newest.day, newest.revision);
    fs::remove_file(folder.join("nilas_sit_epsg3413-3km_20260301_r01.png")).unwrap();
    fs::create_dir(folder.join("nilas_sit_epsg3413-3km_20260301_r01.png")).unwrap();
    let served = Served::start(house).await;
    let got = served.get("/quicklook.png").await;
    assert_eq!(got.status, 500);
    assert!(!got.text().contains('/') && got.text().contains("the log"), "{}", got.text());
}

#[tokio::test]
async fn it_ends_when_told_so_also_with_a_reader_who_says_nothing() {
    let served = Served::start(House::empty()).await;
    let _silent = TcpStream::connect(served.address).await.unwrap();
    assert_eq!(served.get("/status").await.status, 200);
    served.stop.cancel();
    time::timeout(LONGEST_FAREWELL * 4, served.serving).await.unwrap().unwrap();
    assert!(TcpStream::connect(served.address).await.is_err(), "nobody listens any more");
    drop(served.folder);
}

/// Browsers keep a connection after an answer, and ask nothing more.
#[tokio::test]
async fn readers_who_ask_nothing_more_do_not_keep_the_next_one_waiting() {
    const PATIENCE: Duration = Duration::from_secs(20);
    let served = Served::start(House::empty()).await;
    let mut kept = Vec::new();
    for number in 0..3 * door::MOST_READERS {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: nilas\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        let answered = async {
            while !answer.ends_with(b"alive\n") {
                assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0, "reader {number} got no answer");
            }
        };
        let answered = time::timeout(PATIENCE, answered).await;
        assert!(answered.is_ok(), "reader {number} waits for {} who ask nothing", kept.len());
        if String::from_utf8(answer).unwrap().to_lowercase().contains("connection: close") {
            assert_eq!(stream.read(&mut [0]).await.unwrap(), 0, "what was said is done");
        } else {
            kept.push(stream);
        }
    }
    assert!((door::MOST_READERS / 4..=door::MOST_READERS / 2).contains(&kept.len()), "{}", kept.len());
}

/// A served product root with a revision's file, a catalog, a map page and something private.
async fn with_products() -> Served {
    let served = Served::start(House::full()).await;
    let root = served.shown.config().folders.products.clone();
    for (name, content) in [
        ("2026/03/01/r09/map.tif", "0123456789"),
        ("catalog.json", "{}"),
        ("viewer/index.html", "<!DOCTYPE html>"),
        (".nilas/secret", "secret"),
    ] {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    served
}

#[tokio::test]
async fn files_of_the_product_root_are_served_in_parts_and_not_twice() {
    let served = with_products().await;
    let whole = served.get("/products/2026/03/01/r09/map.tif").await;
    assert_eq!((whole.status, whole.text()), (200, "0123456789"));
    for line in [
        "content-type: image/tiff",
        "accept-ranges: bytes",
        "cache-control: public, max-age=31536000, immutable",
    ] {
        assert!(whole.head.contains(line), "{line} is not in\n{}", whole.head);
    }
    let asked = "GET /products/2026/03/01/r09/map.tif HTTP/1.1\r\nRange: bytes=3-5\r\nX-Rest: ";
    let part = served.ask(asked).await;
    assert_eq!((part.status, part.text()), (206, "345"));
    assert!(part.head.contains("content-range: bytes 3-5/10"), "{}", part.head);

    let catalog = served.get("/products/catalog.json").await;
    assert!(catalog.head.contains("cache-control: no-cache"), "{}", catalog.head);
    let tag = catalog.head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap().to_owned();
    let again =
        served.ask(&format!("GET /products/catalog.json HTTP/1.1\r\nIf-None-Match: {tag}\r\nX-Rest: ")).await;
    assert_eq!((again.status, again.body.len()), (304, 0));
    assert_eq!(served.ask("HEAD /products/catalog.json").await.body, b"");
    assert_eq!(served.ask("PUT /products/catalog.json").await.status, 405);
}

/// A browser goes on with a broken download so, and joins what it gets to what it has.
#[tokio::test]
async fn the_rest_of_a_file_that_may_have_changed_is_sent_with_its_beginning() {
    let served = with_products().await;
    let rest_of = |name: &str, version: &str| {
        format!("GET /products/{name} HTTP/1.1\r\nRange: bytes=1-\r\n{version}X-Rest: ")
    };
    let version = "If-Range: \"another\"\r\n";
    let changed = served.ask(&rest_of("catalog.json", version)).await;
    assert_eq!((changed.status, changed.text()), (200, "{}"));
    let asked_for = served.ask(&rest_of("catalog.json", "")).await;
    assert_eq!((asked_for.status, asked_for.text()), (206, "}"));
    let lasting = served.ask(&rest_of("2026/03/01/r09/map.tif", version)).await;
    assert_eq!((lasting.status, lasting.text()), (206, "123456789"));
}

#[tokio::test]
async fn what_is_private_in_the_product_root_is_not_served() {
    let served = with_products().await;
    for path in [
        "/products/.nilas/secret",
        "/products/%2enilas/secret",
        "/products/viewer/../.nilas/secret",
        "/products/viewer/%2e%2e/.nilas/secret",
        "/products//.nilas/secret",
        "/products/nothing",
        "/products/%ff",
    ] {
        let got = served.get(path).await;
        assert_eq!((got.status, got.text().contains("secret")), (404, false), "{path}");
    }
}

#[tokio::test]
async fn the_map_page_may_run_its_script_and_is_linked_where_it_is() {
    let served = with_products().await;
    let map = served.get("/products/viewer/").await;
    assert_eq!((map.status, map.text()), (200, "<!DOCTYPE html>"));
    assert!(map.head.contains("script-src 'self'") && !map.head.contains("unsafe"), "{}", map.head);
    assert_eq!(served.get("/products/viewer").await.status, 307);
    assert!(served.get("/status").await.text().contains("href=\"/products/viewer/\""));
    let without = Served::start(House::full()).await;
    assert!(!without.get("/status").await.text().contains("viewer"));
}
