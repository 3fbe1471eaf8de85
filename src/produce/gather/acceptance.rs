//! One file: fetched, inspected in confinement, judged, recorded. What is refused goes to quarantine with its reason.

use chrono::TimeDelta;

use crate::config::Measure;
use crate::fetch::{FetchError, Fetched};
use crate::ledger::{self, CheckRow, FileRow, Verdict};
use crate::produce::AcceptedFile;
use crate::quality::{self, Finding};
use crate::source::{self, Candidate, Inspected, KnownName, Measured};
use crate::sys;
use crate::time::Window;

use super::quarantine::Kept;
use super::survey::{Offer, Origin};
use super::{GatherError, Gatherer, Watch};

/// A file that is older says nothing about what is plausible now, days.
const COMPARABLE_DAYS: i64 = 30;

/// So long after a refused file came it is transferred once more, although its server says that it has not changed: what came may have
/// been a page of a proxy, newer than the file that it stood for.
const TRANSFERRED_AGAIN_AFTER: TimeDelta = TimeDelta::hours(6);

/// What became of a file.
pub(super) enum Outcome {
    Accepted(AcceptedFile),
    /// It did not pass, for people.
    Refused(String),
    NotFetched(FetchError),
    /// It was in the cache, and is not any more.
    Gone,
}

/// What the checks of a file came to.
struct Judgement {
    findings: Vec<Finding>,
    refusal: Option<source::Refusal>,
}

impl Gatherer {
    /// Fetches a file, unless it is here, and puts it through its checks, unless it has passed them.
    pub(super) async fn accept(&self, candidate: &Candidate<&Offer>) -> Result<Outcome, GatherError> {
        let (server, remote, fetched) = match &candidate.offer.origin {
            Origin::Cache { sha256 } => {
                let path = self.fetcher.cached(sha256, &candidate.offer.name).await?;
                let accepted = path.map(|path| AcceptedFile { path, sha256: sha256.clone() });
                return Ok(accepted.map_or(Outcome::Gone, Outcome::Accepted));
            }
            Origin::Server { server, remote } => {
                if let Some(accepted) = self.listings.accepted(server, &remote.path) {
                    return Ok(Outcome::Accepted(accepted));
                }
                match self.fetcher.fetch(server, remote).await {
                    Ok(fetched) => (server, remote, fetched),
                    Err(error) => return Ok(Outcome::NotFetched(error)),
                }
            }
        };
        sys::fail_point("gather.fetched");
        let before = self.ledger.known_file(&fetched.sha256, &fetched.name)?;
        if !before.as_ref().is_some_and(|row| self.has_passed(row)) {
            let is_new = before.is_none_or(|row| row.verdict == Verdict::Accepted);
            let judgement = self.judge(&candidate.known, &fetched).await?;
            let verdict = self.verdict(&judgement, &fetched, is_new).await;
            self.ledger.record_file(&self.row(&candidate.known, server, &fetched, &judgement, &verdict))?;
            sys::fail_point("gather.recorded");
            if let Verdict::Refused(refusal) = verdict {
                // Bytes that came a second time as they were are what the server has, and no fault of the way: from then on it is
                // asked whether it has others.
                if is_new || self.clock.now() - fetched.fetched_at >= TRANSFERRED_AGAIN_AFTER {
                    self.fetcher.forget(&fetched)?;
                }
                return Ok(Outcome::Refused(refusal.reason));
            }
        }
        let accepted = AcceptedFile { path: fetched.path, sha256: fetched.sha256 };
        self.listings.accept(server, &remote.path, &accepted);
        Ok(Outcome::Accepted(accepted))
    }

    /// Whether a file needs no judgement any more. What a person put together was not held against the series, which is done when the
    /// series has it as well.
    fn has_passed(&self, row: &FileRow) -> bool {
        row.verdict == Verdict::Accepted && (self.watch == Watch::Nothing || self.is_of_the_series(row))
    }

    async fn judge(&self, known: &KnownName, fetched: &Fetched) -> Result<Judgement, GatherError> {
        let measured = match self.inspector.inspect(&fetched.path, &self.config.inspection).await? {
            Inspected::Measured(measured) => measured,
            Inspected::Refused(refusal) => {
                let reason = at_its_origin(&refusal.reason, fetched);
                let refusal = source::Refusal { reason, ..refusal };
                return Ok(Judgement { findings: Vec::new(), refusal: Some(refusal) });
            }
        };
        let role = known.role();
        let previous = self.previous(known)?.map(|row| measured_before(&row, &measured));
        let findings = quality::judge(&measured, previous.as_ref(), role.checks(&self.config.checks));
        let failed: Vec<_> = findings.iter().filter(|finding| !finding.passed()).collect();
        let refusal = failed.first().map(|first| source::Refusal {
            kind: first.check.to_string(),
            reason: format!(
                "{}: the values are not plausible ({}); it is asked for again later; if the provider says that they are right, widen [checks.{role}]",
                fetched.url,
                failed.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
            ),
        });
        Ok(Judgement { findings, refusal })
    }

    /// The youngest accepted file of the same product from the weeks before: what a file is compared with.
    fn previous(&self, known: &KnownName) -> Result<Option<FileRow>, GatherError> {
        let (first, last) = (known.centre().plus_days(-COMPARABLE_DAYS), known.centre().plus_days(-1));
        let rows = self.ledger.accepted_files(known.role().name(), first, last)?;
        Ok(rows.into_iter().find(|row| row.product == known.word() && self.is_of_the_series(row)))
    }

    /// What is said of a file; a refused one is kept. `is_new` where these bytes were not refused before.
    async fn verdict(&self, judgement: &Judgement, fetched: &Fetched, is_new: bool) -> Verdict {
        let Some(refusal) = &judgement.refusal else {
            return Verdict::Accepted;
        };
        // A day is not lost because a bad file cannot be kept.
        let quarantine = match self.quarantine.keep(fetched, refusal).await {
            Ok(Kept::File(folder)) => Some(folder),
            Ok(Kept::Reason) => {
                if is_new {
                    tracing::warn!(
                        url = fetched.url,
                        "of a refused file only the reason is kept: the quarantine would be larger than retention.quarantine_megabytes; \
                         empty it, or raise the limit"
                    );
                }
                None
            }
            Err(error) => {
                let url = &fetched.url;
                tracing::warn!(
                    url,
                    "a refused file cannot be kept ({error}); see that folders.state may be written and has space"
                );
                None
            }
        };
        Verdict::Refused(ledger::Refusal {
            kind: refusal.kind.clone(),
            reason: refusal.reason.clone(),
            quarantine,
        })
    }

    fn row(
        &self,
        known: &KnownName,
        server: &str,
        fetched: &Fetched,
        judgement: &Judgement,
        verdict: &Verdict,
    ) -> FileRow {
        FileRow {
            name: fetched.name.clone(),
            sha256: fetched.sha256.clone(),
            role: known.role().name().to_owned(),
            product: known.word().to_owned(),
            first_day: known.start,
            last_day: known.end,
            centre: known.centre(),
            server: server.to_owned(),
            url: fetched.url.clone(),
            size_bytes: fetched.size_bytes,
            fetched_at: fetched.fetched_at,
            judged_at: self.clock.now(),
            verdict: verdict.clone(),
            checks: judgement.checks(),
        }
    }
}

impl Judgement {
    /// Every check with what it measured; also the one that ended the reading of the file before anything could be measured.
    fn checks(&self) -> Vec<CheckRow> {
        let mut checks: Vec<_> = self.findings.iter().map(check_row).collect();
        if let Some(refusal) = self.refusal.as_ref().filter(|_| checks.is_empty()) {
            let name = refusal.kind.clone();
            checks.push(CheckRow { name, measured: f64::NAN, least: None, most: None, passed: false });
        }
        checks
    }
}

/// The sentence with the address that people know the file by, where it has the path in the cache.
fn at_its_origin(reason: &str, fetched: &Fetched) -> String {
    reason.replace(&fetched.path.display().to_string(), &fetched.url)
}

/// What was measured on a file that was accepted before, of the same product.
fn measured_before(row: &FileRow, now: &Measured) -> Measured {
    let values =
        Measure::ALL.into_iter().filter_map(|measure| Some((measure, row.measured(measure.name())?)));
    Measured {
        role: now.role,
        product: now.product.clone(),
        window: Window { start: row.first_day.noon(), end: row.last_day.noon() },
        values: values.collect(),
    }
}

fn check_row(finding: &Finding) -> CheckRow {
    let limit = |limit: f64| limit.is_finite().then_some(limit);
    CheckRow {
        name: finding.check.to_string(),
        measured: finding.measured,
        least: limit(finding.lowest),
        most: limit(finding.highest),
        passed: finding.passed(),
    }
}
