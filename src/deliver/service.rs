//! A service that is told by HTTP POST what is new.

use serde_json::json;

use crate::config::Target;
use crate::fetch::SecretAddress;
use crate::publish::{MANIFEST, Status};
use crate::time::ProductDay;

use super::DeliverError;

/// The service.
pub(super) struct Service {
    address: SecretAddress,
    products_url: String,
}

impl Service {
    pub(super) fn new(target: &Target) -> Result<Self, String> {
        let (known, file) = (target.address.as_deref(), target.address_file.as_deref());
        Ok(Self {
            address: SecretAddress::new("address_file", known, file)?,
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
        let refused = |reason| DeliverError::Refused { place: self.address.host().to_owned(), reason };
        let status = self.address.post(message.to_string()).await.map_err(refused)?;
        if status.is_success() {
            return Ok(());
        }
        Err(refused(format!("answers {status}; check its address, and what it takes")))
    }
}
