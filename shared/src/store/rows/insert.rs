//! An envelope into its row, its mark, or nowhere because it is there already.

use diesel::prelude::*;

use super::row::{NewRow, position, signed};
use super::{Conn, add};
use crate::envelope::Envelope;
use crate::position::Position;
use crate::store::Stored;
use crate::store::schema::{marks, messages};
use crate::trace;

/// `marks.kind` of a row that lost its name to an earlier one.
const DUPLICATE: &str = "duplicate";

/// Stores one envelope, idempotent by position and by name. In an epoch that is `closed` only what
/// is there already is answered for.
pub fn insert(conn: &mut Conn, envelope: &Envelope, closed: bool) -> QueryResult<Stored> {
    // The bread and butter: one statement, prepared once, and its count tells a conflict.
    if !closed && add(conn, NewRow::of(envelope))? {
        return Ok(Stored::New);
    }
    if let Some(body_hash) = hash_at(conn, envelope)? {
        return Ok(again(envelope, body_hash));
    }
    if let Some(first) = marked_at(conn, envelope)? {
        return Ok(Stored::Duplicate { first });
    }
    if closed {
        return Ok(Stored::Late);
    }
    match namesake(conn, envelope)? {
        Some((first, body_hash)) if body_hash == envelope.body_hash() => {
            mark(conn, envelope, first)?;
            Ok(Stored::Duplicate { first })
        }
        // `or ignore` would hide a broken rule of the table as well: never answered for unseen.
        _ if add(conn, NewRow::nameless(envelope))? => Ok(Stored::New),
        _ => Err(diesel::result::Error::NotFound),
    }
}

/// A row is at the envelope's position, and its body has this fingerprint.
pub fn again(envelope: &Envelope, body_hash: u64) -> Stored {
    if body_hash != envelope.body_hash() {
        // Two messages for one number: a broker has handed it out twice.
        tracing::error!(
            room.id = %envelope.room,
            position = %envelope.position,
            trace.id = %trace::id(&envelope.room, envelope.position),
            "another message stands at this position; this one is not stored"
        );
    }
    Stored::Again
}

/// The body's fingerprint of the row at the envelope's position.
fn hash_at(conn: &mut Conn, envelope: &Envelope) -> QueryResult<Option<u64>> {
    messages::table
        .find(key(envelope))
        .select(messages::body_hash)
        .first(conn)
        .optional()
        .map(|found| found.map(i64::cast_unsigned))
}

/// Where the first one stands of the mark at the envelope's position.
fn marked_at(conn: &mut Conn, envelope: &Envelope) -> QueryResult<Option<Position>> {
    marks::table
        .find(key(envelope))
        .filter(marks::kind.eq(DUPLICATE))
        .select((marks::first_epoch.assume_not_null(), marks::first_seq.assume_not_null()))
        .first(conn)
        .optional()
        .map(|found| found.map(position))
}

fn key(envelope: &Envelope) -> (&str, i64, i64) {
    let Position { epoch, seq } = envelope.position;
    (envelope.room.as_str(), signed(epoch), signed(seq))
}

/// Where the sender's name stands, and the fingerprint of that body.
fn namesake(conn: &mut Conn, envelope: &Envelope) -> QueryResult<Option<(Position, u64)>> {
    messages::table
        .filter(messages::room.eq(envelope.room.as_str()))
        .filter(messages::sender.eq(envelope.sender.as_str()))
        .filter(messages::origin_id.eq(envelope.origin.as_str()))
        .select(((messages::epoch, messages::seq), messages::body_hash))
        .first(conn)
        .optional()
        .map(|found| found.map(|(at, hash): (_, i64)| (position(at), hash.cast_unsigned())))
}

fn mark(conn: &mut Conn, envelope: &Envelope, first: Position) -> QueryResult<()> {
    let (room, epoch, seq) = key(envelope);
    diesel::insert_into(marks::table)
        .values((
            marks::room.eq(room),
            marks::epoch.eq(epoch),
            marks::seq.eq(seq),
            marks::kind.eq(DUPLICATE),
            marks::first_epoch.eq(signed(first.epoch)),
            marks::first_seq.eq(signed(first.seq)),
        ))
        .on_conflict_do_nothing()
        .execute(conn)?;
    Ok(())
}
