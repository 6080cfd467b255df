//! Which pages of other origins may read what the API says (Fetch standard, "CORS protocol"). Pure.

use actix_web::http::header::{self, HeaderMap, HeaderValue};
use moim_shared::config::Origins;

/// How long a browser remembers a preflight's answer, in seconds.
const MAX_AGE: &str = "3600";

const METHODS: &str = "GET, POST, PUT, PATCH, DELETE";
const HEADERS: &str = "authorization, content-type, idempotency-key";

/// What a page may read besides the headers that it always may.
const EXPOSED: &str = "location, retry-after";

/// True for paths that pages of other origins may use.
pub fn covers(path: &str) -> bool {
    path.starts_with("/api/v1/") || path == "/openapi.json"
}

/// The origin to be let in, of a request for `host`.
pub fn allowed(origins: &Origins, request: &HeaderMap, host: Option<&str>) -> Option<HeaderValue> {
    let origin = request.get(header::ORIGIN)?;
    let text = origin.to_str().ok()?;
    origins.allows(Some(text), host).then(|| origin.clone())
}

/// Lets that origin read an answer. Credentials are never allowed: a token has to be sent on
/// purpose. Whoever caches it has to look at the origin, also where there was none.
pub fn put_headers(origin: Option<&HeaderValue>, into: &mut HeaderMap) {
    into.append(header::VARY, HeaderValue::from_static("origin"));
    if let Some(origin) = origin {
        into.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        into.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
    }
}

/// What a preflight's answer says on top.
pub fn put_preflight(into: &mut HeaderMap) {
    for (name, value) in [
        (header::ACCESS_CONTROL_ALLOW_METHODS, METHODS),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, HEADERS),
        (header::ACCESS_CONTROL_MAX_AGE, MAX_AGE),
    ] {
        into.insert(name, HeaderValue::from_static(value));
    }
}
