//! What a process that Nilas starts is told of Nilas's own environment. Passwords may stand in there, and words that would load
//! foreign code, so what passes is listed.

use std::ffi::{OsStr, OsString};

/// HDF5 would load a plugin if a file asked for one: by this word it does not.
pub const NO_HDF5_PLUGINS: (&str, &str) = ("HDF5_PLUGIN_PRELOAD", "::");

/// HDF5 would refuse a file that another process has locked, or that lies where nothing can be locked, as on some network file systems.
/// Whoever reads a file that nobody changes needs no lock, and what Nilas writes lies where nobody else writes.
pub const NO_HDF5_LOCKS: (&str, &str) = ("HDF5_USE_FILE_LOCKING", "FALSE");

/// By these, tests say where programs are to fail. No shipped program passes them on.
#[cfg(feature = "fail-points")]
pub const FAULT_VARIABLES: &[&str] = &["FAILPOINTS", "FAULT_*", "LD_PRELOAD"];

/// None: this program has no places at which it fails on request.
#[cfg(not(feature = "fail-points"))]
pub const FAULT_VARIABLES: &[&str] = &[];

/// The variables of this process that are listed; a name that ends in `*` stands for all that begin so.
pub fn listed_variables(lists: &[&[&str]]) -> impl Iterator<Item = (OsString, OsString)> {
    std::env::vars_os().filter(|(name, _)| lists.iter().any(|list| is_listed(name, list)))
}

fn is_listed(name: &OsStr, list: &[&str]) -> bool {
    list.iter().any(|listed| match listed.strip_suffix('*') {
        Some(beginning) => name.as_encoded_bytes().starts_with(beginning.as_bytes()),
        None => name == *listed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_listed_does_not_pass() {
        let list = ["PATH", "OMP_*"];
        for (name, passes) in [
            ("PATH", true),
            ("OMP_NUM_THREADS", true),
            ("OMP_", true),
            ("OMP", false),
            ("MY_OMP_SECRET", false),
            ("PATHS", false),
            ("path", false),
            ("CREDENTIALS_DIRECTORY", false),
        ] {
            assert_eq!(is_listed(OsStr::new(name), &list), passes, "{name}");
        }
        assert!(listed_variables(&[&["CARGO_PKG_NAME"], &["PATH"]]).any(|(name, _)| name == "PATH"));
        assert_eq!(listed_variables(&[]).count(), 0);
    }
}
