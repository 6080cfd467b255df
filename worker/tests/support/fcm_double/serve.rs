//! The double's two doors: `/token` and `/v1/projects/{project}/messages:send`.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::http::request::Parts;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde_json::{Value, json};

use super::{Answer, Grants, State, oauth, shape};

type Reply = Result<Response<Full<Bytes>>, Cut>;

/// An error of the service ends the connection without an answer.
#[derive(Debug)]
struct Cut;

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("as asked")
    }
}

impl std::error::Error for Cut {}

/// Serves until the process ends.
pub(super) fn start(listener: std::net::TcpListener, state: Arc<State>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    std::thread::spawn(move || {
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                let state = state.clone();
                tokio::spawn(async move {
                    let service = service_fn(move |request| answer(state.clone(), request));
                    let server = auto::Builder::new(TokioExecutor::new());
                    // Clients hang up as they like, and so does it.
                    let _ = server.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
    });
}

async fn answer(state: Arc<State>, request: Request<Incoming>) -> Reply {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(|_gone| Cut)?.to_bytes();
    let reply = match (&head.method, head.uri.path()) {
        (&Method::POST, "/token") => grant(&state, &head, &body).await,
        (&Method::POST, path) if path.starts_with("/v1/") => {
            let _under_way = UnderWay::begin(&state, &body);
            send(&state, &head, &body).await
        }
        _ => reply(&Answer::html(404)),
    };
    state.changed.send_replace(());
    reply
}

async fn grant(state: &State, head: &Parts, form: &[u8]) -> Reply {
    let (grants, lives) = {
        let mut inner = state.inner();
        inner.grants_asked += 1;
        (inner.grants.clone(), inner.lives)
    };
    state.changed.send_replace(());
    match grants {
        Grants::Good => {}
        Grants::Refused(status, body) => {
            return reply(&Answer::Error { status, headers: Vec::new(), body });
        }
        Grants::Cut => return Err(Cut),
        Grants::Slow(time) => tokio::time::sleep(time).await,
    }
    if head.headers.get(CONTENT_TYPE).is_none_or(|kind| kind != "application/x-www-form-urlencoded")
    {
        return reply(&Answer::html(415));
    }
    if let Err([error, text]) = oauth::check(form, &oauth::token_uri(state.address)) {
        let body = json!({ "error": error, "error_description": text }).to_string();
        return reply(&Answer::Error { status: 400, headers: Vec::new(), body });
    }
    let mut inner = state.inner();
    let token = format!("ya29.double-{}", inner.grants_asked);
    inner.good.insert(token.clone(), Instant::now() + lives);
    let body = json!({
        "access_token": token, "expires_in": lives.as_secs(), "token_type": "Bearer",
    });
    Ok(Response::new(body.to_string().into()))
}

async fn send(state: &State, head: &Parts, body: &[u8]) -> Reply {
    if !is_known(state, head) {
        return reply(&Answer::unauthenticated());
    }
    let path = head.uri.path_and_query().map_or("", |path| path.as_str());
    match path.strip_prefix("/v1/projects/").and_then(|rest| rest.strip_suffix("/messages:send")) {
        Some(project) if project == state.project => {}
        Some(project) if !project.contains('/') => return reply(&Answer::permission_denied()),
        _ => return reply(&Answer::html(404)),
    }
    let is_json = |kind: &hyper::header::HeaderValue| {
        kind.to_str().is_ok_and(|kind| kind.starts_with("application/json"))
    };
    if !head.headers.get(CONTENT_TYPE).is_some_and(is_json) {
        return reply(&Answer::html(415));
    }
    let message = match shape::check(body) {
        Ok(message) => message,
        Err(answer) => return reply(&answer),
    };
    let mut answer = {
        let mut inner = state.inner();
        let turn = inner.turns.pop_front();
        let own = turn.or_else(|| inner.by_token.get(&message.token).cloned());
        own.unwrap_or_else(|| inner.general.clone())
    };
    while let Answer::Slow(time, then) = answer {
        tokio::time::sleep(time).await;
        answer = *then;
    }
    let name = match answer {
        Answer::Taken | Answer::CutAfter => {
            let mut inner = state.inner();
            inner.taken.push(message);
            format!("projects/{}/messages/0:{}%double", state.project, inner.taken.len())
        }
        other => return reply(&other),
    };
    match answer {
        Answer::CutAfter => Err(Cut),
        _ => Ok(Response::new(json!({ "name": name }).to_string().into())),
    }
}

fn is_known(state: &State, head: &Parts) -> bool {
    let shown = head.headers.get(AUTHORIZATION).and_then(|shown| shown.to_str().ok());
    let token = shown.and_then(|shown| shown.strip_prefix("Bearer "));
    let inner = state.inner();
    token.and_then(|token| inner.good.get(token)).is_some_and(|end| Instant::now() < *end)
}

fn reply(answer: &Answer) -> Reply {
    let Answer::Error { status, headers, body } = answer else { return Err(Cut) };
    let mut response = Response::builder().status(*status);
    for (name, value) in headers {
        response = response.header(*name, value);
    }
    Ok(response.body(body.clone().into()).unwrap())
}

/// Counts a send, from its body on until it is answered.
struct UnderWay<'a>(&'a State);

impl<'a> UnderWay<'a> {
    fn begin(state: &'a State, body: &[u8]) -> Self {
        {
            let mut inner = state.inner();
            inner.bodies.push(serde_json::from_slice::<Value>(body).unwrap_or_default());
            inner.under_way += 1;
            inner.most_at_once = inner.most_at_once.max(inner.under_way);
        }
        state.changed.send_replace(());
        Self(state)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.inner().under_way -= 1;
    }
}
