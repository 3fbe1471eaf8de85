//! Letters by HTTP POST: a JSON document to a service for chats or alarms. And the heartbeat, which is a GET.

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, StatusCode};
use secrecy::ExposeSecret;
use url::Url;

use super::NotifyError;
use super::courier::{Courier, Undelivered, causes};
use super::letter::Letter;
use crate::config::{HeartbeatSettings, WebhookSettings};
use crate::fetch::secret_line;

/// A connection must stand within this time.
const CONNECT: Duration = Duration::from_secs(20);
/// A request takes at most this long.
const LONGEST: Duration = Duration::from_mins(1);

/// An address that only few may know: what is said of it names its host only.
struct SecretAddress {
    url: Url,
    client: Client,
}

impl SecretAddress {
    fn new(section: &'static str, url: Option<&str>, file: Option<&Path>) -> Result<Self, NotifyError> {
        let refuse = |reason: String| NotifyError::Settings { section, reason };
        let read;
        let text = match (url, file) {
            (Some(url), _) => url,
            (None, Some(file)) => {
                read = secret_line("url_file", file).map_err(refuse)?;
                read.expose_secret()
            }
            (None, None) => return Err(refuse("there is no address; give url or url_file".to_owned())),
        };
        let url =
            Url::parse(text).ok().filter(|url| ["http", "https"].contains(&url.scheme()) && url.has_host());
        let url = url
            .ok_or_else(|| refuse("the address is no URL with http:// or https://; correct it".to_owned()))?;
        let client = Client::builder()
            .user_agent(concat!("nilas/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            .timeout(LONGEST)
            // What follows a redirect is another request than the one that was meant.
            .redirect(Policy::none())
            .referer(false)
            .build()
            .map_err(|error| {
                refuse(format!("{error:?}; check the authorities that the system trusts, and the proxy"))
            })?;
        Ok(Self { url, client })
    }

    fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    /// Sends a request; the status, or why there is none.
    async fn ask(&self, request: RequestBuilder) -> Result<StatusCode, String> {
        let answer = request.send().await.map_err(|error| {
            let reason = causes(&error.without_url());
            format!(
                "{} cannot be reached ({reason}); check the address, the network and the proxy",
                self.host()
            )
        })?;
        Ok(answer.status())
    }
}

/// Posts letters to a service.
pub struct WebhookCourier(SecretAddress);

impl WebhookCourier {
    /// Prepares to speak to the service; nothing is sent yet.
    ///
    /// # Errors
    /// [`NotifyError::Settings`] where the address cannot be had or used.
    pub fn new(settings: &WebhookSettings) -> Result<Self, NotifyError> {
        SecretAddress::new("notify.webhook", settings.url.as_deref(), settings.url_file.as_deref()).map(Self)
    }
}

#[async_trait]
impl Courier for WebhookCourier {
    async fn deliver(&self, letter: &Letter, _recipient: &str) -> Result<(), Undelivered> {
        let address = &self.0;
        let request = address.client.post(address.url.clone());
        let request = request.header(CONTENT_TYPE, "application/json").body(letter.json.clone());
        let status = address.ask(request).await.map_err(Undelivered::Channel)?;
        let reason = |remedy: &str| format!("{} answers {status} to a message; {remedy}", address.host());
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
        SecretAddress::new("notify.heartbeat", settings.url.as_deref(), settings.url_file.as_deref())
            .map(Self)
    }

    /// Gives one.
    ///
    /// # Errors
    /// In words that name the host only.
    pub(super) async fn beat(&self) -> Result<(), String> {
        let status = self.0.ask(self.0.client.get(self.0.url.clone())).await?;
        if status.is_success() {
            return Ok(());
        }
        Err(format!(
            "{} answers {status}; check the address of notify.heartbeat, and the service",
            self.0.host()
        ))
    }

    pub(super) fn place(&self) -> String {
        self.0.host().to_owned()
    }
}
