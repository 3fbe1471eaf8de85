//! Telling people: by mail and webhook, exactly when they can help.
//!
//! * `decision`: which message an incident needs now, a function of what the ledger says and the time.
//! * The [`Notifier`] queues messages in the ledger's outbox and delivers them, again and again until they arrive.
//! * `letter`, `templates`, `advice`: what a message says. `compose`: how it becomes a mail.
//! * `courier`: the trait of what carries letters; `smtp` and `webhook` carry them.
//! * `failure`: the mail that goes out when the daemon itself cannot. `look`: whether the settings can be used.
//!
//! A message that has arrived and whose arrival could not be written down before a power cut is sent again, with the same Message-ID.

mod advice;
mod compose;
mod courier;
mod decision;
mod failure;
mod letter;
mod look;
mod samples;
mod smtp;
mod templates;
#[cfg(test)]
mod tests;
mod webhook;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;

use crate::config::{self, SmallestSeverity};
use crate::ledger::{Channel, Delivery, Ledger, LedgerError, MessageKind, NewMessage, Recipient, Severity};
use crate::sys;
use crate::time::Clock;

pub use advice::{Advice, of as advice};
pub use courier::{Courier, Undelivered};
pub use failure::mail_unit_failure;
pub use letter::{Digest, DigestEntry, DigestInput, DigestTiming, Letter, PICTURE_ID, Picture, UnitFailure};
pub use look::look_at;
pub use smtp::SmtpCourier;
pub use templates::{commands, shell};
pub use webhook::WebhookCourier;

use courier::Unready;
use decision::{Rhythm, backoff, next_step};
use letter::{Content, Open, Told};
use templates::{Matter, Templates, Words};
use webhook::Heartbeat;

/// What has not arrived after this time is given up: an open incident comes again by its reminders, and nobody wants a week's mails
/// at once.
const LONGEST_WAY: TimeDelta = TimeDelta::days(7);
/// A round of deliveries begins no other letter after this time: whoever waits for it has more to do, and the rest has its turn next time.
const LONGEST_ROUND: Duration = Duration::from_mins(10);
/// A picture larger than this is left out of a mail, bytes: mail servers refuse more.
const LARGEST_PICTURE: u64 = 5 << 20;
/// The webhook has one recipient.
const WEBHOOK: &str = "webhook";

/// Why people cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    /// The ledger cannot be used.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A section of the configuration cannot be used.
    #[error("[{section}] {reason}")]
    Settings {
        /// The section.
        section: &'static str,
        /// What is wrong, with the remedy.
        reason: String,
    },
    /// A template cannot be used.
    #[error("template {name}: {reason}")]
    Template {
        /// Its name.
        name: String,
        /// What is wrong, with the remedy.
        reason: String,
    },
    /// A message in the outbox cannot be read or written.
    #[error(
        "message {message} in the outbox cannot be read ({reason}); it was written by another version of Nilas, and is given up"
    )]
    Payload {
        /// Its number in the ledger.
        message: i64,
        /// What is wrong with it.
        reason: String,
    },
    /// Nobody would be told.
    #[error(
        "nobody is told by mail: set notify.mail.enabled = true in the configuration, and give server, from and recipients"
    )]
    Nobody,
    /// A test or a message outside the outbox did not arrive.
    #[error("{report}")]
    Undelivered {
        /// What happened on each way.
        report: String,
    },
    /// The watcher outside was not reached.
    #[error("heartbeat: {reason}")]
    Heartbeat {
        /// Why, with the remedy.
        reason: String,
    },
}

/// What one round of deliveries did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delivered {
    /// What has arrived.
    pub sent: usize,
    /// What was tried and has not.
    pub failed: usize,
    /// What still waits, with those that failed.
    pub waiting: usize,
    /// The first reason of those that failed.
    pub first_failure: Option<String>,
}

/// Tells people. It remembers in the ledger only, so that any number of processes may use it one after the other.
pub struct Notifier {
    config: config::Notify,
    ledger: Arc<Ledger>,
    clock: Arc<dyn Clock>,
    mail: Option<Box<dyn Courier>>,
    webhook: Option<Box<dyn Courier>>,
    heartbeat: Option<Heartbeat>,
    templates: Templates,
    rhythm: Rhythm,
}

impl Notifier {
    /// Prepares to tell people as the configuration says; nothing is sent yet.
    ///
    /// # Errors
    /// [`NotifyError`] where credentials, addresses or templates cannot be used.
    pub fn new(
        config: &config::Notify,
        ledger: Arc<Ledger>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, NotifyError> {
        let mail = config.mail.enabled.then(|| SmtpCourier::new(&config.mail)).transpose()?;
        let webhook = config.webhook.enabled.then(|| WebhookCourier::new(&config.webhook)).transpose()?;
        let mail = mail.map(|courier| Box::new(courier) as Box<dyn Courier>);
        let webhook = webhook.map(|courier| Box::new(courier) as Box<dyn Courier>);
        Self::with_couriers(config, ledger, clock, mail, webhook)
    }

    /// The same for whoever has something to do that is more urgent than telling of it: where a courier cannot be set up, such as one
    /// whose credentials systemd gives to the service alone, what is queued waits for a process that can. It has no heartbeat.
    ///
    /// # Errors
    /// [`NotifyError`] where templates cannot be used.
    pub fn patient(
        config: &config::Notify,
        ledger: Arc<Ledger>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, NotifyError> {
        let mail = config.mail.enabled.then(|| or_unready(SmtpCourier::new(&config.mail)));
        let webhook = config.webhook.enabled.then(|| or_unready(WebhookCourier::new(&config.webhook)));
        let config = config::Notify { heartbeat: config::HeartbeatSettings::default(), ..config.clone() };
        Self::with_couriers(&config, ledger, clock, mail, webhook)
    }

    /// The same with other couriers; the configuration still says who gets what.
    ///
    /// # Errors
    /// [`NotifyError`] where templates or the address of the heartbeat cannot be used.
    pub fn with_couriers(
        config: &config::Notify,
        ledger: Arc<Ledger>,
        clock: Arc<dyn Clock>,
        mail: Option<Box<dyn Courier>>,
        webhook: Option<Box<dyn Courier>>,
    ) -> Result<Self, NotifyError> {
        let heartbeat =
            config.heartbeat.is_configured().then(|| Heartbeat::new(&config.heartbeat)).transpose()?;
        Ok(Self {
            templates: Templates::load(config.templates.as_deref(), &config.webhook.template, &host_name())?,
            rhythm: Rhythm::new(config),
            config: config.clone(),
            ledger,
            clock,
            mail,
            webhook,
            heartbeat,
        })
    }

    /// Queues what people must be told of incidents now: first messages, reminders, recoveries. Their number. Where no channel is
    /// configured nothing is done, so that people who are told later hear of what is open then.
    ///
    /// # Errors
    /// [`NotifyError`].
    pub fn queue_due(&self) -> Result<usize, NotifyError> {
        if self.mail.is_none() && self.webhook.is_none() {
            return Ok(0);
        }
        let now = self.clock.now();
        let mut queued = 0;
        for told in self.ledger.incidents_to_tell()? {
            let Some(step) = next_step(&told, now, self.rhythm) else { continue };
            let recipients = self.recipients(step.told_severity);
            if step.kind == MessageKind::First && recipients.is_empty() {
                continue;
            }
            let reminder =
                if step.kind == MessageKind::Reminder && !step.is_worse { told.reminders + 1 } else { 0 };
            let severity = told.incident.severity;
            let content = Content::Incident(Told {
                id: told.id,
                key: told.incident.key,
                text: told.incident.text,
                opened_at: told.incident.opened_at,
                last_seen_at: told.incident.last_seen_at,
                count: told.incident.count,
                closed_at: told.incident.closed_at,
                reminder,
                is_worse: step.is_worse,
                remind_at: step.remind_at,
            });
            let message = NewMessage { severity, queued_at: now, payload: payload(&content)? };
            queued += usize::from(self.ledger.queue_about_incident(&step, &message, &recipients)?);
            sys::fail_point("notify.queued");
        }
        Ok(queued)
    }

    /// Queues the daily mail. False where there is none to be sent, or that of the day was queued before.
    ///
    /// # Errors
    /// [`NotifyError`].
    pub fn queue_digest(&self, digest: &Digest) -> Result<bool, NotifyError> {
        let addresses = &self.config.mail.recipients.digest;
        if !self.config.digest.enabled || self.mail.is_none() || addresses.is_empty() {
            return Ok(false);
        }
        let open = self.ledger.open_incidents()?.into_iter().map(Open::from).collect();
        let content = Content::Digest { digest: digest.clone(), open };
        let message = NewMessage {
            severity: Severity::Notice,
            queued_at: self.clock.now(),
            payload: payload(&content)?,
        };
        let key = format!("digest:{}", digest.day);
        Ok(self.ledger.queue_once(MessageKind::Digest, &key, &message, &by_mail(addresses))?)
    }

    /// Queues something that is said once. False where it was queued before under the same key, or nobody is told of its severity.
    ///
    /// # Errors
    /// [`NotifyError`].
    pub fn queue_announcement(
        &self,
        key: &str,
        severity: Severity,
        subject: &str,
        text: &str,
    ) -> Result<bool, NotifyError> {
        let recipients = self.recipients(severity);
        if recipients.is_empty() {
            return Ok(false);
        }
        let content = Content::Announcement { subject: subject.to_owned(), text: text.to_owned() };
        let message = NewMessage { severity, queued_at: self.clock.now(), payload: payload(&content)? };
        let key = format!("announcement:{key}");
        Ok(self.ledger.queue_once(MessageKind::Announcement, &key, &message, &recipients)?)
    }

    /// Sends what is due. A channel that fails, or a recipient who is refused, keeps nobody else from being told; it is tried again
    /// after a minute, then after longer pauses up to an hour.
    ///
    /// # Errors
    /// [`NotifyError`] where the ledger fails; that a letter did not arrive is no error but a part of the result.
    pub async fn deliver(&self) -> Result<Delivered, NotifyError> {
        let given_up = self.ledger.give_up_deliveries(&self.everybody(), self.clock.now() - LONGEST_WAY)?;
        if given_up > 0 {
            tracing::warn!(
                given_up,
                "messages were given up: they waited for longer than 7 days, or for somebody who is not in the configuration any more"
            );
        }
        let (mail, webhook) = futures_util::future::join(
            self.deliver_by(Channel::Mail, self.mail.as_deref()),
            self.deliver_by(Channel::Webhook, self.webhook.as_deref()),
        )
        .await;
        let (mail, webhook) = (mail?, webhook?);
        Ok(Delivered {
            sent: mail.sent + webhook.sent,
            failed: mail.failed + webhook.failed,
            waiting: mail.waiting + webhook.waiting,
            first_failure: mail.first_failure.or(webhook.first_failure),
        })
    }

    async fn deliver_by(
        &self,
        channel: Channel,
        courier: Option<&dyn Courier>,
    ) -> Result<Delivered, NotifyError> {
        let mut done = Delivered::default();
        let Some(courier) = courier else { return Ok(done) };
        let begin = self.clock.monotonic();
        for delivery in self.ledger.due_deliveries(channel, self.clock.now())? {
            if self.clock.monotonic().saturating_sub(begin) >= LONGEST_ROUND {
                break;
            }
            let tried = match self.letter(&delivery) {
                Ok(letter) => courier.deliver(&letter, &delivery.recipient.address).await,
                Err(error) => Err(Undelivered::Letter(error.to_string())),
            };
            let now = self.clock.now();
            let Err(undelivered) = tried else {
                sys::fail_point("notify.sent");
                self.ledger.record_sent(delivery.id, now, now + self.rhythm.pause(0))?;
                done.sent += 1;
                continue;
            };
            let is_channel_down = matches!(undelivered, Undelivered::Channel(_));
            let reason = undelivered.to_string();
            let next_try_at = now + backoff(delivery.attempts);
            self.ledger.record_failure(delivery.id, &reason, is_channel_down, next_try_at)?;
            done.failed += 1;
            done.first_failure.get_or_insert(format!("{}: {reason}", channel.name()));
            if is_channel_down {
                break;
            }
        }
        done.waiting = self.ledger.unsent(channel)?;
        Ok(done)
    }

    /// Sends a test to everybody who may be told something; a line for each way. It does not go through the outbox: a person waits.
    ///
    /// # Errors
    /// [`NotifyError::Nobody`] where no channel is configured; [`NotifyError::Undelivered`] where one does not work, after all were tried.
    pub async fn send_test(&self) -> Result<Vec<String>, NotifyError> {
        let now = self.clock.now();
        let matter = Matter {
            content: &Content::Test,
            kind: "test",
            severity: Severity::Notice,
            date: now,
            has_picture: false,
        };
        let id = format!("test.{}.{}", now.timestamp_millis(), std::process::id());
        let letter = Letter::new(&matter, self.templates.words(&matter)?, id, None, None);
        let mut lines = Vec::new();
        let mut is_whole = true;
        for (channel, courier) in [(Channel::Mail, &self.mail), (Channel::Webhook, &self.webhook)] {
            let Some(courier) = courier else { continue };
            for recipient in self.everybody().into_iter().filter(|recipient| recipient.channel == channel) {
                let (name, place) = (channel.name(), courier.place());
                let tried = courier.deliver(&letter, &recipient.address).await;
                is_whole &= tried.is_ok();
                lines.push(match (tried, channel) {
                    (Ok(()), Channel::Mail) => {
                        format!("{name}: {place} has taken a mail to {}", recipient.address)
                    }
                    (Ok(()), Channel::Webhook) => format!("{name}: {place} has taken a message"),
                    (Err(undelivered), _) => format!("{name}: FAILS: {undelivered}"),
                });
            }
        }
        if let Some(heartbeat) = &self.heartbeat {
            let beat = heartbeat.beat().await;
            is_whole &= beat.is_ok();
            lines.push(match beat {
                Ok(()) => format!("heartbeat: {} has taken one", heartbeat.place()),
                Err(reason) => format!("heartbeat: FAILS: {reason}"),
            });
        }
        match (lines.is_empty(), is_whole) {
            (true, _) => Err(NotifyError::Nobody),
            (false, true) => Ok(lines),
            (false, false) => Err(NotifyError::Undelivered { report: lines.join("; ") }),
        }
    }

    /// Tells those who are told of failures at once, past the ledger, because that cannot be written: what the matter is, as an incident of
    /// this key. Who cannot be reached stands in the log; nothing is tried again.
    ///
    /// # Errors
    /// [`NotifyError::Template`].
    pub async fn tell_now(&self, key: &str, text: &str) -> Result<(), NotifyError> {
        let now = self.clock.now();
        let content = Content::Incident(Told::once(key, text, now));
        let kind = MessageKind::First.name();
        let matter =
            Matter { content: &content, kind, severity: Severity::Failure, date: now, has_picture: false };
        let id = format!("{key}.{}.{}", now.timestamp_millis(), std::process::id());
        let letter = Letter::new(&matter, self.templates.words(&matter)?, id, None, None);
        for recipient in self.recipients(Severity::Failure) {
            let courier = match recipient.channel {
                Channel::Mail => &self.mail,
                Channel::Webhook => &self.webhook,
            };
            let Some(courier) = courier else { continue };
            if let Err(undelivered) = courier.deliver(&letter, &recipient.address).await {
                tracing::warn!(
                    "{} cannot be told by {}: {undelivered}",
                    recipient.address,
                    recipient.channel.name()
                );
            }
        }
        Ok(())
    }

    /// Gives a sign of life to the watcher outside, where there is one.
    ///
    /// # Errors
    /// [`NotifyError::Heartbeat`].
    pub async fn beat(&self) -> Result<(), NotifyError> {
        match &self.heartbeat {
            Some(heartbeat) => heartbeat.beat().await.map_err(|reason| NotifyError::Heartbeat { reason }),
            None => Ok(()),
        }
    }

    /// Who is told of what matters so much.
    fn recipients(&self, severity: Severity) -> Vec<Recipient> {
        let lists = &self.config.mail.recipients;
        let addresses = match severity {
            Severity::Failure => &lists.failure,
            Severity::Warning => &lists.warning,
            Severity::Notice => &lists.notice,
        };
        let mut recipients = if self.mail.is_some() { by_mail(addresses) } else { Vec::new() };
        let smallest = match self.config.webhook.smallest_severity {
            SmallestSeverity::Notice => Severity::Notice,
            SmallestSeverity::Warning => Severity::Warning,
            SmallestSeverity::Failure => Severity::Failure,
        };
        if self.webhook.is_some() && severity >= smallest {
            recipients.push(Recipient { channel: Channel::Webhook, address: WEBHOOK.to_owned() });
        }
        recipients
    }

    /// Everybody who may be told something.
    fn everybody(&self) -> Vec<Recipient> {
        let mut everybody: Vec<Recipient> = Vec::new();
        let digest =
            if self.mail.is_some() { by_mail(&self.config.mail.recipients.digest) } else { Vec::new() };
        let others = Severity::ALL.iter().rev().flat_map(|severity| self.recipients(*severity));
        for recipient in others.chain(digest) {
            if !everybody.contains(&recipient) {
                everybody.push(recipient);
            }
        }
        everybody
    }

    /// The letter of a delivery.
    fn letter(&self, delivery: &Delivery) -> Result<Letter, NotifyError> {
        let mut content: Content = serde_json::from_str(&delivery.payload)
            .map_err(|error| NotifyError::Payload { message: delivery.message, reason: error.to_string() })?;
        if let Content::Incident(Told { remind_at: Some(remind_at), .. }) = &mut content {
            *remind_at = (*remind_at).max(self.clock.now() + self.rhythm.pause(0));
        }
        let picture = match &content {
            Content::Digest { digest, .. } => digest.quicklook.as_deref().and_then(picture),
            _ => None,
        };
        let (kind, severity, date) = (delivery.kind.name(), delivery.severity, delivery.queued_at);
        let matter = Matter { content: &content, kind, severity, date, has_picture: picture.is_some() };
        let words = self.templates.words(&matter)?;
        let number = delivery.message;
        let (id, follows) = match &content {
            Content::Incident(told) => {
                let thread = format!("incident.{}.{}", told.opened_at.timestamp_millis(), told.id);
                match delivery.kind {
                    MessageKind::First => (thread, None),
                    _ => (format!("{kind}.{}.{number}", date.timestamp_millis()), Some(thread)),
                }
            }
            _ => (format!("{kind}.{}.{number}", date.timestamp_millis()), None),
        };
        Ok(Letter::new(&matter, words, id, follows, picture))
    }
}

impl Letter {
    fn new(
        matter: &Matter<'_>,
        words: Words,
        id: String,
        follows: Option<String>,
        picture: Option<Picture>,
    ) -> Self {
        let Words { subject, text, html, json } = words;
        let (severity, date) = (matter.severity, matter.date);
        Self { severity, subject, text, html, json, date, id, follows, picture }
    }
}

fn or_unready(courier: Result<impl Courier + 'static, NotifyError>) -> Box<dyn Courier> {
    match courier {
        Ok(courier) => Box::new(courier),
        Err(error) => Box::new(Unready(error.to_string())),
    }
}

fn by_mail(addresses: &[String]) -> Vec<Recipient> {
    addresses.iter().map(|address| Recipient { channel: Channel::Mail, address: address.clone() }).collect()
}

fn payload(content: &Content) -> Result<String, NotifyError> {
    serde_json::to_string(content)
        .map_err(|error| NotifyError::Payload { message: 0, reason: error.to_string() })
}

/// The picture of a mail; a mail without it is better than none.
fn picture(path: &Path) -> Option<Picture> {
    let read = || match fs::metadata(path)?.len() {
        size if size > LARGEST_PICTURE => Err(std::io::Error::other(format!("it has {size} bytes"))),
        _ => fs::read(path),
    };
    let name = path
        .file_name()
        .map_or_else(|| "quicklook.png".to_owned(), |name| name.to_string_lossy().into_owned());
    match read() {
        Ok(png) => Some(Picture { name, png }),
        Err(error) => {
            tracing::warn!("the daily mail goes out without the picture {}: {error}", path.display());
            None
        }
    }
}

/// The name of this machine.
fn host_name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "localhost".to_owned() } else { name.to_owned() }
}
