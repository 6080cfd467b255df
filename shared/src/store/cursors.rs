//! How far members have read, and how far their devices were given messages. Both only ever move
//! forward.

use super::StoreError;
use crate::BoxFuture;
use crate::ids::{InstallationId, RoomId, UserId};
use crate::position::Position;

/// What became of a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moved {
    /// It stands here now.
    On(Position),
    /// It was here, or further, already.
    Not(Position),
}

impl Moved {
    /// Where it stands.
    pub const fn stands(self) -> Position {
        match self {
            Self::On(position) | Self::Not(position) => position,
        }
    }
}

/// Somebody has read a room so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// The room.
    pub room: RoomId,
    /// Who.
    pub user: UserId,
    /// The last message that it has read.
    pub position: Position,
    /// On which device, if it named one: that one need not be told.
    pub device: Option<InstallationId>,
}

/// A device was given a room's messages so far.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Delivered {
    /// The room.
    pub room: RoomId,
    /// Whose device.
    pub user: UserId,
    /// Which one; `None`: any of those that named themselves in no way.
    pub device: Option<InstallationId>,
    /// The last message that it was given.
    pub position: Position,
}

/// Many at once, as each message of a large room moves thousands of them.
pub trait Cursors: Send + Sync + 'static {
    /// These have read; each member of a room is there once. What stands now, which is never less
    /// than before, in their order. `None`: that is no member. Other devices of theirs that were told
    /// of what is read now ([`super::pushes`]) are to be told that it is.
    fn read_move(&self, reads: Vec<Read>) -> BoxFuture<'_, Result<Vec<Option<Moved>>, StoreError>>;

    /// These were given messages; each device is there once in a room. Whether it was new, in their
    /// order: it is not for one who is no member.
    fn delivered_move(
        &self,
        delivered: Vec<Delivered>,
    ) -> BoxFuture<'_, Result<Vec<bool>, StoreError>>;

    /// What the devices of some hundred users were given of a room, in no order.
    fn delivered_of<'a>(
        &'a self,
        room: &'a RoomId,
        users: &'a [UserId],
    ) -> BoxFuture<'a, Result<Vec<Delivered>, StoreError>>;

    /// [`Cursors::read_move`] of one.
    fn cursor_move<'a>(
        &'a self,
        room: &'a RoomId,
        user: &'a UserId,
        read: Position,
    ) -> BoxFuture<'a, Result<Option<Moved>, StoreError>> {
        let read = Read { room: room.clone(), user: user.clone(), position: read, device: None };
        Box::pin(async move { Ok(self.read_move(vec![read]).await?.pop().flatten()) })
    }
}
