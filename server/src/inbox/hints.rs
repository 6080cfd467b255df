//! What is to be asked about, in the order in which it was hinted at. Pure.

use std::collections::{HashMap, HashSet, VecDeque};

use moim_shared::ids::{RoomId, UserId};

/// A user and a room.
pub(super) type Pair = (UserId, RoomId);

/// Something changed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Hint {
    /// In a room, for everybody in it.
    Room(RoomId),
    /// For one user.
    Own(UserId, RoomId),
}

/// Hints that wait, each once. They are followed in rounds, page by page: a round is over when all
/// is gone that was there at its beginning. What is hinted at again meanwhile stands behind those
/// that have waited longer, so nobody is passed over.
#[derive(Default)]
pub(super) struct Hints {
    waiting: VecDeque<Hint>,
    /// The same.
    known: HashSet<Hint>,
    /// Of these, those of users.
    own: usize,
    /// Of the round, how many of them are left.
    left: usize,
    /// Of a room that was begun, those who are left.
    begun: Vec<Pair>,
}

impl Hints {
    /// The room changed.
    pub fn room(&mut self, room: RoomId) {
        self.add(Hint::Room(room));
    }

    /// What the user has of the room changed; false: there are `most` of these already.
    pub fn own(&mut self, user: &UserId, room: RoomId, most: usize) -> bool {
        let hint = Hint::Own(user.clone(), room);
        if self.own >= most {
            return self.known.contains(&hint);
        }
        self.own += usize::from(self.add(hint));
        true
    }

    fn add(&mut self, hint: Hint) -> bool {
        let new = self.known.insert(hint.clone());
        if new {
            self.waiting.push_back(hint);
        }
        new
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.begun.is_empty()
    }

    /// What is there now is to be followed.
    pub fn begin(&mut self) {
        self.left = self.waiting.len();
    }

    /// Whether something is left of what was there then.
    pub fn is_in_round(&self) -> bool {
        self.left > 0 || !self.begun.is_empty()
    }

    /// Up to `most` of the round, taken out, each once. Whom a room concerns is asked when its turn
    /// comes.
    pub fn page(&mut self, most: usize, concerned: impl Fn(&RoomId) -> Vec<UserId>) -> Vec<Pair> {
        // No pair stands in it twice: a room and a user of it may both have been hinted at.
        let mut page: HashMap<Pair, usize> = HashMap::new();
        while page.len() < most {
            let pair = match self.begun.pop() {
                Some(pair) => pair,
                None => match self.next() {
                    None => break,
                    Some(Hint::Own(user, room)) => (user, room),
                    Some(Hint::Room(room)) => {
                        self.begun =
                            concerned(&room).into_iter().map(|user| (user, room.clone())).collect();
                        continue;
                    }
                },
            };
            let at = page.len();
            page.entry(pair).or_insert(at);
        }
        let mut page: Vec<(Pair, usize)> = page.into_iter().collect();
        page.sort_unstable_by_key(|(_, at)| *at);
        page.into_iter().map(|(pair, _)| pair).collect()
    }

    fn next(&mut self) -> Option<Hint> {
        self.left = self.left.checked_sub(1)?;
        let hint = self.waiting.pop_front()?;
        self.known.remove(&hint);
        self.own -= usize::from(matches!(hint, Hint::Own(..)));
        Some(hint)
    }
}
