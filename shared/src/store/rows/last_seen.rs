//! When people were last there.

use diesel::prelude::*;

use super::Conn;
use super::rooms::unreadable;
use super::row::unsigned;
use crate::ids::UserId;
use crate::store::last_seen::Seen;
use crate::store::schema::last_seen;

pub fn of(conn: &mut Conn, users: &[UserId]) -> QueryResult<Vec<Seen>> {
    let rows: Vec<(String, i64)> = last_seen::table
        .filter(last_seen::user_id.eq_any(users.iter().map(UserId::as_str)))
        .select((last_seen::user_id, last_seen::at))
        .load(conn)?;
    let seen = |(user, at): (String, i64)| {
        QueryResult::Ok(Seen { user: UserId::parse(&user).map_err(unreadable)?, at: unsigned(at) })
    };
    rows.into_iter().map(seen).collect()
}

pub fn forget(conn: &mut Conn, user: &UserId) -> QueryResult<()> {
    diesel::delete(last_seen::table.find(user.as_str())).execute(conn).map(drop)
}
