//! An envelope into its row, its mark, or nowhere because it is there already.

use diesel::prelude::*;

use super::row::{NewRow, fits, position, signed};
use super::write::Writer;
use crate::envelope::Envelope;
use crate::position::Position;
use crate::store::Stored;
use crate::store::schema::{epochs, marks, messages};

/// `marks.kind` of a row that lost its name to an earlier one.
const DUPLICATE: &str = "duplicate";

/// Whether every position has a place in the table, which the broker's always have.
pub(super) fn all_fit<'a>(mut envelopes: impl Iterator<Item = &'a Envelope>) -> bool {
    envelopes.all(|envelope| fits(envelope.position))
}

/// Stores one envelope, idempotent by position and by name.
pub(super) fn insert(writer: &mut Writer, envelope: &Envelope) -> QueryResult<Stored> {
    if writer.is_new_epoch(&envelope.room, envelope.position.epoch) {
        begin_epoch(writer, envelope)?;
    }
    // The bread and butter: one statement, prepared once, and its count tells a conflict.
    if add(writer, NewRow::of(envelope))? {
        return Ok(Stored::New);
    }
    if let Some(body_hash) = hash_at(writer, envelope)? {
        if body_hash != envelope.body_hash() {
            // Two messages for one number: a broker has handed it out twice.
            tracing::error!(
                room.id = %envelope.room,
                position = %envelope.position,
                "another message stands at this position; this one is not stored"
            );
        }
        return Ok(Stored::Again);
    }
    match namesake(writer, envelope)? {
        Some((first, body_hash)) if body_hash == envelope.body_hash() => {
            mark(writer, envelope, first)?;
            Ok(Stored::Duplicate { first })
        }
        // `or ignore` would hide a broken rule of the table as well: never answered for unseen.
        _ if add(writer, NewRow::nameless(envelope))? => Ok(Stored::New),
        _ => Err(diesel::result::Error::NotFound),
    }
}

fn add(writer: &mut Writer, row: NewRow<'_>) -> QueryResult<bool> {
    // `or ignore`, as diesel walks a row with `on conflict` several times more.
    let added =
        diesel::insert_or_ignore_into(messages::table).values(row).execute(&mut writer.conn)?;
    Ok(added > 0)
}

fn begin_epoch(writer: &mut Writer, envelope: &Envelope) -> QueryResult<()> {
    diesel::insert_into(epochs::table)
        .values((
            epochs::room.eq(envelope.room.as_str()),
            epochs::epoch.eq(signed(envelope.position.epoch)),
        ))
        .on_conflict_do_nothing()
        .execute(&mut writer.conn)?;
    Ok(())
}

/// The body's fingerprint of the row at the envelope's position.
fn hash_at(writer: &mut Writer, envelope: &Envelope) -> QueryResult<Option<u64>> {
    messages::table
        .find((
            envelope.room.as_str(),
            signed(envelope.position.epoch),
            signed(envelope.position.seq),
        ))
        .select(messages::body_hash)
        .first(&mut writer.conn)
        .optional()
        .map(|found| found.map(i64::cast_unsigned))
}

/// Where the sender's name stands, and the fingerprint of that body.
fn namesake(writer: &mut Writer, envelope: &Envelope) -> QueryResult<Option<(Position, u64)>> {
    messages::table
        .filter(messages::room.eq(envelope.room.as_str()))
        .filter(messages::sender.eq(envelope.sender.as_str()))
        .filter(messages::origin_id.eq(envelope.origin.as_str()))
        .select(((messages::epoch, messages::seq), messages::body_hash))
        .first(&mut writer.conn)
        .optional()
        .map(|found| found.map(|(at, hash): (_, i64)| (position(at), hash.cast_unsigned())))
}

fn mark(writer: &mut Writer, envelope: &Envelope, first: Position) -> QueryResult<()> {
    diesel::insert_into(marks::table)
        .values((
            marks::room.eq(envelope.room.as_str()),
            marks::epoch.eq(signed(envelope.position.epoch)),
            marks::seq.eq(signed(envelope.position.seq)),
            marks::kind.eq(DUPLICATE),
            marks::first_epoch.eq(signed(first.epoch)),
            marks::first_seq.eq(signed(first.seq)),
        ))
        .on_conflict_do_nothing()
        .execute(&mut writer.conn)?;
    Ok(())
}
