//! A service that is told by HTTP POST what is new.

use std::time::Duration;

use reqwest::Client;
use reqwest::header::CONTENT_TYPE;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use url::Url;

use crate::config::Target;
use crate::fetch;
use crate::publish::{MANIFEST, Status};
use crate::time::ProductDay;

use super::DeliverError;

/// What an answer may take.
const LONGEST_ANSWER: Duration = Duration::from_secs(30);

/// The service. Its address may be as good as a password, so only its host is ever told.
pub(super) struct Service {
    client: Client,
    address: SecretString,
    host: String,
    products_url: String,
}

impl Service {
    pub(super) fn new(target: &Target) -> Result<Self, String> {
        let address = match (&target.address, &target.address_file) {
            (_, Some(file)) => fetch::secret_line("address_file", file)?,
            (address, None) => SecretString::from(address.clone().unwrap_or_default()),
        };
        let url = Url::parse(address.expose_secret()).map_err(|error| {
            format!("the address of the webhook cannot be used ({error}); give https://...")
        })?;
        let client = Client::builder().timeout(LONGEST_ANSWER).build();
        Ok(Self {
            client: client.map_err(|error| format!("no connection can be prepared ({error})"))?,
            address,
            host: url.host_str().unwrap_or_default().to_owned(),
            products_url: target.products_url.clone().unwrap_or_default().trim_end_matches('/').to_owned(),
        })
    }

    /// Tells of a revision in `folder` below the product root.
    pub(super) async fn tell(
        &self,
        event: &str,
        (day, revision): (ProductDay, u32),
        status: Status,
        folder: &str,
    ) -> Result<(), DeliverError> {
        let message = json!({
            "event": event,
            "day": day,
            "revision": revision,
            "status": status,
            "folder": format!("{}/{folder}/", self.products_url),
            "manifest": format!("{}/{folder}/{MANIFEST}", self.products_url),
        });
        let refused = |reason: String| DeliverError::Refused { place: self.host.clone(), reason };
        let request = self.client.post(self.address.expose_secret()).header(CONTENT_TYPE, "application/json");
        let answer = request.body(message.to_string()).send().await.map_err(|error| {
            refused(format!("{}; check the address, the network and the proxy", error.without_url()))
        })?;
        if answer.status().is_success() {
            return Ok(());
        }
        Err(refused(format!("answers {}; check its address, and what it takes", answer.status())))
    }
}
