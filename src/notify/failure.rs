//! The mail that goes out when the daemon itself cannot: it needs neither a valid configuration nor the ledger.

use futures_util::future::join_all;

use super::letter::{Content, Letter, UnitFailure};
use super::smtp::SmtpCourier;
use super::templates::{Matter, Templates};
use super::{Courier, NotifyError, host_name};
use crate::config::MailSettings;
use crate::ledger::Severity;
use crate::time::Clock;

/// Mails that a unit of systemd has failed to those who are told of failures, and returns their addresses. One that cannot be
/// reached does not keep the others from being told.
///
/// # Errors
/// [`NotifyError`], where mail is off, or somebody was not reached; in its own words, because nobody else tells it.
pub async fn mail_unit_failure(
    settings: &MailSettings,
    failure: UnitFailure,
    clock: &dyn Clock,
) -> Result<Vec<String>, NotifyError> {
    if !settings.enabled {
        return Err(NotifyError::Nobody);
    }
    let courier = SmtpCourier::new(settings)?;
    let now = clock.now();
    let id = format!("failure.{}.{}", now.timestamp_millis(), std::process::id());
    let content = Content::Failure { failure };
    let matter = Matter {
        content: &content,
        kind: "failure",
        severity: Severity::Failure,
        date: now,
        has_picture: false,
    };
    let letter = Letter::new(&matter, Templates::built_in(&host_name())?.words(&matter)?, id, None, None);
    let recipients = &settings.recipients.failure;
    let tries = join_all(recipients.iter().map(|recipient| courier.deliver(&letter, recipient))).await;
    let reasons: Vec<String> =
        tries.into_iter().filter_map(Result::err).map(|undelivered| undelivered.to_string()).collect();
    if reasons.is_empty() {
        return Ok(recipients.clone());
    }
    let told = recipients.len() - reasons.len();
    Err(NotifyError::Undelivered {
        report: format!("{told} of {} were told; {}", recipients.len(), reasons.join("; ")),
    })
}
