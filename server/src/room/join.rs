//! A SUBSCRIBE on its way into a room.

use std::sync::Arc;
use std::time::Instant;

use moim_shared::position::Position;

use super::access::Identity;
use super::gate::Permit;
use crate::outbox::{Outbox, Subscription};
use crate::refusal::Refusal;

/// Where a subscription starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With what comes.
    Live,
    /// After this position.
    Since(Position),
    /// With the last so many.
    Last(usize),
}

/// A subscription that wants in. Dropped without an answer (a room that panicked) it is refused:
/// a client that took itself for subscribed would miss everything in silence.
#[derive(Debug)]
pub struct Join {
    /// Who asks.
    pub who: Arc<Identity>,
    /// Where its messages go.
    pub outbox: Arc<Outbox>,
    /// The subscription.
    pub subscription: Arc<Subscription>,
    /// Where it starts.
    pub start: Start,
    /// The RECEIPT that it asked for.
    pub receipt: Option<Box<str>>,
    /// Until when it may be held.
    pub deadline: Instant,
    /// Its room in the gate.
    pub permit: Option<Permit>,
    answered: bool,
}

impl Join {
    /// `subscription` wants in.
    pub const fn new(
        who: Arc<Identity>,
        outbox: Arc<Outbox>,
        subscription: Arc<Subscription>,
        start: Start,
        receipt: Option<Box<str>>,
        deadline: Instant,
    ) -> Self {
        Self { who, outbox, subscription, start, receipt, deadline, permit: None, answered: false }
    }

    /// Says no.
    pub fn refuse(mut self, refusal: &Refusal) {
        self.say_no(refusal);
    }

    fn say_no(&mut self, refusal: &Refusal) {
        self.answered = true;
        self.subscription.end();
        self.outbox.refuse(self.receipt.as_deref(), refusal);
    }

    /// Says yes: the head, and whether everything after its start will come.
    pub(super) fn accept(&mut self, head: Position, recovered: bool) {
        self.answered = true;
        let Some(receipt) = &self.receipt else {
            if !recovered {
                self.subscription.missed_some();
            }
            return;
        };
        // A session that closes has nobody to tell.
        let _ = self.outbox.frame(crate::stomp::Command::Receipt, |frame| {
            frame
                .header("receipt-id", receipt)
                .header("position", &head.to_string())
                .header("recovered", if recovered { "true" } else { "false" })
                .end();
        });
    }
}

impl Drop for Join {
    fn drop(&mut self) {
        if !self.answered {
            self.say_no(&Refusal::unavailable());
        }
    }
}

/// A subscriber of a room that died, for the room that is born in its place.
#[derive(Debug, Clone)]
pub struct Survivor {
    /// Who.
    pub who: Arc<Identity>,
    /// Where its messages go.
    pub outbox: Arc<Outbox>,
    /// The subscription.
    pub subscription: Arc<Subscription>,
    /// What it has; `None` for one that watches the room's events.
    pub at: Option<Position>,
}
