//! [`Pushes`] through the lanes.

use std::time::Duration;

use super::{Adapter, pushes, rounds};
use crate::BoxFuture;
use crate::ids::{RoomId, UserId};
use crate::position::Position;
use crate::store::StoreError;
use crate::store::pushes::{DuePush, Ended, NewPush, PushRecord, Pushes, Round, RoundPage};

/// Members that are told of a late read at once.
const LATE: usize = 500;

impl Pushes for Adapter {
    fn tell_devices(&self, grace: Duration) {
        self.grace.set(grace);
    }

    fn rounds_claim(
        &self,
        lease: Duration,
        most: usize,
    ) -> BoxFuture<'_, Result<Vec<Round>, StoreError>> {
        let grace = self.grace.get().unwrap_or_default();
        Box::pin(self.take((most, 0), move |conn| rounds::claim(conn, lease, most, grace)))
    }

    fn round_page<'a>(
        &'a self,
        round: &'a Round,
        most: usize,
    ) -> BoxFuture<'a, Result<RoundPage, StoreError>> {
        let Round { room, from, upto, after, .. } = round.clone();
        Box::pin(
            self.read(move |conn| rounds::page(conn, &room, (from, upto), after.as_ref(), most)),
        )
    }

    fn round_keep<'a>(
        &'a self,
        round: &'a Round,
        pushes: Vec<NewPush>,
        next: Option<UserId>,
        lease: Duration,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        let round = round.clone();
        Box::pin(self.take((pushes.len(), 0), move |conn| {
            rounds::keep(conn, &round, &pushes, next.as_ref(), lease)
        }))
    }

    fn pushes_claim(
        &self,
        lease: Duration,
        most: usize,
    ) -> BoxFuture<'_, Result<Vec<DuePush>, StoreError>> {
        Box::pin(async move {
            let token = rounds::new_lease();
            let taken = self.take((most, 0), move |conn| pushes::claim(conn, token, lease, most));
            if taken.await? == 0 {
                return Ok(Vec::new());
            }
            self.read(move |conn| pushes::due(conn, token)).await
        })
    }

    fn pushes_done(&self, ended: Vec<Ended>) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.take((ended.len(), 0), move |conn| pushes::done(conn, &ended)))
    }

    fn pushes_catch_up(&self, span: Duration) -> BoxFuture<'_, Result<usize, StoreError>> {
        Box::pin(self.take((LATE, 0), move |conn| pushes::catch_up(conn, span, LATE)))
    }

    fn pushes_of<'a>(
        &'a self,
        room: &'a RoomId,
        position: Position,
        after: Option<&'a UserId>,
        upto: Option<&'a UserId>,
    ) -> BoxFuture<'a, Result<Vec<PushRecord>, StoreError>> {
        let (room, after, upto) = (room.clone(), after.cloned(), upto.cloned());
        Box::pin(
            self.read(move |conn| pushes::of(conn, &room, position, after.as_ref(), upto.as_ref())),
        )
    }

    fn pushes_forget(&self, before: u64, most: usize) -> BoxFuture<'_, Result<usize, StoreError>> {
        Box::pin(self.take((most, 0), move |conn| pushes::forget(conn, before, most)))
    }
}
