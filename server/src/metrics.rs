//! Numbers for operators, as `/metrics` shows them.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use moim_shared::ids::RoomId;
use moim_shared::metrics::Standing;
use moim_shared::position::Position;
use moim_shared::trace::{Step, Traces, time_of};
use parking_lot::Mutex;
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

/// Why a session or room is ended by the server.
const ENDS: [&str; 4] = ["too_slow", "idle", "room_died", "too_many_connections"];
/// Why somebody is not let in.
pub const DENIALS: [&str; 9] = [
    "wrong",
    "ended",
    "invalid",
    "taken",
    "throttled",
    "crowded",
    "unavailable",
    "token",
    "no_token",
];

/// Counts refusals by their code. Those that sessions are told are counted by their outboxes, those
/// that HTTP requests are told by the outermost layer of HTTP, and nowhere else.
#[derive(Debug, Clone)]
pub struct Refusals(Arc<[Counter; Code::ALL.len()]>);

impl Refusals {
    fn of(family: &Family<Reason, Counter>) -> Self {
        let counter = |code: Code| family.get_or_create(&Reason { reason: code.as_str() }).clone();
        Self(Arc::new(Code::ALL.map(counter)))
    }

    /// A client was told that.
    pub fn count(&self, code: Code) {
        self.0[code as usize].inc();
    }
}

/// How often the log says of what comes again and again.
const TOLD: Duration = Duration::from_secs(1);

/// What the log was told of something.
#[derive(Debug, Default)]
struct Told {
    last: Option<Instant>,
    /// How often it was since.
    untold: u64,
}

impl Told {
    /// It is once more; how often it is to be told that it was, if it is time.
    fn another(&mut self, now: Instant) -> Option<u64> {
        self.untold += 1;
        if self.last.is_some_and(|last| now.saturating_duration_since(last) < TOLD) {
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.untold))
    }
}

/// What is so at a moment.
#[derive(Debug, Default)]
pub struct Now {
    /// Bytes that wait for clients to read them.
    pub outbox_bytes: Gauge,
    /// Messages in the mailboxes of rooms.
    pub mailboxes: Gauge,
    /// Bytes of SENDs that are not answered yet.
    pub pending_bytes: Gauge,
    /// Bytes that the queue has not confirmed.
    pub queue_bytes: Gauge,
    /// Seconds for which nothing of what nodes say was heard.
    pub canary_age: Gauge<f64, AtomicU64>,
}

/// The numbers of a node.
pub struct Metrics {
    registry: Registry,
    /// The ways of single messages.
    pub traces: Traces,
    /// Open WebSocket connections.
    pub connections: Gauge,
    /// HTTP requests that are not answered yet.
    pub requests: Gauge,
    /// Sessions that are connected.
    pub sessions: Gauge,
    /// Subscriptions that were not refused and have not ended.
    pub subscriptions: Gauge,
    /// Rooms in memory.
    pub rooms: Gauge,
    /// What clients are refused.
    pub refusals: Refusals,
    /// What is set when it is read.
    pub now: Now,
    /// What the node depends on.
    pub standing: Standing,
    /// Pages of messages that a room was not told of, and read.
    pub holes: Counter,
    /// Times that a room went on in a new epoch.
    pub epochs: Counter,
    deliveries: Counter<u64, AtomicU64>,
    stored: Histogram,
    delivered: Histogram,
    batches: Histogram,
    refused: Family<Reason, Counter>,
    denied: Family<Reason, Counter>,
    dropped: Family<Reason, Counter>,
    /// What the log has of each of [`DENIALS`].
    told: [Mutex<Told>; DENIALS.len()],
}

impl Metrics {
    /// Everything at zero.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("moim");
        // With all of them: what never happened is 0, and not unknown.
        let refused = Family::default();
        let metrics = Self {
            standing: Standing::registered(&mut registry),
            registry,
            traces: Traces::default(),
            connections: Gauge::default(),
            requests: Gauge::default(),
            sessions: Gauge::default(),
            subscriptions: Gauge::default(),
            rooms: Gauge::default(),
            refusals: Refusals::of(&refused),
            now: Now::default(),
            holes: Counter::default(),
            epochs: Counter::default(),
            deliveries: Counter::default(),
            // 0.25 ms to 16 s; times of day have whole ms.
            stored: Histogram::new(exponential_buckets(0.000_25, 2.0, 17)),
            delivered: Histogram::new(exponential_buckets(0.001, 2.0, 15)),
            batches: Histogram::new(exponential_buckets(1.0, 2.0, 11)),
            refused,
            denied: Family::default(),
            dropped: Family::default(),
            told: Default::default(),
        };
        for reason in ENDS {
            drop(metrics.dropped.get_or_create(&Reason { reason }));
        }
        for reason in DENIALS {
            drop(metrics.denied.get_or_create(&Reason { reason }));
        }
        metrics.registered()
    }

    /// The same, with the ways of messages.
    #[must_use]
    pub fn traced(self, traces: Traces) -> Self {
        Self { traces, ..self }
    }

    fn registered(mut self) -> Self {
        let (registry, now) = (&mut self.registry, &self.now);
        registry.register("connections", "Open WebSocket connections", self.connections.clone());
        let help = "HTTP requests that are not answered yet";
        registry.register("requests", help, self.requests.clone());
        registry.register("sessions", "Connected STOMP sessions", self.sessions.clone());
        registry.register("rooms", "Rooms in memory", self.rooms.clone());
        registry.register("subscriptions", "Subscriptions", self.subscriptions.clone());
        registry.register_with_unit(
            "outbox",
            "What waits for clients to read it",
            Unit::Bytes,
            now.outbox_bytes.clone(),
        );
        registry.register(
            "mailbox_messages",
            "What waits for rooms to take it",
            now.mailboxes.clone(),
        );
        registry.register_with_unit(
            "queue_waiting",
            "Messages whose confirm by the queue is waited for",
            Unit::Bytes,
            now.queue_bytes.clone(),
        );
        registry.register_with_unit(
            "canary_age",
            "How long what other nodes say was not heard",
            Unit::Seconds,
            now.canary_age.clone(),
        );
        registry.register_with_unit(
            "pending",
            "Sends that were taken and are not answered yet",
            Unit::Bytes,
            now.pending_bytes.clone(),
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
        registry.register_with_unit(
            "send_delivered",
            "From a SEND to its message in the outboxes of subscribers here, by the clocks of both nodes",
            Unit::Seconds,
            self.delivered.clone(),
        );
        registry.register(
            "batch_messages",
            "Messages that were given their places together",
            self.batches.clone(),
        );
        registry.register(
            "holes_filled",
            "Pages of messages that a room was not told of, and read",
            self.holes.clone(),
        );
        registry.register(
            "epochs_rolled",
            "Times that a room went on in a new epoch",
            self.epochs.clone(),
        );
        registry.register(
            "logins_refused",
            "CONNECTs and log-ins that were refused",
            self.denied.clone(),
        );
        registry.register("refusals", "Refusals that clients were told", self.refused.clone());
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

    /// A message that was sent at `sent_at` (ms since 1970) is in the outboxes at `now`.
    pub fn given(&self, room: &RoomId, at: Position, sent_at: u64, now: u64) {
        self.delivered.observe(now.saturating_sub(sent_at) as f64 / 1_000.0);
        self.traces.step(Step::Deliver, room, at, time_of(sent_at), time_of(now));
    }

    /// So many messages were given their places.
    pub fn placed(&self, count: usize) {
        self.batches.observe(count as f64);
    }

    /// Somebody was not let in, for one of [`DENIALS`]. Whoever guesses passwords does not write the
    /// log at their rate: it has the count since its last line, and where the last of them was.
    pub fn denied(&self, reason: &'static str, address: Option<IpAddr>) {
        let told = self.told.iter().zip(DENIALS).find(|(_, of)| *of == reason);
        let count = told.map_or(Some(1), |(told, _)| told.lock().another(Instant::now()));
        if let Some(count) = count {
            tracing::info!(
                reason,
                count,
                client.address = address.map(tracing::field::display),
                "somebody is not let in"
            );
        }
        self.denied.get_or_create(&Reason { reason }).inc();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_is_counted_as_itself() {
        let metrics = Metrics::new();
        for (times, code) in (1..).zip(Code::ALL) {
            (0..times).for_each(|_| metrics.refusals.count(code));
        }
        let text = metrics.text().unwrap();
        for (times, code) in (1..).zip(Code::ALL) {
            let line = format!("moim_refusals_total{{reason=\"{}\"}} {times}\n", code.as_str());
            assert!(text.contains(&line), "no {line} in {text}");
        }
    }

    #[test]
    fn what_comes_again_and_again_is_told_once_a_second_with_its_count() {
        let (mut told, begin) = (Told::default(), Instant::now());
        let at = |ms| begin + Duration::from_millis(ms);
        assert_eq!(told.another(at(0)), Some(1));
        assert!((0..999).all(|ms| told.another(at(ms)).is_none()));
        assert_eq!(told.another(at(1_000)), Some(1_000));
        assert_eq!(told.another(at(1_999)), None);
        assert_eq!(told.another(at(60_000)), Some(2));
    }
}
