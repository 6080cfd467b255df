//! Probes and metrics.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use actix_web::{HttpResponse, web};
use moim_shared::BoxFuture;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Routes;

/// Looks at one dependency; an error says what is wrong.
pub type Probe = Box<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// How long a probe may take: those who ask wait for a second, and would take a node for dead whose
/// database is slow.
const PATIENCE: Duration = Duration::from_millis(400);

/// Whether this node can serve.
#[derive(Default)]
pub struct Health {
    draining: AtomicBool,
    probes: Mutex<Vec<(&'static str, Arc<Probe>)>>,
}

impl Health {
    /// Adds a dependency to what `/readyz` tells. One that is away does not make a node unready:
    /// every node would go at once, and the links with them.
    pub fn watch(&self, name: &'static str, probe: Probe) {
        self.probes.lock().push((name, Arc::new(probe)));
    }

    /// From now on not ready.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether the node is on its way out.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}

/// The process turns.
pub async fn livez() -> HttpResponse {
    HttpResponse::Ok().json(serde_json::json!({ "status": "ok" }))
}

/// This node can serve; each dependency's state is in the answer.
pub async fn readyz(routes: web::Data<Routes>) -> HttpResponse {
    let probes = routes.health.probes.lock().clone();
    let mut dependencies = BTreeMap::new();
    for (name, probe) in probes {
        let state = match tokio::time::timeout(PATIENCE, probe()).await {
            Ok(state) => state.map_or_else(|reason| reason, |()| "ok".into()),
            Err(_) => format!("no answer within {} ms", PATIENCE.as_millis()),
        };
        dependencies.insert(name, state);
    }
    let degraded = dependencies.values().any(|state| state != "ok");
    let draining = routes.health.is_draining();
    let status = match (draining, degraded) {
        (true, _) => "draining",
        (false, true) => "degraded",
        (false, false) => "ok",
    };
    let body = serde_json::json!({ "status": status, "dependencies": dependencies });
    if draining {
        HttpResponse::ServiceUnavailable().json(body)
    } else {
        HttpResponse::Ok().json(body)
    }
}

/// All numbers, in the OpenMetrics text format.
pub async fn metrics(routes: web::Data<Routes>) -> HttpResponse {
    let pending = routes.sessions.hub.pending_bytes();
    routes.metrics.pending_bytes.set(i64::try_from(pending).unwrap_or(i64::MAX));
    match routes.metrics.text() {
        Ok(text) => HttpResponse::Ok()
            .content_type("application/openmetrics-text; version=1.0.0; charset=utf-8")
            .body(text),
        Err(error) => {
            tracing::error!(%error, "metrics cannot be written");
            HttpResponse::InternalServerError().finish()
        }
    }
}
