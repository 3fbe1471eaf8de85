//! `nilas backfill`: days of the past are wanted.

use std::str::FromStr;

use clap::Args;

use super::configuration::ConfigurationFile;
use super::failure::Failure;
use super::output::days;
use super::{house, print};
use crate::daemon::DaemonLock;
use crate::ledger::ProductRow;
use crate::time::{Clock, ProductDay, SystemClock};

/// Asks the daemon for days of the past. They are made behind the days that it looks after, the newest first, and what was
/// begun goes on after a restart. Days with a final product are left as they are.
#[derive(Args)]
pub(super) struct Arguments {
    /// The days, such as 2026-01-01..2026-01-31, or one day.
    days: Days,
    /// Also days with a final product: each gets a new revision.
    #[arg(long)]
    again: bool,
    /// Only says what would be asked for.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    configuration: ConfigurationFile,
}

/// Days from the first to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Days {
    first: ProductDay,
    last: ProductDay,
}

/// More days than this are a slip of the pen.
const MOST_DAYS: i64 = 20_000;

impl FromStr for Days {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (first, last) = text.split_once("..").unwrap_or((text, text));
        let parse = |text: &str| text.parse::<ProductDay>().map_err(|error| error.to_string());
        let days = Self { first: parse(first)?, last: parse(last)? };
        match days.last.days_since(days.first) {
            ..0 => Err(format!("{last} is before {first}; write FIRST..LAST")),
            MOST_DAYS.. => Err(format!("these are more than {MOST_DAYS} days")),
            _ => Ok(days),
        }
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let config = arguments.configuration.load()?;
    let (now, ledger) = (SystemClock::new().now(), house::ledger(&config)?);
    let Days { first, last } = arguments.days;
    let products = ledger.products_between(first, last).map_err(Failure::other)?;
    let made = |day: ProductDay| {
        let is_made =
            |product: &&ProductRow| product.day == day && product.is_final && product.withdrawal.is_none();
        products.iter().rev().find(is_made)
    };
    let mut wanted = Vec::new();
    for day in (0..=last.days_since(first)).map(|after| first.plus_days(after)) {
        if day >= ProductDay::new(now.date_naive()) {
            print(format_args!("{day}  left out: it has not ended"));
        } else if let Some(product) = made(day).filter(|_| !arguments.again) {
            let what = if product.stands() {
                "a final product stands"
            } else {
                "its final product was cleared away"
            };
            print(format_args!("{day}  left as it is: {what} (--again makes it anew)"));
        } else {
            print(format_args!(
                "{day}  {}",
                if arguments.dry_run { "would be asked for" } else { "asked for" }
            ));
            wanted.push(day);
        }
    }
    if arguments.dry_run {
        return Ok(());
    }
    ledger.ask_for(&wanted, arguments.again, now).map_err(Failure::other)?;
    let waiting = match DaemonLock::holder(&config.folders.state)? {
        Some(_) => "the daemon makes them behind the days that it looks after",
        None => "no daemon is at work: they wait until `nilas run` is started",
    };
    print(format_args!("{} asked for; {waiting}", days(wanted.len())));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_read_as_they_are_written() {
        let days =
            |text: &str| text.parse::<Days>().map(|days| (days.first.to_string(), days.last.to_string()));
        assert_eq!(days("2026-01-30..2026-02-02"), Ok(("2026-01-30".into(), "2026-02-02".into())));
        assert_eq!(days("2026-01-30"), Ok(("2026-01-30".into(), "2026-01-30".into())));
        assert!(days("2026-02-02..2026-01-30").unwrap_err().contains("is before"));
        assert!(days("2026-02-30").unwrap_err().contains("\"2026-02-30\" is not a day"));
        assert!(days("1026-01-01..2026-01-30").unwrap_err().contains("more than"));
    }
}
