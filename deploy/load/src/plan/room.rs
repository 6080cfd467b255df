//! A room of a test: its name, its ledger, and the names of the sends in it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::ledger::{Account, RoomLedger, Rule};
use crate::nodes::Nodes;
use crate::rows::{self, Database, RowsCheck};
use crate::stats::{Recorder, Step};
use crate::stomp::Frame;

/// Shared by the members of one room.
#[derive(Debug)]
pub struct Room {
    /// The room's id.
    pub name: String,
    /// How many are in it.
    pub members: usize,
    number: usize,
    senders: usize,
    nodes: usize,
    ledger: Mutex<RoomLedger>,
}

impl Room {
    /// Room `number` of a run; its members send in turn, or only the last of them.
    pub fn new(run: &str, number: usize, members: usize, senders: usize, rule: Rule) -> Self {
        let ledger = Mutex::new(RoomLedger::new(members, senders, rule));
        Self { name: format!("{run}-{number}"), members, number, senders, nodes: 1, ledger }
    }

    /// The members are on `nodes` nodes, and stay there.
    pub fn on(self, nodes: usize) -> Self {
        Self { nodes, ..self }
    }

    /// The place of a member among the nodes.
    pub const fn place(&self, member: usize) -> usize {
        Nodes::place(self.number, member)
    }

    fn is_across(&self, member: usize, number: usize) -> bool {
        let sender = if self.senders == 1 { self.members - 1 } else { number % self.senders };
        self.place(member) % self.nodes != self.place(sender) % self.nodes
    }

    /// What members subscribe to.
    pub fn topic(&self) -> String {
        format!("/topic/rooms/{}", self.name)
    }

    /// What senders send to.
    pub fn app(&self) -> String {
        format!("/app/rooms/{}", self.name)
    }

    /// The `origin-id` of a send.
    pub fn origin_id(&self, number: usize) -> String {
        format!("{}.{number}", self.name)
    }

    /// The ledger; hold it shortly.
    pub fn ledger(&self) -> MutexGuard<'_, RoomLedger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a MESSAGE at `member` into the ledger and the statistics; gives back its number.
    pub fn note(&self, member: usize, frame: &Frame, stats: &Recorder) -> Option<usize> {
        let number = frame.header("origin-id").and_then(|name| {
            name.strip_prefix(self.name.as_str())?.strip_prefix('.')?.parse::<usize>().ok()
        });
        let Some(number) = number else {
            self.ledger().foreign();
            return None;
        };
        let due = self.ledger().received(member, number, frame.position())?;
        let (now, mut stats) = (Instant::now(), stats.lock());
        stats.add(Step::Delivery, due, now, None);
        if self.is_across(member, number) {
            stats.add(Step::Across, due, now, None);
        }
        Some(number)
    }
}

/// The accounts of all rooms in one.
pub fn account(rooms: &[Arc<Room>], receipts: bool) -> Account {
    let mut total = Account::default();
    for room in rooms {
        total.add(&room.ledger().account(receipts));
    }
    total
}

/// The rows of all rooms; with `receipts` only what was acknowledged must have one.
pub async fn check_rows(
    database: &Database,
    patience: Duration,
    run: &str,
    rooms: &[Arc<Room>],
    receipts: bool,
) -> Result<RowsCheck, String> {
    let (mut names, mut last_receipt) = (Vec::new(), None);
    for room in rooms {
        let ledger = room.ledger();
        let sends = ledger.sends();
        names.extend(sends.map(|(number, acked)| (room.origin_id(number), acked || !receipts)));
        last_receipt = last_receipt.max(ledger.last_receipt());
    }
    rows::check(database, &format!("{run}-"), &names, last_receipt, patience).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_is_across_when_sender_and_receiver_are_on_two_nodes() {
        let one_sends = Room::new("run", 4, 6, 1, Rule::Strict).on(3);
        let across: Vec<_> = (0..6).map(|member| one_sends.is_across(member, 7)).collect();
        assert_eq!(across, [true, true, false, true, true, false]);
        let all_send = Room::new("run", 1, 2, 2, Rule::Strict).on(2);
        assert!(all_send.is_across(0, 1) && !all_send.is_across(1, 1));
        assert!(!Room::new("run", 1, 2, 2, Rule::Strict).is_across(0, 1));
    }
}
