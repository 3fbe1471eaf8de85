//! The planner by examples, and over random histories: no day twice, none forgotten, the newest first, and an end.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::config::Overrides;
use crate::ledger::{Asked, ProductInput, Withdrawal};

fn config() -> Config {
    Config::load(Path::new("config/nilas.toml"), &Overrides::default()).unwrap()
}

fn day(text: &str) -> ProductDay {
    text.parse().unwrap()
}

fn time(text: &str) -> DateTime<Utc> {
    format!("{text}:00Z").parse().unwrap()
}

fn row(day: ProductDay, state: DayState) -> DayRow {
    DayRow {
        day,
        state,
        note: String::new(),
        changed_at: DateTime::UNIX_EPOCH,
        failures: 0,
        failed_at: None,
        asked: None,
    }
}

/// Files for a day that are centred so many days before it.
fn gathered(day: ProductDay, thickness_age: i64, drift_age: i64) -> Gathered {
    let file = |name: String| AcceptedFile { sha256: format!("sum of {name}"), path: name.into() };
    let centre = |age: i64| day.plus_days(-age);
    let (thickness, drift) = (centre(thickness_age), centre(drift_age));
    Gathered {
        day,
        concentration: file(format!("ice_conc_nh_polstere-100_amsr3_{}1200.nc", day.compact())),
        thickness: file(format!(
            "W_XX-ESA,SMOS_CS2_S3A_S3B,NH_12P5KM_EASE2_{}_{}_o_v300_01_l4sit.nc",
            thickness.plus_days(-3).compact(),
            thickness.plus_days(3).compact()
        )),
        drift: file(format!(
            "ice_drift_nh_polstere-625_multi-oi_{}1200-{}1200.nc",
            drift.plus_days(-1).compact(),
            drift.plus_days(1).compact()
        )),
        declared_gaps: Vec::new(),
    }
}

fn product(revision: u32, gathered: &Gathered, published_at: DateTime<Utc>) -> ProductRow {
    let inputs: Vec<ProductInput> = Role::ALL
        .into_iter()
        .map(|role| {
            let file = file(gathered, role);
            ProductInput {
                role: role.name().to_owned(),
                name: file.name(),
                sha256: file.sha256.clone(),
                age_days: age_days(file, gathered.day).unwrap() as f64,
            }
        })
        .collect();
    ProductRow {
        day: gathered.day,
        revision,
        run: None,
        is_final: inputs.iter().all(|input| !input.is_aged()),
        published_at,
        size_bytes: 1,
        manifest_sha256: String::new(),
        checkpoint_sha256: String::new(),
        config_hash: String::new(),
        degradation: None,
        withdrawal: None,
        removed_at: None,
        inputs,
    }
}

fn known(day: ProductDay, state: DayState, products: Vec<ProductRow>) -> (ProductDay, DayHistory) {
    (day, DayHistory { row: Some(row(day, state)), products, concentration_before: None })
}

fn days(plan: &[DueDay]) -> Vec<String> {
    plan.iter().map(|due| due.day.to_string()).collect()
}

/// A history in which every day before these is final.
fn settled_but_for(now: DateTime<Utc>, open: Vec<(ProductDay, DayHistory)>) -> History {
    let (newest, first) = looked_after(now, &config());
    let all = (0..=newest.days_since(first)).map(|back| newest.plus_days(-back));
    let mut days: BTreeMap<ProductDay, DayHistory> = all
        .map(|day| known(day, DayState::Final, vec![product(1, &gathered(day, 0, 0), day.noon().and_utc())]))
        .collect();
    days.extend(open);
    History { days, newest_thickness: Some(newest) }
}

#[test]
fn after_days_off_the_newest_comes_first_and_the_oldest_is_the_last_allowed() {
    let now = time("2026-03-10T05:20");
    let plan = plan(&History::default(), now, &config());
    assert_eq!(plan.len(), 30);
    assert_eq!((plan[0].day, plan[29].day), (day("2026-03-09"), day("2026-02-08")));
    let mut config = config();
    config.schedule.first_day = Some(day("2026-03-07"));
    assert_eq!(
        days(&super::plan(&History::default(), now, &config)),
        ["2026-03-09", "2026-03-08", "2026-03-07"]
    );
}

#[test]
fn what_is_final_is_not_due_and_what_is_provisional_when_its_files_can_be_there() {
    let monday = day("2026-03-02");
    let provisional = |now: &str, thickness_age, drift_age| {
        let made = product(1, &gathered(monday, thickness_age, drift_age), time("2026-03-03T05:00"));
        let history = settled_but_for(time(now), vec![known(monday, DayState::Provisional, vec![made])]);
        days(&plan(&history, time(now), &config()))
    };
    assert_eq!(provisional("2026-03-05T23:59", 5, 1), [] as [&str; 0]);
    assert_eq!(
        provisional("2026-03-06T00:00", 5, 1),
        ["2026-03-02"],
        "the seven days of the thickness are over"
    );
    assert_eq!(provisional("2026-03-03T12:00", 0, 1), ["2026-03-02"], "the drift is");
    assert_eq!(provisional("2026-03-20T00:00", 0, 0), [] as [&str; 0]);
}

#[test]
fn a_better_concentration_is_waited_for_as_long_as_it_may_come_as_usual() {
    let monday = day("2026-03-02");
    let mut found = gathered(monday, 0, 0);
    let decide = |found: &Gathered, before: Option<&str>, now: &str| {
        let known = DayHistory { concentration_before: before.map(str::to_owned), ..DayHistory::default() };
        super::decide(found, &known, time(now), &config())
    };
    // With drift and thickness of the day it is made whatever the concentration.
    assert_eq!(decide(&found, Some("amsr3"), "2026-03-03T04:15"), Decision::Produce);
    found.thickness = gathered(monday, 5, 0).thickness;
    found.drift = gathered(monday, 0, 1).drift;
    assert_eq!(decide(&found, Some("amsr3"), "2026-03-03T04:15"), Decision::Produce);
    found.concentration.path = "ice_conc_nh_polstere-100_multi_202603021200.nc".into();
    let expected = Decision::WaitForBetter(time("2026-03-03T05:00"));
    assert_eq!(decide(&found, Some("amsr3"), "2026-03-03T04:15"), expected);
    assert_eq!(decide(&found, Some("amsr3"), "2026-03-03T05:00"), Decision::Produce, "it has not come");
    for before in [Some("multi"), Some("of old"), None] {
        assert_eq!(decide(&found, before, "2026-03-03T04:15"), Decision::Produce, "{before:?}");
    }
}

#[test]
fn a_failure_pauses_its_day_longer_each_time() {
    let (monday, now) = (day("2026-03-02"), time("2026-03-03T06:00"));
    let failed = |failures, minutes_ago| {
        let failed_at = Some(now - TimeDelta::minutes(minutes_ago));
        let row = DayRow { failures, failed_at, ..row(monday, DayState::Failed) };
        let history =
            settled_but_for(now, vec![(monday, DayHistory { row: Some(row), ..DayHistory::default() })]);
        !plan(&history, now, &config()).is_empty()
    };
    assert!(!failed(1, 9) && failed(1, 10));
    assert!(!failed(2, 19) && failed(2, 20));
    assert!(!failed(3, 39) && failed(3, 40));
    assert!(!failed(50, 359) && failed(50, 360));
    assert!(failed(50, -10), "it failed in the future: the clock was set back");
}

#[test]
fn a_day_off_season_waits_for_a_thickness_that_could_serve_it() {
    let now = time("2026-10-20T06:00");
    let (newest, earlier) = (day("2026-10-19"), day("2026-10-15"));
    let off = |day| known(day, DayState::OffSeason, Vec::new());
    let due = |newest_thickness: &str| {
        let mut history = settled_but_for(now, vec![off(newest), off(earlier)]);
        history.newest_thickness = Some(day(newest_thickness));
        days(&plan(&history, now, &config()))
    };
    assert_eq!(due("2026-04-12"), ["2026-10-19"], "the newest day is how a new season is seen");
    assert_eq!(due("2026-10-05"), ["2026-10-19", "2026-10-15"]);
}

#[test]
fn what_is_asked_for_comes_behind_what_is_looked_after() {
    let now = time("2026-03-10T05:20");
    let asked = |text: &str, again, products| {
        let asked = Some(Asked { at: now, again });
        let row = DayRow { asked, ..row(day(text), DayState::Waiting) };
        (day(text), DayHistory { row: Some(row), products, concentration_before: None })
    };
    let finals = |text: &str| vec![product(1, &gathered(day(text), 0, 0), time("2026-01-01T00:00"))];
    let history = settled_but_for(
        now,
        vec![
            asked("2020-01-01", false, Vec::new()),
            asked("2020-01-02", false, Vec::new()),
            asked("2020-01-03", false, finals("2020-01-03")),
            asked("2020-01-04", true, finals("2020-01-04")),
            asked("2026-03-10", false, Vec::new()),
            known(day("2026-03-09"), DayState::Waiting, Vec::new()),
        ],
    );
    let due = plan(&history, now, &config());
    assert_eq!(days(&due), ["2026-03-09", "2020-01-04", "2020-01-02", "2020-01-01"]);
    assert_eq!((due[0].cause, due[1].cause), (Cause::New, Cause::Asked));
}

#[test]
fn a_day_at_work_is_nobody_elses() {
    let now = time("2026-03-10T05:20");
    let history = settled_but_for(now, vec![known(day("2026-03-09"), DayState::Running, Vec::new())]);
    assert_eq!(plan(&history, now, &config()), []);
}

#[test]
fn a_first_product_waits_for_the_usual_inputs_until_the_cut_off() {
    let monday = day("2026-03-02");
    let decide = |now: &str, thickness_age, drift_age| {
        decide(&gathered(monday, thickness_age, drift_age), &DayHistory::default(), time(now), &config())
    };
    // At 05:00 on Tuesday the drift that ends on Monday is there, and the thickness centred six days before.
    assert_eq!(decide("2026-03-03T05:05", 6, 1), Decision::Produce);
    assert_eq!(decide("2026-03-03T05:05", 6, 2), Decision::Wait(vec![(Role::Drift, day("2026-03-01"))]));
    assert_eq!(
        decide("2026-03-03T05:05", 9, 3),
        Decision::Wait(vec![(Role::Thickness, day("2026-02-24")), (Role::Drift, day("2026-03-01"))])
    );
    assert_eq!(decide("2026-03-03T11:59", 9, 3), decide("2026-03-03T05:05", 9, 3));
    assert_eq!(decide("2026-03-03T12:00", 9, 3), Decision::Produce, "the cut-off");
    assert_eq!(decide("2026-03-09T00:00", 0, 0), Decision::Produce);
}

#[test]
fn a_product_is_made_again_only_when_it_becomes_final_or_settled() {
    let (monday, now) = (day("2026-03-02"), time("2026-03-12T00:00"));
    let (made, mut config) = (product(1, &gathered(monday, 5, 1), now), config());
    let with = |products: &[ProductRow]| known(monday, DayState::Provisional, products.to_vec()).1;
    let standing = with(std::slice::from_ref(&made));
    let decide = |gathered: &Gathered, config: &Config| super::decide(gathered, &standing, now, config);
    assert_eq!(decide(&gathered(monday, 5, 1), &config), Decision::Keep, "the same again");
    assert_eq!(decide(&gathered(monday, 4, 0), &config), Decision::Keep, "better, not final");
    assert_eq!(decide(&gathered(monday, 0, 0), &config), Decision::Produce, "final");
    let settled = Gathered { declared_gaps: vec![Role::Thickness], ..gathered(monday, 4, 0) };
    assert_eq!(decide(&settled, &config), Decision::Produce, "it does not get better than this");
    let worse = Gathered { declared_gaps: vec![Role::Thickness], ..gathered(monday, 6, 0) };
    assert_eq!(decide(&worse, &config), Decision::Keep, "one better, one worse");
    config.schedule.every_improvement = true;
    assert_eq!(decide(&gathered(monday, 4, 1), &config), Decision::Produce);
    assert_eq!(decide(&gathered(monday, 4, 2), &config), Decision::Keep);
    let finished = with(&[product(2, &gathered(monday, 0, 0), now)]);
    assert_eq!(super::decide(&gathered(monday, 0, 0), &finished, now, &config), Decision::Keep);
}

#[test]
fn what_was_taken_back_is_made_again_from_other_inputs_or_when_asked_for() {
    let (monday, now) = (day("2026-03-02"), time("2026-03-12T00:00"));
    let inputs = gathered(monday, 0, 0);
    let withdrawal = Some(Withdrawal { at: now, reason: "wrong".into() });
    let made = ProductRow { withdrawal, ..product(1, &inputs, now) };
    let (_, mut history) = known(monday, DayState::Waiting, vec![made]);
    assert_eq!(decide(&inputs, &history, now, &config()), Decision::Keep);
    let mut reissued = inputs.clone();
    reissued.drift.sha256 = "other bytes".into();
    assert_eq!(decide(&reissued, &history, now, &config()), Decision::Produce);
    history.row = history.row.map(|row| DayRow { asked: Some(Asked { at: now, again: true }), ..row });
    assert_eq!(decide(&inputs, &history, now, &config()), Decision::Produce);
}

/// A world in which files arrive when they like and productions fail as they like.
#[derive(Debug, Clone)]
struct Fate {
    /// Hours from the end of a file's window until it is there, by role and day; none: never.
    delays: BTreeMap<(Role, i64), Option<i64>>,
    /// Productions that fail, by their number.
    failing: BTreeSet<usize>,
    /// Hours between two looks.
    looks: Vec<i64>,
}

const BEGIN: &str = "2024-02-20";
const DAYS: i64 = 14;

fn fates() -> impl Strategy<Value = Fate> {
    let delay =
        prop_oneof![8 => (1_i64..80).prop_map(Some), 1 => (80_i64..500).prop_map(Some), 1 => Just(None)];
    let file = (prop::sample::select(Role::ALL.to_vec()), -12..DAYS);
    (
        prop::collection::btree_map(file, delay, 0..40),
        prop::collection::btree_set(0_usize..40, 0..8),
        // Clocks step back, too, and daemons are off for days.
        prop::collection::vec(prop_oneof![20 => 1_i64..5, 1 => 5_i64..200, 1 => -30_i64..0], 40..200),
    )
        .prop_map(|(delays, failing, looks)| Fate { delays, failing, looks })
}

/// What a simulated daemon did.
#[derive(Default)]
struct Deeds {
    history: History,
    productions: usize,
}

impl Fate {
    fn arrives(&self, role: Role, centre: ProductDay) -> Option<DateTime<Utc>> {
        let number = centre.days_since(day(BEGIN));
        let hours = self.delays.get(&(role, number)).copied().unwrap_or(Some(30))?;
        Some(window_end(role, centre) + TimeDelta::hours(hours))
    }

    /// Days from the newest file that is there by `now` to the day.
    fn age(&self, role: Role, day: ProductDay, now: DateTime<Utc>, oldest: u32) -> Option<i64> {
        (0..=i64::from(oldest))
            .find(|age| self.arrives(role, day.plus_days(-age)).is_some_and(|arrives| arrives <= now))
    }

    fn gather(&self, day: ProductDay, now: DateTime<Utc>, config: &Config) -> Option<Gathered> {
        let age = |role: Role| self.age(role, day, now, role.input(&config.inputs).oldest_days);
        age(Role::Concentration)?;
        let (thickness, drift) = (age(Role::Thickness)?, age(Role::Drift)?);
        let missing = |role: Role, age: i64| {
            let availability = Availability::at(now, role, day, role.input(&config.inputs));
            age > 0 && availability.is_hole(day, Some(day.plus_days(1)))
        };
        let gaps = [(Role::Thickness, thickness), (Role::Drift, drift)];
        let declared_gaps = gaps.into_iter().filter(|(role, age)| missing(*role, *age)).map(|(role, _)| role);
        Some(Gathered { declared_gaps: declared_gaps.collect(), ..gathered(day, thickness, drift) })
    }

    fn live(&self, config: &Config) -> (Deeds, DateTime<Utc>) {
        let mut deeds = Deeds::default();
        let mut now = day(BEGIN).noon().and_utc();
        for hours in &self.looks {
            now += TimeDelta::hours(*hours);
            self.look(&mut deeds, now, config);
        }
        // At last the clock is right, and everything that comes has come.
        now = now.max(day(BEGIN).plus_days(DAYS + 25).noon().and_utc());
        for _ in 0..60 {
            now += TimeDelta::hours(6);
            self.look(&mut deeds, now, config);
        }
        (deeds, now)
    }

    fn look(&self, deeds: &mut Deeds, now: DateTime<Utc>, config: &Config) {
        let mut tried = BTreeSet::new();
        loop {
            let due = plan(&deeds.history, now, config);
            assert!(due.is_sorted_by(|one, next| one.day > next.day), "the newest first: {due:?}");
            let Some(due) = due.into_iter().find(|due| !tried.contains(&due.day)) else { break };
            assert!(tried.insert(due.day), "a look comes to its end");
            let Some(gathered) = self.gather(due.day, now, config) else { continue };
            let known = deeds.history.days.entry(due.day).or_default();
            if decide(&gathered, known, now, config) != Decision::Produce {
                continue;
            }
            deeds.productions += 1;
            let last = known.row.take().unwrap_or_else(|| row(due.day, DayState::Waiting));
            if self.failing.contains(&deeds.productions) {
                let (failures, failed_at) = (last.failures + 1, Some(now));
                known.row = Some(DayRow { failures, failed_at, state: DayState::Failed, ..last });
                continue;
            }
            let made = product(known.products.len() as u32 + 1, &gathered, now);
            let state = if made.is_final { DayState::Final } else { DayState::Provisional };
            known.row = Some(DayRow { state, failures: 0, failed_at: None, ..last });
            known.products.push(made);
        }
    }
}

proptest! {
    #[test]
    fn no_day_is_made_twice_and_none_is_forgotten(fate in fates()) {
        let mut config = config();
        config.schedule.look_back_days = 120;
        config.schedule.first_day = Some(day(BEGIN));
        let (deeds, now) = fate.live(&config);
        for (day, known) in &deeds.history.days {
            for (index, made) in known.products.iter().enumerate() {
                let same = known.products[..index].iter().any(|before| before.inputs == made.inputs);
                prop_assert!(!same, "{day} was made twice of the same inputs");
                let after_final = known.products[..index].iter().any(|before| before.is_final);
                prop_assert!(!after_final, "{day} was made again after it was final");
            }
        }
        for number in 0..DAYS {
            let day = day(BEGIN).plus_days(number);
            let known = deeds.history.days.get(&day).cloned().unwrap_or_default();
            match fate.gather(day, now, &config) {
                None => prop_assert!(known.products.is_empty()),
                Some(best) => {
                    let last = known.product();
                    prop_assert!(last.is_some(), "{day} was forgotten");
                    let is_best = last.is_some_and(|last| is_made_of(last, &best));
                    let stays = !best.declared_gaps.is_empty();
                    prop_assert!(is_best || stays, "{day} could be better");
                }
            }
        }
    }

    #[test]
    fn the_plan_of_a_moment_is_the_plan_of_that_moment(fate in fates(), hours in 0_i64..1000) {
        let (config, now) = (config(), day(BEGIN).noon().and_utc() + TimeDelta::hours(hours));
        let (deeds, _) = fate.live(&config);
        let due = plan(&deeds.history, now, &config);
        prop_assert_eq!(&due, &plan(&deeds.history, now, &config));
        let once: BTreeSet<ProductDay> = due.iter().map(|due| due.day).collect();
        prop_assert_eq!(once.len(), due.len());
        prop_assert!(due.iter().all(|due| now >= window_end(Role::Concentration, due.day)));
    }
}
