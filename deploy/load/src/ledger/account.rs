//! The sums of ledgers.

use serde::Serialize;

/// What happened, in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
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
    /// Messages whose position differs between receivers, or from the RECEIPT's, or is missing;
    /// with sessions that resume: positions at which there were two messages, or none told.
    pub conflicting: u64,
    /// Messages that nobody of this test sent.
    pub foreign: u64,
    /// Messages that came again at a later position, which a lost Redis allows.
    pub shown_again: u64,
    /// Names that were seen at a second position.
    pub moved: u64,
    /// Arrivals that a receiver missed before it was told `recovered:false`.
    pub missed: u64,
    /// Resumed subscriptions that were told `recovered:true`.
    pub recovered: u64,
    /// Times that a receiver was told `recovered:false`.
    pub unrecovered: u64,
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
        self.shown_again += other.shown_again;
        self.moved += other.moved;
        self.missed += other.missed;
        self.recovered += other.recovered;
        self.unrecovered += other.unrecovered;
    }

    /// SENDs without RECEIPT.
    pub fn unacknowledged(&self) -> u64 {
        self.sent.saturating_sub(self.acknowledged)
    }

    /// Nothing lost, doubled, out of order or unexplained.
    pub fn is_clean(&self) -> bool {
        self.lost + self.doubled + self.disordered + self.conflicting + self.foreign == 0
    }
}
