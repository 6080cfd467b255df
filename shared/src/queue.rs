//! The seam to what must still reach the database.
//!
//! A queue takes envelopes of many rooms and hands them to consumers at least once. Confirming a
//! publish means: this survives the end of any one process. RECEIPT rests on it (promise P1).

pub mod memory;

use std::sync::Arc;

use crate::BoxFuture;
use crate::envelope::Envelope;

/// Why a publish was not confirmed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueueError {
    /// It was not taken, or taken and dropped; publish again.
    #[error("the queue did not take it: {0}")]
    Refused(String),
    /// The queue is being closed.
    #[error("the queue is closed")]
    Closed,
}

impl QueueError {
    /// Whether publishing again may succeed.
    pub const fn retryable(&self) -> bool {
        match self {
            Self::Refused(_) => true,
            Self::Closed => false,
        }
    }
}

/// Whether new sends may be admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pressure {
    /// Go on.
    Free,
    /// The bound is reached: hold new sends back, and refuse them after their deadline.
    Full,
}

/// Envelopes on their way to the database.
pub trait Queue: Send + Sync + 'static {
    /// Hands over envelopes and waits until they are safe. Dropping the future does not take them
    /// back. What was admitted (see [`Queue::pressure`]) is taken even beyond the bound.
    fn publish(&self, envelopes: Vec<Arc<Envelope>>) -> BoxFuture<'_, Result<(), QueueError>>;

    /// Whether the bound is reached. To be asked before a send gets its position; after that it is
    /// delayed, never refused.
    fn pressure(&self) -> Pressure;

    /// The next delivery, or `None` when the queue is closed and empty. Each delivery goes to one
    /// consumer, in the order of publishing as far as one consumer sees it.
    fn receive(&self) -> BoxFuture<'_, Option<Delivery>>;

    /// The next delivery if one waits, without waiting for it: for consumers that gather batches.
    fn try_receive(&self) -> Option<Delivery>;

    /// No more publishes; consumers get what is left, then `None`.
    fn close(&self);
}

/// Envelopes for a consumer, to be settled once. Dropping it unsettled gives it back to the queue,
/// in front, so that a consumer's death loses nothing.
#[derive(Debug)]
pub struct Delivery {
    envelopes: Vec<Arc<Envelope>>,
    settle: Option<Box<dyn Settle>>,
}

/// What an adapter does with a delivery's end.
pub trait Settle: Send + std::fmt::Debug {
    /// It is done.
    fn ack(self: Box<Self>);
    /// Not now; here it is back.
    fn requeue(self: Box<Self>, envelopes: Vec<Arc<Envelope>>);
}

impl Delivery {
    /// A delivery that `settle` ends.
    pub fn new(envelopes: Vec<Arc<Envelope>>, settle: Box<dyn Settle>) -> Self {
        Self { envelopes, settle: Some(settle) }
    }

    /// What is delivered.
    pub fn envelopes(&self) -> &[Arc<Envelope>] {
        &self.envelopes
    }

    /// It is done: never to be delivered again.
    pub fn ack(mut self) {
        if let Some(settle) = self.settle.take() {
            settle.ack();
        }
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if let Some(settle) = self.settle.take() {
            settle.requeue(std::mem::take(&mut self.envelopes));
        }
    }
}
