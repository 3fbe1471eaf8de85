//! Where passwords may go: over encrypted ways, or not beyond this machine.

use std::collections::BTreeMap;
use std::net::IpAddr;

use url::Url;

use super::validation::Wrong;
use super::{Server, ServerKind};

/// Whether a host, by name or number, is this machine itself: nobody listens on the way to it.
#[must_use]
pub fn is_this_machine(host: &str) -> bool {
    let number = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || number.parse::<IpAddr>().is_ok_and(|number| number.to_canonical().is_loopback())
}

/// Whether a user or a password stands in an address.
pub(super) fn stands_in(address: &str) -> bool {
    Url::parse(address).is_ok_and(|url| !url.username().is_empty() || url.password().is_some())
}

/// The first server whose password would cross the network in the clear.
pub(super) fn wrong(servers: &BTreeMap<String, Server>) -> Option<Wrong> {
    servers.iter().find_map(|(name, server)| {
        let credentials = server.credentials.as_ref()?.display();
        let scheme = readable_on_the_way(server)?;
        let remedy = "a password must not cross the network in the clear: use kind ftps or an address with https://, or leave credentials out";
        let value = format!("\"{credentials}\" over {scheme}://");
        Wrong::unless(false, &format!("servers.{name}.credentials"), value, remedy)
    })
}

/// The scheme in which a server that is elsewhere is sent its password as it is. An address that cannot be read is refused where the
/// server is spoken to, and a store is sent a signature, never the key.
fn readable_on_the_way(server: &Server) -> Option<&'static str> {
    let address = Url::parse(&server.address).ok()?;
    let scheme = match server.kind {
        ServerKind::Ftp => "ftp",
        ServerKind::Thredds | ServerKind::Http if address.scheme() == "http" => "http",
        _ => return None,
    };
    (!address.host_str().is_some_and(is_this_machine)).then_some(scheme)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_known_by_its_names_and_numbers() {
        for here in ["localhost", "LOCALHOST", "127.0.0.1", "127.8.0.1", "::1", "[::1]", "::ffff:127.0.0.1"] {
            assert!(is_this_machine(here), "{here}");
        }
        for elsewhere in ["example.org", "localhost.example.org", "10.0.0.1", "0.0.0.0", "[::2]", ""] {
            assert!(!is_this_machine(elsewhere), "{elsewhere}");
        }
    }

    fn found(kind: ServerKind, address: &str, credentials: Option<&str>) -> Option<(String, String)> {
        let server = Server {
            kind,
            address: address.to_owned(),
            connections: 1,
            credentials: credentials.map(Into::into),
            authorities: None,
            region: None,
        };
        wrong(&BTreeMap::from([("x".to_owned(), server)])).map(|wrong| (wrong.key, wrong.value))
    }

    #[test]
    fn a_password_crosses_the_network_encrypted_or_not_at_all() {
        for (kind, address, over) in [
            (ServerKind::Ftp, "ftp://example.org/", "ftp://"),
            (ServerKind::Http, "http://example.org/", "http://"),
            (ServerKind::Thredds, "HTTP://10.0.0.1/thredds/", "http://"),
        ] {
            let wrong = found(kind, address, Some("awi")).unwrap();
            assert_eq!(wrong, ("servers.x.credentials".to_owned(), format!("\"awi\" over {over}")));
            assert_eq!(found(kind, address, None), None, "nothing secret is sent");
        }
        for (kind, address) in [
            (ServerKind::Ftps, "ftp://example.org/"),
            (ServerKind::Http, "https://example.org/"),
            (ServerKind::Thredds, "http://127.0.0.1:8000/"),
            (ServerKind::Ftp, "ftp://localhost:2121/"),
            (ServerKind::S3, "http://example.org/bucket"),
            (ServerKind::Folder, "/mnt/inputs"),
        ] {
            assert_eq!(found(kind, address, Some("awi")), None, "{kind:?} {address}");
        }
    }

    #[test]
    fn a_password_in_an_address_is_seen() {
        assert!(stands_in("https://ice:secret@example.org/") && stands_in("https://token@example.org/"));
        assert!(!stands_in("https://example.org/a@b") && !stands_in("no address"));
    }
}
