//! Problem documents (RFC 9457): how HTTP says no, from the same table as STOMP.

use std::borrow::Cow;
use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::{HttpResponse, ResponseError};
use serde_json::json;

use crate::refusal::{Code, Refusal};
use crate::token::TokenError;

/// What a problem document is sent as.
pub const CONTENT_TYPE: &str = "application/problem+json";

/// When nothing better is known, a client that was told to come back does so after this.
const RETRY_MS: u64 = 2_000;

/// A refusal with the status that HTTP gives it. Handlers return it as their error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    status: StatusCode,
    refusal: Refusal,
}

/// The answer that refuses a request.
pub fn problem(
    status: StatusCode,
    code: Code,
    detail: impl Into<Cow<'static, str>>,
) -> HttpResponse {
    Problem::new(status, Refusal::new(code, detail)).error_response()
}

impl Problem {
    /// A refusal with a status of its own.
    pub fn new(status: StatusCode, refusal: Refusal) -> Self {
        Self { status, refusal }
    }

    /// 401: credentials are missing or wrong.
    pub fn unauthorized(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, Refusal::new(Code::BadRequest, detail))
    }

    /// 409: a rule about the state of things forbids it.
    pub fn conflict(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::CONFLICT, Refusal::new(Code::BadRequest, detail))
    }

    /// The refusal.
    pub const fn refusal(&self) -> &Refusal {
        &self.refusal
    }

    /// The document.
    pub fn body(&self) -> String {
        let Refusal { code, detail, retry_after_ms } = &self.refusal;
        let mut document = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "status": self.status.as_u16(),
            "code": code.as_str(),
            "detail": detail,
        });
        if let Some(ms) = retry_after_ms {
            document["retryAfterMs"] = (*ms).into();
        }
        document.to_string()
    }

    /// The headers that go with it.
    pub fn headers(&self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        let kind = (header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
        let login = (self.status == StatusCode::UNAUTHORIZED)
            .then(|| (header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")));
        let comes_back =
            matches!(self.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
        let retry = self.refusal.retry_after_ms.or(comes_back.then_some(RETRY_MS));
        // Up: a client that waits as told is not too early.
        let retry = retry.map(|ms| (header::RETRY_AFTER, HeaderValue::from(ms.div_ceil(1_000))));
        [Some(kind), login, retry].into_iter().flatten()
    }

    /// Puts them into an answer that exists already.
    pub fn put_headers(&self, into: &mut HeaderMap) {
        self.headers().for_each(|(name, value)| drop(into.insert(name, value)));
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal.code {
            Code::BadRequest => StatusCode::BAD_REQUEST,
            Code::Expired => StatusCode::UNAUTHORIZED,
            Code::NotAMember | Code::Muted | Code::Banned => StatusCode::FORBIDDEN,
            Code::UnknownDestination => StatusCode::NOT_FOUND,
            Code::NameReused => StatusCode::CONFLICT,
            Code::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Code::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            Code::Busy | Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, refusal)
    }
}

impl From<TokenError> for Problem {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::KeysAway => Refusal::from(error).into(),
            _ => Self::new(StatusCode::UNAUTHORIZED, error.into()),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.refusal.detail)
    }
}

impl std::error::Error for Problem {}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::new(self.status);
        // By which the refusal is counted.
        response.extensions_mut().insert(self.refusal.code);
        self.put_headers(response.headers_mut());
        response.set_body(actix_web::body::BoxBody::new(self.body()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn document(problem: &Problem) -> Value {
        serde_json::from_str(&problem.body()).unwrap()
    }

    fn header(problem: &Problem, name: &HeaderName) -> Option<String> {
        let found = problem.headers().find(|(own, _)| own == name);
        found.map(|(_, value)| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_document_says_what_and_why() {
        let problem = Problem::from(Refusal::not_a_member());
        assert_eq!(
            document(&problem),
            json!({
                "type": "about:blank",
                "title": "Forbidden",
                "status": 403,
                "code": "not_a_member",
                "detail": "you are not a member of this room",
            })
        );
        assert_eq!(header(&problem, &header::CONTENT_TYPE).as_deref(), Some(CONTENT_TYPE));
        assert_eq!(header(&problem, &header::RETRY_AFTER), None);
    }

    #[test]
    fn who_may_try_again_is_told_when() {
        let later = Problem::from(Refusal::later(Code::RateLimited, "slow down", 1_500));
        assert_eq!(document(&later)["retryAfterMs"], 1_500);
        assert_eq!(header(&later, &header::RETRY_AFTER).as_deref(), Some("2"));
        let away = Problem::from(Refusal::new(Code::Unavailable, "away"));
        assert_eq!(header(&away, &header::RETRY_AFTER).as_deref(), Some("2"));
    }

    #[test]
    fn a_401_names_the_scheme() {
        for problem in [
            Problem::unauthorized("no token"),
            Problem::from(Refusal::new(Code::Expired, "the token has expired")),
        ] {
            assert_eq!(problem.status_code(), 401);
            assert_eq!(header(&problem, &header::WWW_AUTHENTICATE).as_deref(), Some("Bearer"));
        }
    }
}
