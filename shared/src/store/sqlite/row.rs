//! An envelope as a row, and back.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::ValidGrouping;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{Binary, Text};
use diesel::sqlite::{Sqlite, SqliteType, SqliteValue};

use super::headers;
use crate::envelope::Envelope;
use crate::ids::{NodeId, OriginId, RoomId, UserId};
use crate::position::Position;
use crate::store::schema::messages;

/// A number of ours in SQLite's signed ones. Above them it saturates: no row stands there, so a
/// bound far in the future stays behind everything.
pub(super) fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// A stored number.
pub(super) fn unsigned(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}

/// Whether the position has a place in the table.
pub(super) fn fits(position: Position) -> bool {
    position.epoch <= i64::MAX as u64 && position.seq <= i64::MAX as u64
}

/// A position from its two columns.
pub(super) fn position((epoch, seq): (i64, i64)) -> Position {
    Position::new(unsigned(epoch), unsigned(seq))
}

/// A body to be written: TEXT when it is one (and readable in any SQLite shell), else BLOB.
///
/// An expression and not a value, since diesel binds every value of a column as one type.
#[derive(Debug, Clone, Copy, ValidGrouping)]
pub(super) enum NewBody<'a> {
    Text(&'a str),
    Bytes(&'a [u8]),
}

impl<'a> NewBody<'a> {
    fn of(envelope: &'a Envelope) -> Self {
        let bytes: &[u8] = &envelope.body;
        match std::str::from_utf8(bytes) {
            // SQLite keeps a NUL in a text, but most programs end there.
            Ok(text) if !envelope.binary && !bytes.contains(&0) => Self::Text(text),
            _ => Self::Bytes(bytes),
        }
    }
}

impl QueryId for NewBody<'_> {
    // The statement is the same for both, so it is prepared once.
    type QueryId = NewBody<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl Expression for NewBody<'_> {
    type SqlType = Binary;
}

impl<QS: ?Sized> AppearsOnTable<QS> for NewBody<'_> {}

impl QueryFragment<Sqlite> for NewBody<'_> {
    fn walk_ast<'b>(&'b self, mut pass: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        match *self {
            Self::Text(text) => pass.push_bind_param::<Text, str>(text),
            Self::Bytes(bytes) => pass.push_bind_param::<Binary, [u8]>(bytes),
        }
    }
}

/// A body that was read, whichever way it was stored.
#[derive(Debug, FromSqlRow)]
pub(super) struct Body(Bytes);

impl FromSql<Binary, Sqlite> for Body {
    fn from_sql(mut value: SqliteValue<'_, '_, '_>) -> deserialize::Result<Self> {
        let bytes = match value.value_type() {
            // Read as what it is, or SQLite would convert a copy of it.
            Some(SqliteType::Text) => value.read_text().as_bytes(),
            _ => value.read_blob(),
        };
        Ok(Self(Bytes::copy_from_slice(bytes)))
    }
}

/// A row to be written.
#[derive(Debug, Insertable)]
#[diesel(table_name = messages, treat_none_as_default_value = false)]
pub(super) struct NewRow<'a> {
    room: &'a str,
    epoch: i64,
    seq: i64,
    origin_id: Option<&'a str>,
    sender: &'a str,
    sent_at: i64,
    content_type: Option<&'a str>,
    sender_name: Option<&'a str>,
    is_binary: bool,
    headers: Option<String>,
    body_hash: i64,
    body: NewBody<'a>,
}

impl<'a> NewRow<'a> {
    /// The row of `envelope` under its own name, if its sender gave one.
    pub(super) fn of(envelope: &'a Envelope) -> Self {
        Self {
            room: envelope.room.as_str(),
            epoch: signed(envelope.position.epoch),
            seq: signed(envelope.position.seq),
            origin_id: envelope.origin.is_given().then(|| envelope.origin.as_str()),
            sender: envelope.sender.as_str(),
            sent_at: signed(envelope.sent_at),
            content_type: envelope.content_type.as_deref(),
            sender_name: envelope.sender_name.as_deref(),
            is_binary: envelope.binary,
            headers: headers::encode(&envelope.headers),
            body_hash: envelope.body_hash().cast_signed(),
            body: NewBody::of(envelope),
        }
    }

    /// The same without its name, which belongs to another message.
    pub(super) fn nameless(envelope: &'a Envelope) -> Self {
        Self { origin_id: None, ..Self::of(envelope) }
    }
}

/// A row that was read.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = messages, check_for_backend(Sqlite))]
pub(super) struct Row {
    epoch: i64,
    seq: i64,
    origin_id: Option<String>,
    sender: String,
    sent_at: i64,
    content_type: Option<String>,
    sender_name: Option<String>,
    is_binary: bool,
    headers: Option<String>,
    body: Body,
}

impl Row {
    /// The envelope that it was written from; a name that a node made is another one now.
    pub(super) fn envelope(self, room: &RoomId) -> deserialize::Result<Arc<Envelope>> {
        static STORE: LazyLock<NodeId> = LazyLock::new(NodeId::random);
        let origin = match self.origin_id {
            Some(name) => OriginId::parse(&name)?,
            None => OriginId::made_by(&STORE),
        };
        Ok(Arc::new(Envelope {
            room: room.clone(),
            position: position((self.epoch, self.seq)),
            origin,
            sender: UserId::parse(&self.sender)?,
            sender_name: self.sender_name,
            sent_at: unsigned(self.sent_at),
            content_type: self.content_type,
            binary: self.is_binary,
            headers: self.headers.as_deref().map(headers::decode).unwrap_or_default(),
            body: self.body.0,
        }))
    }
}
