//! A room's mailbox as others see it: how much is in there, and what the room could not be told since
//! it was full.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use super::Notice;

/// See the module. Only what it takes to find the rest.
#[derive(Debug, Default)]
pub struct Missed {
    published: AtomicBool,
    events: AtomicBool,
    touch: AtomicBool,
    nodes: AtomicBool,
    /// The newest version of the memberships.
    members: AtomicU64,
    /// What is in the mailbox.
    waiting: AtomicUsize,
}

impl Missed {
    /// Something is about to be put into the mailbox.
    pub fn put(&self) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
    }

    /// It was taken out, or did not fit.
    pub fn taken(&self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }

    /// How much is in the mailbox.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// The room did not get this.
    pub fn note(&self, notice: &Notice) {
        match notice {
            Notice::Published(_) => self.published.store(true, Ordering::SeqCst),
            Notice::Event(_) => self.events.store(true, Ordering::SeqCst),
            Notice::Nodes => self.nodes.store(true, Ordering::SeqCst),
            Notice::Missed => self.touch.store(true, Ordering::SeqCst),
            Notice::MembersChanged(changed) => {
                self.members.fetch_max(changed.version, Ordering::SeqCst);
            }
            // It is seen at the next look.
            Notice::Left => {}
        }
    }

    /// Whether messages were published; asked once.
    pub fn take_published(&self) -> bool {
        self.published.load(Ordering::Relaxed) && self.published.swap(false, Ordering::SeqCst)
    }

    /// Whether something happened; asked once.
    pub fn take_events(&self) -> bool {
        self.events.load(Ordering::Relaxed) && self.events.swap(false, Ordering::SeqCst)
    }

    /// Whether nobody knows what it was not told; asked once.
    pub fn take_touch(&self) -> bool {
        self.touch.load(Ordering::Relaxed) && self.touch.swap(false, Ordering::SeqCst)
    }

    /// Whether other nodes live than before; asked once.
    pub fn take_nodes(&self) -> bool {
        self.nodes.load(Ordering::Relaxed) && self.nodes.swap(false, Ordering::SeqCst)
    }

    /// The version of the memberships that was told.
    pub fn members(&self) -> u64 {
        self.members.load(Ordering::Relaxed)
    }
}
