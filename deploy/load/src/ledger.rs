//! Who was sent what, and who got it: the one place that knows loss, doubles and disorder.
//! One ledger per room; a send is known by its number in the room, which its `origin-id` carries.

mod account;
mod receiver;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use tokio::time::Instant;

pub use self::account::Account;
use self::receiver::Receiver;
use crate::stomp::Position;

/// Sends that one room's ledger remembers; more are refused before they are sent.
pub const MAX_SENDS: usize = 4_000_000;

#[derive(Debug, Clone, Default)]
struct Sent {
    at: Option<Instant>,
    expected: u32,
    received: u32,
    acked: bool,
    moved: bool,
    position: Option<Position>,
}

/// What may happen in a room without being a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Every member stays: each message once, at one position, those of one sender in order.
    Strict,
    /// Members come back and send again under the same name: positions rise and are one
    /// message's each, but a message may be shown again at a later one.
    Resuming,
}

/// What happened in one room.
#[derive(Debug)]
pub struct RoomLedger {
    sends: Vec<Sent>,
    receivers: Vec<Receiver>,
    senders: usize,
    rule: Rule,
    held: HashMap<Position, usize>,
    account: Account,
    last_receipt: Option<Instant>,
}

impl RoomLedger {
    /// A room of `members` in which send `n` comes from sender `n % senders`.
    pub fn new(members: usize, senders: usize, rule: Rule) -> Self {
        let senders = senders.max(1);
        let receivers = vec![Receiver::new(senders); members];
        Self {
            sends: Vec::new(),
            receivers,
            senders,
            rule,
            held: HashMap::new(),
            account: Account::default(),
            last_receipt: None,
        }
    }

    /// Send `number` goes out, due at `at`, and `expected` receivers should get it.
    pub fn sent(&mut self, number: usize, at: Instant, expected: usize) {
        if number >= MAX_SENDS {
            return;
        }
        if self.sends.len() <= number {
            self.sends.resize(number + 1, Sent::default());
        }
        if let Some(sent) = self.sends.get_mut(number) {
            sent.at = Some(at);
            sent.expected = u32::try_from(expected).unwrap_or(u32::MAX);
            self.account.sent += 1;
        }
    }

    /// The RECEIPT of send `number` came; gives back when the send was due, the first time.
    pub fn acked(&mut self, number: usize, position: Option<Position>) -> Option<Instant> {
        let sent = self.sends.get_mut(number).filter(|sent| !sent.acked)?;
        sent.acked = true;
        let at = sent.at;
        self.account.acknowledged += 1;
        self.last_receipt = Some(Instant::now());
        self.place(number, position);
        at
    }

    /// A message with send `number` came to `member`; gives back when the send was due, the first
    /// time that it comes.
    pub fn received(
        &mut self,
        member: usize,
        number: usize,
        position: Option<Position>,
    ) -> Option<Instant> {
        let sender = number % self.senders;
        let known = self.sends.get_mut(number).filter(|sent| sent.at.is_some());
        let (Some(sent), Some(receiver)) = (known, self.receivers.get_mut(member)) else {
            self.account.foreign += 1;
            return None;
        };
        let new = receiver.note(number);
        if !new && self.rule == Rule::Strict {
            self.account.doubled += 1;
            return None;
        }
        let rises = receiver.advance(position);
        if !new {
            let count =
                if rises { &mut self.account.shown_again } else { &mut self.account.doubled };
            *count += 1;
            self.place(number, position);
            return None;
        }
        // A send that is refused for a while comes after later ones of its sender.
        let in_turn = self.rule == Rule::Resuming || receiver.advance_sender(sender, number);
        sent.received += 1;
        let at = sent.at;
        self.account.delivered += 1;
        self.account.disordered += u64::from(!(rises && in_turn));
        self.place(number, position);
        at
    }

    /// A message that carries no name of this room's.
    pub fn foreign(&mut self) {
        self.account.foreign += 1;
    }

    /// What `member` has to ask for when it comes back: all after this.
    pub fn last_of(&self, member: usize) -> Position {
        self.receivers.get(member).and_then(|receiver| receiver.last).unwrap_or_default()
    }

    /// `member` came back and was told whether all that it missed will come.
    pub fn resumed(&mut self, member: usize, recovered: bool) {
        if recovered {
            self.account.recovered += 1;
        } else {
            self.gap(member);
        }
    }

    /// `member` was told that something before now will not come.
    pub fn gap(&mut self, member: usize) {
        self.account.unrecovered += 1;
        if let Some(receiver) = self.receivers.get_mut(member) {
            receiver.gap = Some(Instant::now());
        }
    }

    /// True when every send is acknowledged and everywhere.
    pub fn is_complete(&self) -> bool {
        self.account.unacknowledged() == 0 && self.account(true).lost == 0
    }

    /// The account so far. With `receipts` only what was acknowledged can be lost.
    pub fn account(&self, receipts: bool) -> Account {
        let (lost, missed) = match self.rule {
            Rule::Strict => (self.lost(receipts), 0),
            Rule::Resuming => self.lost_by_receiver(),
        };
        Account { lost, missed, ..self.account }
    }

    /// When the last RECEIPT of a SEND came.
    pub const fn last_receipt(&self) -> Option<Instant> {
        self.last_receipt
    }

    /// Numbers of the sends that went out, and whether each was acknowledged.
    pub fn sends(&self) -> impl Iterator<Item = (usize, bool)> {
        let out = self.sends.iter().enumerate().filter(|(_, sent)| sent.at.is_some());
        out.map(|(number, sent)| (number, sent.acked))
    }

    fn lost(&self, receipts: bool) -> u64 {
        let due = self.sends.iter().filter(|sent| sent.acked || !receipts);
        due.map(|sent| u64::from(sent.expected.saturating_sub(sent.received))).sum()
    }

    /// Acknowledged sends that a receiver did not get, without and with a `recovered:false` after
    /// they were due.
    fn lost_by_receiver(&self) -> (u64, u64) {
        let (mut lost, mut missed) = (0, 0);
        let due = self.sends.iter().enumerate().filter(|(_, sent)| sent.acked);
        for (number, sent) in due.filter(|(_, sent)| sent.received < sent.expected) {
            for receiver in self.receivers.iter().filter(|receiver| !receiver.has(number)) {
                let told = receiver.gap >= sent.at;
                *(if told { &mut missed } else { &mut lost }) += 1_u64;
            }
        }
        (lost, missed)
    }

    /// Takes down where a send stands, from whoever was told so, on whatever node.
    fn place(&mut self, number: usize, position: Option<Position>) {
        let Some(sent) = self.sends.get_mut(number) else { return };
        let Some(position) = position else {
            self.account.conflicting += 1;
            return;
        };
        let differs = *sent.position.get_or_insert(position) != position;
        match self.rule {
            Rule::Strict => self.account.conflicting += u64::from(differs),
            Rule::Resuming => {
                self.account.moved += u64::from(differs && !sent.moved);
                sent.moved |= differs;
                let holder = *self.held.entry(position).or_insert(number);
                self.account.conflicting += u64::from(holder != number);
            }
        }
    }
}
