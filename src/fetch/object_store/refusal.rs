//! Answers that refuse, kept apart with their status: `object_store` would leave of them no more than words. And answers that are larger
//! than any, which it would read to their end.

use std::error::Error as StdError;
use std::iter::successors;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody,
    HttpService, ReqwestConnector,
};
use object_store::{ClientOptions, Error};

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

/// A page of a listing that is larger than any.
#[derive(Debug, thiserror::Error)]
#[error("a page of the listing is larger than {LARGEST_LISTING} bytes")]
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
    if find::<TooLarge>(error).is_some() {
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

/// Connects as `object_store` does, keeps refusals apart, and reads no listing without end.
#[derive(Debug)]
pub(super) struct Connector;

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        ReqwestConnector::default().connect(options).map(|client| HttpClient::new(Client(client)))
    }
}

#[derive(Debug)]
struct Client(HttpClient);

#[async_trait]
impl HttpService for Client {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let is_listing = request.uri().query().is_some_and(|query| query.contains("list-type="));
        let response = self.0.execute(request).await?;
        let status = response.status();
        if status.is_success() && is_listing {
            return page(response).await;
        }
        // What follows from a condition is known to `object_store`.
        if status.is_success() || matches!(status.as_u16(), 304 | 412) {
            return Ok(response);
        }
        let retry_after = retry_after(response.headers());
        let code = code_of(response.into_body()).await;
        let words = code.map_or(status.to_string(), |code| format!("{status}, {code}"));
        let refusal = Refusal { status: status.as_u16(), words, retry_after };
        Err(HttpError::new(HttpErrorKind::Unknown, refusal))
    }
}

/// The page of a listing, which has come whole.
async fn page(response: HttpResponse) -> Result<HttpResponse, HttpError> {
    let (head, body) = response.into_parts();
    let page = read(body, LARGEST_LISTING).await?;
    if page.len() > LARGEST_LISTING {
        return Err(HttpError::new(HttpErrorKind::Unknown, TooLarge));
    }
    Ok(HttpResponse::from_parts(head, page.into()))
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
