//! An envelope as a row, and back.

use std::sync::{Arc, LazyLock};

use diesel::deserialize;
use diesel::prelude::*;

use super::{Body, Db, NewBody, body_of};
use crate::envelope::Envelope;
use crate::ids::{NodeId, OriginId, RoomId, UserId};
use crate::position::Position;
use crate::store::headers;
use crate::store::schema::messages;

/// A number of ours in the database's signed ones. Above them it saturates: no row stands there, so a
/// bound far in the future stays behind everything.
pub fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// A stored number.
pub fn unsigned(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}

/// Whether the position has a place in the table.
pub fn fits(position: Position) -> bool {
    position.epoch <= i64::MAX as u64 && position.seq <= i64::MAX as u64
}

/// A position from its two columns.
pub fn position((epoch, seq): (i64, i64)) -> Position {
    Position::new(unsigned(epoch), unsigned(seq))
}

/// A row to be written.
#[derive(Debug, Insertable)]
#[diesel(table_name = messages, treat_none_as_default_value = false)]
pub struct NewRow<'a> {
    pub room: &'a str,
    pub epoch: i64,
    pub seq: i64,
    pub origin_id: Option<&'a str>,
    pub sender: &'a str,
    pub sent_at: i64,
    pub content_type: Option<&'a str>,
    pub sender_name: Option<&'a str>,
    pub is_binary: bool,
    pub headers: Option<String>,
    pub body_hash: i64,
    pub body: NewBody<'a>,
}

impl<'a> NewRow<'a> {
    /// The row of `envelope` under its own name, if its sender gave one.
    pub fn of(envelope: &'a Envelope) -> Self {
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
            body: body_of(envelope),
        }
    }

    /// The same without its name, which belongs to another message.
    pub fn nameless(envelope: &'a Envelope) -> Self {
        Self { origin_id: None, ..Self::of(envelope) }
    }
}

/// A row that was read.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = messages, check_for_backend(Db))]
pub struct Row {
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
    pub fn envelope(self, room: &RoomId) -> deserialize::Result<Arc<Envelope>> {
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
