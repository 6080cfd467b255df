//! The rows of [`heads`](crate::store::heads), one after the other.

use std::collections::BTreeMap;

use diesel::prelude::*;

use super::Conn;
use super::rows::row::{position, signed};
use crate::clock::now_ms;
use crate::store::heads::Head;
use crate::store::schema::room_heads;

/// A row, but for its room.
type Row = ((i64, i64), i64, Option<i64>, Option<i64>, Option<i64>);

/// Moves the heads; of new messages devices are told `grace` ms from now, unless they are told of
/// others earlier.
pub(super) fn move_on(
    conn: &mut Conn,
    heads: &BTreeMap<&str, Head>,
    grace: Option<i64>,
) -> QueryResult<()> {
    let now = signed(now_ms());
    for (room, head) in heads {
        let stands: Option<Row> = room_heads::table
            .find(room)
            .select((
                (room_heads::epoch, room_heads::seq),
                room_heads::stored_at,
                room_heads::from_epoch,
                room_heads::from_seq,
                room_heads::due_at,
            ))
            .first(conn)
            .optional()?;
        let mut moved = *head;
        let (mut stored_at, mut due_at) = (now, head.from.and(grace).map(|grace| now + grace));
        if let Some((at, before, from_epoch, from_seq, due)) = stands {
            let from = from_epoch.zip(from_seq).map(position);
            moved.upto = moved.upto.max(position(at));
            moved.from = [from, moved.from].into_iter().flatten().min();
            (stored_at, due_at) = (stored_at.max(before), due.or(due_at));
        }
        // Whole, as that is one statement for both.
        diesel::replace_into(room_heads::table)
            .values((
                room_heads::room.eq(room),
                room_heads::epoch.eq(signed(moved.upto.epoch)),
                room_heads::seq.eq(signed(moved.upto.seq)),
                room_heads::stored_at.eq(stored_at),
                room_heads::from_epoch.eq(moved.from.map(|at| signed(at.epoch))),
                room_heads::from_seq.eq(moved.from.map(|at| signed(at.seq))),
                room_heads::due_at.eq(due_at),
            ))
            .execute(conn)?;
    }
    Ok(())
}
