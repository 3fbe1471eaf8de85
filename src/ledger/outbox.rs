//! The outbox: messages to people, from the moment they are decided on until they have arrived.
//!
//! A message of an incident and the note at the incident that people were told are one transaction: a process that is killed between
//! deciding and sending neither forgets a message nor queues it twice.

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::values::{UtcTime, named_value};
use super::{Ledger, LedgerError, Severity};

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MessageKind {
    /// An incident has begun.
    First,
    /// It goes on, or has become worse.
    Reminder,
    /// It is over.
    Recovery,
    /// What was published on a day.
    Digest,
    /// Something that is said once.
    Announcement,
}

named_value!(MessageKind {
    First => "first",
    Reminder => "reminder",
    Recovery => "recovery",
    Digest => "digest",
    Announcement => "announcement",
});

/// A way to people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Channel {
    /// Mail.
    Mail,
    /// HTTP POST to a service for chats or alarms.
    Webhook,
}

named_value!(Channel { Mail => "mail", Webhook => "webhook" });

/// Who gets a message, and how.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Recipient {
    /// The way.
    pub channel: Channel,
    /// The address there; for a webhook, which has one only, its name.
    pub address: String,
}

/// A message to be queued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMessage {
    /// How much it matters.
    pub severity: Severity,
    /// When it is queued, UTC.
    pub queued_at: DateTime<Utc>,
    /// What it is rendered from.
    pub payload: String,
}

/// The next thing that people are told of an incident, as it was decided on what the ledger said then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncidentStep {
    /// The incident's number.
    pub incident: i64,
    /// First, reminder or recovery.
    pub kind: MessageKind,
    /// How many reminders there were before.
    pub reminders_before: u32,
    /// When the next reminder is due, UTC; none where there will be none.
    pub remind_at: Option<DateTime<Utc>>,
    /// The greatest severity that people are told of with this step.
    pub told_severity: Severity,
    /// Whether it says that the incident has become worse: then it goes out although the one before it has not, and reminders are
    /// counted anew.
    pub is_worse: bool,
}

/// A message that is on its way to one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Its number.
    pub id: i64,
    /// The message's number.
    pub message: i64,
    /// What it is.
    pub kind: MessageKind,
    /// How much it matters.
    pub severity: Severity,
    /// When it was queued, UTC.
    pub queued_at: DateTime<Utc>,
    /// What it is rendered from.
    pub payload: String,
    /// Who gets it.
    pub recipient: Recipient,
    /// How often it was tried without success.
    pub attempts: u32,
}

/// No try of a delivery is put off for so long.
const LONGEST_PUT_OFF: TimeDelta = TimeDelta::hours(2);

impl Ledger {
    /// Notes at an incident that people are told, and queues the message for those who have not an older one of the same incident on
    /// its way. A reminder takes the place of one that has not gone out. Without recipients only the note is made. True where
    /// a message was queued.
    ///
    /// Nothing is done where the ledger says something else than when the step was decided on.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn queue_about_incident(
        &self,
        step: &IncidentStep,
        message: &NewMessage,
        recipients: &[Recipient],
    ) -> Result<bool, LedgerError> {
        self.write(|connection| {
            if !note(connection, step, message)? {
                return Ok(false);
            }
            if step.kind != MessageKind::First {
                drop_unsent_reminders(connection, step.incident)?;
            }
            let mut untold = Vec::new();
            for recipient in recipients {
                let waits = step.kind == MessageKind::Reminder
                    && !step.is_worse
                    && waits_for_first(connection, step.incident, recipient)?;
                if !waits {
                    untold.push(recipient);
                }
            }
            if untold.is_empty() {
                return Ok(false);
            }
            insert(connection, step.kind, None, Some(step.incident), message, untold)
        })
    }

    /// Queues a message that is said once: nothing is done where there was one of the same key. True where it was queued.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn queue_once(
        &self,
        kind: MessageKind,
        key: &str,
        message: &NewMessage,
        recipients: &[Recipient],
    ) -> Result<bool, LedgerError> {
        self.write(|connection| insert(connection, kind, Some(key), None, message, recipients))
    }

    /// What is to be tried now by a channel, the oldest first. While the server itself is being waited for, nothing is: every
    /// message would fail as the last one did. A try that seems to be put off for longer than any was put off by a clock that was
    /// ahead: it is due.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn due_deliveries(&self, channel: Channel, now: DateTime<Utc>) -> Result<Vec<Delivery>, LedgerError> {
        self.read(|connection| {
            let sql = "SELECT deliveries.id, message, kind, severity, queued_at, payload, channel, recipient, attempts
                       FROM deliveries JOIN messages ON messages.id = deliveries.message
                       WHERE sent_at IS NULL AND channel = :channel AND (next_try_at <= :now OR next_try_at > :latest)
                           AND NOT EXISTS (SELECT 1 FROM deliveries AS waiting WHERE waiting.sent_at IS NULL
                               AND waiting.channel = :channel AND waiting.is_channel_down
                               AND waiting.next_try_at > :now AND waiting.next_try_at <= :latest)
                       ORDER BY message, deliveries.id";
            let mut statement = connection.prepare_cached(sql)?;
            let parameters =
                named_params! { ":channel": channel, ":now": UtcTime(now), ":latest": UtcTime(now + LONGEST_PUT_OFF) };
            statement.query_map(parameters, delivery)?.collect()
        })
    }

    /// Writes down that a message has arrived. No reminder of its incident is due before `not_reminded_before`: what came late
    /// must not be reminded of a moment later.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn record_sent(
        &self,
        delivery: i64,
        now: DateTime<Utc>,
        not_reminded_before: DateTime<Utc>,
    ) -> Result<(), LedgerError> {
        self.write(|connection| {
            let sql = "UPDATE deliveries SET sent_at = :now, is_channel_down = 0, last_error = NULL WHERE id = :id";
            connection.execute(sql, named_params! { ":id": delivery, ":now": UtcTime(now) })?;
            let sql = "UPDATE incidents SET remind_at = max(remind_at, :earliest)
                       WHERE id = (SELECT incident FROM messages JOIN deliveries ON deliveries.message = messages.id
                                   WHERE deliveries.id = :id)";
            let parameters = named_params! { ":id": delivery, ":earliest": UtcTime(not_reminded_before) };
            connection.execute(sql, parameters).map(|_| ())
        })
    }

    /// Writes down that a try failed, why, and when the next one is. `is_channel_down`: the server was not reached, or does not
    /// let us in.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn record_failure(
        &self,
        delivery: i64,
        reason: &str,
        is_channel_down: bool,
        next_try_at: DateTime<Utc>,
    ) -> Result<(), LedgerError> {
        self.write(|connection| {
            let sql =
                "UPDATE deliveries SET attempts = attempts + 1, next_try_at = :next, is_channel_down = :down,
                           last_error = :reason WHERE id = :id AND sent_at IS NULL";
            let parameters = named_params! {
                ":id": delivery, ":next": UtcTime(next_try_at), ":down": is_channel_down, ":reason": reason,
            };
            connection.execute(sql, parameters).map(|_| ())
        })
    }

    /// How many deliveries of a channel have not arrived.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn unsent(&self, channel: Channel) -> Result<usize, LedgerError> {
        self.read(|connection| {
            let sql = "SELECT count(*) FROM deliveries WHERE sent_at IS NULL AND channel = ?1";
            connection.query_row(sql, [channel], |row| row.get::<_, i64>(0)).map(|count| count as usize)
        })
    }

    /// Gives up what has not arrived and was queued before `queued_before`, or is for somebody who is not among `recipients`. Their
    /// number.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn give_up_deliveries(
        &self,
        recipients: &[Recipient],
        queued_before: DateTime<Utc>,
    ) -> Result<usize, LedgerError> {
        self.write(|connection| {
            let sql = "SELECT deliveries.id, channel, recipient, queued_at
                       FROM deliveries JOIN messages ON messages.id = deliveries.message WHERE sent_at IS NULL";
            let mut statement = connection.prepare_cached(sql)?;
            let unsent = statement.query_map([], |row| {
                let recipient = Recipient { channel: row.get("channel")?, address: row.get("recipient")? };
                Ok((row.get::<_, i64>("id")?, recipient, row.get::<_, UtcTime>("queued_at")?.0))
            })?;
            let mut given_up = 0;
            for row in unsent.collect::<rusqlite::Result<Vec<_>>>()? {
                let (id, recipient, queued_at) = row;
                if queued_at < queued_before || !recipients.contains(&recipient) {
                    given_up += connection.execute("DELETE FROM deliveries WHERE id = ?1", [id])?;
                }
            }
            Ok(given_up)
        })
    }

    /// Forgets messages that were queued before `queued_before` and wait for nobody. Their number. What has a key may be said again
    /// afterwards.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn prune_messages(&self, queued_before: DateTime<Utc>) -> Result<usize, LedgerError> {
        self.write(|connection| {
            let sql = "DELETE FROM messages WHERE queued_at < :before AND NOT EXISTS
                           (SELECT 1 FROM deliveries WHERE deliveries.message = messages.id AND sent_at IS NULL)";
            connection.execute(sql, named_params! { ":before": UtcTime(queued_before) })
        })
    }
}

/// Makes the note at the incident. False where the ledger says something else than when the step was decided on.
fn note(connection: &Connection, step: &IncidentStep, message: &NewMessage) -> rusqlite::Result<bool> {
    let sql = match step.kind {
        MessageKind::First => {
            "UPDATE incidents SET told_at = :now, told_severity = :severity, remind_at = :remind_at
             WHERE id = :id AND told_at IS NULL AND closed_at IS NULL AND reminders = :reminders AND NOT :worse RETURNING id"
        }
        MessageKind::Reminder => {
            "UPDATE incidents SET told_severity = :severity, reminded_at = :now, remind_at = :remind_at,
                 reminders = CASE WHEN :worse THEN 0 ELSE reminders + 1 END
             WHERE id = :id AND told_at IS NOT NULL AND closed_at IS NULL AND acknowledged_at IS NULL
                 AND reminders = :reminders AND (told_severity <> :severity OR NOT :worse) RETURNING id"
        }
        _ => {
            "UPDATE incidents SET recovery_told_at = :now, told_severity = :severity, remind_at = :remind_at
             WHERE id = :id AND told_at IS NOT NULL AND closed_at IS NOT NULL AND recovery_told_at IS NULL
                 AND reminders = :reminders AND NOT :worse RETURNING id"
        }
    };
    let parameters = named_params! {
        ":id": step.incident,
        ":now": UtcTime(message.queued_at),
        ":severity": step.told_severity,
        ":worse": step.is_worse,
        ":reminders": step.reminders_before,
        ":remind_at": step.remind_at.map(UtcTime),
    };
    Ok(connection.query_row(sql, parameters, |_| Ok(())).optional()?.is_some())
}

/// Whether the first message of an incident is still on its way to a recipient.
fn waits_for_first(connection: &Connection, incident: i64, recipient: &Recipient) -> rusqlite::Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM deliveries JOIN messages ON messages.id = deliveries.message
               WHERE incident = :incident AND kind = 'first' AND sent_at IS NULL
                   AND channel = :channel AND recipient = :recipient)";
    let parameters = named_params! {
        ":incident": incident, ":channel": recipient.channel, ":recipient": recipient.address,
    };
    connection.query_row(sql, parameters, |row| row.get(0))
}

/// Takes back the reminders of an incident that have not gone out: somebody knows, it is over, or a newer one says more.
pub(super) fn drop_unsent_reminders(connection: &Connection, incident: i64) -> rusqlite::Result<()> {
    let sql = "DELETE FROM deliveries WHERE sent_at IS NULL AND message IN
                   (SELECT id FROM messages WHERE incident = ?1 AND kind = 'reminder')";
    connection.execute(sql, [incident]).map(|_| ())
}

/// Queues a message. False where there was one of the same key.
fn insert<'a>(
    connection: &Connection,
    kind: MessageKind,
    key: Option<&str>,
    incident: Option<i64>,
    message: &NewMessage,
    recipients: impl IntoIterator<Item = &'a Recipient>,
) -> rusqlite::Result<bool> {
    let sql = "INSERT INTO messages (kind, key, incident, severity, queued_at, payload)
               VALUES (:kind, :key, :incident, :severity, :now, :payload) ON CONFLICT DO NOTHING RETURNING id";
    let parameters = named_params! {
        ":kind": kind,
        ":key": key,
        ":incident": incident,
        ":severity": message.severity,
        ":now": UtcTime(message.queued_at),
        ":payload": message.payload,
    };
    let id = connection.query_row(sql, parameters, |row| row.get::<_, i64>(0)).optional()?;
    let Some(id) = id else { return Ok(false) };
    for recipient in recipients {
        let sql = "INSERT INTO deliveries (message, channel, recipient, next_try_at)
                   VALUES (:message, :channel, :recipient, :now) ON CONFLICT DO NOTHING";
        let parameters = named_params! {
            ":message": id,
            ":channel": recipient.channel,
            ":recipient": recipient.address,
            ":now": UtcTime(message.queued_at),
        };
        connection.execute(sql, parameters)?;
    }
    Ok(true)
}

fn delivery(row: &Row<'_>) -> rusqlite::Result<Delivery> {
    Ok(Delivery {
        id: row.get("id")?,
        message: row.get("message")?,
        kind: row.get("kind")?,
        severity: row.get("severity")?,
        queued_at: row.get::<_, UtcTime>("queued_at")?.0,
        payload: row.get("payload")?,
        recipient: Recipient { channel: row.get("channel")?, address: row.get("recipient")? },
        attempts: row.get("attempts")?,
    })
}
