//! What a room said before: from the hot log, then from the database, without a hole or a double.

use std::sync::Arc;

use moim_shared::broker::{Broker, BrokerError};
use moim_shared::envelope::Envelope;
use moim_shared::ids::RoomId;
use moim_shared::position::Position;
use moim_shared::store::{Store, StoreError};

use super::recovery::is_covered;

/// Reads a room's past.
#[derive(Clone)]
pub struct History {
    /// The hot log.
    pub broker: Arc<dyn Broker>,
    /// What is no longer in it.
    pub store: Arc<dyn Store>,
}

/// A part of the past.
#[derive(Debug)]
pub struct Page {
    /// Messages after the asked position, in order.
    pub envelopes: Vec<Arc<Envelope>>,
    /// Everything up to here is in the page or in front of it.
    pub upto: Position,
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The hot log.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The log was cut while the database was away, and what stood there is on its way.
    #[error("a part of it is neither in the log any more nor in the database yet")]
    Cut,
}

impl HistoryError {
    /// Whether asking again, or opening the room first, may help.
    pub const fn retryable(&self) -> bool {
        match self {
            Self::Broker(_) => true,
            Self::Store(error) => error.retryable(),
            Self::Cut => false,
        }
    }
}

/// Which way to read, and from where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// What was said after this.
    After(Position),
    /// What was said before this, or last of all.
    Before(Option<Position>),
}

/// What is shown of the past to somebody who asks for a part of it.
#[derive(Debug, Default)]
pub struct Part {
    /// Messages in order.
    pub envelopes: Vec<Arc<Envelope>>,
    /// Where to read on in the same direction, when there may be more.
    pub next: Option<Position>,
    /// Every number from the part's beginning to the room's end is accounted for.
    pub recovered: bool,
}

/// Rows that are asked for at once, at most.
const ROWS: usize = 512;

impl History {
    /// The messages after `after`, about `bytes` of them at most. `upto` grows with every page
    /// until it is the head.
    pub async fn page(
        &self,
        room: &RoomId,
        after: Position,
        bytes: usize,
    ) -> Result<Page, HistoryError> {
        self.page_of(room, after, ROWS, bytes).await
    }

    async fn page_of(
        &self,
        room: &RoomId,
        after: Position,
        rows: usize,
        bytes: usize,
    ) -> Result<Page, HistoryError> {
        let log = self.broker.read(room, after, bytes).await?;
        if let Some(upto) = log.upto {
            return Ok(Page { envelopes: log.envelopes, upto });
        }
        if log.lacks(after) && after >= log.durable {
            return Err(HistoryError::Cut);
        }
        let rows = self.store.history(room, after, rows, bytes).await?;
        let mut envelopes = rows.envelopes;
        // Rows beyond the mark may have holes in front of them: they are for the hot log to tell.
        envelopes.retain(|envelope| envelope.position <= log.durable);
        let last = envelopes.last().map(|last| last.position).filter(|_| rows.more);
        Ok(Page { envelopes, upto: last.unwrap_or(log.durable) })
    }

    /// A part of the past, of up to `limit` messages and about `bytes` (one at least), of a room
    /// that this node may not have open.
    pub async fn part(
        &self,
        room: &RoomId,
        reading: Reading,
        limit: usize,
        bytes: usize,
    ) -> Result<Part, HistoryError> {
        let head = self.broker.head(room).await?;
        let mut part = match reading {
            Reading::After(after) => self.forth(room, after, head, limit, bytes).await?,
            Reading::Before(before) => self.back(room, before, head, limit, bytes).await?,
        };
        let from = match reading {
            Reading::After(after) => after,
            Reading::Before(_) => part.next.unwrap_or(Position::ZERO),
        };
        // The epoch that goes on needs no seal.
        let current = from.epoch == head.epoch;
        let epochs = if current { Vec::new() } else { self.store.epochs(room).await? };
        let cut = match self.broker.read(room, from, 1).await {
            Ok(log) => log.lacks(from),
            // Without a log the database has all of it.
            Err(BrokerError::EpochRolled) => false,
            Err(error) => return Err(error.into()),
        };
        part.recovered = !cut && is_covered(from, head, &epochs);
        Ok(part)
    }

    async fn forth(
        &self,
        room: &RoomId,
        after: Position,
        head: Position,
        limit: usize,
        bytes: usize,
    ) -> Result<Part, HistoryError> {
        let mut envelopes: Vec<Arc<Envelope>> = Vec::new();
        let (mut at, mut left) = (after, bytes);
        while at < head && left > 0 && envelopes.len() <= limit {
            // One more than wanted tells whether there is more.
            let rows = limit + 1 - envelopes.len();
            let page = match self.page_of(room, at, rows, left).await {
                Err(HistoryError::Broker(BrokerError::EpochRolled)) => {
                    self.stored(room, at, head, rows, left).await?
                }
                // What comes behind it is asked for later.
                Err(HistoryError::Cut) => break,
                page => page?,
            };
            at = page.upto;
            left = left.saturating_sub(weight(&page.envelopes));
            envelopes.extend(page.envelopes);
        }
        let more = at < head || envelopes.len() > limit;
        envelopes.truncate(limit);
        let next = envelopes.last().map(|last| last.position).filter(|_| more);
        Ok(Part { envelopes, next, recovered: false })
    }

    /// A page of a room that nobody has open here: the database has all of it.
    async fn stored(
        &self,
        room: &RoomId,
        after: Position,
        head: Position,
        rows: usize,
        bytes: usize,
    ) -> Result<Page, HistoryError> {
        let rows = self.store.history(room, after, rows, bytes).await?;
        let mut envelopes = rows.envelopes;
        // It may have been opened meanwhile, and its newest rows have holes in front of them.
        envelopes.retain(|envelope| envelope.position <= head);
        let last = envelopes.last().map(|last| last.position).filter(|_| rows.more);
        Ok(Page { envelopes, upto: last.unwrap_or(head) })
    }

    async fn back(
        &self,
        room: &RoomId,
        before: Option<Position>,
        head: Position,
        limit: usize,
        bytes: usize,
    ) -> Result<Part, HistoryError> {
        // From the last one on, so that each page goes behind the one before.
        let mut envelopes: Vec<Arc<Envelope>> = Vec::new();
        let mut before = before.map_or(head.next(), |before| before.min(head.next()));
        let mut left = bytes;
        let mut more = loop {
            if envelopes.len() > limit || left == 0 {
                break true;
            }
            // One more than wanted tells whether there is more.
            let wanted = limit + 1 - envelopes.len();
            let tail = self.broker.read_back(room, Some(before), wanted, left).await?;
            before = tail.after.map_or(before, |after| before.min(after.next()));
            if tail.envelopes.is_empty() {
                let rows = self.store.history_back(room, Some(before), wanted, left).await?;
                envelopes.extend(rows.envelopes.into_iter().rev());
                break rows.more;
            }
            left = left.saturating_sub(weight(&tail.envelopes));
            envelopes.extend(tail.envelopes.into_iter().rev());
            if tail.after == Some(Position::ZERO) {
                break false;
            }
        };
        more |= envelopes.len() > limit;
        envelopes.truncate(limit);
        let next = envelopes.last().map(|first| first.position).filter(|_| more);
        envelopes.reverse();
        Ok(Part { envelopes, next, recovered: false })
    }
}

fn weight(envelopes: &[Arc<Envelope>]) -> usize {
    envelopes.iter().map(|envelope| envelope.weight()).sum()
}
