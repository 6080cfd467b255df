//! An entry on its way to those who read it.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use moim_shared::clock::now_ms;
use moim_shared::store::inbox::{Entry, Token};

use super::Show;
use crate::outbox::{Closed, Outbox, Subscription, Tail};
use crate::stomp::FrameWriter;

/// A subscription of the session behind an outbox.
pub(super) type To = (Arc<Outbox>, Arc<Subscription>);

/// An entry as it is shown.
pub(super) struct Shown {
    pub entry: Entry,
    plain: Vec<u8>,
    /// The same to whom the membership is new.
    invitation: Option<Vec<u8>>,
    /// Of what it says.
    pub hash: u64,
}

impl Shown {
    pub fn new(entry: Entry, show: Show) -> Self {
        let plain = show(&entry, false);
        let invited = entry.standing.as_ref().is_some_and(|it| it.invited);
        let invitation = invited.then(|| show(&entry, true));
        let hash = BuildHasherDefault::<DefaultHasher>::new().hash_one(&plain);
        Self { entry, plain, invitation, hash }
    }

    /// Tells it; `position`: from where to go on.
    pub fn tell(&self, to: &To, new: bool, position: Token) -> Result<(), Closed> {
        // Unique for the node and its life, which is all that a state without a place needs.
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let body = match &self.invitation {
            Some(invitation) if new => invitation,
            _ => &self.plain,
        };
        let mut bytes = Vec::with_capacity(192 + body.len());
        FrameWriter::tail(&mut bytes, to.1.version)
            .header("message-id", &format!("inbox/{}-{number}", now_ms()))
            .header("content-type", "application/json;charset=UTF-8")
            .header("room", self.entry.room.as_str())
            .header("position", &position.to_string())
            .body(body);
        let tail = Arc::new(Tail::new(bytes, false, format!("0-{number}")));
        to.0.deliver(&to.1, std::iter::once(&tail))?;
        if let Some(standing) = &self.entry.standing {
            to.0.told(&to.1, &self.entry.room, standing.own.head);
        }
        Ok(())
    }
}
