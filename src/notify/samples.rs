//! Letters of every kind about things that never happened. Templates are tried on them before they are needed.

use chrono::{DateTime, TimeDelta, Utc};

use super::letter::{Content, Digest, DigestEntry, DigestInput, DigestTiming, Open, Told, UnitFailure};
use super::templates::Matter;
use crate::ledger::Severity;
use crate::time::ProductDay;

/// One of them.
pub(super) struct Sample {
    pub(super) kind: &'static str,
    pub(super) severity: Severity,
    pub(super) content: Content,
}

impl Sample {
    pub(super) fn matter(&self) -> Matter<'_> {
        Matter {
            content: &self.content,
            kind: self.kind,
            severity: self.severity,
            date: moment(26),
            has_picture: self.kind == "digest",
        }
    }
}

fn moment(hours: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_514) + TimeDelta::hours(hours)
}

/// All kinds, each with and without what may be missing.
pub(super) fn all() -> Vec<Sample> {
    let incident = |reminder, is_worse, remind_at: Option<i64>, closed_at: Option<i64>| {
        Content::Incident(Told {
            id: 1,
            key: "late:drift".to_owned(),
            text: "drift is late: the newest is centred on 2026-02-27, that of 2026-03-01 should have come"
                .to_owned(),
            opened_at: moment(0),
            last_seen_at: moment(25),
            count: 3,
            closed_at: closed_at.map(moment),
            reminder,
            is_worse,
            remind_at: remind_at.map(moment),
        })
    };
    let failure = |result: Option<&str>| Content::Failure {
        failure: UnitFailure {
            unit: "nilas.service".to_owned(),
            result: result.map(str::to_owned),
            exit_code: result.map(|_| "exited".to_owned()),
            exit_status: result.map(|_| "2".to_owned()),
            invocation: result.map(|_| "4c1e8f0e2f6b4f0e9a8f6a6f3c0d1e2f".to_owned()),
        },
    };
    let announcement = Content::Announcement {
        subject: "the product of 2026-03-01 was withdrawn".to_owned(),
        text: "Do not use revision 1 of 2026-03-01.\nReason: wrong concentration".to_owned(),
    };
    let sample = |kind, severity, content| Sample { kind, severity, content };
    vec![
        sample("first", Severity::Failure, incident(0, false, Some(50), None)),
        sample("first", Severity::Notice, incident(0, false, None, None)),
        sample("reminder", Severity::Warning, incident(2, false, Some(98), None)),
        sample("reminder", Severity::Failure, incident(0, true, Some(98), None)),
        sample("recovery", Severity::Warning, incident(0, false, None, Some(26))),
        sample("digest", Severity::Notice, digest(true)),
        sample("digest", Severity::Notice, digest(false)),
        sample("announcement", Severity::Warning, announcement),
        sample("test", Severity::Notice, Content::Test),
        sample("failure", Severity::Failure, failure(Some("exit-code"))),
        sample("failure", Severity::Failure, failure(None)),
    ]
}

fn digest(is_full: bool) -> Content {
    let day = ProductDay::new(moment(0).date_naive());
    let entry = |status: &str, thickness_age| DigestEntry {
        day: day.plus_days(-1),
        revision: 1,
        status: status.to_owned(),
        published_at: moment(11),
        inputs: vec![DigestInput {
            role: "thickness".to_owned(),
            name: "W_XX-ESA,SMOS_CS2_S3A_S3B,NH_12P5KM_EASE2_20260221_20260227_o_v300_01_l4sit.nc".to_owned(),
            age_days: thickness_age,
        }],
        timings: vec![DigestTiming { stage: "members".to_owned(), seconds: 512.3 }],
        place: Some("/var/lib/nilas/products/2026/03/01/r01".to_owned()),
    };
    let open = Open {
        key: "late:drift".to_owned(),
        severity: Severity::Warning,
        text: "drift is late".to_owned(),
        opened_at: moment(0),
        is_acknowledged: true,
    };
    let published = if is_full { vec![entry("provisional", 4.0), entry("final", 0.0)] } else { Vec::new() };
    Content::Digest {
        digest: Digest { day, published, quicklook: None },
        open: if is_full { vec![open] } else { Vec::new() },
    }
}
