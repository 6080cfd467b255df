//! Messages that are not stored, on their way to those who read them here: open topics and the
//! queues of users.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use moim_shared::signal::Flash;

use crate::outbox::{Outbox, Subscription, Tail};
use crate::said::Said;
use crate::stomp::{FrameWriter, Version};

/// A subscription that is told.
pub struct Reader {
    outbox: Arc<Outbox>,
    subscription: Arc<Subscription>,
}

impl Reader {
    /// `subscription` of the session behind `outbox`.
    pub const fn new(outbox: Arc<Outbox>, subscription: Arc<Subscription>) -> Self {
        Self { outbox, subscription }
    }

    /// Whether it is this subscription.
    pub fn is(&self, subscription: &Arc<Subscription>) -> bool {
        Arc::ptr_eq(&self.subscription, subscription)
    }

    /// Whether there is nobody to tell any more.
    pub fn is_gone(&self) -> bool {
        self.subscription.is_ended() || self.outbox.is_closing()
    }
}

/// Gives the message to all of them, encoded once for each version; how many took it.
pub fn tell(readers: &mut [&mut Reader], flash: &Flash) -> u64 {
    // Unique for the node and its life, which is all that a message without a place needs.
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let mut tails: [Option<Arc<Tail>>; Version::ALL.len()] = [const { None }; 3];
    let mut told = 0;
    for reader in readers.iter_mut() {
        if reader.subscription.is_ended() {
            continue;
        }
        let version = reader.subscription.version;
        let tail =
            tails[version.index()].get_or_insert_with(|| Arc::new(encode(flash, version, number)));
        // Who closes has nothing more to be told.
        told +=
            u64::from(reader.outbox.deliver(&reader.subscription, [&*tail].into_iter()).is_ok());
    }
    told
}

fn encode(flash: &Flash, version: Version, number: u64) -> Tail {
    let mut bytes = Vec::with_capacity(192 + flash.body.len());
    let id = format!("{}-{number}", flash.sent_at);
    let said = Said {
        sender: &flash.sender,
        sender_name: flash.sender_name.as_deref(),
        sent_at: flash.sent_at,
        origin: None,
        content_type: flash.content_type.as_deref(),
        headers: &flash.headers,
    };
    let frame = FrameWriter::tail(&mut bytes, version).header("message-id", &id);
    said.write(frame, version).body(&flash.body);
    Tail::new(bytes, flash.binary, format!("0-{number}"))
}
