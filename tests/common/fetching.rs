//! What tests that fetch have in common: an impatient configuration, and a fetcher of one server.

#![allow(clippy::allow_attributes, dead_code, reason = "each test program uses its own part of this")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use nilas::config::{Fetching, Server};
use nilas::fetch::{FetchError, Fetcher};
use nilas::time::SystemClock;

/// The name of the one server.
pub(crate) const SERVER: &str = "test";

/// Limits that a test can wait for.
pub(crate) fn impatient() -> Fetching {
    Fetching {
        connect_seconds: 2,
        stall_seconds: 1,
        try_seconds: 20,
        deadline_seconds: 30,
        shortest_pause_seconds: 0.01,
        longest_pause_seconds: 0.05,
        largest_file_megabytes: 50,
        cache_megabytes: 100,
    }
}

/// A fetcher of one server.
pub(crate) fn fetcher(server: Server, fetching: &Fetching, cache: &Path) -> Result<Fetcher, FetchError> {
    let servers = BTreeMap::from([(SERVER.to_owned(), server)]);
    Fetcher::new(&servers, fetching, cache, Arc::new(SystemClock::new()))
}

/// Bytes without a pattern that a shifted or mixed file could hide in; another seed, other bytes.
pub(crate) fn noise(seed: u32, length: usize) -> Vec<u8> {
    let step = |state: &mut u32| {
        *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        Some((*state >> 24) as u8)
    };
    std::iter::repeat(()).scan(seed, |state, ()| step(state)).take(length).collect()
}
