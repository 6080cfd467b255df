//! What SQLite says differently where many processes take turns elsewhere: here is one writer.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::Conn;
use super::rows::pushes::NewRow;
use super::rows::rounds::{DUE_HEAD, Due};
use crate::store::schema::{devices, members, room_heads};

/// The time now, in ms since 1970.
pub(super) const NOW: &str = "CAST(unixepoch('subsec') * 1000 AS INTEGER)";

/// A row may be changed twice.
pub(super) const ONCE: &str = "";

/// Rows that nobody else is taking.
pub(super) const NOT_TAKEN: &str = "";

/// A row for each unread message behind the member's cursors, for the one of `pushes`; it ends where
/// enough are counted, whichever rooms they are in. A cross join is carried out in its order.
pub(super) const UNREAD_ANYWHERE: &str = "SELECT 1 FROM members AS mine \
     LEFT JOIN cursors AS place ON place.room = mine.room AND place.user_id = mine.user_id \
     CROSS JOIN messages ON messages.room = mine.room \
     AND (messages.epoch, messages.seq) > (coalesce(place.epoch, 0), coalesce(place.seq, 0)) \
     WHERE mine.user_id = pushes.user_id AND mine.banned = FALSE LIMIT $2";

/// Those of the rooms that have a member with a device.
pub(super) fn reachable(conn: &mut Conn, rooms: &[&str]) -> QueryResult<Vec<String>> {
    let member = members::table
        .inner_join(devices::table.on(devices::user_id.eq(members::user_id)))
        .filter(members::room.eq(room_heads::room))
        .filter(members::banned.eq(false))
        .filter(devices::token.is_not_null())
        .select(members::room);
    room_heads::table
        .filter(room_heads::room.eq_any(rooms))
        .filter(diesel::dsl::exists(member))
        .select(room_heads::room)
        .load(conn)
}

/// Those heads of the rooms that are due.
pub(super) fn take_heads(conn: &mut Conn, rooms: &[&str]) -> QueryResult<Vec<Due>> {
    let take = format!("{DUE_HEAD} room = $1").replace("{NOW}", NOW);
    let mut due = Vec::new();
    for room in rooms {
        due.extend(diesel::sql_query(&take).bind::<Text, _>(*room).load::<Due>(conn)?);
    }
    Ok(due)
}

const ADD: &str = "INSERT INTO pushes (room, user_id, device, kind, epoch, seq, from_epoch, \
     from_seq, state, reason, attempts, created_at, ended_at, next_at) \
     VALUES ($1, $2, $3, 'message', $4, $5, $6, $7, \
     CASE WHEN $8 IS NULL THEN 'waiting' ELSE 'suppressed' END, $8, $9, {NOW}, \
     CASE WHEN $8 IS NULL THEN NULL ELSE {NOW} END, \
     CASE WHEN $8 IS NULL THEN {NOW} ELSE NULL END) ON CONFLICT DO NOTHING";

/// Keeps pushes of messages of a room; one that is there already stays as it is.
pub(super) fn add_pushes(conn: &mut Conn, room: &str, rows: &[NewRow<'_>]) -> QueryResult<()> {
    let add = ADD.replace("{NOW}", NOW);
    for row in rows {
        diesel::sql_query(&add)
            .bind::<Text, _>(room)
            .bind::<Text, _>(row.user)
            .bind::<Text, _>(row.device)
            .bind::<BigInt, _>(row.at.0)
            .bind::<BigInt, _>(row.at.1)
            .bind::<BigInt, _>(row.from.0)
            .bind::<BigInt, _>(row.from.1)
            .bind::<Nullable<Text>, _>(row.reason)
            .bind::<BigInt, _>(row.attempts)
            .execute(conn)?;
    }
    Ok(())
}
