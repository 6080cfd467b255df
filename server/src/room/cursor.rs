//! How far a member has read: kept, and told to those who watch the room.

use std::sync::Arc;

use moim_shared::broker::Broker;
use moim_shared::ids::RoomId;
use moim_shared::position::Position;
use moim_shared::signal::{Event, Signal};
use moim_shared::store::rooms::{Moved, Rooms};
use moim_shared::store::{Access, Store};

use super::access::{Identity, admit};
use crate::refusal::Refusal;

/// Read cursors of all rooms.
#[derive(Clone)]
pub struct Cursors {
    /// Where a room ends, and who is told.
    pub broker: Arc<dyn Broker>,
    /// Where they are kept.
    pub rooms: Arc<dyn Rooms>,
    /// Who is let in by a grant.
    pub store: Arc<dyn Store>,
}

impl Cursors {
    /// Somebody has read up to `position`, or to the room's end if that comes first. What stands
    /// from now on, which is never less than before.
    pub async fn read_up_to(
        &self,
        room: &RoomId,
        who: &Identity,
        position: Position,
    ) -> Result<Position, Refusal> {
        let head = self.broker.head(room).await.map_err(|error| away(room, &error))?;
        let position = position.min(head);
        let moved = match self.moved(room, who, position).await? {
            None if self.is_let_in(room, who).await? => self.moved(room, who, position).await?,
            moved => moved,
        };
        let moved = moved.ok_or_else(Refusal::not_a_member)?;
        if let Moved::On(position) = moved {
            let event = Event::Read { user: who.user.clone(), position };
            if let Err(error) = self.broker.signal(Signal::Event(room.clone(), event)).await {
                // Kept all the same; who missed it sees it with the members.
                tracing::debug!(room.id = %room, %error, "nobody was told of a cursor");
            }
        }
        Ok(moved.stands())
    }

    async fn moved(
        &self,
        room: &RoomId,
        who: &Identity,
        position: Position,
    ) -> Result<Option<Moved>, Refusal> {
        let moved = self.rooms.cursor_move(room, &who.user, position).await;
        moved.map_err(|error| away(room, &error))
    }

    async fn is_let_in(&self, room: &RoomId, who: &Identity) -> Result<bool, Refusal> {
        if !who.grant.covers(room) {
            return Ok(false);
        }
        let access = admit(&*self.store, room, who).await.map_err(|error| away(room, &error))?;
        Ok(matches!(access, Access::Member | Access::Muted { .. }))
    }
}

fn away(room: &RoomId, error: &dyn std::fmt::Display) -> Refusal {
    tracing::warn!(room.id = %room, %error, "a cursor was not moved");
    Refusal::unavailable()
}
