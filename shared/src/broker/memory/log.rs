//! One room's hot log as a value: what a Redis stream, its names and its script are together.

use std::collections::VecDeque;
use std::sync::Arc;

use super::Bounds;
use super::names::{Known, Names};
use crate::broker::{Batch, BrokerError, Durable, Head, LogPage, LogTail, Placed};
use crate::envelope::Envelope;
use crate::position::Position;
use crate::store::KnownName;

#[derive(Debug)]
pub struct Log {
    epoch: u64,
    next: u64,
    members: u64,
    /// In order; the first `kept` of them are durable without a hole.
    entries: VecDeque<Entry>,
    kept: usize,
    kept_bytes: usize,
    /// The position before the first entry: as far back as the log reaches.
    base: Position,
    /// The end of the contiguous durable prefix.
    visible: Position,
    names: Names,
    bounds: Bounds,
    /// The epoch that all others are durable below, until the database knows.
    begun: Option<u64>,
}

#[derive(Debug)]
struct Entry {
    envelope: Arc<Envelope>,
    durable: Option<Durable>,
}

/// The visible head moved.
#[derive(Debug)]
pub struct Advance {
    pub after: Position,
    pub upto: Position,
    pub envelopes: Vec<Arc<Envelope>>,
}

impl Log {
    /// The log of a room without messages.
    pub fn starting(epoch: u64, bounds: Bounds) -> Self {
        Self {
            epoch,
            next: 0,
            members: 0,
            entries: VecDeque::new(),
            kept: 0,
            kept_bytes: 0,
            base: Position::ZERO,
            visible: Position::ZERO,
            names: Names::new(bounds.names, bounds.names_age.as_millis() as u64),
            bounds,
            begun: None,
        }
    }

    /// The log of a room whose messages up to `head` are in the database.
    pub fn continuing(head: Position, mut names: Vec<KnownName>, bounds: Bounds) -> Self {
        let mut log = Self::starting(head.epoch, bounds);
        log.next = head.seq + 1;
        log.base = head;
        log.visible = head;
        names.sort_by_key(|name| name.position);
        for KnownName { sender, origin, position, body_hash, sent_at } in names {
            log.names.remember(sender, origin, Known { position, body_hash }, sent_at);
        }
        log
    }

    pub const fn head(&self) -> Head {
        Head { position: self.visible, epoch: self.epoch, members: self.members }
    }

    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    pub fn is_durable(&self) -> bool {
        self.kept == self.entries.len()
    }

    pub const fn members_changed(&mut self) -> u64 {
        self.members += 1;
        self.members
    }

    /// Begins another life of the log. What is not durable yet stays in front of it: the old epoch
    /// is closed when it is durable to its end.
    pub fn roll(&mut self, epoch: u64) {
        if self.is_durable() && self.visible != Position::ZERO {
            self.begun = Some(epoch);
        }
        self.epoch = epoch;
        self.next = 0;
        self.names.forget_all();
    }

    /// The epoch to begin in the database, as everything below it is complete.
    pub const fn take_begun(&mut self) -> Option<u64> {
        self.begun.take()
    }

    /// The database did not take this; it waits for the next time.
    pub fn give_back_begun(&mut self, epoch: u64) {
        self.begun = self.begun.max(Some(epoch));
    }

    pub fn append(&mut self, batch: Batch, now: u64) -> Result<Vec<Placed>, BrokerError> {
        if batch.epoch != self.epoch {
            return Err(BrokerError::EpochRolled);
        }
        if batch.members != self.members {
            return Err(BrokerError::MembersChanged { now: self.members });
        }
        Ok(batch.envelopes.into_iter().map(|envelope| self.place(envelope, now)).collect())
    }

    fn place(&mut self, mut envelope: Envelope, now: u64) -> Placed {
        let position = Position::new(self.epoch, self.next);
        // A name that a node made is never said twice to a log that cannot lose an answer.
        if envelope.origin.is_given() {
            let body_hash = envelope.body_hash();
            if let Some(known) = self.names.find(&envelope.sender, &envelope.origin, now) {
                return if known.body_hash == body_hash {
                    let pending = self.pending(known.position);
                    Placed::Duplicate { position: known.position, pending }
                } else {
                    Placed::NameReused
                };
            }
            let known = Known { position, body_hash };
            self.names.remember(envelope.sender.clone(), envelope.origin.clone(), known, now);
        }
        self.next += 1;
        envelope.position = position;
        let envelope = Arc::new(envelope);
        self.entries.push_back(Entry { envelope: envelope.clone(), durable: None });
        Placed::New(envelope)
    }

    fn pending(&self, position: Position) -> Option<Arc<Envelope>> {
        let at = self.find(position)?;
        let entry = self.entries.get(at)?;
        (at >= self.kept).then(|| entry.envelope.clone())
    }

    pub fn unconfirmed(&self) -> Vec<Arc<Envelope>> {
        let behind = self.entries.range(self.kept..);
        let open = behind.filter(|entry| entry.durable.is_none());
        open.map(|entry| entry.envelope.clone()).collect()
    }

    fn find(&self, position: Position) -> Option<usize> {
        self.entries.binary_search_by_key(&position, |entry| entry.envelope.position).ok()
    }

    pub fn mark_durable(&mut self, durable: &[Durable]) -> Option<Advance> {
        for mark in durable {
            if let Some(entry) = self.find(mark.position).and_then(|at| self.entries.get_mut(at)) {
                entry.durable.get_or_insert(*mark);
            }
        }
        let after = self.visible;
        let mut envelopes = Vec::new();
        while let Some(Entry { envelope, durable: Some(mark) }) = self.entries.get(self.kept) {
            if envelope.position.epoch > self.visible.epoch && self.visible != Position::ZERO {
                self.begun = Some(envelope.position.epoch);
            }
            self.visible = envelope.position;
            self.kept += 1;
            self.kept_bytes += envelope.weight();
            if mark.shown {
                envelopes.push(envelope.clone());
            }
        }
        self.trim();
        (self.visible != after).then_some(Advance { after, upto: self.visible, envelopes })
    }

    fn trim(&mut self) {
        while self.kept > self.bounds.keep
            || (self.kept > 0 && self.kept_bytes > self.bounds.keep_bytes)
        {
            let Some(entry) = self.entries.pop_front() else { break };
            self.kept -= 1;
            self.kept_bytes -= entry.envelope.weight();
            self.base = entry.envelope.position;
        }
    }

    pub fn read(&self, after: Position, bytes: usize) -> LogPage {
        if after < self.base {
            return LogPage { durable: self.visible, base: self.base, ..LogPage::default() };
        }
        let durable = self.visible;
        let mut page =
            LogPage { envelopes: Vec::new(), upto: Some(durable), durable, base: self.base };
        let start = self.entries.partition_point(|entry| entry.envelope.position <= after);
        let mut total = 0;
        for Entry { envelope, durable } in self.entries.range(start.min(self.kept)..self.kept) {
            if durable.is_some_and(|mark| mark.shown) {
                total += envelope.weight();
                if total > bytes && !page.envelopes.is_empty() {
                    break;
                }
                page.envelopes.push(envelope.clone());
            }
            page.upto = Some(envelope.position);
        }
        page
    }

    pub fn read_back(&self, before: Option<Position>, limit: usize, bytes: usize) -> LogTail {
        let end = before.map_or(self.kept, |before| {
            self.entries.partition_point(|entry| entry.envelope.position < before).min(self.kept)
        });
        let mut tail = LogTail { envelopes: Vec::new(), after: Some(self.base) };
        let mut total = 0;
        for Entry { envelope, durable } in self.entries.range(..end).rev() {
            if !durable.is_some_and(|mark| mark.shown) {
                continue;
            }
            total += envelope.weight();
            if tail.envelopes.len() >= limit || (total > bytes && !tail.envelopes.is_empty()) {
                tail.after = Some(envelope.position);
                break;
            }
            tail.envelopes.push(envelope.clone());
        }
        tail.envelopes.reverse();
        tail
    }
}
