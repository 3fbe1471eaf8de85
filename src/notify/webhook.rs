//! Letters by HTTP POST: a JSON document to a service for chats or alarms. And the heartbeat, which is a GET.

use std::path::Path;

use async_trait::async_trait;

use super::NotifyError;
use super::courier::{Courier, Undelivered};
use super::letter::Letter;
use crate::config::{HeartbeatSettings, WebhookSettings};
use crate::fetch::SecretAddress;

/// The address of a section of the configuration.
fn address(
    section: &'static str,
    url: Option<&str>,
    file: Option<&Path>,
) -> Result<SecretAddress, NotifyError> {
    SecretAddress::new("url_file", url, file).map_err(|reason| NotifyError::Settings { section, reason })
}

/// Posts letters to a service.
pub struct WebhookCourier(SecretAddress);

impl WebhookCourier {
    /// Prepares to speak to the service; nothing is sent yet.
    ///
    /// # Errors
    /// [`NotifyError::Settings`] where the address cannot be had or used.
    pub fn new(settings: &WebhookSettings) -> Result<Self, NotifyError> {
        address("notify.webhook", settings.url.as_deref(), settings.url_file.as_deref()).map(Self)
    }
}

#[async_trait]
impl Courier for WebhookCourier {
    async fn deliver(&self, letter: &Letter, _recipient: &str) -> Result<(), Undelivered> {
        let host = self.0.host();
        let unreached = |reason| Undelivered::Channel(format!("{host} {reason}"));
        let status = self.0.post(letter.json.clone()).await.map_err(unreached)?;
        let reason = |remedy: &str| format!("{host} answers {status} to a message; {remedy}");
        match status.as_u16() {
            200..=299 => Ok(()),
            // What the service thinks of this document says nothing about others.
            400 | 413 | 415 | 422 => Err(Undelivered::Letter(reason(
                "check that notify.webhook.template makes what the service takes",
            ))),
            _ => Err(Undelivered::Channel(reason("check the address of notify.webhook, and the service"))),
        }
    }

    fn place(&self) -> String {
        self.0.host().to_owned()
    }
}

/// Gives a sign of life.
pub(super) struct Heartbeat(SecretAddress);

impl Heartbeat {
    pub(super) fn new(settings: &HeartbeatSettings) -> Result<Self, NotifyError> {
        address("notify.heartbeat", settings.url.as_deref(), settings.url_file.as_deref()).map(Self)
    }

    /// Gives one.
    ///
    /// # Errors
    /// In words that name the host only.
    pub(super) async fn beat(&self) -> Result<(), String> {
        let host = self.0.host();
        let status = self.0.get().await.map_err(|reason| format!("{host} {reason}"))?;
        if status.is_success() {
            return Ok(());
        }
        Err(format!("{host} answers {status}; check the address of notify.heartbeat, and the service"))
    }

    pub(super) fn place(&self) -> String {
        self.0.host().to_owned()
    }
}
