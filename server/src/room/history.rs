//! What a room said before: from the hot log, then from the database, without a hole or a double.

use std::sync::Arc;

use moim_shared::broker::{Broker, BrokerError};
use moim_shared::envelope::Envelope;
use moim_shared::ids::RoomId;
use moim_shared::position::Position;
use moim_shared::store::{Store, StoreError};

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
        let log = self.broker.read(room, after, bytes).await?;
        if let Some(upto) = log.upto {
            return Ok(Page { envelopes: log.envelopes, upto });
        }
        let rows = self.store.history(room, after, ROWS, bytes).await?;
        let mut envelopes = rows.envelopes;
        // Rows beyond the mark may have holes in front of them: they are for the hot log to tell.
        envelopes.retain(|envelope| envelope.position <= log.durable);
        let last = envelopes.last().map(|last| last.position).filter(|_| rows.more);
        Ok(Page { envelopes, upto: last.unwrap_or(log.durable) })
    }
}
