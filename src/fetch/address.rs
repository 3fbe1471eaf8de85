//! Addresses of servers, and of what lies below them.

use std::fmt::Display;

use percent_encoding::percent_decode_str;
use url::Url;

use super::{FetchError, is_plain_path};

/// Reads the address of a server, whose scheme must be one of these. Credentials do not belong there, for it stands in the configuration
/// and in messages.
pub(super) fn parse(text: &str, schemes: &[&str]) -> Result<Url, String> {
    let form = format!("{}://host/folder/", schemes.join(":// or "));
    let address = Url::parse(text).map_err(|error| {
        format!("address = \"{text}\" is no address ({error}); give one of the form {form}")
    })?;
    if !address.username().is_empty() || address.password().is_some() {
        let reason =
            "its address holds a user or a password; write them to a file and name that as credentials";
        return Err(reason.to_owned());
    }
    if !schemes.contains(&address.scheme()) || address.query().is_some() || address.fragment().is_some() {
        return Err(format!("address = \"{text}\" is not of the form {form}"));
    }
    Ok(address)
}

/// The folder that an address names, decoded: without `/` at its ends, unless that is written as `%2F`.
pub(super) fn folder_of(address: &Url) -> String {
    percent_decode_str(address.path().trim_matches('/')).decode_utf8_lossy().into_owned()
}

/// The address of a path below a server's root.
pub(super) fn below(root: &Url, path: &str) -> Url {
    let mut address = root.clone();
    if let Ok(mut segments) = address.path_segments_mut() {
        segments.pop_if_empty().extend(path.split('/').filter(|segment| !segment.is_empty()));
    }
    address
}

/// Refuses a path that could lead elsewhere than below the root.
pub(super) fn refuse_unless_plain(root: impl Display, path: &str) -> Result<(), FetchError> {
    if is_plain_path(path) {
        return Ok(());
    }
    let reason = format!("\"{}\" is no plain path", path.escape_default());
    Err(FetchError::Answer { url: root.to_string(), reason })
}

/// The path of a file in a folder.
pub(super) fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_cannot_be_used_are_refused_without_a_word_of_their_credentials() {
        for text in
            ["example.org", "http://example.org/", "ftp://aurora:night@example.org/", "ftp://example.org/?a"]
        {
            let refused = parse(text, &["ftp"]).unwrap_err();
            assert!(refused.contains("address") && !refused.contains("night"), "{refused}");
        }
    }

    #[test]
    fn paths_are_encoded_part_by_part() {
        let root = parse("ftp://example.org/sea%20ice", &["ftp"]).unwrap();
        assert_eq!(folder_of(&root), "sea ice");
        assert_eq!(below(&root, "").as_str(), "ftp://example.org/sea%20ice");
        assert_eq!(
            below(&root, "a,b/c d%#ü+.nc").as_str(),
            "ftp://example.org/sea%20ice/a,b/c%20d%25%23%C3%BC+.nc"
        );
    }

    #[test]
    fn paths_that_could_lead_elsewhere_are_refused() {
        let root = parse("ftp://example.org/", &["ftp"]).unwrap();
        for astray in
            ["../secret", "a/../b", "/etc/passwd", "a//b", "a/", "a\r\nDELE b", "a\nb", "a\0", ".", "a\\b"]
        {
            assert!(refuse_unless_plain(&root, astray).is_err(), "{astray:?}");
        }
        for plain in ["", "a", "LATEST/W_XX-ESA,SMOS NH 100%.nc", "..a/b.."] {
            assert!(refuse_unless_plain(&root, plain).is_ok(), "{plain:?}");
        }
    }
}
