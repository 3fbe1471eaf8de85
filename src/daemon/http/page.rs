//! The page for people: how everything stands, on one screen, also without colours and without JavaScript.

use chrono::TimeDelta;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, Error, UndefinedBehavior};
use serde::Serialize;

use crate::daemon::overview::{DayOverview, InputOverview, Overview, RunOverview, moment, stretch};
use crate::ledger::Severity;
use crate::notify;

const TEMPLATE: &str = include_str!("status.html");
/// Above it the page says first that something is wrong.
const TITLES: [(&str, &str); 3] = [
    ("good", "Everything is as it should be"),
    ("warning", "Somebody should look"),
    ("failure", "Somebody must act"),
];

/// What the template is filled with; every text is escaped there.
#[derive(Serialize)]
struct Page<'a> {
    version: &'static str,
    at: String,
    /// How it stands at all: a class of the style sheet, and words.
    verdict: &'static str,
    title: &'static str,
    overdue: Option<&'a str>,
    work: &'a str,
    /// Whether there is a map page.
    has_map: bool,
    hold: Option<(String, &'a str)>,
    newest: Option<Newest<'a>>,
    inputs: Vec<InputLine<'a>>,
    at_work: Vec<String>,
    last_run: Option<LastRun<'a>>,
    incidents: Vec<IncidentBox<'a>>,
    days_asked_for: usize,
    messages_waiting: usize,
    days: Vec<Cell<'a>>,
}

#[derive(Serialize)]
struct Newest<'a> {
    day: String,
    revision: u32,
    status: &'static str,
    published: String,
    age: String,
    degradation: Option<&'a str>,
}

#[derive(Serialize)]
struct InputLine<'a> {
    role: &'static str,
    standing: &'static str,
    words: &'static str,
    centre: Option<String>,
    name: &'a str,
    server: &'a str,
    fetched: String,
    age: String,
}

#[derive(Serialize)]
struct LastRun<'a> {
    id: i64,
    day: String,
    ended: String,
    lasted: String,
    outcome: &'static str,
    reason: Option<&'a str>,
    device: Option<&'a str>,
    memory_megabytes: Option<u64>,
    stages: Vec<(&'a str, String)>,
}

#[derive(Serialize)]
struct IncidentBox<'a> {
    key: &'a str,
    severity: &'static str,
    text: &'a str,
    since: String,
    lasts: String,
    count: u32,
    acknowledged: Option<String>,
    meanwhile: &'static str,
    remedy: &'static str,
}

#[derive(Serialize)]
struct Cell<'a> {
    day: String,
    number: String,
    month: Option<String>,
    state: &'static str,
    words: &'static str,
    /// The day's letter and revision, for whoever does not see colours.
    mark: String,
    has_flaw: bool,
    note: &'a str,
    title: String,
}

/// The page in HTML.
pub(super) fn html(overview: &Overview, work: &str, has_map: bool) -> Result<String, Error> {
    let mut environment = Environment::new();
    environment.add_filter("commands", notify::commands);
    environment.add_filter("shell", notify::shell);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.add_template("status.html", TEMPLATE)?;
    environment.get_template("status.html")?.render(Serde(page(overview, work, has_map)))
}

fn page<'a>(overview: &'a Overview, work: &'a str, has_map: bool) -> Page<'a> {
    let worst = overview.incidents.iter().map(|incident| incident.severity).max();
    let (verdict, title) = TITLES[match worst {
        Some(Severity::Failure) => 2,
        _ if overview.overdue.is_some() => 2,
        Some(Severity::Warning) => 1,
        _ if overview.hold.is_some() => 1,
        _ => 0,
    }];
    let newest = overview.newest.as_ref().map(|newest| Newest {
        day: newest.day.to_string(),
        revision: newest.revision,
        status: if newest.is_final { "final" } else { "provisional" },
        published: moment(newest.published_at),
        age: stretch(newest.age_seconds),
        degradation: newest.degradation.as_deref(),
    });
    let at_work = overview
        .at_work
        .iter()
        .map(|run| format!("run {} on {}, for {} so far", run.id, run.day, stretch(run.seconds)));
    Page {
        version: env!("CARGO_PKG_VERSION"),
        at: moment(overview.at),
        verdict,
        title,
        overdue: overview.overdue.as_deref(),
        work,
        has_map,
        hold: overview.hold.as_ref().map(|hold| (moment(hold.since), hold.reason.as_str())),
        newest,
        inputs: overview.inputs.iter().map(input_line).collect(),
        at_work: at_work.collect(),
        last_run: overview.last_run.as_ref().map(last_run),
        incidents: incidents(overview),
        days_asked_for: overview.days_asked_for,
        messages_waiting: overview.messages_waiting,
        days: overview.days.iter().rev().enumerate().map(|(place, day)| cell(place, day)).collect(),
    }
}

fn input_line(input: &InputOverview) -> InputLine<'_> {
    let newest = input.newest.as_ref();
    InputLine {
        role: input.role,
        standing: input.standing,
        words: input.standing_in_words(),
        centre: newest.map(|file| file.centre.to_string()),
        name: newest.map_or("", |file| &file.name),
        server: newest.map_or("", |file| &file.server),
        fetched: newest.map(|file| moment(file.fetched_at)).unwrap_or_default(),
        age: newest.map(|file| stretch(file.age_seconds)).unwrap_or_default(),
    }
}

fn last_run(run: &RunOverview) -> LastRun<'_> {
    let stages = run.stages.iter().map(|stage| (stage.stage.as_str(), format!("{:.1} s", stage.seconds)));
    LastRun {
        id: run.id,
        day: run.day.to_string(),
        ended: moment(run.started_at + TimeDelta::seconds(run.seconds)),
        lasted: stretch(run.seconds),
        outcome: run.outcome.unwrap_or_default(),
        reason: run.reason.as_deref(),
        device: run.device.as_deref(),
        memory_megabytes: run.peak_memory_bytes.map(|bytes| bytes / 1_000_000),
        stages: stages.collect(),
    }
}

/// The worst first.
fn incidents(overview: &Overview) -> Vec<IncidentBox<'_>> {
    let mut open: Vec<_> = overview.incidents.iter().collect();
    open.sort_by_key(|incident| std::cmp::Reverse(incident.severity));
    open.into_iter()
        .map(|incident| {
            let advice = notify::advice(&incident.key);
            IncidentBox {
                key: &incident.key,
                severity: incident.severity.name(),
                text: &incident.text,
                since: moment(incident.since),
                lasts: stretch((overview.at - incident.since).num_seconds()),
                count: incident.count,
                acknowledged: incident.acknowledged.map(moment),
                meanwhile: advice.meanwhile,
                remedy: advice.remedy,
            }
        })
        .collect()
}

fn cell(place: usize, day: &DayOverview) -> Cell<'_> {
    use chrono::Datelike;
    let date = day.day.date();
    let words = day.state_in_words();
    let revision = day.revision.map(|revision| format!("r{revision:02}")).unwrap_or_default();
    let mut title = format!("{}: {words}", day.day);
    for part in [&revision, &day.note] {
        if !part.is_empty() {
            title = format!("{title}; {part}");
        }
    }
    if let Some(degradation) = &day.degradation {
        title = format!("{title}; it was {degradation}");
    }
    for withdrawn in &day.withdrawn {
        title = format!("{title}; revision {} was taken back: {}", withdrawn.revision, withdrawn.reason);
    }
    Cell {
        day: day.day.to_string(),
        number: date.day().to_string(),
        month: (place == 0 || date.day() == 1).then(|| date.format("%B %Y").to_string()),
        state: day.state,
        words,
        mark: revision,
        has_flaw: day.degradation.is_some() || !day.withdrawn.is_empty(),
        note: &day.note,
        title,
    }
}
