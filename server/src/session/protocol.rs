//! What a frame asks for. Pure: no actix, no tokio, no clock; the duties of STOMP 1.0, 1.1 and 1.2
//! for everything after the bytes and before the room.

use std::sync::Arc;

use moim_shared::ids::{OriginId, RoomId};
use moim_shared::position::Position;
use moim_shared::signal::Topic;
use prometheus_client::metrics::gauge::Gauge;

use super::Limits;
use super::destination::{Destinations, Source};
use super::draft::Draft;
use super::subscriptions::{Entry, Subscriptions, Wanted};
use super::transaction::{Bounds, Held, Transactions};
use crate::outbox::{AckMode, Subscription};
use crate::refusal::{Code, Refusal};
use crate::room::Start;
use crate::shape::Shape;
use crate::stomp::{Command, Frame, Headers, Version};

/// What is to be done.
#[derive(Debug)]
pub enum Action {
    /// CONNECT or STOMP.
    Connect(Headers),
    /// Join a room.
    Join { room: RoomId, subscription: Arc<Subscription>, start: Start, receipt: Option<Box<str>> },
    /// Tell what happens in a room besides its messages.
    Watch { room: RoomId, subscription: Arc<Subscription>, receipt: Option<Box<str>> },
    /// Read an open topic.
    Listen { topic: Topic, subscription: Arc<Subscription>, receipt: Option<Box<str>> },
    /// Read a queue of the session's user.
    Queue { queue: Topic, subscription: Arc<Subscription>, receipt: Option<Box<str>> },
    /// Read the inbox of the session's user.
    Inbox { subscription: Arc<Subscription>, since: Option<Position>, receipt: Option<Box<str>> },
    /// Tell refusals there.
    Errors { subscription: Arc<Subscription>, receipt: Option<Box<str>> },
    /// End a subscription.
    Leave { entry: Option<Entry>, receipt: Option<Box<str>> },
    /// Send.
    Send(Draft),
    /// Carry out what was held.
    Commit { held: Vec<Held>, receipt: Option<Box<str>> },
    /// ACK, or NACK, which moves nothing.
    Ack { acked: Option<Acked>, receipt: Option<Box<str>> },
    /// Nothing but the RECEIPT.
    Confirm { receipt: Option<Box<str>> },
    /// Good-bye.
    Disconnect { receipt: Option<Box<str>> },
}

/// A room, and up to where its messages came in.
pub type Acked = (RoomId, Position);

/// Why a frame is not carried out.
#[derive(Debug)]
pub enum Violation {
    /// The protocol was broken: ERROR, and the session ends.
    Fatal(Refusal),
    /// A refusal that need not end the session.
    Refused(Refusal),
}

/// What holds for the sessions of a node.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// How much.
    pub limits: &'a Limits,
    /// Where to.
    pub destinations: &'a Destinations,
    /// Counts the subscriptions that there are.
    pub subscriptions: &'a Gauge,
}

/// The state of a session's protocol.
#[derive(Debug)]
pub struct Protocol {
    connected: Option<Version>,
    subscriptions: Subscriptions,
    transactions: Option<Box<Transactions>>,
}

impl Protocol {
    /// Before CONNECT.
    pub fn new() -> Self {
        Self { connected: None, subscriptions: Subscriptions::default(), transactions: None }
    }

    /// CONNECT was accepted.
    pub const fn connected(&mut self, version: Version) {
        self.connected = Some(version);
    }

    /// A subscription to the session's refusals, if there is one.
    pub fn errors(&self) -> Option<Arc<Subscription>> {
        self.subscriptions.to(&Source::Errors)
    }

    /// The rooms that the session reads; one may come twice.
    pub fn rooms(&self) -> impl Iterator<Item = &RoomId> {
        self.subscriptions.rooms()
    }

    /// Rooms of which messages came in; see [`Subscriptions::take_proved`].
    pub fn take_proved(&mut self) -> impl Iterator<Item = (RoomId, Position)> {
        self.subscriptions.take_proved()
    }

    /// Every subscription, taken out.
    pub fn take_subscriptions(&mut self) -> Vec<Entry> {
        self.subscriptions.take()
    }

    /// What the frame asks for. `binary`: it came in a binary message.
    pub fn on_frame(
        &mut self,
        frame: Frame,
        binary: bool,
        rules: &Rules<'_>,
    ) -> Result<Action, Violation> {
        let limits = rules.limits;
        let connecting = matches!(frame.command, Command::Connect | Command::Stomp);
        let version = match self.connected {
            None if connecting => return Ok(Action::Connect(frame.headers)),
            None => return Err(fatal("the first frame has to be CONNECT or STOMP")),
            Some(_) if connecting => return Err(fatal("the session is connected already")),
            Some(version) => version,
        };
        let headers = &frame.headers;
        let receipt = headers.get("receipt").map(Into::into);
        match frame.command {
            Command::Send => self.on_send(frame, binary, receipt, rules),
            Command::Subscribe => self.on_subscribe(headers, receipt, version, rules),
            Command::Unsubscribe => self.on_unsubscribe(headers, receipt, version),
            Command::Ack | Command::Nack => self.on_ack(&frame, receipt, version, limits),
            Command::Begin => {
                let bounds = bounds(limits);
                let transactions = self.transactions.get_or_insert_default();
                transactions
                    .begin(required(headers, "transaction")?, bounds)
                    .map_err(fatal_from)?;
                Ok(Action::Confirm { receipt })
            }
            Command::Commit => {
                let held = self.end_transaction(headers)?;
                Ok(Action::Commit { held, receipt })
            }
            Command::Abort => {
                self.end_transaction(headers)?;
                Ok(Action::Confirm { receipt })
            }
            Command::Disconnect => Ok(Action::Disconnect { receipt }),
            Command::Connect | Command::Stomp => Err(fatal("the session is connected already")),
            Command::Connected | Command::Message | Command::Receipt | Command::Error => {
                Err(fatal("only a server sends this frame"))
            }
        }
    }

    fn on_send(
        &mut self,
        frame: Frame,
        binary: bool,
        receipt: Option<Box<str>>,
        rules: &Rules<'_>,
    ) -> Result<Action, Violation> {
        let headers = &frame.headers;
        let destination = required(headers, "destination")?;
        let addressed = rules.destinations.target(destination, &frame.body);
        let (target, text) = addressed.map_err(Violation::Refused)?;
        let origin = headers.get("origin-id").map(OriginId::parse).transpose();
        let origin = origin.map_err(|error| {
            Violation::Refused(Refusal::new(Code::BadRequest, error.to_string()))
        })?;
        let content_type = headers.get("content-type").map(without_white_space);
        let octets = content_type.as_deref().is_some_and(is_octet_stream);
        let draft = match text {
            None => Draft {
                target,
                origin,
                binary: binary || octets || std::str::from_utf8(&frame.body).is_err(),
                content_type: content_type.filter(|text| !text.is_empty()),
                headers: forwarded(headers),
                body: frame.body.clone(),
                receipt,
            },
            // What the frame says of its body is not true of a part of it.
            Some(text) => Draft {
                target,
                origin,
                binary: false,
                content_type: Some(TEXT.into()),
                headers: forwarded(headers),
                body: text.into(),
                receipt,
            },
        };
        match headers.get("transaction") {
            None => Ok(Action::Send(draft)),
            Some(name) => self.hold(name, Held::Send(draft), rules.limits),
        }
    }

    fn on_subscribe(
        &mut self,
        headers: &Headers,
        receipt: Option<Box<str>>,
        version: Version,
        rules: &Rules<'_>,
    ) -> Result<Action, Violation> {
        let limits = rules.limits;
        let destination = required(headers, "destination")?;
        let id = headers.get("id");
        if id.is_none() && version != Version::V1_0 {
            return Err(fatal("SUBSCRIBE needs the header `id`"));
        }
        let ack = match headers.get("ack") {
            None | Some("auto") => AckMode::Auto,
            Some("client") => AckMode::Client,
            Some("client-individual") if version != Version::V1_0 => AckMode::ClientIndividual,
            Some(_) => return Err(fatal("`ack` is auto, client or client-individual")),
        };
        let named = rules.destinations.source(destination).map_err(Violation::Refused)?;
        let (source, shape) = match headers.get("envelope") {
            None => named,
            Some("json") if matches!(named.0, Source::Room(_)) => (named.0, Shape::Json),
            Some(_) => {
                let refusal = Refusal::new(
                    Code::BadRequest,
                    "`envelope` is json, for the messages of a room, or left out",
                );
                return Err(Violation::Refused(refusal));
            }
        };
        let start = start(headers, limits.history_max)?;
        if source == Source::Inbox && matches!(start, Start::Last(_)) {
            let detail = "an inbox has no history; say `since: 0-0` for all that there is";
            return Err(Violation::Refused(Refusal::new(Code::BadRequest, detail)));
        }
        self.subscriptions.forget_ended();
        let subscription = self
            .subscriptions
            .add(
                Wanted { id, destination, source: &source, ack, version, shape },
                limits.subscriptions,
                rules.subscriptions,
            )
            .map_err(fatal_from)?;
        Ok(match source {
            Source::Room(room) => Action::Join { room, subscription, start, receipt },
            Source::Events(room) => Action::Watch { room, subscription, receipt },
            Source::Topic(topic) => Action::Listen { topic, subscription, receipt },
            Source::Queue(queue) => Action::Queue { queue, subscription, receipt },
            Source::Inbox => {
                let since = match start {
                    Start::Since(since) => Some(since),
                    Start::Live | Start::Last(_) => None,
                };
                Action::Inbox { subscription, since, receipt }
            }
            Source::Errors => Action::Errors { subscription, receipt },
        })
    }

    fn on_unsubscribe(
        &mut self,
        headers: &Headers,
        receipt: Option<Box<str>>,
        version: Version,
    ) -> Result<Action, Violation> {
        let id = headers.get("id");
        let destination = headers.get("destination").filter(|_| version == Version::V1_0);
        if id.is_none() && destination.is_none() {
            return Err(fatal("UNSUBSCRIBE needs the header `id`"));
        }
        // One that is not there (any more) is what the client wants.
        let entry = self.subscriptions.remove(id, destination);
        if let Some(entry) = &entry {
            entry.subscription.end();
        }
        Ok(Action::Leave { entry, receipt })
    }

    fn on_ack(
        &mut self,
        frame: &Frame,
        receipt: Option<Box<str>>,
        version: Version,
        limits: &Limits,
    ) -> Result<Action, Violation> {
        if frame.command == Command::Nack && version == Version::V1_0 {
            return Err(fatal("STOMP 1.0 has no NACK"));
        }
        let mut acked = self.acked(&frame.headers, version)?;
        if frame.command == Command::Nack {
            acked = None;
        }
        match frame.headers.get("transaction") {
            None => Ok(Action::Ack { acked, receipt }),
            Some(name) => self.hold(name, Held::Ack(acked, receipt), limits),
        }
    }

    /// What an ACK names, which has to be a message that was sent to be acknowledged: a room, and up
    /// to where its messages came in. One for a subscription that has ended since is a race that the
    /// client cannot avoid, and harmless.
    fn acked(&self, headers: &Headers, version: Version) -> Result<Option<Acked>, Violation> {
        let (entry, position) = match version {
            Version::V1_2 => {
                let id = required(headers, "id")?;
                let (number, position) = id
                    .split_once('/')
                    .ok_or_else(|| fatal("`id` is not the `ack` of a message"))?;
                let named = number.parse::<u32>().ok().zip(position.parse::<Position>().ok());
                let (number, position) =
                    named.ok_or_else(|| fatal("`id` is not the `ack` of a message"))?;
                (self.subscriptions.numbered(number), Some(position))
            }
            Version::V1_1 => {
                let id = required(headers, "message-id")?;
                let entry = self.subscriptions.with_id(required(headers, "subscription")?);
                (entry, message_of_room(id).map(|(_, position)| position))
            }
            // It names no subscription.
            Version::V1_0 => match message_of_room(required(headers, "message-id")?) {
                Some((room, position)) => (self.subscriptions.in_room(&room), Some(position)),
                None => (None, None),
            },
        };
        let Some(entry) = entry else { return Ok(None) };
        match (&entry.source, entry.subscription.ack) {
            (_, AckMode::Auto) => Err(fatal("this subscription acknowledges by itself (ack:auto)")),
            (Source::Room(room), AckMode::Client | AckMode::ClientIndividual) => {
                let given = entry.subscription.given();
                Ok(position.map(|position| (room.clone(), position.min(given))))
            }
            _ => Ok(None),
        }
    }

    fn hold(&mut self, name: &str, held: Held, limits: &Limits) -> Result<Action, Violation> {
        let transactions = self.transactions.get_or_insert_default();
        transactions.hold(name, held, bounds(limits)).map_err(fatal_from)?;
        Ok(Action::Confirm { receipt: None })
    }

    fn end_transaction(&mut self, headers: &Headers) -> Result<Vec<Held>, Violation> {
        let name = required(headers, "transaction")?;
        self.transactions.get_or_insert_default().end(name).map_err(fatal_from)
    }
}

/// What a `message-id` of a room's message names.
fn message_of_room(id: &str) -> Option<Acked> {
    let (room, position) = id.split_once('/')?;
    RoomId::parse(room).ok().zip(position.parse().ok())
}

const fn bounds(limits: &Limits) -> Bounds {
    Bounds {
        open: limits.transactions,
        frames: limits.transaction_frames,
        bytes: limits.transaction_bytes,
    }
}

/// Where a subscription starts: `since` beats `history`.
fn start(headers: &Headers, history_max: usize) -> Result<Start, Violation> {
    if let Some(since) = headers.get("since") {
        let since = since.parse::<Position>().map_err(|error| {
            Violation::Refused(Refusal::new(Code::BadRequest, format!("since: {error}")))
        })?;
        return Ok(Start::Since(since));
    }
    let Some(history) = headers.get("history") else { return Ok(Start::Live) };
    match history.parse::<usize>() {
        Ok(count) if count <= history_max => Ok(Start::Last(count)),
        _ => Err(Violation::Refused(Refusal::new(
            Code::BadRequest,
            format!("history is a number up to {history_max}"),
        ))),
    }
}

/// The type of a text that was taken out of a JSON body.
const TEXT: &str = "text/plain;charset=UTF-8";

/// Headers of a SEND that are not the sender's to pass on: they are the frame's own, ours, or
/// secret.
const NOT_FORWARDED: [&str; 21] = [
    "destination",
    "content-length",
    "content-type",
    "receipt",
    "transaction",
    "origin-id",
    "message-id",
    "subscription",
    "ack",
    "position",
    "sender",
    "sender-name",
    "timestamp",
    "room",
    "recovered",
    "receipt-id",
    "login",
    "passcode",
    "authorization",
    "heart-beat",
    "redelivered",
];

fn forwarded(headers: &Headers) -> Vec<(String, String)> {
    let own = |name: &str| NOT_FORWARDED.iter().any(|own| name.eq_ignore_ascii_case(own));
    headers
        .iter()
        .filter(|(name, value)| {
            !own(name) && crate::stomp::is_safe_header(Version::V1_2, name, value)
        })
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// Whatever its case and parameters (RFC 9110, section 8.3.1).
fn is_octet_stream(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default();
    kind.eq_ignore_ascii_case("application/octet-stream")
}

/// Android's parser goes deaf on a space.
fn without_white_space(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

fn required<'a>(headers: &'a Headers, name: &'static str) -> Result<&'a str, Violation> {
    headers.get(name).ok_or_else(|| {
        Violation::Fatal(Refusal::new(Code::BadRequest, format!("the header `{name}` is missing")))
    })
}

fn fatal(detail: &'static str) -> Violation {
    Violation::Fatal(Refusal::new(Code::BadRequest, detail))
}

const fn fatal_from(refusal: Refusal) -> Violation {
    Violation::Fatal(refusal)
}
