//! Probes and metrics.

use actix_web::{HttpResponse, web};
use prometheus_client::metrics::gauge::Gauge;

use super::Routes;

/// The process turns.
pub async fn livez() -> HttpResponse {
    HttpResponse::Ok().json(serde_json::json!({ "status": "ok" }))
}

/// This node can serve; each dependency's state is in the answer.
pub async fn readyz(routes: web::Data<Routes>) -> HttpResponse {
    let report = routes.health.report().await;
    if report.is_ready() {
        HttpResponse::Ok().json(report)
    } else {
        HttpResponse::ServiceUnavailable().json(report)
    }
}

/// All numbers, in the OpenMetrics text format.
pub async fn metrics(routes: web::Data<Routes>) -> HttpResponse {
    let Routes { sessions, metrics, .. } = &**routes;
    let now = &metrics.now;
    let set = |gauge: &Gauge, number: usize| {
        gauge.set(i64::try_from(number).unwrap_or(i64::MAX));
    };
    let outboxes = sessions.reaper.sessions();
    set(&now.outbox_bytes, outboxes.iter().map(|outbox| outbox.bytes()).sum());
    drop(outboxes);
    set(&now.mailboxes, sessions.hub.waiting());
    set(&now.pending_bytes, sessions.hub.pending_bytes());
    set(&now.queue_bytes, routes.queue.waiting_bytes());
    now.canary_age.set(sessions.broker.silence().as_secs_f64());
    metrics.standing.set(&routes.health.report().await, &routes.store.loads());
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
