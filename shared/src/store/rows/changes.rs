//! Changes of memberships that the nodes are to be told of.

use diesel::prelude::*;

use super::Conn;
use super::rooms::unreadable;
use super::row::signed;
use crate::ids::{RoomId, UserId};
use crate::store::rooms::MemberChange;
use crate::store::schema::member_changes;

/// A row of `user`, or of everybody.
pub fn add(conn: &mut Conn, room: &RoomId, user: Option<&UserId>) -> QueryResult<()> {
    let row = (
        member_changes::room.eq(room.as_str()),
        member_changes::user_id.eq(user.map(UserId::as_str)),
    );
    diesel::insert_into(member_changes::table).values(row).execute(conn).map(drop)
}

pub fn untold(
    conn: &mut Conn,
    room: Option<&RoomId>,
    limit: usize,
) -> QueryResult<Vec<MemberChange>> {
    let mut rows =
        member_changes::table.order(member_changes::id).limit(signed(limit as u64)).into_boxed();
    if let Some(room) = room {
        rows = rows.filter(member_changes::room.eq(room.as_str()));
    }
    let rows: Vec<(i64, String, Option<String>)> = rows.load(conn)?;
    let change = |(id, room, user): (i64, String, Option<String>)| {
        let user = user.map(|user| UserId::parse(&user)).transpose().map_err(unreadable)?;
        QueryResult::Ok(MemberChange { id, room: RoomId::parse(&room).map_err(unreadable)?, user })
    };
    rows.into_iter().map(change).collect()
}

pub fn told(conn: &mut Conn, ids: &[i64]) -> QueryResult<()> {
    diesel::delete(member_changes::table.filter(member_changes::id.eq_any(ids)))
        .execute(conn)
        .map(drop)
}
