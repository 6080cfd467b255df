//! Somebody who reads an inbox here.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use moim_shared::ids::{RoomId, UserId};
use moim_shared::store::inbox::Token;

use super::enter::Seat;
use super::show::To;
use crate::outbox::{Outbox, Subscription};

/// Where what changes for a user goes.
pub(super) struct Recipient {
    pub user: UserId,
    pub outbox: Arc<Outbox>,
    pub subscription: Arc<Subscription>,
    /// Given back when it is dropped, which takes the lock of this state.
    pub _seat: Option<Seat>,
}

impl Recipient {
    /// What can be told without the lock.
    pub fn to(&self) -> To {
        (self.outbox.clone(), self.subscription.clone())
    }
}

/// A subscription.
pub(super) struct Reader {
    pub to: Recipient,
    /// How far looks came.
    pub covered: Token,
    /// What it was told after that: when it changed, and a hash of what was told.
    pub told: HashMap<RoomId, (u64, u64)>,
    /// When it is looked at next.
    pub look_at: Instant,
}
