//! [`Cursors`] through the lanes.

use super::{Adapter, cursors, move_delivered, move_reads};
use crate::BoxFuture;
use crate::ids::{RoomId, UserId};
use crate::store::StoreError;
use crate::store::cursors::{Cursors, Delivered, Moved, Read};

impl Cursors for Adapter {
    fn read_move(&self, reads: Vec<Read>) -> BoxFuture<'_, Result<Vec<Option<Moved>>, StoreError>> {
        Box::pin(self.write((reads.len(), 0), move |conn| move_reads(conn, &reads)))
    }

    fn delivered_move(
        &self,
        delivered: Vec<Delivered>,
    ) -> BoxFuture<'_, Result<Vec<bool>, StoreError>> {
        Box::pin(self.write((delivered.len(), 0), move |conn| move_delivered(conn, &delivered)))
    }

    fn delivered_of<'a>(
        &'a self,
        room: &'a RoomId,
        users: &'a [UserId],
    ) -> BoxFuture<'a, Result<Vec<Delivered>, StoreError>> {
        let (room, users) = (room.clone(), users.to_vec());
        Box::pin(self.read(move |conn| cursors::delivered_of(conn, &room, &users)))
    }
}
