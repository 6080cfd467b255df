//! The rows of [`heads`](crate::store::heads), all of an insert with one statement.

use std::collections::BTreeMap;

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Nullable, Text};

use super::Conn;
use super::rows::row::signed;
use crate::store::heads::Head;

/// In order, and the last thing of its transaction: who waits for another here holds nothing that
/// the other still needs.
const MOVE: &str = "INSERT INTO room_heads AS stands \
     (room, epoch, seq, stored_at, from_epoch, from_seq, due_at) \
     SELECT room, epoch, seq, now.ms, from_epoch, from_seq, \
     CASE WHEN from_epoch IS NULL THEN NULL ELSE now.ms + $6 END \
     FROM UNNEST($1, $2, $3, $4, $5) AS given (room, epoch, seq, from_epoch, from_seq), \
     (SELECT (extract(EPOCH FROM clock_timestamp()) * 1000)::BIGINT AS ms) AS now ORDER BY room \
     ON CONFLICT (room) DO UPDATE SET \
     epoch = CASE WHEN (excluded.epoch, excluded.seq) > (stands.epoch, stands.seq) \
     THEN excluded.epoch ELSE stands.epoch END, \
     seq = CASE WHEN (excluded.epoch, excluded.seq) > (stands.epoch, stands.seq) \
     THEN excluded.seq ELSE stands.seq END, \
     stored_at = greatest(stands.stored_at, excluded.stored_at), \
     from_epoch = CASE WHEN stands.from_epoch IS NULL OR \
     (excluded.from_epoch, excluded.from_seq) < (stands.from_epoch, stands.from_seq) \
     THEN excluded.from_epoch ELSE stands.from_epoch END, \
     from_seq = CASE WHEN stands.from_epoch IS NULL OR \
     (excluded.from_epoch, excluded.from_seq) < (stands.from_epoch, stands.from_seq) \
     THEN excluded.from_seq ELSE stands.from_seq END, \
     due_at = coalesce(stands.due_at, excluded.due_at)";

/// Moves the heads; of new messages devices are told `grace` ms from now, unless they are told of
/// others earlier.
pub(super) fn move_on(
    conn: &mut Conn,
    heads: &BTreeMap<&str, Head>,
    grace: Option<i64>,
) -> QueryResult<()> {
    if heads.is_empty() {
        return Ok(());
    }
    let rooms: Vec<&str> = heads.keys().copied().collect();
    macro_rules! column {
        ($head:ident => $value:expr) => {
            heads.values().map(|$head| $value).collect::<Vec<_>>()
        };
    }
    diesel::sql_query(MOVE)
        .bind::<Array<Text>, _>(rooms)
        .bind::<Array<BigInt>, _>(column!(head => signed(head.upto.epoch)))
        .bind::<Array<BigInt>, _>(column!(head => signed(head.upto.seq)))
        .bind::<Array<Nullable<BigInt>>, _>(column!(head => head.from.map(|at| signed(at.epoch))))
        .bind::<Array<Nullable<BigInt>>, _>(column!(head => head.from.map(|at| signed(at.seq))))
        .bind::<Nullable<BigInt>, _>(grace)
        .execute(conn)
        .map(drop)
}
