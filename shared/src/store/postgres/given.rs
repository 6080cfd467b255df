//! Many users and rooms in one question about inboxes.

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Text};

use super::Conn;
use super::rows::inbox::{OWN, OwnRow, PlaceRow, ROOMS};
use super::rows::row::unsigned;
use crate::ids::{RoomId, UserId};
use crate::store::rooms::UNREAD_MOST;

// How this database says it.
pub const GREATEST: &str = "greatest";
pub const GIVEN_PAIRS: &str = "UNNEST($2, $3) AS given (user_id, room)";
pub const GIVEN_ROOMS: &str = "UNNEST($1) AS given (room)";
/// Bytes enough for so many characters.
pub const PREVIEW: &str = "substring(last.body FROM 1 FOR 800)";

#[derive(QueryableByName)]
struct Now {
    #[diesel(sql_type = BigInt)]
    now: i64,
}

/// The database's clock: several processes write.
pub fn clock(conn: &mut Conn) -> QueryResult<u64> {
    let Now { now } = diesel::sql_query("SELECT clock_ms() AS now").get_result(conn)?;
    Ok(unsigned(now))
}

/// How they stand, in no order.
pub fn load_own(conn: &mut Conn, pairs: &[(UserId, RoomId)]) -> QueryResult<Vec<OwnRow>> {
    let (users, rooms): (Vec<&str>, Vec<&str>) =
        pairs.iter().map(|(user, room)| (user.as_str(), room.as_str())).unzip();
    diesel::sql_query(&**OWN)
        .bind::<BigInt, _>(i64::from(UNREAD_MOST))
        .bind::<Array<Text>, _>(users)
        .bind::<Array<Text>, _>(rooms)
        .load(conn)
}

/// The rooms, in no order.
pub fn load_rooms(conn: &mut Conn, rooms: &[&str]) -> QueryResult<Vec<PlaceRow>> {
    diesel::sql_query(&**ROOMS).bind::<Array<Text>, _>(rooms).load(conn)
}
