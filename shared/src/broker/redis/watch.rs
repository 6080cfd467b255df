//! The rooms that this node is told of, and a look at whether it is told everything.

use std::collections::HashMap;
use std::sync::Weak;

use ::redis::cmd;
use futures_util::{StreamExt, stream};
use parking_lot::Mutex;

use super::{Inner, Listening};
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
    told: Position,
    /// The head that was behind what was told at the last look.
    suspected: Option<Position>,
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

    pub(super) fn is_watched(&self, room: &RoomId) -> bool {
        self.rooms.lock().contains_key(room)
    }

    /// The node was told of the room up to here.
    pub(super) fn told(&self, room: &RoomId, upto: Position) {
        if let Some(room) = self.rooms.lock().get_mut(room) {
            room.told = room.told.max(upto);
        }
    }

    pub(super) fn rooms(&self) -> Vec<RoomId> {
        self.rooms.lock().keys().cloned().collect()
    }

    /// Whether the node was not told of what stands at `head`, at this look and the one before:
    /// what is only on its way comes in between. `None`: there is no log.
    fn is_behind(&self, room: &RoomId, head: Option<Position>) -> bool {
        let mut rooms = self.rooms.lock();
        let Some(room) = rooms.get_mut(room) else { return false };
        let Some(head) = head else { return true };
        let before = room.suspected.take();
        if head > room.told {
            room.suspected = Some(head);
            return before.is_some_and(|before| before > room.told);
        }
        false
    }
}

/// Compares heads with what was told, for as long as the broker lives.
pub(super) async fn look(broker: Weak<Inner>) {
    loop {
        let Some(pause) = broker.upgrade().map(|inner| inner.options.look) else { return };
        tokio::time::sleep(pause).await;
        let Some(inner) = broker.upgrade() else { return };
        let Some(Listening { feed, watched, .. }) = &inner.listening else { return };
        let looks = stream::iter(watched.rooms()).map(|room| {
            let inner = inner.clone();
            async move { (inner.last_place(&room).await, room) }
        });
        let mut looks = looks.buffer_unordered(AT_ONCE);
        while let Some((head, room)) = looks.next().await {
            match head {
                Ok(head) if watched.is_behind(&room, head) => {
                    tracing::warn!(room.id = %room,
                        "room `{room}` was not told of what was said, reading it from the log");
                    feed.missed(&room);
                }
                Ok(_) => {}
                // Redis is away: the ear finds out when it is back.
                Err(_) => break,
            }
        }
    }
}

impl Inner {
    /// The last place that a log has given out, without a look at who wrote it: cheap.
    async fn last_place(&self, room: &RoomId) -> Result<Option<Position>, RedisAway> {
        let [_, _, _, meta, _] = self.keys.room(room);
        let mut ask = cmd("HMGET");
        ask.arg(meta).arg("epoch").arg("next").arg("before");
        let (epoch, next, before): (Option<u64>, Option<u64>, Option<String>) =
            self.links.command(room, &ask).await?;
        let (Some(epoch), Some(next), Some(before)) = (epoch, next, before) else {
            return Ok(None);
        };
        Ok(match next.checked_sub(1) {
            Some(last) => Some(Position::new(epoch, last)),
            None => before.parse().ok(),
        })
    }
}
