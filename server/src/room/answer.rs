//! The answer that a frame is owed which stores no message: its RECEIPT, or a refusal.

use std::sync::Arc;

use super::post::Commit;
use crate::outbox::{Outbox, Owed};
use crate::refusal::Refusal;

/// Given once. Dropped without (a room that panicked), it refuses: nothing was done.
pub struct Answer {
    outbox: Owed,
    receipt: Option<Box<str>>,
    commit: Option<Arc<Commit>>,
    given: bool,
}

impl Answer {
    /// The answer to a frame that asked for `receipt`, as a part of `commit` or alone.
    pub fn new(
        outbox: Arc<Outbox>,
        receipt: Option<Box<str>>,
        commit: Option<Arc<Commit>>,
    ) -> Self {
        Self { outbox: Owed::new(outbox), receipt, commit, given: false }
    }

    /// What it asked for.
    pub fn receipt(&self) -> Option<&str> {
        self.receipt.as_deref()
    }

    /// It was done.
    pub fn done(mut self) {
        self.given = true;
        if let Some(receipt) = &self.receipt {
            // A session that closes has nobody to tell.
            let _ = self.outbox.receipt(receipt);
        }
    }

    /// It was not.
    pub fn refuse(mut self, refusal: &Refusal) {
        self.say_no(refusal);
    }

    /// What became of it.
    pub fn give(self, done: Result<(), Refusal>) {
        match done {
            Ok(()) => self.done(),
            Err(refusal) => self.refuse(&refusal),
        }
    }

    fn say_no(&mut self, refusal: &Refusal) {
        self.given = true;
        self.outbox.refuse(self.receipt.as_deref(), refusal);
        if let Some(commit) = &self.commit {
            commit.fail(refusal);
        }
    }
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer").field("receipt", &self.receipt).finish_non_exhaustive()
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if !self.given {
            self.say_no(&Refusal::unavailable());
        }
    }
}
