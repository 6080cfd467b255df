//! The end of what deleted rooms said, a part at a time, so that no other write waits for it.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::rooms::unreadable;
use super::row::signed;
use super::{Conn, read};
use crate::ids::RoomId;
use crate::store::schema::{epochs, marks, rooms};

/// Bodies that one part removes, about: their pages are what it costs.
const BYTES: i64 = 8 << 20;

/// A row, and its body's size without reading it.
#[derive(Debug, QueryableByName)]
struct Size {
    #[diesel(sql_type = BigInt)]
    epoch: i64,
    #[diesel(sql_type = BigInt)]
    seq: i64,
    #[diesel(sql_type = BigInt)]
    size: i64,
}

const SIZES: &str = "SELECT epoch, seq, CAST(octet_length(body) AS BIGINT) AS size \
     FROM messages WHERE room = $1 ORDER BY epoch, seq LIMIT $2";
pub const MESSAGES_UPTO: &str = "DELETE FROM messages WHERE room = $1 AND (epoch, seq) <= ($2, $3)";
pub const MARKS_UPTO: &str = "DELETE FROM marks WHERE room = $1 AND (epoch, seq) <= ($2, $3)";

/// Removes a part of a deleted room's messages and marks; how many. At 0, [`end`] is what is left.
pub fn part(conn: &mut Conn, room: &RoomId, rows: usize) -> QueryResult<usize> {
    if !is_deleted(conn, room)? {
        return Ok(0);
    }
    let limit = signed(rows as u64);
    let sizes: Vec<Size> = diesel::sql_query(SIZES)
        .bind::<Text, _>(room.as_str())
        .bind::<BigInt, _>(limit)
        .load(conn)?;
    let mut bytes = 0;
    let mut last = None;
    for Size { epoch, seq, size } in sizes {
        if bytes >= BYTES {
            break;
        }
        bytes += size;
        last = Some((epoch, seq));
    }
    if let Some(last) = last {
        return delete_upto(conn, MESSAGES_UPTO, room, last);
    }
    let marked: Vec<(i64, i64)> = marks::table
        .filter(marks::room.eq(room.as_str()))
        .order((marks::epoch, marks::seq))
        .limit(limit)
        .select((marks::epoch, marks::seq))
        .load(conn)?;
    if let Some(last) = marked.last() {
        return delete_upto(conn, MARKS_UPTO, room, *last);
    }
    Ok(0)
}

/// Removes the room's epochs once nothing else of it is left: last, since they tell that something
/// is. No insert may run beside it, or its row would be left without an epoch.
pub fn end(conn: &mut Conn, room: &RoomId) -> QueryResult<()> {
    if is_deleted(conn, room)? && read::head(conn, room)?.is_none() {
        diesel::delete(epochs::table.filter(epochs::room.eq(room.as_str()))).execute(conn)?;
    }
    Ok(())
}

/// Deletes up to a place of the room; how many.
pub fn delete_upto(
    conn: &mut Conn,
    sql: &str,
    room: &RoomId,
    (epoch, seq): (i64, i64),
) -> QueryResult<usize> {
    diesel::sql_query(sql)
        .bind::<Text, _>(room.as_str())
        .bind::<BigInt, _>(epoch)
        .bind::<BigInt, _>(seq)
        .execute(conn)
}

fn is_deleted(conn: &mut Conn, room: &RoomId) -> QueryResult<bool> {
    let deleted = rooms::table
        .find(room.as_str())
        .select(rooms::deleted_at.is_not_null())
        .first(conn)
        .optional()?;
    Ok(deleted.unwrap_or(false))
}

/// Deleted rooms that have epochs still.
pub fn unpurged(conn: &mut Conn, limit: usize) -> QueryResult<Vec<RoomId>> {
    let ids: Vec<String> = rooms::table
        .filter(rooms::deleted_at.is_not_null())
        .filter(diesel::dsl::exists(
            epochs::table.filter(epochs::room.eq(rooms::id)).select(epochs::epoch),
        ))
        .limit(signed(limit as u64))
        .select(rooms::id)
        .load(conn)?;
    ids.iter().map(|id| RoomId::parse(id).map_err(unreadable)).collect()
}
