//! What came from RabbitMQ and is not acknowledged: what waits here for a consumer, and what
//! consumers do with what they hold.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lapin::Acker;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::waiting::Waiting;
use crate::BoxFuture;
use crate::envelope::Envelope;
use crate::queue::{Dead, Delivery, QueueError, Settle};

/// Between RabbitMQ and consumers.
pub(super) struct Shelf {
    hold: Duration,
    waiting: Arc<Waiting>,
    state: Mutex<State>,
    /// Something to take, or the end.
    arrived: Notify,
    /// Something for the task to do.
    asked: Notify,
}

#[derive(Default)]
struct State {
    /// In the order in which RabbitMQ delivered, those that came back too.
    held: VecDeque<Held>,
    /// Counts connections: what came on an earlier one comes again by itself.
    life: u64,
    /// Taken by consumers and not settled, of this life.
    taken: usize,
    settled: Vec<(Acker, Settled)>,
    /// Consumers that wait.
    receivers: usize,
    /// Somebody asked since deliveries were given back.
    wanted: bool,
    /// Something came back that was held for too long.
    stale: bool,
    closed: Option<Instant>,
}

/// One AMQP message.
struct Held {
    life: u64,
    envelopes: Vec<Arc<Envelope>>,
    lease: Lease,
}

/// Our hold on it in RabbitMQ.
#[derive(Debug)]
struct Lease {
    tag: u64,
    acker: Acker,
    came: Instant,
}

/// What RabbitMQ is to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Settled {
    /// It is done.
    Done,
    /// It is to come again.
    Back,
}

impl Shelf {
    pub fn new(hold: Duration, waiting: Arc<Waiting>) -> Self {
        Self {
            hold,
            waiting,
            state: Mutex::default(),
            arrived: Notify::new(),
            asked: Notify::new(),
        }
    }

    /// For consumers: see [`crate::queue::Queue::receive`].
    pub async fn receive(self: &Arc<Self>) -> Option<Delivery> {
        let _receiver = Receiver::of(self);
        loop {
            // Registered before looking: what arrives in between is not missed.
            let arrived = self.arrived.notified();
            {
                let mut state = self.state.lock();
                if let Some(held) = state.take() {
                    if !state.held.is_empty() {
                        self.arrived.notify_one();
                    }
                    drop(state);
                    return Some(self.deliver(held));
                }
                if state.closed.is_some() {
                    self.arrived.notify_one();
                    return None;
                }
                if !std::mem::replace(&mut state.wanted, true) {
                    self.asked.notify_one();
                }
            }
            arrived.await;
        }
    }

    /// For consumers: see [`crate::queue::Queue::try_receive`].
    pub fn try_receive(self: &Arc<Self>) -> Option<Delivery> {
        let held = self.state.lock().take()?;
        Some(self.deliver(held))
    }

    fn deliver(self: &Arc<Self>, held: Held) -> Delivery {
        let settle = SettleHeld { life: held.life, lease: held.lease, shelf: self.clone() };
        Delivery::new(held.envelopes, Box::new(settle))
    }

    /// Whether nothing is held, here or by consumers.
    pub fn is_empty(&self) -> bool {
        self.state.lock().is_empty()
    }

    /// How many wait here.
    pub fn len(&self) -> usize {
        self.state.lock().held.len()
    }

    /// No more of them but what is here.
    pub fn close(&self) {
        self.state.lock().closed.get_or_insert_with(Instant::now);
        self.arrived.notify_one();
        self.asked.notify_one();
    }

    /// After a close: no consumer is left to take what is here.
    pub fn abandon(&self) {
        self.state.lock().held.clear();
        self.asked.notify_one();
    }

    /// Bytes that are no parcel are put aside as they are.
    pub fn bury_bytes(
        &self,
        bytes: Vec<u8>,
        reason: String,
    ) -> impl Future<Output = Result<(), QueueError>> + Send + use<> {
        self.waiting.bury_bytes(bytes, reason)
    }

    /// Resolves when there may be something to do.
    pub async fn asked(&self) {
        self.asked.notified().await;
    }

    /// Whether somebody wants deliveries.
    pub fn wanted(&self) -> bool {
        self.state.lock().wanted
    }

    pub fn closed(&self) -> bool {
        self.state.lock().closed.is_some()
    }

    /// Whether it is closed and nothing is out, or it has waited long enough for what is.
    pub fn over(&self, now: Instant, close_within: Duration) -> bool {
        let state = self.state.lock();
        let quiet = state.held.is_empty() && state.taken == 0 && state.settled.is_empty();
        state
            .closed
            .is_some_and(|closed| quiet || now.saturating_duration_since(closed) >= close_within)
    }

    /// Whether something was held for so long that all is better given back: RabbitMQ takes it by
    /// force in the end.
    pub fn stale(&self, now: Instant) -> bool {
        let state = self.state.lock();
        let oldest = state.held.front().map(|held| held.lease.came);
        state.stale || oldest.is_some_and(|came| now.saturating_duration_since(came) >= self.hold)
    }

    /// A delivery came. After a close it is left to come again elsewhere.
    pub fn put(&self, envelopes: Vec<Arc<Envelope>>, tag: u64, acker: Acker) {
        {
            let mut state = self.state.lock();
            if state.closed.is_some() {
                return;
            }
            let (life, came) = (state.life, Instant::now());
            state.held.push_back(Held { life, envelopes, lease: Lease { tag, acker, came } });
        }
        self.arrived.notify_one();
    }

    /// What RabbitMQ is to be told now.
    pub fn take_settled(&self) -> Vec<(Acker, Settled)> {
        std::mem::take(&mut self.state.lock().settled)
    }

    /// The connection has ended: what came on it comes again by itself.
    pub fn forget(&self) {
        let mut state = self.state.lock();
        state.life += 1;
        state.held.clear();
        state.taken = 0;
        state.settled.clear();
        state.stale = false;
    }

    /// Nothing is wanted until a consumer asks again.
    pub fn rest(&self) {
        let mut state = self.state.lock();
        state.wanted = state.receivers > 0;
    }
}

impl State {
    fn is_empty(&self) -> bool {
        self.held.is_empty() && self.taken == 0 && self.settled.is_empty()
    }

    fn take(&mut self) -> Option<Held> {
        let held = self.held.pop_front()?;
        self.taken += 1;
        Some(held)
    }
}

/// One that waits.
struct Receiver<'a>(&'a Shelf);

impl<'a> Receiver<'a> {
    fn of(shelf: &'a Shelf) -> Self {
        shelf.state.lock().receivers += 1;
        Self(shelf)
    }
}

impl Drop for Receiver<'_> {
    fn drop(&mut self) {
        self.0.state.lock().receivers -= 1;
    }
}

struct SettleHeld {
    life: u64,
    lease: Lease,
    shelf: Arc<Shelf>,
}

impl SettleHeld {
    fn settle(self, settled: Settled) {
        {
            let mut state = self.shelf.state.lock();
            if state.life != self.life {
                return;
            }
            state.taken -= 1;
            state.settled.push((self.lease.acker, settled));
        }
        self.shelf.asked.notify_one();
    }
}

impl Settle for SettleHeld {
    fn ack(self: Box<Self>) {
        self.settle(Settled::Done);
    }

    /// It stays here, in front, which keeps the order and counts as no delivery; but not when it
    /// was held for long, or nobody may be left to take it.
    fn requeue(self: Box<Self>, envelopes: Vec<Arc<Envelope>>) {
        let shelf = self.shelf.clone();
        {
            let mut state = shelf.state.lock();
            let stale = self.lease.came.elapsed() >= shelf.hold;
            if state.life != self.life || state.closed.is_some() || stale {
                state.stale |= stale && state.life == self.life;
                drop(state);
                return self.settle(Settled::Back);
            }
            state.taken -= 1;
            let tag = self.lease.tag;
            let place = state.held.partition_point(|held| held.lease.tag < tag);
            state.held.insert(place, Held { life: self.life, envelopes, lease: self.lease });
        }
        shelf.arrived.notify_one();
    }

    fn bury(
        self: Box<Self>,
        envelopes: Vec<Arc<Envelope>>,
        dead: Vec<Dead>,
    ) -> BoxFuture<'static, Result<(), QueueError>> {
        let waiting = self.shelf.waiting.clone();
        // Dropped before it is confirmed, the delivery goes back.
        let delivery = Delivery::new(envelopes, self);
        Box::pin(async move {
            waiting.bury(dead).await?;
            delivery.ack();
            Ok(())
        })
    }
}

impl fmt::Debug for SettleHeld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SettleHeld").field("tag", &self.lease.tag).finish_non_exhaustive()
    }
}
