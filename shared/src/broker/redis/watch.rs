//! The rooms that this node is told of, and a look at whether it is told everything.

use std::collections::HashMap;
use std::sync::Weak;

use ::redis::cmd;
use futures_util::{StreamExt, stream};
use parking_lot::Mutex;

use super::birth::Lost;
use super::{Inner, Listening};
use crate::broker::Head;
use crate::ids::RoomId;
use crate::position::Position;
use crate::redis::RedisAway;

/// Heads that are asked for at once.
const AT_ONCE: usize = 64;

/// See the module.
#[derive(Default)]
pub(super) struct Watched {
    rooms: Mutex<HashMap<RoomId, Room>>,
}

#[derive(Default)]
struct Room {
    /// It was opened: before that there may be no log, and nothing was to be told.
    opened: bool,
    /// That there is no log any more was said.
    missing: bool,
    told: Standing,
    /// What was in front of what was told at the last look.
    suspected: Option<Standing>,
}

/// A place and a version of the memberships.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Standing {
    head: Position,
    members: u64,
}

impl Standing {
    /// Whether something of it is not in `told`.
    fn exceeds(self, told: Self) -> bool {
        self.head > told.head || self.members > told.members
    }
}

impl Watched {
    /// False when it is watched already.
    pub(super) fn begin(&self, room: &RoomId) -> bool {
        let mut rooms = self.rooms.lock();
        let new = !rooms.contains_key(room);
        if new {
            rooms.insert(room.clone(), Room::default());
        }
        new
    }

    /// False when it was not watched.
    pub(super) fn end(&self, room: &RoomId) -> bool {
        self.rooms.lock().remove(room).is_some()
    }

    /// Whether the node knows where it stood.
    pub(super) fn is_opened(&self, room: &RoomId) -> bool {
        self.rooms.lock().get(room).is_some_and(|room| room.opened)
    }

    pub(super) fn is_watched(&self, room: &RoomId) -> bool {
        self.rooms.lock().contains_key(room)
    }

    /// The node knows where the room stands.
    pub(super) fn opened(&self, room: &RoomId, head: Head) {
        if let Some(room) = self.rooms.lock().get_mut(room) {
            room.opened = true;
            room.missing = false;
            room.told.head = room.told.head.max(head.position);
            room.told.members = room.told.members.max(head.members);
        }
    }

    /// The node was told of the room up to here.
    pub(super) fn told(&self, room: &RoomId, upto: Position) {
        if let Some(room) = self.rooms.lock().get_mut(room) {
            room.told.head = room.told.head.max(upto);
        }
    }

    /// The node was told of the room's memberships.
    pub(super) fn told_members(&self, room: &RoomId, version: u64) {
        if let Some(room) = self.rooms.lock().get_mut(room) {
            room.told.members = room.told.members.max(version);
        }
    }

    pub(super) fn rooms(&self) -> Vec<RoomId> {
        self.rooms.lock().keys().cloned().collect()
    }

    /// What the node was not told of, at this look and the one before: what is only on its way comes
    /// in between. `now`: what stands; `None`: there is no log.
    fn behind(&self, room: &RoomId, now: Option<Standing>) -> Option<Behind> {
        let mut rooms = self.rooms.lock();
        let room = rooms.get_mut(room).filter(|room| room.opened)?;
        let Some(now) = now else {
            // Said once, until it is opened again.
            let said = std::mem::replace(&mut room.missing, true);
            return (!said).then_some(Behind::Lost);
        };
        let before = room.suspected.take();
        if !now.exceeds(room.told) {
            return None;
        }
        room.suspected = Some(now);
        before.is_some_and(|before| before.exceeds(room.told)).then_some(Behind::Untold)
    }
}

/// Why a node does not know where a room stands.
#[derive(Debug, PartialEq, Eq)]
enum Behind {
    /// It was not told.
    Untold,
    /// The room has no log any more.
    Lost,
}

/// Compares heads with what was told, for as long as the broker lives.
pub(super) async fn look(broker: Weak<Inner>) {
    // A Redis that is new is known as soon as possible, and the first room need not wait for it.
    if let Some(inner) = broker.upgrade() {
        let _ = inner.until_settled(Lost(false)).await;
    }
    loop {
        let Some(pause) = broker.upgrade().map(|inner| inner.options.look) else { return };
        tokio::time::sleep(pause).await;
        let Some(inner) = broker.upgrade() else { return };
        let Some(Listening { feed, watched, ears }) = &inner.listening else { return };
        let looks = stream::iter(watched.rooms()).map(|room| {
            let inner = inner.clone();
            async move { (inner.last_place(&room).await, room) }
        });
        let mut looks = looks.buffer_unordered(AT_ONCE);
        let mut behind = Vec::new();
        while let Some((head, room)) = looks.next().await {
            // An error: Redis is away, or a part of it. The ears find out when it is back.
            let Some(why) = head.ok().and_then(|head| watched.behind(&room, head)) else {
                continue;
            };
            // Each server of a cluster says its part over a connection of its own, and an ear hears
            // itself over one of them only.
            if why == Behind::Untold && inner.links.target().is_cluster() {
                ears.doubt(&inner.channel(&room));
            }
            feed.missed(&room);
            behind.push(room);
        }
        if let Some(room) = behind.first() {
            tracing::warn!(room.id = %room, rooms = behind.len(),
                "room `{room}` and {} more were not told of all that was said, or their logs are \
                 lost; they are opened again", behind.len() - 1);
        }
        let lost = inner.births.take_lost();
        if lost > 0 {
            tracing::warn!(
                rooms = lost,
                "the logs of {lost} rooms were lost and are begun anew where the database ends"
            );
        }
    }
}

impl Inner {
    /// What a log has given out, without a look at who wrote it: cheap.
    async fn last_place(&self, room: &RoomId) -> Result<Option<Standing>, RedisAway> {
        let [_, _, _, meta, _] = self.keys.room(room);
        let mut ask = cmd("HMGET");
        ask.arg(meta).arg("epoch").arg("next").arg("before").arg("members");
        let (epoch, next, before, members): (Option<u64>, Option<u64>, Option<String>, _) =
            self.links.command(room, &ask).await?;
        let (Some(epoch), Some(next), Some(before), Some(members)) = (epoch, next, before, members)
        else {
            return Ok(None);
        };
        let head = match next.checked_sub(1) {
            Some(last) => Position::new(epoch, last),
            None => before.parse().unwrap_or_default(),
        };
        Ok(Some(Standing { head, members }))
    }
}
