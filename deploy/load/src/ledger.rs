//! Who was sent what, and who got it: the one place that knows loss, doubles and disorder.
//! One ledger per room; a send is known by its number in the room, which its `origin-id` carries.

use tokio::time::Instant;

use crate::stomp::Position;

/// Sends that one room's ledger remembers; more are refused before they are sent.
pub const MAX_SENDS: usize = 4_000_000;

#[derive(Debug, Clone, Default)]
struct Sent {
    at: Option<Instant>,
    expected: u32,
    received: u32,
    acked: bool,
    position: Option<Position>,
}

#[derive(Debug, Clone)]
struct Receiver {
    seen: Vec<u64>,
    last: Option<Position>,
    last_of_sender: Vec<Option<usize>>,
}

/// What happened in one room.
#[derive(Debug)]
pub struct RoomLedger {
    sends: Vec<Sent>,
    receivers: Vec<Receiver>,
    senders: usize,
    account: Account,
}

/// What happened, in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Account {
    /// SENDs that went out.
    pub sent: u64,
    /// SENDs that got their RECEIPT.
    pub acknowledged: u64,
    /// First arrivals at a receiver.
    pub delivered: u64,
    /// Arrivals that should have been and were not.
    pub lost: u64,
    /// Arrivals of a message that the receiver had.
    pub doubled: u64,
    /// Arrivals below what the receiver had, by position or by the order of one sender.
    pub disordered: u64,
    /// Messages whose position differs between receivers, or from the RECEIPT's, or is missing.
    pub conflicting: u64,
    /// Messages that nobody of this test sent.
    pub foreign: u64,
}

impl Account {
    /// Adds another room's.
    pub fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.acknowledged += other.acknowledged;
        self.delivered += other.delivered;
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.disordered += other.disordered;
        self.conflicting += other.conflicting;
        self.foreign += other.foreign;
    }

    /// Nothing lost, doubled, out of order or unexplained.
    pub fn is_clean(&self) -> bool {
        self.lost + self.doubled + self.disordered + self.conflicting + self.foreign == 0
    }
}

impl RoomLedger {
    /// A room of `members` in which send `n` comes from sender `n % senders`.
    pub fn new(members: usize, senders: usize) -> Self {
        let senders = senders.max(1);
        let receiver =
            Receiver { seen: Vec::new(), last: None, last_of_sender: vec![None; senders] };
        let receivers = vec![receiver; members];
        Self { sends: Vec::new(), receivers, senders, account: Account::default() }
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
        self.account.acknowledged += 1;
        self.account.conflicting += u64::from(!agree(sent, position));
        sent.at
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
        if !receiver.note(number) {
            self.account.doubled += 1;
            return None;
        }
        self.account.delivered += 1;
        self.account.conflicting += u64::from(!agree(sent, position));
        sent.received += 1;
        let last_number = receiver.last_of_sender.get_mut(sender);
        let late = position.is_some_and(|position| receiver.last >= Some(position))
            || last_number.as_ref().is_some_and(|last| **last >= Some(number));
        self.account.disordered += u64::from(late);
        receiver.last = receiver.last.max(position);
        if let Some(last) = last_number {
            *last = (*last).max(Some(number));
        }
        sent.at
    }

    /// A message that carries no name of this room's.
    pub fn foreign(&mut self) {
        self.account.foreign += 1;
    }

    /// True when every send is acknowledged and everywhere.
    pub fn is_complete(&self) -> bool {
        self.account.sent == self.account.acknowledged && self.lost(true) == 0
    }

    /// The account so far. With `receipts` only what was acknowledged can be lost.
    pub fn account(&self, receipts: bool) -> Account {
        Account { lost: self.lost(receipts), ..self.account }
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
}

impl Receiver {
    /// Remembers a number; false when it was known.
    fn note(&mut self, number: usize) -> bool {
        let (word, bit) = (number / 64, 1_u64 << (number % 64));
        if self.seen.len() <= word {
            self.seen.resize(word + 1, 0);
        }
        self.seen.get_mut(word).is_some_and(|word| {
            let new = *word & bit == 0;
            *word |= bit;
            new
        })
    }
}

fn agree(sent: &mut Sent, position: Option<Position>) -> bool {
    match (sent.position, position) {
        (_, None) => false,
        (None, first) => {
            sent.position = first;
            true
        }
        (Some(known), Some(now)) => known == now,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seq: u64) -> Option<Position> {
        Some(Position { epoch: 1, seq })
    }

    fn room_with_two_sends() -> RoomLedger {
        let mut room = RoomLedger::new(2, 1);
        for number in 0..2 {
            room.sent(number, Instant::now(), 2);
            room.acked(number, at(number as u64));
        }
        room
    }

    #[test]
    fn what_came_once_in_order_everywhere_is_clean() {
        let mut room = room_with_two_sends();
        for member in 0..2 {
            for number in 0..2 {
                assert!(room.received(member, number, at(number as u64)).is_some());
            }
        }
        let account = room.account(true);
        assert!(account.is_clean(), "{account:?}");
        assert_eq!((account.sent, account.acknowledged, account.delivered), (2, 2, 4));
        assert!(room.is_complete());
    }

    #[test]
    fn loss_doubles_and_disorder_are_told_apart() {
        let mut room = room_with_two_sends();
        room.received(0, 1, at(1));
        room.received(0, 0, at(0)); // late
        room.received(0, 0, at(0)); // double
        room.received(1, 0, at(0)); // and 1 never comes
        let account = room.account(true);
        assert_eq!((account.lost, account.doubled, account.disordered), (1, 1, 1));
        assert_eq!((account.conflicting, account.foreign), (0, 0));
    }

    #[test]
    fn a_send_without_receipt_is_no_loss_when_receipts_were_asked() {
        let mut room = RoomLedger::new(1, 1);
        room.sent(0, Instant::now(), 1);
        assert_eq!(room.account(true).lost, 0);
        assert_eq!(room.account(false).lost, 1);
    }

    #[test]
    fn two_positions_of_one_message_conflict() {
        let mut room = room_with_two_sends();
        room.received(0, 0, at(7));
        assert_eq!(room.account(true).conflicting, 1);
    }

    #[test]
    fn a_message_that_nobody_sent_is_foreign() {
        let mut room = room_with_two_sends();
        assert!(room.received(0, 9, at(9)).is_none());
        assert_eq!(room.account(true).foreign, 1);
    }
}
