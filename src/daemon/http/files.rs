//! `/products`: the product root as files, with ranges and `ETag`s, and the map page that lies in it. What begins with a dot is private.

use std::borrow::Cow;
use std::io;
use std::path::Path;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use percent_encoding::percent_decode_str;
use tower_http::services::ServeDir;

use crate::publish;

/// Where the product root is shown.
pub(super) const PLACE: &str = "/products";

/// The map page runs its own script and asks this server only; its icon is empty.
const MAP_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Answers a request for a file under `root`; the path of the request is that under [`PLACE`].
pub(super) async fn answer(root: &Path, mut request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let Ok(path) = percent_decode_str(&path).decode_utf8().map(Cow::into_owned) else {
        return nothing();
    };
    if path.split('/').any(|part| part.starts_with('.')) {
        return nothing();
    }
    forget_range_of_what_changes(&path, &mut request);
    let mut folder = ServeDir::new(root).redirect_path_prefix(PLACE);
    match folder.try_call::<Body, _>(request).await {
        Ok(served) if served.status() == StatusCode::NOT_FOUND => nothing(),
        Ok(served) => {
            let mut response = served.map(Body::new);
            dress(&path, &mut response);
            response
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => nothing(),
        Err(error) => {
            tracing::warn!(path, %error, "a file of the product root cannot be read");
            (StatusCode::INTERNAL_SERVER_ERROR, "this cannot be read now; the log of nilas says why\n")
                .into_response()
        }
    }
}

/// A file that may change is sent whole to whoever has a part of it and wants the rest if it is still the same: [`ServeDir`] does not look
/// whether it is, and the rest of another version would be joined to that part.
fn forget_range_of_what_changes(path: &str, request: &mut Request) {
    let may_change = !publish::cache_control(path).contains("immutable");
    if may_change && request.headers().contains_key(header::IF_RANGE) {
        request.headers_mut().remove(header::RANGE);
    }
}

fn nothing() -> Response {
    (StatusCode::NOT_FOUND, "there is no such file\n").into_response()
}

fn dress(path: &str, response: &mut Response) {
    let kept = HeaderValue::from_static(publish::cache_control(path));
    response.headers_mut().insert(header::CACHE_CONTROL, kept);
    if path.starts_with("/viewer/") {
        let policy = HeaderValue::from_static(MAP_POLICY);
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
}
