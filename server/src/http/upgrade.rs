//! `GET /ws`: from HTTP to a session. `/ws/websocket` is for clients written for Spring's SockJS
//! endpoints.

use std::sync::Arc;

use actix_codec::Framed;
use actix_http::body::BodySize;
use actix_http::h1::{Codec, Message};
use actix_http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_http::{HttpMessage, Request, Response, StatusCode, ws};
use actix_web::rt::net::TcpStream;
use actix_web::web;
use bytes::Bytes;
use futures_util::SinkExt;

use super::connection::{Setup, Socket};
use super::{Routes, Serving};
use crate::outbox::Outbox;
use crate::session::{self, Upgrade};
use crate::stomp::Version;

/// Upgrades the connection and stays with it to its end, or says why not. The token is looked at
/// with CONNECT, which may bring another; a wrong one is answered there, in a way that STOMP
/// clients understand.
pub async fn upgrade(
    request: Request,
    mut framed: Framed<TcpStream, Codec>,
    routes: web::Data<Routes>,
    serving: Serving,
    setup: Setup,
) -> Result<(), actix_web::Error> {
    let (response, upgrade) = match answer(&request, &routes, serving) {
        Ok(accepted) => accepted,
        Err(refused) => return refuse(framed, refused).await,
    };
    framed.send(Message::Item((response, BodySize::None))).await?;
    drop(request);

    let parts = framed.into_parts();
    let sessions = routes.sessions.clone();
    let socket = Socket::new(parts.io, setup);
    let session = sessions.next_session();
    let outbox = Arc::new(Outbox::new(session, sessions.outbox, Some(socket.number())));
    sessions.reaper.watch(&outbox);
    let inflow = socket.inflow(&parts.read_buf, outbox.clone());
    let metrics = sessions.metrics.clone();
    let actor = session::start(sessions, upgrade, outbox.clone(), inflow);
    // What HTTP needed is not kept for the life of the connection.
    drop((parts.read_buf, parts.write_buf));
    socket.connect(actor, outbox, metrics).await;
    Ok(())
}

struct Refused {
    status: StatusCode,
    code: &'static str,
    detail: &'static str,
}

fn answer(
    request: &Request,
    routes: &Routes,
    serving: Serving,
) -> Result<(Response<()>, Upgrade), Refused> {
    let no = |status, code, detail| Err(Refused { status, code, detail });
    let known = matches!(request.path(), "/ws" | "/ws/websocket");
    if !known || serving == Serving::Operators {
        return no(StatusCode::NOT_FOUND, "unknown_destination", "the WebSocket endpoint is /ws");
    }
    let headers = request.headers();
    if !routes.origins.allows(text(headers, header::ORIGIN), text(headers, header::HOST)) {
        return no(StatusCode::FORBIDDEN, "bad_request", "this origin may not connect");
    }
    if routes.health.is_draining() {
        return no(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "this node is going away");
    }
    let open = usize::try_from(routes.metrics.connections.get()).unwrap_or(0);
    if open >= routes.connections_max {
        routes.metrics.dropped("too_many_connections");
        return no(StatusCode::SERVICE_UNAVAILABLE, "busy", "this node is full");
    }
    let Ok(mut response) = ws::handshake(request.head()) else {
        return no(StatusCode::BAD_REQUEST, "bad_request", "this is no WebSocket handshake");
    };
    // Browsers give all that they offer in one header, others in several.
    let offered: Vec<&str> = headers
        .get_all(header::SEC_WEBSOCKET_PROTOCOL)
        .filter_map(|value| value.to_str().ok())
        .collect();
    let subprotocol = Version::highest_subprotocol(&offered.join(","));
    if let Some(version) = subprotocol {
        let value = HeaderValue::from_static(version.subprotocol());
        response.insert_header((header::SEC_WEBSOCKET_PROTOCOL, value));
    }
    let upgrade = Upgrade {
        subprotocol,
        authorization: text(headers, header::AUTHORIZATION)
            .and_then(session::bearer)
            .map(Into::into),
        access_token: access_token(request.uri().query()),
    };
    Ok((response.finish().drop_body(), upgrade))
}

fn access_token(query: Option<&str>) -> Option<Box<str>> {
    let pairs = form_urlencoded::parse(query?.as_bytes());
    pairs.into_iter().find(|(name, _)| name == "access_token").map(|(_, token)| (*token).into())
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

async fn refuse(
    mut framed: Framed<TcpStream, Codec>,
    refused: Refused,
) -> Result<(), actix_web::Error> {
    let Refused { status, code, detail } = refused;
    let problem = serde_json::json!({ "status": status.as_u16(), "code": code, "detail": detail });
    let body = Bytes::from(problem.to_string());
    let mut response = Response::build(status);
    response
        .insert_header((header::CONTENT_TYPE, "application/problem+json"))
        .insert_header((header::CONNECTION, "close"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.insert_header((header::RETRY_AFTER, "2"));
    }
    let head = response.finish().drop_body();
    framed.send(Message::Item((head, BodySize::Sized(body.len() as u64)))).await?;
    framed.send(Message::Chunk(Some(body))).await?;
    framed.send(Message::Chunk(None)).await?;
    framed.close().await?;
    Ok(())
}
