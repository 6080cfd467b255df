//! How far people have read, or were given messages, as those who watch are to be told next. Pure.
//!
//! Each name goes to each who watches: of a crowd a tick tells few names, and the others come with the
//! next ones. Who was noted first is told first, with its newest; noted again, nobody loses its place.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};

use moim_shared::ids::UserId;
use moim_shared::position::Position;

use super::people::NAMES_MOST;

/// What a tick may give to those who watch of one kind of cursors, all of them together: there are
/// two kinds, so 20,000 in all. One name is always told.
const GIVEN_MOST: usize = 10_000;

/// More names than these do not wait. Who is not among them is told of with its next move, and stands
/// in the list of members all the time.
const WAITING_MOST: usize = 10_000;

/// Where this many watch, nobody can show what each was given: it is not told at all.
const CROWD: usize = 1_000;

/// See the module.
#[derive(Debug, Default)]
pub struct Gathered {
    newest: HashMap<UserId, Position>,
    /// Those of `newest`, each once, in the order in which they were noted.
    order: VecDeque<UserId>,
}

/// Whether so many who watch are too many to be told what each was given.
pub const fn is_crowd(watchers: usize) -> bool {
    watchers > CROWD
}

/// How many names a tick tells to so many who watch.
fn names(watchers: usize) -> usize {
    (GIVEN_MOST / watchers.max(1)).clamp(1, NAMES_MOST)
}

impl Gathered {
    /// A cursor moved there; it only moves forward.
    pub fn note(&mut self, user: &UserId, position: Position) {
        let full = self.order.len() >= WAITING_MOST;
        match self.newest.entry(user.clone()) {
            Entry::Occupied(mut stands) => {
                let newest = position.max(*stands.get());
                stands.insert(newest);
            }
            Entry::Vacant(_) if full => {}
            Entry::Vacant(free) => {
                free.insert(position);
                self.order.push_back(user.clone());
            }
        }
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Nobody wants to know.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Takes out what a tick tells to so many who watch.
    pub fn take(&mut self, watchers: usize) -> Vec<(UserId, Position)> {
        let count = names(watchers).min(self.order.len());
        let taken = self.order.drain(..count);
        taken.filter_map(|user| self.newest.remove_entry(&user)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(n: usize) -> UserId {
        UserId::parse(&format!("u{n}")).unwrap()
    }

    fn at(seq: u64) -> Position {
        Position::new(7, seq)
    }

    #[test]
    fn what_a_tick_gives_is_bounded_whoever_watches_and_one_name_is_always_told() {
        for (watchers, told) in
            [(0, 100), (1, 100), (100, 100), (101, 99), (1_000, 10), (10_000, 1), (50_000, 1)]
        {
            let mut gathered = Gathered::default();
            (0..1_000).for_each(|n| gathered.note(&user(n), at(1)));
            let taken = gathered.take(watchers).len();
            assert_eq!(taken, told, "{watchers} watch");
            assert!(taken == 1 || taken * watchers <= GIVEN_MOST, "{watchers} watch");
        }
    }

    #[test]
    fn nobody_waits_longer_for_those_who_move_all_the_time() {
        let mut gathered = Gathered::default();
        (0..50).for_each(|n| gathered.note(&user(n), at(1)));
        for tick in 0..50 {
            // Those who were told already move on, and those who wait do so too.
            (0..50).for_each(|n| gathered.note(&user(n), at(2 + tick)));
            let taken = gathered.take(10_000);
            assert_eq!(
                taken,
                [(user(tick as usize), at(2 + tick))],
                "first noted, with its newest"
            );
        }
    }

    #[test]
    fn a_cursor_does_not_go_back_and_those_who_wait_are_bounded() {
        let mut gathered = Gathered::default();
        gathered.note(&user(1), at(2));
        gathered.note(&user(1), at(1));
        assert_eq!(gathered.take(1), [(user(1), at(2))]);
        assert!(gathered.is_empty());
        (0..WAITING_MOST + 7).for_each(|n| gathered.note(&user(n), at(1)));
        gathered.note(&user(3), at(9));
        let all: Vec<_> = std::iter::repeat_with(|| gathered.take(1)).take(100).flatten().collect();
        assert_eq!((all.len(), all[3].1), (WAITING_MOST, at(9)));
        assert!(gathered.is_empty() && gathered.newest.is_empty());
    }
}
