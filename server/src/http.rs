//! The HTTP side: the WebSocket endpoint, probes and metrics.

mod connection;
mod health;
mod inflow;
mod serve;
mod upgrade;

use std::sync::Arc;

use actix_web::{HttpResponse, web};

pub use self::connection::Setup;
pub use self::health::{Health, Probe};
pub use self::serve::{Serving, serve};

use crate::metrics::Metrics;
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
    /// For `/metrics`.
    pub metrics: Arc<Metrics>,
}

/// What clients use, beside the WebSocket endpoint.
pub fn public(config: &mut web::ServiceConfig) {
    config
        .route("/ws", web::to(upgrade_required))
        .route("/ws/websocket", web::to(upgrade_required))
        .route("/livez", web::get().to(health::livez))
        .route("/readyz", web::get().to(health::readyz));
}

/// What operators use.
pub fn admin(config: &mut web::ServiceConfig) {
    config.route("/metrics", web::get().to(health::metrics));
}

/// A plain request to the WebSocket endpoint (RFC 9110, section 15.5.22).
async fn upgrade_required() -> HttpResponse {
    HttpResponse::UpgradeRequired()
        .insert_header(("Upgrade", "websocket"))
        .content_type("application/problem+json")
        .body(r#"{"status":426,"code":"bad_request","detail":"this is the WebSocket endpoint"}"#)
}
