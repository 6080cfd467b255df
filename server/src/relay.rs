//! From the bus to those who are here: whatever the broker tells goes to a room's mailbox or to the
//! outboxes of those who read it, and never waits there for long.

use std::sync::{Arc, OnceLock, Weak};

use moim_shared::broker::{Feed, MembersChanged, Published};
use moim_shared::ids::RoomId;
use moim_shared::signal::Signal;

use crate::hub::{Handle, Hub};
use crate::inbox::Inboxes;
use crate::registry::Registry;
use crate::room::Notice;
use crate::token::Revoked;
use crate::topics::Topics;

/// Made before the hub, since the broker needs it and the hub needs the broker.
#[derive(Default)]
pub struct Relay {
    here: OnceLock<Here>,
}

struct Here {
    /// Not held: the hub holds the broker, which holds this.
    hub: Weak<Hub>,
    topics: Arc<Topics>,
    registry: Arc<Registry>,
    revoked: Arc<Revoked>,
    /// Not held either.
    inboxes: Weak<Inboxes>,
}

impl Relay {
    /// From now on these are told.
    pub fn connect(
        &self,
        hub: &Arc<Hub>,
        topics: Arc<Topics>,
        registry: Arc<Registry>,
        revoked: Arc<Revoked>,
        inboxes: &Arc<Inboxes>,
    ) {
        let (hub, inboxes) = (Arc::downgrade(hub), Arc::downgrade(inboxes));
        // Done once, in the composition root.
        let _ = self.here.set(Here { hub, topics, registry, revoked, inboxes });
    }

    fn inboxes(&self) -> Option<Arc<Inboxes>> {
        self.here.get()?.inboxes.upgrade()
    }

    fn room(&self, room: &RoomId) -> Option<Arc<Handle>> {
        self.here.get()?.hub.upgrade()?.find(room)
    }
}

impl Feed for Relay {
    fn published(&self, published: Published) {
        if let Some(room) = self.room(&published.room) {
            room.tell(Notice::Published(published));
        }
    }

    fn members_changed(&self, room: &RoomId, changed: MembersChanged) {
        if let Some(handle) = self.room(room) {
            handle.tell(Notice::MembersChanged(changed));
        }
    }

    fn missed(&self, room: &RoomId) {
        if let Some(handle) = self.room(room) {
            handle.tell(Notice::Missed);
        }
    }

    fn signalled(&self, signal: Signal) {
        let Some(here) = self.here.get() else { return };
        match signal {
            Signal::Event(room, event) => {
                if let Some(handle) = self.room(&room) {
                    handle.tell(Notice::Event(event));
                }
            }
            Signal::Topic(topic, flash) => _ = here.topics.tell(&topic, &flash),
            Signal::User(user, queue, flash) => _ = here.registry.tell(&user, &queue, &flash),
            Signal::Revoked(revocation) => {
                // Refused first, so that nobody comes back who was closed.
                here.revoked.add(&revocation);
                let ended = here.registry.revoke(&revocation);
                tracing::info!(sessions = ended, "tokens have ended before their time");
            }
            Signal::Inbox(room) => {
                if let Some(inboxes) = self.inboxes() {
                    inboxes.room_changed(&room);
                }
            }
            Signal::Own(user, room) => {
                if let Some(inboxes) = self.inboxes() {
                    inboxes.own_changed(user, room);
                }
            }
        }
    }

    fn missed_signals(&self) {
        if let Some(inboxes) = self.inboxes() {
            inboxes.missed_signals();
        }
    }
}
