//! What servers answer when they are asked for a folder: THREDDS catalogs, and pages of links.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use nilas::fetch::{index, thredds};
use url::Url;

static FOLDER: LazyLock<Url> =
    LazyLock::new(|| Url::parse("https://example.org/data/nh/").expect("this is an address"));

fuzz_target!(|bytes: &[u8]| {
    if let Ok(catalog) = thredds::parse(bytes) {
        assert!(catalog.datasets.len() <= bytes.len());
    }
    for name in index::parse(bytes, &FOLDER).unwrap_or_default() {
        assert!(!name.is_empty());
    }
});
