//! Where products are carried to.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use url::Url;

use super::passwords;
use super::validation::Wrong;

/// A place that gets what is published.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// What kind of place it is.
    pub kind: TargetKind,
    /// A folder's path; `https://host/bucket/folder` of a store; the address that a webhook is posted to.
    pub address: Option<String>,
    /// Webhook: name of a systemd credential, or absolute path of a file, whose first line is that address.
    pub address_file: Option<PathBuf>,
    /// Webhook: where readers find the product root; addresses in the message begin with it.
    pub products_url: Option<String>,
    /// Store: name of a systemd credential, or absolute path of a file: first line the key's id, second line the key.
    pub credentials: Option<PathBuf>,
    /// Store: a file in PEM with the authorities that its certificate may come from, beside those that the system trusts.
    pub authorities: Option<PathBuf>,
    /// Store: its region.
    pub region: Option<String>,
}

/// What kind of place a target is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TargetKind {
    /// A folder of this machine, or one that is mounted.
    Folder,
    /// An S3-compatible store.
    S3,
    /// A service that is told what is new, by HTTP POST.
    Webhook,
}

pub(super) fn wrong(targets: &BTreeMap<String, Target>) -> Option<Wrong> {
    targets.iter().find_map(|(name, target)| wrong_target(name, target))
}

fn wrong_target(name: &str, target: &Target) -> Option<Wrong> {
    let key = |part: &str| format!("targets.{name}.{part}");
    let address = target.address.as_deref();
    match target.kind {
        TargetKind::Folder => {
            Wrong::unless(address.is_some(), &key("address"), "missing", "give the path of a folder")
        }
        TargetKind::S3 => {
            let remedy = "give https://host/bucket, with a folder behind it where you like";
            Wrong::unless(is_web(address), &key("address"), given(address), remedy)
        }
        TargetKind::Webhook => wrong_service(target, key),
    }
}

fn wrong_service(target: &Target, key: impl Fn(&str) -> String) -> Option<Wrong> {
    let (address, products_url) = (target.address.as_deref(), target.products_url.as_deref());
    let either = "give either the address (https://...) or address_file";
    let elsewhere = "no password belongs here: write the address to a file that only Nilas may read, and name that as address_file";
    let readers =
        "give the address at which readers find the product root, such as https://example.org/products";
    let is_given = target.address_file.is_some() != is_web(address);
    let has_password = address.is_some_and(passwords::stands_in);
    Wrong::unless(!has_password, &key("address"), "an address with a user or a password", elsewhere)
        .or_else(|| Wrong::unless(is_given, &key("address"), given(address), either))
        .or_else(|| Wrong::unless(is_web(products_url), &key("products_url"), given(products_url), readers))
}

fn given(value: Option<&str>) -> String {
    value.unwrap_or("missing").to_owned()
}

fn is_web(text: Option<&str>) -> bool {
    text.and_then(|text| Url::parse(text).ok()).is_some_and(|url| ["http", "https"].contains(&url.scheme()))
}
