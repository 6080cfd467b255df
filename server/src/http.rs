//! The HTTP side: the WebSocket endpoint, probes and metrics, and what all answers have in common.

pub mod api;
mod client_address;
mod connection;
mod cors;
mod expiry;
mod health;
mod inflow;
mod io;
mod page;
mod problem;
mod secured;
mod serve;
mod tls;
mod upgrade;

use std::sync::Arc;

use actix_web::http::{StatusCode, header};
use actix_web::{FromRequest, Handler, HttpResponse, Resource, Responder, web};

pub use self::api::Api;
pub use self::client_address::{Client, Trust, client_of};
pub use self::connection::Setup;
pub use self::problem::{Problem, problem};
pub use self::serve::{Listener, Serving, serve};
pub use self::tls::Tls;

use moim_shared::health::Health;
use moim_shared::queue::Queue;
use moim_shared::store::Store;

use crate::metrics::Metrics;
use crate::refusal::Code;
use crate::session::SessionContext;

/// What the routes share.
pub struct Routes {
    /// For sessions.
    pub sessions: Arc<SessionContext>,
    /// Web origins that may connect.
    pub origins: moim_shared::config::Origins,
    /// Connections that are taken.
    pub connections_max: usize,
    /// For the probes.
    pub health: Arc<Health>,
    /// For `/metrics`, as what stands below.
    pub metrics: Arc<Metrics>,
    /// What must still reach the database.
    pub queue: Arc<dyn Queue>,
    /// The database.
    pub store: Arc<dyn Store>,
}

/// What clients use, beside the WebSocket endpoint.
pub fn public(config: &mut web::ServiceConfig) {
    config
        .route("/ws", web::to(upgrade_required))
        .route("/ws/websocket", web::to(upgrade_required))
        .service(read_at(web::resource("/livez"), health::livez))
        .service(read_at(web::resource("/readyz"), health::readyz))
        .configure(page::serve);
}

/// What operators use.
pub fn admin(config: &mut web::ServiceConfig) {
    config.service(read_at(web::resource("/metrics"), health::metrics));
}

/// Something to be read; `HEAD` is answered alike, and the library leaves the body out.
fn read_at<H, A>(resource: Resource, handler: H) -> Resource
where
    H: Handler<A, Output: Responder + 'static>,
    A: FromRequest + 'static,
{
    resource.get(handler.clone()).head(handler)
}

/// A plain request to the WebSocket endpoint (RFC 9110, section 15.5.22).
async fn upgrade_required() -> HttpResponse {
    let detail = "this is the WebSocket endpoint";
    let mut response = problem(StatusCode::UPGRADE_REQUIRED, Code::BadRequest, detail);
    let websocket = header::HeaderValue::from_static("websocket");
    response.headers_mut().insert(header::UPGRADE, websocket);
    response
}
