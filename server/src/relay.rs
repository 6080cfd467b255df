//! From the bus to the rooms: whatever the broker tells goes to the room's mailbox, and never
//! waits there for long.

use std::sync::{Arc, OnceLock, Weak};

use moim_shared::broker::{Feed, Published};
use moim_shared::ids::RoomId;
use moim_shared::signal::Signal;

use crate::hub::Hub;
use crate::room::Notice;

/// Made before the hub, since the broker needs it and the hub needs the broker.
#[derive(Default)]
pub struct Relay {
    /// Not held: the hub holds the broker, which holds this.
    hub: OnceLock<Weak<Hub>>,
}

impl Relay {
    /// From now on `hub`'s rooms are told.
    pub fn connect(&self, hub: &Arc<Hub>) {
        // Done once, in the composition root.
        let _ = self.hub.set(Arc::downgrade(hub));
    }
}

impl Feed for Relay {
    fn published(&self, published: Published) {
        let hub = self.hub.get().and_then(Weak::upgrade);
        if let Some(room) = hub.and_then(|hub| hub.find(&published.room)) {
            room.tell(Notice::Published(published));
        }
    }

    fn members_changed(&self, room: &RoomId, version: u64) {
        let hub = self.hub.get().and_then(Weak::upgrade);
        if let Some(handle) = hub.and_then(|hub| hub.find(room)) {
            handle.tell(Notice::MembersChanged(version));
        }
    }

    fn signalled(&self, _signal: Signal) {}
}
