//! The HTTP side: the WebSocket endpoint, probes and metrics.

mod health;
mod serve;
mod upgrade;
mod wire;

use std::sync::Arc;

use actix_web::web;

pub use self::health::{Health, Probe};
pub use self::serve::{Serving, serve};
pub use self::wire::Setup;
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

/// What clients use. `/ws/websocket` is for those written for Spring's SockJS endpoints.
pub fn public(config: &mut web::ServiceConfig) {
    config
        .route("/ws", web::get().to(upgrade::upgrade))
        .route("/ws/websocket", web::get().to(upgrade::upgrade))
        .route("/livez", web::get().to(health::livez))
        .route("/readyz", web::get().to(health::readyz));
}

/// What operators use.
pub fn admin(config: &mut web::ServiceConfig) {
    config.route("/metrics", web::get().to(health::metrics));
}
