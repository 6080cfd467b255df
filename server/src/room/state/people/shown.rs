//! What those who watch are shown.

use std::collections::HashSet;
use std::time::Instant;

use moim_shared::signal::{Moves, Person};

use super::{Due, NAMES_MOST, People, SHOWN, Show, Shown};

impl People {
    /// Nobody who watches was shown anything before now.
    pub fn show_from_now(&mut self) {
        self.changed.clear();
        self.show_all = false;
    }

    /// Those who are there, as far as there is room for them, and how many they are.
    pub fn all(&self) -> (Vec<Person>, usize) {
        let here = self.here.iter().filter(|(_, reader)| reader.count > 0).map(|(user, _)| user);
        let mut met = HashSet::new();
        let all = here.chain(self.others.users()).filter(|user| met.insert(*user));
        let people = all.take(NAMES_MOST).map(|user| {
            let away = self.status(user).unwrap_or_default();
            self.person(user, away)
        });
        (people.collect(), self.named + self.others.unnamed())
    }

    /// What those who watch are to be shown.
    pub fn show(&mut self, now: Instant) -> Option<Show> {
        if !self.watched || !self.is_known(Some(now)) {
            return None;
        }
        if self.changed.len() > NAMES_MOST || (self.show_all && self.ask == Due::No) {
            let lately = self.shown_all.is_some_and(|at| now.saturating_duration_since(at) < SHOWN);
            if lately {
                return None;
            }
            (self.show_all, self.shown_all) = (false, Some(now));
            self.changed.clear();
            return Some(Show::All);
        }
        let mut moves = Moves::default();
        for (user, Shown { was, last_seen }) in std::mem::take(&mut self.changed) {
            match (was, self.status(&user)) {
                (None, Some(away)) => moves.arrived.push(self.person(&user, away)),
                (Some(_), None) => moves.departed.push((user, last_seen)),
                (Some(false), Some(true)) => moves.away.push(user),
                (Some(true), Some(false)) => moves.back.push(user),
                _ => continue,
            }
            moves.count += 1;
        }
        (moves.count > 0).then_some(Show::Moves(moves))
    }
}
