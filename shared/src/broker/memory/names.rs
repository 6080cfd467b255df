//! The names that one room remembers, bounded in number and age.

use std::collections::{HashMap, VecDeque};

use crate::ids::{OriginId, UserId};
use crate::position::Position;

/// Where a name's message stands, and what its body was.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    pub position: Position,
    pub body_hash: u64,
}

#[derive(Debug)]
pub struct Names {
    known: HashMap<(UserId, OriginId), Known>,
    /// Oldest first, with the time of sending in ms.
    order: VecDeque<(u64, UserId, OriginId)>,
    most: usize,
    age_ms: u64,
}

impl Names {
    pub fn new(most: usize, age_ms: u64) -> Self {
        Self { known: HashMap::new(), order: VecDeque::new(), most, age_ms }
    }

    /// The name as it was last said, unless that is too long ago at `now`.
    pub fn find(&mut self, sender: &UserId, origin: &OriginId, now: u64) -> Option<Known> {
        // Forgotten before it is looked up: a name said again must not meet its own old entry.
        self.forget(now);
        self.known.get(&(sender.clone(), origin.clone())).copied()
    }

    /// Remembers a name said at `now`, and forgets what is too old or too much.
    pub fn remember(&mut self, sender: UserId, origin: OriginId, known: Known, now: u64) {
        self.known.insert((sender.clone(), origin.clone()), known);
        self.order.push_back((now, sender, origin));
        self.forget(now);
    }

    fn forget(&mut self, now: u64) {
        while self.order.front().is_some_and(|(at, ..)| {
            self.order.len() > self.most || at.saturating_add(self.age_ms) < now
        }) {
            if let Some((_, sender, origin)) = self.order.pop_front() {
                self.known.remove(&(sender, origin));
            }
        }
    }

    pub fn forget_all(&mut self) {
        self.known.clear();
        self.order.clear();
    }
}
