//! What is told, before it is put into words: the content of a message as the outbox keeps it, and the letter that it becomes.

use std::path::PathBuf;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::ledger::{Incident, Severity};
use crate::time::ProductDay;

/// What was published on a day, for the daily mail.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Digest {
    /// The calendar day (UTC) on which the mail is sent: there is one a day.
    pub day: ProductDay,
    /// What was published since the last one, the newest first; empty where nothing was.
    pub published: Vec<DigestEntry>,
    /// The picture to show, a PNG file: that of the newest product.
    pub quicklook: Option<PathBuf>,
}

/// One published revision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DigestEntry {
    /// The day that it is for.
    pub day: ProductDay,
    /// Its revision, from 1.
    pub revision: u32,
    /// How settled it is: `final` or `provisional`; or `taken back`.
    pub status: String,
    /// When it was published, UTC.
    pub published_at: DateTime<Utc>,
    /// What it was made from.
    pub inputs: Vec<DigestInput>,
    /// How long its stages took, in their order.
    pub timings: Vec<DigestTiming>,
    /// Where its files lie, for people: a folder or a URL.
    pub place: Option<String>,
}

/// One input of a product.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DigestInput {
    /// What it gives to the day, such as `thickness`.
    pub role: String,
    /// The name of its file.
    pub name: String,
    /// Days from its centre to the day; negative where it is after it.
    pub age_days: f64,
}

/// How long a stage took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DigestTiming {
    /// The stage.
    pub stage: String,
    /// Seconds.
    pub seconds: f64,
}

/// A unit of systemd that has failed, as systemd tells it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitFailure {
    /// The unit.
    pub unit: String,
    /// Why it ended: `exit-code`, `signal`, `watchdog`, `oom-kill`, ...
    pub result: Option<String>,
    /// How its process ended: `exited`, `killed`, `dumped`.
    pub exit_code: Option<String>,
    /// Its exit status, or the name of the signal.
    pub exit_status: Option<String>,
    /// The name by which the journal knows this start of it.
    pub invocation: Option<String>,
}

/// What a message says. It is kept as JSON until the message has gone out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "about", rename_all = "lowercase")]
pub(super) enum Content {
    /// An incident.
    Incident(Told),
    /// What was published, and what is open.
    Digest { digest: Digest, open: Vec<Open> },
    /// Something that is said once.
    Announcement { subject: String, text: String },
    /// That this channel works.
    Test,
    /// That a unit of systemd has failed.
    Failure { failure: UnitFailure },
}

/// An incident as it was when the message was decided on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Told {
    pub(super) id: i64,
    pub(super) key: String,
    pub(super) text: String,
    pub(super) opened_at: DateTime<Utc>,
    pub(super) last_seen_at: DateTime<Utc>,
    pub(super) count: u32,
    pub(super) closed_at: Option<DateTime<Utc>>,
    /// The number of the reminder that this is, 0 for none.
    pub(super) reminder: u32,
    pub(super) is_worse: bool,
    pub(super) remind_at: Option<DateTime<Utc>>,
}

impl Told {
    /// An incident of this moment that no ledger knows.
    pub(super) fn once(key: &str, text: &str, now: DateTime<Utc>) -> Self {
        Self {
            id: 0,
            key: key.to_owned(),
            text: text.to_owned(),
            opened_at: now,
            last_seen_at: now,
            count: 1,
            closed_at: None,
            reminder: 0,
            is_worse: false,
            remind_at: None,
        }
    }
}

/// An open incident in the daily mail.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Open {
    pub(super) key: String,
    pub(super) severity: Severity,
    pub(super) text: String,
    pub(super) opened_at: DateTime<Utc>,
    pub(super) is_acknowledged: bool,
}

impl From<Incident> for Open {
    fn from(incident: Incident) -> Self {
        let Incident { key, severity, text, opened_at, acknowledged_at, .. } = incident;
        Self { key, severity, text, opened_at, is_acknowledged: acknowledged_at.is_some() }
    }
}

/// A message in words, ready for a courier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// How much it matters.
    pub severity: Severity,
    /// One line.
    pub subject: String,
    /// The text for those who do not see HTML.
    pub text: String,
    /// The same as HTML.
    pub html: String,
    /// The same as a JSON document; empty for a channel that does not take it.
    pub json: String,
    /// When it was decided on, UTC.
    pub date: DateTime<Utc>,
    /// What tells it from all others: the part of a Message-ID before the `@`.
    pub id: String,
    /// The same of the first letter of its thread, where it follows one.
    pub follows: Option<String>,
    /// A picture that the HTML shows.
    pub picture: Option<Picture>,
}

/// A picture inside a letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Its file name.
    pub name: String,
    /// The PNG file.
    pub png: Vec<u8>,
}

/// By this name the HTML shows the picture: `<img src="cid:quicklook">`.
pub const PICTURE_ID: &str = "quicklook";

/// A time for people.
pub(super) fn time(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M UTC").to_string()
}

/// A stretch of time for people, in its two largest units.
pub(super) fn stretch(length: TimeDelta) -> String {
    let minutes = length.num_minutes().max(0);
    let (days, hours) = (minutes / 1440, minutes % 1440 / 60);
    match (days, hours) {
        (0, 0) => format!("{minutes} min"),
        (0, _) => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {hours} h"),
    }
}
