//! A message as it travels between the parts: placed in its room's order, body untouched.

use bytes::Bytes;

use crate::ids::{OriginId, RoomId, UserId};
use crate::position::Position;

/// One message of a room. Its body goes through as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The room.
    pub room: RoomId,
    /// Its place in the room's order; given by the broker.
    pub position: Position,
    /// The client's name for it, or one that the node made.
    pub origin: OriginId,
    /// Who sent it.
    pub sender: UserId,
    /// The sender's name for people, as the token said.
    pub sender_name: Option<String>,
    /// When a node took it, in ms since 1970.
    pub sent_at: u64,
    /// The sender's `content-type`, if it gave one.
    pub content_type: Option<String>,
    /// It goes out as a binary WebSocket message: it came in one, or its body is no text.
    pub binary: bool,
    /// The sender's own headers that may be shown to others.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

impl Envelope {
    /// What it takes in memory, roughly: the number that bounds are counted in.
    pub fn weight(&self) -> usize {
        let headers: usize =
            self.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        size_of::<Self>() + 128 + self.body.len() + headers
    }

    /// A fingerprint of the body, to tell a retry from another message under the same name.
    pub fn body_hash(&self) -> u64 {
        xxhash_rust::xxh3::xxh3_64(&self.body)
    }
}
