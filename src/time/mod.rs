//! Days, windows and the clock.

mod year_part;

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, Instant, SystemTime};

use chrono::{DateTime, Days, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use serde::{Deserialize, Serialize};

pub use year_part::{DayOfYear, NotADayOfYear, YearPart};

/// The day that a product is for. Written `2026-03-01`, in file names `20260301`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProductDay(NaiveDate);

/// A text is not a day.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("\"{0}\" is not a day of the calendar, such as 2026-03-01")]
pub struct NotADay(String);

impl ProductDay {
    /// The day of a calendar date.
    #[must_use]
    pub fn new(date: NaiveDate) -> Self {
        Self(date)
    }

    /// Reads the eight digits of a file name, such as `20260301`.
    ///
    /// # Errors
    /// [`NotADay`] when they are not a date.
    pub fn from_compact(text: &str) -> Result<Self, NotADay> {
        NaiveDate::parse_from_str(text, "%Y%m%d").map(Self).map_err(|_| NotADay(text.to_owned()))
    }

    /// The eight digits that file names carry.
    #[must_use]
    pub fn compact(self) -> String {
        self.0.format("%Y%m%d").to_string()
    }

    /// The calendar date.
    #[must_use]
    pub fn date(self) -> NaiveDate {
        self.0
    }

    /// The day `days` later (earlier where negative); the last or first day of the calendar beyond its ends.
    #[must_use]
    pub fn plus_days(self, days: i64) -> Self {
        let distance = Days::new(days.unsigned_abs());
        let moved =
            if days < 0 { self.0.checked_sub_days(distance) } else { self.0.checked_add_days(distance) };
        Self(moved.unwrap_or(if days < 0 { NaiveDate::MIN } else { NaiveDate::MAX }))
    }

    /// How many days this one is after `earlier`; negative where it is before.
    #[must_use]
    pub fn days_since(self, earlier: Self) -> i64 {
        (self.0 - earlier.0).num_days()
    }

    /// 12:00 UTC, the centre of the day and the time that the products carry.
    #[must_use]
    pub fn noon(self) -> NaiveDateTime {
        self.0.and_time(NaiveTime::MIN) + chrono::TimeDelta::hours(12)
    }
}

impl fmt::Display for ProductDay {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0.format("%Y-%m-%d"))
    }
}

impl FromStr for ProductDay {
    type Err = NotADay;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        NaiveDate::parse_from_str(text, "%Y-%m-%d").map(Self).map_err(|_| NotADay(text.to_owned()))
    }
}

/// A stretch of time that an input observes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Its beginning, UTC.
    pub start: NaiveDateTime,
    /// Its end, UTC.
    pub end: NaiveDateTime,
}

impl Window {
    /// Its length, days.
    #[must_use]
    pub fn days(&self) -> f64 {
        (self.end - self.start).as_seconds_f64() / 86_400.0
    }

    /// How many days before (positive) or after (negative) noon of `day` its centre lies.
    #[must_use]
    pub fn age_days(&self, day: ProductDay) -> f64 {
        let centre = self.start + (self.end - self.start) / 2;
        (day.noon() - centre).as_seconds_f64() / 86_400.0
    }
}

/// What time it is. The only reader of the machine's clocks is [`SystemClock`]; tests bring their own.
pub trait Clock: Send + Sync {
    /// The time of day, UTC; it may step.
    fn now(&self) -> DateTime<Utc>;
    /// Time since some fixed moment; it never steps back.
    fn monotonic(&self) -> Duration;
}

/// The machine's clocks.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// A clock whose monotonic time begins now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the machine's clock")]
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the machine's clock")]
    fn now(&self) -> DateTime<Utc> {
        DateTime::from(SystemTime::now())
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_written_as_it_is_read() {
        let day: ProductDay = "2024-02-29".parse().unwrap();
        assert_eq!(day.to_string(), "2024-02-29");
        assert_eq!(ProductDay::from_compact(&day.compact()), Ok(day));
        assert!("2023-02-29".parse::<ProductDay>().is_err());
        assert!("20240229".parse::<ProductDay>().is_err());
    }

    #[test]
    fn days_step_over_leap_days_and_new_year() {
        let day: ProductDay = "2024-02-28".parse().unwrap();
        assert_eq!(day.plus_days(2).to_string(), "2024-03-01");
        assert_eq!(day.plus_days(-59).to_string(), "2023-12-31");
        assert_eq!(day.plus_days(2).days_since(day), 2);
    }

    #[test]
    fn the_age_of_a_window_is_counted_from_its_centre() {
        let day: ProductDay = "2022-04-15".parse().unwrap();
        let window = Window { start: day.plus_days(-2).noon(), end: day.noon() };
        assert!((window.days() - 2.0).abs() < 1e-12);
        assert!((window.age_days(day) - 1.0).abs() < 1e-12);
    }
}
