//! What the other nodes are told of this one: what moved, or all of it.

use std::time::Instant;

use moim_shared::signal::{Event, Here, Moves, Person};

use super::{AGAIN, Asked, Due, NAMES_MOST, People, SAID, Untold};

impl People {
    /// What the other nodes know of this one may be wrong.
    pub fn say_anew(&mut self) {
        if !self.place.alone && self.say_all == Due::No {
            self.say_all = Due::InTurn;
        }
    }

    /// That was not told to anybody.
    pub fn untold(&mut self, what: Untold, now: Instant) {
        match what {
            Untold::People => self.say_all = Due::At(now + AGAIN),
            Untold::Question if self.watched => {
                (self.ask, self.asked) = (Due::At(now + AGAIN), Asked::No);
            }
            Untold::Question | Untold::Other => {}
        }
    }

    pub(super) fn say(&mut self, now: Instant) -> Option<Event> {
        if self.moved.len() > NAMES_MOST && self.say_all == Due::No {
            self.say_all = Due::Now;
        }
        let node = self.place.run.clone();
        if self.say_all != Due::No {
            let lately = self.said_all.is_some_and(|at| now.saturating_duration_since(at) < SAID);
            if lately || !self.say_all.is_due(now, self.turn) {
                return None;
            }
            (self.say_all, self.said_all) = (Due::No, Some(now));
            self.settle();
            let people = self.here.iter().take(NAMES_MOST).map(|(user, reader)| Person {
                user: user.clone(),
                name: reader.name.clone(),
                away: reader.is_away(),
            });
            let here = Here { node, people: people.collect(), count: self.here.len() };
            return (!self.place.alone).then_some(Event::Here(Some(here)));
        }
        let moves = Moves { node: Some(node), ..self.settle() };
        let nothing = moves.arrived.is_empty()
            && moves.departed.is_empty()
            && moves.away.is_empty()
            && moves.back.is_empty();
        (!nothing && !self.place.alone).then_some(Event::Presence(moves))
    }

    /// What the other nodes do not know yet; from now on they are taken to know it.
    fn settle(&mut self) -> Moves {
        let mut moves = Moves::default();
        for user in self.moved.drain() {
            let Some(reader) = self.here.get_mut(&user) else { continue };
            let is = (reader.count > 0).then(|| reader.is_away());
            let told = std::mem::replace(&mut reader.told, is);
            match (told, is) {
                (None, Some(away)) => {
                    moves.arrived.push(Person { name: reader.name.clone(), user, away });
                }
                (told, None) => {
                    let seen = reader.last_seen;
                    self.here.remove(&user);
                    if told.is_some() {
                        moves.departed.push((user, seen));
                    }
                }
                (Some(false), Some(true)) => moves.away.push(user),
                (Some(true), Some(false)) => moves.back.push(user),
                (Some(_), Some(_)) => {}
            }
        }
        moves.count = self.here.len();
        moves
    }
}
