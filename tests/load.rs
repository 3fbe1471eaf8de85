//! What a centre has after years: many readers at once, a ledger of twenty years, a product root of seven thousand days. Figures are printed
//! beside what is asked for, for machines differ; what must not happen at any speed fails. `./dev e2e` runs it, one test at a time.

#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use common::aftermath::{daemon_command, log, signal};
use common::nilas::Nilas;
use common::say::say;
use common::tiny_window::TinyHouse;
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{ETAG, HOST, HeaderValue, IF_NONE_MATCH, RANGE};
use hyper::http::request::Builder;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use nilas::daemon::{History, explain, looked_after, plan};
use nilas::ledger::{
    Aftermath, CheckRow, DayInput, DayState, FileRow, Ledger, Origin, Outcome, ProductInput, ProductRow,
    RunEnd, RunRow, Severity, Verdict,
};
use nilas::publish::{MANIFEST, Manifest, has_viewer, read_manifest, repair_root};
use nilas::source::Role;
use nilas::sys;
use nilas::time::{Clock, ProductDay, SystemClock};
use rustix::process::Signal;
use tokio::net::TcpStream;
use tokio::runtime::{self, Runtime};
use tokio::task::JoinHandle;
use tokio::time::{self, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

/// What no production and no start of a daemon takes, also beside others.
const PATIENCE: Duration = Duration::from_mins(10);
/// Between two looks at what a daemon has done.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Readers at once.
const READERS: usize = 200;
/// So many of them keep their connection. The daemon lets 64 in at a time, and who keeps a connection keeps a place.
const KEEPING: usize = 40;
/// How often a reader asks.
const PAUSE: Duration = Duration::from_secs(1);
/// No reader waits longer for an answer.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// By how much readers may slow a production down, as is asked for.
const ASKED_RATIO: f64 = 1.10;
/// Productions without and with readers.
const PAIRS: usize = 5;
/// What is read of a map at once, bytes: about a tile.
const RANGE_BYTES: u64 = 16 << 10;
/// The unit in which the kernel says what a process has used (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;
/// How often each question is put to a daemon that has nothing else to do.
const ASKED_ALONE: u32 = 500;
/// A window, and members, that take a quarter of a minute on two cores: long beside the pause of a reader, and all productions together
/// a few minutes.
const SIDE: u32 = 256;
const ENSEMBLE: [(&str, &str); 2] = [("members = 2\n", "members = 8\n"), ("\nsteps = 1\n", "\nsteps = 10\n")];

/// Days of twenty years.
const REMEMBERED_DAYS: i64 = 7305;
/// What a look at the ledger may take then, as is asked for, ms.
const ASKED_LOOK_MS: f64 = 100.0;
/// Days in the product root.
const PUBLISHED_DAYS: i64 = 7000;
/// Days that the animation shows, each of which is drawn again when one is added.
const ANIMATED_DAYS: i64 = 30;
/// The smallest window.
const TINY_SIDE: u32 = 64;
/// How often a figure is taken: the median counts.
const TAKES: usize = 5;

/// A daemon at work; ended when dropped.
struct Daemon<'a> {
    house: &'a TinyHouse,
    child: Child,
}

impl<'a> Daemon<'a> {
    fn start(house: &'a TinyHouse) -> Self {
        let starts = |house: &TinyHouse| log(house).matches("nilas is at work").count();
        let before = starts(house);
        let child = daemon_command(house).spawn().unwrap();
        let mut daemon = Self { house, child };
        daemon.wait("it is at work", |house| starts(house) > before);
        daemon
    }

    #[track_caller]
    fn wait(&mut self, what: &str, is_so: impl Fn(&TinyHouse) -> bool) {
        let clock = SystemClock::new();
        while !is_so(self.house) {
            let is_over = clock.monotonic() > PATIENCE || self.child.try_wait().unwrap().is_some();
            assert!(!is_over, "{what}: not so\n{}", log(self.house));
            thread::sleep(LOOK_AGAIN);
        }
    }

    /// What processors have done for it so far, without what it started: seconds.
    fn processor_seconds(&self) -> f64 {
        processor_seconds(self.child.id())
    }

    fn end(mut self) {
        signal(&self.child, Signal::TERM);
        assert!(self.child.wait().unwrap().success(), "{}", log(self.house));
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        // Where a test has failed before it could end it.
        let _ = self.child.kill();
    }
}

/// A house whose daemon shows what it has.
struct ShownHouse {
    house: TinyHouse,
    address: SocketAddr,
}

impl ShownHouse {
    fn new(root: &Path, side: u32, changes: &[(&str, &str)]) -> Self {
        // Given back at once: the daemon listens there.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let listen = format!("listen = \"{address}\"");
        let mut all = vec![
            ("[http]\nenabled = false", "[http]\nenabled = true"),
            ("listen = \"127.0.0.1:8460\"", &listen),
        ];
        all.extend(changes);
        Self { house: TinyHouse::of_side(root, side, &all), address }
    }

    /// Makes the day of the house, for a person.
    fn produce(&self, options: &[&str]) {
        let produce = self.house.nilas("produce").option("--date", self.house.day.to_string());
        options.iter().fold(produce, Nilas::arg).expect_code(0);
    }
}

/// What processors have done for a process so far: seconds.
fn processor_seconds(process: u32) -> f64 {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let after_name = text.rsplit(')').next().unwrap();
    let ticks = after_name.split_whitespace().skip(11).take(2).map(|field| field.parse::<f64>().unwrap());
    ticks.sum::<f64>() / TICKS_PER_SECOND
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// What something takes, seconds.
fn once(action: impl FnOnce()) -> f64 {
    let clock = SystemClock::new();
    action();
    clock.monotonic().as_secs_f64()
}

/// The same as the median of some takes.
fn seconds(mut action: impl FnMut()) -> f64 {
    median((0..TAKES).map(|_| once(&mut action)).collect())
}

// --- readers ---------------------------------------------------------------------------------------------------------

/// The way to a server, with the least that HTTP takes: the readers are on the machine of the production, and what they cost is not the
/// daemon's.
struct Line {
    address: SocketAddr,
    keeps_connection: bool,
    kept: Option<SendRequest<Empty<Bytes>>>,
}

impl Line {
    fn to(address: SocketAddr, keeps_connection: bool) -> Self {
        Self { address, keeps_connection, kept: None }
    }

    /// The answer, read to its end: what is cut off is an error.
    async fn ask(&mut self, request: Builder) -> Result<Response<Bytes>, String> {
        let answered = time::timeout(3 * LONGEST_WAIT, self.exchange(request)).await;
        answered.map_err(|elapsed| elapsed.to_string())?.map_err(|error| format!("{error:?}"))
    }

    async fn exchange(&mut self, request: Builder) -> Result<Response<Bytes>, Box<dyn Error + Send + Sync>> {
        let mut line = match self.kept.take().filter(|line| !line.is_closed()) {
            Some(line) => line,
            None => self.connect().await?,
        };
        line.ready().await?;
        let request = request.header(HOST, self.address.to_string()).body(Empty::new())?;
        let (head, body) = line.send_request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        self.kept = self.keeps_connection.then_some(line);
        Ok(Response::from_parts(head, body))
    }

    async fn connect(&self) -> Result<SendRequest<Empty<Bytes>>, Box<dyn Error + Send + Sync>> {
        let stream = TcpStream::connect(self.address).await?;
        let (line, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // How it ends is told by the answer.
        tokio::spawn(async { drop(connection.await) });
        Ok(line)
    }
}

/// What readers ask for.
struct Question {
    path: String,
    /// The size of a file of which a part is asked for.
    parts_of: Option<u64>,
}

/// What a reader met.
#[derive(Default)]
struct Met {
    answers: BTreeMap<u16, usize>,
    waits: Vec<f64>,
    /// Connections that the daemon had ended, after which the question was put again.
    renewed: usize,
    errors: Vec<String>,
}

struct Reader {
    number: usize,
    line: Line,
    questions: Arc<Vec<Question>>,
    /// Of `latest.json` as it was seen last.
    seen: Option<HeaderValue>,
    met: Met,
}

impl Reader {
    fn new(number: usize, line: Line, questions: &Arc<Vec<Question>>) -> Self {
        Self { number, line, questions: Arc::clone(questions), seen: None, met: Met::default() }
    }

    async fn read(mut self, stop: CancellationToken) -> Met {
        // Not all at the same moment.
        time::sleep(PAUSE * self.number as u32 / READERS as u32).await;
        let mut ticks = time::interval(PAUSE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for turn in self.number.. {
            tokio::select! {
                _ = ticks.tick() => self.ask(turn).await,
                () = stop.cancelled() => break,
            }
        }
        self.met
    }

    async fn ask(&mut self, turn: usize) {
        let clock = SystemClock::new();
        let mut answer = self.answer(turn).await;
        if answer.is_err() && self.line.keeps_connection {
            // A connection lasts a minute, and may end just when it is used: browsers ask again as well.
            self.met.renewed += 1;
            answer = self.answer(turn).await;
        }
        self.met.waits.push(clock.monotonic().as_secs_f64());
        match answer {
            Ok(status) => *self.met.answers.entry(status.as_u16()).or_default() += 1,
            Err(error) => self.met.errors.push(error),
        }
    }

    async fn answer(&mut self, turn: usize) -> Result<StatusCode, String> {
        let questions = Arc::clone(&self.questions);
        let Question { path, parts_of } = &questions[turn % questions.len()];
        let mut request = Request::get(path);
        if let Some(bytes) = parts_of {
            let begin = turn as u64 * 104_729 % bytes.saturating_sub(RANGE_BYTES).max(1);
            request = request.header(RANGE, format!("bytes={begin}-{}", begin + RANGE_BYTES - 1));
        }
        let is_latest = path.ends_with("latest.json");
        if let Some(seen) = self.seen.clone().filter(|_| is_latest) {
            request = request.header(IF_NONE_MATCH, seen);
        }
        let response = self.line.ask(request).await?;
        if is_latest && response.status() == StatusCode::OK {
            self.seen = response.headers().get(ETAG).cloned();
        }
        Ok(response.status())
    }
}

/// Readers at work.
struct Crowd {
    runtime: Runtime,
    stop: CancellationToken,
    readers: Vec<JoinHandle<Met>>,
}

impl Crowd {
    fn gather(address: SocketAddr, questions: &Arc<Vec<Question>>) -> Self {
        let runtime = runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let stop = CancellationToken::new();
        let readers = (0..READERS).map(|number| {
            let line = Line::to(address, number % READERS.div_ceil(KEEPING) == 0);
            runtime.spawn(Reader::new(number, line, questions).read(stop.clone()))
        });
        let readers = readers.collect();
        Self { runtime, stop, readers }
    }

    fn end(self) -> Vec<Met> {
        self.stop.cancel();
        self.runtime.block_on(async {
            let mut all = Vec::new();
            for reader in self.readers {
                all.push(reader.await.unwrap());
            }
            all
        })
    }
}

/// All that is read again and again, and parts of a map of the first revision.
fn questions(shown: &ShownHouse) -> Vec<Question> {
    let whole = |path: &str| Question { path: path.to_owned(), parts_of: None };
    let mut questions: Vec<Question> =
        ["/products/latest.json", "/metrics", "/status"].into_iter().map(whole).collect();
    if has_viewer(&shown.house.products()) {
        questions.push(whole("/products/viewer/"));
    }
    let revision = &shown.house.revisions()[0];
    let manifest = read_manifest(revision).unwrap();
    let map = manifest.files.iter().find(|file| file.name.ends_with("_mean.tif")).unwrap();
    let below = revision.strip_prefix(shown.house.products()).unwrap().display();
    let path = format!("/products/{below}/{}", map.name);
    questions.push(Question { path, parts_of: Some(map.bytes) });
    questions
}

/// Asks for the day once more, and waits until it is made: seconds.
fn make_again(daemon: &mut Daemon<'_>, ledger: &Ledger) -> f64 {
    let (house, day) = (daemon.house, daemon.house.day);
    let before = ledger.runs_of(day).unwrap().len();
    house.nilas("backfill").arg(day.to_string()).arg("--again").expect_code(0);
    let newest = || ledger.runs_of(day).unwrap().into_iter().nth(before);
    daemon.wait("the day is made again", |_| newest().is_some_and(|run| run.end.is_some()));
    let run: RunRow = newest().unwrap();
    let end = run.end.unwrap();
    assert_eq!(end.outcome, Outcome::Published, "{}", log(house));
    (end.at - run.started_at).as_seconds_f64()
}

/// Nothing is looked after: what is made is made because it is asked for.
fn look_after_nothing(house: &TinyHouse) {
    let text = fs::read_to_string(house.configuration()).unwrap();
    let shipped = format!("first_day = \"{}\"", house.day);
    assert!(text.contains(&shipped));
    fs::write(house.configuration(), text.replace(&shipped, "first_day = \"2999-01-01\"")).unwrap();
}

/// What an answer costs the daemon, where one reader asks again and again.
fn tell_costs(daemon: &Daemon<'_>, address: SocketAddr, questions: &Arc<Vec<Question>>) {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for (turn, Question { path, .. }) in questions.iter().enumerate() {
        let mut reader = Reader::new(0, Line::to(address, true), questions);
        let before = daemon.processor_seconds();
        for _ in 0..ASKED_ALONE {
            assert!(runtime.block_on(reader.answer(turn)).unwrap().as_u16() < 400);
        }
        let cost_ms = 1e3 * (daemon.processor_seconds() - before) / f64::from(ASKED_ALONE);
        say(&format!("an answer costs the daemon {cost_ms:.2} ms of a processor: {path}"));
    }
}

#[test]
fn two_hundred_readers_are_answered_while_a_day_is_made() {
    let root = tempfile::tempdir().unwrap();
    let shown = ShownHouse::new(&root.path().join("house"), SIDE, &ENSEMBLE);
    look_after_nothing(&shown.house);
    shown.house.deliver();
    shown.produce(&["--members", "2", "--steps", "1"]);
    let questions = Arc::new(questions(&shown));
    let ledger = shown.house.ledger();
    let mut daemon = Daemon::start(&shown.house);
    tell_costs(&daemon, shown.address, &questions);
    let (mut alone, mut beside, mut met) = (Vec::new(), Vec::new(), Vec::new());
    let (mut own, mut theirs, mut passed) = (0.0, 0.0, 0.0);
    for _ in 0..PAIRS {
        alone.push(make_again(&mut daemon, &ledger));
        let (clock, before) = (SystemClock::new(), daemon.processor_seconds());
        let without = processor_seconds(std::process::id());
        let crowd = Crowd::gather(shown.address, &questions);
        beside.push(make_again(&mut daemon, &ledger));
        met.extend(crowd.end());
        own += daemon.processor_seconds() - before;
        theirs += processor_seconds(std::process::id()) - without;
        passed += clock.monotonic().as_secs_f64();
    }
    daemon.end();
    say(&format!("productions alone {alone:.1?} s, beside {READERS} readers {beside:.1?} s"));
    let ratio = median(beside) / median(alone);
    say(&format!(
        "ratio of the medians: {ratio:.3} (asked: {ASKED_RATIO:.2} at most; here the readers are on the same machine)"
    ));
    judge(&met);
    // Whatever else the machine does, and wherever the readers are: this is what production cannot have.
    let processors = thread::available_parallelism().unwrap().get();
    let [share, of_readers] = [own, theirs].map(|seconds| seconds / passed / processors as f64);
    say(&format!(
        "the daemon takes {:.1} % of {processors} processors to answer them, and they {:.1} % to ask",
        100.0 * share,
        100.0 * of_readers
    ));
    assert!(share <= ASKED_RATIO - 1.0, "{share:.3} of the machine is lost to production");
}

/// What readers must not meet, at any speed.
fn judge(met: &[Met]) {
    let mut answers: BTreeMap<u16, usize> = BTreeMap::new();
    for (status, count) in met.iter().flat_map(|one| &one.answers) {
        *answers.entry(*status).or_default() += count;
    }
    let waits: Vec<f64> = met.iter().flat_map(|one| one.waits.iter().copied()).collect();
    let longest = waits.iter().copied().fold(0.0, f64::max);
    let renewed: usize = met.iter().map(|one| one.renewed).sum();
    say(&format!(
        "answers by status: {answers:?}; waited {:.4} s in the middle, {longest:.2} s at most; {renewed} connections had ended",
        median(waits)
    ));
    let errors: Vec<&String> = met.iter().flat_map(|one| &one.errors).collect();
    assert!(errors.is_empty(), "{} errors, such as {}", errors.len(), errors[0]);
    assert!(met.iter().all(|one| !one.answers.is_empty()), "every reader was answered");
    assert!(answers.keys().all(|status| [200, 206, 304].contains(status)), "{answers:?}");
    assert!(longest <= LONGEST_WAIT.as_secs_f64(), "a reader waited {longest:.1} s");
}

// --- the ledger ------------------------------------------------------------------------------------------------------

/// Where nothing waits for a disk: each of the many entries is a transaction of its own, and on a disk each is waited for.
fn memory_folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}

/// Writes down what is remembered of a day: its files, a provisional production and a final one, and of every tenth one that failed.
fn remember(ledger: &Ledger, number: i64, day: ProductDay) {
    let at = day.plus_days(1).noon().and_utc();
    let inputs: Vec<DayInput> = Role::ALL.iter().map(|role| receive(ledger, *role, day, at)).collect();
    ledger.record_day_inputs(day, &inputs, at).unwrap();
    if number % 10 == 0 {
        fail(ledger, day, at);
    }
    for (is_final, at) in [(false, at), (true, at + TimeDelta::days(4))] {
        make(ledger, day, is_final, &inputs, at);
    }
}

fn receive(ledger: &Ledger, role: Role, day: ProductDay, at: DateTime<Utc>) -> DayInput {
    let name = format!("{role}_nh_polstere-100_multi_{}1200.nc", day.compact());
    let check = |number: usize| CheckRow {
        name: format!("mean_change_percent_per_day_{number}"),
        measured: 1.25,
        least: Some(-15.0),
        most: Some(15.0),
        passed: true,
    };
    let file = FileRow {
        sha256: sys::sha256(&name),
        role: role.name().to_owned(),
        product: "multi".to_owned(),
        first_day: day,
        last_day: day,
        centre: day,
        server: "met-norway".to_owned(),
        url: format!("https://thredds.example.org/thredds/fileServer/osisaf/met.no/ice/{name}"),
        size_bytes: 2_000_000,
        fetched_at: at,
        judged_at: at,
        verdict: Verdict::Accepted,
        checks: (0..8).map(check).collect(),
        name,
    };
    ledger.record_file(&file).unwrap();
    DayInput { role: file.role, sha256: file.sha256, name: file.name, age_days: 0 }
}

fn end_of_run(at: DateTime<Utc>, outcome: Outcome) -> RunEnd {
    RunEnd {
        at: at + TimeDelta::minutes(12),
        outcome,
        exit_code: Some(i32::from(outcome != Outcome::Published)),
        reason: (outcome != Outcome::Published)
            .then(|| "the device failed, as it does now and then".to_owned()),
        device: Some("cpu".to_owned()),
        peak_memory_bytes: Some(1_600_000_000),
        stages: ["read", "prepare", "ensemble", "quality", "publish"]
            .map(|name| (name.to_owned(), 12.5))
            .to_vec(),
    }
}

fn fail(ledger: &Ledger, day: ProductDay, at: DateTime<Utc>) {
    let run = ledger.begin_run(day, Origin::Schedule, 0, at).unwrap();
    let end = end_of_run(at, Outcome::Failed);
    let note = format!("run {} failed", run.id);
    let aftermath = Aftermath { state: DayState::Failed, note, counts_as_failure: true };
    ledger.end_run(&run, &end, None, &aftermath).unwrap();
    ledger.raise("production", Severity::Failure, &format!("the production of {day} failed"), at).unwrap();
    ledger.settle("production", at + TimeDelta::hours(1)).unwrap();
}

fn make(ledger: &Ledger, day: ProductDay, is_final: bool, inputs: &[DayInput], at: DateTime<Utc>) {
    let run = ledger.begin_run(day, Origin::Schedule, 0, at).unwrap();
    let of_product = |input: &DayInput| ProductInput {
        role: input.role.clone(),
        name: input.name.clone(),
        sha256: input.sha256.clone(),
        age_days: if is_final { 0.0 } else { 2.0 },
    };
    let product = ProductRow {
        day,
        revision: run.revision,
        run: Some(run.id),
        is_final,
        published_at: at,
        size_bytes: 58_000_000,
        manifest_sha256: sys::sha256(format!("{day} {is_final}")),
        checkpoint_sha256: "0".repeat(64),
        config_hash: "0".repeat(64),
        degradation: None,
        withdrawal: None,
        removed_at: None,
        inputs: inputs.iter().map(of_product).collect(),
    };
    let state = if is_final { DayState::Final } else { DayState::Provisional };
    let note = format!("revision {} stands", run.revision);
    let aftermath = Aftermath { state, note, counts_as_failure: false };
    ledger.end_run(&run, &end_of_run(at, Outcome::Published), Some(&product), &aftermath).unwrap();
}

/// What the daemon asks the ledger when it looks what is due.
fn history(ledger: &Ledger, (first, newest): (ProductDay, ProductDay)) -> History {
    let newest_thickness = ledger.newest_centre(Role::Thickness.name()).unwrap();
    let mut history = History { newest_thickness, ..History::default() };
    for row in ledger.days(first, newest).unwrap() {
        let day = row.day;
        history.days.entry(day).or_default().row = Some(row);
    }
    for product in ledger.products_between(first, newest).unwrap() {
        history.days.entry(product.day).or_default().products.push(product);
    }
    history
}

#[test]
fn twenty_years_are_looked_through_at_once() {
    let root = tempfile::tempdir().unwrap();
    let house = TinyHouse::new(&root.path().join("house"), &[]);
    let status = || drop(house.nilas("status").arg("--json").expect_code(0));
    drop(house.ledger());
    let empty_ms = 1e3 * seconds(status);
    let now = SystemClock::new().now();
    let newest = ProductDay::new(now.date_naive()).plus_days(-1);
    let begun = memory_folder();
    let clock = SystemClock::new();
    let written = Ledger::open(&begun.path().join(Ledger::FILE_NAME)).unwrap();
    for number in (0..REMEMBERED_DAYS).rev() {
        remember(&written, number, newest.plus_days(-number));
    }
    written.copy_to(&house.ledger_file()).unwrap();
    let megabytes = fs::metadata(house.ledger_file()).unwrap().len() as f64 / 1e6;
    say(&format!(
        "{REMEMBERED_DAYS} days in {megabytes:.0} MB, written in {:.0} s",
        clock.monotonic().as_secs_f64()
    ));

    let clock = SystemClock::new();
    let ledger = house.ledger();
    say(&format!("the ledger is opened in {:.1} ms", 1e3 * clock.monotonic().as_secs_f64()));
    let told = |what: &str, ms: f64| say(&format!("{what}: {ms:.1} ms (asked: {ASKED_LOOK_MS:.0} ms)"));
    told("nilas status --json", 1e3 * seconds(status));
    say(&format!("the same with an empty ledger: {empty_ms:.1} ms"));
    let middle = newest.plus_days(-REMEMBERED_DAYS / 2).to_string();
    told("nilas explain", 1e3 * seconds(|| drop(house.nilas("explain").arg(&middle).expect_code(0))));
    let mut config = house.config();
    config.schedule.first_day = None;
    let story = || drop(explain(&ledger, &config, middle.parse().unwrap(), now).unwrap());
    told("explain, of an open ledger", 1e3 * seconds(story));
    for days in [30, REMEMBERED_DAYS] {
        config.schedule.look_back_days = days as u32;
        let (newest, first) = looked_after(now, &config);
        let planned = || assert_eq!(plan(&history(&ledger, (first, newest)), now, &config), []);
        told(&format!("a plan for {days} days, with what it asks"), 1e3 * seconds(planned));
    }
}

// --- the product root ------------------------------------------------------------------------------------------------

/// Puts the files of a revision into the product root once more, as those of another day. They are the same files under other names;
/// the manifest is that day's own.
fn publish_as(root: &Path, (folder, manifest): (&Path, &Manifest), day: ProductDay) {
    let own = root.join(day.date().format("%Y/%m/%d").to_string()).join("r01");
    fs::create_dir_all(&own).unwrap();
    let mut copy = Manifest { manifest_sha256: String::new(), day, revision: 1, ..manifest.clone() };
    for file in &mut copy.files {
        let name = file.name.replace(&manifest.day.compact(), &day.compact());
        fs::hard_link(folder.join(&file.name), own.join(&name)).unwrap();
        file.name = name;
    }
    let text = |manifest: &Manifest| serde_json::to_string_pretty(manifest).unwrap();
    copy.manifest_sha256 = sys::sha256(text(&copy));
    fs::write(own.join(MANIFEST), text(&copy)).unwrap();
}

/// A product root with so many days, and what is done with it: seconds each.
struct Rooted {
    days: i64,
    /// All catalogs are written anew, as after a production that was cut off.
    repair: f64,
    /// A daemon begins whose ledger knows none of the products, and ends.
    adopt: f64,
    prune: f64,
    produce: f64,
    /// The last stage of that.
    publish: f64,
    /// `latest.json` over HTTP.
    latest: f64,
}

impl Rooted {
    fn of(root: &Path, pattern: (&Path, &Manifest), days: i64) -> Self {
        let shown = ShownHouse::new(&root.join(days.to_string()), TINY_SIDE, &[]);
        let house = &shown.house;
        look_after_nothing(house);
        house.deliver();
        fs::create_dir(house.products()).unwrap();
        for number in 1..=days {
            publish_as(&house.products(), pattern, house.day.plus_days(-number));
        }
        let repair = once(|| repair_root(&house.products()).unwrap());
        let adopt = once(|| Daemon::start(house).end());
        let prune = seconds(|| drop(house.nilas("prune").arg("--dry-run").expect_code(0)));
        let produce = seconds(|| shown.produce(&[]));
        let runs = house.ledger().runs_of(house.day).unwrap();
        let publish = median(runs.iter().map(publishing).collect());
        let daemon = Daemon::start(house);
        let latest = fetching(shown.address, "/products/latest.json");
        daemon.end();
        Self { days, repair, adopt, prune, produce, publish, latest }
    }

    fn tell(&self) {
        let Self { days, repair, adopt, prune, produce, publish, latest } = self;
        say(&format!(
            "{days:>4} days: catalogs {repair:.2} s, a new ledger {adopt:.2} s, prune --dry-run {prune:.2} s, produce {produce:.2} s with \
             publish {publish:.2} s, GET latest.json {:.2} ms",
            1e3 * latest
        ));
    }
}

/// What the stage took that is the last of a run.
fn publishing(run: &RunRow) -> f64 {
    let (stage, seconds) = run.end.as_ref().unwrap().stages.last().unwrap();
    assert_eq!(stage, "publish");
    *seconds
}

fn fetching(address: SocketAddr, path: &str) -> f64 {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
    seconds(|| {
        let answer = runtime.block_on(Line::to(address, false).ask(Request::get(path))).unwrap();
        assert!(answer.status() == StatusCode::OK && !answer.body().is_empty());
    })
}

#[test]
fn seven_thousand_days_in_the_product_root_slow_nothing_down() {
    let root = tempfile::tempdir().unwrap();
    // A pattern; and what is made once for all is made.
    let house = TinyHouse::new(&root.path().join("pattern"), &[]);
    house.deliver();
    house.nilas("produce").option("--date", house.day.to_string()).expect_code(0);
    let folder = house.revisions().remove(0);
    let manifest = read_manifest(&folder).unwrap();
    let [none, month, all] = [0, ANIMATED_DAYS, PUBLISHED_DAYS].map(|days| {
        let rooted = Rooted::of(root.path(), (&folder, &manifest), days);
        rooted.tell();
        rooted
    });
    let beside = |of: fn(&Rooted) -> f64| (of(&all) - of(&none), of(&all) - of(&month));
    say(&format!(
        "{PUBLISHED_DAYS} days beside none, and beside the {ANIMATED_DAYS} of the animation, s (asked: about 1 at most): prune {:.2?}, produce {:.2?}, \
         publish {:.2?}, latest.json {:.4?}",
        beside(|rooted| rooted.prune),
        beside(|rooted| rooted.produce),
        beside(|rooted| rooted.publish),
        beside(|rooted| rooted.latest),
    ));
}
