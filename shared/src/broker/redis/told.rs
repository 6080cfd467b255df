//! What goes over channels: messages that became visible, changed memberships, signals, canaries.
//!
//! A letter and a line of text, then what it is about. Signals are protocol buffers, as in
//! [`crate::wire`]: **field numbers are for ever**.

mod people;

use std::sync::Arc;

use bytes::{Buf, Bytes};
use prost::Message;

use self::people::{WireHere, WireNode, WirePerson, WirePresence, node};
use crate::broker::MembersChanged;
use crate::envelope::Envelope;
use crate::ids::{RoomId, UserId};
use crate::position::Position;
use crate::signal::{Event, Flash, Person, Signal, Topic};
use crate::store::accounts::{Revocation, Subject};
use crate::wire;

/// Something that came over a channel.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// Messages of a room.
    Published { after: Position, envelopes: Vec<Arc<Envelope>> },
    /// Memberships of a room.
    Members(MembersChanged),
    /// A signal.
    Signal(Signal),
    /// A signal of a kind that only newer programs know.
    Unknown,
    /// A node's own voice.
    Canary,
}

/// Nothing that this program can read. A newer one may have said it.
#[derive(Debug, thiserror::Error)]
#[error("a message on a channel cannot be read: {0}")]
pub(super) struct Unreadable(String);

fn unreadable(why: impl ToString) -> Unreadable {
    Unreadable(why.to_string())
}

/// What a node says to itself.
pub(super) const CANARY: &[u8] = b"C\n";

impl Told {
    /// Reads a message; `room` is the one whose channel it came on.
    pub(super) fn read(mut bytes: Bytes, room: Option<&RoomId>) -> Result<Self, Unreadable> {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let line = bytes.split_to(end.ok_or_else(|| unreadable("no line"))?);
        bytes.advance(1);
        let line = std::str::from_utf8(&line).map_err(unreadable)?;
        let mut words = line.split(' ');
        match (words.next(), room) {
            (Some("P"), Some(room)) => {
                let mut word = || words.next().ok_or_else(|| unreadable("too few words"));
                let epoch = word()?.parse().map_err(unreadable)?;
                let first = word()?.parse().map_err(unreadable)?;
                let after = word()?.parse().map_err(unreadable)?;
                let envelopes = messages(bytes, room, Position::new(epoch, first))?;
                Ok(Self::Published { after, envelopes })
            }
            (Some("M"), Some(_)) => {
                let version = words.next().map(str::parse).and_then(Result::ok);
                let users = std::str::from_utf8(&bytes).map_err(unreadable)?;
                let users: Result<Vec<_>, _> = users.lines().map(UserId::parse).collect();
                Ok(Self::Members(MembersChanged {
                    version: version.ok_or_else(|| unreadable("no version"))?,
                    users: users.map_err(unreadable)?.into(),
                }))
            }
            (Some("S"), _) => {
                let wire = WireSignal::decode(bytes).map_err(unreadable)?;
                Ok(wire.signal()?.map_or(Self::Unknown, Self::Signal))
            }
            (Some("C"), _) => Ok(Self::Canary),
            _ => Err(unreadable("of a kind that is not known")),
        }
    }
}

fn messages(
    mut bytes: Bytes,
    room: &RoomId,
    first: Position,
) -> Result<Vec<Arc<Envelope>>, Unreadable> {
    let mut envelopes = Vec::new();
    let mut position = first;
    while bytes.has_remaining() {
        let length = bytes.try_get_u32().map_err(unreadable)? as usize;
        if length > bytes.len() {
            return Err(unreadable("it is cut off"));
        }
        envelopes.push(placed(bytes.split_to(length), room, position)?);
        position = position.next();
    }
    Ok(envelopes)
}

/// A message of a log, which does not say where it stands.
pub(super) fn placed(
    bytes: Bytes,
    room: &RoomId,
    position: Position,
) -> Result<Arc<Envelope>, Unreadable> {
    let envelope = wire::decode(bytes).map_err(unreadable)?;
    Ok(Arc::new(Envelope { room: room.clone(), position, ..envelope }))
}

/// A signal as it goes over its channel.
pub(super) fn signal(signal: &Signal) -> Vec<u8> {
    let mut bytes = b"S\n".to_vec();
    // A Vec has room for everything.
    let _ = WireSignal::of(signal).encode(&mut bytes);
    bytes
}

#[derive(Clone, PartialEq, Message)]
struct WireSignal {
    #[prost(oneof = "Kind", tags = "1, 2, 3, 4, 5, 6")]
    kind: Option<Kind>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Kind {
    #[prost(message, tag = "1")]
    Event(WireEvent),
    #[prost(message, tag = "2")]
    Topic(WireFlash),
    #[prost(message, tag = "3")]
    User(WireFlash),
    #[prost(message, tag = "4")]
    Revoked(WireRevocation),
    /// A room.
    #[prost(string, tag = "5")]
    Inbox(String),
    #[prost(message, tag = "6")]
    Own(WireOwn),
}

#[derive(Clone, PartialEq, Message)]
struct WireOwn {
    #[prost(string, tag = "1")]
    user: String,
    #[prost(string, tag = "2")]
    room: String,
}

#[derive(Clone, PartialEq, Message)]
struct WireEvent {
    #[prost(string, tag = "1")]
    room: String,
    #[prost(oneof = "What", tags = "2, 3, 4, 5, 6, 7, 8")]
    what: Option<What>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum What {
    #[prost(message, tag = "2")]
    Typing(WireTyping),
    #[prost(message, tag = "3")]
    Read(WireRead),
    #[prost(message, tag = "4")]
    Here(WireHere),
    #[prost(message, tag = "5")]
    Changed(Nothing),
    #[prost(message, tag = "6")]
    Presence(WirePresence),
    #[prost(message, tag = "7")]
    Delivered(WireDelivered),
    #[prost(message, tag = "8")]
    WhoIsHere(WireNode),
}

#[derive(Clone, PartialEq, Message)]
struct Nothing {}

#[derive(Clone, PartialEq, Message)]
struct WireTyping {
    #[prost(message, optional, tag = "1")]
    who: Option<WirePerson>,
    #[prost(bool, tag = "2")]
    typing: bool,
}

#[derive(Clone, PartialEq, Message)]
struct WireRead {
    #[prost(string, tag = "1")]
    user: String,
    #[prost(uint64, tag = "2")]
    epoch: u64,
    #[prost(uint64, tag = "3")]
    seq: u64,
}

#[derive(Clone, PartialEq, Message)]
struct WireDelivered {
    #[prost(message, repeated, tag = "1")]
    users: Vec<WireRead>,
}

#[derive(Clone, PartialEq, Message)]
struct WireFlash {
    #[prost(string, tag = "1")]
    topic: String,
    /// Whose queue it is, of a message to a user.
    #[prost(string, tag = "2")]
    user: String,
    #[prost(message, optional, tag = "3")]
    sender: Option<WirePerson>,
    #[prost(uint64, tag = "4")]
    sent_at: u64,
    #[prost(string, optional, tag = "5")]
    content_type: Option<String>,
    #[prost(bool, tag = "6")]
    binary: bool,
    #[prost(string, repeated, tag = "7")]
    headers: Vec<String>,
    #[prost(bytes = "bytes", tag = "8")]
    body: Bytes,
}

#[derive(Clone, PartialEq, Message)]
struct WireRevocation {
    #[prost(oneof = "Whose", tags = "1, 2, 3")]
    whose: Option<Whose>,
    #[prost(uint64, tag = "4")]
    before: u64,
    #[prost(uint64, tag = "5")]
    until: u64,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Whose {
    #[prost(string, tag = "1")]
    User(String),
    #[prost(string, tag = "2")]
    Login(String),
    #[prost(string, tag = "3")]
    Token(String),
}

fn user(text: &str) -> Result<UserId, Unreadable> {
    UserId::parse(text).map_err(unreadable)
}

fn part<T>(part: Option<T>) -> Result<T, Unreadable> {
    part.ok_or_else(|| unreadable("a part is missing"))
}

impl WireRead {
    fn of(user: &UserId, position: Position) -> Self {
        Self { user: user.to_string(), epoch: position.epoch, seq: position.seq }
    }

    fn read(&self) -> Result<(UserId, Position), Unreadable> {
        Ok((user(&self.user)?, Position::new(self.epoch, self.seq)))
    }
}

impl WireEvent {
    fn of(room: &RoomId, event: &Event) -> Self {
        let what = match event {
            Event::Typing { user, name, typing } => What::Typing(WireTyping {
                who: Some(WirePerson::called(user, name.as_deref())),
                typing: *typing,
            }),
            Event::Read { user, position } => What::Read(WireRead::of(user, *position)),
            Event::Delivered { users } => What::Delivered(WireDelivered {
                users: users.iter().map(|(user, at)| WireRead::of(user, *at)).collect(),
            }),
            Event::Here(here) => What::Here(WireHere::of(here.as_ref())),
            Event::Changed => What::Changed(Nothing {}),
            Event::Presence(moves) => What::Presence(WirePresence::of(moves)),
            Event::WhoIsHere { node } => What::WhoIsHere(WireNode { node: node.to_string() }),
        };
        Self { room: room.to_string(), what: Some(what) }
    }

    /// `None`: it is of a kind that is not known here.
    fn event(self) -> Result<Option<Signal>, Unreadable> {
        let Some(what) = self.what else { return Ok(None) };
        let event = match what {
            What::Typing(WireTyping { who, typing }) => {
                let Person { user, name, .. } = part(who)?.person()?;
                Event::Typing { user, name, typing }
            }
            What::Read(read) => {
                let (user, position) = read.read()?;
                Event::Read { user, position }
            }
            What::Delivered(WireDelivered { users }) => Event::Delivered {
                users: users.iter().map(WireRead::read).collect::<Result<_, _>>()?,
            },
            What::Here(here) => Event::Here(here.here()?),
            What::Changed(_) => Event::Changed,
            What::Presence(presence) => Event::Presence(presence.moves()?),
            What::WhoIsHere(asks) => Event::WhoIsHere { node: part(node(&asks.node)?)? },
        };
        Ok(Some(Signal::Event(RoomId::parse(&self.room).map_err(unreadable)?, event)))
    }
}

impl WireFlash {
    fn of(topic: &Topic, user: Option<&UserId>, flash: &Flash) -> Self {
        Self {
            topic: topic.to_string(),
            user: user.map(ToString::to_string).unwrap_or_default(),
            sender: Some(WirePerson::called(&flash.sender, flash.sender_name.as_deref())),
            sent_at: flash.sent_at,
            content_type: flash.content_type.clone(),
            binary: flash.binary,
            headers: flash
                .headers
                .iter()
                .flat_map(|(name, value)| [name.clone(), value.clone()])
                .collect(),
            body: flash.body.clone(),
        }
    }

    fn topic(&self) -> Result<Topic, Unreadable> {
        Topic::parse(&self.topic).map_err(unreadable)
    }

    fn flash(self) -> Result<Arc<Flash>, Unreadable> {
        let Person { user: sender, name: sender_name, .. } = part(self.sender)?.person()?;
        let mut headers = Vec::with_capacity(self.headers.len() / 2);
        let mut texts = self.headers.into_iter();
        while let (Some(name), Some(value)) = (texts.next(), texts.next()) {
            headers.push((name, value));
        }
        Ok(Arc::new(Flash {
            sender,
            sender_name,
            sent_at: self.sent_at,
            content_type: self.content_type,
            binary: self.binary,
            headers,
            body: self.body,
        }))
    }
}

impl WireSignal {
    fn of(signal: &Signal) -> Self {
        let kind = match signal {
            Signal::Event(room, event) => Kind::Event(WireEvent::of(room, event)),
            Signal::Topic(topic, flash) => Kind::Topic(WireFlash::of(topic, None, flash)),
            Signal::User(user, queue, flash) => Kind::User(WireFlash::of(queue, Some(user), flash)),
            Signal::Revoked(Revocation { subject, before, until }) => {
                let whose = match subject {
                    Subject::User(user) => Whose::User(user.to_string()),
                    Subject::Login(id) => Whose::Login(id.clone()),
                    Subject::Token(id) => Whose::Token(id.clone()),
                };
                Kind::Revoked(WireRevocation { whose: Some(whose), before: *before, until: *until })
            }
            Signal::Inbox(room) => Kind::Inbox(room.to_string()),
            Signal::Own(user, room) => {
                Kind::Own(WireOwn { user: user.to_string(), room: room.to_string() })
            }
        };
        Self { kind: Some(kind) }
    }

    /// `None`: it is of a kind that is not known here.
    fn signal(self) -> Result<Option<Signal>, Unreadable> {
        let Some(kind) = self.kind else { return Ok(None) };
        let signal = match kind {
            Kind::Event(event) => return event.event(),
            Kind::Topic(flash) => Signal::Topic(flash.topic()?, flash.flash()?),
            Kind::User(flash) => Signal::User(user(&flash.user)?, flash.topic()?, flash.flash()?),
            Kind::Revoked(WireRevocation { whose, before, until }) => {
                let subject = match part(whose)? {
                    Whose::User(it) => Subject::User(user(&it)?),
                    Whose::Login(id) => Subject::Login(id),
                    Whose::Token(id) => Subject::Token(id),
                };
                Signal::Revoked(Revocation { subject, before, until })
            }
            Kind::Inbox(room) => Signal::Inbox(RoomId::parse(&room).map_err(unreadable)?),
            Kind::Own(WireOwn { user: whose, room }) => {
                Signal::Own(user(&whose)?, RoomId::parse(&room).map_err(unreadable)?)
            }
        };
        Ok(Some(signal))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::NodeId;
    use crate::signal::{Here, Moves};

    fn flash() -> Arc<Flash> {
        Arc::new(Flash {
            sender: UserId::parse("mina").unwrap(),
            sender_name: Some("미나".into()),
            sent_at: 7,
            content_type: None,
            binary: true,
            headers: vec![("a".into(), "b:c".into()), ("d".into(), String::new())],
            body: Bytes::from_static(b"\0x"),
        })
    }

    #[test]
    fn every_signal_comes_back_as_it_was() {
        let room = RoomId::parse("lobby").unwrap();
        let mina = UserId::parse("mina").unwrap();
        let topic = Topic::parse("chat.general").unwrap();
        let (joon, node) = (UserId::parse("joon").unwrap(), NodeId::parse("one").unwrap());
        let person = Person { user: mina.clone(), name: Some("Mina".into()), away: true };
        let events = [
            Event::Typing { user: mina.clone(), name: None, typing: true },
            Event::Read { user: mina.clone(), position: Position::new(7, 1) },
            Event::Delivered {
                users: vec![
                    (mina.clone(), Position::new(7, 1)),
                    (joon.clone(), Position::new(8, u64::MAX)),
                ],
            },
            Event::Here(None),
            Event::Here(Some(Here { node: node.clone(), people: vec![person.clone()], count: 7 })),
            Event::Changed,
            Event::Presence(Moves {
                node: Some(node.clone()),
                arrived: vec![person],
                departed: vec![(joon.clone(), Some(7)), (mina.clone(), None)],
                away: vec![mina.clone()],
                back: vec![joon],
                count: 2,
            }),
            Event::Presence(Moves::default()),
            Event::WhoIsHere { node },
        ];
        let subjects =
            [Subject::User(mina.clone()), Subject::Login("l".into()), Subject::Token("t".into())];
        let signals = events
            .into_iter()
            .map(|event| Signal::Event(room.clone(), event))
            .chain([Signal::Topic(topic.clone(), flash())])
            .chain([Signal::User(mina.clone(), topic, flash())])
            .chain([Signal::Inbox(room.clone()), Signal::Own(mina, room.clone())])
            .chain(
                subjects
                    .map(|subject| Signal::Revoked(Revocation { subject, before: 1, until: 2 })),
            );
        for said in signals {
            let heard = Told::read(signal(&said).into(), None).unwrap();
            assert_eq!(heard, Told::Signal(said));
        }
    }

    #[test]
    fn what_only_a_newer_program_says_is_told_apart_from_nonsense() {
        // Field 99 in place of a kind; and in an event of the room "r", in place of what happened.
        let (kind, what) = (b"S\n\x9a\x06\0", b"S\n\x0a\x06\x0a\x01r\x9a\x06\0");
        let room = RoomId::parse("r").unwrap();
        for newer in [&kind[..], what] {
            let heard = Told::read(Bytes::copy_from_slice(newer), Some(&room)).unwrap();
            assert_eq!(heard, Told::Unknown);
        }
        // Cut off.
        assert!(Told::read(Bytes::from_static(b"S\n\x9a\x06\x09"), Some(&room)).is_err());
    }

    #[test]
    fn nonsense_is_an_error_and_no_panic() {
        let room = RoomId::parse("lobby").unwrap();
        let bad: [&[u8]; 7] =
            [b"", b"P", b"P 1\n", b"P 1 0 0-0\n\0\0\0\x09x", b"M x\n", b"S\n\xff", b"Z\n"];
        for bad in bad {
            assert!(Told::read(Bytes::copy_from_slice(bad), Some(&room)).is_err(), "{bad:?}");
        }
    }
}
