//! [`Store`] through the threads of the adapter.

use std::sync::Arc;

use super::{Adapter, admit, expire, read, row};
use crate::BoxFuture;
use crate::envelope::Envelope;
use crate::ids::{RoomId, UserId};
use crate::position::Position;
use crate::store::{
    Access, Epoch, Expired, HistoryPage, KnownName, Load, Store, StoreError, Stored,
};

impl Store for Adapter {
    fn insert(
        &self,
        envelopes: Vec<Arc<Envelope>>,
    ) -> BoxFuture<'_, Result<Vec<Stored>, StoreError>> {
        Box::pin(async move {
            if !envelopes.iter().all(|envelope| row::fits(envelope.position)) {
                return Err(StoreError::Refused("a position is beyond 2^63".into()));
            }
            if envelopes.is_empty() {
                return Ok(Vec::new());
            }
            self.insert_rows(envelopes).await
        })
    }

    fn history<'a>(
        &'a self,
        room: &'a RoomId,
        after: Position,
        limit: usize,
        bytes: usize,
    ) -> BoxFuture<'a, Result<HistoryPage, StoreError>> {
        let room = room.clone();
        Box::pin(self.read(move |conn| read::history(conn, &room, after, limit, bytes)))
    }

    fn history_back<'a>(
        &'a self,
        room: &'a RoomId,
        before: Option<Position>,
        limit: usize,
        bytes: usize,
    ) -> BoxFuture<'a, Result<HistoryPage, StoreError>> {
        let room = room.clone();
        Box::pin(self.read(move |conn| read::history_back(conn, &room, before, limit, bytes)))
    }

    fn before_last<'a>(
        &'a self,
        room: &'a RoomId,
        count: usize,
    ) -> BoxFuture<'a, Result<Position, StoreError>> {
        let room = room.clone();
        Box::pin(self.read(move |conn| read::before_last(conn, &room, count)))
    }

    fn head<'a>(&'a self, room: &'a RoomId) -> BoxFuture<'a, Result<Option<Position>, StoreError>> {
        let room = room.clone();
        Box::pin(self.read(move |conn| read::head(conn, &room)))
    }

    fn names<'a>(
        &'a self,
        room: &'a RoomId,
        count: usize,
        since: u64,
    ) -> BoxFuture<'a, Result<Vec<KnownName>, StoreError>> {
        let room = room.clone();
        Box::pin(self.read(move |conn| read::names(conn, &room, count, since)))
    }

    fn epochs<'a>(&'a self, room: &'a RoomId) -> BoxFuture<'a, Result<Vec<Epoch>, StoreError>> {
        let room = room.clone();
        Box::pin(self.read(move |conn| read::epochs(conn, &room)))
    }

    fn begin_epochs<'a>(
        &'a self,
        epochs: &'a [(RoomId, u64)],
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.close_below(epochs.to_vec()))
    }

    fn expire<'a>(
        &'a self,
        after: Option<&'a RoomId>,
        before: u64,
        rows: usize,
    ) -> BoxFuture<'a, Result<Expired, StoreError>> {
        let after = after.cloned();
        Box::pin(
            self.write((rows, 0), move |conn| expire::part(conn, after.as_ref(), before, rows)),
        )
    }

    fn access<'a>(
        &'a self,
        room: &'a RoomId,
        user: &'a UserId,
    ) -> BoxFuture<'a, Result<Access, StoreError>> {
        let (room, user) = (room.clone(), user.clone());
        Box::pin(self.read(move |conn| read::access(conn, &room, &user)))
    }

    fn accesses<'a>(
        &'a self,
        room: &'a RoomId,
        users: &'a [UserId],
    ) -> BoxFuture<'a, Result<Vec<Access>, StoreError>> {
        let (room, users) = (room.clone(), users.to_vec());
        Box::pin(
            self.read(move |conn| {
                users.iter().map(|user| read::access(conn, &room, user)).collect()
            }),
        )
    }

    fn admit<'a>(
        &'a self,
        room: &'a RoomId,
        user: &'a UserId,
        name: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Access, StoreError>> {
        Box::pin(async move {
            // Whoever is known needs no write, and log-ins come in crowds.
            let (room, user, name) = (room.clone(), user.clone(), name.map(str::to_owned));
            let asked = (room.clone(), user.clone());
            if let Some(known) =
                self.read(move |conn| admit::known(conn, &asked.0, &asked.1)).await?
            {
                return Ok(known);
            }
            self.write((1, 0), move |conn| admit::admit(conn, &room, &user, name.as_deref())).await
        })
    }

    fn tidy(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.leave_tidy())
    }

    fn ping(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.read(read::ping))
    }

    fn loads(&self) -> Vec<Load> {
        self.load_of_each()
    }
}
