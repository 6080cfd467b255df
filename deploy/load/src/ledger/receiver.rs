//! What one receiver saw.

use tokio::time::Instant;

use crate::stomp::Position;

/// One member of a room, as a receiver.
#[derive(Debug, Clone)]
pub struct Receiver {
    seen: Vec<u64>,
    /// The highest position that came.
    pub last: Option<Position>,
    last_of_sender: Vec<Option<usize>>,
    /// When it was told the last time that something is missing.
    pub gap: Option<Instant>,
}

impl Receiver {
    /// Nothing came yet.
    pub fn new(senders: usize) -> Self {
        Self { seen: Vec::new(), last: None, last_of_sender: vec![None; senders], gap: None }
    }

    /// Remembers a number; false when it was known.
    pub fn note(&mut self, number: usize) -> bool {
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

    /// Whether a number came.
    pub fn has(&self, number: usize) -> bool {
        self.seen.get(number / 64).is_some_and(|word| word & (1 << (number % 64)) != 0)
    }

    /// Moves on to a position; false when it is not above all that came.
    pub fn advance(&mut self, position: Option<Position>) -> bool {
        let rises = position.is_none_or(|position| self.last < Some(position));
        self.last = self.last.max(position);
        rises
    }

    /// Moves on to the next send of one sender; false when a later one of it came already.
    pub fn advance_sender(&mut self, sender: usize, number: usize) -> bool {
        self.last_of_sender.get_mut(sender).is_none_or(|last| {
            let rises = *last < Some(number);
            *last = (*last).max(Some(number));
            rises
        })
    }
}
