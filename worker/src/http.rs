//! What operators ask a worker: `/livez`, `/readyz`, `/metrics`.

use std::net::SocketAddr;
use std::sync::Arc;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpResponse, HttpServer, web};
use moim_shared::health::Health;
use moim_shared::process::StartError;
use moim_shared::queue::amqp::AmqpQueue;
use moim_shared::store::Store;
use moim_shared::store::postgres::PostgresStore;

use crate::metrics::Metrics;

/// What is asked about.
#[derive(Clone)]
pub struct Asked {
    /// For the probes.
    pub health: Arc<Health>,
    /// For `/metrics`.
    pub metrics: Arc<Metrics>,
    /// How much waits.
    pub queue: Arc<AmqpQueue>,
    /// How busy the database is.
    pub store: Arc<PostgresStore>,
}

/// Serves on `address` until the handle stops it.
pub fn serve(address: SocketAddr, asked: Asked) -> Result<(ServerHandle, SocketAddr), StartError> {
    let app = move || {
        App::new()
            .app_data(web::Data::new(asked.clone()))
            .route("/livez", web::get().to(livez))
            .route("/readyz", web::get().to(readyz))
            .route("/metrics", web::get().to(metrics))
    };
    let server = HttpServer::new(app).workers(1).disable_signals().bind(address);
    let server = server.map_err(|error| {
        StartError::Usage(format!(
            "cannot listen on {address}: {error}; choose another with MOIM_WORKER_LISTEN"
        ))
    })?;
    let bound = server.addrs().first().copied().unwrap_or(address);
    let server = server.run();
    let handle = server.handle();
    actix_rt::spawn(server);
    Ok((handle, bound))
}

async fn livez() -> HttpResponse {
    HttpResponse::Ok().json(serde_json::json!({ "status": "ok" }))
}

async fn readyz(asked: web::Data<Asked>) -> HttpResponse {
    let report = asked.health.report().await;
    if report.is_ready() {
        HttpResponse::Ok().json(report)
    } else {
        HttpResponse::ServiceUnavailable().json(report)
    }
}

async fn metrics(asked: web::Data<Asked>) -> HttpResponse {
    // RabbitMQ may be away: then the last ones stand.
    if let Ok(depth) = asked.queue.depth().await {
        asked.metrics.queued.set(depth.messages.into());
        asked.metrics.dead.set(depth.dead.into());
    }
    asked.metrics.standing.set(&asked.health.report().await, &asked.store.loads());
    match asked.metrics.text() {
        Ok(text) => HttpResponse::Ok()
            .content_type("application/openmetrics-text; version=1.0.0; charset=utf-8")
            .body(text),
        Err(error) => {
            tracing::error!(%error, "metrics cannot be written");
            HttpResponse::InternalServerError().finish()
        }
    }
}
