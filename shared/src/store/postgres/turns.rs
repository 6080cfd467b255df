//! What Postgres says differently where many processes take turns.

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Nullable, Text};

use super::Conn;
use super::rows::pushes::NewRow;
use super::rows::rounds::{DUE_HEAD, Due};

/// How a transaction begins in which some of them each take rows that no other has.
pub(super) const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

/// The time now, in ms since 1970: one clock for all processes. As the statement began, since what
/// changes within it is not looked for in an index.
pub(super) const NOW: &str = "(extract(EPOCH FROM statement_timestamp()) * 1000)::BIGINT";

/// One row for each device, as no statement may change a row twice.
pub(super) const ONCE: &str = "GROUP BY room, user_id, device";

/// Rows that nobody else is taking.
pub(super) const NOT_TAKEN: &str = "FOR UPDATE SKIP LOCKED";

/// A row for each unread message behind the member's cursors, for the one of `pushes`; it ends where
/// enough are counted, whichever rooms they are in.
pub(super) const UNREAD_ANYWHERE: &str = "SELECT 1 FROM members AS mine \
     LEFT JOIN cursors AS place ON place.room = mine.room AND place.user_id = mine.user_id \
     CROSS JOIN LATERAL (SELECT 1 FROM messages WHERE messages.room = mine.room \
     AND (messages.epoch, messages.seq) > (coalesce(place.epoch, 0), coalesce(place.seq, 0)) \
     LIMIT $2) AS message WHERE mine.user_id = pushes.user_id AND NOT mine.banned LIMIT $2";

/// Each by itself, and no further than its first member with a device: what is due is never a reason
/// to read all members.
const REACHABLE: &str = "SELECT given.room FROM UNNEST($1) AS given (room) \
     CROSS JOIN LATERAL (SELECT 1 FROM members JOIN devices ON devices.user_id = members.user_id \
     WHERE members.room = given.room AND NOT members.banned AND devices.token IS NOT NULL \
     LIMIT 1) AS found";

#[derive(QueryableByName)]
struct Room {
    #[diesel(sql_type = Text)]
    room: String,
}

/// Those of the rooms that have a member with a device.
pub(super) fn reachable(conn: &mut Conn, rooms: &[&str]) -> QueryResult<Vec<String>> {
    let found: Vec<Room> = diesel::sql_query(REACHABLE).bind::<Array<Text>, _>(rooms).load(conn)?;
    Ok(found.into_iter().map(|found| found.room).collect())
}

/// Those heads of the rooms that are due and that nobody else takes.
pub(super) fn take_heads(conn: &mut Conn, rooms: &[&str]) -> QueryResult<Vec<Due>> {
    let take = format!("{DUE_HEAD} room = ANY($1) ORDER BY room {NOT_TAKEN}");
    diesel::sql_query(take.replace("{NOW}", NOW)).bind::<Array<Text>, _>(rooms).load(conn)
}

const ADD: &str = "INSERT INTO pushes (room, user_id, device, kind, epoch, seq, from_epoch, \
     from_seq, state, reason, attempts, created_at, ended_at, next_at) \
     SELECT $1, given.user_id, given.device, 'message', given.epoch, given.seq, given.from_epoch, \
     given.from_seq, CASE WHEN given.reason IS NULL THEN 'waiting' ELSE 'suppressed' END, \
     given.reason, given.attempts, {NOW}, CASE WHEN given.reason IS NULL THEN NULL ELSE {NOW} END, \
     CASE WHEN given.reason IS NULL THEN {NOW} ELSE NULL END \
     FROM UNNEST($2, $3, $4, $5, $6, $7, $8, $9) AS given \
     (user_id, device, epoch, seq, from_epoch, from_seq, reason, attempts) ON CONFLICT DO NOTHING";

/// Keeps pushes of messages of a room, all at once; one that is there already stays as it is.
pub(super) fn add_pushes(conn: &mut Conn, room: &str, rows: &[NewRow<'_>]) -> QueryResult<()> {
    if rows.is_empty() {
        return Ok(());
    }
    macro_rules! column {
        ($row:ident => $value:expr) => {
            rows.iter().map(|$row| $value).collect::<Vec<_>>()
        };
    }
    diesel::sql_query(ADD.replace("{NOW}", NOW))
        .bind::<Text, _>(room)
        .bind::<Array<Text>, _>(column!(row => row.user))
        .bind::<Array<Text>, _>(column!(row => row.device))
        .bind::<Array<BigInt>, _>(column!(row => row.at.0))
        .bind::<Array<BigInt>, _>(column!(row => row.at.1))
        .bind::<Array<BigInt>, _>(column!(row => row.from.0))
        .bind::<Array<BigInt>, _>(column!(row => row.from.1))
        .bind::<Array<Nullable<Text>>, _>(column!(row => row.reason))
        .bind::<Array<BigInt>, _>(column!(row => row.attempts))
        .execute(conn)
        .map(drop)
}
