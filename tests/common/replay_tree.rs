//! The replay tree, which is too large to come along: days of March 2026 as they lie on the providers' servers.

use std::path::PathBuf;

use super::say::say;

/// The tree that `NILAS_REPLAY` names. Without it the test has looked at nothing: it says so, and `./dev test` counts it as skipped.
pub(crate) fn replay_tree() -> Option<PathBuf> {
    let tree = std::env::var_os("NILAS_REPLAY").map(PathBuf::from);
    if tree.is_none() {
        say("skipped: NILAS_REPLAY does not name a replay tree");
    }
    tree
}
