//! What the sections on input files must be like, beyond their shape.

use std::collections::BTreeMap;

use super::{
    Checks, Config, Fetching, Input, Inputs, Inspection, Limits, Server, daemon, notify, passwords,
    publication, targets,
};

/// A value that is out of its range.
pub(super) struct Wrong {
    pub(super) key: String,
    pub(super) value: String,
    pub(super) remedy: &'static str,
}

impl Wrong {
    pub(super) fn unless(right: bool, key: &str, value: impl ToString, remedy: &'static str) -> Option<Self> {
        (!right).then(|| Self { key: key.to_owned(), value: value.to_string(), remedy })
    }

    /// Days that are counted from today: many more lead beyond the calendar.
    pub(super) fn if_too_many_days(key: &str, days: u32) -> Option<Self> {
        Self::unless(days <= MOST_DAYS, key, days, "give at most 36500 days")
    }

    /// The same for hours.
    pub(super) fn if_too_many_hours(key: &str, hours: u32) -> Option<Self> {
        Self::unless(hours <= 24 * MOST_DAYS, key, hours, "give at most 876000 hours")
    }
}

/// A hundred years: nobody waits longer, and time can be counted that far.
const MOST_DAYS: u32 = 36_500;

/// The first value of these sections that cannot be used.
pub(super) fn wrong(config: &Config) -> Option<Wrong> {
    let Inputs { concentration, thickness, drift } = &config.inputs;
    [("concentration", concentration), ("thickness", thickness), ("drift", drift)]
        .into_iter()
        .find_map(|(name, input)| wrong_input(name, input, &config.servers))
        .or_else(|| wrong_combination(&config.inputs))
        .or_else(|| passwords::wrong(&config.servers))
        .or_else(|| wrong_fetching(&config.fetching))
        .or_else(|| wrong_inspection(config.inspection))
        .or_else(|| wrong_checks(&config.checks))
        .or_else(|| daemon::wrong(&config.schedule, &config.production, &config.http, &config.retention))
        .or_else(|| wrong_sum(config.model.checkpoint_sha256.as_deref()))
        .or_else(|| publication::wrong(&config.publication))
        .or_else(|| targets::wrong(&config.targets))
        .or_else(|| notify::wrong(&config.notify))
}

fn wrong_input(name: &str, input: &Input, servers: &BTreeMap<String, Server>) -> Option<Wrong> {
    let key = |part: &str| format!("inputs.{name}.{part}");
    let unknown = input.places.iter().find(|place| !servers.contains_key(&place.server));
    let hours = [input.expected_after_hours, input.late_after_hours, input.missing_after_hours];
    let remedy = "name at least one product, as in config/nilas.toml";
    Wrong::unless(!input.products.is_empty(), &key("products"), "[]", remedy)
        .or_else(|| {
            Wrong::unless(!input.places.is_empty(), &key("places"), "[]", "give at least one server:folder")
        })
        .or_else(|| {
            let place = unknown.cloned().map(String::from).unwrap_or_default();
            Wrong::unless(
                unknown.is_none(),
                &key("places"),
                place,
                "the word before the colon must be the name of a server in [servers]",
            )
        })
        .or_else(|| {
            let remedy =
                "expected_after_hours, late_after_hours, missing_after_hours must not go down in this order";
            Wrong::unless(hours.is_sorted(), &key("*_after_hours"), format!("{hours:?}"), remedy)
        })
        .or_else(|| Wrong::if_too_many_hours(&key("missing_after_hours"), input.missing_after_hours))
        .or_else(|| Wrong::if_too_many_days(&key("oldest_days"), input.oldest_days))
        .or_else(|| Wrong::if_too_many_days(&key("off_season_after_days"), input.off_season_after_days?))
}

/// What belongs to one quantity only.
fn wrong_combination(inputs: &Inputs) -> Option<Wrong> {
    let Inputs { concentration, thickness, drift } = inputs;
    let days = concentration.oldest_days;
    let remedy = "concentration decides where ice is: only 0 keeps yesterday's ice edge out of a product";
    Wrong::unless(days == 0, "inputs.concentration.oldest_days", days, remedy)
        .or_else(|| {
            let remedy = "name \"o\", \"r\" or both, the best first";
            Wrong::unless(!thickness.processing.is_empty(), "inputs.thickness.processing", "[]", remedy)
        })
        .or_else(|| {
            let days = thickness.off_season_after_days;
            let right = days.is_some_and(|days| days > thickness.oldest_days);
            let value = days.map_or("missing".into(), |days| days.to_string());
            let remedy = "give a number of days above inputs.thickness.oldest_days";
            Wrong::unless(right, "inputs.thickness.off_season_after_days", value, remedy)
        })
        .or_else(|| {
            let remedy = "say when files are waited for in any case: { from = \"11-01\", until = \"03-31\" } in the north";
            let key = "inputs.thickness.always_in_season";
            Wrong::unless(thickness.always_in_season.is_some(), key, "missing", remedy)
        })
        .or_else(|| {
            let plain = [concentration, drift].iter().all(|input| {
                let has_no_season = input.off_season_after_days.is_none() && input.always_in_season.is_none();
                has_no_season && input.processing.is_empty()
            });
            let words = "processing, off_season_after_days or always_in_season";
            Wrong::unless(plain, "inputs", words, "these belong to inputs.thickness only")
        })
}

/// With less, the files of a day and the remap weights, which are needed together, would push each other out, MB.
const LEAST_CACHE_MEGABYTES: u64 = 1000;

fn wrong_fetching(fetching: &Fetching) -> Option<Wrong> {
    let Fetching { connect_seconds, stall_seconds, try_seconds, deadline_seconds, .. } = *fetching;
    let limits = [
        ("fetching.connect_seconds", connect_seconds),
        ("fetching.stall_seconds", stall_seconds),
        ("fetching.try_seconds", try_seconds),
        ("fetching.largest_file_megabytes", fetching.largest_file_megabytes),
    ];
    let (shortest, longest) = (fetching.shortest_pause_seconds, fetching.longest_pause_seconds);
    limits
        .into_iter()
        .find_map(|(key, value)| Wrong::unless(value > 0, key, value, "give at least 1"))
        .or_else(|| {
            let remedy = "all tries together must have at least the time of one (fetching.try_seconds)";
            Wrong::unless(
                deadline_seconds >= try_seconds,
                "fetching.deadline_seconds",
                deadline_seconds,
                remedy,
            )
        })
        .or_else(|| {
            let right = 0.0 < shortest && shortest <= longest && longest.is_finite();
            let remedy = "give pauses above 0 s, the shortest not above the longest";
            Wrong::unless(
                right,
                "fetching.shortest_pause_seconds, longest_pause_seconds",
                format!("{shortest}, {longest}"),
                remedy,
            )
        })
        .or_else(|| {
            let right = fetching.cache_megabytes >= LEAST_CACHE_MEGABYTES;
            let remedy =
                "give at least 1000: remap weights, some 300 MB for a grid, count in it; 20000 is usual";
            Wrong::unless(right, "fetching.cache_megabytes", fetching.cache_megabytes, remedy)
        })
        .or_else(|| {
            let right = fetching.cache_megabytes >= fetching.largest_file_megabytes;
            let remedy = "the cache must hold at least one file (fetching.largest_file_megabytes)";
            Wrong::unless(right, "fetching.cache_megabytes", fetching.cache_megabytes, remedy)
        })
}

/// The least memory in which the libraries that read NetCDF can be loaded, MB.
const LEAST_INSPECTION_MEGABYTES: u64 = 256;

fn wrong_inspection(inspection: Inspection) -> Option<Wrong> {
    let Inspection { memory_megabytes, cpu_seconds } = inspection;
    let remedy = "give at least 256, else no file can be opened; 1024 is usual";
    let enough = memory_megabytes >= LEAST_INSPECTION_MEGABYTES;
    Wrong::unless(enough, "inspection.memory_megabytes", memory_megabytes, remedy)
        .or_else(|| Wrong::unless(cpu_seconds > 0, "inspection.cpu_seconds", cpu_seconds, "give at least 1"))
}

fn wrong_checks(checks: &Checks) -> Option<Wrong> {
    let senseless = |limits: &Limits| match (limits.least, limits.most) {
        (None, None) => true,
        (Some(least), Some(most)) => !least.is_finite() || !most.is_finite() || most < least,
        (Some(one), None) | (None, Some(one)) => !one.is_finite(),
    };
    let all = [
        ("concentration", &checks.concentration),
        ("thickness", &checks.thickness),
        ("drift", &checks.drift),
    ];
    all.into_iter().find_map(|(name, checks)| {
        let (measure, limits) = checks.iter().find(|(_, limits)| senseless(limits))?;
        let remedy = "give least, most or both as numbers, most not below least";
        Wrong::unless(false, &format!("checks.{name}.{}", measure.name()), format!("{limits:?}"), remedy)
    })
}

/// Hexadecimal digits of a SHA-256.
const SUM_DIGITS: usize = 64;

fn wrong_sum(sum: Option<&str>) -> Option<Wrong> {
    let sum = sum?;
    let right =
        sum.len() == SUM_DIGITS && sum.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    let remedy =
        "give the 64 lowercase digits that sha256sum prints for the checkpoint, or leave the key out";
    Wrong::unless(right, "model.checkpoint_sha256", sum, remedy)
}
