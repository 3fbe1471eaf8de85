//! The story of a day, in sentences that a forecaster understands: from the ledger alone.

use std::path::Path;

use chrono::{DateTime, Utc};

use crate::config::Config;
use crate::ledger::{
    DayInput, DayRow, DayState, FileRow, Gap, Ledger, Origin, Outcome, ProductRow, Refusal, RunRow, Verdict,
};
use crate::publish;
use crate::source::{Availability, Role, window_end};
use crate::time::ProductDay;

use super::overview::{moment, stretch};
use super::planner::{self, Cause, cut_off, looked_after, pause_after};
use super::{DaemonError, round};

const MEGABYTE: f64 = 1e6;

/// Tells what became of a day so far, and what it waits for; a sentence each.
///
/// # Errors
/// [`DaemonError`].
pub fn explain(
    ledger: &Ledger,
    config: &Config,
    day: ProductDay,
    now: DateTime<Utc>,
) -> Result<Vec<String>, DaemonError> {
    let (row, products, runs) = (ledger.day(day)?, ledger.products_of(day)?, ledger.runs_of(day)?);
    let mut told = vec![standing(day, row.as_ref(), &products, now)];
    told.extend(row.as_ref().and_then(asked));
    for role in Role::ALL {
        told.extend(ledger.files_of(role.name(), day)?.iter().map(fetched));
    }
    for input in ledger.day_inputs(day)? {
        told.push(chosen(ledger, &input, day)?);
    }
    told.extend(runs.iter().map(|run| worked(run, now)));
    told.extend(products.iter().flat_map(|product| published(product, &config.folders.products)));
    let gaps = ledger.gaps_of(day)?;
    told.extend(gaps.iter().map(|gap| {
        let Gap { role, reason, declared_at } = gap;
        format!(
            "There will be no {role} of this day, as was declared on {}: {}.",
            moment(*declared_at),
            bare(reason)
        )
    }));
    if !has_final(&products) {
        told.extend(waits(ledger, config, day, now, &gaps)?);
    }
    told.extend(next(ledger, config, day, now, row.as_ref())?);
    Ok(told)
}

fn standing(day: ProductDay, row: Option<&DayRow>, products: &[ProductRow], now: DateTime<Utc>) -> String {
    let ends = window_end(Role::Concentration, day);
    match row {
        None if now < ends => {
            format!("{day} has not ended yet: nothing is made of it before {}.", moment(ends))
        }
        None if products.is_empty() => format!("{day} was never looked at."),
        None => format!("{day} was never looked at; its products were found in the product folder."),
        Some(row) => {
            let state = row.state.name().replace('_', " ");
            format!("{day} stands as {state} since {}: {}.", moment(row.changed_at), bare(&row.note))
        }
    }
}

fn asked(row: &DayRow) -> Option<String> {
    let asked = row.asked?;
    let again = if asked.again { ", also where a product stands" } else { "" };
    Some(format!("A person asked for it on {}{again}.", moment(asked.at)))
}

/// A text without the stop that some sentences bring.
fn bare(text: &str) -> &str {
    text.trim_end_matches('.')
}

/// What a file is to a day: where it came from, and what it was judged to be.
fn fetched(file: &FileRow) -> String {
    let came = format!(
        "The {} file {} ({:.1} MB) was fetched from {} on {}",
        file.role,
        file.name,
        file.size_bytes as f64 / MEGABYTE,
        file.server,
        moment(file.fetched_at)
    );
    match &file.verdict {
        Verdict::Accepted => format!("{came} and accepted."),
        Verdict::Refused(Refusal { reason, quarantine, .. }) => {
            let kept = quarantine
                .as_ref()
                .map_or("it was not kept".to_owned(), |path| format!("it is kept in {}", path.display()));
            format!("{came} and refused on {}: {}; {kept}.", moment(file.judged_at), bare(reason))
        }
    }
}

fn chosen(ledger: &Ledger, input: &DayInput, day: ProductDay) -> Result<String, DaemonError> {
    let DayInput { role, name, age_days, sha256 } = input;
    if *age_days == 0 {
        return Ok(format!("Chosen as {role} was {name}, which is of the day itself."));
    }
    let centre = day.plus_days(-i64::from(*age_days));
    let files = ledger.files_of(role, centre)?;
    let came = files.iter().find(|file| file.sha256 == *sha256 && file.name == *name);
    let came = came.map(|file| format!(", fetched from {} on {}", file.server, moment(file.fetched_at)));
    Ok(format!(
        "Chosen as {role} was {name}, which is {}{}.",
        age(f64::from(*age_days)),
        came.unwrap_or_default()
    ))
}

fn age(days: f64) -> String {
    if days.round() <= 1.0 { "1 day old".to_owned() } else { format!("{days:.0} days old") }
}

fn worked(run: &RunRow, now: DateTime<Utc>) -> String {
    let wanted = match run.origin {
        Origin::Schedule => "because it was due",
        Origin::Backfill => "because a person had asked for it",
        Origin::Person => "for a person at a terminal",
    };
    let begin = format!("Run {} began on {}, {wanted}", run.id, moment(run.started_at));
    let lasted = |until: DateTime<Utc>| stretch((until - run.started_at).num_seconds());
    let Some(end) = &run.end else {
        return format!("{begin}, and has been at work for {}.", lasted(now));
    };
    let outcome = match (end.outcome, end.exit_code) {
        (Outcome::Published, _) => format!("published revision {}", run.revision),
        (Outcome::Failed, Some(code)) => format!("failed with exit code {code}"),
        (Outcome::Failed, None) => "failed".to_owned(),
        (Outcome::Killed, _) => "was ended".to_owned(),
        (Outcome::Abandoned, _) => "was abandoned".to_owned(),
        (Outcome::Lost, _) => "was lost".to_owned(),
    };
    let device = end.device.as_ref().map(|device| format!(", on {device}"));
    let memory = end
        .peak_memory_bytes
        .map(|bytes| format!(", with up to {:.0} MB of memory", bytes as f64 / MEGABYTE));
    let reason = end.reason.as_ref().map(|reason| format!(": {}", bare(reason)));
    let parts = [device, memory, reason].map(Option::unwrap_or_default).concat();
    format!("{begin}, and {outcome} after {}{parts}.", lasted(end.at))
}

fn published(product: &ProductRow, root: &Path) -> Vec<String> {
    let revision = product.revision;
    let status = if product.is_final { "final" } else { "provisional" };
    let place = publish::revision_folder(root, product.day, revision);
    let aged = product.inputs.iter().filter(|input| input.is_aged());
    let aged: Vec<String> = aged.map(|input| format!("{} {}", input.role, age(input.age_days))).collect();
    let aged = if aged.is_empty() { String::new() } else { format!(", with {}", aged.join(" and ")) };
    let degraded =
        product.degradation.as_ref().map(|why| format!("; it was {}", bare(why))).unwrap_or_default();
    let at = moment(product.published_at);
    let mut told = vec![format!(
        "Revision {revision} ({status}{aged}) was published on {at} in {}{degraded}.",
        place.display()
    )];
    if let Some(withdrawal) = &product.withdrawal {
        let at = moment(withdrawal.at);
        told.push(format!("Revision {revision} was taken back on {at}: {}.", bare(&withdrawal.reason)));
    }
    if let Some(removed) = product.removed_at {
        told.push(format!("The files of revision {revision} were cleared away on {}.", moment(removed)));
    }
    told
}

fn has_final(products: &[ProductRow]) -> bool {
    products.iter().any(|product| product.is_final && product.withdrawal.is_none())
}

/// The files of the day that have not come, and when they are expected.
fn waits(
    ledger: &Ledger,
    config: &Config,
    day: ProductDay,
    now: DateTime<Utc>,
    gaps: &[Gap],
) -> Result<Vec<String>, DaemonError> {
    let mut told = Vec::new();
    for role in Role::ALL {
        let files = ledger.files_of(role.name(), day)?;
        let is_there = files.iter().any(|file| file.verdict == Verdict::Accepted);
        if is_there || gaps.iter().any(|gap| gap.role == role.name()) {
            continue;
        }
        let file = if files.is_empty() { "file" } else { "file that can be used" };
        let none = format!("No {role} {file} of this day has come");
        let end = window_end(role, day);
        told.push(match Availability::at(now, role, day, role.input(&config.inputs)) {
            Availability::Waiting { expected } if now < end => format!(
                "{none}: what it observes ends on {}, and it is usually there from {} on.",
                moment(end),
                moment(expected)
            ),
            Availability::Waiting { expected } => {
                format!("{none}: it is usually there from {} on, and is waited for.", moment(expected))
            }
            Availability::Late { expected } => {
                format!(
                    "{none}: it is late, for it is usually there from {} on; it is waited for.",
                    moment(expected)
                )
            }
            Availability::Missing { expected } => format!(
                "{none}: it was expected on {}, and is not waited for any more, but used should it come.",
                moment(expected)
            ),
        });
    }
    Ok(told)
}

/// Whether and when it is looked at again.
fn next(
    ledger: &Ledger,
    config: &Config,
    day: ProductDay,
    now: DateTime<Utc>,
    row: Option<&DayRow>,
) -> Result<Vec<String>, DaemonError> {
    let mut told = Vec::new();
    if let Some((failures, failed_at)) = row.and_then(|row| Some((row.failures, row.failed_at?))) {
        let again = failed_at + pause_after(failures, config);
        let times =
            if failures == 1 { "1 failure".to_owned() } else { format!("{failures} failures in a row") };
        if again > now {
            told.push(format!("After {times} it is not tried again before {}.", moment(again)));
        }
    }
    if let Some(hold) = ledger.current_hold()? {
        let since = moment(hold.began_at);
        told.push(format!(
            "Production is held since {since}: {}; `nilas resume` lets it go on.",
            hold.reason
        ));
        return Ok(told);
    }
    let plan = planner::plan(&round::history(ledger, config, now)?, now, config);
    let due = plan.iter().find(|due| due.day == day);
    let products = ledger.products_of(day)?;
    let (newest, first) = looked_after(now, config);
    told.push(match due.map(|due| due.cause) {
        Some(Cause::New) if products.last().is_some_and(|last| last.withdrawal.is_some()) => format!(
            "It is looked at again with every wake-up, and made again when other inputs come; `nilas backfill {day} --again` makes it all the same."
        ),
        Some(Cause::New) if now < cut_off(day, config) => format!(
            "It is looked at again with every wake-up, and made with whatever inputs are allowed from {} on.",
            moment(cut_off(day, config))
        ),
        Some(Cause::New) => "It is looked at again with every wake-up, and made with whatever inputs are allowed.".to_owned(),
        Some(Cause::Improvement) => {
            "It is looked at again with every wake-up, and made again when its inputs have become better.".to_owned()
        }
        Some(Cause::Asked) => "It is made behind the days that are looked after, as it was asked for.".to_owned(),
        None if has_final(&products) => "It is done: nothing is waited for.".to_owned(),
        None if day > newest || !told.is_empty() => return Ok(told),
        None if row.is_some_and(|row| row.state == DayState::Running) => return Ok(told),
        None if day < first => {
            format!("It is not looked after by itself (only days from {first} on are); `nilas backfill {day}` asks for it.")
        }
        None => "For now it is not looked at again.".to_owned(),
    });
    Ok(told)
}

#[cfg(test)]
#[path = "explanation_tests.rs"]
mod tests;
