//! A queue inside one process.
//!
//! Memory makes nothing safe, so a publish is confirmed only when its consumer acknowledged it:
//! after the commit. Bounded in bytes, published and not acknowledged, through [`Queue::pressure`].

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use super::{Dead, Delivery, Pressure, Queue, QueueError, Settle};
use crate::envelope::Envelope;
use crate::{BoxFuture, trace};

/// The in-process queue.
#[derive(Debug, Clone)]
pub struct MemoryQueue {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    waiting: Mutex<Waiting>,
    arrived: Notify,
    /// Bytes published and not acknowledged.
    bytes: AtomicUsize,
    bound: usize,
}

#[derive(Debug, Default)]
struct Waiting {
    /// In the order of publishing, those that came back too.
    parcels: VecDeque<Parcel>,
    /// The number of the next parcel.
    next: u64,
    closed: bool,
}

/// Who waits for the confirm.
type Confirm = oneshot::Sender<Result<(), QueueError>>;

#[derive(Debug)]
struct Parcel {
    number: u64,
    envelopes: Vec<Arc<Envelope>>,
    confirm: Confirm,
}

impl MemoryQueue {
    /// A queue that reports [`Pressure::Full`] from `bound` bytes on.
    pub fn new(bound: usize) -> Self {
        Self {
            shared: Arc::new(Shared {
                waiting: Mutex::default(),
                arrived: Notify::new(),
                bytes: AtomicUsize::new(0),
                bound,
            }),
        }
    }

    /// Bytes published and not yet acknowledged.
    pub fn bytes(&self) -> usize {
        self.shared.bytes.load(Ordering::Relaxed)
    }

    fn deliver(&self, parcel: Parcel) -> Delivery {
        let settle = SettleParcel {
            number: parcel.number,
            confirm: parcel.confirm,
            shared: self.shared.clone(),
            bytes: weight(&parcel.envelopes),
        };
        Delivery::new(parcel.envelopes, Box::new(settle))
    }
}

fn weight(envelopes: &[Arc<Envelope>]) -> usize {
    envelopes.iter().map(|envelope| envelope.weight()).sum()
}

impl Queue for MemoryQueue {
    fn publish(&self, envelopes: Vec<Arc<Envelope>>) -> BoxFuture<'_, Result<(), QueueError>> {
        let (confirm, confirmed) = oneshot::channel();
        let bytes = weight(&envelopes);
        let taken = {
            let mut waiting = self.shared.waiting.lock();
            if !waiting.closed {
                // Counted before a consumer can see it, whose ack takes it off again.
                self.shared.bytes.fetch_add(bytes, Ordering::Relaxed);
                let number = waiting.next;
                waiting.next += 1;
                waiting.parcels.push_back(Parcel { number, envelopes, confirm });
            }
            !waiting.closed
        };
        if taken {
            self.shared.arrived.notify_one();
        }
        Box::pin(async move {
            if !taken {
                return Err(QueueError::Closed);
            }
            // The sender goes only when the queue itself goes: a requeue keeps it.
            confirmed.await.map_err(|_gone| QueueError::Closed)?
        })
    }

    fn waiting_bytes(&self) -> usize {
        self.bytes()
    }

    fn pressure(&self) -> Pressure {
        if self.bytes() >= self.shared.bound { Pressure::Full } else { Pressure::Free }
    }

    fn receive(&self) -> BoxFuture<'_, Option<Delivery>> {
        Box::pin(async move {
            loop {
                // Registered before looking: what arrives in between is not missed.
                let arrived = self.shared.arrived.notified();
                {
                    let mut waiting = self.shared.waiting.lock();
                    if let Some(parcel) = waiting.parcels.pop_front() {
                        if !waiting.parcels.is_empty() {
                            self.shared.arrived.notify_one();
                        }
                        drop(waiting);
                        return Some(self.deliver(parcel));
                    }
                    if waiting.closed {
                        self.shared.arrived.notify_one();
                        return None;
                    }
                }
                arrived.await;
            }
        })
    }

    fn try_receive(&self) -> Option<Delivery> {
        let parcel = self.shared.waiting.lock().parcels.pop_front()?;
        Some(self.deliver(parcel))
    }

    fn close(&self) {
        self.shared.waiting.lock().closed = true;
        self.shared.arrived.notify_one();
    }

    fn is_closed(&self) -> bool {
        self.shared.waiting.lock().closed
    }
}

#[derive(Debug)]
struct SettleParcel {
    number: u64,
    confirm: Confirm,
    shared: Arc<Shared>,
    bytes: usize,
}

impl SettleParcel {
    fn end(self, result: Result<(), QueueError>) {
        self.shared.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        // A publisher that no longer waits needs no confirm.
        let _ = self.confirm.send(result);
    }
}

impl Settle for SettleParcel {
    fn ack(self: Box<Self>) {
        self.end(Ok(()));
    }

    /// There is no place to keep them: the log has them, and their publisher is told.
    fn bury(
        self: Box<Self>,
        _envelopes: Vec<Arc<Envelope>>,
        dead: Vec<Dead>,
    ) -> BoxFuture<'static, Result<(), QueueError>> {
        for Dead { envelope, reason } in &dead {
            let (room, position) = (&envelope.room, envelope.position);
            tracing::error!(room.id = %room, %position, trace.id = %trace::id(room, position), reason,
                "a message can never be stored");
        }
        let reason = dead.into_iter().next().map(|dead| dead.reason);
        self.end(reason.map_or(Ok(()), |reason| Err(QueueError::Buried(reason))));
        Box::pin(std::future::ready(Ok(())))
    }

    fn requeue(self: Box<Self>, envelopes: Vec<Arc<Envelope>>) {
        let parcel = Parcel { number: self.number, envelopes, confirm: self.confirm };
        {
            // A consumer that held several gives them back one by one, in any order.
            let parcels = &mut self.shared.waiting.lock().parcels;
            let place = parcels.partition_point(|waiting| waiting.number < parcel.number);
            parcels.insert(place, parcel);
        }
        self.shared.arrived.notify_one();
    }
}
