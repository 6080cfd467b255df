//! The seam to what must still reach the database.
//!
//! A queue takes envelopes of many rooms and hands them to consumers at least once. Confirming a
//! publish means: this survives the end of any one process. RECEIPT rests on it (promise P1).
//!
//! When that is so is the adapter's own: [`amqp`] confirms what lies on disks, long before a
//! consumer sees it; [`memory`] has nothing of the kind and confirms what a consumer acknowledged.
//! Nor are deliveries what was published at once: an adapter may put publishes together.

pub mod amqp;
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
    /// It can never reach the database, or something published with it cannot.
    #[error("it can never be stored: {0}")]
    Buried(String),
}

impl QueueError {
    /// Whether publishing again may succeed.
    pub const fn retryable(&self) -> bool {
        match self {
            Self::Refused(_) => true,
            Self::Closed | Self::Buried(_) => false,
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

    /// Bytes of publishes that are not confirmed.
    fn waiting_bytes(&self) -> usize;

    /// What keeps it from taking anything at the moment, for people.
    fn trouble(&self) -> Option<&'static str> {
        (self.pressure() == Pressure::Full).then_some("it takes nothing at the moment")
    }

    /// The next delivery, or `None` when the queue is closed and this process holds no more. Each
    /// delivery goes to one consumer, in the order of publishing as far as one consumer sees it.
    fn receive(&self) -> BoxFuture<'_, Option<Delivery>>;

    /// The next delivery if one waits, without waiting for it: for consumers that gather batches.
    fn try_receive(&self) -> Option<Delivery>;

    /// No more publishes; consumers get what this process holds, then `None`. What they do not take
    /// stays in the queue, if that outlives the process.
    fn close(&self);

    /// Whether [`Queue::close`] was called.
    fn is_closed(&self) -> bool;
}

/// Envelopes for a consumer, to be settled once. Dropping it unsettled gives it back to the queue,
/// in front, so that a consumer's death loses nothing.
#[derive(Debug)]
pub struct Delivery {
    envelopes: Vec<Arc<Envelope>>,
    settle: Option<Box<dyn Settle>>,
}

/// An envelope that can never be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dead {
    /// What it is.
    pub envelope: Arc<Envelope>,
    /// Why, for people.
    pub reason: String,
}

/// What an adapter does with a delivery's end.
pub trait Settle: Send + std::fmt::Debug {
    /// It is done.
    fn ack(self: Box<Self>);
    /// Not now; here it is back.
    fn requeue(self: Box<Self>, envelopes: Vec<Arc<Envelope>>);
    /// See [`Delivery::bury`].
    fn bury(
        self: Box<Self>,
        envelopes: Vec<Arc<Envelope>>,
        dead: Vec<Dead>,
    ) -> BoxFuture<'static, Result<(), QueueError>>;
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

    /// `dead` of it can never be stored: they are kept aside with their reasons, for people; the
    /// rest of it is done. After an error, or when the future is dropped, the delivery is back in
    /// the queue; burying the same twice is harmless.
    pub fn bury(mut self, dead: Vec<Dead>) -> BoxFuture<'static, Result<(), QueueError>> {
        let envelopes = std::mem::take(&mut self.envelopes);
        match self.settle.take() {
            Some(settle) => settle.bury(envelopes, dead),
            None => Box::pin(std::future::ready(Ok(()))),
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
