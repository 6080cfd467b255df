//! Cursors and times that move, one after the other: the one writer waits for nobody.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use diesel::upsert::excluded;

use super::Conn;
use super::rows::cursors::device_text;
use super::rows::members;
use super::rows::pushes;
use super::rows::row::{position, signed};
use crate::clock::now_ms;
use crate::ids::{RoomId, UserId};
use crate::position::Position;
use crate::store::cursors::{Delivered, Moved, Read};
use crate::store::last_seen::Seen;
use crate::store::schema::{accounts, cursors, delivered};

/// As both databases keep it.
fn kept(at: Position) -> Position {
    position((signed(at.epoch), signed(at.seq)))
}

fn is_member(conn: &mut Conn, room: &RoomId, user: &UserId) -> QueryResult<bool> {
    Ok(members::get(conn, room, user)?.is_some_and(|member| !member.banned))
}

/// Those who have read, in their order.
pub fn move_reads(conn: &mut Conn, reads: &[Read]) -> QueryResult<Vec<Option<Moved>>> {
    reads.iter().map(|read| move_read(conn, read)).collect()
}

fn move_read(conn: &mut Conn, read: &Read) -> QueryResult<Option<Moved>> {
    let Read { room, user, position: at, device } = read;
    if !is_member(conn, room, user)? {
        return Ok(None);
    }
    let stands: Option<(i64, i64)> = cursors::table
        .find((room.as_str(), user.as_str()))
        .select((cursors::epoch, cursors::seq))
        .first(conn)
        .optional()?;
    let (stands, at) = (stands.map_or(Position::ZERO, position), kept(*at));
    if at <= stands {
        return Ok(Some(Moved::Not(stands)));
    }
    diesel::insert_into(cursors::table)
        .values((
            cursors::room.eq(room.as_str()),
            cursors::user_id.eq(user.as_str()),
            cursors::epoch.eq(signed(at.epoch)),
            cursors::seq.eq(signed(at.seq)),
            cursors::moved_at.eq(signed(now_ms())),
        ))
        .on_conflict((cursors::room, cursors::user_id))
        .do_update()
        .set((
            cursors::epoch.eq(excluded(cursors::epoch)),
            cursors::seq.eq(excluded(cursors::seq)),
            cursors::moved_at.eq(excluded(cursors::moved_at)),
        ))
        .execute(conn)?;
    let reader = device_text(device.as_ref());
    pushes::cancel(conn, room.as_str(), user.as_str(), (signed(at.epoch), signed(at.seq)), reader)?;
    Ok(Some(Moved::On(at)))
}

/// Those who were given something, in their order.
pub fn move_delivered(conn: &mut Conn, all: &[Delivered]) -> QueryResult<Vec<bool>> {
    all.iter().map(|one| move_one(conn, one)).collect()
}

fn move_one(conn: &mut Conn, one: &Delivered) -> QueryResult<bool> {
    let Delivered { room, user, device, position: at } = one;
    if !is_member(conn, room, user)? {
        return Ok(false);
    }
    let device = device_text(device.as_ref());
    let stands: Option<(i64, i64)> = delivered::table
        .find((room.as_str(), user.as_str(), device))
        .select((delivered::epoch, delivered::seq))
        .first(conn)
        .optional()?;
    let at = kept(*at);
    if at <= stands.map_or(Position::ZERO, position) {
        return Ok(false);
    }
    diesel::insert_into(delivered::table)
        .values((
            delivered::room.eq(room.as_str()),
            delivered::user_id.eq(user.as_str()),
            delivered::device.eq(device),
            delivered::epoch.eq(signed(at.epoch)),
            delivered::seq.eq(signed(at.seq)),
        ))
        .on_conflict((delivered::room, delivered::user_id, delivered::device))
        .do_update()
        .set((
            delivered::epoch.eq(excluded(delivered::epoch)),
            delivered::seq.eq(excluded(delivered::seq)),
        ))
        .execute(conn)?;
    Ok(true)
}

const LAST_SEEN: &str = "INSERT INTO last_seen (user_id, at) VALUES ($1, $2) \
     ON CONFLICT (user_id) DO UPDATE SET at = excluded.at WHERE excluded.at > last_seen.at";

/// Those who were seen.
pub fn move_last_seen(conn: &mut Conn, all: &[Seen]) -> QueryResult<()> {
    for one in all {
        let deleted: Option<bool> = accounts::table
            .find(one.user.as_str())
            .select(accounts::password_hash.is_null())
            .first(conn)
            .optional()?;
        if deleted == Some(true) {
            continue;
        }
        diesel::sql_query(LAST_SEEN)
            .bind::<Text, _>(one.user.as_str())
            .bind::<BigInt, _>(signed(one.at))
            .execute(conn)?;
    }
    Ok(())
}
