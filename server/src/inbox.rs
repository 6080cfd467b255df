//! The inboxes that are read on this node: one subscription tells a user what changed in any of its
//! rooms.
//!
//! A signal is a hint that something changed, and the database says how it is now: so a hint may
//! come twice, late or for nothing. One that was lost is found again, since each subscription is
//! looked at anew: soon after it began, whenever the node may have missed signals, and now and
//! then. A message's `position` says how far such looks came, never how far hints did.
//!
//! One task asks the database, one question at a time (several SUBSCRIBEs side by side), and puts
//! what it says into outboxes before it asks again: nobody is told something older after something
//! newer. When the database is slow, more is told at once, and later; chat waits for none of it.

mod channels;
mod enter;
mod hints;
mod reader;
mod show;
mod state;
mod tell;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use moim_shared::broker::Broker;
use moim_shared::ids::{RoomId, UserId};
use moim_shared::store::inbox::{Entry, Inbox as Kept};
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};

pub use self::enter::Wish;
use self::state::State;
use crate::outbox::Subscription;

/// Rooms of one user that are listened to. What happens in more is told with a look.
const ROOMS_MOST: usize = 5_000;
/// Users and rooms that are asked about at once.
const PAIRS: usize = 1_000;
/// How long hints are gathered.
const TICK: Duration = Duration::from_millis(500);
/// Changes that one look tells of at once.
const PAGE: usize = 200;
/// SUBSCRIBEs that are carried out side by side.
const ENTERS: usize = 8;

/// How an entry looks, to somebody who was put into the room since or not.
pub type Show = fn(&Entry, bool) -> Vec<u8>;

/// See the module.
pub struct Inboxes {
    broker: Arc<dyn Broker>,
    kept: Arc<dyn Kept>,
    show: Show,
    /// Of a reader with more waiting, looks wait too.
    waiting_most: usize,
    state: Mutex<State>,
    /// Something is to be told or looked at.
    work: Notify,
    /// Other channels are wanted.
    wanted: Notify,
    /// Channels are heard, or cannot be.
    heard: Notify,
    /// Those who ask at once which rooms they have.
    asking: Semaphore,
}

impl Inboxes {
    /// Inboxes as `kept` knows them, for outboxes of so many bytes.
    pub fn new(
        broker: Arc<dyn Broker>,
        kept: Arc<dyn Kept>,
        show: Show,
        outbox_bytes: usize,
    ) -> Arc<Self> {
        Arc::new(Self {
            broker,
            kept,
            show,
            waiting_most: outbox_bytes / 4,
            state: Mutex::default(),
            work: Notify::new(),
            wanted: Notify::new(),
            heard: Notify::new(),
            asking: Semaphore::new(ENTERS),
        })
    }

    /// Something in the room changed.
    pub fn room_changed(&self, room: &RoomId) {
        if self.state.lock().room_changed(room) {
            self.work.notify_one();
        }
    }

    /// What the user has of the room changed.
    pub fn own_changed(&self, user: UserId, room: RoomId) {
        if self.state.lock().own_changed(user, room, Instant::now()) {
            self.work.notify_one();
        }
    }

    /// Nobody knows what was signalled.
    pub fn missed_signals(&self) {
        self.state.lock().look_at_all(Instant::now());
        self.work.notify_one();
    }

    /// The subscription reads no more.
    pub fn leave(&self, user: &UserId, subscription: &Arc<Subscription>) {
        // Its seat is given back without the lock.
        let left = self.state.lock().take_reader(user, subscription);
        drop(left);
    }
}
