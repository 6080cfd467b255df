//! The way of single messages through all processes, as spans for an OpenTelemetry collector (OTLP
//! over HTTP). Off unless `otlp_endpoint` says where that is.
//!
//! Which trace a message belongs to, and whether it is one of those that are shown, follows from its
//! room and position. So every process that has something to do with it knows both without being
//! told, and nothing of it is carried over RabbitMQ or kept in rows.
//!
//! Log lines about single messages have the trace's id; with this module at `debug` there is one for
//! each step, also without a collector.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use opentelemetry::trace::{
    SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchSpanProcessor, SpanData, SpanProcessor};
use parking_lot::Mutex;
use tracing::Level;
use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128};

use crate::config::Config;
use crate::envelope::Envelope;
use crate::https;
use crate::ids::RoomId;
use crate::position::Position;

/// How long the collector may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);
/// How long it may take at the end.
const LAST: Duration = Duration::from_secs(2);
/// How often it is said that it takes nothing.
const TOLD: Duration = Duration::from_secs(60);
/// No collector says more than that.
const ANSWER_MOST: u64 = 64 << 10;

/// What is done with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// All of it, from a SEND to its RECEIPT: what the others belong to.
    Send,
    /// It gets its place.
    Append,
    /// The queue takes it.
    Enqueue,
    /// It is put into the outboxes of subscribers of a node.
    Deliver,
    /// It is written into the database.
    Store,
    /// A device is told.
    Push,
}

impl Step {
    const fn name(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Append => "append",
            Self::Enqueue => "enqueue",
            Self::Deliver => "deliver",
            Self::Store => "store",
            Self::Push => "push",
        }
    }

    const fn kind(self) -> SpanKind {
        match self {
            Self::Send => SpanKind::Server,
            Self::Append | Self::Push => SpanKind::Client,
            Self::Enqueue => SpanKind::Producer,
            Self::Deliver => SpanKind::Internal,
            Self::Store => SpanKind::Consumer,
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct Traces(Option<Sink>);

#[derive(Debug)]
struct Sink {
    processor: BatchSpanProcessor,
    one_in: u64,
    scope: InstrumentationScope,
}

/// The ids of a message's trace.
struct Ids {
    trace: TraceId,
    root: SpanId,
    /// Evenly spread.
    chance: u64,
}

impl Ids {
    fn of(room: &RoomId, at: Position) -> Self {
        let name = format!("{room}/{at}");
        let trace = xxh3_128(name.as_bytes());
        Self {
            trace: TraceId::from(trace.max(1)),
            root: SpanId::from(xxh3_64_with_seed(name.as_bytes(), 1).max(1)),
            chance: trace as u64,
        }
    }
}

/// The id of a message's trace.
pub fn id(room: &RoomId, at: Position) -> TraceId {
    Ids::of(room, at).trace
}

impl Traces {
    /// Shows spans of `service` (`moim-server`, `moim-worker`) where the configuration says, if it
    /// does. An error is for the operator.
    pub fn start(config: &Config, service: &'static str) -> Result<Self, String> {
        let Some(endpoint) = &config.otlp_endpoint else { return Ok(Self(None)) };
        let agent = https::agent(endpoint.as_str(), PATIENCE);
        let client = Client { agent, told: Mutex::default() };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_protocol(Protocol::HttpBinary)
            .with_timeout(PATIENCE)
            .with_endpoint(endpoint.traces())
            .build()
            .map_err(|error| format!("`otlp_endpoint`: {error}"))?;
        // Its queue is bounded, and what does not fit is dropped.
        let mut processor = BatchSpanProcessor::builder(exporter).build();
        processor.set_resource(
            &Resource::builder_empty()
                .with_service_name(service)
                .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
                .build(),
        );
        Ok(Self(Some(Sink {
            processor,
            one_in: u64::from(config.otlp_one_in),
            scope: InstrumentationScope::builder("moim").build(),
        })))
    }

    /// Whether any step is shown, as a span or in the log.
    pub fn are_on(&self) -> bool {
        self.0.is_some() || tracing::enabled!(Level::DEBUG)
    }

    /// Shows a step of the message there, if that is one of those that are shown.
    pub fn step(&self, step: Step, room: &RoomId, at: Position, from: SystemTime, to: SystemTime) {
        self.show(step, None, (room, at), from, to);
    }

    fn show(
        &self,
        step: Step,
        session: Option<u64>,
        (room, at): (&RoomId, Position),
        from: SystemTime,
        to: SystemTime,
    ) {
        let name = step.name();
        tracing::debug!(step = name, session.id = session, room.id = %room, position = %at,
            trace.id = %id(room, at), took = ?to.duration_since(from).unwrap_or_default(),
            "a message's step: {name}");
        let Some(Sink { processor, one_in, scope }) = &self.0 else { return };
        let Ids { trace, root, chance } = Ids::of(room, at);
        if chance % one_in != 0 {
            return;
        }
        let (span, parent) = match step {
            Step::Send => (root, SpanId::INVALID),
            _ => (SpanId::from(rand::random::<u64>().max(1)), root),
        };
        processor.on_end(SpanData {
            span_context: SpanContext::new(
                trace,
                span,
                TraceFlags::SAMPLED,
                false,
                TraceState::default(),
            ),
            parent_span_id: parent,
            parent_span_is_remote: false,
            span_kind: step.kind(),
            name: name.into(),
            start_time: from,
            end_time: to.max(from),
            attributes: vec![
                KeyValue::new("room.id", room.to_string()),
                KeyValue::new("position", at.to_string()),
            ],
            dropped_attributes_count: 0,
            events: Default::default(),
            links: Default::default(),
            status: Status::Unset,
            instrumentation_scope: scope.clone(),
        });
    }

    /// Shows a step of these, which is over.
    pub fn steps<'a>(
        &self,
        step: Step,
        envelopes: impl IntoIterator<Item = &'a Arc<Envelope>>,
        from: SystemTime,
    ) {
        if self.are_on() {
            let to = SystemTime::now();
            for envelope in envelopes {
                self.step(step, &envelope.room, envelope.position, from, to);
            }
        }
    }

    /// Shows all of a message's way: a session's SEND of it is answered, which took so long.
    pub fn receipt(&self, session: Option<u64>, room: &RoomId, at: Position, took: Duration) {
        if self.are_on() {
            let to = SystemTime::now();
            let from = to.checked_sub(took).unwrap_or(to);
            self.show(Step::Send, session, (room, at), from, to);
        }
    }

    /// Says whose SEND it was that is answered with the place of an earlier one.
    pub fn answered(&self, session: Option<u64>, room: &RoomId, at: Position) {
        tracing::debug!(session.id = session, room.id = %room, position = %at,
            trace.id = %id(room, at), "a SEND that was sent before is answered");
    }

    /// Sends what waits, and is done by `until`.
    pub fn end(&self, until: Instant) {
        let left = until.saturating_duration_since(Instant::now()).min(LAST);
        if let Some(Sink { processor, .. }) = &self.0
            && !left.is_zero()
            && let Err(error) = processor.shutdown_with_timeout(left)
        {
            tracing::debug!(%error, "the last spans were not sent");
        }
    }
}

/// The time of so many ms since 1970.
pub fn time_of(ms: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(ms)
}

/// The client of the exporter, which calls it on a thread of its own.
#[derive(Debug)]
struct Client {
    agent: ureq::Agent,
    /// When it was last said that nothing is taken.
    told: Mutex<Option<Instant>>,
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let sent = self.send(request);
        if let Err(error) = &sent {
            let mut told = self.told.lock();
            if told.is_none_or(|told| told.elapsed() >= TOLD) {
                *told = Some(Instant::now());
                tracing::warn!(%error, "the collector takes no traces; they are dropped");
            }
        }
        Ok(sent?)
    }
}

impl Client {
    fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, ureq::Error> {
        let (parts, body) = request.into_parts();
        let mut answer = self.agent.run(Request::from_parts(parts, &body[..]))?;
        let said = answer.body_mut().with_config().limit(ANSWER_MOST).read_to_vec()?;
        let (parts, _) = answer.into_parts();
        Ok(Response::from_parts(parts, said.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_one_trace_wherever_it_is_and_chance_is_even() {
        let room = RoomId::parse("r").unwrap();
        let ids = |seq| Ids::of(&room, Position::new(7, seq));
        assert_eq!((ids(1).trace, ids(1).root), (ids(1).trace, ids(1).root));
        assert_ne!(ids(1).trace, ids(2).trace);
        let shown = (0..10_000).filter(|seq| ids(*seq).chance % 100 == 0).count();
        assert!((50..150).contains(&shown), "{shown} of 10,000 with one in a hundred");
    }
}
