//! A JSON body: read up to a bound, and refused with a problem document that says what is wrong.

use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::{StatusCode, header};
use actix_web::{FromRequest, HttpMessage, HttpRequest, HttpResponse, Responder, web};
use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use moim_shared::config::Limits;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Api, failure};
use crate::http::Problem;
use crate::refusal::{Code, Refusal};

/// A body: `Json<T>` as an argument of a handler, or as what it answers.
#[derive(Debug)]
pub struct Json<T>(pub T);

/// A body that is not there after this never will be.
const PATIENCE: Duration = Duration::from_secs(10);

/// What may come as a body. Say `#[serde(deny_unknown_fields)]` on it.
pub trait Input: DeserializeOwned + 'static {
    /// The most bytes of it.
    fn most(_limits: &Limits) -> usize {
        16 * 1024
    }
}

impl<T: Input> FromRequest for Json<T> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let most = request.app_data::<web::Data<Api>>().map_or(0, |api| T::most(&api.limits));
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move {
            is_json(&request)?;
            let body = tokio::time::timeout(PATIENCE, read(&request, payload, most)).await;
            parse(&body.unwrap_or_else(|_| Err(too_slow()))?)
        })
    }
}

/// Every body is an object. The library would take a list of its values as well.
fn parse<T: Input>(bytes: &[u8]) -> Result<Json<T>, Problem> {
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err(bad("the body has to be a JSON object".into()));
    }
    serde_json::from_slice(bytes).map(Json).map_err(|error| bad(said(&error)))
}

/// Where in the text it is helps who writes JSON, not who reads that a name is too long.
fn said(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" at line ") {
        Some((what, _)) if error.is_data() => what.to_owned(),
        _ => text,
    }
}

fn is_json(request: &HttpRequest) -> Result<(), Problem> {
    let kind = request.content_type();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let refusal = Refusal::new(Code::BadRequest, "the body has to be application/json");
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, refusal))
}

async fn read(
    request: &HttpRequest,
    mut payload: Payload,
    most: usize,
) -> Result<web::BytesMut, Problem> {
    let told = request.headers().get(header::CONTENT_LENGTH).and_then(|it| it.to_str().ok());
    if told.and_then(|it| it.parse::<usize>().ok()).is_some_and(|length| length > most) {
        return Err(too_large(most));
    }
    let mut bytes = web::BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|error| bad(format!("the body cannot be read: {error}")))?;
        if bytes.len() + chunk.len() > most {
            return Err(too_large(most));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn bad(detail: String) -> Problem {
    Refusal::new(Code::BadRequest, detail).into()
}

fn too_slow() -> Problem {
    let detail = format!("the body was not there after {} seconds", PATIENCE.as_secs());
    Problem::new(StatusCode::REQUEST_TIMEOUT, Refusal::new(Code::BadRequest, detail))
}

fn too_large(most: usize) -> Problem {
    Refusal::new(Code::TooLarge, format!("the body has more than {most} bytes")).into()
}

impl<T: Serialize> Responder for Json<T> {
    type Body = actix_web::body::BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        match serde_json::to_vec(&self.0) {
            Ok(body) => HttpResponse::Ok().content_type("application/json").body(body),
            Err(error) => HttpResponse::from_error(failure::ours(&error)),
        }
    }
}
