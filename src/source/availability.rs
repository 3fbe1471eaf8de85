//! Whether a file that is not there is waited for: "not yet" is not "late" is not "never".

use chrono::{DateTime, TimeDelta, Utc};

use crate::config::Input;
use crate::source::Role;
use crate::source::names::observed_days;
use crate::time::ProductDay;

/// How a file stands that is not there. With time it goes from the first to the last, never back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Availability {
    /// It may come yet: nothing to worry about.
    Waiting {
        /// When it usually is there, UTC.
        expected: DateTime<Utc>,
    },
    /// It should be there: people are told.
    Late {
        /// When it usually is there, UTC.
        expected: DateTime<Utc>,
    },
    /// It is not waited for any more.
    Missing {
        /// When it usually is there, UTC.
        expected: DateTime<Utc>,
    },
}

impl Availability {
    /// How the file that gives `role` and is centred on `day` stands at `now`, if it is not there.
    #[must_use]
    pub fn at(now: DateTime<Utc>, role: Role, day: ProductDay, input: &Input) -> Self {
        let end = window_end(role, day);
        let expected = hours_after(end, input.expected_after_hours);
        if now >= hours_after(end, input.missing_after_hours) {
            Self::Missing { expected }
        } else if now >= hours_after(end, input.late_after_hours) {
            Self::Late { expected }
        } else {
            Self::Waiting { expected }
        }
    }

    /// When the file usually is there, UTC.
    #[must_use]
    pub fn expected(self) -> DateTime<Utc> {
        let (Self::Waiting { expected } | Self::Late { expected } | Self::Missing { expected }) = self;
        expected
    }

    /// Whether this file of `day` is a hole in its series: not waited for any more, and the series has gone on without it. After an
    /// outage files come in any order, so that newer ones alone prove nothing; and where none came since, the series rests.
    #[must_use]
    pub fn is_hole(self, day: ProductDay, newest_centre: Option<ProductDay>) -> bool {
        matches!(self, Self::Missing { .. }) && newest_centre.is_some_and(|newest| newest > day)
    }
}

/// The newest day whose file for `role` would be late by now: a series that does not reach it is.
#[must_use]
pub fn due(now: DateTime<Utc>, role: Role, input: &Input) -> ProductDay {
    let today = ProductDay::new(now.date_naive());
    let longest = i64::from(days_until_late(input));
    let is_due =
        |day: &ProductDay| !matches!(Availability::at(now, role, *day, input), Availability::Waiting { .. });
    (0..longest).map(|back| today.plus_days(-back)).find(is_due).unwrap_or_else(|| today.plus_days(-longest))
}

/// No window ends more than four days after its centre, and the hours of two days may be cut.
fn days_until_late(input: &Input) -> u32 {
    input.late_after_hours / 24 + 6
}

/// How many days back files have to be listed to know how a series stands: what may serve, what is due, and whether it is in season.
#[must_use]
pub fn days_to_list(input: &Input) -> u32 {
    input.oldest_days.max(input.off_season_after_days.unwrap_or(0)).max(days_until_late(input))
}

/// When the window ends of the file that gives `role` and is centred on `day`, UTC: no file can be there before.
#[must_use]
pub fn window_end(role: Role, day: ProductDay) -> DateTime<Utc> {
    let (_, last) = observed_days(role, day);
    match role {
        Role::Drift => last.noon().and_utc(),
        Role::Concentration | Role::Thickness => hours_after(last.noon().and_utc(), 12),
    }
}

/// The end of the calendar beyond it.
fn hours_after(time: DateTime<Utc>, hours: u32) -> DateTime<Utc> {
    time.checked_add_signed(TimeDelta::hours(i64::from(hours))).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// Whether a product is made at this time of the year.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Season {
    /// It is: files are waited for.
    Open,
    /// It is not: quiet until the first file of the next season.
    Over {
        /// The centre of the newest file.
        newest: ProductDay,
    },
}

/// Whether the season of a product is open on `today`, by the centre of its newest file: the provider's first and last days move from
/// year to year. Only that in the part of the year that is `always_in_season` it is open in any case, for a provider that has moved its
/// files, or has stopped, must not pass for summer. Nor has anything ended where there never was a file: the place may be wrong. A
/// product without `off_season_after_days` is always in season.
#[must_use]
pub fn season(newest_centre: Option<ProductDay>, today: ProductDay, input: &Input) -> Season {
    let is_open_anyway = input.always_in_season.is_some_and(|part| part.contains(today));
    match (newest_centre, input.off_season_after_days) {
        (Some(newest), Some(days)) if !is_open_anyway && newest < today.plus_days(-i64::from(days)) => {
            Season::Over { newest }
        }
        _ => Season::Open,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;
    use crate::config::{Config, Inputs, Overrides};

    fn inputs() -> Inputs {
        Config::load(Path::new("config/nilas.toml"), &Overrides::default()).unwrap().inputs
    }

    fn day(text: &str) -> ProductDay {
        text.parse().unwrap()
    }

    fn time(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn windows_end_when_the_products_do() {
        let end = |role| window_end(role, day("2026-03-01"));
        assert_eq!(end(Role::Concentration), time("2026-03-02T00:00:00Z"));
        assert_eq!(end(Role::Drift), time("2026-03-02T12:00:00Z"));
        assert_eq!(end(Role::Thickness), time("2026-03-05T00:00:00Z"));
    }

    #[test]
    fn a_file_is_waited_for_then_late_then_missing() {
        let at = |now| Availability::at(time(now), Role::Drift, day("2026-03-01"), &inputs().drift);
        let expected = time("2026-03-03T05:00:00Z");
        assert_eq!(at("2026-02-01T00:00:00Z"), Availability::Waiting { expected });
        assert_eq!(at("2026-03-03T11:59:59Z"), Availability::Waiting { expected });
        assert_eq!(at("2026-03-03T12:00:00Z"), Availability::Late { expected });
        assert_eq!(at("2026-03-12T11:59:59Z"), Availability::Late { expected });
        assert_eq!(at("2026-03-12T12:00:00Z"), Availability::Missing { expected });
    }

    #[test]
    fn a_file_that_is_given_up_is_a_hole_once_the_series_went_on() {
        let expected = time("2025-03-31T12:00:00Z");
        let (hole, before, after) = (day("2025-03-25"), day("2025-03-24"), day("2025-03-26"));
        let missing = Availability::Missing { expected };
        assert!(missing.is_hole(hole, Some(after)));
        assert!(!missing.is_hole(hole, Some(before)));
        assert!(!missing.is_hole(hole, None));
        assert!(!Availability::Late { expected }.is_hole(hole, Some(after)));
        assert!(!Availability::Waiting { expected }.is_hole(hole, Some(after)));
    }

    #[test]
    fn what_is_due_is_the_newest_that_would_be_late() {
        let inputs = inputs();
        let due_at = |role: Role, now| due(time(now), role, role.input(&inputs)).to_string();
        assert_eq!(due_at(Role::Concentration, "2026-03-10T11:59:00Z"), "2026-03-08");
        assert_eq!(due_at(Role::Concentration, "2026-03-10T12:00:00Z"), "2026-03-09");
        assert_eq!(due_at(Role::Drift, "2026-03-10T12:00:00Z"), "2026-03-08");
        assert_eq!(due_at(Role::Thickness, "2026-03-10T00:00:00Z"), "2026-03-02");
    }

    #[test]
    fn the_season_is_what_the_catalog_holds() {
        let input = inputs().thickness;
        let newest = day("2026-04-12");
        assert_eq!(season(Some(newest), day("2026-04-18"), &input), Season::Open);
        assert_eq!(season(Some(newest), day("2026-05-07"), &input), Season::Open);
        assert_eq!(season(Some(newest), day("2026-05-08"), &input), Season::Over { newest });
        assert_eq!(season(None, day("2026-05-08"), &input), Season::Open);
        // In winter a series that has stopped is late, not out of season: also one that has not begun again.
        for winter in ["2026-11-01", "2027-01-15", "2027-03-31"] {
            assert_eq!(season(Some(newest), day(winter), &input), Season::Open);
        }
        assert_eq!(season(Some(newest), day("2026-10-31"), &input), Season::Over { newest });
        // A day of the past is in the season of the files around it.
        assert_eq!(season(Some(newest), day("2026-01-08"), &input), Season::Open);
    }

    #[test]
    fn a_product_of_the_whole_year_is_always_in_season() {
        assert_eq!(season(None, day("2026-07-01"), &inputs().drift), Season::Open);
    }

    proptest! {
        #[test]
        fn what_is_due_is_listed(role in prop::sample::select(Role::ALL.to_vec()), late in 0_u32..2000, minutes in 0_i64..2_000_000) {
            let mut input = role.input(&inputs()).clone();
            [input.expected_after_hours, input.late_after_hours, input.missing_after_hours] = [0, late, 4000];
            let now = time("2025-01-01T00:00:00Z") + TimeDelta::minutes(minutes);
            let (today, due) = (ProductDay::new(now.date_naive()), due(now, role, &input));
            let waits = |day| matches!(Availability::at(now, role, day, &input), Availability::Waiting { .. });
            let (due_waits, next_waits) = (waits(due), waits(due.plus_days(1)));
            prop_assert!(!due_waits && next_waits);
            prop_assert!(today.days_since(due) <= i64::from(days_to_list(&input)));
        }

        #[test]
        fn with_time_it_never_goes_back(
            role in prop::sample::select(Role::ALL.to_vec()),
            offset in 0_i64..20_000,
            limits in prop::array::uniform3(0_u32..2000),
            hours in 0_i64..3000,
            later in 0_i64..3000,
        ) {
            let mut input = role.input(&inputs()).clone();
            [input.expected_after_hours, input.late_after_hours, input.missing_after_hours] = limits;
            let day = day("1990-01-01").plus_days(offset);
            let now = day.noon().and_utc() + TimeDelta::hours(hours);
            let then = now + TimeDelta::hours(later);
            prop_assert!(Availability::at(now, role, day, &input) <= Availability::at(then, role, day, &input));
            let newest = Some(day.plus_days(1));
            let hole = |time| Availability::at(time, role, day, &input).is_hole(day, newest);
            prop_assert!(!hole(now) || hole(then));
        }

        #[test]
        fn a_newer_file_never_closes_the_season(today in 0_i64..4000, newest in 0_i64..4000, newer in 0_i64..100) {
            let input = inputs().thickness;
            let on = |days| day("2020-01-01").plus_days(days);
            if season(Some(on(newest)), on(today), &input) == Season::Open {
                prop_assert_eq!(season(Some(on(newest + newer)), on(today), &input), Season::Open);
            }
        }
    }
}
