//! How far rooms are stored, and what of that nobody's devices were told of yet: one row for each
//! room, written in the transaction of its messages. So no crash comes between the two, and a burst
//! costs one row.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use super::Stored;
use crate::envelope::Envelope;
use crate::position::Position;

/// What an insert brought to a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// Its last number, of a message or a mark.
    pub(super) upto: Position,
    /// Its first new message, if devices are to be told.
    pub(super) from: Option<Position>,
}

/// The rooms of an insert, in order: what was there already was counted when it came.
pub(super) fn heads<'a>(
    envelopes: &'a [Arc<Envelope>],
    stored: &[Stored],
    telling: bool,
) -> BTreeMap<&'a str, Head> {
    let mut heads: BTreeMap<&str, Head> = BTreeMap::new();
    for (envelope, stored) in envelopes.iter().zip(stored) {
        let at = envelope.position;
        let from = match stored {
            Stored::New => telling.then_some(at),
            Stored::Duplicate { .. } => None,
            Stored::Again | Stored::Late => continue,
        };
        let head = heads.entry(envelope.room.as_str()).or_insert(Head { upto: at, from });
        head.upto = head.upto.max(at);
        head.from = match (head.from, from) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }
    heads
}

/// A message that is stored so much later than it was sent, in ms, had to wait.
const LATE: u64 = 10_000;
/// What devices were given of it has been kept by then, in ms.
const LATE_GRACE: i64 = 20_000;

/// How long after a message devices are told of it; until it is set they are not.
#[derive(Debug)]
pub(super) struct Grace(AtomicI64);

impl Grace {
    pub(super) const fn unset() -> Self {
        Self(AtomicI64::new(-1))
    }

    pub(super) fn set(&self, grace: Duration) {
        self.0.store(i64::try_from(grace.as_millis()).unwrap_or(i64::MAX), Ordering::Relaxed);
    }

    /// In ms.
    pub(super) fn get(&self) -> Option<i64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|grace| *grace >= 0)
    }

    /// The same for these at `now`, in ms since 1970. When they had to wait for the database, so had
    /// what devices were given of them, and that comes after them.
    pub(super) fn of(&self, envelopes: &[Arc<Envelope>], now: u64) -> Option<i64> {
        let late = |one: &Arc<Envelope>| now.saturating_sub(one.sent_at) > LATE;
        let more = if envelopes.iter().any(late) { LATE_GRACE } else { 0 };
        Some(self.get()?.saturating_add(more))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{NodeId, OriginId, RoomId, UserId};

    fn envelope(room: &str, seq: u64) -> Arc<Envelope> {
        Arc::new(Envelope {
            room: RoomId::parse(room).unwrap(),
            position: Position::new(1, seq),
            origin: OriginId::made_by(&NodeId::random()),
            sender: UserId::parse("mina").unwrap(),
            sender_name: None,
            sent_at: 0,
            content_type: None,
            binary: false,
            headers: Vec::new(),
            body: bytes::Bytes::new(),
        })
    }

    #[test]
    fn devices_are_told_from_the_first_new_message_and_never_of_marks_or_what_was_there() {
        let at = |seq| Position::new(1, seq);
        let envelopes = [("a", 4), ("a", 3), ("a", 9), ("b", 1), ("c", 1), ("a", 2)]
            .map(|(r, s)| envelope(r, s));
        let mark = Stored::Duplicate { first: at(0) };
        let stored = [Stored::New, Stored::New, mark, mark, Stored::Late, Stored::Again];
        let known: Vec<(&str, Head)> = heads(&envelopes, &stored, true).into_iter().collect();
        let head = |upto, from: Option<u64>| Head { upto: at(upto), from: from.map(at) };
        assert_eq!(known, [("a", head(9, Some(3))), ("b", head(1, None))]);
        let untold = heads(&envelopes, &stored, false);
        assert!(untold.values().all(|head| head.from.is_none()));
    }
}
