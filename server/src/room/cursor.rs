//! How far a member has read: kept, and told to those who watch the room.

use std::sync::Arc;

use moim_shared::broker::Broker;
use moim_shared::ids::{RoomId, UserId};
use moim_shared::position::Position;
use moim_shared::signal::{Event, Signal};
use moim_shared::store::rooms::Rooms;

use crate::refusal::Refusal;

/// Read cursors of all rooms.
#[derive(Clone)]
pub struct Cursors {
    /// Where a room ends, and who is told.
    pub broker: Arc<dyn Broker>,
    /// Where they are kept.
    pub rooms: Arc<dyn Rooms>,
}

impl Cursors {
    /// `user` has read up to `position`, or to the room's end if that comes first. What stands from
    /// now on, which is never less than before.
    pub async fn read_up_to(
        &self,
        room: &RoomId,
        user: &UserId,
        position: Position,
    ) -> Result<Position, Refusal> {
        let head = self.broker.head(room).await.map_err(|error| away(room, &error))?;
        let moved = self.rooms.cursor_move(room, user, position.min(head)).await;
        let stands =
            moved.map_err(|error| away(room, &error))?.ok_or_else(Refusal::not_a_member)?;
        let event = Event::Read { user: user.clone(), position: stands };
        if let Err(error) = self.broker.signal(Signal::Event(room.clone(), event)).await {
            // Kept all the same; who missed it sees it with the members.
            tracing::debug!(room.id = %room, %error, "nobody was told of a cursor");
        }
        Ok(stands)
    }
}

fn away(room: &RoomId, error: &dyn std::fmt::Display) -> Refusal {
    tracing::warn!(room.id = %room, %error, "a cursor was not moved");
    Refusal::unavailable()
}
