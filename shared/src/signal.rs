//! What nodes tell each other and nobody keeps: open topics, user queues, events of rooms, the end of
//! tokens.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::ids::{NodeId, RoomId, UserId};
use crate::store::accounts::Revocation;

/// A name under `/topic/` or `/queue/` that is no room: up to 255 bytes without white space, control
/// characters, `:`, `\\` and what other brokers take for patterns.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Topic(Arc<str>);

/// Text that is no topic's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a topic's name is up to 255 bytes without white space, control characters and any of \
     : \\ * # ? {{ }}"
)]
pub struct BadTopic;

impl Topic {
    /// Checks `text`.
    pub fn parse(text: &str) -> Result<Self, BadTopic> {
        let plain = |c: char| !(c.is_whitespace() || c.is_control() || r":\*#?{}".contains(c));
        let good = (1..=255).contains(&text.len()) && text.chars().all(plain);
        if good { Ok(Self(text.into())) } else { Err(BadTopic) }
    }

    /// As it stands on the wire.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where something is told.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Channel {
    /// To those who have the room open.
    Room(RoomId),
    /// To the subscribers of an open topic.
    Topic(Topic),
    /// To the sessions of a user.
    User(UserId),
    /// To the inboxes of those who are in the room.
    Inbox(RoomId),
    /// To every node.
    Nodes,
}

/// A message that is not stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flash {
    /// Who sent it.
    pub sender: UserId,
    /// The sender's name for people.
    pub sender_name: Option<String>,
    /// When a node took it, in ms since 1970.
    pub sent_at: u64,
    /// The sender's `content-type`, if it gave one.
    pub content_type: Option<String>,
    /// It goes out as a binary WebSocket message.
    pub binary: bool,
    /// The sender's own headers that may be shown to others.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

/// What is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signal {
    /// Something happened in a room.
    Event(RoomId, Event),
    /// A message to an open topic.
    Topic(Topic, Arc<Flash>),
    /// A message to `/user/queue/{x}` of a user.
    User(UserId, Topic, Arc<Flash>),
    /// Tokens have ended.
    Revoked(Revocation),
    /// Something of a room changed in the database that inboxes show: for a look there.
    Inbox(RoomId),
    /// What a user has of a room changed in the database: for a look there.
    Own(UserId, RoomId),
}

/// What happens in a room besides its messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Somebody types, or does not any more.
    Typing {
        /// Who.
        user: UserId,
        /// The name for people.
        name: Option<String>,
        /// Whether.
        typing: bool,
    },
    /// Somebody has read so far.
    Read {
        /// Who.
        user: UserId,
        /// How far.
        position: crate::position::Position,
    },
    /// Devices of these were given messages so far: the newest of each.
    Delivered {
        /// Who, and how far.
        users: Vec<(UserId, crate::position::Position)>,
    },
    /// Who is there on one node: so many came or went that the names of those say nothing, or
    /// somebody asked. An older program does not say it.
    Here(Option<Here>),
    /// Its name or visibility is another.
    Changed,
    /// Some are there now on one node, or are there no more.
    Presence(Moves),
    /// A node has nobody's word for who is there: all others are to say who is there on them.
    WhoIsHere {
        /// Which one.
        node: NodeId,
    },
}

/// Somebody who reads a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Who.
    pub user: UserId,
    /// The name for people.
    pub name: Option<String>,
    /// None of its sessions there is active.
    pub away: bool,
}

/// Who reads a room on one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Here {
    /// The run of a node, which no other run of it shares.
    pub node: NodeId,
    /// Those whom there is room for: all, when they are as many as `count`.
    pub people: Vec<Person>,
    /// How many they are.
    pub count: usize,
}

/// Who came to a room on one node, went, or is otherwise than before.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Moves {
    /// The run of a node; `None`: one of an older program, which says neither `away` nor `count`.
    pub node: Option<NodeId>,
    /// Who came.
    pub arrived: Vec<Person>,
    /// Who went, and when it was last seen in ms since 1970, if that is known.
    pub departed: Vec<(UserId, Option<u64>)>,
    /// Of whose sessions there none is active any more.
    pub away: Vec<UserId>,
    /// Of whose sessions there one is active again.
    pub back: Vec<UserId>,
    /// How many are there now.
    pub count: usize,
}

impl Signal {
    /// Where it is told.
    pub fn channel(&self) -> Channel {
        match self {
            Self::Event(room, _) => Channel::Room(room.clone()),
            Self::Topic(topic, _) => Channel::Topic(topic.clone()),
            Self::User(user, ..) => Channel::User(user.clone()),
            Self::Revoked(_) => Channel::Nodes,
            Self::Inbox(room) => Channel::Inbox(room.clone()),
            Self::Own(user, _) => Channel::User(user.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_a_plain_name_and_no_pattern() {
        for good in ["test", "chat.general", "a/b-c_d~1", "방", &"x".repeat(255)] {
            assert!(Topic::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "a b", "a*", "#", "a:b", "a\\b", "{x}", "a\n", &"x".repeat(256)] {
            assert!(Topic::parse(bad).is_err(), "{bad}");
        }
    }
}
