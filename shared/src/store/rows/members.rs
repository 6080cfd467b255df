//! Memberships as rows, and what becomes of them in one transaction.

use diesel::prelude::*;
use diesel::upsert::excluded;

use super::rooms::{self, unreadable};
use super::row::{position, signed, unsigned};
use super::{Conn, Db, changes};
use crate::ids::{RoomId, UserId};
use crate::membership::{Change, Decision, Denied, Known, Member, Role, decide, running};
use crate::position::Position;
use crate::store::rooms::{Reader, Visibility};
use crate::store::schema::{accounts, cursors, delivered, kept_mutes, members};

/// `members.source`: how somebody came in.
pub const FOUNDED: &str = "founded";
pub const JOINED: &str = "joined";
pub const PUT: &str = "put";

/// A row that was read.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = members, check_for_backend(Db))]
pub struct MemberRow {
    pub user_id: String,
    pub name: Option<String>,
    pub role: String,
    pub joined_at: i64,
    pub muted_until: Option<i64>,
    pub banned: bool,
}

impl MemberRow {
    /// What it was written from.
    pub fn member(self) -> QueryResult<Member> {
        Ok(Member {
            user: UserId::parse(&self.user_id).map_err(unreadable)?,
            name: self.name,
            role: Role::named(&self.role).ok_or_else(|| unreadable("a role that is none"))?,
            joined_at: unsigned(self.joined_at),
            muted_until: self.muted_until.map(unsigned),
            banned: self.banned,
        })
    }
}

pub fn get(conn: &mut Conn, room: &RoomId, user: &UserId) -> QueryResult<Option<Member>> {
    let row = members::table
        .find((room.as_str(), user.as_str()))
        .select(MemberRow::as_select())
        .first(conn)
        .optional()?;
    row.map(MemberRow::member).transpose()
}

/// A member's row and its cursor.
type ReaderRow = (MemberRow, Option<(i64, i64)>);

fn from_row((row, read): ReaderRow) -> QueryResult<Reader> {
    Ok(Reader { member: row.member()?, read: read.map_or(Position::ZERO, position) })
}

pub fn reader(conn: &mut Conn, room: &RoomId, user: &UserId) -> QueryResult<Option<Reader>> {
    let its_cursor = cursors::room.eq(members::room).and(cursors::user_id.eq(members::user_id));
    let row: Option<ReaderRow> = members::table
        .left_join(cursors::table.on(its_cursor))
        .filter(members::room.eq(room.as_str()))
        .filter(members::user_id.eq(user.as_str()))
        .select((MemberRow::as_select(), (cursors::epoch, cursors::seq).nullable()))
        .first(conn)
        .optional()?;
    row.map(from_row).transpose()
}

pub fn list(
    conn: &mut Conn,
    room: &RoomId,
    after: Option<&UserId>,
    limit: usize,
) -> QueryResult<Vec<Reader>> {
    let its_cursor = cursors::room.eq(members::room).and(cursors::user_id.eq(members::user_id));
    let rows: Vec<ReaderRow> = members::table
        .left_join(cursors::table.on(its_cursor))
        .filter(members::room.eq(room.as_str()))
        .filter(members::user_id.gt(after.map_or("", UserId::as_str)))
        .order(members::user_id)
        .limit(signed(limit as u64))
        .select((MemberRow::as_select(), (cursors::epoch, cursors::seq).nullable()))
        .load(conn)?;
    rows.into_iter().map(from_row).collect()
}

/// Writes a row; of one that is there, what can change.
pub fn put(conn: &mut Conn, room: &RoomId, member: &Member, source: &str) -> QueryResult<()> {
    diesel::insert_into(members::table)
        .values((
            members::room.eq(room.as_str()),
            members::user_id.eq(member.user.as_str()),
            members::name.eq(member.name.as_deref()),
            members::role.eq(member.role.as_str()),
            members::source.eq(source),
            members::joined_at.eq(signed(member.joined_at)),
            members::banned.eq(member.banned),
            members::muted_until.eq(member.muted_until.map(signed)),
        ))
        .on_conflict((members::room, members::user_id))
        .do_update()
        .set((
            members::role.eq(excluded(members::role)),
            members::banned.eq(excluded(members::banned)),
            members::muted_until.eq(excluded(members::muted_until)),
        ))
        .execute(conn)?;
    Ok(())
}

fn remove(conn: &mut Conn, room: &RoomId, user: &UserId) -> QueryResult<()> {
    let key = (room.as_str(), user.as_str());
    diesel::delete(members::table.find(key)).execute(conn)?;
    diesel::delete(cursors::table.find(key)).execute(conn)?;
    let delivered = delivered::table.filter(delivered::room.eq(key.0));
    diesel::delete(delivered.filter(delivered::user_id.eq(key.1))).execute(conn)?;
    Ok(())
}

/// Whether the user came into a room by itself, or read in one that others put it into.
pub fn came(conn: &mut Conn, user: &UserId) -> QueryResult<bool> {
    let its_cursor = cursors::room.eq(members::room).and(cursors::user_id.eq(members::user_id));
    let room: Option<String> = members::table
        .left_join(cursors::table.on(its_cursor))
        .filter(members::user_id.eq(user.as_str()))
        .filter(members::source.ne(PUT).or(cursors::epoch.nullable().is_not_null()))
        .select(members::room)
        .first(conn)
        .optional()?;
    Ok(room.is_some())
}

/// Somebody whom others put there is there by itself.
pub fn has_come(conn: &mut Conn, room: &RoomId, user: &UserId, source: &str) -> QueryResult<()> {
    let put = members::table.find((room.as_str(), user.as_str())).filter(members::source.eq(PUT));
    diesel::update(put).set(members::source.eq(source)).execute(conn).map(drop)
}

/// A mute that somebody went with, over or not.
pub fn kept_mute(conn: &mut Conn, room: &RoomId, user: &UserId) -> QueryResult<Option<u64>> {
    let row = kept_mutes::table.find((room.as_str(), user.as_str()));
    let until: Option<i64> = row.select(kept_mutes::muted_until).first(conn).optional()?;
    Ok(until.map(unsigned))
}

/// It stands in the member's row from now on.
pub fn forget_mute(conn: &mut Conn, room: &RoomId, user: &UserId) -> QueryResult<()> {
    let row = kept_mutes::table.find((room.as_str(), user.as_str()));
    diesel::delete(row).execute(conn).map(drop)
}

/// Those of the room that are over go with it, so that they do not heap up.
fn keep_mute(
    conn: &mut Conn,
    room: &RoomId,
    user: &UserId,
    muted_until: Option<u64>,
    now: u64,
) -> QueryResult<()> {
    let Some(until) = muted_until else { return Ok(()) };
    let of_room = kept_mutes::table.filter(kept_mutes::room.eq(room.as_str()));
    diesel::delete(of_room.filter(kept_mutes::muted_until.le(signed(now)))).execute(conn)?;
    let row = (
        kept_mutes::room.eq(room.as_str()),
        kept_mutes::user_id.eq(user.as_str()),
        kept_mutes::muted_until.eq(signed(until)),
    );
    diesel::insert_into(kept_mutes::table)
        .values(row)
        .on_conflict((kept_mutes::room, kept_mutes::user_id))
        .do_update()
        .set(kept_mutes::muted_until.eq(excluded(kept_mutes::muted_until)))
        .execute(conn)
        .map(drop)
}

pub fn change(
    conn: &mut Conn,
    room: &RoomId,
    actor: &UserId,
    target: &UserId,
    change: &Change,
    now: u64,
) -> QueryResult<Result<Option<Member>, Denied>> {
    let Some(info) = rooms::get(conn, room)? else { return Ok(Err(Denied::NoRoom)) };
    let (target, source) = match change {
        Change::Join { .. } | Change::Leave => (actor, JOINED),
        Change::Put { .. } | Change::Kick => (target, PUT),
    };
    let known = Known {
        public: info.visibility == Visibility::Public,
        actor: get(conn, room, actor)?,
        target: get(conn, room, target)?,
        kept_mute: kept_mute(conn, room, target)?,
        owners: owners(conn, room)?,
    };
    let done = match decide(&known, actor, target, change.clone(), now) {
        Err(denied) => return Ok(Err(denied)),
        Ok(Decision::Nothing) => {
            if matches!(change, Change::Join { .. }) {
                has_come(conn, room, target, source)?;
            }
            known.target
        }
        Ok(Decision::Put(member)) => {
            changes::add(conn, room, Some(target))?;
            let new = known.target.is_none();
            let member = if new { named(conn, member)? } else { member };
            put(conn, room, &member, source)?;
            if known.kept_mute.is_some() {
                forget_mute(conn, room, target)?;
            }
            Some(member)
        }
        Ok(Decision::Remove { muted_until }) => {
            changes::add(conn, room, Some(target))?;
            remove(conn, room, target)?;
            keep_mute(conn, room, target, muted_until, now)?;
            None
        }
    };
    Ok(Ok(done))
}

/// How many owners it has; of more than two, two.
fn owners(conn: &mut Conn, room: &RoomId) -> QueryResult<usize> {
    let owners: Vec<String> = members::table
        .filter(members::room.eq(room.as_str()))
        .filter(members::role.eq(Role::Owner.as_str()))
        .limit(2)
        .select(members::user_id)
        .load(conn)?;
    Ok(owners.len())
}

/// The member under the name that its account says, if it has no other.
pub fn named(conn: &mut Conn, member: Member) -> QueryResult<Member> {
    if member.name.is_some() {
        return Ok(member);
    }
    let name: Option<Option<String>> =
        accounts::table.find(member.user.as_str()).select(accounts::name).first(conn).optional()?;
    Ok(Member { name: name.flatten(), ..member })
}

/// Takes the user out of up to `most` rooms.
pub fn vanish(conn: &mut Conn, user: &UserId, most: usize, now: u64) -> QueryResult<Vec<RoomId>> {
    let rows: Vec<(String, String, Option<i64>)> = members::table
        .filter(members::user_id.eq(user.as_str()))
        .filter(members::banned.eq(false))
        .order(members::room)
        .limit(signed(most as u64))
        .select((members::room, members::role, members::muted_until))
        .load(conn)?;
    let mut left = Vec::with_capacity(rows.len());
    for (room, role, muted_until) in rows {
        let room = RoomId::parse(&room).map_err(unreadable)?;
        changes::add(conn, &room, Some(user))?;
        remove(conn, &room, user)?;
        keep_mute(conn, &room, user, running(muted_until.map(unsigned), now), now)?;
        if role == Role::Owner.as_str() && owners(conn, &room)? == 0 {
            pass_on(conn, &room)?;
        }
        left.push(room);
    }
    Ok(left)
}

/// Makes the member with the highest role that came first the owner.
fn pass_on(conn: &mut Conn, room: &RoomId) -> QueryResult<()> {
    for role in [Role::Admin, Role::Member] {
        let next: Option<String> = members::table
            .filter(members::room.eq(room.as_str()))
            .filter(members::role.eq(role.as_str()))
            .filter(members::banned.eq(false))
            .order(members::joined_at)
            .select(members::user_id)
            .first(conn)
            .optional()?;
        if let Some(user) = next {
            let user = UserId::parse(&user).map_err(unreadable)?;
            changes::add(conn, room, Some(&user))?;
            diesel::update(members::table.find((room.as_str(), user.as_str())))
                .set(members::role.eq(Role::Owner.as_str()))
                .execute(conn)?;
            return Ok(());
        }
    }
    Ok(())
}
