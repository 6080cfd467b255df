//! The end of messages that are older than they are kept: a part at a time, each from the beginning
//! of a room, where the oldest stand.

use diesel::prelude::*;

use super::Conn;
use super::purge::{MARKS_UPTO, MESSAGES_UPTO, delete_upto};
use super::rooms::unreadable;
use super::row::signed;
use crate::ids::RoomId;
use crate::store::Expired;
use crate::store::schema::{messages, rooms};

/// Rooms that one part looks at.
const ROOMS: usize = 64;

pub fn part(
    conn: &mut Conn,
    after: Option<&RoomId>,
    before: u64,
    rows: usize,
) -> QueryResult<Expired> {
    let ids: Vec<String> = rooms::table
        .filter(rooms::id.gt(after.map_or("", RoomId::as_str)))
        .order(rooms::id)
        .limit(signed(ROOMS as u64))
        .select(rooms::id)
        .load(conn)?;
    let done = ids.len() < ROOMS;
    let mut expired = Expired { removed: 0, after: after.cloned(), done: false };
    for id in ids {
        let room = RoomId::parse(&id).map_err(unreadable)?;
        let left = rows.saturating_sub(expired.removed);
        expired.removed += of_room(conn, &room, before, left)?;
        if expired.removed >= rows {
            // On with the same room.
            return Ok(expired);
        }
        expired.after = Some(room);
    }
    expired.done = done;
    Ok(expired)
}

/// The last message of a room stays, however old: it tells where the room stands.
fn of_room(conn: &mut Conn, room: &RoomId, before: u64, rows: usize) -> QueryResult<usize> {
    let mut oldest: Vec<(i64, i64, i64)> = messages::table
        .filter(messages::room.eq(room.as_str()))
        .order((messages::epoch, messages::seq))
        .limit(signed(rows as u64).saturating_add(1))
        .select((messages::epoch, messages::seq, messages::sent_at))
        .load(conn)?;
    oldest.pop();
    let before = signed(before);
    let Some((epoch, seq, _)) =
        oldest.into_iter().take_while(|(.., sent_at)| *sent_at < before).last()
    else {
        return Ok(0);
    };
    delete_upto(conn, MARKS_UPTO, room, (epoch, seq))?;
    delete_upto(conn, MESSAGES_UPTO, room, (epoch, seq))
}
