//! What the overview says of a ledger, and that its size does not grow with the history.

use std::fs;

use chrono::TimeDelta;
use serde_json::json;

use super::*;
use crate::daemon::scratch_house::{House, day, time};
use crate::ledger::LedgerError;
use crate::source::Role;

fn of(house: &House) -> Overview {
    Overview::of(&house.ledger, &house.config, House::now()).unwrap()
}

#[test]
fn an_empty_ledger_has_an_overview() {
    let house = House::empty();
    let overview = of(&house);
    assert_eq!(overview.days.len(), 30);
    assert!(overview.days.iter().all(|day| day.state == UNKNOWN && day.state_in_words() == "not looked at"));
    assert!(overview.inputs.iter().all(|input| input.standing == "none" && input.newest.is_none()));
    assert_eq!((overview.newest, overview.last_run, overview.daemon), (None, None, None));
    let overdue =
        "there should be a product of 2026-02-27 by now, and there is none at all: it was not looked at";
    assert_eq!(overview.overdue.as_deref(), Some(overdue));
}

#[test]
fn the_last_days_are_told_newest_first() {
    let overview = of(&House::full());
    let told: Vec<_> =
        overview.days.iter().take(6).map(|day| (day.day.to_string(), day.state, day.revision)).collect();
    let expected = [
        ("2026-03-01".to_owned(), "waiting", None),
        ("2026-02-28".to_owned(), "failed", None),
        ("2026-02-27".to_owned(), "waiting", None),
        ("2026-02-26".to_owned(), "provisional", Some(1)),
        ("2026-02-25".to_owned(), "final", Some(1)),
        ("2026-02-24".to_owned(), UNKNOWN, None),
    ];
    assert_eq!(told, expected);
    assert_eq!(overview.days[2].withdrawn[0].reason, "the drift was of the wrong day");
    assert_eq!(overview.days[3].degradation.as_deref(), Some("made on cpu, because the GPU failed"));
    assert_eq!(overview.days[1].failures, 1);
}

#[test]
fn everything_else_is_told() {
    let house = House::full();
    let overview = of(&house);
    let newest = overview.newest.unwrap();
    assert_eq!(
        (newest.day, newest.is_final),
        (day("2026-02-26"), false),
        "what was taken back is not the newest"
    );
    assert_eq!(newest.age_seconds, TimeDelta::minutes(3 * 1440 + 330).num_seconds());
    assert_eq!(overview.outcomes, BTreeMap::from([("failed", 1), ("published", 3)]));
    assert_eq!(overview.days_asked_for, 2);
    let last = overview.last_run.unwrap();
    assert_eq!((last.outcome, last.seconds), (Some("failed"), 300));
    assert_eq!(last.stages[1], StageOverview { stage: "ensemble".to_owned(), seconds: 540.25 });
    let standings: Vec<_> = overview.inputs.iter().map(|input| (input.role, input.standing)).collect();
    assert_eq!(standings, [("concentration", "current"), ("thickness", "current"), ("drift", "current")]);
    let incidents: Vec<_> = overview
        .incidents
        .iter()
        .map(|incident| (incident.key.as_str(), incident.acknowledged.is_some()))
        .collect();
    assert_eq!(incidents, [("late:drift", true), ("production", false)]);
}

#[test]
fn an_input_is_late_when_its_newest_file_is_not_the_one_that_is_due() {
    let house = House::full();
    let later = |hours| {
        let now = House::now() + TimeDelta::hours(hours);
        let overview = Overview::of(&house.ledger, &house.config, now).unwrap();
        overview.inputs.iter().map(|input| input.standing).collect::<Vec<_>>()
    };
    assert_eq!(later(30), ["current", "current", "current"]);
    assert_eq!(later(31), ["late", "current", "late"]);
    house.file(Role::Concentration, day("2026-03-02"));
    assert_eq!(later(31), ["current", "current", "late"]);
    // Summer does not begin before April, although nothing has come for 25 days and more.
    assert_eq!(later(29 * 24), ["late", "late", "late"]);
    assert_eq!(later(30 * 24), ["late", "off_season", "late"]);
}

#[test]
fn a_young_product_or_the_summer_makes_it_ready() {
    let house = House::full();
    let overdue_at = |now| overdue(&house.ledger, &house.config, time(now)).unwrap();
    let sentence = "there should be a product of 2026-02-28 by now, and the newest is of 2026-02-26: exit code 9: the model did not answer";
    assert_eq!(overdue_at("2026-03-02T12:00:00Z").as_deref(), Some(sentence));
    let summer = DayState::OffSeason;
    house.ledger.set_day(day("2026-02-28"), summer, "off season", House::now()).unwrap();
    assert_eq!(overdue_at("2026-03-02T12:00:00Z"), None);
    house.publish(day("2026-02-28"), [0, 3, 0], "2026-03-02T13:00:00Z");
    assert_eq!(overdue_at("2026-03-02T13:00:00Z"), None);
    assert!(overdue_at("2026-03-03T12:00:00Z").is_some(), "the next day is due");
    assert!(overdue_at("2026-03-31T12:00:00Z").is_some(), "it is winter");
    assert!(overdue_at("2026-04-20T12:00:00Z").is_some(), "nobody was told why");
    house.ledger.raise("late:thickness", Severity::Warning, "thickness is late", House::now()).unwrap();
    assert!(overdue_at("2026-04-20T12:00:00Z").is_some(), "it stopped in winter");
    house.file(Role::Thickness, day("2026-04-05"));
    assert_eq!(overdue_at("2026-04-20T12:00:00Z"), None, "the season of thickness may have ended");
    house.file(Role::Thickness, day("2026-04-15"));
    assert!(overdue_at("2026-04-20T12:00:00Z").is_some(), "it has not");
}

/// Twenty years of days, products, runs and files: what is read and told stays as much.
#[test]
fn twenty_years_are_not_told() {
    let house = House::full();
    let short = serde_json::to_value(of(&house)).unwrap();
    let mut past = Vec::new();
    for back in 60..7_360 {
        past.push(day("2026-03-01").plus_days(-back));
    }
    house.ledger.ask_for(&past, false, time("2026-03-01T10:00:00Z")).unwrap();
    for old in past.iter().step_by(50) {
        house.publish(*old, [0, 1, 0], "2026-01-01T12:00:00Z");
        house.file(Role::Drift, *old);
    }
    let mut long = serde_json::to_value(of(&house)).unwrap();
    assert_eq!(long["days"].as_array().unwrap().len(), Overview::DAYS as usize);
    assert_eq!(long["days_asked_for"], json!(2 + 7_300 - 146));
    for counted in ["days_asked_for", "outcomes", "last_run"] {
        long[counted] = short[counted].clone();
    }
    assert_eq!(long, short, "nothing else depends on how long the history is");
}

/// Whatever page is damaged, and by what: nobody is shown anything else than what was written.
#[test]
fn who_looks_at_a_damaged_ledger_is_told_so_or_sees_what_was_written() {
    let (folder, ledger, config) = House::full().into_parts();
    let path = folder.path().join("copy.sqlite");
    ledger.copy_to(&path).unwrap();
    let whole = fs::read(&path).unwrap();
    let look = || Overview::of(&Ledger::open_to_look(&path)?, &config, House::now());
    let written = look().unwrap();
    assert_eq!(written, Overview::of(&ledger, &config, House::now()).unwrap());
    let mut told = 0;
    for (page, byte) in (0..whole.len() / 4096).flat_map(|page| [0x00, 0x5a, 0xff].map(|byte| (page, byte))) {
        let mut damaged = whole.clone();
        damaged[page * 4096..][..4096].fill(byte);
        fs::write(&path, damaged).unwrap();
        match look() {
            Ok(seen) => assert_eq!(seen, written, "page {page} of {byte:#x}"),
            Err(DaemonError::Ledger(LedgerError::Damaged { .. })) => told += 1,
            Err(error) => panic!("page {page} of {byte:#x}: {error}"),
        }
    }
    assert!(told > 30, "{told} times it was told");
}

#[test]
fn the_json_says_what_a_machine_needs() {
    let house = House::full();
    house.ledger.hold("a new disk", time("2026-03-02T05:00:00Z")).unwrap();
    let said = serde_json::to_value(of(&house)).unwrap();
    assert_eq!(said["hold"], json!({ "since": "2026-03-02T05:00:00Z", "reason": "a new disk" }));
    assert_eq!(said["incidents"][1]["severity"], "failure");
    assert_eq!(said["days"][3]["published_at"], "2026-02-28T12:30:00Z");
    assert_eq!(said["inputs"][1]["newest"]["centre"], "2026-02-25");
}

#[test]
fn stretches_are_told_in_two_units() {
    let told = [-5, 59, 60, 3_599, 3_600, 86_399, 86_400, 694_800].map(stretch);
    assert_eq!(told, ["0 s", "59 s", "1 min", "59 min", "1 h 0 min", "23 h 59 min", "1 d 0 h", "8 d 1 h"]);
}
