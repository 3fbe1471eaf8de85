//! The stories of days in several situations, word for word.

use super::*;
use crate::daemon::scratch_house::{House, day, time};

fn story(house: &House, of: &str, now: DateTime<Utc>) -> Vec<String> {
    let told = explain(&house.ledger, &house.config, day(of), now).unwrap();
    told.iter().map(|sentence| house.without_folder(sentence)).collect()
}

#[track_caller]
fn tells(house: &House, of: &str, expected: &[&str]) {
    let told = story(house, of, House::now());
    assert_eq!(told, expected, "{}", told.join("\n"));
}

#[test]
fn a_day_that_was_made() {
    tells(
        &House::full(),
        "2026-02-25",
        &[
            "2026-02-25 stands as final since 2026-02-28 12:10 UTC: revision 1 stands.",
            "The concentration file concentration_20260225.nc (12.3 MB) was fetched from met-norway on 2026-02-26 04:31 UTC and accepted.",
            "The thickness file thickness_20260225.nc (12.3 MB) was fetched from awi on 2026-03-01 04:31 UTC and accepted.",
            "The drift file drift_20260225.nc (12.3 MB) was fetched from met-norway on 2026-02-26 16:31 UTC and accepted.",
            "Chosen as concentration was concentration_20260225.nc, which is of the day itself.",
            "Chosen as drift was drift_20260225.nc, which is of the day itself.",
            "Chosen as thickness was thickness_20260225.nc, which is of the day itself.",
            "Run 1 began on 2026-02-28 12:00 UTC, because it was due, and published revision 1 after 10 min, on cpu, with up to 1234 MB of memory.",
            "Revision 1 (final) was published on 2026-02-28 12:10 UTC in HOUSE/products/2026/02/25/r01.",
            "It is done: nothing is waited for.",
        ],
    );
}

#[test]
fn a_day_with_an_older_input() {
    tells(
        &House::full(),
        "2026-02-26",
        &[
            "2026-02-26 stands as provisional since 2026-02-28 12:30 UTC: revision 1 stands.",
            "The concentration file concentration_20260226.nc (12.3 MB) was fetched from met-norway on 2026-02-27 04:31 UTC and accepted.",
            "The drift file drift_20260226.nc (12.3 MB) was fetched from met-norway on 2026-02-27 16:31 UTC and accepted.",
            "Chosen as concentration was concentration_20260226.nc, which is of the day itself.",
            "Chosen as drift was drift_20260226.nc, which is of the day itself.",
            "Chosen as thickness was thickness_20260225.nc, which is 1 day old, fetched from awi on 2026-03-01 04:31 UTC.",
            "Run 2 began on 2026-02-28 12:20 UTC, because it was due, and published revision 1 after 10 min, on cpu, with up to 1234 MB of memory.",
            "Revision 1 (provisional, with thickness 1 day old) was published on 2026-02-28 12:30 UTC in HOUSE/products/2026/02/26/r01; it was made on cpu, because the GPU failed.",
            "No thickness file of this day has come: it is usually there from 2026-03-04 12:00 UTC on, and is waited for.",
            "It is looked at again with every wake-up, and made again when its inputs have become better.",
        ],
    );
}

#[test]
fn a_day_whose_product_was_taken_back() {
    tells(
        &House::full(),
        "2026-02-27",
        &[
            "2026-02-27 stands as waiting since 2026-03-01 09:00 UTC: its product was taken back.",
            "The concentration file concentration_20260227.nc (12.3 MB) was fetched from met-norway on 2026-02-28 04:31 UTC and accepted.",
            "The drift file drift_20260227.nc (12.3 MB) was fetched from met-norway on 2026-02-28 16:31 UTC and accepted.",
            "Chosen as concentration was concentration_20260227.nc, which is of the day itself.",
            "Chosen as drift was drift_20260227.nc, which is of the day itself.",
            "Chosen as thickness was thickness_20260225.nc, which is 2 days old, fetched from awi on 2026-03-01 04:31 UTC.",
            "Run 3 began on 2026-03-01 05:10 UTC, because it was due, and published revision 1 after 10 min, on cpu, with up to 1234 MB of memory.",
            "Revision 1 (provisional, with thickness 2 days old) was published on 2026-03-01 05:20 UTC in HOUSE/products/2026/02/27/r01.",
            "Revision 1 was taken back on 2026-03-01 09:00 UTC: the drift was of the wrong day.",
            "No thickness file of this day has come: what it observes ends on 2026-03-03 00:00 UTC, and it is usually there from 2026-03-05 12:00 UTC on.",
            "It is looked at again with every wake-up, and made again when other inputs come; `nilas backfill 2026-02-27 --again` makes it all the same.",
        ],
    );
}

#[test]
fn a_day_whose_production_fails() {
    tells(
        &House::full(),
        "2026-02-28",
        &[
            "2026-02-28 stands as failed since 2026-03-02 05:25 UTC: exit code 9: the model did not answer.",
            "The concentration file concentration_20260228.nc (12.3 MB) was fetched from met-norway on 2026-03-01 04:31 UTC and accepted.",
            "The drift file drift_20260228.nc (12.3 MB) was fetched from met-norway on 2026-03-01 16:31 UTC and accepted.",
            "Run 4 began on 2026-03-02 05:20 UTC, because it was due, and failed with exit code 9 after 5 min, on cpu, with up to 1234 MB of memory: the model did not answer.",
            "No thickness file of this day has come: what it observes ends on 2026-03-04 00:00 UTC, and it is usually there from 2026-03-06 12:00 UTC on.",
            "After 1 failure it is not tried again before 2026-03-02 05:35 UTC.",
        ],
    );
}

#[test]
fn a_day_that_waits_and_had_a_file_refused() {
    tells(
        &House::full(),
        "2026-03-01",
        &[
            "2026-03-01 stands as waiting since 2026-03-02 00:00 UTC: waits for drift of 2026-02-28, which should be there.",
            "The concentration file concentration_20260301.nc (12.3 MB) was fetched from met-norway on 2026-03-02 04:31 UTC and accepted.",
            "The drift file drift_20260301.nc (12.3 MB) was fetched from met-norway on 2026-03-02 05:05 UTC and refused on 2026-03-02 05:05 UTC: mean is 91, and at most 60 passes; it is kept in HOUSE/quarantine/drift_20260301.nc.",
            "No thickness file of this day has come: what it observes ends on 2026-03-05 00:00 UTC, and it is usually there from 2026-03-07 12:00 UTC on.",
            "No drift file that can be used of this day has come: what it observes ends on 2026-03-02 12:00 UTC, and it is usually there from 2026-03-03 05:00 UTC on.",
            "It is looked at again with every wake-up, and made with whatever inputs are allowed from 2026-03-02 12:00 UTC on.",
        ],
    );
}

#[test]
fn days_that_are_not_looked_after() {
    let house = House::full();
    tells(
        &house,
        "2026-03-04",
        &[
            "2026-03-04 has not ended yet: nothing is made of it before 2026-03-05 00:00 UTC.",
            "No concentration file of this day has come: what it observes ends on 2026-03-05 00:00 UTC, and it is usually there from 2026-03-05 05:00 UTC on.",
            "No thickness file of this day has come: what it observes ends on 2026-03-08 00:00 UTC, and it is usually there from 2026-03-10 12:00 UTC on.",
            "No drift file of this day has come: what it observes ends on 2026-03-05 12:00 UTC, and it is usually there from 2026-03-06 05:00 UTC on.",
        ],
    );
    tells(
        &house,
        "2026-01-10",
        &[
            "2026-01-10 stands as waiting since 2026-03-01 10:00 UTC: asked for, not looked at yet.",
            "A person asked for it on 2026-03-01 10:00 UTC.",
            "No concentration file of this day has come: it was expected on 2026-01-11 05:00 UTC, and is not waited for any more, but used should it come.",
            "No thickness file of this day has come: it was expected on 2026-01-16 12:00 UTC, and is not waited for any more, but used should it come.",
            "No drift file of this day has come: it was expected on 2026-01-12 05:00 UTC, and is not waited for any more, but used should it come.",
            "It is made behind the days that are looked after, as it was asked for.",
        ],
    );
    tells(
        &house,
        "2025-12-31",
        &[
            "2025-12-31 was never looked at.",
            "No concentration file of this day has come: it was expected on 2026-01-01 05:00 UTC, and is not waited for any more, but used should it come.",
            "No thickness file of this day has come: it was expected on 2026-01-06 12:00 UTC, and is not waited for any more, but used should it come.",
            "No drift file of this day has come: it was expected on 2026-01-02 05:00 UTC, and is not waited for any more, but used should it come.",
            "It is not looked after by itself (only days from 2026-02-25 on are); `nilas backfill 2025-12-31` asks for it.",
        ],
    );
}

#[test]
fn what_stands_in_the_way() {
    let house = House::full();
    house.ledger.hold("a new disk", time("2026-03-02T05:00:00Z")).unwrap();
    house.ledger.declare_gap(day("2026-03-01"), "thickness", "the series went on", House::now()).unwrap();
    house.ledger.begin_run(day("2026-03-01"), Origin::Person, 0, time("2026-03-02T05:20:00Z")).unwrap();
    let told = story(&house, "2026-03-01", House::now());
    assert_eq!(told[0], "2026-03-01 stands as running since 2026-03-02 05:20 UTC: run 5 is at work.");
    for sentence in [
        "Run 5 began on 2026-03-02 05:20 UTC, for a person at a terminal, and has been at work for 10 min.",
        "There will be no thickness of this day, as was declared on 2026-03-02 05:30 UTC: the series went on.",
        "Production is held since 2026-03-02 05:00 UTC: a new disk; `nilas resume` lets it go on.",
    ] {
        assert!(told.iter().any(|one| one == sentence), "{sentence}\nis not in\n{}", told.join("\n"));
    }
    assert!(!told.iter().any(|one| one.contains("No thickness")), "a gap is not waited for: {told:#?}");
}

#[test]
fn a_file_that_does_not_come_is_waited_for_then_late_then_given_up() {
    let house = House::full();
    let of_drift = |now| {
        let told = story(&house, "2026-03-01", time(now));
        told.into_iter().find(|sentence| sentence.starts_with("No drift")).unwrap()
    };
    let none = "No drift file that can be used of this day has come";
    let observes = "what it observes ends on 2026-03-02 12:00 UTC, and it is usually there from 2026-03-03 05:00 UTC on.";
    assert_eq!(of_drift("2026-03-02T05:30:00Z"), format!("{none}: {observes}"));
    let waited = "it is usually there from 2026-03-03 05:00 UTC on, and is waited for.";
    assert_eq!(of_drift("2026-03-03T11:00:00Z"), format!("{none}: {waited}"));
    let late = "it is late, for it is usually there from 2026-03-03 05:00 UTC on; it is waited for.";
    assert_eq!(of_drift("2026-03-03T12:00:00Z"), format!("{none}: {late}"));
    let over =
        "it was expected on 2026-03-03 05:00 UTC, and is not waited for any more, but used should it come.";
    assert_eq!(of_drift("2026-03-20T12:00:00Z"), format!("{none}: {over}"));
}
