//! How far members have read and were given messages, and what that leaves unread.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Nullable, Text};

use super::Conn;
use super::members::MemberRow;
use super::rooms::{RoomRow, unreadable};
use super::row::{position, signed};
use crate::ids::{InstallationId, RoomId, UserId};
use crate::position::Position;
use crate::store::cursors::Delivered;
use crate::store::rooms::{OwnRoom, UNREAD_MOST};
use crate::store::schema::delivered;

/// A device as it stands in a row.
pub fn device_text(device: Option<&InstallationId>) -> &str {
    device.map_or("", InstallationId::as_str)
}

pub fn delivered_of(
    conn: &mut Conn,
    room: &RoomId,
    users: &[UserId],
) -> QueryResult<Vec<Delivered>> {
    let rows: Vec<(String, String, (i64, i64))> = delivered::table
        .filter(delivered::room.eq(room.as_str()))
        .filter(delivered::user_id.eq_any(users.iter().map(UserId::as_str)))
        .select((delivered::user_id, delivered::device, (delivered::epoch, delivered::seq)))
        .load(conn)?;
    let one = |(user, device, at): (String, String, (i64, i64))| {
        let device = match &*device {
            "" => None,
            named => Some(InstallationId::parse(named).map_err(unreadable)?),
        };
        let user = UserId::parse(&user).map_err(unreadable)?;
        QueryResult::Ok(Delivered { room: room.clone(), user, device, position: position(at) })
    };
    rows.into_iter().map(one).collect()
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
