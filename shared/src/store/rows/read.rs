//! What is asked of the rows. Every question walks the primary key and is bounded.

use diesel::connection::DefaultLoadingMode;
use diesel::prelude::*;
use diesel::result::Error;

use super::Conn;
use super::row::{Row, position, signed, unsigned};
use crate::ids::{OriginId, RoomId, UserId};
use crate::position::Position;
use crate::store::schema::{epochs, marks, members, messages, rooms};
use crate::store::{Access, Epoch, HistoryPage, KnownName};

/// How far the nodes' clocks may differ, in ms: rows stand by position, not by time.
const CLOCK_SLACK: u64 = 60 * 60 * 1000;
/// Rows that a search for names walks besides those it may find, in a room of nameless messages.
const NAMELESS: usize = 50_000;

pub fn history(
    conn: &mut Conn,
    room: &RoomId,
    after: Position,
    limit: usize,
    bytes: usize,
) -> QueryResult<HistoryPage> {
    let mut page = Page { room, limit: limit.max(1), bytes, envelopes: Vec::new(), more: false };
    let (epoch, seq) = (signed(after.epoch), signed(after.seq));
    // Two walks of the key, as diesel has no `(epoch, seq) > (?, ?)`; one view of the data, or a
    // row that came in between would be passed over.
    conn.transaction(|conn| {
        let in_room = || messages::table.filter(messages::room.eq(room.as_str()));
        // One row more than wanted tells whether there is more.
        let rows = in_room()
            .filter(messages::epoch.eq(epoch))
            .filter(messages::seq.gt(seq))
            .order(messages::seq)
            .limit(signed(page.room_left() as u64))
            .select(Row::as_select());
        page.fill(rows.load_iter::<_, DefaultLoadingMode>(conn)?)?;
        if page.more {
            return Ok(());
        }
        let rows = in_room()
            .filter(messages::epoch.gt(epoch))
            .order((messages::epoch, messages::seq))
            .limit(signed(page.room_left() as u64))
            .select(Row::as_select());
        page.fill(rows.load_iter::<_, DefaultLoadingMode>(conn)?)
    })?;
    Ok(HistoryPage { envelopes: page.envelopes, more: page.more })
}

/// Two walks of the key backwards, for the same reason.
pub fn history_back(
    conn: &mut Conn,
    room: &RoomId,
    before: Option<Position>,
    limit: usize,
    bytes: usize,
) -> QueryResult<HistoryPage> {
    let mut page = Page { room, limit: limit.max(1), bytes, envelopes: Vec::new(), more: false };
    // Above every row when nothing is named.
    let before = before.unwrap_or(Position::new(u64::MAX, u64::MAX));
    let (epoch, seq) = (signed(before.epoch), signed(before.seq));
    conn.transaction(|conn| {
        let in_room = || messages::table.filter(messages::room.eq(room.as_str()));
        let rows = in_room()
            .filter(messages::epoch.eq(epoch))
            .filter(messages::seq.lt(seq))
            .order(messages::seq.desc())
            .limit(signed(page.room_left() as u64))
            .select(Row::as_select());
        page.fill(rows.load_iter::<_, DefaultLoadingMode>(conn)?)?;
        if page.more {
            return Ok(());
        }
        let rows = in_room()
            .filter(messages::epoch.lt(epoch))
            .order((messages::epoch.desc(), messages::seq.desc()))
            .limit(signed(page.room_left() as u64))
            .select(Row::as_select());
        page.fill(rows.load_iter::<_, DefaultLoadingMode>(conn)?)
    })?;
    page.envelopes.reverse();
    Ok(HistoryPage { envelopes: page.envelopes, more: page.more })
}

struct Page<'a> {
    room: &'a RoomId,
    limit: usize,
    bytes: usize,
    envelopes: Vec<std::sync::Arc<crate::envelope::Envelope>>,
    more: bool,
}

impl Page<'_> {
    /// Rows to ask for: what is missing, and one that tells whether there is more.
    fn room_left(&self) -> usize {
        self.limit.saturating_sub(self.envelopes.len()).saturating_add(1)
    }

    fn fill(&mut self, rows: impl Iterator<Item = QueryResult<Row>>) -> QueryResult<()> {
        for row in rows {
            if self.envelopes.len() >= self.limit || self.bytes == 0 {
                self.more = true;
                return Ok(());
            }
            let envelope = row?.envelope(self.room).map_err(Error::DeserializationError)?;
            self.bytes = self.bytes.saturating_sub(envelope.weight());
            self.envelopes.push(envelope);
        }
        Ok(())
    }
}

pub fn before_last(conn: &mut Conn, room: &RoomId, count: usize) -> QueryResult<Position> {
    messages::table
        .filter(messages::room.eq(room.as_str()))
        .order((messages::epoch.desc(), messages::seq.desc()))
        .select((messages::epoch, messages::seq))
        .offset(signed(count as u64))
        .first(conn)
        .optional()
        .map(|found| found.map_or(Position::ZERO, position))
}

pub fn head(conn: &mut Conn, room: &RoomId) -> QueryResult<Option<Position>> {
    let row = messages::table
        .filter(messages::room.eq(room.as_str()))
        .order((messages::epoch.desc(), messages::seq.desc()))
        .select((messages::epoch, messages::seq))
        .first(conn)
        .optional()?;
    let mark = marks::table
        .filter(marks::room.eq(room.as_str()))
        .order((marks::epoch.desc(), marks::seq.desc()))
        .select((marks::epoch, marks::seq))
        .first(conn)
        .optional()?;
    Ok(row.max(mark).map(position))
}

/// A walk back from the head that ends where the rows are too old to be asked for.
pub fn names(
    conn: &mut Conn,
    room: &RoomId,
    count: usize,
    since: u64,
) -> QueryResult<Vec<KnownName>> {
    type Found = ((i64, i64), Option<String>, String, i64, i64);
    let rows = messages::table
        .filter(messages::room.eq(room.as_str()))
        .order((messages::epoch.desc(), messages::seq.desc()))
        .select((
            (messages::epoch, messages::seq),
            messages::origin_id,
            messages::sender,
            messages::body_hash,
            messages::sent_at,
        ))
        .limit(signed(count.saturating_add(NAMELESS) as u64))
        .load_iter::<Found, DefaultLoadingMode>(conn)?;
    let mut names = Vec::new();
    for row in rows {
        let (at, origin, sender, body_hash, sent_at) = row?;
        let sent_at = unsigned(sent_at);
        if names.len() >= count || sent_at.saturating_add(CLOCK_SLACK) < since {
            break;
        }
        if let Some(origin) = origin
            && sent_at >= since
        {
            names.push(KnownName {
                sender: UserId::parse(&sender).map_err(unreadable)?,
                origin: OriginId::parse(&origin).map_err(unreadable)?,
                position: position(at),
                body_hash: body_hash.cast_unsigned(),
                sent_at,
            });
        }
    }
    Ok(names)
}

fn unreadable(error: crate::ids::IdError) -> Error {
    Error::DeserializationError(Box::new(error))
}

pub fn epochs(conn: &mut Conn, room: &RoomId) -> QueryResult<Vec<Epoch>> {
    let rows: Vec<(i64, Option<i64>, bool)> = epochs::table
        .filter(epochs::room.eq(room.as_str()))
        .order(epochs::epoch)
        .select((epochs::epoch, epochs::sealed_last, epochs::begun))
        .load(conn)?;
    let epoch = |(epoch, sealed, begun): (i64, Option<i64>, bool)| Epoch {
        epoch: unsigned(epoch),
        sealed: sealed.map(unsigned),
        begun,
    };
    Ok(rows.into_iter().map(epoch).collect())
}

pub fn access(conn: &mut Conn, room: &RoomId, user: &UserId) -> QueryResult<Access> {
    let row: Option<(bool, Option<i64>)> = members::table
        .find((room.as_str(), user.as_str()))
        .select((members::banned, members::muted_until))
        .first(conn)
        .optional()?;
    Ok(match row {
        Some((true, _)) => Access::Banned,
        Some((false, Some(until))) => Access::Muted { until: unsigned(until) },
        Some((false, None)) => Access::Member,
        None => Access::None,
    })
}

/// Any row.
pub fn ping(conn: &mut Conn) -> QueryResult<()> {
    rooms::table.select(rooms::id).first::<String>(conn).optional().map(drop)
}
