//! What the status and the headers of an answer mean, and the headers that ask for a version.

use std::error::Error;
use std::iter::successors;
use std::time::Duration;

use chrono::{DateTime, FixedOffset};
use reqwest::header::{
    CONTENT_ENCODING, CONTENT_RANGE, DATE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_MODIFIED_SINCE,
    IF_NONE_MATCH, IF_RANGE, LAST_MODIFIED, RANGE, RETRY_AFTER,
};
use reqwest::{Response, StatusCode};

use crate::fetch::{FetchError, Version, Wish};
use crate::text::excerpt;

/// The headers that say a wish. A version by which nobody could tell it from another is not asked for.
pub(super) fn conditions(wish: &Wish) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut set = |name: HeaderName, value: &Option<String>| {
        let value = value.as_deref().and_then(|value| HeaderValue::from_str(value).ok());
        value.map(|value| headers.insert(name, value));
    };
    match wish {
        Wish::UnlessStill(version) => {
            set(IF_NONE_MATCH, &version.entity_tag);
            set(IF_MODIFIED_SINCE, &version.modified);
        }
        Wish::From(start, version) if can_be_told(version) => {
            set(RANGE, &Some(format!("bytes={start}-")));
            set(IF_RANGE, &version.entity_tag.clone().or_else(|| version.modified.clone()));
        }
        Wish::Whole | Wish::From(..) => {}
    }
    headers
}

/// Whether something but its size tells a version from others.
pub(super) fn can_be_told(version: &Version) -> bool {
    version.entity_tag.is_some() || version.modified.is_some()
}

/// The version that an answer with a whole file is of. A weak tag does not promise the same bytes and is left out.
pub(super) fn version(headers: &HeaderMap, size_bytes: Option<u64>) -> Version {
    let entity_tag = text(headers, &ETAG).filter(|tag| !tag.starts_with("W/")).map(str::to_owned);
    Version { entity_tag, modified: text(headers, &LAST_MODIFIED).map(str::to_owned), size_bytes }
}

/// The version that an answer with part of a file continues, from the byte `start` to the end; none where it does something else.
pub(super) fn continued(headers: &HeaderMap, start: u64, wished: &Version) -> Option<Version> {
    let range = text(headers, &CONTENT_RANGE)?.strip_prefix("bytes ")?;
    let (bytes, size) = range.split_once('/')?;
    let (first, last) = bytes.split_once('-')?;
    let size: u64 = size.parse().ok()?;
    let to_the_end = first.parse() == Ok(start) && last.parse::<u64>().ok()?.checked_add(1)? == size;
    let found = version(headers, Some(size));
    let agrees = |found: &Option<String>, wished: &Option<String>| {
        found.is_none() || wished.is_none() || found == wished
    };
    let same = agrees(&found.entity_tag, &wished.entity_tag)
        && agrees(&found.modified, &wished.modified)
        && wished.size_bytes.is_none_or(|wished| wished == size);
    (to_the_end && same).then(|| Version { size_bytes: Some(size), ..wished.clone() })
}

/// The error that an answer is; none where its body or its silence is what was asked for.
pub(super) fn refusal(url: &str, response: &Response) -> Option<FetchError> {
    let url = url.to_owned();
    let (status, headers) = (response.status(), response.headers());
    match status.as_u16() {
        200 | 206 => {
            let encoding = text(headers, &CONTENT_ENCODING).filter(|encoding| *encoding != "identity")?;
            let reason = format!("the answer is compressed ({}), which nobody asked for", excerpt(encoding));
            Some(FetchError::Answer { url, reason })
        }
        304 | 416 => None,
        404 | 410 => Some(FetchError::NotFound { url }),
        401 | 403 | 407 => Some(FetchError::Denied { url, reason: status.to_string() }),
        408 | 421 | 425 | 429 | 500..=599 => {
            Some(FetchError::Busy { url, answer: status.to_string(), retry_after: retry_after(headers) })
        }
        _ => Some(unexpected(&url, status)),
    }
}

/// The error for an answer that does not fit what was asked.
pub(super) fn unexpected(url: &str, status: StatusCode) -> FetchError {
    FetchError::Answer {
        url: url.to_owned(),
        reason: format!("the server answers {status}, which does not fit the request"),
    }
}

/// How long the server wants to be left alone: seconds, or until a date, which is counted from the date that it gives its own answer.
pub(in crate::fetch) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let asked = text(headers, &RETRY_AFTER)?;
    if let Ok(seconds) = asked.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let wait = date(asked)? - date(text(headers, &DATE)?)?;
    Some(wait.to_std().unwrap_or_default())
}

fn date(text: &str) -> Option<DateTime<FixedOffset>> {
    DateTime::parse_from_rfc2822(text).ok()
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The error for a request or a transfer that failed below HTTP. `stall` is how long a transfer may be without a byte.
pub(super) fn failure(url: &str, error: &reqwest::Error, stall: Duration) -> FetchError {
    let (url, reason) = (url.to_owned(), causes(error));
    if error.is_connect() {
        FetchError::Unreachable { url, reason }
    } else if error.is_redirect() || error.is_builder() {
        FetchError::Answer { url, reason }
    } else if error.is_timeout() {
        FetchError::Broken { url, reason: format!("no byte came for {} s", stall.as_secs_f64()) }
    } else {
        FetchError::Broken { url, reason }
    }
}

/// What lies below an error of the client, whose own words say no more than that a request failed. It can hold words of the server, such
/// as all names of a certificate.
pub(in crate::fetch) fn causes(error: &reqwest::Error) -> String {
    let below = successors(error.source(), |&error| error.source());
    let reasons: Vec<String> = below.map(ToString::to_string).collect();
    if reasons.is_empty() { "the request failed".to_owned() } else { excerpt(&reasons.join(": ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(HeaderName, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    fn tagged(tag: &str, size: u64) -> Version {
        Version { entity_tag: Some(tag.into()), modified: None, size_bytes: Some(size) }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let after = |pairs: &[_]| retry_after(&headers(pairs)).map(|wait| wait.as_secs());
        let now = (DATE, "Wed, 21 Oct 2026 07:28:00 GMT");
        assert_eq!(after(&[(RETRY_AFTER, "120")]), Some(120));
        assert_eq!(after(&[(RETRY_AFTER, "Wed, 21 Oct 2026 07:30:30 GMT"), now.clone()]), Some(150));
        assert_eq!(after(&[(RETRY_AFTER, "Wed, 21 Oct 2026 07:00:00 GMT"), now]), Some(0));
        assert_eq!(after(&[(RETRY_AFTER, "Wed, 21 Oct 2026 07:30:30 GMT")]), None);
        assert_eq!(after(&[(RETRY_AFTER, "soon")]), None);
        assert_eq!(after(&[]), None);
    }

    #[test]
    fn a_part_continues_only_what_was_asked_for() {
        let wished = tagged("\"a\"", 10);
        let is_continued = |pairs: &[_]| continued(&headers(pairs), 4, &wished).is_some();
        assert!(is_continued(&[(CONTENT_RANGE, "bytes 4-9/10")]));
        assert!(is_continued(&[(CONTENT_RANGE, "bytes 4-9/10"), (ETAG, "\"a\"")]));
        assert!(!is_continued(&[(CONTENT_RANGE, "bytes 4-9/10"), (ETAG, "\"b\"")]));
        for range in
            ["bytes 3-9/10", "bytes 4-8/10", "bytes 4-9/*", "bytes 4-10/11", "4-9/10", "bytes */10", ""]
        {
            assert!(!is_continued(&[(CONTENT_RANGE, range)]), "{range}");
        }
        assert!(!is_continued(&[(CONTENT_RANGE, "bytes 4-18446744073709551615/10")]));
        assert!(!is_continued(&[]));
    }

    #[test]
    fn weak_tags_are_no_versions_and_what_cannot_be_told_apart_is_asked_for_whole() {
        let weak = version(&headers(&[(ETAG, "W/\"a\"")]), Some(3));
        assert_eq!(weak, Version { size_bytes: Some(3), ..Version::default() });
        assert!(conditions(&Wish::From(2, weak)).is_empty());
        let asked = conditions(&Wish::From(2, tagged("\"a\"", 3)));
        assert_eq!(asked, headers(&[(RANGE, "bytes=2-"), (IF_RANGE, "\"a\"")]));
    }
}
