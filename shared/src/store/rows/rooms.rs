//! Rooms as rows. Every question walks an index and is bounded.

use std::collections::BTreeMap;

use diesel::prelude::*;
use diesel::result::Error;

use super::members::{self, FOUNDED, JOINED, PUT};
use super::row::{signed, unsigned};
use super::{Conn, Db, changes};
use crate::ids::{RoomId, UserId};
use crate::membership::{Denied, Member, Role, may};
use crate::store::rooms::{Made, NewRoom, RoomChange, RoomInfo, Visibility};
use crate::store::schema::{cursors, delivered, kept_mutes, members as member_rows, rooms};

/// A row that was read.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = rooms, check_for_backend(Db))]
pub struct RoomRow {
    pub id: String,
    pub name: Option<String>,
    pub visibility: String,
    pub direct: bool,
    pub created_at: i64,
}

impl RoomRow {
    /// What it was written from.
    pub fn info(self) -> QueryResult<RoomInfo> {
        Ok(RoomInfo {
            id: RoomId::parse(&self.id).map_err(unreadable)?,
            name: self.name,
            visibility: Visibility::named(&self.visibility)
                .ok_or_else(|| unreadable("a visibility that is none"))?,
            direct: self.direct,
            created_at: unsigned(self.created_at),
        })
    }
}

/// A row that this program has not written.
pub fn unreadable(why: impl Into<Box<dyn std::error::Error + Send + Sync + 'static>>) -> Error {
    Error::DeserializationError(why.into())
}

/// The room, unless it was deleted.
pub fn get(conn: &mut Conn, room: &RoomId) -> QueryResult<Option<RoomInfo>> {
    let row = rooms::table
        .find(room.as_str())
        .filter(rooms::deleted_at.is_null())
        .select(RoomRow::as_select())
        .first(conn)
        .optional()?;
    row.map(RoomRow::info).transpose()
}

pub fn create(
    conn: &mut Conn,
    new: &NewRoom,
    owner: &Member,
    now: u64,
) -> QueryResult<Made<RoomInfo>> {
    let info = RoomInfo {
        id: new.id.clone(),
        name: new.name.clone(),
        visibility: new.visibility,
        direct: false,
        created_at: now,
    };
    if !add(conn, &info)? {
        return Ok(Made::Taken);
    }
    let owner = Member { role: Role::Owner, ..owner.clone() };
    members::put(conn, &new.id, &owner, FOUNDED)?;
    Ok(Made::New(info))
}

/// False when the id is taken.
fn add(conn: &mut Conn, info: &RoomInfo) -> QueryResult<bool> {
    let added = diesel::insert_into(rooms::table)
        .values((
            rooms::id.eq(info.id.as_str()),
            rooms::name.eq(info.name.as_deref()),
            rooms::visibility.eq(info.visibility.as_str()),
            rooms::direct.eq(info.direct),
            rooms::created_at.eq(signed(info.created_at)),
        ))
        .on_conflict_do_nothing()
        .execute(conn)?;
    Ok(added > 0)
}

pub fn direct(
    conn: &mut Conn,
    room: &RoomId,
    two: &[Member; 2],
    now: u64,
) -> QueryResult<Made<RoomInfo>> {
    let info = RoomInfo {
        id: room.clone(),
        name: None,
        visibility: Visibility::Private,
        direct: true,
        created_at: now,
    };
    let made = if add(conn, &info)? {
        Made::New(info)
    } else {
        match get(conn, room)? {
            Some(there) if there.direct => Made::There(there),
            _ => return Ok(Made::Taken),
        }
    };
    // Who asks is there by itself.
    for (member, source) in two.iter().zip([JOINED, PUT]) {
        if members::get(conn, room, &member.user)?.is_none() {
            let member = members::named(conn, member.clone())?;
            members::put(conn, room, &member, source)?;
            changes::add(conn, room, Some(&member.user))?;
        }
    }
    Ok(made)
}

pub fn update(
    conn: &mut Conn,
    room: &RoomId,
    actor: &UserId,
    change: &RoomChange,
) -> QueryResult<Result<RoomInfo, Denied>> {
    let Some(mut info) = get(conn, room)? else { return Ok(Err(Denied::NoRoom)) };
    let least = if change.visibility.is_some() { Role::Owner } else { Role::Admin };
    if let Err(denied) = may(members::get(conn, room, actor)?.as_ref(), least) {
        return Ok(Err(denied));
    }
    if info.direct {
        return Ok(Err(Denied::NotAllowed));
    }
    if let Some(name) = &change.name {
        info.name.clone_from(name);
    }
    info.visibility = change.visibility.unwrap_or(info.visibility);
    diesel::update(rooms::table.find(room.as_str()))
        .set((rooms::name.eq(info.name.as_deref()), rooms::visibility.eq(info.visibility.as_str())))
        .execute(conn)?;
    Ok(Ok(info))
}

/// The row stays without what people wrote into it, so that the id stays taken.
pub fn delete(
    conn: &mut Conn,
    room: &RoomId,
    actor: &UserId,
    now: u64,
) -> QueryResult<Result<(), Denied>> {
    if get(conn, room)?.is_none() {
        return Ok(Err(Denied::NoRoom));
    }
    if let Err(denied) = may(members::get(conn, room, actor)?.as_ref(), Role::Owner) {
        return Ok(Err(denied));
    }
    diesel::update(rooms::table.find(room.as_str()))
        .set((
            rooms::deleted_at.eq(signed(now)),
            rooms::name.eq(None::<&str>),
            rooms::visibility.eq(Visibility::Private.as_str()),
        ))
        .execute(conn)?;
    diesel::delete(member_rows::table.filter(member_rows::room.eq(room.as_str()))).execute(conn)?;
    diesel::delete(cursors::table.filter(cursors::room.eq(room.as_str()))).execute(conn)?;
    diesel::delete(delivered::table.filter(delivered::room.eq(room.as_str()))).execute(conn)?;
    diesel::delete(kept_mutes::table.filter(kept_mutes::room.eq(room.as_str()))).execute(conn)?;
    changes::add(conn, room, None)?;
    Ok(Ok(()))
}

/// Two walks, each up to `limit`, and what comes first of both.
pub fn visible(
    conn: &mut Conn,
    user: &UserId,
    after: Option<&RoomId>,
    limit: usize,
) -> QueryResult<Vec<RoomInfo>> {
    let after = after.map_or("", RoomId::as_str);
    let rows = conn.transaction(|conn| {
        let public = rooms::table
            .filter(rooms::visibility.eq(Visibility::Public.as_str()))
            .filter(rooms::id.gt(after))
            .order(rooms::id)
            .limit(signed(limit as u64))
            .select(RoomRow::as_select())
            .load(conn)?;
        let own = member_rows::table
            .inner_join(rooms::table.on(rooms::id.eq(member_rows::room)))
            .filter(member_rows::user_id.eq(user.as_str()))
            .filter(member_rows::banned.eq(false))
            .filter(member_rows::room.gt(after))
            .order(member_rows::room)
            .limit(signed(limit as u64))
            .select(RoomRow::as_select())
            .load(conn)?;
        QueryResult::Ok(public.into_iter().chain(own))
    })?;
    // A public room of one's own is in both.
    let by_id: BTreeMap<_, _> = rows.map(|row| (row.id.clone(), row)).collect();
    by_id.into_values().take(limit).map(RoomRow::info).collect()
}
