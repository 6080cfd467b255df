//! `GET /ws`: from HTTP to a session.

use std::sync::Arc;

use actix_web::http::header::{self, HeaderMap};
use actix_web::{HttpRequest, HttpResponse, web};
use actix_web_actors::ws;
use serde::Deserialize;

use super::Routes;
use super::wire::Link;
use crate::outbox::Outbox;
use crate::session::{self, Upgrade};
use crate::stomp::Version;

#[derive(Deserialize)]
pub struct Query {
    access_token: Option<Box<str>>,
}

/// Upgrades the connection, or says why not. The token is looked at with CONNECT, which may bring
/// another; a wrong one is answered there, in a way that STOMP clients understand.
pub async fn upgrade(
    request: HttpRequest,
    query: web::Query<Query>,
    payload: web::Payload,
    routes: web::Data<Routes>,
) -> Result<HttpResponse, actix_web::Error> {
    let headers = request.headers();
    if !routes.origins.allows(text(headers, header::ORIGIN), text(headers, header::HOST)) {
        return Ok(refuse(HttpResponse::Forbidden(), "this origin may not connect"));
    }
    if routes.health.is_draining() {
        return Ok(refuse(HttpResponse::ServiceUnavailable(), "this node is going away"));
    }
    let open = routes.metrics.connections.get();
    if usize::try_from(open).unwrap_or(0) >= routes.connections_max {
        routes.metrics.dropped("too_many_connections");
        return Ok(refuse(HttpResponse::ServiceUnavailable(), "this node is full"));
    }
    // Browsers give all they offer in one header, others in several.
    let offered: Vec<&str> = headers
        .get_all(header::SEC_WEBSOCKET_PROTOCOL)
        .filter_map(|value| value.to_str().ok())
        .collect();
    let subprotocol = Version::highest_subprotocol(&offered.join(","));
    let protocols: Vec<&str> = subprotocol.iter().map(|version| version.subprotocol()).collect();
    let mut response = ws::handshake_with_protocols(&request, &protocols)?;

    let upgrade = Upgrade {
        subprotocol,
        authorization: text(headers, header::AUTHORIZATION)
            .map(|value| session::bearer(value).into()),
        access_token: query.into_inner().access_token,
    };
    let sessions = routes.sessions.clone();
    let link = request.conn_data::<Link>();
    let socket = link.map(Link::socket);
    let outbox = Arc::new(Outbox::new(sessions.next_session(), sessions.outbox, socket));
    if let Some(link) = link {
        link.attach(outbox.clone());
    }
    sessions.reaper.watch(&outbox);
    Ok(response.streaming(session::stream(sessions, upgrade, outbox, payload)))
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn refuse(mut response: actix_web::HttpResponseBuilder, detail: &'static str) -> HttpResponse {
    response
        .content_type("application/problem+json")
        .insert_header((header::RETRY_AFTER, "2"))
        .body(serde_json::json!({ "title": detail, "code": "unavailable" }).to_string())
}
