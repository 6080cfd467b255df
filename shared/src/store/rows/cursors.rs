//! How far members have read, and what that leaves unread.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Nullable, Text};
use diesel::upsert::excluded;

use super::Conn;
use super::members::{self, MemberRow};
use super::rooms::{RoomRow, unreadable};
use super::row::{position, signed};
use crate::ids::{RoomId, UserId};
use crate::position::Position;
use crate::store::rooms::{Moved, OwnRoom, UNREAD_MOST};
use crate::store::schema::cursors;

/// A cursor only moves forward.
pub fn move_on(
    conn: &mut Conn,
    room: &RoomId,
    user: &UserId,
    read: Position,
) -> QueryResult<Option<Moved>> {
    if members::get(conn, room, user)?.is_none_or(|member| member.banned) {
        return Ok(None);
    }
    let stands: Option<(i64, i64)> = cursors::table
        .find((room.as_str(), user.as_str()))
        .select((cursors::epoch, cursors::seq))
        .first(conn)
        .optional()?;
    let stands = stands.map_or(Position::ZERO, position);
    let read = position((signed(read.epoch), signed(read.seq)));
    if read <= stands {
        return Ok(Some(Moved::Not(stands)));
    }
    diesel::insert_into(cursors::table)
        .values((
            cursors::room.eq(room.as_str()),
            cursors::user_id.eq(user.as_str()),
            cursors::epoch.eq(signed(read.epoch)),
            cursors::seq.eq(signed(read.seq)),
        ))
        .on_conflict((cursors::room, cursors::user_id))
        .do_update()
        .set((cursors::epoch.eq(excluded(cursors::epoch)), cursors::seq.eq(excluded(cursors::seq))))
        .execute(conn)?;
    Ok(Some(Moved::On(read)))
}

/// One statement for a page, not three for each room of it.
pub fn rooms_of(
    conn: &mut Conn,
    user: &UserId,
    after: Option<&RoomId>,
    limit: usize,
) -> QueryResult<Vec<OwnRoom>> {
    let rows: Vec<OwnRow> = diesel::sql_query(include_str!("rooms_of.sql"))
        .bind::<BigInt, _>(i64::from(UNREAD_MOST))
        .bind::<Text, _>(user.as_str())
        .bind::<Text, _>(after.map_or("", RoomId::as_str))
        .bind::<BigInt, _>(signed(limit as u64))
        .load(conn)?;
    rows.into_iter().map(|row| row.own_room(user)).collect()
}

/// A line of `rooms_of.sql`.
#[derive(Debug, QueryableByName)]
struct OwnRow {
    #[diesel(sql_type = Text)]
    room: String,
    #[diesel(sql_type = Nullable<Text>)]
    room_name: Option<String>,
    #[diesel(sql_type = Text)]
    visibility: String,
    #[diesel(sql_type = Bool)]
    direct: bool,
    #[diesel(sql_type = BigInt)]
    created_at: i64,
    #[diesel(sql_type = Nullable<Text>)]
    name: Option<String>,
    #[diesel(sql_type = Text)]
    role: String,
    #[diesel(sql_type = BigInt)]
    joined_at: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    muted_until: Option<i64>,
    #[diesel(sql_type = BigInt)]
    read_epoch: i64,
    #[diesel(sql_type = BigInt)]
    read_seq: i64,
    #[diesel(sql_type = Nullable<Text>)]
    last_message: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    last_mark: Option<String>,
    #[diesel(sql_type = BigInt)]
    unread: i64,
}

impl OwnRow {
    fn own_room(self, user: &UserId) -> QueryResult<OwnRoom> {
        let member = MemberRow {
            user_id: user.to_string(),
            name: self.name,
            role: self.role,
            joined_at: self.joined_at,
            muted_until: self.muted_until,
            banned: false,
        };
        let room = RoomRow {
            id: self.room,
            name: self.room_name,
            visibility: self.visibility,
            direct: self.direct,
            created_at: self.created_at,
        };
        let place = |text: Option<String>| -> QueryResult<Position> {
            text.map_or(Ok(Position::ZERO), |text| text.parse().map_err(unreadable))
        };
        Ok(OwnRoom {
            room: room.info()?,
            member: member.member()?,
            head: place(self.last_message)?.max(place(self.last_mark)?),
            read: position((self.read_epoch, self.read_seq)),
            unread: u32::try_from(self.unread).unwrap_or(UNREAD_MOST),
        })
    }
}
