//! Days as they really come: early, late, broken, never. The providers' folders are real, the clock is set by hand.

#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[path = "common/scripted_ftp.rs"]
mod scripted_ftp;
#[path = "../src/sys/warnings.rs"]
mod warnings;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use common::demo_window::repository;
use common::series::{Series, name_of};
use nilas::config::{Config, Overrides, Place, Processing, Server, ServerKind};
use nilas::ledger::{FileRow, Ledger, Severity, Verdict};
use nilas::produce::{AcceptedFile, GatherError, Gathered, Gatherer, Watch};
use nilas::source::{Availability, InspectionProgram, Role};
use nilas::sys;
use nilas::time::{Clock, ProductDay, SystemClock};
use scripted_ftp::{MODERN, ScriptedFtp};
use tempfile::TempDir;
use warnings::warnings;

const DAY: &str = "2022-04-15";
const ROLES: [Role; 3] = [Role::Concentration, Role::Thickness, Role::Drift];

/// A clock whose time of day stands where it was set.
struct SetClock {
    time: AtomicI64,
    machine: SystemClock,
}

impl SetClock {
    fn set(&self, time: &str) {
        self.time
            .store(format!("{time}:00Z").parse::<DateTime<Utc>>().unwrap().timestamp(), Ordering::Relaxed);
    }
}

impl Clock for SetClock {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp(self.time.load(Ordering::Relaxed), 0).unwrap()
    }

    fn monotonic(&self) -> Duration {
        self.machine.monotonic()
    }
}

/// A provider, and a house that gathers from it.
struct House {
    root: TempDir,
    provider: Series,
    config: Config,
    clock: Arc<SetClock>,
}

impl House {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let provider = Series::new(&root.path().join("provider"));
        let overrides = Overrides {
            state: Some(root.path().join("state")),
            cache: Some(root.path().join("cache")),
            ..Overrides::default()
        };
        let mut config = Config::load(&repository("config/demo.toml"), &overrides).unwrap();
        for server in config.servers.values_mut() {
            provider.folder.to_str().unwrap().clone_into(&mut server.address);
        }
        config.inputs.thickness.processing = vec![Processing::Reprocessed];
        let clock = SetClock { time: AtomicI64::new(0), machine: SystemClock::new() };
        let house = Self { root, provider, config, clock: Arc::new(clock) };
        // Everything of the day has had its time, and nothing is given up yet.
        house.clock.set("2022-04-23T00:00");
        house
    }

    /// One with the three files of the day.
    fn with_the_day() -> Self {
        let house = Self::new();
        for role in ROLES {
            house.provider.deliver(role, DAY);
        }
        house
    }

    /// A look at one day.
    fn gather(&self, day: &str) -> Result<Gathered, GatherError> {
        self.look(&[day]).remove(0)
    }

    /// A look at several days.
    fn look(&self, days: &[&str]) -> Vec<Result<Gathered, GatherError>> {
        let gatherer = self.gatherer();
        let look = gatherer.look_anew();
        let gathered = days.iter().map(|day| block_on(look.gather(day.parse().unwrap()))).collect();
        look.complete().unwrap();
        gathered
    }

    fn gatherer(&self) -> Gatherer {
        let clock: Arc<dyn Clock> = self.clock.clone();
        let inspector = InspectionProgram::new(env!("CARGO_BIN_EXE_nilas-inspect").into());
        let (config, ledger) = (Arc::new(self.config.clone()), Arc::new(self.ledger()));
        Gatherer::new(config, ledger, Box::new(inspector), Watch::Series, clock).unwrap()
    }

    fn ledger(&self) -> Ledger {
        Ledger::open(&self.config.folders.state.join(Ledger::FILE_NAME)).unwrap()
    }

    /// Ages of the day's inputs as the ledger has them.
    fn ages(&self, day: &str) -> Vec<(String, u32)> {
        let inputs = self.ledger().day_inputs(day.parse().unwrap()).unwrap();
        let mut ages: Vec<_> = inputs.into_iter().map(|input| (input.role, input.age_days)).collect();
        ages.sort();
        ages
    }

    fn is_open(&self, key: &str) -> bool {
        self.ledger().incident(key).unwrap().is_some_and(|incident| incident.closed_at.is_none())
    }

    /// How often an incident was raised, over all times that it was open; 0 where it never was.
    fn count(&self, key: &str) -> u32 {
        self.ledger().incident(key).unwrap().map_or(0, |incident| incident.count)
    }

    fn quarantine(&self) -> PathBuf {
        self.config.folders.state.join("quarantine")
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

fn ages(concentration: u32, drift: u32, thickness: u32) -> Vec<(String, u32)> {
    vec![("concentration".into(), concentration), ("drift".into(), drift), ("thickness".into(), thickness)]
}

fn names(gathered: &Gathered) -> [String; 3] {
    [&gathered.concentration, &gathered.thickness, &gathered.drift].map(AcceptedFile::name)
}

#[test]
fn the_files_of_the_day_are_taken_checked_and_written_down() {
    let house = House::with_the_day();
    let gathered = house.gather(DAY).unwrap();
    assert_eq!(names(&gathered), ROLES.map(|role| name_of(role, DAY)));
    assert!(gathered.declared_gaps.is_empty());
    assert_eq!(house.ages(DAY), ages(0, 0, 0));
    assert!(house.ledger().open_incidents().unwrap().is_empty());
    for file in [&gathered.concentration, &gathered.thickness, &gathered.drift] {
        assert_eq!(sys::sha256_of_file(&file.path).unwrap(), file.sha256);
        assert!(file.path.starts_with(house.root.path().join("cache")), "{}", file.path.display());
    }
    let next: ProductDay = "2022-04-16".parse().unwrap();
    for role in ROLES {
        let row = house.ledger().previous_accepted(role.name(), next).unwrap().unwrap();
        assert_eq!((row.name.as_str(), row.verdict), (&*name_of(role, DAY), Verdict::Accepted));
        for measure in ["valid_percent", "mean", "standard_deviation", "ice_area_million_km2"] {
            let check = row.checks.iter().find(|check| check.name == measure).unwrap();
            assert!(check.passed && check.measured.is_finite() && check.least.is_some(), "{role}: {check:?}");
        }
    }
    // What one process hands to another is all of it.
    assert_eq!(gathered.to_string().parse::<Gathered>().unwrap(), gathered);
}

#[test]
fn an_older_input_stands_in_and_gives_way_when_the_better_one_comes() {
    let house = House::with_the_day();
    house.provider.withdraw(Role::Thickness, DAY);
    house.provider.withdraw(Role::Drift, DAY);
    house.provider.deliver(Role::Thickness, "2022-04-11");
    house.provider.deliver(Role::Thickness, "2022-04-10");
    house.provider.deliver(Role::Drift, "2022-04-14");
    house.clock.set("2022-04-16T07:00");
    let gathered = house.gather(DAY).unwrap();
    assert_eq!(gathered.thickness.name(), name_of(Role::Thickness, "2022-04-11"));
    assert_eq!(gathered.drift.name(), name_of(Role::Drift, "2022-04-14"));
    assert_eq!(house.ages(DAY), ages(0, 1, 4));
    // Neither is late yet: nobody is told.
    assert!(house.ledger().open_incidents().unwrap().is_empty());

    house.provider.deliver(Role::Drift, DAY);
    house.clock.set("2022-04-17T07:00");
    house.gather(DAY).unwrap();
    assert_eq!(house.ages(DAY), ages(0, 0, 4));
    house.provider.deliver(Role::Thickness, DAY);
    house.clock.set("2022-04-21T12:00");
    house.gather(DAY).unwrap();
    assert_eq!(house.ages(DAY), ages(0, 0, 0));
}

#[test]
fn what_comes_late_is_said_once_and_once_when_it_has_come() {
    let house = House::with_the_day();
    house.provider.withdraw(Role::Drift, DAY);
    house.provider.deliver(Role::Drift, "2022-04-14");
    house.clock.set("2022-04-17T11:00");
    house.gather(DAY).unwrap();
    assert_eq!(house.count("late:drift"), 0, "it has until noon");
    for times in 1..=3 {
        house.clock.set("2022-04-17T13:00");
        house.gather(DAY).unwrap();
        assert_eq!(house.count("late:drift"), times);
    }
    let incident = house.ledger().incident("late:drift").unwrap().unwrap();
    assert_eq!(incident.severity, Severity::Warning);
    let expected = "drift is late: the newest is centred on 2022-04-14, that of 2022-04-15 should have come";
    assert_eq!(incident.text, expected);
    // That an older day is made again, with what it has, is no all-clear.
    for role in [Role::Concentration, Role::Thickness] {
        house.provider.deliver(role, "2022-04-14");
    }
    house.gather("2022-04-14").unwrap();
    assert!(house.is_open("late:drift"));
    house.provider.deliver(Role::Drift, DAY);
    house.gather(DAY).unwrap();
    assert!(!house.is_open("late:drift"));
}

#[test]
fn a_day_whose_concentration_is_not_there_waits_and_says_what_for() {
    let house = House::with_the_day();
    house.provider.withdraw(Role::Concentration, DAY);
    house.provider.deliver(Role::Concentration, "2022-04-14");
    house.clock.set("2022-04-16T04:00");
    let error = house.gather(DAY).unwrap_err();
    assert!(error.is_not_there_yet());
    let GatherError::NotYet { lacking, .. } = &error else { panic!("{error}") };
    let [lack] = &lacking[..] else { panic!("{lacking:?}") };
    assert_eq!(lack.role, Role::Concentration);
    assert!(matches!(lack.availability, Some(Availability::Waiting { .. })));
    for part in [
        "the inputs of 2022-04-15 are not all there yet: no concentration (",
        "202204151200.nc) in ",
        house.provider.folder.to_str().unwrap(),
        ", expected from 2022-04-16 05:00 UTC; wait until",
    ] {
        assert!(error.to_string().contains(part), "{part} is not in: {error}");
    }
    assert_eq!(house.ages(DAY), []);
}

#[test]
fn a_hole_in_the_series_is_declared_and_the_day_goes_on_without() {
    let house = House::with_the_day();
    house.provider.withdraw(Role::Thickness, DAY);
    house.provider.deliver(Role::Thickness, "2022-04-14");
    house.clock.set("2022-04-23T12:00");
    assert!(house.gather(DAY).unwrap().declared_gaps.is_empty(), "it is late, and may still come");
    assert!(house.is_open("late:thickness"));
    house.clock.set("2022-05-03T00:00");
    assert!(house.gather(DAY).unwrap().declared_gaps.is_empty(), "the whole series rests");

    // The series has gone on without the day.
    house.provider.deliver(Role::Thickness, "2022-04-16");
    for _ in 0..2 {
        let gathered = house.gather(DAY).unwrap();
        assert_eq!(gathered.declared_gaps, [Role::Thickness]);
        assert_eq!(gathered.thickness.name(), name_of(Role::Thickness, "2022-04-14"));
    }
    assert_eq!(house.ages(DAY), ages(0, 0, 1));
    assert!(house.ledger().is_gap(DAY.parse().unwrap(), "thickness").unwrap());

    house.provider.deliver(Role::Thickness, DAY);
    assert!(house.gather(DAY).unwrap().declared_gaps.is_empty(), "it has come after all");
    assert!(!house.ledger().is_gap(DAY.parse().unwrap(), "thickness").unwrap());
}

/// A file that we refuse is there: that is no hole of the provider's.
#[test]
fn a_refused_file_is_no_hole() {
    let house = House::with_the_day();
    house.provider.deliver(Role::Thickness, "2022-04-14");
    house.provider.deliver(Role::Thickness, "2022-04-16");
    fs::write(house.provider.folder.join(name_of(Role::Thickness, DAY)), "").unwrap();
    house.clock.set("2022-05-03T00:00");
    assert!(house.gather(DAY).unwrap().declared_gaps.is_empty());
}

#[test]
fn the_season_ends_and_begins_with_what_the_provider_has() {
    let house = House::new();
    house.provider.deliver(Role::Thickness, "2022-04-12");
    for day in ["2022-04-30", "2022-05-06", "2022-05-07", "2022-05-08"] {
        house.provider.deliver(Role::Concentration, day);
        house.provider.deliver(Role::Drift, day);
    }
    house.clock.set("2022-05-07T12:00");
    let error = house.gather("2022-05-06").unwrap_err();
    assert!(matches!(error, GatherError::NotYet { .. }), "{error}");
    assert!(house.is_open("late:thickness") && !house.is_open("season:thickness"));

    house.clock.set("2022-05-08T12:00");
    // Also days that waited while the season was open are off season now, and none of them opens it again.
    for day in ["2022-05-07", "2022-04-30", "2022-05-07"] {
        let error = house.gather(day).unwrap_err();
        assert!(matches!(error, GatherError::OffSeason { .. }) && error.is_not_there_yet(), "{error}");
        assert!(error.to_string().contains("the newest thickness is centred on 2022-04-12"), "{error}");
    }
    let open = house.ledger().open_incidents().unwrap();
    let [incident] = &open[..] else { panic!("{open:?}") };
    assert_eq!((incident.key.as_str(), incident.severity), ("season:thickness", Severity::Notice));

    house.provider.deliver(Role::Thickness, "2022-05-08");
    house.gather("2022-05-08").unwrap();
    assert!(!house.is_open("season:thickness"));
}

#[test]
fn what_is_there_and_does_not_come_is_said_although_an_older_file_serves() {
    let mut house = House::with_the_day();
    house.config.fetching.largest_file_megabytes = 3;
    let path = house.provider.folder.join(name_of(Role::Thickness, DAY));
    let whole = fs::read(&path).unwrap();
    fs::write(&path, vec![0; 3_500_000]).unwrap();
    house.provider.deliver(Role::Thickness, "2022-04-14");
    for times in 1..=2 {
        house.gather(DAY).unwrap();
        assert_eq!((house.ages(DAY), house.count("fetch:thickness")), (ages(0, 0, 1), times));
    }
    let text = house.ledger().incident("fetch:thickness").unwrap().unwrap().text;
    assert!(text.contains("is larger than 3000000 bytes"), "{text}");
    fs::write(&path, whole).unwrap();
    house.gather(DAY).unwrap();
    assert!(!house.is_open("fetch:thickness"));
}

#[test]
fn what_one_day_of_a_look_has_met_another_does_not_settle() {
    let mut house = House::with_the_day();
    house.config.fetching.largest_file_megabytes = 3;
    for role in ROLES {
        house.provider.deliver(role, "2022-04-16");
    }
    let path = house.provider.folder.join(name_of(Role::Drift, DAY));
    let whole = fs::read(&path).unwrap();
    fs::write(&path, vec![0; 3_500_000]).unwrap();
    house.provider.deliver(Role::Drift, "2022-04-14");
    // The newest day first, as the daemon looks, and the other way round.
    for (times, days) in [["2022-04-16", DAY], [DAY, "2022-04-16"]].iter().enumerate() {
        for gathered in house.look(days) {
            gathered.unwrap();
        }
        assert!(house.is_open("fetch:drift"));
        assert_eq!(house.count("fetch:drift"), times as u32 + 1, "it is one incident all the time");
    }
    fs::write(&path, whole).unwrap();
    house.look(&["2022-04-16", DAY]);
    assert!(!house.is_open("fetch:drift"));
}

#[test]
fn a_refused_file_is_told_although_an_older_one_serves() {
    let house = House::with_the_day();
    house.provider.deliver(Role::Drift, "2022-04-14");
    let path = house.provider.folder.join(name_of(Role::Drift, DAY));
    let whole = fs::read(&path).unwrap();
    fs::write(&path, "no file of drift").unwrap();
    house.gather(DAY).unwrap();
    let incident = house.ledger().incident("refused:drift").unwrap().unwrap();
    assert_eq!(incident.severity, Severity::Warning);
    assert!(incident.text.starts_with("another file is taken in its place: "), "{}", incident.text);
    fs::write(&path, whole).unwrap();
    house.gather(DAY).unwrap();
    assert!(!house.is_open("refused:drift"));
}

/// A look that goes to a person who asks for one day, or a backfill, watches over no series.
#[test]
fn a_day_outside_of_a_look_raises_nothing_that_days_share() {
    let house = House::with_the_day();
    house.provider.deliver(Role::Drift, "2022-04-14");
    fs::write(house.provider.folder.join(name_of(Role::Drift, DAY)), "").unwrap();
    let warned = warnings(|| {
        let gatherer = house.gatherer();
        block_on(gatherer.gather(DAY.parse().unwrap())).unwrap();
    });
    assert!(warned.iter().any(|line| line.contains("another file is taken in its place")), "{warned:?}");
    assert!(house.ledger().open_incidents().unwrap().is_empty());
}

#[test]
fn a_file_that_the_disk_does_not_give_is_fetched_again() {
    let house = House::with_the_day();
    let before = house.gather(DAY).unwrap();
    let path = &before.drift.path;
    fs::remove_file(path).unwrap();
    // A link to itself cannot be read, as what lies on a bad sector.
    symlink(path, path).unwrap();
    assert_eq!(names(&house.gather(DAY).unwrap()), names(&before));
    assert_eq!(sys::sha256_of_file(path).unwrap(), before.drift.sha256);
}

#[test]
fn that_a_better_product_stops_is_said_although_another_fills_every_day() {
    let house = House::with_the_day();
    house.provider.deliver(Role::Concentration, "2022-04-14");
    house.provider.deliver(Role::Drift, "2022-04-14");
    house.clock.set("2022-04-15T13:00");
    house.gather("2022-04-14").unwrap_err();
    house.provider.deliver(Role::Thickness, "2022-04-11");
    house.gather("2022-04-14").unwrap();

    let amsr2 = house
        .provider
        .deliver_changed(Role::Concentration, DAY, |sample| sample.set("product_id", "OSI-401-d"));
    fs::rename(&amsr2, amsr2.to_str().unwrap().replace("amsr2", "multi")).unwrap();
    house.clock.set("2022-04-16T13:00");
    house.gather(DAY).unwrap();
    let incident = house.ledger().incident("product:concentration").unwrap().unwrap();
    let expected =
        "concentration of 2022-04-15 is taken from multi: amsr2, which served before, is not there";
    assert_eq!((incident.text.as_str(), incident.closed_at), (expected, None));

    house.provider.deliver(Role::Concentration, "2022-04-16");
    house.provider.deliver(Role::Drift, "2022-04-16");
    house.clock.set("2022-04-17T13:00");
    house.gather("2022-04-16").unwrap();
    assert!(!house.is_open("product:concentration"));
}

/// An empty place may be a wrong one: that must not pass for summer.
#[test]
fn where_no_file_ever_was_the_season_is_not_over() {
    let house = House::with_the_day();
    house.provider.withdraw(Role::Thickness, DAY);
    let error = house.gather(DAY).unwrap_err();
    assert!(matches!(error, GatherError::NotYet { .. }), "{error}");
    assert!(house.is_open("late:thickness") && !house.is_open("season:thickness"));
}

/// The provider puts its folder away; what it gave before is remembered.
#[test]
fn a_season_ends_although_its_files_are_gone() {
    let house = House::with_the_day();
    house.gather(DAY).unwrap();
    for role in ROLES {
        house.provider.withdraw(role, DAY);
    }
    for role in [Role::Concentration, Role::Drift] {
        house.provider.deliver(role, "2022-05-11");
    }
    house.clock.set("2022-05-13T00:00");
    let error = house.gather("2022-05-11").unwrap_err();
    assert!(matches!(error, GatherError::OffSeason { .. }), "{error}");
}

/// As in October 2025, when the merged thickness got another name and another folder.
#[test]
fn a_provider_that_has_moved_by_winter_is_late_and_does_not_pass_for_summer() {
    let house = House::with_the_day();
    for day in ["2022-10-30", "2022-11-01"] {
        house.provider.deliver(Role::Concentration, day);
        house.provider.deliver(Role::Drift, day);
    }
    house.clock.set("2022-10-31T12:00");
    let error = house.gather("2022-10-30").unwrap_err();
    assert!(matches!(error, GatherError::OffSeason { .. }), "{error}");
    assert!(house.is_open("season:thickness") && !house.is_open("late:thickness"));

    house.clock.set("2022-11-02T12:00");
    let error = house.gather("2022-11-01").unwrap_err();
    assert!(matches!(error, GatherError::NotYet { .. }), "{error}");
    assert!(house.is_open("late:thickness") && !house.is_open("season:thickness"));
    let text = house.ledger().incident("late:thickness").unwrap().unwrap().text;
    assert!(text.contains("the newest is centred on 2022-04-15"), "{text}");
}

#[test]
fn names_that_look_like_a_new_version_are_one_incident_until_they_are_not_seen_any_more() {
    let house = House::with_the_day();
    let name = |number: usize| name_of(Role::Concentration, DAY).replace("amsr2", &format!("amsr{number}"));
    for number in 100..120 {
        fs::write(house.provider.folder.join(name(number)), "").unwrap();
    }
    house.gather(DAY).unwrap();
    let open = house.ledger().open_incidents().unwrap();
    let [incident] = &open[..] else { panic!("{open:?}") };
    assert_eq!((incident.key.as_str(), incident.count), ("names:concentration", 1));
    for part in ["amsr100_{date}.nc, ", "amsr104_{date}.nc and 15 more; ", "inputs.*.products"] {
        assert!(incident.text.contains(part), "{part} is not in: {}", incident.text);
    }

    for number in 100..120 {
        fs::remove_file(house.provider.folder.join(name(number))).unwrap();
    }
    house.clock.set("2022-04-23T05:45");
    house.gather(DAY).unwrap();
    assert!(house.is_open("names:concentration"), "another day of this look may list another folder");
    house.clock.set("2022-04-23T06:00");
    house.gather(DAY).unwrap();
    assert!(!house.is_open("names:concentration"));
}

#[test]
fn a_refused_file_is_kept_with_its_reason_and_asked_for_again() {
    let house = House::with_the_day();
    let path = house.provider.folder.join(name_of(Role::Drift, DAY));
    let whole = fs::read(&path).unwrap();
    house.provider.deliver(Role::Drift, "2022-04-14");
    for (broken, kind) in [(&whole[..0], "empty"), (&whole[..whole.len() / 2], "damaged")] {
        fs::write(&path, broken).unwrap();
        let gathered = house.gather(DAY).unwrap();
        assert_eq!(gathered.drift.name(), name_of(Role::Drift, "2022-04-14"));
        let sha256 = sys::sha256(broken);
        let known = house.ledger().known_file(&sha256, &name_of(Role::Drift, DAY)).unwrap().unwrap();
        let Verdict::Refused(refusal) = known.verdict else { panic!("{known:?}") };
        assert_eq!(refusal.kind, kind);
        assert!(refusal.reason.contains(path.to_str().unwrap()), "{}", refusal.reason);
        assert!(!refusal.reason.contains("cache"), "not the address that people know: {}", refusal.reason);
        let kept = house.quarantine().join(&sha256);
        assert_eq!(refusal.quarantine, Some(kept.clone()));
        let mode = fs::metadata(house.quarantine()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "what nobody should use is for nobody else to read");
        assert_eq!(fs::read(kept.join(name_of(Role::Drift, DAY))).unwrap(), broken);
        assert!(
            fs::read_to_string(kept.join(format!("{}.reason.json", name_of(Role::Drift, DAY))))
                .unwrap()
                .contains(&refusal.kind)
        );
    }
    fs::write(&path, whole).unwrap();
    assert_eq!(house.gather(DAY).unwrap().drift.name(), name_of(Role::Drift, DAY));
}

/// The file of the day in another issue: each is another file that could serve, the highest the best.
fn issue(house: &House, number: u32) -> PathBuf {
    let name = name_of(Role::Thickness, DAY).replace("_01_l4sit", &format!("_{number:02}_l4sit"));
    house.provider.folder.join(name)
}

#[test]
fn a_server_with_many_bad_files_is_not_asked_for_all_of_them() {
    let house = House::with_the_day();
    for number in 2..=8 {
        fs::write(issue(&house, number), "").unwrap();
    }
    let error = house.gather(DAY).unwrap_err();
    let GatherError::Refused { reason } = &error else { panic!("{error}") };
    let best = issue(&house, 8);
    assert!(reason.contains(best.to_str().unwrap()) && reason.contains("5 files have failed"), "{reason}");
    let tried = house.ledger().files_of("thickness", DAY.parse().unwrap()).unwrap();
    assert_eq!(tried.len(), 5, "{tried:#?}");

    for number in 2..=8 {
        fs::remove_file(issue(&house, number)).unwrap();
    }
    house.gather(DAY).unwrap();
    for number in 2..=8 {
        fs::write(issue(&house, number), "").unwrap();
    }
    // What was accepted before is there without a server.
    assert_eq!(house.gather(DAY).unwrap().thickness.name(), name_of(Role::Thickness, DAY));
}

#[test]
fn a_server_that_lists_what_it_does_not_have_is_not_asked_for_all_of_it() {
    let mut house = House::with_the_day();
    fs::remove_file(issue(&house, 1)).unwrap();
    let names = (1..=8).map(|number| issue(&house, number).file_name().unwrap().to_str().unwrap().to_owned());
    let lines: Vec<String> = names.map(|name| format!("type=file;size=5; {name}")).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let ftp = runtime.block_on(ScriptedFtp::start(MODERN, b"", &lines, []));
    let server = ftp.configured(ServerKind::Ftp);
    // It knows no file with this word in its path.
    let address = format!("{}folder/", server.address);
    house.config.servers.insert("awi".to_owned(), Server { address, ..server });
    house.config.inputs.thickness.places = vec![Place::try_from("awi:".to_owned()).unwrap()];
    let error = house.gather(DAY).unwrap_err();
    assert!(matches!(error, GatherError::NotYet { .. }), "{error}");
    let asked = ftp.heard().iter().filter(|command| command.starts_with("SIZE")).count();
    assert_eq!(asked, 5, "{:?}", ftp.heard());
}

#[test]
fn a_refused_file_that_stays_as_it_is_is_not_transferred_at_every_look() {
    let house = House::with_the_day();
    house.provider.deliver(Role::Drift, "2022-04-14");
    fs::write(house.provider.folder.join(name_of(Role::Drift, DAY)), "no file of drift").unwrap();
    let known = house.config.folders.cache.join("inputs/known");
    // What the cache knows of the file: written anew by each transfer, and removed where the next look is to ask for it again.
    let look = |time: &str| {
        house.clock.set(time);
        house.gather(DAY).unwrap();
        let entries = fs::read_dir(&known).unwrap().map(|entry| entry.unwrap().path());
        let mut of_drift =
            entries.filter(|path| fs::read_to_string(path).unwrap().contains(&name_of(Role::Drift, DAY)));
        of_drift.next().map(|path| fs::metadata(path).unwrap().ino())
    };
    assert_eq!(look("2022-04-23T00:00"), None, "the way may have damaged it: it is asked for once more");
    let second = look("2022-04-23T00:15");
    assert!(second.is_some(), "it has come again");
    assert_eq!(look("2022-04-23T00:30"), second);
    assert_eq!(look("2022-04-23T06:15"), None, "six hours have passed");
    assert!(look("2022-04-23T06:30").is_some(), "it has come again");
}

#[test]
fn values_that_cannot_follow_the_day_before_are_refused_until_the_limits_allow_them() {
    use common::netcdf_copy::Values;

    let mut house = House::with_the_day();
    house.gather(DAY).unwrap();
    for role in [Role::Concentration, Role::Drift] {
        house.provider.deliver(role, "2022-04-16");
    }
    house.provider.deliver_changed(Role::Thickness, "2022-04-16", |sample| {
        let Values::Int(thickness) = &mut sample.variable("analysis_sea_ice_thickness").values else {
            panic!("thickness is packed")
        };
        for value in thickness.iter_mut().filter(|value| **value > 0) {
            *value += *value / 4;
        }
    });
    house.clock.set("2022-04-24T00:00");
    let gathered = house.gather("2022-04-16").unwrap();
    assert_eq!(house.ages("2022-04-16"), ages(0, 0, 1));
    let path = house.provider.folder.join(name_of(Role::Thickness, "2022-04-16"));
    let sha256 = sys::sha256_of_file(&path).unwrap();
    let known = house.ledger().known_file(&sha256, &name_of(Role::Thickness, "2022-04-16")).unwrap().unwrap();
    let Verdict::Refused(refusal) = known.verdict else { panic!("accepted: {gathered:?}") };
    assert_eq!(refusal.kind, "mean_change_percent_per_day");
    assert!(refusal.reason.contains("widen [checks.thickness]"), "{}", refusal.reason);

    house.config.checks.thickness.clear();
    house.gather("2022-04-16").unwrap();
    assert_eq!(house.ages("2022-04-16"), ages(0, 0, 0));
}

#[test]
fn a_file_that_a_person_brought_is_judged_when_the_series_has_it_as_well() {
    let house = House::with_the_day();
    house.gather(DAY).unwrap();
    let name = name_of(Role::Drift, DAY);
    let sha256 = sys::sha256_of_file(&house.provider.folder.join(&name)).unwrap();
    let known = || house.ledger().known_file(&sha256, &name).unwrap().unwrap();
    let of_the_series = known();
    let brought = FileRow { server: "inputs".into(), checks: Vec::new(), ..of_the_series.clone() };
    house.ledger().record_file(&brought).unwrap();
    house.gather(DAY).unwrap();
    assert_eq!((known().server, known().checks), (of_the_series.server, of_the_series.checks));
}

#[test]
fn while_a_server_is_away_what_it_gave_before_serves() {
    let mut house = House::with_the_day();
    house.gather(DAY).unwrap();
    let away = house.config.clone();
    let server: &mut Server = house.config.servers.values_mut().next().unwrap();
    server.kind = nilas::config::ServerKind::Http;
    // Nobody listens at the port of nothing.
    server.address = "http://127.0.0.1:1/".into();
    (house.config.fetching.shortest_pause_seconds, house.config.fetching.longest_pause_seconds) =
        (0.01, 0.02);
    house.config.fetching.deadline_seconds = 1;
    let gathered = house.gather(DAY).unwrap();
    assert_eq!(names(&gathered), ROLES.map(|role| name_of(role, DAY)));
    assert!(house.is_open("server:sample-day:drift"));
    // Nobody knows what the next day has: that is neither late nor a hole.
    let error = house.gather("2022-04-16").unwrap_err();
    assert!(matches!(error, GatherError::Unreachable { .. }) && !error.is_not_there_yet(), "{error}");
    assert!(!house.is_open("late:concentration"));
    house.config = away;
    house.gather(DAY).unwrap();
    assert!(!house.is_open("server:sample-day:drift"));
}

#[test]
fn every_warning_is_written_once() {
    let house = House::with_the_day();
    fs::write(house.provider.folder.join(name_of(Role::Drift, DAY)), "").unwrap();
    house.provider.deliver(Role::Drift, "2022-04-14");
    fs::write(house.provider.folder.join("ice_conc_nh_polstere-100_amsr4_202204151200.nc"), "").unwrap();
    let warned = warnings(|| {
        for _ in 0..3 {
            house.gather(DAY).unwrap();
        }
    });
    for words in ["new product names seen", "another file is taken in its place"] {
        assert_eq!(warned.iter().filter(|line| line.contains(words)).count(), 1, "{words}: {warned:?}");
    }
    assert_eq!(warned.len(), 2, "{warned:?}");
}

/// A folder that a server refuses says nothing of the next one.
#[test]
fn another_folder_of_a_server_is_asked_where_one_is_refused() {
    let mut house = House::with_the_day();
    let closed = house.provider.folder.join("closed");
    // A link to itself leads nowhere.
    symlink(&closed, &closed).unwrap();
    house.config.inputs.drift.places =
        ["sample-day:closed", "sample-day:"].map(|place| place.to_owned().try_into().unwrap()).into();
    house.gather(DAY).unwrap();
    assert!(house.is_open("server:sample-day:drift"), "it is told");
}

/// That the folder of a month is not there yet is no failure of the server.
#[test]
fn a_folder_that_is_not_there_yet_holds_nothing() {
    let mut house = House::with_the_day();
    for input in [&mut house.config.inputs.concentration, &mut house.config.inputs.drift] {
        input.places = vec![
            "sample-day:not/there/{year}/{month}".to_owned().try_into().unwrap(),
            "sample-day:".to_owned().try_into().unwrap(),
        ];
    }
    house.gather(DAY).unwrap();
    assert!(house.ledger().open_incidents().unwrap().is_empty());
    assert!(Path::new(&house.provider.folder).is_dir());
}
