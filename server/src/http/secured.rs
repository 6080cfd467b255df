//! What every HTTP answer has in common: headers that keep browsers from harm, problem documents
//! instead of bare errors, and CORS.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{ConnectionType, Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpResponse, ResponseError, web};
use prometheus_client::metrics::gauge::Gauge;

use super::problem::Problem;
use super::{Routes, client_of, cors, problem};
use crate::refusal::{Code, Refusal};

/// On every answer.
const ALWAYS: [(HeaderName, &str); 6] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::CROSS_ORIGIN_OPENER_POLICY, "same-origin"),
    // Pages that CORS lets in ask in its mode, where this is not looked at.
    (header::CROSS_ORIGIN_RESOURCE_POLICY, "same-origin"),
    (
        header::PERMISSIONS_POLICY,
        "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    ),
];

/// For who came by TLS: for a year, by nothing else.
const STRICT: &str = "max-age=31536000";

/// Unless the handler says what its page needs.
const CONTENT_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

/// The application's outermost layer.
pub async fn secured(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let client = client_of(request.request());
    let path = request.path();
    let (api, shared) = (path.starts_with("/api/"), cors::covers(path));
    let origin = request.app_data::<web::Data<Routes>>().filter(|_| shared).and_then(|routes| {
        cors::allowed(&routes.origins, request.headers(), client.host.as_deref())
    });
    let preflight = shared
        && request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);

    let routes = request.app_data::<web::Data<Routes>>().cloned();
    let _here = routes.as_ref().map(|routes| Here::new(routes.metrics.requests.clone()));
    let mut response = if preflight {
        request.into_response(answer_preflight(origin.is_some()))
    } else {
        with_document(next.call(request).await?.map_into_boxed_body())
    };
    let refused = response.response().extensions().get::<Code>().copied();
    if let (Some(code), Some(routes)) = (refused, &routes) {
        routes.metrics.refusals.count(code);
    }
    if routes.is_some_and(|routes| routes.health.is_draining()) {
        // The next one is for another node.
        response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
    }
    let headers = response.headers_mut();
    put_headers(client.secure, headers);
    if api && !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    if shared {
        cors::put_headers(origin.as_ref(), headers);
    }
    Ok(response)
}

/// A request that is not answered yet.
struct Here(Gauge);

impl Here {
    fn new(all: Gauge) -> Self {
        all.inc();
        Self(all)
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// The headers of every answer, to a client that came by TLS or not.
pub fn put_headers(secure: bool, into: &mut HeaderMap) {
    for (name, value) in ALWAYS {
        into.insert(name, HeaderValue::from_static(value));
    }
    if secure {
        into.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(STRICT));
    }
    if !into.contains_key(header::CONTENT_SECURITY_POLICY) {
        let policy = HeaderValue::from_static(CONTENT_POLICY);
        into.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
}

/// For paths that nobody has.
pub async fn not_found() -> HttpResponse {
    nothing_here().error_response()
}

/// What they are told.
pub fn nothing_here() -> Problem {
    Refusal::new(Code::UnknownDestination, "there is nothing at this path").into()
}

fn answer_preflight(allowed: bool) -> HttpResponse {
    if !allowed {
        let detail = "this origin may not use the API; MOIM_ORIGINS lists those that may";
        return problem(StatusCode::FORBIDDEN, Code::BadRequest, detail);
    }
    let mut response = HttpResponse::NoContent().finish();
    cors::put_preflight(response.headers_mut());
    response
}

/// An error of the library's own becomes a problem document: a method that a path does not have, a
/// body that is no JSON.
fn with_document(response: ServiceResponse) -> ServiceResponse {
    let kind = response.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    let bare = kind.is_none_or(|kind| kind.starts_with(b"text/plain"));
    let status = response.status();
    if !bare || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    // What the library says about a request is for the client, what it says about us is not.
    let said = response.response().error().filter(|_| status.is_client_error());
    let detail = said.map_or_else(
        || status.canonical_reason().unwrap_or("refused").to_ascii_lowercase(),
        ToString::to_string,
    );
    let code = code(status);
    let problem = Problem::new(status, Refusal::new(code, detail));
    let mut response = response.map_body(|head, _| {
        problem.put_headers(&mut head.headers);
        BoxBody::new(problem.body())
    });
    response.response_mut().extensions_mut().insert(code);
    response
}

fn code(status: StatusCode) -> Code {
    match status {
        StatusCode::NOT_FOUND => Code::UnknownDestination,
        StatusCode::PAYLOAD_TOO_LARGE => Code::TooLarge,
        StatusCode::TOO_MANY_REQUESTS => Code::RateLimited,
        status if status.is_server_error() => Code::Unavailable,
        _ => Code::BadRequest,
    }
}
