//! A batch of envelopes into their rows: one statement for those that meet nothing, and for the
//! others the decision that is the same on every database.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Binary, Bool, Nullable, Text};

use super::rows::insert::{self, again};
use super::rows::row::{NewRow, signed};
use super::{Conn, epochs};
use crate::envelope::Envelope;
use crate::store::Stored;

/// Rows and bytes of one statement, about.
const ROWS: usize = 4096;
const BYTES: usize = 16 << 20;

/// Arrays, as a statement has no more than 65,535 parameters. They come out in their order.
const ADD: &str = "INSERT INTO messages (room, epoch, seq, origin_id, sender, sent_at, \
     content_type, sender_name, is_binary, headers, body_hash, body) \
     SELECT * FROM UNNEST($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) \
     ON CONFLICT DO NOTHING RETURNING room, epoch, seq";

const THERE: &str = "SELECT room, epoch, seq, body_hash \
     FROM UNNEST($1, $2, $3) AS given (room, epoch, seq) JOIN messages USING (room, epoch, seq)";

/// A position in the table.
type Key<'a> = (&'a str, i64, i64);

fn key(envelope: &Envelope) -> Key<'_> {
    (envelope.room.as_str(), signed(envelope.position.epoch), signed(envelope.position.seq))
}

/// A name that no other message may have.
fn name(one: &Envelope) -> Option<(&str, &str, &str)> {
    let Envelope { room, sender, origin, .. } = one;
    origin.is_given().then(|| (room.as_str(), sender.as_str(), origin.as_str()))
}

/// Stores a batch. What it inserts, it inserts in order, so that overlapping batches do not wait for
/// each other in a circle.
pub(super) fn insert(conn: &mut Conn, batch: &[Arc<Envelope>]) -> QueryResult<Vec<Stored>> {
    let mut lives: Vec<(&str, u64)> =
        batch.iter().map(|one| (one.room.as_str(), one.position.epoch)).collect();
    lives.sort_unstable();
    lives.dedup();
    let closed: HashSet<(String, u64)> = epochs::look(conn, &lives)?.into_iter().collect();
    let is_closed = |one: &Envelope| {
        !closed.is_empty() && closed.contains(&(one.room.to_string(), one.position.epoch))
    };

    let alone = alone(batch);
    let mut plain: Vec<&Envelope> = batch
        .iter()
        .zip(&alone)
        .filter(|(one, alone)| **alone && !is_closed(one))
        .map(|(one, _)| &**one)
        .collect();
    plain.sort_unstable_by_key(|one| key(one));
    let mut new: HashSet<Key<'_>> = HashSet::new();
    let mut rest = plain.as_slice();
    while !rest.is_empty() {
        let (part, more) = rest.split_at(part_of(rest));
        add_all(conn, part, &mut new)?;
        rest = more;
    }
    if new.len() == batch.len() {
        return Ok(vec![Stored::New; batch.len()]);
    }

    let others: Vec<&Envelope> =
        batch.iter().map(|one| &**one).filter(|one| !new.contains(&key(one))).collect();
    let there = there(conn, &others)?;
    let decide = |one: &Arc<Envelope>| {
        let (room, epoch, seq) = key(one);
        if new.contains(&(room, epoch, seq)) {
            return Ok(Stored::New);
        }
        match there.get(&(room.to_owned(), epoch, seq)) {
            Some(body_hash) => Ok(again(one, *body_hash)),
            None => insert::insert(conn, one, is_closed(one)),
        }
    };
    batch.iter().map(decide).collect()
}

/// Which of them share neither position nor name with another one of the batch. The others have to
/// be looked at one after another, in the order given.
fn alone(batch: &[Arc<Envelope>]) -> Vec<bool> {
    let mut places: HashMap<Key<'_>, usize> = HashMap::with_capacity(batch.len());
    let mut names: HashMap<(&str, &str, &str), usize> = HashMap::with_capacity(batch.len());
    for one in batch {
        *places.entry(key(one)).or_default() += 1;
        if let Some(name) = name(one) {
            *names.entry(name).or_default() += 1;
        }
    }
    let is_alone = |one: &Arc<Envelope>| {
        places.get(&key(one)) == Some(&1)
            && name(one).is_none_or(|name| names.get(&name) == Some(&1))
    };
    batch.iter().map(is_alone).collect()
}

/// How many of them go into one statement.
fn part_of(rows: &[&Envelope]) -> usize {
    let mut bytes = 0;
    let fits = |one: &&&Envelope| {
        bytes += one.weight();
        bytes <= BYTES
    };
    rows.iter().take(ROWS).take_while(fits).count().max(1)
}

/// A position that was read.
#[derive(QueryableByName)]
struct Place {
    #[diesel(sql_type = Text)]
    room: String,
    #[diesel(sql_type = BigInt)]
    epoch: i64,
    #[diesel(sql_type = BigInt)]
    seq: i64,
}

/// Adds those that meet nothing, and notes them.
fn add_all<'a>(
    conn: &mut Conn,
    part: &[&'a Envelope],
    new: &mut HashSet<Key<'a>>,
) -> QueryResult<()> {
    let rows: Vec<NewRow<'_>> = part.iter().map(|one| NewRow::of(one)).collect();
    macro_rules! column {
        ($field:ident) => {
            rows.iter().map(|row| row.$field).collect::<Vec<_>>()
        };
    }
    let headers: Vec<Option<&str>> = rows.iter().map(|row| row.headers.as_deref()).collect();
    let added: Vec<Place> = diesel::sql_query(ADD)
        .bind::<Array<Text>, _>(column!(room))
        .bind::<Array<BigInt>, _>(column!(epoch))
        .bind::<Array<BigInt>, _>(column!(seq))
        .bind::<Array<Nullable<Text>>, _>(column!(origin_id))
        .bind::<Array<Text>, _>(column!(sender))
        .bind::<Array<BigInt>, _>(column!(sent_at))
        .bind::<Array<Nullable<Text>>, _>(column!(content_type))
        .bind::<Array<Nullable<Text>>, _>(column!(sender_name))
        .bind::<Array<Bool>, _>(column!(is_binary))
        .bind::<Array<Nullable<Text>>, _>(headers)
        .bind::<Array<BigInt>, _>(column!(body_hash))
        .bind::<Array<Binary>, _>(column!(body))
        .load(conn)?;
    if added.len() == part.len() {
        new.extend(part.iter().map(|one| key(one)));
    } else {
        let added: HashSet<(&str, i64, i64)> =
            added.iter().map(|place| (place.room.as_str(), place.epoch, place.seq)).collect();
        new.extend(part.iter().map(|one| key(one)).filter(|key| added.contains(key)));
    }
    Ok(())
}

/// A row that was there before.
#[derive(QueryableByName)]
struct There {
    #[diesel(embed)]
    place: Place,
    #[diesel(sql_type = BigInt)]
    body_hash: i64,
}

/// The rows that are at their positions, with the fingerprints of their bodies: most of what meets
/// something is a delivery that came again.
fn there(
    conn: &mut Conn,
    envelopes: &[&Envelope],
) -> QueryResult<HashMap<(String, i64, i64), u64>> {
    let keys: Vec<Key<'_>> = envelopes.iter().map(|one| key(one)).collect();
    let found: Vec<There> = diesel::sql_query(THERE)
        .bind::<Array<Text>, _>(keys.iter().map(|key| key.0).collect::<Vec<_>>())
        .bind::<Array<BigInt>, _>(keys.iter().map(|key| key.1).collect::<Vec<_>>())
        .bind::<Array<BigInt>, _>(keys.iter().map(|key| key.2).collect::<Vec<_>>())
        .load(conn)?;
    let key = |There { place, body_hash }: There| {
        ((place.room, place.epoch, place.seq), body_hash.cast_unsigned())
    };
    Ok(found.into_iter().map(key).collect())
}
