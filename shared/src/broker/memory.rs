//! A broker inside one process.
//!
//! Its log dies with the process, so a message becomes visible only once it is durable: nobody is
//! shown what a crash could take back, and a log that is opened again continues where the database
//! ends, in the same epoch. This adapter is the default and the fake of the tests.

mod log;
mod names;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use self::log::{Advance, Log};
use super::{
    Batch, Broker, BrokerError, Durable, Feed, Head, LogPage, LogTail, MembersChanged, Placed,
    Published,
};
use crate::BoxFuture;
use crate::clock::now_ms;
use crate::envelope::Envelope;
use crate::ids::{RoomId, UserId};
use crate::position::Position;
use crate::signal::{Channel, Signal};
use crate::store::Store;

/// What a log keeps.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Messages kept below the durable mark.
    pub keep: usize,
    /// Bytes kept below the durable mark.
    pub keep_bytes: usize,
    /// Names remembered for each room.
    pub names: usize,
    /// For how long a name is remembered.
    pub names_age: Duration,
}

/// The in-process broker.
pub struct MemoryBroker {
    store: Arc<dyn Store>,
    feed: Arc<dyn Feed>,
    bounds: Bounds,
    rooms: Mutex<HashMap<RoomId, Arc<Room>>>,
    /// The largest epoch seen, so that a new one is larger even when the clock goes back.
    floor: AtomicU64,
}

struct Room {
    log: Mutex<Log>,
    /// This node wants to be told. Beside the lock: a feed is told under the log's lock and may
    /// hold locks of its own, under which it closes rooms.
    watched: AtomicBool,
}

impl Room {
    fn new(log: Log) -> Self {
        Self { log: Mutex::new(log), watched: AtomicBool::new(false) }
    }
}

impl MemoryBroker {
    /// A broker whose logs continue what `store` holds, and that tells `feed`.
    pub fn new(store: Arc<dyn Store>, feed: Arc<dyn Feed>, bounds: Bounds) -> Self {
        Self { store, feed, bounds, rooms: Mutex::default(), floor: AtomicU64::new(0) }
    }

    /// Does to a room's log what the loss of a Redis does: names are forgotten and another epoch
    /// begins. For tests of those who must survive it.
    pub fn lose(&self, room: &RoomId) {
        if let Ok(known) = self.room(room) {
            let mut log = known.log.lock();
            let epoch = self.new_epoch(log.epoch() + 1);
            log.roll(epoch);
        }
    }

    fn room(&self, room: &RoomId) -> Result<Arc<Room>, BrokerError> {
        self.rooms.lock().get(room).cloned().ok_or(BrokerError::EpochRolled)
    }

    fn new_epoch(&self, least: u64) -> u64 {
        let epoch = now_ms().max(least).max(self.floor.load(Ordering::Relaxed) + 1);
        self.floor.fetch_max(epoch, Ordering::Relaxed);
        epoch
    }

    /// Drops the log of a room that nobody has open and that is durable to its head.
    fn forget_if_unused(&self, room: &RoomId) {
        let mut rooms = self.rooms.lock();
        // A log that is being worked with is looked at again when that is done.
        let unused = rooms.get(room).is_some_and(|known| {
            !known.watched.load(Ordering::SeqCst)
                && known.log.try_lock().is_some_and(|log| log.is_durable())
        });
        if unused {
            rooms.remove(room);
        }
    }

    async fn recall(&self, room: &RoomId) -> Result<Log, BrokerError> {
        let away = |error: crate::store::StoreError| BrokerError::Unavailable(error.to_string());
        let oldest = now_ms().saturating_sub(self.bounds.names_age.as_millis() as u64);
        let head = self.store.head(room).await.map_err(away)?;
        let Some(head) = head else {
            return Ok(Log::starting(self.new_epoch(1), self.bounds));
        };
        let names = self.store.names(room, self.bounds.names, oldest).await.map_err(away)?;
        self.floor.fetch_max(head.epoch, Ordering::Relaxed);
        Ok(Log::continuing(head, names, self.bounds))
    }

    fn tell(&self, room: &RoomId, advance: Advance) {
        self.feed.published(Published {
            room: room.clone(),
            after: advance.after,
            upto: advance.upto,
            envelopes: advance.envelopes.into(),
        });
    }
}

impl Broker for MemoryBroker {
    fn open<'a>(&'a self, room: &'a RoomId) -> BoxFuture<'a, Result<Head, BrokerError>> {
        Box::pin(async move {
            let known = self.rooms.lock().get(room).cloned();
            let known = match known {
                Some(known) => known,
                None => {
                    let recalled = self.recall(room).await?;
                    // Another call may have been quicker; the first one stands.
                    let mut rooms = self.rooms.lock();
                    rooms
                        .entry(room.clone())
                        .or_insert_with(|| Arc::new(Room::new(recalled)))
                        .clone()
                }
            };
            let log = known.log.lock();
            known.watched.store(true, Ordering::SeqCst);
            Ok(log.head())
        })
    }

    fn close(&self, room: &RoomId) {
        if let Ok(known) = self.room(room) {
            known.watched.store(false, Ordering::SeqCst);
        }
        self.forget_if_unused(room);
    }

    fn append(&self, batch: Batch) -> BoxFuture<'_, Result<Vec<Placed>, BrokerError>> {
        let placed =
            self.room(&batch.room).and_then(|known| known.log.lock().append(batch, now_ms()));
        Box::pin(std::future::ready(placed))
    }

    fn head<'a>(&'a self, room: &'a RoomId) -> BoxFuture<'a, Result<Position, BrokerError>> {
        Box::pin(async move {
            if let Ok(known) = self.room(room) {
                return Ok(known.log.lock().head().position);
            }
            let head = self.store.head(room).await;
            let head = head.map_err(|error| BrokerError::Unavailable(error.to_string()))?;
            Ok(head.unwrap_or(Position::ZERO))
        })
    }

    fn read<'a>(
        &'a self,
        room: &'a RoomId,
        after: Position,
        bytes: usize,
    ) -> BoxFuture<'a, Result<LogPage, BrokerError>> {
        let page = self.room(room).map(|known| known.log.lock().read(after, bytes));
        Box::pin(std::future::ready(page))
    }

    fn read_back<'a>(
        &'a self,
        room: &'a RoomId,
        before: Option<Position>,
        limit: usize,
        bytes: usize,
    ) -> BoxFuture<'a, Result<LogTail, BrokerError>> {
        let tail = self.room(room).map(|known| known.log.lock().read_back(before, limit, bytes));
        // The log of a room that nobody has open is dropped once the database has all of it.
        Box::pin(std::future::ready(Ok(tail.unwrap_or_default())))
    }

    fn unconfirmed<'a>(
        &'a self,
        room: &'a RoomId,
    ) -> BoxFuture<'a, Result<Vec<Arc<Envelope>>, BrokerError>> {
        let left = self.room(room).map(|known| known.log.lock().unconfirmed());
        Box::pin(std::future::ready(left))
    }

    fn mark_durable<'a>(
        &'a self,
        room: &'a RoomId,
        durable: &'a [Durable],
    ) -> BoxFuture<'a, Result<(), BrokerError>> {
        Box::pin(async move {
            self.feed.signalled(Signal::Inbox(room.clone()));
            // A room that was dropped has nothing left to learn.
            let Ok(known) = self.room(room) else { return Ok(()) };
            let begun = {
                let mut log = known.log.lock();
                let advance = log.mark_durable(durable);
                let begun = log.take_begun();
                if let Some(advance) = advance
                    && known.watched.load(Ordering::SeqCst)
                {
                    // Told under the log's lock: two advances cannot overtake each other.
                    self.tell(room, advance);
                }
                begun
            };
            if !known.watched.load(Ordering::SeqCst) {
                self.forget_if_unused(room);
            }
            if let Some(epoch) = begun
                && let Err(error) = self.store.begin_epoch(room, epoch).await
            {
                known.log.lock().give_back_begun(epoch);
                return Err(BrokerError::Unavailable(error.to_string()));
            }
            Ok(())
        })
    }

    fn members_changed<'a>(
        &'a self,
        room: &'a RoomId,
        users: &'a [UserId],
    ) -> BoxFuture<'a, Result<u64, BrokerError>> {
        // Nobody has open what is not there, and opening it starts from the database.
        let Ok(known) = self.room(room) else { return Box::pin(std::future::ready(Ok(0))) };
        let version = {
            let mut log = known.log.lock();
            let version = log.members_changed();
            if known.watched.load(Ordering::SeqCst) {
                // Told under the log's lock: two versions cannot overtake each other.
                self.feed.members_changed(room, MembersChanged { version, users: users.into() });
            }
            version
        };
        Box::pin(std::future::ready(Ok(version)))
    }

    fn signal(&self, signal: Signal) -> BoxFuture<'_, Result<(), BrokerError>> {
        // One node, which knows by itself who of it listens.
        self.feed.signalled(signal);
        Box::pin(std::future::ready(Ok(())))
    }

    fn listen<'a>(&'a self, _: &'a Channel) -> BoxFuture<'a, Result<(), BrokerError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn ignore(&self, _: &Channel) {}
}
