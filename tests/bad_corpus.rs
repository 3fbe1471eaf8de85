//! A first look at bad files harms nobody: each is refused for a reason that has a name, or found by a check, or turns out to be
//! sound in all that is measured. A fixed part of the corpus; `./dev e2e` looks at all of it.

#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::bad_files::{flipped, look_at, truncated};
use common::spoiled_files::spoiled;

#[test]
fn files_that_are_wrong_in_a_way_that_has_a_name_are_found_by_it() {
    look_at(spoiled());
}

#[test]
fn files_that_end_too_early_are_damaged() {
    look_at(truncated(9));
}

#[test]
fn files_with_changed_bytes_are_handled() {
    let tally = look_at(flipped(64));
    assert!(tally["damaged"] > 0 && tally["passed"] > 0, "nothing was tried: {tally:?}");
}
