//! Cursors and times that move, all with one statement. In order, so that two who move the same ones do not
//! wait for each other in a circle.

use std::collections::HashMap;

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Text};

use super::Conn;
use super::rows::cursors::device_text;
use super::rows::pushes::READ_AGAIN;
use super::rows::row::{position, signed};
use super::turns::NOW;
use crate::position::Position;
use crate::store::cursors::{Delivered, Moved, Read};
use crate::store::last_seen::Seen;

const READS: &str = "WITH given AS (SELECT * FROM UNNEST($1, $2, $3, $4) \
     AS given (room, user_id, epoch, seq)), moved AS (INSERT INTO cursors AS stands \
     (room, user_id, epoch, seq, moved_at) SELECT given.*, clock_ms() FROM given JOIN members USING (room, user_id) \
     WHERE NOT banned AND (given.epoch, given.seq) > (0, 0) ORDER BY room, user_id \
     ON CONFLICT (room, user_id) DO UPDATE SET epoch = excluded.epoch, seq = excluded.seq, \
     moved_at = excluded.moved_at \
     WHERE (excluded.epoch, excluded.seq) > (stands.epoch, stands.seq) RETURNING room, user_id) \
     SELECT given.room, given.user_id, moved.room IS NOT NULL AS moved, \
     coalesce(stands.epoch, 0) AS epoch, coalesce(stands.seq, 0) AS seq \
     FROM given JOIN members USING (room, user_id) LEFT JOIN moved USING (room, user_id) \
     LEFT JOIN cursors AS stands USING (room, user_id) WHERE NOT banned";

/// A member's cursor: whether it moved, and where it stood before.
#[derive(QueryableByName)]
struct Stands {
    #[diesel(sql_type = Text)]
    room: String,
    #[diesel(sql_type = Text)]
    user_id: String,
    #[diesel(sql_type = Bool)]
    moved: bool,
    #[diesel(sql_type = BigInt)]
    epoch: i64,
    #[diesel(sql_type = BigInt)]
    seq: i64,
}

/// Those who have read, in their order.
pub fn move_reads(conn: &mut Conn, reads: &[Read]) -> QueryResult<Vec<Option<Moved>>> {
    let rooms: Vec<&str> = reads.iter().map(|read| read.room.as_str()).collect();
    let users: Vec<&str> = reads.iter().map(|read| read.user.as_str()).collect();
    let (epochs, seqs) = places(reads.iter().map(|read| read.position));
    let found: Vec<Stands> = diesel::sql_query(READS)
        .bind::<Array<Text>, _>(&rooms)
        .bind::<Array<Text>, _>(&users)
        .bind::<Array<BigInt>, _>(&epochs)
        .bind::<Array<BigInt>, _>(&seqs)
        .load(conn)?;
    let members: HashMap<(&str, &str), &Stands> =
        found.iter().map(|row| ((&*row.room, &*row.user_id), row)).collect();
    let moved = reads.iter().zip(epochs.iter().zip(&seqs)).map(|(read, (epoch, seq))| {
        let row = members.get(&(read.room.as_str(), read.user.as_str()))?;
        let at = position((*epoch, *seq));
        Some(match row.moved {
            true => Moved::On(at),
            // Somebody may have moved it on since the statement began.
            false => Moved::Not(at.max(position((row.epoch, row.seq)))),
        })
    });
    let moved: Vec<Option<Moved>> = moved.collect();
    cancel(conn, reads.iter().zip(&moved).filter(|(_, it)| matches!(it, Some(Moved::On(_)))))?;
    Ok(moved)
}

/// Other devices that show what is read now are told so.
fn cancel<'a>(
    conn: &mut Conn,
    moved: impl Iterator<Item = (&'a Read, &'a Option<Moved>)>,
) -> QueryResult<()> {
    let reads: Vec<&Read> = moved.map(|(read, _)| read).collect();
    if reads.is_empty() {
        return Ok(());
    }
    let rooms: Vec<&str> = reads.iter().map(|read| read.room.as_str()).collect();
    let users: Vec<&str> = reads.iter().map(|read| read.user.as_str()).collect();
    let devices: Vec<&str> = reads.iter().map(|read| device_text(read.device.as_ref())).collect();
    let (epochs, seqs) = places(reads.iter().map(|read| read.position));
    diesel::sql_query((CANCEL.to_owned() + READ_AGAIN).replace("{NOW}", NOW))
        .bind::<Array<Text>, _>(&rooms)
        .bind::<Array<Text>, _>(&users)
        .bind::<Array<BigInt>, _>(&epochs)
        .bind::<Array<BigInt>, _>(&seqs)
        .bind::<Array<Text>, _>(&devices)
        .execute(conn)
        .map(drop)
}

const CANCEL: &str = "WITH given AS (SELECT * FROM UNNEST($1, $2, $3, $4, $5) \
     AS given (room, user_id, epoch, seq, reader)), \
     shown AS (UPDATE pushes SET cancelled = TRUE FROM given WHERE pushes.room = given.room \
     AND pushes.user_id = given.user_id AND pushes.state = 'sent' AND pushes.kind = 'message' \
     AND NOT pushes.cancelled AND (pushes.epoch, pushes.seq) <= (given.epoch, given.seq) \
     RETURNING pushes.room, pushes.user_id, pushes.device, given.epoch, given.seq, given.reader) \
     INSERT INTO pushes (room, user_id, device, kind, epoch, seq, from_epoch, from_seq, state, \
     created_at, next_at) SELECT DISTINCT room, user_id, device, 'read', epoch, seq, epoch, seq, \
     'waiting', {NOW}, {NOW} FROM shown WHERE device <> reader ";

const DELIVERED: &str = "INSERT INTO delivered AS stands SELECT given.* \
     FROM UNNEST($1, $2, $3, $4, $5) AS given (room, user_id, device, epoch, seq) \
     JOIN members USING (room, user_id) \
     WHERE NOT banned AND (given.epoch, given.seq) > (0, 0) ORDER BY room, user_id, device \
     ON CONFLICT (room, user_id, device) DO UPDATE SET epoch = excluded.epoch, seq = excluded.seq \
     WHERE (excluded.epoch, excluded.seq) > (stands.epoch, stands.seq) \
     RETURNING room, user_id, device";

#[derive(QueryableByName)]
struct Key {
    #[diesel(sql_type = Text)]
    room: String,
    #[diesel(sql_type = Text)]
    user_id: String,
    #[diesel(sql_type = Text)]
    device: String,
}

/// Those who were given something, in their order.
pub fn move_delivered(conn: &mut Conn, all: &[Delivered]) -> QueryResult<Vec<bool>> {
    let rooms: Vec<&str> = all.iter().map(|one| one.room.as_str()).collect();
    let users: Vec<&str> = all.iter().map(|one| one.user.as_str()).collect();
    let devices: Vec<&str> = all.iter().map(|one| device_text(one.device.as_ref())).collect();
    let (epochs, seqs) = places(all.iter().map(|one| one.position));
    let moved: Vec<Key> = diesel::sql_query(DELIVERED)
        .bind::<Array<Text>, _>(&rooms)
        .bind::<Array<Text>, _>(&users)
        .bind::<Array<Text>, _>(&devices)
        .bind::<Array<BigInt>, _>(&epochs)
        .bind::<Array<BigInt>, _>(&seqs)
        .load(conn)?;
    let moved: std::collections::HashSet<(&str, &str, &str)> =
        moved.iter().map(|key| (&*key.room, &*key.user_id, &*key.device)).collect();
    let keys = rooms.iter().zip(users).zip(devices);
    Ok(keys.map(|((room, user), device)| moved.contains(&(*room, user, device))).collect())
}

const LAST_SEEN: &str = "INSERT INTO last_seen AS stands SELECT given.* \
     FROM UNNEST($1, $2) AS given (user_id, at) LEFT JOIN accounts USING (user_id) \
     WHERE accounts.user_id IS NULL OR password_hash IS NOT NULL ORDER BY user_id \
     ON CONFLICT (user_id) DO UPDATE SET at = excluded.at WHERE excluded.at > stands.at";

/// Those who were seen.
pub fn move_last_seen(conn: &mut Conn, all: &[Seen]) -> QueryResult<()> {
    let users: Vec<&str> = all.iter().map(|one| one.user.as_str()).collect();
    let times: Vec<i64> = all.iter().map(|one| signed(one.at)).collect();
    diesel::sql_query(LAST_SEEN)
        .bind::<Array<Text>, _>(&users)
        .bind::<Array<BigInt>, _>(&times)
        .execute(conn)
        .map(drop)
}

fn places(positions: impl Iterator<Item = Position>) -> (Vec<i64>, Vec<i64>) {
    positions.map(|at| (signed(at.epoch), signed(at.seq))).unzip()
}
