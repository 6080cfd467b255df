//! Writes that are rare: memberships and the ends of epochs.

use diesel::prelude::*;
use diesel::upsert::excluded;

use super::members::PUT;
use super::row::signed;
use super::write::Writer;
use super::{members as people, read};
use crate::clock::now_ms;
use crate::ids::{RoomId, UserId};
use crate::membership::running;
use crate::store::Access;
use crate::store::schema::{epochs, members, rooms};

/// `members.source` of who came with a token's grant.
const GRANT: &str = "grant";

/// What is known of who came before; `None` for others, also for those whom somebody only put there.
pub(super) fn known(
    conn: &mut SqliteConnection,
    room: &RoomId,
    user: &UserId,
) -> QueryResult<Option<Access>> {
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
pub(super) fn admit(
    writer: &mut Writer,
    room: &RoomId,
    user: &UserId,
    name: Option<&str>,
) -> QueryResult<Access> {
    let there = read::access(&mut writer.conn, room, user)?;
    if there != Access::None {
        people::has_come(&mut writer.conn, room, user, GRANT)?;
        return Ok(there);
    }
    let now = now_ms();
    if room.is_direct() || room.is_unsayable() {
        return Ok(Access::None);
    }
    diesel::insert_into(rooms::table)
        .values((rooms::id.eq(room.as_str()), rooms::created_at.eq(signed(now))))
        .on_conflict_do_nothing()
        .execute(&mut writer.conn)?;
    if is_closed_to_grants(writer, room)? {
        return Ok(Access::None);
    }
    let kept_mute = people::kept_mute(&mut writer.conn, room, user)?;
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
        .execute(&mut writer.conn)?;
    if kept_mute.is_some() {
        people::forget_mute(&mut writer.conn, room, user)?;
    }
    read::access(&mut writer.conn, room, user)
}

/// No grant opens a room that was deleted, or one that belongs to two people.
fn is_closed_to_grants(writer: &mut Writer, room: &RoomId) -> QueryResult<bool> {
    rooms::table
        .find(room.as_str())
        .select(rooms::direct.or(rooms::deleted_at.is_not_null()))
        .first(&mut writer.conn)
}

/// Writes the epoch's last number unless one is there.
pub(super) fn seal(writer: &mut Writer, room: &RoomId, epoch: u64, last: u64) -> QueryResult<()> {
    use diesel::query_dsl::methods::FilterDsl;

    let sealing = diesel::insert_into(epochs::table)
        .values((
            epochs::room.eq(room.as_str()),
            epochs::epoch.eq(signed(epoch)),
            epochs::sealed_last.eq(signed(last)),
        ))
        .on_conflict((epochs::room, epochs::epoch))
        .do_update()
        .set(epochs::sealed_last.eq(excluded(epochs::sealed_last)));
    FilterDsl::filter(sealing, epochs::sealed_last.is_null()).execute(&mut writer.conn)?;
    Ok(())
}
