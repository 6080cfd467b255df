//! Numbers for operators, as a worker's `/metrics` shows them.

use std::fmt;

use moim_shared::metrics::Standing;
use moim_shared::store::pushes::End;
use moim_shared::trace::Traces;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// What became of a push.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Pushed {
    end: &'static str,
}

/// All ends that pushes come to.
const ENDS: [&str; 4] = ["sent", "again", "failed", "unwanted"];

/// The numbers of a worker.
pub struct Metrics {
    registry: Registry,
    /// The ways of single messages.
    pub traces: Traces,
    /// What it depends on.
    pub standing: Standing,
    rows: Counter,
    lag: Histogram,
    insert: Histogram,
    late: Counter,
    buried: Counter,
    swept: Counter,
    pushes: Family<Pushed, Counter>,
    push_age: Histogram,
    /// AMQP messages that wait in RabbitMQ; set when it is read.
    pub queued: Gauge,
    /// AMQP messages with what can never be stored; set when it is read.
    pub dead: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("moim_worker");
        let metrics = Self {
            standing: Standing::registered(&mut registry),
            registry,
            traces: Traces::default(),
            rows: Counter::default(),
            // 1 ms to 32 s, and 0.25 ms to 16 s.
            lag: Histogram::new(exponential_buckets(0.001, 2.0, 16)),
            insert: Histogram::new(exponential_buckets(0.000_25, 2.0, 17)),
            late: Counter::default(),
            buried: Counter::default(),
            swept: Counter::default(),
            pushes: Family::default(),
            push_age: Histogram::new(exponential_buckets(0.001, 2.0, 20)),
            queued: Gauge::default(),
            dead: Gauge::default(),
        };
        // What never happened is 0, and not unknown.
        for end in ENDS {
            metrics.pushes.get_or_create(&Pushed { end });
        }
        metrics.registered()
    }
}

impl Metrics {
    /// The same, with the ways of messages.
    #[must_use]
    pub fn traced(self, traces: Traces) -> Self {
        Self { traces, ..self }
    }

    fn registered(mut self) -> Self {
        let registry = &mut self.registry;
        registry.register("rows", "Messages stored", self.rows.clone());
        registry.register_with_unit(
            "flush_lag",
            "From a node taking a message to its row",
            Unit::Seconds,
            self.lag.clone(),
        );
        registry.register_with_unit(
            "insert",
            "Writing one batch",
            Unit::Seconds,
            self.insert.clone(),
        );
        registry.register("late", "Messages said again in another epoch", self.late.clone());
        registry.register("buried", "Messages that can never be stored", self.buried.clone());
        registry.register("swept", "Messages queued again from the logs", self.swept.clone());
        registry.register("pushes", "Pushes by what became of them", self.pushes.clone());
        registry.register_with_unit(
            "push_age",
            "From a push being kept to the provider taking it",
            Unit::Seconds,
            self.push_age.clone(),
        );
        registry.register(
            "queued",
            "AMQP messages that wait in RabbitMQ, each of many envelopes",
            self.queued.clone(),
        );
        registry.register("dead", "AMQP messages in the dead letter queue", self.dead.clone());
        self
    }

    /// A batch was written in `took` seconds; how old each new row was, in ms.
    pub fn stored(&self, lags: impl Iterator<Item = u64>, took: f64) {
        self.insert.observe(took);
        for lag in lags {
            self.rows.inc();
            self.lag.observe(lag as f64 / 1_000.0);
        }
    }

    /// So many came after their epoch was closed.
    pub fn late(&self, count: usize) {
        self.late.inc_by(count as u64);
    }

    /// So many can never be stored.
    pub fn buried(&self, count: usize) {
        self.buried.inc_by(count as u64);
    }

    /// So many were queued again.
    pub fn swept(&self, count: usize) {
        self.swept.inc_by(count as u64);
    }

    /// A push came to this end; how old it was, in ms.
    pub fn pushed(&self, end: &End, age: u64) {
        let end = match end {
            End::Sent => {
                self.push_age.observe(age as f64 / 1_000.0);
                "sent"
            }
            End::Again { .. } => "again",
            End::Failed(_) => "failed",
            End::Unwanted(_) => "unwanted",
        };
        self.pushes.get_or_create(&Pushed { end }).inc();
    }

    /// All of it in the OpenMetrics text format.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
