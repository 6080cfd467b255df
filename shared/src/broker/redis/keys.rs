//! Names of keys and channels. Those of a room share a slot: its id stands in braces.

use crate::ids::{NodeId, RoomId};
use crate::signal::Channel;

/// All names begin with the same text, so that several clusters may share a Redis.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    prefix: String,
}

impl Keys {
    pub(super) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    /// The keys of a room in the order of `prelude.lua`.
    pub(super) fn room(&self, room: &RoomId) -> [String; 5] {
        ["log", "names", "order", "meta", "done"].map(|part| self.of(room, part))
    }

    /// What lives of a room were put aside: a hash from epoch to its durable end.
    pub(super) fn asides(&self, room: &RoomId) -> String {
        self.of(room, "asides")
    }

    /// The log of a life that was put aside.
    pub(super) fn aside(&self, room: &RoomId, epoch: u64) -> String {
        format!("{}:{epoch}", self.of(room, "log"))
    }

    /// Held by whoever begins a life of a room.
    pub(super) fn birth(&self, room: &RoomId) -> String {
        self.of(room, "birth")
    }

    /// The rooms that may have a log: a set.
    pub(super) fn rooms(&self) -> String {
        format!("{}:rooms", self.prefix)
    }

    /// Since when this Redis is known, in ms since 1970: it is not there after a loss.
    pub(super) fn known_since(&self) -> String {
        format!("{}:known-since", self.prefix)
    }

    /// Held by whoever does what one of all does.
    pub(super) fn leader(&self, of: &str) -> String {
        format!("{}:leader:{of}", self.prefix)
    }

    pub(super) fn channel(&self, channel: &Channel) -> String {
        let prefix = &self.prefix;
        match channel {
            Channel::Room(room) => self.of(room, "told"),
            Channel::Topic(topic) => format!("{prefix}:topic:{topic}"),
            Channel::Inbox(room) => self.of(room, "inbox"),
            Channel::User(user) => format!("{prefix}:user:{user}"),
            Channel::Nodes => format!("{prefix}:nodes"),
        }
    }

    /// Where an ear of a node hears itself.
    pub(super) fn canary(&self, node: &NodeId, ear: usize) -> String {
        format!("{}:canary:{node}:{ear}", self.prefix)
    }

    /// The room whose channel it is.
    pub(super) fn room_of<'a>(&self, channel: &'a str) -> Option<&'a str> {
        let rest = channel.strip_prefix(&*self.prefix)?.strip_prefix(":{")?;
        rest.strip_suffix("}:told")
    }

    fn of(&self, room: &RoomId, part: &str) -> String {
        format!("{}:{{{room}}}:{part}", self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rooms_channel_tells_its_room_and_no_other_does() {
        let keys = Keys::new("moim");
        let room = RoomId::parse("a.b~c").unwrap();
        let channel = keys.channel(&Channel::Room(room));
        assert_eq!(keys.room_of(&channel), Some("a.b~c"));
        let user = crate::ids::UserId::parse("{x}told").unwrap();
        assert_eq!(keys.room_of(&keys.channel(&Channel::User(user))), None);
    }
}
