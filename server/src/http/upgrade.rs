//! `GET /ws`: from HTTP to a session. `/ws/websocket` is for clients written for Spring's SockJS
//! endpoints.

use std::sync::Arc;

use actix_codec::Framed;
use actix_http::body::BodySize;
use actix_http::h1::{Codec, Message};
use actix_http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_http::{HttpMessage, Request, Response, StatusCode, ws};
use actix_web::ResponseError;
use bytes::Bytes;
use futures_util::SinkExt;

use super::connection::{Connection, Socket};
use super::io::Io;
use super::{Client, Listener, Problem, Serving, secured};
use crate::refusal::{Code, Refusal};
use crate::session::{self, Upgrade};
use crate::stomp::Version;

/// Upgrades the connection and stays with it to its end, or says why not. The token is looked at
/// with CONNECT, which may bring another; a wrong one is answered there, in a way that STOMP
/// clients understand.
pub fn upgrade(
    request: Request,
    framed: Framed<Io, Codec>,
    listener: Listener,
) -> impl Future<Output = Result<(), actix_web::Error>> {
    // In a box, which goes: it takes ten times the room of the connection, which stays.
    let opening = Box::pin(open(request, framed, listener));
    async move {
        let opened = opening.await?;
        if let Some(connection) = opened {
            connection.await;
        }
        Ok(())
    }
}

async fn open(
    request: Request,
    mut framed: Framed<Io, Codec>,
    listener: Listener,
) -> Result<Option<Connection>, actix_web::Error> {
    let (answered, secure) = {
        let client = listener.trust.client(request.peer_addr(), request.headers());
        let answered = answer(&request, &client, &listener);
        let refused = answered.as_ref().err().map(tracing::field::display);
        tracing::debug!(client.address = %client.address, refused, "a WebSocket is asked for");
        (answered, client.secure)
    };
    let (response, upgrade) = match answered {
        Ok(accepted) => accepted,
        Err(refused) => {
            listener.routes.metrics.refusals.count(refused.refusal().code);
            refuse(framed, secure, &refused).await?;
            return Ok(None);
        }
    };
    framed.send(Message::Item((response, BodySize::None))).await?;

    let parts = framed.into_parts();
    let sessions = listener.routes.sessions.clone();
    let socket = Socket::new(parts.io, listener.setup);
    let session = sessions.next_session();
    let outbox = socket.outbox(session, sessions.outbox);
    let outbox = Arc::new(outbox.counted_by(sessions.metrics.refusals.clone()));
    sessions.reaper.watch(&outbox);
    let inflow = socket.inflow(&parts.read_buf, outbox.clone());
    let metrics = sessions.metrics.clone();
    let actor = session::start(sessions, upgrade, outbox.clone(), inflow);
    Ok(Some(socket.connect(actor, outbox, metrics)))
}

fn answer(
    request: &Request,
    client: &Client,
    listener: &Listener,
) -> Result<(Response<()>, Upgrade), Problem> {
    let routes = &listener.routes;
    let known = matches!(request.path(), "/ws" | "/ws/websocket");
    if !known || listener.serving == Serving::Operators {
        return Err(Refusal::new(Code::UnknownDestination, "the WebSocket endpoint is /ws").into());
    }
    let headers = request.headers();
    if !routes.origins.allows(text(headers, header::ORIGIN), client.host.as_deref()) {
        let refusal = Refusal::new(Code::BadRequest, "this origin may not connect");
        return Err(Problem::new(StatusCode::FORBIDDEN, refusal));
    }
    if routes.health.is_draining() {
        return Err(Refusal::new(Code::Unavailable, "this node is going away").into());
    }
    if routes.sessions.hub.is_deaf_alone() {
        let detail = "this node does not hear the others at the moment";
        return Err(Refusal::new(Code::Unavailable, detail).into());
    }
    let open = usize::try_from(routes.metrics.connections.get()).unwrap_or(0);
    if open >= routes.connections_max {
        routes.metrics.dropped("too_many_connections");
        return Err(Refusal::new(Code::Busy, "this node is full").into());
    }
    let Ok(mut response) = ws::handshake(request.head()) else {
        return Err(Refusal::new(Code::BadRequest, "this is no WebSocket handshake").into());
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
        address: Some(client.address),
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
    mut framed: Framed<Io, Codec>,
    secure: bool,
    refused: &Problem,
) -> Result<(), actix_web::Error> {
    let body = Bytes::from(refused.body());
    let mut head = Response::new(refused.status_code()).drop_body();
    refused.put_headers(head.headers_mut());
    secured::put_headers(secure, head.headers_mut());
    head.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    framed.send(Message::Item((head, BodySize::Sized(body.len() as u64)))).await?;
    framed.send(Message::Chunk(Some(body))).await?;
    framed.send(Message::Chunk(None)).await?;
    framed.close().await?;
    Ok(())
}
