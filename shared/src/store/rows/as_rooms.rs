//! [`Rooms`] through the lanes.

use super::{Adapter, changes, cursors, members, purge, rooms};
use crate::BoxFuture;
use crate::clock::now_ms;
use crate::ids::{RoomId, UserId};
use crate::membership::{Change, Denied, Member};
use crate::store::StoreError;
use crate::store::rooms::{
    Made, MemberChange, NewRoom, OwnRoom, Reader, RoomChange, RoomInfo, Rooms,
};

/// Rooms that one transaction takes a user out of.
const VANISH: usize = 256;

impl Rooms for Adapter {
    fn room_create<'a>(
        &'a self,
        room: &'a NewRoom,
        owner: &'a Member,
    ) -> BoxFuture<'a, Result<Made<RoomInfo>, StoreError>> {
        let (room, owner, now) = (room.clone(), owner.clone(), now_ms());
        Box::pin(self.write((2, 0), move |conn| rooms::create(conn, &room, &owner, now)))
    }

    fn room_direct<'a>(
        &'a self,
        room: &'a RoomId,
        two: &'a [Member; 2],
    ) -> BoxFuture<'a, Result<Made<RoomInfo>, StoreError>> {
        let (room, two, now) = (room.clone(), two.clone(), now_ms());
        Box::pin(self.write((3, 0), move |conn| rooms::direct(conn, &room, &two, now)))
    }

    fn room_get<'a>(
        &'a self,
        room: &'a RoomId,
    ) -> BoxFuture<'a, Result<Option<RoomInfo>, StoreError>> {
        let room = room.clone();
        Box::pin(self.read(move |conn| rooms::get(conn, &room)))
    }

    fn room_update<'a>(
        &'a self,
        room: &'a RoomId,
        actor: &'a UserId,
        change: &'a RoomChange,
    ) -> BoxFuture<'a, Result<Result<RoomInfo, Denied>, StoreError>> {
        let (room, actor, change) = (room.clone(), actor.clone(), change.clone());
        Box::pin(self.write((1, 0), move |conn| rooms::update(conn, &room, &actor, &change)))
    }

    fn room_delete<'a>(
        &'a self,
        room: &'a RoomId,
        actor: &'a UserId,
    ) -> BoxFuture<'a, Result<Result<(), Denied>, StoreError>> {
        let (room, actor, now) = (room.clone(), actor.clone(), now_ms());
        Box::pin(self.write((1, 0), move |conn| rooms::delete(conn, &room, &actor, now)))
    }

    fn room_purge<'a>(
        &'a self,
        room: &'a RoomId,
        rows: usize,
    ) -> BoxFuture<'a, Result<usize, StoreError>> {
        let room = room.clone();
        Box::pin(self.purge_part(room, rows))
    }

    fn rooms_unpurged(&self, limit: usize) -> BoxFuture<'_, Result<Vec<RoomId>, StoreError>> {
        Box::pin(self.read(move |conn| purge::unpurged(conn, limit)))
    }

    fn rooms_visible<'a>(
        &'a self,
        user: &'a UserId,
        after: Option<&'a RoomId>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<RoomInfo>, StoreError>> {
        let (user, after) = (user.clone(), after.cloned());
        Box::pin(self.read(move |conn| rooms::visible(conn, &user, after.as_ref(), limit)))
    }

    fn rooms_of<'a>(
        &'a self,
        user: &'a UserId,
        after: Option<&'a RoomId>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<OwnRoom>, StoreError>> {
        let (user, after) = (user.clone(), after.cloned());
        Box::pin(self.read(move |conn| cursors::rooms_of(conn, &user, after.as_ref(), limit)))
    }

    fn member_get<'a>(
        &'a self,
        room: &'a RoomId,
        user: &'a UserId,
    ) -> BoxFuture<'a, Result<Option<Reader>, StoreError>> {
        let (room, user) = (room.clone(), user.clone());
        Box::pin(self.read(move |conn| members::reader(conn, &room, &user)))
    }

    fn members_list<'a>(
        &'a self,
        room: &'a RoomId,
        after: Option<&'a UserId>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Reader>, StoreError>> {
        let (room, after) = (room.clone(), after.cloned());
        Box::pin(self.read(move |conn| members::list(conn, &room, after.as_ref(), limit)))
    }

    fn member_change<'a>(
        &'a self,
        room: &'a RoomId,
        actor: &'a UserId,
        target: &'a UserId,
        change: Change,
    ) -> BoxFuture<'a, Result<Result<Option<Member>, Denied>, StoreError>> {
        let (room, actor, target, now) = (room.clone(), actor.clone(), target.clone(), now_ms());
        Box::pin(
            self.write((1, 0), move |conn| {
                members::change(conn, &room, &actor, &target, &change, now)
            }),
        )
    }

    fn member_vanish<'a>(
        &'a self,
        user: &'a UserId,
    ) -> BoxFuture<'a, Result<Vec<RoomId>, StoreError>> {
        Box::pin(async move {
            let mut all = Vec::new();
            loop {
                let (user, now) = (user.clone(), now_ms());
                let part = self
                    .write((VANISH, 0), move |conn| members::vanish(conn, &user, VANISH, now))
                    .await?;
                let last = part.len() < VANISH;
                all.extend(part);
                if last {
                    return Ok(all);
                }
            }
        })
    }

    fn members_untold<'a>(
        &'a self,
        room: Option<&'a RoomId>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<MemberChange>, StoreError>> {
        let room = room.cloned();
        Box::pin(self.read(move |conn| changes::untold(conn, room.as_ref(), limit)))
    }

    fn members_told(&self, changes: Vec<i64>) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.write((changes.len(), 0), move |conn| changes::told(conn, &changes)))
    }
}
