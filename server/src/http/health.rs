//! Probes and metrics.

use actix_web::{HttpResponse, web};

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
