//! Which days of an archive are kept for validation.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::TrainError;
use crate::time::ProductDay;

/// The days that training never sees.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum HeldOut {
    /// This share of the days, at least one, from the end of the archive.
    Last(f64),
    /// These days.
    Days(Vec<ProductDay>),
}

impl Default for HeldOut {
    fn default() -> Self {
        Self::Last(0.1)
    }
}

impl HeldOut {
    /// Those of `days`, in their order, that are held out.
    ///
    /// # Errors
    /// [`TrainError::Option`] when a listed day is not there, or no day is left for training or for validation.
    pub fn of(&self, days: &[ProductDay]) -> Result<Vec<ProductDay>, TrainError> {
        let held_out = match self {
            Self::Last(share) => {
                // As a binary fraction 0.29 of 100 is a little less than 29.
                let count = ((days.len() as f64 * share + 1e-9) as usize).max(1);
                days[days.len().saturating_sub(count)..].to_vec()
            }
            Self::Days(listed) => {
                if let Some(unknown) = listed.iter().find(|day| !days.contains(day)) {
                    return Err(TrainError::Option(format!(
                        "--validation-days: {unknown} is not in the archive"
                    )));
                }
                days.iter().copied().filter(|day| listed.contains(day)).collect()
            }
        };
        if held_out.is_empty() || held_out.len() >= days.len() {
            return Err(TrainError::Option(
                "training needs at least 2 days, one of them for validation (--validation-days)".into(),
            ));
        }
        Ok(held_out)
    }
}

impl FromStr for HeldOut {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(share) = text.parse::<f64>() {
            let possible = share > 0.0 && share < 1.0;
            return possible
                .then_some(Self::Last(share))
                .ok_or_else(|| format!("the share {text} is not between 0 and 1"));
        }
        let days: Result<Vec<ProductDay>, _> = text.split(',').map(|day| day.trim().parse()).collect();
        days.map(Self::Days).map_err(|error| error.to_string())
    }
}

impl fmt::Display for HeldOut {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Last(share) => write!(formatter, "{share}"),
            Self::Days(days) => {
                let days: Vec<_> = days.iter().map(ToString::to_string).collect();
                formatter.write_str(&days.join(","))
            }
        }
    }
}

impl TryFrom<String> for HeldOut {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<HeldOut> for String {
    fn from(held_out: HeldOut) -> Self {
        held_out.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(count: i64) -> Vec<ProductDay> {
        let first: ProductDay = "2020-10-18".parse().unwrap();
        (0..count).map(|number| first.plus_days(number)).collect()
    }

    fn of(text: &str, days: &[ProductDay]) -> Result<Vec<ProductDay>, TrainError> {
        text.parse::<HeldOut>().unwrap().of(days)
    }

    #[test]
    fn a_share_is_taken_from_the_end_and_a_list_as_it_is() {
        let all = days(20);
        assert_eq!(HeldOut::default().of(&all).unwrap(), all[18..]);
        assert_eq!(HeldOut::default().of(&all[..2]).unwrap(), all[1..2]);
        assert_eq!(of("2020-10-20,2020-10-18", &all).unwrap(), [all[0], all[2]]);
    }

    #[test]
    fn a_share_that_makes_whole_days_loses_none_and_another_is_cut() {
        for (share, count, held_out) in [("0.29", 100, 29), ("0.57", 100, 57), ("0.19", 10, 1)] {
            assert_eq!(of(share, &days(count)).unwrap().len(), held_out, "{share} of {count}");
        }
    }

    #[test]
    fn what_leaves_nothing_to_learn_or_is_not_there_is_refused() {
        assert!(of("0.5", &days(1)).is_err());
        assert!(of("2020-10-18", &days(1)).is_err());
        assert!(of("2021-10-18", &days(9)).is_err());
        for wrong in ["0", "1", "-0.1", "yesterday", ""] {
            wrong.parse::<HeldOut>().unwrap_err();
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for text in ["0.1", "2020-10-18,2020-10-20"] {
            assert_eq!(text.parse::<HeldOut>().unwrap().to_string(), text);
        }
    }
}
