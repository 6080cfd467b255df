//! Numbers for operators, as `/metrics` shows them.

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::outbox::{CloseReason, Outbox};
use crate::refusal::Code;

/// Why something was refused or dropped.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

/// The numbers of a node.
pub struct Metrics {
    registry: Registry,
    /// Open WebSocket connections.
    pub connections: Gauge,
    /// Sessions that are connected.
    pub sessions: Gauge,
    /// Rooms in memory.
    pub rooms: Gauge,
    /// Bytes of sends that are not answered yet; set when it is read.
    pub pending_bytes: Gauge,
    deliveries: Counter<u64, AtomicU64>,
    stored: Histogram,
    refused: Family<Reason, Counter>,
    dropped: Family<Reason, Counter>,
}

impl Metrics {
    /// Everything at zero.
    pub fn new() -> Self {
        let metrics = Self {
            registry: Registry::with_prefix("moim"),
            connections: Gauge::default(),
            sessions: Gauge::default(),
            rooms: Gauge::default(),
            pending_bytes: Gauge::default(),
            deliveries: Counter::default(),
            // 0.25 ms to 16 s.
            stored: Histogram::new(exponential_buckets(0.000_25, 2.0, 17)),
            refused: Family::default(),
            dropped: Family::default(),
        };
        metrics.registered()
    }

    fn registered(mut self) -> Self {
        let registry = &mut self.registry;
        registry.register("connections", "Open WebSocket connections", self.connections.clone());
        registry.register("sessions", "Connected STOMP sessions", self.sessions.clone());
        registry.register("rooms", "Rooms in memory", self.rooms.clone());
        registry.register_with_unit(
            "pending",
            "Sends that were taken and are not answered yet",
            Unit::Bytes,
            self.pending_bytes.clone(),
        );
        registry.register(
            "deliveries",
            "Messages put into the outboxes of subscribers",
            self.deliveries.clone(),
        );
        registry.register_with_unit(
            "send_stored",
            "From a SEND to its message being durable",
            Unit::Seconds,
            self.stored.clone(),
        );
        registry.register("refusals", "Refusals by their code", self.refused.clone());
        registry.register("drops", "Sessions and rooms ended by the server", self.dropped.clone());
        self
    }

    /// Messages were put into outboxes.
    pub fn delivered(&self, count: u64) {
        if count > 0 {
            self.deliveries.inc_by(count);
        }
    }

    /// A SEND became durable.
    pub fn stored(&self, took: Duration) {
        self.stored.observe(took.as_secs_f64());
    }

    /// A client was refused something.
    pub fn refused(&self, code: Code) {
        self.refused.get_or_create(&Reason { reason: code.as_str() }).inc();
    }

    /// Counts, once, a session that is ended by the server, and says so where it may need somebody.
    pub fn ended(&self, outbox: &Outbox) {
        match outbox.take_end() {
            Some(CloseReason::TOO_SLOW) => {
                self.dropped("too_slow");
                let session = outbox.session();
                tracing::warn!(
                    session.id = session,
                    "session {session} does not read and is closed; its client has to resume"
                );
            }
            Some(CloseReason::IDLE) => self.dropped("idle"),
            Some(_) | None => {}
        }
    }

    /// A session or room was ended by the server.
    pub fn dropped(&self, reason: &'static str) {
        self.dropped.get_or_create(&Reason { reason }).inc();
    }

    /// All of it in the OpenMetrics text format.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}
