//! `nilas status`: how everything stands.

use std::path::PathBuf;

use clap::Args;

use super::configuration::ConfigurationFile;
use super::failure::Failure;
use super::output::days;
use super::{house, print};
use crate::config::Config;
use crate::daemon::{DayOverview, InputOverview, Overview, RunOverview, stretch};
use crate::ledger::Ledger;
use crate::notify;
use crate::time::{Clock, SystemClock};

/// Shows how everything stands: incidents, the newest product, the inputs, and the last days.
#[derive(Args)]
pub(super) struct Arguments {
    /// Prints JSON, for machines.
    #[arg(long)]
    json: bool,
    /// The number of days to show.
    #[arg(long, value_name = "N", default_value_t = 14, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    days: u32,
    /// Says that you know of the incident with this key, so that no reminder comes.
    #[arg(long, value_name = "KEY")]
    ack: Option<String>,
    #[command(flatten)]
    configuration: ConfigurationFile,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let config = arguments.configuration.load()?;
    let now = SystemClock::new().now();
    let Some(path) = existing_ledger(&config) else { return Ok(()) };
    if let Some(key) = &arguments.ack {
        let ledger = house::ledger(&config)?;
        if !ledger.acknowledge(key, now).map_err(Failure::other)? {
            let remedy = "`nilas status` shows the keys of those that are";
            return Err(Failure::Usage(format!("no incident with the key \"{key}\" is open; {remedy}")));
        }
        print(format_args!("{key} is acknowledged: no reminder comes, and a mail when it is over"));
        return Ok(());
    }
    let ledger = Ledger::open_to_look(&path).map_err(Failure::other)?;
    let overview = Overview::with_days(&ledger, &config, now, arguments.days)?;
    if arguments.json {
        print(serde_json::to_string_pretty(&overview).map_err(Failure::other)?);
    } else {
        table(&overview).iter().for_each(print);
    }
    Ok(())
}

/// Where the ledger lies, if there is one: looking makes none. Where there is none, that is said.
pub(super) fn existing_ledger(config: &Config) -> Option<PathBuf> {
    let path = config.folders.state.join(Ledger::FILE_NAME);
    if path.exists() {
        return Some(path);
    }
    print(format_args!(
        "nothing is remembered yet: {} is made by the first `nilas run` or `nilas produce`",
        path.display()
    ));
    None
}

/// The table, line by line.
fn table(overview: &Overview) -> Vec<String> {
    let mut lines = head(overview);
    if !overview.incidents.is_empty() {
        lines.extend([String::new(), "Open incidents".to_owned()]);
        for incident in &overview.incidents {
            let lasts = stretch((overview.at - incident.since).num_seconds());
            let known = if incident.acknowledged.is_some() { ", acknowledged" } else { "" };
            // As `nilas status --ack` takes it from a shell.
            let (severity, key) = (incident.severity.name(), notify::shell(&incident.key));
            lines.push(format!("  {severity:<8} {key} ({lasts}{known})"));
            lines.push(format!("           {}", incident.text));
        }
    }
    lines.extend([String::new(), "Inputs".to_owned()]);
    lines.extend(overview.inputs.iter().map(input_line));
    lines.extend([String::new(), format!("Days, the newest first ({})", overview.days.len())]);
    lines.extend(overview.days.iter().map(day_line));
    lines
}

fn head(overview: &Overview) -> Vec<String> {
    let line = |label: &str, text: &str| format!("{label:<9}{text}");
    let daemon = overview
        .daemon
        .as_ref()
        .map_or("not at work".to_owned(), |process| format!("at work (process {process})"));
    let newest = overview.newest.as_ref().map_or("none yet".to_owned(), |newest| {
        let status = if newest.is_final { "final" } else { "PROVISIONAL" };
        let (day, revision, age) = (newest.day, newest.revision, stretch(newest.age_seconds));
        let degraded = newest.degradation.as_ref().map(|why| format!("; it was {why}")).unwrap_or_default();
        format!("{day} r{revision:02} {status}, its day ended {age} ago{degraded}")
    });
    let mut lines = vec![line("daemon", &daemon), line("newest", &newest)];
    lines.extend(overview.overdue.iter().map(|overdue| line("OVERDUE", overdue)));
    lines.extend(overview.hold.iter().map(|hold| {
        let since = hold.since.format("%Y-%m-%d %H:%M UTC");
        line("HELD", &format!("since {since}: {}; `nilas resume` lets production go on", hold.reason))
    }));
    for run in &overview.at_work {
        let so_far = stretch(run.seconds);
        lines.push(line(
            "now",
            &format!("run {} on {} ({}), for {so_far} so far", run.id, run.day, run.origin),
        ));
    }
    lines.extend(overview.last_run.iter().map(|run| line("last run", &last_run(run))));
    if overview.days_asked_for > 0 {
        lines.push(line("backfill", &format!("{} asked for", days(overview.days_asked_for))));
    }
    if overview.messages_waiting > 0 {
        lines.push(line("messages", &format!("{} have not arrived yet", overview.messages_waiting)));
    }
    lines
}

fn last_run(run: &RunOverview) -> String {
    let outcome = run.outcome.unwrap_or_default();
    let mut text = format!("{} on {} {outcome} after {}", run.id, run.day, stretch(run.seconds));
    if let Some(device) = &run.device {
        text = format!("{text}, on {device}");
    }
    if let Some(bytes) = run.peak_memory_bytes {
        text = format!("{text}, with up to {} MB", bytes / 1_000_000);
    }
    if let Some(reason) = &run.reason {
        text = format!("{text}: {reason}");
    }
    text
}

fn input_line(input: &InputOverview) -> String {
    let standing = input.standing_in_words();
    let Some(file) = &input.newest else { return format!("  {:<14}{standing}", input.role) };
    let (centre, age) = (file.centre, stretch(file.age_seconds));
    format!("  {:<14}{centre}  {age:>10} old  {standing:<12} {} from {}", input.role, file.name, file.server)
}

fn day_line(day: &DayOverview) -> String {
    let revision = day.revision.map(|revision| format!("r{revision:02}")).unwrap_or_default();
    let mut note = day.note.clone();
    let mut more = |text: String| note = if note.is_empty() { text } else { format!("{note}; {text}") };
    if let Some(degradation) = &day.degradation {
        more(format!("it was {degradation}"));
    }
    for withdrawn in &day.withdrawn {
        more(format!("revision {} was taken back: {}", withdrawn.revision, withdrawn.reason));
    }
    if day.is_removed {
        more("its files were cleared away".to_owned());
    }
    if day.failures > 0 {
        more(format!("{} failed so far", day.failures));
    }
    if day.is_asked_for {
        more("asked for".to_owned());
    }
    format!("  {}  {:<13} {revision:<4} {note}", day.day, day.state_in_words()).trim_end().to_owned()
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
