//! The way to a session for an answer that it is owed.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Outbox;

/// An outbox that something is still to be put into: a session that is to go waits for that.
pub struct Owed(Arc<Outbox>);

impl Owed {
    /// One more answer.
    pub fn new(outbox: Arc<Outbox>) -> Self {
        outbox.owed.fetch_add(1, Ordering::Relaxed);
        Self(outbox)
    }
}

impl Deref for Owed {
    type Target = Outbox;

    fn deref(&self) -> &Outbox {
        &self.0
    }
}

impl Drop for Owed {
    fn drop(&mut self) {
        // What was put in stands before.
        self.0.owed.fetch_sub(1, Ordering::Release);
    }
}
