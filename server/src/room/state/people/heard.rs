//! What other nodes say: it is known while somebody watches, and asked for when that begins.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use moim_shared::ids::{NodeId, UserId};
use moim_shared::signal::{Event, Here, Moves, Person};

use super::others::Others;
use super::{ANSWERED, Asked, Due, People, SILENT};
use crate::nodes::Known;

impl People {
    /// Somebody watches. What other nodes say is to be asked for, if nobody did before.
    pub fn watch(&mut self) -> Option<Event> {
        if std::mem::replace(&mut self.watched, true) || self.place.alone {
            return None;
        }
        Some(self.question())
    }

    fn question(&mut self) -> Event {
        self.others.ask();
        (self.ask, self.asked) = (Due::No, Asked::Now);
        Event::WhoIsHere { node: self.place.run.clone() }
    }

    /// Nobody watches, and needs to know what other nodes say.
    pub fn unwatch(&mut self) {
        if std::mem::take(&mut self.watched) {
            self.others = Others::default();
            self.named = self.here.values().filter(|reader| reader.count > 0).count();
            self.changed = HashMap::new();
            (self.show_all, self.odd) = (false, false);
            (self.ask, self.asked) = (Due::No, Asked::No);
        }
    }

    /// Other nodes may have said something, or asked, that was not heard here.
    pub fn missed(&mut self) {
        self.say_anew();
        self.show_all = self.watched;
        if self.watched && !self.place.alone && self.ask == Due::No {
            self.ask = Due::InTurn;
        }
    }

    /// Other nodes live than before.
    pub fn nodes(&mut self, known: &Arc<Known>) {
        let died = known.dead.difference(&self.known.dead).next().is_some();
        for node in self.others.among(&known.dead, died) {
            self.forget_node(node.as_ref());
        }
        if known.returned > self.known.returned && self.watched && self.ask == Due::No {
            self.ask = Due::InTurn;
        }
        self.known = known.clone();
    }

    fn forget_node(&mut self, node: Option<&NodeId>) {
        self.show_all |= self.others.has_unnamed(node);
        for user in self.others.people_of(node) {
            self.take(node, &user, None);
        }
        self.others.forget(node);
    }

    fn put(&mut self, node: Option<&NodeId>, person: &Person) {
        let was = self.status(&person.user);
        self.others.put(node, person);
        self.note(&person.user, was, None);
    }

    fn take(&mut self, node: Option<&NodeId>, user: &UserId, last_seen: Option<u64>) {
        let was = self.status(user);
        self.others.take(node, user);
        self.note(user, was, last_seen);
    }

    /// What a node says. It may be this one.
    pub fn hear(&mut self, event: &Event) {
        match event {
            Event::WhoIsHere { node } if *node != self.place.run => self.say_all = Due::Now,
            Event::Here(Some(here)) if self.watched && here.node != self.place.run => {
                self.hear_all(here);
            }
            // Of a crowd on a node that runs an older program: who, it does not say.
            Event::Here(None) => self.show_all = self.watched,
            Event::Presence(moves)
                if self.watched && moves.node.as_ref() != Some(&self.place.run) =>
            {
                self.hear_moves(moves);
            }
            _ => {}
        }
    }

    fn hear_all(&mut self, Here { node, people, count }: &Here) {
        let node = Some(node);
        // Those without a name may be the ones who were called by it before.
        self.show_all |= *count > people.len() || self.others.has_unnamed(node);
        let there: HashSet<&UserId> = people.iter().map(|person| &person.user).collect();
        for user in self.others.people_of(node) {
            if !there.contains(&user) {
                self.take(node, &user, None);
            }
        }
        people.iter().for_each(|person| self.put(node, person));
        node.into_iter().for_each(|node| self.others.answered(node, *count));
    }

    fn hear_moves(&mut self, Moves { node, arrived, departed, away, back, count }: &Moves) {
        let node = node.as_ref();
        let unnamed = self.others.unnamed();
        let were_all = !self.others.has_unnamed(node);
        arrived.iter().for_each(|person| self.put(node, person));
        departed.iter().for_each(|(user, seen)| self.take(node, user, *seen));
        for (users, away) in [(away, true), (back, false)] {
            for user in users {
                let was = self.status(user);
                self.others.turn(node, user, away);
                self.note(user, was, None);
            }
        }
        let fits = self.others.count(node, *count, were_all);
        // While an answer is on its way, nothing has to fit.
        self.odd |= !fits && self.asked == Asked::No;
        // Of a crowd only the number tells that somebody without a name came or went.
        self.show_all |= unnamed > 0 && unnamed != self.others.unnamed();
    }

    /// Whether those who begin to watch can be told who is there.
    pub fn is_known(&self, now: Option<Instant>) -> bool {
        let late = |at| now.is_some_and(|now| now.saturating_duration_since(at) >= ANSWERED);
        match self.asked {
            Asked::No => true,
            Asked::At(at) if late(at) => true,
            Asked::Now | Asked::At(_) => {
                let others = || self.known.live.iter().filter(|node| **node != self.place.run);
                !self.known.live.is_empty() && self.others.have_answered(others())
            }
        }
    }

    /// Asks them when that is due, and lets go of those who do not answer.
    pub(super) fn look_at_others(&mut self, now: Instant) -> Option<Event> {
        match self.asked {
            Asked::Now => self.asked = Asked::At(now),
            Asked::At(at) if now.saturating_duration_since(at) >= SILENT => {
                self.asked = Asked::No;
                for node in self.others.silent() {
                    self.forget_node(node.as_ref());
                }
            }
            Asked::No if std::mem::take(&mut self.odd) => self.ask = Due::InTurn,
            Asked::No | Asked::At(_) => {}
        }
        (self.watched && self.ask.is_due(now, self.turn)).then(|| self.question())
    }
}
