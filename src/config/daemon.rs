//! When days are made, what a production may take, what readers are shown, and how long things are kept.

use std::net::SocketAddr;

use cron::Schedule as Cron;
use serde::{Deserialize, Serialize};

use super::validation::Wrong;
use crate::time::ProductDay;

/// When days are made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// Cron expressions in UTC (second, minute, hour, day, month, weekday) at which is looked what is due.
    pub wake: Vec<String>,
    /// The first day that is made without being asked for.
    pub first_day: Option<ProductDay>,
    /// Days before today that are looked after.
    pub look_back_days: u32,
    /// Hours after the end of a day from which on it is made with whatever inputs are allowed.
    pub cut_off_hours: u32,
    /// Whether a provisional product is made again whenever an input comes closer to its day.
    pub every_improvement: bool,
    /// Pause after a failed production, minutes; doubled each time.
    pub retry_minutes: u32,
    /// The longest such pause, minutes.
    pub longest_retry_minutes: u32,
}

/// What the production of a day may take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Production {
    /// Seconds after which it is ended.
    pub deadline_seconds: u64,
    /// Resident memory above which it is ended, MB.
    pub memory_megabytes: u64,
    /// By how much it yields to other work, 0 to 19.
    pub nice: u8,
    /// Space that must be free for products, for the cache and for what Nilas must remember, MB.
    pub least_free_megabytes: u64,
}

/// What the daemon shows over HTTP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// Whether it does.
    pub enabled: bool,
    /// Address and port.
    pub listen: SocketAddr,
    /// Hours after the end of a day by which a product must be there for the service to be ready.
    pub ready_hours: u32,
}

/// How long things are kept. What is 0 does not limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// Days that a revision is kept after a newer one of its day was published.
    pub superseded_days: u32,
    /// Days that products are kept.
    pub product_days: u32,
    /// What all products may take, MB; the oldest go first.
    pub product_megabytes: u64,
    /// Days that a fetched file is kept in the cache after it was used last; `fetching.cache_megabytes` is its limit of size.
    pub cache_days: u32,
    /// Days that refused files are kept.
    pub quarantine_days: u32,
    /// What refused files may take, MB; the oldest go first.
    pub quarantine_megabytes: u64,
    /// Days that the logs of runs, sent messages and settled incidents are kept.
    pub log_days: u32,
    /// Number of daily copies of the ledger.
    pub ledger_copies: u32,
}

impl Default for Schedule {
    fn default() -> Self {
        Self {
            wake: vec!["0 */15 * * * *".to_owned()],
            first_day: None,
            look_back_days: 30,
            cut_off_hours: 12,
            every_improvement: false,
            retry_minutes: 10,
            longest_retry_minutes: 360,
        }
    }
}

impl Default for Production {
    fn default() -> Self {
        Self { deadline_seconds: 14_400, memory_megabytes: 6000, nice: 10, least_free_megabytes: 2000 }
    }
}

impl Default for Http {
    fn default() -> Self {
        Self { enabled: true, listen: SocketAddr::from(([127, 0, 0, 1], 8460)), ready_hours: 36 }
    }
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            superseded_days: 0,
            product_days: 0,
            product_megabytes: 0,
            cache_days: 90,
            quarantine_days: 90,
            quarantine_megabytes: 2000,
            log_days: 400,
            ledger_copies: 7,
        }
    }
}

/// A cron expression with seconds, in UTC.
///
/// # Errors
/// What is wrong with it.
pub fn parse_cron(text: &str) -> Result<Cron, String> {
    text.parse().map_err(|error: cron::error::Error| error.to_string())
}

/// The first value of these sections that cannot be used.
pub(super) fn wrong(
    schedule: &Schedule,
    production: &Production,
    http: &Http,
    retention: &Retention,
) -> Option<Wrong> {
    wrong_schedule(schedule)
        .or_else(|| wrong_production(production))
        .or_else(|| {
            let remedy = "give at least 1; 36 is usual";
            Wrong::unless(http.ready_hours > 0, "http.ready_hours", http.ready_hours, remedy)
        })
        .or_else(|| Wrong::if_too_many_hours("http.ready_hours", http.ready_hours))
        .or_else(|| wrong_retention(retention))
}

fn wrong_retention(retention: &Retention) -> Option<Wrong> {
    let copies = retention.ledger_copies;
    [
        ("retention.superseded_days", retention.superseded_days),
        ("retention.product_days", retention.product_days),
        ("retention.cache_days", retention.cache_days),
        ("retention.quarantine_days", retention.quarantine_days),
        ("retention.log_days", retention.log_days),
    ]
    .into_iter()
    .find_map(|(key, days)| Wrong::if_too_many_days(key, days))
    .or_else(|| Wrong::unless(copies > 0, "retention.ledger_copies", copies, "keep at least 1; 7 is usual"))
}

/// Whether a cron expression has numbers for weekdays: 1 is Sunday here and Monday to most who write them, so that it would wake on other
/// days than are meant.
fn has_numbered_weekdays(expression: &str) -> bool {
    let weekdays = expression.split_whitespace().nth(5);
    weekdays.is_some_and(|field| field.contains(|character: char| character.is_ascii_digit()))
}

fn wrong_schedule(schedule: &Schedule) -> Option<Wrong> {
    let unreadable = schedule.wake.iter().find(|text| parse_cron(text).is_err());
    let remedy = "give second minute hour day month weekday, such as \"0 */15 * * * *\"";
    let (shortest, longest) = (schedule.retry_minutes, schedule.longest_retry_minutes);
    Wrong::unless(unreadable.is_none(), "schedule.wake", unreadable.cloned().unwrap_or_default(), remedy)
        .or_else(|| {
            let numbered = schedule.wake.iter().find(|text| has_numbered_weekdays(text))?;
            let remedy = "write weekdays as names, such as MON-FRI: numbers mean other days elsewhere";
            Wrong::unless(false, "schedule.wake", numbered, remedy)
        })
        .or_else(|| {
            Wrong::unless(
                !schedule.wake.is_empty(),
                "schedule.wake",
                "[]",
                "give at least one cron expression",
            )
        })
        .or_else(|| {
            let days = schedule.look_back_days;
            let remedy = "give 1 to 3650 days; 30 is usual";
            Wrong::unless((1..=3650).contains(&days), "schedule.look_back_days", days, remedy)
        })
        .or_else(|| Wrong::if_too_many_hours("schedule.cut_off_hours", schedule.cut_off_hours))
        .or_else(|| {
            let remedy = "give pauses of at least 1 minute, the first not above the longest";
            Wrong::unless(
                0 < shortest && shortest <= longest,
                "schedule.retry_minutes, longest_retry_minutes",
                format!("{shortest}, {longest}"),
                remedy,
            )
        })
}

/// Below this no production comes to its end, MB.
const LEAST_MEMORY_MEGABYTES: u64 = 512;

fn wrong_production(production: &Production) -> Option<Wrong> {
    let Production { deadline_seconds, memory_megabytes, nice, .. } = *production;
    let remedy = "give at least 60 s; four hours are usual";
    Wrong::unless(deadline_seconds >= 60, "production.deadline_seconds", deadline_seconds, remedy)
        .or_else(|| {
            let right = memory_megabytes >= LEAST_MEMORY_MEGABYTES;
            let remedy = "give at least 512 MB; 6000 is usual";
            Wrong::unless(right, "production.memory_megabytes", memory_megabytes, remedy)
        })
        .or_else(|| Wrong::unless(nice <= 19, "production.nice", nice, "give 0 to 19; 10 is usual"))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use crate::config::{Config, Overrides};

    /// What is said of the shipped configuration with one line changed.
    fn refusal(line: &str, to: &str) -> String {
        let shipped = Path::new("config/nilas.toml");
        let text = fs::read_to_string(shipped).unwrap();
        assert_eq!(text.matches(line).count(), 1, "{line}");
        let changed = text.replace(line, to);
        Config::from_text(&changed, shipped, &Overrides::default()).unwrap_err().to_string()
    }

    #[test]
    fn weekdays_are_written_as_names() {
        let wake = |expression: &str| format!("wake = [\"{expression}\"]");
        let shipped = wake("0 */15 * * * *");
        for expression in ["0 */15 * * * 1-5", "0 0 6 * * MON,7 2026"] {
            let said = refusal(&shipped, &wake(expression));
            assert!(said.contains(expression) && said.contains("weekdays as names"), "{said}");
        }
        let text = fs::read_to_string("config/nilas.toml").unwrap();
        for expression in ["0 */15 * * * MON-FRI", "0 0 6 1 1 * 2026", "0 0 6 * * ?", "@daily"] {
            let changed = text.replace(&shipped, &wake(expression));
            Config::from_text(&changed, Path::new("config/nilas.toml"), &Overrides::default()).unwrap();
        }
    }

    #[test]
    fn days_and_hours_that_lead_beyond_the_calendar_are_refused() {
        for (line, key) in [
            ("cut_off_hours = 12", "schedule.cut_off_hours"),
            ("ready_hours = 36", "http.ready_hours"),
            ("superseded_days = 0", "retention.superseded_days"),
            ("product_days = 0", "retention.product_days"),
            ("cache_days = 90", "retention.cache_days"),
            ("quarantine_days = 90", "retention.quarantine_days"),
            ("log_days = 400", "retention.log_days"),
            ("oldest_days = 3", "inputs.drift.oldest_days"),
            ("off_season_after_days = 25", "inputs.thickness.off_season_after_days"),
            ("missing_after_hours = 336", "inputs.thickness.missing_after_hours"),
        ] {
            let (name, _) = line.split_once(' ').unwrap();
            let said = refusal(line, &format!("{name} = 4000000000"));
            assert!(said.contains(key) && said.contains("give at most"), "{said}");
        }
    }

    /// A configuration without these sections means what the shipped one says.
    #[test]
    fn what_is_left_out_is_as_shipped() {
        let load = |file| Config::load(Path::new(file), &Overrides::default()).unwrap();
        let (shipped, short) = (load("config/nilas.toml"), load("config/demo.toml"));
        assert_eq!(shipped.schedule, short.schedule);
        assert_eq!(shipped.production, short.production);
        assert_eq!(shipped.http, short.http);
        assert_eq!(shipped.retention, short.retention);
        assert_eq!(shipped.publication, short.publication);
    }
}
