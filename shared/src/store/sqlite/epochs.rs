//! The lives of a room's log. One process has the file, and its broker begins an epoch once the one
//! before is durable to its end, so an epoch ends by itself and not by a later one.

use diesel::prelude::*;

use super::rows::row::signed;
use super::write::Writer;
use crate::ids::RoomId;
use crate::store::schema::{epochs, marks, messages};

/// Notes an epoch that gets a row; true when it was sealed before that.
pub(super) fn note(conn: &mut SqliteConnection, room: &RoomId, epoch: u64) -> QueryResult<bool> {
    let added = diesel::insert_into(epochs::table)
        .values((epochs::room.eq(room.as_str()), epochs::epoch.eq(signed(epoch))))
        .on_conflict_do_nothing()
        .execute(conn)?;
    if added > 0 {
        return Ok(false);
    }
    epochs::table
        .find((room.as_str(), signed(epoch)))
        .select(epochs::sealed_last.is_not_null())
        .first(conn)
}

/// Seals what is older, each at its last row or mark.
pub(super) fn begin(writer: &mut Writer, room: &RoomId, epoch: u64) -> QueryResult<()> {
    writer.forget_epoch(room);
    let conn = &mut writer.conn;
    note(conn, room, epoch)?;
    let open: Vec<i64> = epochs::table
        .filter(epochs::room.eq(room.as_str()))
        .filter(epochs::epoch.lt(signed(epoch)))
        .filter(epochs::sealed_last.is_null())
        .select(epochs::epoch)
        .load(conn)?;
    for epoch in open {
        let row = epochs::table.find((room.as_str(), epoch));
        match last_of(conn, room, epoch)? {
            Some(last) => diesel::update(row).set(epochs::sealed_last.eq(last)).execute(conn)?,
            None => diesel::delete(row).execute(conn)?,
        };
    }
    Ok(())
}

fn last_of(conn: &mut SqliteConnection, room: &RoomId, epoch: i64) -> QueryResult<Option<i64>> {
    let row: Option<i64> = messages::table
        .filter(messages::room.eq(room.as_str()))
        .filter(messages::epoch.eq(epoch))
        .order(messages::seq.desc())
        .select(messages::seq)
        .first(conn)
        .optional()?;
    let mark: Option<i64> = marks::table
        .filter(marks::room.eq(room.as_str()))
        .filter(marks::epoch.eq(epoch))
        .order(marks::seq.desc())
        .select(marks::seq)
        .first(conn)
        .optional()?;
    Ok(row.max(mark))
}
