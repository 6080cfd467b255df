//! What waits in an outbox, and how it looks on the socket.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use moim_shared::ids::RoomId;
use moim_shared::position::Position;
use parking_lot::Mutex;
use prometheus_client::metrics::gauge::Gauge;

use super::close::CloseReason;
use crate::shape::Shape;
use crate::stomp::{Command, FrameWriter, Version};

/// How a subscription acknowledges (STOMP 1.2, "SUBSCRIBE ack Header").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AckMode {
    /// Not at all.
    #[default]
    Auto,
    /// Up to and with a message.
    Client,
    /// Message by message.
    ClientIndividual,
}

/// A subscription as those see it who deliver to it.
#[derive(Debug)]
pub struct Subscription {
    /// Number inside the session, for `ack` values.
    pub number: u32,
    /// How it acknowledges.
    pub ack: AckMode,
    /// The version of its session.
    pub version: Version,
    /// How the bodies of its messages look.
    pub shape: Shape,
    /// Command line and the headers that are the same in all its messages.
    head: Box<[u8]>,
    ended: AtomicBool,
    /// The last message of a room that was put in.
    given: Mutex<Position>,
    /// Of an inbox: the last message of each room that it was told of, until somebody asks.
    told: Mutex<BTreeMap<RoomId, Position>>,
    /// The next message has to say `recovered:false`.
    unrecovered: AtomicBool,
    /// Counts it until it is ended.
    gauge: Option<Gauge>,
}

impl Subscription {
    /// A subscription with the client's `id` (1.0 may have none) to `destination`, exactly as it
    /// said it.
    pub fn new(
        number: u32,
        id: Option<&str>,
        destination: &str,
        ack: AckMode,
        version: Version,
    ) -> Self {
        let mut head = Vec::with_capacity(64);
        let frame = FrameWriter::new(&mut head, Command::Message, version);
        let frame = match id {
            Some(id) => frame.header("subscription", id),
            None => frame,
        };
        frame.header("destination", destination).end_with(b"");
        Self {
            number,
            ack,
            version,
            shape: Shape::Plain,
            head: head.into_boxed_slice(),
            ended: AtomicBool::new(false),
            given: Default::default(),
            told: Mutex::default(),
            unrecovered: AtomicBool::new(false),
            gauge: None,
        }
    }

    /// The same with bodies of another shape.
    #[must_use]
    pub fn shaped(mut self, shape: Shape) -> Self {
        self.shape = shape;
        self
    }

    /// The same, counted from now until it is ended, whoever ends it.
    #[must_use]
    pub fn counted_by(mut self, gauge: Gauge) -> Self {
        gauge.inc();
        self.gauge = Some(gauge);
        self
    }

    /// Nothing is delivered from now on, not even what waits already.
    pub fn end(&self) {
        if !self.ended.swap(true, Ordering::Relaxed)
            && let Some(gauge) = &self.gauge
        {
            gauge.dec();
        }
    }

    /// Whether it was ended.
    pub fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// A room's messages up to here were put in.
    pub(super) fn gave(&self, upto: Position) {
        *self.given.lock() = upto;
    }

    /// The end of a room was told.
    pub(super) fn told(&self, room: &RoomId, upto: Position) {
        self.told.lock().insert(room.clone(), upto);
    }

    /// The ends of rooms that were told since it was asked last.
    pub fn take_told(&self) -> impl Iterator<Item = (RoomId, Position)> + use<> {
        std::mem::take(&mut *self.told.lock()).into_iter()
    }

    /// Up to where a room's messages were put in.
    pub fn given(&self) -> Position {
        *self.given.lock()
    }

    /// Messages were missed and there is no RECEIPT to say so: the next message will.
    pub fn missed_some(&self) {
        self.unrecovered.store(true, Ordering::Relaxed);
    }

    /// Whether the next message still has to say it.
    pub(super) fn has_missed_some(&self) -> bool {
        self.unrecovered.load(Ordering::Relaxed)
    }

    fn write_head(&self, tail: &Tail, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.head);
        if self.ack != AckMode::Auto && self.version == Version::V1_2 && !tail.ack.is_empty() {
            let number = self.number;
            // Writing into a Vec cannot fail.
            let _ = std::io::Write::write_fmt(out, format_args!("ack:{number}/{}\n", tail.ack));
        }
        if self.unrecovered.load(Ordering::Relaxed) && !tail.ack.is_empty() {
            self.unrecovered.store(false, Ordering::Relaxed);
            out.extend_from_slice(b"recovered:false\n");
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.end();
    }
}

/// What all receivers of a message share: the rest of its headers, its body and the NUL.
#[derive(Debug)]
pub struct Tail {
    bytes: Box<[u8]>,
    binary: bool,
    /// What an `ack` value names the message by; empty for what is not acknowledged.
    ack: String,
}

impl Tail {
    /// A tail from its encoded bytes.
    pub fn new(bytes: Vec<u8>, binary: bool, ack: String) -> Self {
        Self { bytes: bytes.into_boxed_slice(), binary, ack }
    }

    /// Its size.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Never true: it ends with a NUL at least.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

#[derive(Debug)]
pub(super) struct Entry {
    /// ms after the session opened.
    pub at: u64,
    pub item: Item,
}

#[derive(Debug)]
pub(super) enum Item {
    Message(Arc<Subscription>, Arc<Tail>),
    /// The end of WebSocket messages whose beginning the socket took already.
    Rest(Box<[u8]>),
    Frame(Box<[u8]>),
    Beat,
    Ping,
    Pong(Box<[u8]>),
    Close(CloseReason),
}

/// What an entry costs beside its bytes.
const OVERHEAD: usize = 48;

impl Item {
    /// Bytes that it counts for.
    pub fn weight(&self) -> usize {
        OVERHEAD
            + match self {
                Self::Message(subscription, tail) => subscription.head.len() + tail.bytes.len(),
                Self::Rest(bytes) | Self::Frame(bytes) | Self::Pong(bytes) => bytes.len(),
                Self::Beat | Self::Ping | Self::Close(_) => 0,
            }
    }

    /// Bytes of its weight that were taken from the bound: a close is pushed without asking.
    pub fn counted(&self) -> usize {
        if matches!(self, Self::Close(_)) { 0 } else { self.weight() }
    }

    /// Bytes above the bound that it may still take: a reply fits when messages do not.
    pub fn allowance(&self) -> usize {
        match self {
            Self::Message(..) | Self::Beat | Self::Ping => 0,
            Self::Frame(_) | Self::Pong(_) | Self::Close(_) => 64 * 1024,
            // Half a message must not stay behind.
            Self::Rest(bytes) => bytes.len(),
        }
    }

    /// Appends it to `out` as one WebSocket message (RFC 6455, section 5.2; a server does not
    /// mask). What was ended meanwhile writes nothing.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Message(subscription, tail) => write_message(subscription, tail, out),
            Self::Rest(bytes) => out.extend_from_slice(bytes),
            Self::Frame(bytes) => whole(out, TEXT, bytes),
            Self::Beat => whole(out, TEXT, b"\n"),
            Self::Ping => whole(out, PING, b""),
            Self::Pong(bytes) => whole(out, PONG, bytes),
            Self::Close(reason) => {
                let start = reserve_head(out);
                out.extend_from_slice(&reason.code.to_be_bytes());
                out.extend_from_slice(reason.to_string().as_bytes());
                write_head(out, start, CLOSE);
            }
        }
    }
}

/// Appends one message of a subscription.
pub(super) fn write_message(subscription: &Subscription, tail: &Tail, out: &mut Vec<u8>) {
    if subscription.is_ended() {
        return;
    }
    let start = reserve_head(out);
    subscription.write_head(tail, out);
    out.extend_from_slice(&tail.bytes);
    write_head(out, start, if tail.binary { BINARY } else { TEXT });
}

// A final frame's first byte (RFC 6455, section 5.2).
const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;

/// The longest head of an unmasked frame.
const HEAD: usize = 10;

fn whole(out: &mut Vec<u8>, first: u8, bytes: &[u8]) {
    let start = reserve_head(out);
    out.extend_from_slice(bytes);
    write_head(out, start, first);
}

fn reserve_head(out: &mut Vec<u8>) -> usize {
    let start = out.len();
    // Most messages are of the two-byte length; the others are moved once.
    out.extend_from_slice(&[0; 4]);
    start
}

fn write_head(out: &mut Vec<u8>, start: usize, first: u8) {
    let length = out.len() - start - 4;
    let mut head = [0; HEAD];
    head[0] = first;
    let used = if length < 126 {
        head[1] = length as u8;
        2
    } else if let Ok(short) = u16::try_from(length) {
        head[1] = 126;
        head[2..4].copy_from_slice(&short.to_be_bytes());
        4
    } else {
        head[1] = 127;
        head[2..10].copy_from_slice(&(length as u64).to_be_bytes());
        10
    };
    if used == 4 {
        out[start..start + 4].copy_from_slice(&head[..4]);
    } else {
        out.splice(start..start + 4, head[..used].iter().copied());
    }
}
