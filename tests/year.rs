//! A year in one process: planner, gathering, loop, ledger and messages as they are, with a clock that runs as fast as the work is
//! done. The providers' folders are real, their files a few bytes; who looks at files and who produces are stand-ins. Synthetic throughout.

#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Datelike, TimeDelta, Utc};
use common::demo_window::repository;
use common::say::say;
use common::stand_in::publish;
use nilas::config::{Config, Inspection, Overrides, Place, Server, ServerKind};
use nilas::daemon::{Ended, Mishap, Producer, Service, Signals, World};
use nilas::deliver::Carrier;
use nilas::ledger::{DayState, Ledger, Origin};
use nilas::notify::{Courier, Letter, Notifier, Undelivered};
use nilas::produce::{Failed, Gatherer, Order, Watch};
use nilas::publish::private_folder;
use nilas::source::{Inspected, Inspector, Measured, Refusal, Role, SourceError, recognise, window_end};
use nilas::sys;
use nilas::time::{Clock, ProductDay, Window};
use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::mpsc;
use tokio::time::{self, Instant};
use tokio_util::sync::CancellationToken;

/// The end of a season, a summer, and most of the next season, with a leap day in it.
const BEGIN: &str = "2027-04-01";
const DAYS: i64 = 365;

/// The thickness is made for these days.
const SEASONS: [[&str; 2]; 2] = [["2026-10-15", "2027-04-15"], ["2027-10-15", "2028-04-15"]];
/// The last day whose inputs have all come when the year is over, with a day to spare.
const LAST: &str = "2028-03-23";
/// From this day on the concentration has another name, and a day later the configuration knows it.
const RENAMED: &str = "2027-11-20";
/// Servers that do not answer for three days.
const OUTAGES: [(&str, &str); 2] = [("awi", "2027-12-05"), ("met", "2028-02-10")];
const OUTAGE_DAYS: i64 = 3;
/// The daemon is off.
const OFF: [&str; 2] = ["2028-01-10", "2028-01-20"];
/// Files that come broken and are replaced after two days.
const BROKEN: [(Role, &str); 3] =
    [(Role::Drift, "2027-11-02"), (Role::Thickness, "2027-12-20"), (Role::Concentration, "2028-03-03")];
/// A file that never comes.
const HOLE: &str = "2028-03-01";
/// Productions that fail, by their number.
const FAILING: [usize; 4] = [20, 21, 90, 200];

fn day(text: &str) -> ProductDay {
    text.parse().unwrap()
}

fn midnight(day: ProductDay) -> DateTime<Utc> {
    day.noon().and_utc() - TimeDelta::hours(12)
}

/// The time of day and the time that passes, both by the runtime's own clock, which stands still while work is done.
struct VirtualClock(Instant);

impl Clock for VirtualClock {
    fn now(&self) -> DateTime<Utc> {
        midnight(day(BEGIN)) + TimeDelta::from_std(self.monotonic()).unwrap()
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Something that happens at a provider.
enum Event {
    Arrival { path: PathBuf, content: String },
    Down(&'static str),
    Up(&'static str),
}

/// Minutes that differ from day to day, and are the same in every run.
fn jitter(role: Role, day: ProductDay, most: u32) -> i64 {
    let digest = sys::sha256(format!("{role} {day}"));
    i64::from(u32::from_str_radix(&digest[..6], 16).unwrap() % most)
}

fn is_in_season(centre: ProductDay) -> bool {
    SEASONS.iter().any(|[first, last]| day(first) <= centre && centre <= day(last))
}

/// When the file of `role` centred on a day is there, at its provider's usual pace.
fn arrival(role: Role, centre: ProductDay) -> Option<DateTime<Utc>> {
    let end = window_end(role, centre);
    let minutes = match role {
        Role::Concentration => 240 + jitter(role, centre, 120),
        // From 04:30 to 10:00 on the day after the one on which it ends; once a month a day later.
        Role::Drift => {
            let late = if centre.date().day() == 17 { 24 * 60 } else { 0 };
            12 * 60 + 270 + jitter(role, centre, 330) + late
        }
        Role::Thickness => 48 * 60 + jitter(role, centre, 60),
    };
    let comes = role != Role::Thickness || (is_in_season(centre) && centre != day(HOLE));
    comes.then(|| end + TimeDelta::minutes(minutes))
}

fn name(role: Role, centre: ProductDay) -> String {
    match role {
        Role::Concentration => {
            let word = if centre < day(RENAMED) { "amsr2" } else { "amsr3" };
            format!("ice_conc_nh_polstere-100_{word}_{}1200.nc", centre.compact())
        }
        Role::Drift => format!(
            "ice_drift_nh_polstere-625_multi-oi_{}1200-{}1200.nc",
            centre.plus_days(-1).compact(),
            centre.plus_days(1).compact()
        ),
        Role::Thickness => format!(
            "W_XX-ESA,SMOS_CS2_S3A_S3B,NH_12P5KM_EASE2_{}_{}_o_v300_01_l4sit.nc",
            centre.plus_days(-3).compact(),
            centre.plus_days(3).compact()
        ),
    }
}

fn folder(role: Role, centre: ProductDay) -> String {
    let (server, folder, day) = match role {
        Role::Concentration => ("met", "conc", centre),
        Role::Drift => ("met", "drift", centre.plus_days(1)),
        Role::Thickness => ("awi", "thickness", centre),
    };
    format!("{}/{folder}/{}", files_of(server), day.date().format("%Y/%m"))
}

/// Where a server's files lie, whether it answers or not.
fn files_of(server: &str) -> String {
    format!("{server}.files")
}

/// Lets a server's folder be another one from one moment to the next: a daemon that is just looking never finds it half away.
fn point(root: &Path, server: &str, target: &str) {
    let new = root.join("new");
    symlink(root.join(target), &new).unwrap();
    fs::rename(&new, root.join(server)).unwrap();
}

/// All that happens in the year, in order.
fn events(root: &Path) -> Vec<(DateTime<Utc>, Event)> {
    let mut events = Vec::new();
    let first = day(BEGIN);
    for role in Role::ALL {
        for centre in (-12..DAYS).map(|number| first.plus_days(number)) {
            let Some(at) = arrival(role, centre) else { continue };
            let path = root.join(folder(role, centre)).join(name(role, centre));
            let good = format!("good {role} {centre}");
            if BROKEN.contains(&(role, &*centre.to_string())) {
                let again = Event::Arrival { path: path.clone(), content: good };
                events.push((at, Event::Arrival { path, content: format!("broken {role} {centre}") }));
                events.push((at + TimeDelta::days(2), again));
            } else {
                events.push((at, Event::Arrival { path, content: good }));
            }
        }
    }
    for (server, begin) in OUTAGES {
        let begin = midnight(day(begin)) + TimeDelta::hours(1);
        events.push((begin, Event::Down(server)));
        events.push((begin + TimeDelta::days(OUTAGE_DAYS), Event::Up(server)));
    }
    events.sort_by_key(|(at, _)| *at);
    events
}

/// Lets it happen, each at its time.
async fn happen(root: PathBuf, events: Vec<(DateTime<Utc>, Event)>, clock: Arc<VirtualClock>) {
    for (at, event) in events {
        time::sleep((at - clock.now()).to_std().unwrap_or_default()).await;
        match event {
            Event::Arrival { path, content } => {
                let coming = root.join("coming");
                fs::write(&coming, content).unwrap();
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::rename(coming, path).unwrap();
            }
            // A link to itself: a folder that cannot be looked into.
            Event::Down(server) => point(&root, server, server),
            Event::Up(server) => point(&root, server, &files_of(server)),
        }
    }
}

/// Looks at files by their first word.
struct ByFirstWord;

#[async_trait]
impl Inspector for ByFirstWord {
    async fn inspect(&self, file: &Path, _limits: &Inspection) -> Result<Inspected, SourceError> {
        let content = fs::read_to_string(file).unwrap();
        if content.starts_with("broken") {
            let reason = format!("{} is damaged", file.display());
            return Ok(Inspected::Refused(Refusal { kind: "damaged".into(), reason }));
        }
        let known = recognise(file.file_name().unwrap().to_str().unwrap()).unwrap();
        let window = Window { start: known.start.noon(), end: known.end.noon() };
        let (role, product) = (known.role(), known.word().to_owned());
        Ok(Inspected::Measured(Measured { role, product, window, values: BTreeMap::new() }))
    }
}

/// Publishes a folder with a manifest, and fails when it is its turn to.
struct StandIn {
    clock: Arc<VirtualClock>,
    number: Arc<Mutex<usize>>,
    takes: Duration,
}

#[async_trait]
impl Producer for StandIn {
    async fn produce(&self, order: &Order, stop: &CancellationToken) -> Ended {
        let number = {
            let mut number = self.number.lock().unwrap();
            *number += 1;
            *number
        };
        let result = tokio::select! {
            () = time::sleep(self.takes) => {
                if FAILING.contains(&number) {
                    let reason = "the stand-in was told to fail".to_owned();
                    Err(Mishap::Failed(Failed { exit_code: 1, of_device: false, reason }))
                } else {
                    Ok(publish(order, self.clock.now()))
                }
            }
            () = stop.cancelled() => Err(Mishap::Stopped),
        };
        let stages = vec![("draw".to_owned(), self.takes.as_secs_f64())];
        Ended { result, exit_code: Some(0), peak_memory_bytes: Some(1 << 20), stages }
    }
}

/// Keeps what it is given. Its mail server does not answer in the second outage.
struct Letterbox {
    clock: Arc<VirtualClock>,
    letters: Arc<Mutex<Vec<Letter>>>,
}

#[async_trait]
impl Courier for Letterbox {
    async fn deliver(&self, letter: &Letter, _recipient: &str) -> Result<(), Undelivered> {
        let begin = midnight(day(OUTAGES[1].1));
        if (begin..begin + TimeDelta::days(1)).contains(&self.clock.now()) {
            return Err(Undelivered::Channel("nobody answers".into()));
        }
        self.letters.lock().unwrap().push(letter.clone());
        Ok(())
    }

    fn place(&self) -> String {
        "a letterbox".into()
    }
}

/// What the daemons of the year share.
struct House {
    root: tempfile::TempDir,
    clock: Arc<VirtualClock>,
    config: Arc<Mutex<Config>>,
    letters: Arc<Mutex<Vec<Letter>>>,
    number: Arc<Mutex<usize>>,
    /// When the configuration was read.
    read_at: Arc<Mutex<Vec<DateTime<Utc>>>>,
    /// What a production takes.
    takes: Duration,
}

impl House {
    fn new(takes: Duration) -> Self {
        let root = tempfile::tempdir().unwrap();
        let overrides = Overrides {
            products: Some(root.path().join("products")),
            state: Some(root.path().join("state")),
            cache: Some(root.path().join("cache")),
            ..Overrides::default()
        };
        let mut config = Config::load(&repository("config/nilas.toml"), &overrides).unwrap();
        let providers = root.path().join("providers");
        config.servers = ["met", "awi"]
            .map(|name| {
                fs::create_dir_all(providers.join(files_of(name))).unwrap();
                point(&providers, name, &files_of(name));
                let address = providers.join(name).to_str().unwrap().to_owned();
                let server = Server {
                    kind: ServerKind::Folder,
                    address,
                    connections: 4,
                    credentials: None,
                    authorities: None,
                    region: None,
                };
                (name.to_owned(), server)
            })
            .into();
        let place = |text: &str| vec![Place::try_from(text.to_owned()).unwrap()];
        config.inputs.concentration.places = place("met:conc/{year}/{month}");
        config.inputs.concentration.products = vec!["amsr2".into()];
        config.inputs.drift.places = place("met:drift/{year}/{month}");
        config.inputs.thickness.places = place("awi:thickness/{year}/{month}");
        // What is measured on files of a few bytes is nothing.
        for checks in
            [&mut config.checks.concentration, &mut config.checks.thickness, &mut config.checks.drift]
        {
            checks.clear();
        }
        config.http.enabled = false;
        config.production.least_free_megabytes = 0;
        config.schedule.first_day = Some(day(BEGIN));
        config.schedule.wake = vec!["0 0 * * * *".into()];
        config.notify.mail.recipients.failure = vec!["duty@example.org".into()];
        config.notify.mail.recipients.warning = vec!["duty@example.org".into()];
        Self {
            clock: Arc::new(VirtualClock(Instant::now())),
            config: Arc::new(Mutex::new(config)),
            letters: Arc::default(),
            number: Arc::default(),
            read_at: Arc::default(),
            takes,
            root,
        }
    }

    /// The folder of the providers' folders.
    fn providers(&self) -> PathBuf {
        self.root.path().join("providers")
    }

    fn ledger(&self) -> Ledger {
        Ledger::open(&self.config.lock().unwrap().folders.state.join(Ledger::FILE_NAME)).unwrap()
    }

    /// A daemon that works until the time comes.
    async fn work_until(&self, end: DateTime<Utc>, reload_at: Option<DateTime<Utc>>) {
        let clock: Arc<dyn Clock> = self.clock.clone();
        let takes = self.takes;
        let (own, config, letters, number) =
            (self.clock.clone(), self.config.clone(), self.letters.clone(), self.number.clone());
        let read_at = self.read_at.clone();
        let build = move |ledger: Arc<Ledger>| {
            read_at.lock().unwrap().push(own.now());
            let config = Arc::new(config.lock().unwrap().clone());
            let clock: Arc<dyn Clock> = own.clone();
            let letterbox = Letterbox { clock: own.clone(), letters: letters.clone() };
            Ok(World {
                gatherer: Gatherer::new(
                    config.clone(),
                    ledger.clone(),
                    Box::new(ByFirstWord),
                    Watch::Series,
                    clock.clone(),
                )?,
                producer: Box::new(StandIn { clock: own.clone(), number: number.clone(), takes }),
                notifier: Notifier::with_couriers(
                    &config.notify,
                    ledger,
                    clock,
                    Some(Box::new(letterbox)),
                    None,
                )?,
                carrier: Carrier::new(&config)?,
                config,
            })
        };
        let service = Service::new(Arc::new(self.ledger()), clock, Box::new(build)).unwrap();
        let service = service.with_tick(Duration::from_mins(30));
        let stop = CancellationToken::new();
        let (asks, reload) = mpsc::channel(1);
        let until = |time: DateTime<Utc>| (time - self.clock.now()).to_std().unwrap_or_default();
        let control = async {
            if let Some(at) = reload_at {
                time::sleep(until(at)).await;
                self.config.lock().unwrap().inputs.concentration.products =
                    vec!["amsr3".into(), "amsr2".into()];
                asks.send(()).await.unwrap();
            }
            time::sleep(until(end)).await;
            stop.cancel();
        };
        let (worked, ()) = tokio::join!(service.run(Signals { stop: stop.clone(), reload }), control);
        worked.unwrap();
    }
}

/// From when on the daemon could have had a file.
fn obtainable(role: Role, centre: ProductDay) -> Option<DateTime<Utc>> {
    let broken = BROKEN.contains(&(role, &*centre.to_string()));
    let mut at = arrival(role, centre)? + TimeDelta::days(if broken { 2 } else { 0 });
    if role == Role::Concentration && centre >= day(RENAMED) {
        at = at.max(midnight(day(RENAMED).plus_days(2)));
    }
    let server = if role == Role::Thickness { "awi" } else { "met" };
    for (name, begin) in OUTAGES {
        let begin = midnight(day(begin)) + TimeDelta::hours(1);
        let end = begin + TimeDelta::days(OUTAGE_DAYS);
        if name == server && begin <= at && at < end {
            at = end;
        }
    }
    Some(at)
}

#[tokio::test(start_paused = true)]
async fn a_year_passes_and_no_day_is_lost_or_made_twice() {
    let house = House::new(Duration::from_secs(20));
    let providers = house.providers();
    let world = tokio::spawn(happen(providers.clone(), events(&providers), house.clock.clone()));
    let end = midnight(day(BEGIN).plus_days(DAYS));
    let [off, on] = OFF.map(|text| midnight(day(text)) + TimeDelta::hours(7));
    house.work_until(off, Some(midnight(day(RENAMED).plus_days(2)))).await;
    time::sleep((on - house.clock.now()).to_std().unwrap()).await;
    house.work_until(end, None).await;
    world.abort();

    let ledger = house.ledger();
    let first = day(BEGIN);
    let all = (0..=day(LAST).days_since(first)).map(|number| first.plus_days(number));
    let season: Vec<ProductDay> = all.filter(|day| is_in_season(*day)).collect();
    let (mut in_time, mut late, mut gaps) = (0, Vec::new(), Vec::new());
    for day in &season {
        let products = ledger.products_of(*day).unwrap();
        let finals: Vec<_> = products.iter().filter(|product| product.is_final).collect();
        assert!(finals.len() <= 1, "{day} became final {} times", finals.len());
        let sets: BTreeSet<_> = products
            .iter()
            .map(|product| product.inputs.iter().map(|input| input.sha256.clone()).collect::<Vec<_>>())
            .collect();
        assert_eq!(sets.len(), products.len(), "{day} was made twice of the same inputs");
        assert!(!products.is_empty(), "{day} is missing: {:?}", ledger.day(*day).unwrap());
        let Some(own) = Role::ALL.iter().map(|role| obtainable(*role, *day)).collect::<Option<Vec<_>>>()
        else {
            assert_eq!(ledger.day(*day).unwrap().unwrap().state, DayState::Gap, "{day}");
            assert!(ledger.is_gap(*day, "thickness").unwrap(), "{day} is a declared gap");
            gaps.push(day.to_string());
            continue;
        };
        assert_eq!(finals.len(), 1, "{day} is not final: {:?}", ledger.day(*day).unwrap());
        let mut needed = own.into_iter().max().unwrap();
        if off <= needed && needed < on {
            needed = on;
        }
        let waited = finals[0].published_at - needed;
        assert!(waited >= TimeDelta::zero(), "{day} became final {waited} before its inputs came");
        if waited <= TimeDelta::hours(1) {
            in_time += 1;
        } else {
            late.push((day.to_string(), waited.num_minutes()));
        }
    }
    assert_eq!(gaps, [HOLE]);
    let share = f64::from(in_time) / (season.len() - gaps.len()) as f64;
    say(&format!(
        "{in_time} of {} days were final within an hour of their last input; late: {late:?}",
        season.len() - 1
    ));
    assert!(share >= 0.95, "{share}: {late:?}");

    let letters = house.letters.lock().unwrap();
    let threads = threads(&letters);
    say(&format!("{} letters of {} incidents", letters.len(), threads.len()));
    for (id, letters) in &threads {
        let subjects: Vec<&str> = letters.iter().map(|letter| letter.subject.as_str()).collect();
        let firsts = letters.iter().filter(|letter| letter.follows.is_none()).count();
        assert_eq!(firsts, 1, "{id}: {subjects:?}");
        let recoveries = letters.iter().filter(|letter| letter.subject.contains("over")).count();
        assert!(recoveries <= 1, "{id}: {subjects:?}");
    }
    assert!(
        ledger.open_incidents().unwrap().iter().all(|incident| incident.key.starts_with("season:")),
        "{:?}",
        ledger.open_incidents().unwrap()
    );
}

/// Letters by the first of their thread.
fn threads(letters: &[Letter]) -> BTreeMap<String, Vec<&Letter>> {
    let mut threads: BTreeMap<String, Vec<&Letter>> = BTreeMap::new();
    for letter in letters {
        let first = letter.follows.clone().unwrap_or(letter.id.clone());
        threads.entry(first).or_default().push(letter);
    }
    threads
}

/// What a backfill's production takes: longer than a day may wait.
const LONG: Duration = Duration::from_hours(5);

#[tokio::test(start_paused = true)]
async fn days_that_are_asked_for_are_made_and_never_hold_up_a_new_one() {
    let house = House::new(LONG);
    let providers = house.providers();
    let (begin, last) = (day(BEGIN), day(BEGIN).plus_days(20));
    house.config.lock().unwrap().schedule.first_day = Some(begin.plus_days(8));
    let world = tokio::spawn(happen(providers.clone(), events(&providers), house.clock.clone()));
    time::sleep(Duration::from_hours(24 * 9)).await;
    let asked: Vec<ProductDay> = (0..3).map(|number| begin.plus_days(number)).collect();
    house.ledger().ask_for(&asked, false, house.clock.now()).unwrap();
    house.work_until(midnight(last), None).await;
    world.abort();

    let ledger = house.ledger();
    let made = |day: ProductDay| ledger.products_of(day).unwrap();
    for day in &asked {
        assert_eq!(made(*day).iter().filter(|product| product.is_final).count(), 1, "{day}");
        assert!(ledger.day(*day).unwrap().unwrap().asked.is_none(), "{day} is settled");
    }
    // A day that is looked after waits for no production but of another such day: for that, its own, and an hour until the next look.
    let mut abandoned = 0;
    for number in 9..13 {
        let day = begin.plus_days(number);
        let own = obtainable(Role::Concentration, day).unwrap();
        let first = own.max(obtainable(Role::Drift, day.plus_days(-1)).unwrap());
        let waited = made(day)[0].published_at - first;
        let most = TimeDelta::from_std(2 * LONG + Duration::from_hours(1)).unwrap();
        assert!(waited <= most, "{day} waited {waited}");
    }
    for day in &asked {
        let runs = ledger.runs_of(*day).unwrap();
        abandoned +=
            runs.iter().filter(|run| run.end.as_ref().unwrap().outcome.name() == "abandoned").count();
    }
    assert!(abandoned > 0, "a new day was ready while one that was asked for was made");
}

/// What is wrong with one day costs that day: older ones are made, and what is done once a day is done.
#[tokio::test(start_paused = true)]
async fn a_day_that_cannot_be_worked_on_holds_up_neither_older_days_nor_the_chores() {
    let house = House::new(Duration::from_mins(1));
    let providers = house.providers();
    let world = tokio::spawn(happen(providers.clone(), events(&providers), house.clock.clone()));
    let bad = day(BEGIN).plus_days(4);
    let products = house.config.lock().unwrap().folders.products.clone();
    let lock = private_folder(&products).join(format!("days/{}.lock", bad.compact()));
    // Where its lock should be lies something that cannot be locked.
    fs::create_dir_all(&lock).unwrap();
    time::sleep(Duration::from_hours(24 * 9)).await;
    let began = house.clock.now();
    house.work_until(began + TimeDelta::hours(12), None).await;
    world.abort();

    let ledger = house.ledger();
    for number in 0..8 {
        let day = day(BEGIN).plus_days(number);
        assert_eq!(ledger.products_of(day).unwrap().is_empty(), day == bad, "{day}");
    }
    for chore in ["copy", "clear-up"] {
        assert!(ledger.chore_done_at(chore).unwrap() >= Some(began), "{chore}");
    }
    let text = ledger.incident("house").unwrap().unwrap().text;
    assert!(text.contains(lock.to_str().unwrap()), "{text}");
}

/// Readers would find what was published into an empty mount point, and nothing else.
#[tokio::test(start_paused = true)]
async fn while_the_product_folder_is_away_nothing_is_published() {
    let house = House::new(Duration::from_mins(1));
    let providers = house.providers();
    let world = tokio::spawn(happen(providers.clone(), events(&providers), house.clock.clone()));
    time::sleep(Duration::from_hours(24 * 9)).await;
    let work = async |hours| house.work_until(house.clock.now() + TimeDelta::hours(hours), None).await;
    work(12).await;
    let before = house.ledger().revisions().unwrap();

    let products = house.config.lock().unwrap().folders.products.clone();
    let away = products.with_extension("away");
    fs::rename(&products, &away).unwrap();
    fs::create_dir(&products).unwrap();
    work(36).await;
    assert_eq!(house.ledger().revisions().unwrap(), before);
    assert_eq!(fs::read_dir(&products).unwrap().count(), 0);

    fs::remove_dir(&products).unwrap();
    fs::rename(&away, &products).unwrap();
    work(12).await;
    world.abort();
    assert!(house.ledger().revisions().unwrap().len() > before.len());
    let letters = house.letters.lock().unwrap();
    let of_it = letters.iter().filter(|letter| letter.subject.contains("revisions that were published"));
    let subjects: Vec<&str> = of_it.map(|letter| letter.subject.as_str()).collect();
    assert!(subjects[0].starts_with("[Nilas] failure: "), "{subjects:?}");
    assert!(subjects.last().unwrap().contains("over"), "{subjects:?}");
}

/// While a provider is away nobody knows whether its file is still bad: that is neither the end of the matter nor a new one.
#[tokio::test(start_paused = true)]
async fn a_refused_file_that_cannot_be_seen_for_a_day_is_no_news() {
    let house = House::new(Duration::from_mins(1));
    let providers = house.providers();
    let away = midnight(day(BEGIN).plus_days(11)) + TimeDelta::hours(1);
    let mut events = events(&providers);
    for (_, event) in &mut events {
        if let Event::Arrival { content, .. } = event
            && content.contains("concentration")
        {
            *content = "broken".to_owned();
        }
    }
    events.push((away, Event::Down("met")));
    events.push((away + TimeDelta::days(1), Event::Up("met")));
    events.sort_by_key(|(at, _)| *at);
    let world = tokio::spawn(happen(providers.clone(), events, house.clock.clone()));
    time::sleep(Duration::from_hours(24 * 9)).await;
    house.work_until(away + TimeDelta::days(2), None).await;
    world.abort();

    let letters = house.letters.lock().unwrap();
    let of_it =
        letters.iter().map(|letter| &letter.subject).filter(|subject| subject.contains("cannot be made"));
    let news: Vec<_> = of_it.filter(|subject| !subject.contains("reminder")).collect();
    let [begun] = &news[..] else { panic!("{news:?}") };
    assert!(begun.starts_with("[Nilas] failure: "), "{begun}");
}

/// After a few ends systemd starts it no more, and it would stay away when the ledger can be written again.
#[tokio::test(start_paused = true)]
async fn a_start_whose_ledger_cannot_be_written_waits_until_it_can() {
    let house = House::new(Duration::from_mins(1));
    let begin = day(BEGIN);
    let ledger = house.ledger();
    let cut_off = ledger.begin_run(begin, Origin::Schedule, 0, house.clock.now()).unwrap();
    let path = house.config.lock().unwrap().folders.state.join(Ledger::FILE_NAME);
    let mut holder = Connection::open(path).unwrap();
    let held = async {
        let held = holder.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
        time::sleep(Duration::from_mins(10)).await;
        drop(held);
    };
    tokio::join!(held, house.work_until(midnight(begin) + TimeDelta::hours(2), None));

    let end = ledger.runs_of(begin).unwrap()[0].end.clone();
    assert_eq!((cut_off.id, end.map(|end| end.outcome.name())), (1, Some("lost")));
    let letters = house.letters.lock().unwrap();
    assert!(letters[0].subject.contains("the ledger cannot be written"), "{}", letters[0].subject);
}

#[tokio::test(start_paused = true)]
async fn a_reload_waits_for_one_production_and_not_for_all_that_are_due() {
    let house = House::new(LONG);
    let providers = house.providers();
    let world = tokio::spawn(happen(providers.clone(), events(&providers), house.clock.clone()));
    time::sleep(Duration::from_hours(24 * 9)).await;
    let asked = house.clock.now() + TimeDelta::hours(1);
    house.work_until(asked + TimeDelta::days(1), Some(asked)).await;
    world.abort();

    let read = *house.read_at.lock().unwrap().last().unwrap();
    assert!(read >= asked && read <= asked + TimeDelta::from_std(LONG).unwrap(), "{read}, asked for {asked}");
    let ledger = house.ledger();
    let products = (0..9).flat_map(|number| ledger.products_of(day(BEGIN).plus_days(number)).unwrap());
    let later = products.filter(|product| product.published_at > read).count();
    assert!(later > 1, "there was more to make");
}
