//! Addresses that are as good as a password: those of services that are told something by HTTP, and take it from whoever knows them.

use std::path::Path;
use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, StatusCode};
use secrecy::ExposeSecret;
use url::Url;

use crate::config;

use super::credentials::secret_line;
use super::http::causes;

/// A connection must stand within this time.
const CONNECT: Duration = Duration::from_secs(20);
/// A request takes at most this long.
const LONGEST: Duration = Duration::from_mins(1);

/// An address that only few may know: what is said of it names its host only.
pub struct SecretAddress {
    url: Url,
    client: Client,
}

impl SecretAddress {
    /// The address that stands in the configuration itself, for everybody may know it, or in the first line of the file that `key` names.
    /// Nothing is sent yet.
    ///
    /// # Errors
    /// In words, with the remedy, where it cannot be had or used, or would be known to whoever listens on the way.
    pub fn new(key: &str, known: Option<&str>, file: Option<&Path>) -> Result<Self, String> {
        let url = match (known, file) {
            (Some(known), _) => parse(known)?,
            (None, Some(file)) => {
                let url = parse(secret_line(key, file)?.expose_secret())?;
                refuse_in_clear(key, &url)?;
                url
            }
            (None, None) => return Err(format!("there is no address; give it, or {key}")),
        };
        let client = Client::builder()
            .user_agent(concat!("nilas/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            .timeout(LONGEST)
            // What follows a redirect is another request than the one that was meant, and would tell the address elsewhere.
            .redirect(Policy::none())
            .referer(false)
            .build()
            .map_err(|error| {
                format!("{error:?}; check the authorities that the system trusts, and the proxy")
            })?;
        Ok(Self { url, client })
    }

    /// Its host: all that may be said of it.
    #[must_use]
    pub fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    /// Asks for it; what is answered.
    ///
    /// # Errors
    /// Why there is no answer, in words that go on after the host.
    pub async fn get(&self) -> Result<StatusCode, String> {
        ask(self.client.get(self.url.clone())).await
    }

    /// Posts a JSON document to it; what is answered.
    ///
    /// # Errors
    /// Why there is no answer, in words that go on after the host.
    pub async fn post(&self, json: String) -> Result<StatusCode, String> {
        let request = self.client.post(self.url.clone()).header(CONTENT_TYPE, "application/json");
        ask(request.body(json)).await
    }
}

async fn ask(request: RequestBuilder) -> Result<StatusCode, String> {
    let answer = request.send().await.map_err(|error| {
        format!("cannot be reached ({}); check the address, the network and the proxy", causes(&error))
    })?;
    Ok(answer.status())
}

fn parse(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).ok().filter(|url| ["http", "https"].contains(&url.scheme()) && url.has_host());
    url.ok_or_else(|| "the address is no URL with http:// or https://; correct it".to_owned())
}

/// Refuses an address that is no secret any more once it has been asked for.
fn refuse_in_clear(key: &str, url: &Url) -> Result<(), String> {
    if url.scheme() == "https" || url.host_str().is_some_and(config::is_this_machine) {
        return Ok(());
    }
    Err(format!(
        "the address in {key} begins with http://, so that whoever listens on the way learns it; give one with https://, or one of this machine"
    ))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    const TOKEN: &str = "T0KEN-9f31";

    /// What the address in a file is taken for.
    fn in_file(address: &str) -> Result<SecretAddress, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("address");
        fs::write(&file, format!("{address}\n")).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        SecretAddress::new("url_file", None, Some(&file))
    }

    #[test]
    fn a_secret_does_not_cross_the_network_in_the_clear() {
        let refused = in_file(&format!("http://example.org/{TOKEN}")).err().unwrap();
        assert!(refused.contains("url_file") && refused.contains("https://"), "{refused}");
        assert!(!refused.contains(TOKEN), "{refused}");
        for fits in
            ["https://example.org/x", "http://127.0.0.1:8000/x", "http://[::1]/x", "http://localhost/x"]
        {
            in_file(fits).unwrap();
        }
        SecretAddress::new("url_file", Some("http://example.org/x"), None).unwrap();
    }

    #[test]
    fn what_is_no_address_of_the_web_is_refused_without_its_words() {
        for address in
            ["ftp://example.org/T0KEN-9f31", "T0KEN-9f31", "file:///T0KEN-9f31", "https:T0KEN-9f31:x"]
        {
            let refused = in_file(address).err().unwrap();
            assert!(refused.contains("no URL") && !refused.contains(TOKEN), "{refused}");
        }
        assert!(SecretAddress::new("url_file", None, None).err().unwrap().contains("give it, or url_file"));
    }

    /// A service that sends elsewhere.
    #[tokio::test]
    async fn nobody_is_followed_elsewhere() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let place = listener.local_addr().unwrap();
        let address = SecretAddress::new("url_file", Some(&format!("http://{place}/{TOKEN}")), None).unwrap();
        let served = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await.unwrap();
            let answer = format!(
                "HTTP/1.1 302 Found\r\nLocation: http://{place}/elsewhere\r\nContent-Length: 0\r\n\r\n"
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream
        };
        let (answer, _stream) = tokio::join!(address.post("{}".to_owned()), served);
        assert_eq!(answer.unwrap(), StatusCode::FOUND);
        let followed = tokio::time::timeout(Duration::from_millis(100), listener.accept()).await;
        assert!(followed.is_err(), "another request came");
    }
}
