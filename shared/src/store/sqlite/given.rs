//! Many users and rooms in one question about inboxes: one after the other, as there is no way to go.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::Conn;
use super::rows::inbox::{OWN, OwnRow, PlaceRow, ROOMS};
use crate::clock::now_ms;
use crate::ids::{RoomId, UserId};
use crate::store::rooms::UNREAD_MOST;

// How this database says it.
pub const GREATEST: &str = "max";
pub const GIVEN_PAIRS: &str = "(SELECT $2 AS user_id, $3 AS room) AS given";
pub const GIVEN_ROOMS: &str = "(SELECT $1 AS room) AS given";
/// Of a text so many characters, of bytes enough for them.
pub const PREVIEW: &str =
    "CAST(substr(last.body, 1, CASE typeof(last.body) WHEN 'text' THEN 200 ELSE 800 END) AS BLOB)";

/// This process is the only one that writes.
pub fn clock(_: &mut Conn) -> QueryResult<u64> {
    Ok(now_ms())
}

/// How they stand, in no order.
pub fn load_own(conn: &mut Conn, pairs: &[(UserId, RoomId)]) -> QueryResult<Vec<OwnRow>> {
    let mut rows = Vec::with_capacity(pairs.len());
    for (user, room) in pairs {
        let found: Vec<OwnRow> = diesel::sql_query(&**OWN)
            .bind::<BigInt, _>(i64::from(UNREAD_MOST))
            .bind::<Text, _>(user.as_str())
            .bind::<Text, _>(room.as_str())
            .load(conn)?;
        rows.extend(found);
    }
    Ok(rows)
}

/// The rooms, in no order.
pub fn load_rooms(conn: &mut Conn, rooms: &[&str]) -> QueryResult<Vec<PlaceRow>> {
    let mut rows = Vec::with_capacity(rooms.len());
    for room in rooms {
        let found: Vec<PlaceRow> = diesel::sql_query(&**ROOMS).bind::<Text, _>(*room).load(conn)?;
        rows.extend(found);
    }
    Ok(rows)
}
