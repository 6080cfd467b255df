//! The chat server of Moim: STOMP over WebSocket, one actor per room.
//!
//! The life of a SEND, in file names: [`http`] upgrades the connection, [`session`] turns bytes
//! into frames ([`stomp`]) and frames into what they ask for, [`hub`] finds the [`room`], which
//! places it through the broker and hands it to the queue; the broker's feed comes back through
//! [`relay`] to the room, which puts it into each subscriber's [`outbox`]. [`reaper`] looks after
//! sessions from outside; [`topics`] and [`registry`] tell what nobody keeps,
//! [`inbox`] what changed in all rooms of a user. [`app`] is the only place that knows which adapters are behind it.
//!
//! **Invariant**: nothing here knows SQL, a Redis key or an AMQP name, and imports go one way:
//! `stomp, token, refusal, shape, said, unkept, outbox ← metrics, flash ← room, topics, registry, inbox ← hub,
//! accounts ← session, relay, reaper ← http ← app ← main`.

pub mod accounts;
pub mod app;
pub mod drain;
pub mod flash;
pub mod http;
pub mod hub;
pub mod inbox;
pub mod metrics;
pub mod nodes;
pub mod outbox;
pub mod reaper;
pub mod refusal;
pub mod registry;
pub mod relay;
pub mod room;
pub mod said;
pub mod seen;
pub mod session;
pub mod shape;
pub mod stomp;
pub mod token;
pub mod topics;
pub mod unkept;
