//! Answers that refuse, kept apart with their status: `object_store` would leave of them no more than words. And answers that are larger
//! than any, which it would read to their end.

use std::error::Error as StdError;
use std::iter::successors;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody,
    HttpService,
};
use object_store::{ClientOptions, Error};
use reqwest::header::CONTENT_LENGTH;

use super::Purpose;
use crate::fetch::FetchError;
use crate::fetch::bounds::LARGEST_LISTING;
use crate::fetch::http::retry_after;
use crate::text::excerpt;

/// As much of a refusal is read, bytes.
const LONGEST_REFUSAL: usize = 64 << 10;

/// What a server answers instead of what it was asked for.
#[derive(Debug, thiserror::Error)]
#[error("{words}")]
struct Refusal {
    status: u16,
    /// The status and the store's own code.
    words: String,
    retry_after: Option<Duration>,
}

/// An answer that is no file and larger than any page of a listing.
#[derive(Debug, thiserror::Error)]
#[error("the answer is larger than {LARGEST_LISTING} bytes")]
struct TooLarge;

/// What it means that a request failed.
pub(super) fn failure(url: &str, error: &Error) -> FetchError {
    let url = url.to_owned();
    let reason = cause(error);
    if let Some(refusal) = find::<Refusal>(error) {
        return match refusal.status {
            401 | 403 => FetchError::Denied { url, reason },
            404 => FetchError::NotFound { url },
            408 | 429 | 500.. => FetchError::Busy { url, answer: reason, retry_after: refusal.retry_after },
            _ => FetchError::Answer { url, reason: format!("the server answers {reason}") },
        };
    }
    if find::<TooLarge>(error).is_some()
        || find::<reqwest::Error>(error).is_some_and(reqwest::Error::is_redirect)
    {
        return FetchError::Answer { url, reason };
    }
    match find::<HttpError>(error).map(HttpError::kind) {
        Some(HttpErrorKind::Connect) => FetchError::Unreachable { url, reason },
        Some(_) => FetchError::Broken { url, reason },
        None => FetchError::Answer { url, reason },
    }
}

/// Whether the rest that was asked for is not one of the file that is there now.
pub(super) fn is_of_another_version(error: &Error) -> bool {
    matches!(error, Error::Precondition { .. })
        || find::<Refusal>(error).is_some_and(|refusal| refusal.status == 416)
}

/// What lies at the bottom of an error, in words. They can be the server's: a name that it lists, a code that it gives.
#[must_use]
pub fn cause(error: &Error) -> String {
    chain(error).last().map(|cause| excerpt(&cause.to_string())).unwrap_or_default()
}

fn find<T: StdError + 'static>(error: &Error) -> Option<&T> {
    chain(error).find_map(|cause| cause.downcast_ref())
}

fn chain(error: &Error) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    successors(Some(error as &(dyn StdError + 'static)), |&error| error.source())
}

/// Asks with an own client, keeps refusals apart where files are read, and reads no answer without end: `object_store` reads all but files
/// to their end, into as much memory as the server says.
#[derive(Debug, Clone)]
pub(super) struct Connector {
    client: HttpClient,
    purpose: Purpose,
}

impl Connector {
    pub(super) fn new(client: reqwest::Client, purpose: Purpose) -> Self {
        Self { client: HttpClient::new(client), purpose }
    }
}

impl HttpConnector for Connector {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for Connector {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let is_file = self.purpose == Purpose::Read
            && request.uri().query().is_none_or(|query| !query.contains("list-type="));
        let response = self.client.execute(request).await?;
        let status = response.status();
        if status.is_success() {
            return if is_file { Ok(response) } else { whole(response).await };
        }
        if self.purpose == Purpose::Write {
            return Ok(shortened(response).await);
        }
        // What follows from a condition is known to `object_store`.
        if matches!(status.as_u16(), 304 | 412) {
            let (head, _) = response.into_parts();
            return Ok(HttpResponse::from_parts(head, Bytes::new().into()));
        }
        let retry_after = retry_after(response.headers());
        let code = code_of(response.into_body()).await;
        let words = code.map_or(status.to_string(), |code| format!("{status}, {code}"));
        let refusal = Refusal { status: status.as_u16(), words, retry_after };
        Err(HttpError::new(HttpErrorKind::Unknown, refusal))
    }
}

/// An answer that is no file, and has come whole.
async fn whole(response: HttpResponse) -> Result<HttpResponse, HttpError> {
    let (head, body) = response.into_parts();
    let answer = read(body, LARGEST_LISTING).await?;
    if answer.len() > LARGEST_LISTING {
        return Err(HttpError::new(HttpErrorKind::Unknown, TooLarge));
    }
    Ok(HttpResponse::from_parts(head, answer.into()))
}

/// A refusal with the beginning of what it says. It keeps its status, by which `object_store` tells whether to ask again.
async fn shortened(response: HttpResponse) -> HttpResponse {
    let (mut head, body) = response.into_parts();
    head.headers.remove(CONTENT_LENGTH);
    let mut text = read(body, LONGEST_REFUSAL).await.unwrap_or_default();
    text.truncate(LONGEST_REFUSAL);
    HttpResponse::from_parts(head, String::from_utf8_lossy(&text).into_owned().into())
}

/// The one word in which a store says what is wrong.
async fn code_of(body: HttpResponseBody) -> Option<String> {
    let text = read(body, LONGEST_REFUSAL).await.ok()?;
    let text = String::from_utf8_lossy(&text);
    let (code, _) = text.split_once("<Code>")?.1.split_once("</Code>")?;
    code.bytes().all(|byte| byte.is_ascii_alphanumeric()).then(|| code.to_owned())
}

/// A body, or the beginning of one that is longer than so many bytes: somewhat more than these.
async fn read(body: HttpResponseBody, longest: usize) -> Result<Vec<u8>, HttpError> {
    let (mut parts, mut bytes) = (body.bytes_stream(), Vec::new());
    while bytes.len() <= longest
        && let Some(part) = parts.next().await
    {
        bytes.extend_from_slice(&part?);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_code_the_beginning_is_told() {
        let words = format!("400 Bad Request, {}", "A".repeat(LONGEST_REFUSAL));
        let refusal = Refusal { status: 400, words, retry_after: None };
        let source = Box::new(HttpError::new(HttpErrorKind::Unknown, refusal));
        let FetchError::Answer { reason, .. } = failure("u", &Error::Generic { store: "S3", source }) else {
            panic!("another error");
        };
        assert!(reason.starts_with("the server answers 400 Bad Request, AAA"), "{reason}");
        assert!(reason.ends_with("A…") && reason.chars().count() < 300, "{reason}");
    }
}
