//! Parts of the year, such as winter.

use std::fmt;
use std::str::FromStr;

use chrono::{Datelike, NaiveDate};
use serde::{Deserialize, Serialize};

use super::ProductDay;

/// A leap year, so that each day of any year is one of its.
const LEAP_YEAR: i32 = 2000;

/// A part of each year, with its first and its last day; it may go over New Year.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct YearPart {
    /// Its first day.
    pub from: DayOfYear,
    /// Its last day.
    pub until: DayOfYear,
}

impl YearPart {
    /// Whether a day lies in it.
    #[must_use]
    pub fn contains(&self, day: ProductDay) -> bool {
        let day = DayOfYear::of(day);
        let (begun, not_over) = (self.from <= day, day <= self.until);
        if self.from <= self.until { begun && not_over } else { begun || not_over }
    }
}

/// A day of any year, written `11-01`: its month and its number there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DayOfYear {
    month: u32,
    day: u32,
}

/// A text is not a day of the year.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("\"{0}\" is not a day of the year: write month and day, such as 11-01")]
pub struct NotADayOfYear(String);

impl DayOfYear {
    fn of(day: ProductDay) -> Self {
        Self { month: day.date().month(), day: day.date().day() }
    }
}

impl FromStr for DayOfYear {
    type Err = NotADayOfYear;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let date = NaiveDate::parse_from_str(&format!("{LEAP_YEAR}-{text}"), "%Y-%m-%d");
        date.map(|date| Self::of(ProductDay::new(date))).map_err(|_| NotADayOfYear(text.to_owned()))
    }
}

impl TryFrom<String> for DayOfYear {
    type Error = NotADayOfYear;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl fmt::Display for DayOfYear {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:02}-{:02}", self.month, self.day)
    }
}

impl From<DayOfYear> for String {
    fn from(day: DayOfYear) -> Self {
        day.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(from: &str, until: &str) -> YearPart {
        YearPart { from: from.parse().unwrap(), until: until.parse().unwrap() }
    }

    fn days_in(part: YearPart, days: &[&str]) -> Vec<bool> {
        days.iter().map(|day| part.contains(day.parse().unwrap())).collect()
    }

    #[test]
    fn a_part_of_the_year_has_both_its_ends_and_may_go_over_new_year() {
        let days = ["2025-10-31", "2025-11-01", "2025-12-31", "2026-01-01", "2026-03-31", "2026-04-01"];
        assert_eq!(days_in(part("11-01", "03-31"), &days), [false, true, true, true, true, false]);
        assert_eq!(days_in(part("04-01", "10-31"), &days), [true, false, false, false, false, true]);
    }

    #[test]
    fn the_last_of_february_is_a_day_of_the_year_and_the_thirtieth_is_not() {
        assert_eq!("02-29".parse::<DayOfYear>().unwrap().to_string(), "02-29");
        for text in ["02-30", "13-01", "11-1x", "", "2025-11-01"] {
            assert_eq!(text.parse::<DayOfYear>(), Err(NotADayOfYear(text.to_owned())));
        }
    }
}
