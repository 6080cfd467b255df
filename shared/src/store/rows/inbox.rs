//! A user's inbox: what changed when, and how it is now.

use std::collections::{BTreeSet, HashMap};
use std::sync::LazyLock;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Bool, Nullable, Text};

use super::members::{MemberRow, PUT};
use super::rooms::{RoomRow, unreadable};
use super::row::{position, signed, unsigned};
use super::{Conn, GIVEN_PAIRS, GIVEN_ROOMS, GREATEST, PREVIEW, clock, load_own, load_rooms};
use crate::ids::{RoomId, UserId};
use crate::position::Position;
use crate::store::inbox::{Changes, Entry, Last, PREVIEW_CHARS, Standing, Token};
use crate::store::rooms::{OwnRoom, UNREAD_MOST};
use crate::store::schema::members;

static CHANGED: LazyLock<String> =
    LazyLock::new(|| include_str!("inbox_changed.sql").replace("{greatest}", GREATEST));
/// How users stand in rooms. $1: where counts end; then who, then where.
pub static OWN: LazyLock<String> = LazyLock::new(|| {
    include_str!("inbox_own.sql").replace("{greatest}", GREATEST).replace("{given}", GIVEN_PAIRS)
});
/// Rooms. $1: which.
pub static ROOMS: LazyLock<String> = LazyLock::new(|| {
    include_str!("inbox_rooms.sql").replace("{preview}", PREVIEW).replace("{given}", GIVEN_ROOMS)
});

/// Forgets removals; some may have become memberships again.
const FORGET: &str = "DELETE FROM own_changes WHERE (user_id, room) IN (\
     SELECT user_id, room FROM own_changes WHERE gone AND changed_at < $1 LIMIT $2)";

/// A line of `inbox_changed.sql`.
#[derive(Debug, QueryableByName)]
struct Changed {
    #[diesel(sql_type = Text)]
    room: String,
    #[diesel(sql_type = BigInt)]
    changed_at: i64,
}

/// A line of `inbox_own.sql`.
#[derive(Debug, QueryableByName)]
pub struct OwnRow {
    #[diesel(sql_type = Text)]
    user_id: String,
    #[diesel(sql_type = Text)]
    room: String,
    #[diesel(sql_type = Nullable<Text>)]
    name: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    role: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    source: Option<String>,
    #[diesel(sql_type = Nullable<BigInt>)]
    joined_at: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    muted_until: Option<i64>,
    #[diesel(sql_type = BigInt)]
    read_epoch: i64,
    #[diesel(sql_type = BigInt)]
    read_seq: i64,
    #[diesel(sql_type = BigInt)]
    began_at: i64,
    #[diesel(sql_type = BigInt)]
    changed_at: i64,
    #[diesel(sql_type = BigInt)]
    unread: i64,
}

/// A line of `inbox_rooms.sql`.
#[derive(Debug, Clone, QueryableByName)]
pub struct PlaceRow {
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
    #[diesel(sql_type = BigInt)]
    head_epoch: i64,
    #[diesel(sql_type = BigInt)]
    head_seq: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    epoch: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    seq: Option<i64>,
    #[diesel(sql_type = Nullable<Text>)]
    sender: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    sender_name: Option<String>,
    #[diesel(sql_type = Nullable<BigInt>)]
    sent_at: Option<i64>,
    #[diesel(sql_type = Nullable<Text>)]
    content_type: Option<String>,
    #[diesel(sql_type = Nullable<Binary>)]
    preview: Option<Vec<u8>>,
}

/// The rooms of the user, by id.
pub fn rooms(conn: &mut Conn, user: &UserId, limit: usize) -> QueryResult<Vec<RoomId>> {
    let ids: Vec<String> = members::table
        .filter(members::user_id.eq(user.as_str()))
        .filter(members::banned.eq(false))
        .order(members::room)
        .limit(signed(limit as u64))
        .select(members::room)
        .load(conn)?;
    let all = ids.iter().map(|id| RoomId::parse(id).map_err(unreadable));
    Ok(all.filter_map(|id| readable(id, user, "a room")).collect())
}

/// Without what this program cannot read, as what a newer one wrote: one row must not keep all
/// others from being told.
fn readable<T>(read: QueryResult<T>, user: &UserId, what: &str) -> Option<T> {
    read.inspect_err(|error| {
        tracing::error!(user.id = %user, what, %error, "a row of an inbox cannot be read");
    })
    .ok()
}

pub fn changes(
    conn: &mut Conn,
    user: &UserId,
    since: Option<Token>,
    limit: usize,
) -> QueryResult<Changes> {
    // Before the look: what is not in that has a later time, or a transaction that began with it.
    let now = clock(conn)?;
    let all = Token::after_all(now);
    let since = since.unwrap_or(all);
    let recovered = since.is_good(now);
    let (from, place) = match recovered && !since.is_zero() {
        true => (Some(Token::time_of(since.place())), since.place()),
        false => (None, 0),
    };
    // On the way through a list it is gone on from where that began.
    let base = if recovered && since.is_on_its_way() { since.arrived() } else { all };
    let rows: Vec<Changed> = diesel::sql_query(&**CHANGED)
        .bind::<Text, _>(user.as_str())
        .bind::<BigInt, _>(signed(from.unwrap_or(0)))
        .bind::<Text, _>(user.as_str())
        // Whoever knows nothing need not forget anything.
        .bind::<BigInt, _>(from.map_or(i64::MAX, signed))
        .load(conn)?;
    let mut places = Vec::with_capacity(rows.len());
    for Changed { room, changed_at } in rows {
        let Some(room) = readable(RoomId::parse(&room).map_err(unreadable), user, &room) else {
            continue;
        };
        places.push((Token::place_of(unsigned(changed_at), &room), room));
    }
    places.retain(|(at, _)| *at > place);
    places.sort_unstable();
    let mut end = places.len().min(limit.max(1));
    // Those of one place stay together: nobody could go on between them.
    while end < places.len() && places[end].0 == places[end - 1].0 {
        end += 1;
    }
    let more = end < places.len();
    places.truncate(end);
    let tokens: Vec<Token> = places.iter().map(|(place, _)| base.up_to(*place)).collect();
    let next = match tokens.last() {
        Some(last) if more => *last,
        _ => base,
    };
    let pairs: Vec<(UserId, RoomId)> =
        places.into_iter().map(|(_, room)| (user.clone(), room)).collect();
    let read = read(conn, &pairs)?.into_iter().zip(tokens);
    let entries = read.filter_map(|(entry, token)| Some((entry?, token))).collect();
    Ok(Changes { entries, next, more, recovered })
}

pub fn entries(conn: &mut Conn, pairs: &[(UserId, RoomId)]) -> QueryResult<Vec<Entry>> {
    Ok(read(conn, pairs)?.into_iter().flatten().collect())
}

/// `None` for those that cannot be read.
fn read(conn: &mut Conn, pairs: &[(UserId, RoomId)]) -> QueryResult<Vec<Option<Entry>>> {
    if pairs.is_empty() {
        return Ok(Vec::new());
    }
    let mut own: HashMap<(String, String), OwnRow> = load_own(conn, pairs)?
        .into_iter()
        .map(|row| ((row.user_id.clone(), row.room.clone()), row))
        .collect();
    let ids: BTreeSet<&str> =
        own.values().filter(|row| row.role.is_some()).map(|row| row.room.as_str()).collect();
    let rooms: HashMap<String, PlaceRow> = load_rooms(conn, &ids.into_iter().collect::<Vec<_>>())?
        .into_iter()
        .map(|row| (row.room.clone(), row))
        .collect();
    let entry = |(user, room): &(UserId, RoomId)| {
        // Each pair is there once.
        let row = own.remove(&(user.to_string(), room.to_string()));
        let at = row.as_ref().map_or(0, |row| unsigned(row.changed_at));
        let place = rooms.get(room.as_str());
        let standing = match (row, place) {
            (Some(row), Some(place)) => {
                readable(standing(row, place.clone()), user, room.as_str())?.map(Box::new)
            }
            _ => None,
        };
        Some(Entry { user: user.clone(), room: room.clone(), at, standing })
    };
    Ok(pairs.iter().map(entry).collect())
}

/// `None` for who is no member.
fn standing(row: OwnRow, place: PlaceRow) -> QueryResult<Option<Standing>> {
    let Some(role) = row.role else { return Ok(None) };
    let member = MemberRow {
        user_id: row.user_id,
        name: row.name,
        role,
        joined_at: row.joined_at.unwrap_or(0),
        muted_until: row.muted_until,
        banned: false,
    };
    let room = RoomRow {
        id: place.room,
        name: place.room_name,
        visibility: place.visibility,
        direct: place.direct,
        created_at: place.created_at,
    };
    let head = position((place.head_epoch, place.head_seq));
    let last = match (place.epoch, place.seq, place.sender) {
        (Some(epoch), Some(seq), Some(sender)) => Some(Last {
            position: position((epoch, seq)),
            sender: UserId::parse(&sender).map_err(unreadable)?,
            sender_name: place.sender_name,
            sent_at: unsigned(place.sent_at.unwrap_or(0)),
            content_type: place.content_type,
            preview: place.preview.as_deref().and_then(beginning),
        }),
        _ => None,
    };
    let own = OwnRoom {
        room: room.info()?,
        member: member.member()?,
        head: last.as_ref().map_or(Position::ZERO, |last| last.position).max(head),
        read: position((row.read_epoch, row.read_seq)),
        unread: u32::try_from(row.unread).unwrap_or(UNREAD_MOST),
    };
    let invited = row.source.as_deref() == Some(PUT);
    Ok(Some(Standing { own, last, invited, began_at: unsigned(row.began_at) }))
}

/// The first characters of a text that may be cut off inside of one; `None` when it is no text.
fn beginning(bytes: &[u8]) -> Option<String> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) if error.error_len().is_some() => return None,
        Err(error) => std::str::from_utf8(&bytes[..error.valid_up_to()]).ok()?,
    };
    (!text.is_empty()).then(|| text.chars().take(PREVIEW_CHARS).collect())
}

pub fn forget(conn: &mut Conn, before: u64, most: usize) -> QueryResult<usize> {
    diesel::sql_query(FORGET)
        .bind::<BigInt, _>(signed(before))
        .bind::<BigInt, _>(signed(most as u64))
        .execute(conn)
}
