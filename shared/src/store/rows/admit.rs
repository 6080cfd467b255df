//! Memberships by a token's grant.

use diesel::prelude::*;

use super::Conn;
use super::members::PUT;
use super::row::signed;
use super::{members as people, read};
use crate::clock::now_ms;
use crate::ids::{RoomId, UserId};
use crate::membership::running;
use crate::store::Access;
use crate::store::schema::{members, rooms};

/// `members.source` of who came with a token's grant.
const GRANT: &str = "grant";

/// What is known of who came before; `None` for others, also for those whom somebody only put there.
pub fn known(conn: &mut Conn, room: &RoomId, user: &UserId) -> QueryResult<Option<Access>> {
    let by: Option<String> = members::table
        .find((room.as_str(), user.as_str()))
        .select(members::source)
        .first(conn)
        .optional()?;
    Ok(match by {
        Some(by) if by != PUT => Some(read::access(conn, room, user)?),
        Some(_) | None => None,
    })
}

/// Makes the room and the membership when they are missing. A room of two people is not made so:
/// whoever else has a grant for everything would be its first member.
pub fn admit(
    conn: &mut Conn,
    room: &RoomId,
    user: &UserId,
    name: Option<&str>,
) -> QueryResult<Access> {
    let there = read::access(conn, room, user)?;
    if there != Access::None {
        people::has_come(conn, room, user, GRANT)?;
        return Ok(there);
    }
    let now = now_ms();
    if room.is_direct() || room.is_unsayable() {
        return Ok(Access::None);
    }
    diesel::insert_into(rooms::table)
        .values((rooms::id.eq(room.as_str()), rooms::created_at.eq(signed(now))))
        .on_conflict_do_nothing()
        .execute(conn)?;
    if is_closed_to_grants(conn, room)? {
        return Ok(Access::None);
    }
    let kept_mute = people::kept_mute(conn, room, user)?;
    diesel::insert_into(members::table)
        .values((
            members::room.eq(room.as_str()),
            members::user_id.eq(user.as_str()),
            members::name.eq(name),
            members::source.eq(GRANT),
            members::joined_at.eq(signed(now)),
            members::muted_until.eq(running(kept_mute, now).map(signed)),
        ))
        .on_conflict_do_nothing()
        .execute(conn)?;
    if kept_mute.is_some() {
        people::forget_mute(conn, room, user)?;
    }
    read::access(conn, room, user)
}

/// No grant opens a room that was deleted, or one that belongs to two people.
fn is_closed_to_grants(conn: &mut Conn, room: &RoomId) -> QueryResult<bool> {
    rooms::table
        .find(room.as_str())
        .select(rooms::direct.or(rooms::deleted_at.is_not_null()))
        .first(conn)
}
