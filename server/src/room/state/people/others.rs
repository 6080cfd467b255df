//! Who reads the room on other nodes, as they say.

use std::collections::{HashMap, HashSet};

use moim_shared::ids::{NodeId, UserId};
use moim_shared::signal::Person;

/// People of one node who are known by name; the others of it are a number.
const KNOWN: usize = 1_000;

/// See the module.
#[derive(Debug, Default)]
pub struct Others {
    /// By the run of their node. `None`: on nodes that run an older program, which does not say it.
    nodes: HashMap<Option<NodeId>, There>,
}

#[derive(Debug, Default)]
struct There {
    people: HashMap<UserId, One>,
    /// How many they are.
    count: usize,
    /// It said who is there since it was last asked.
    answered: bool,
}

#[derive(Debug)]
struct One {
    name: Option<String>,
    away: bool,
}

impl There {
    /// Those of whom no name is known.
    fn unnamed(&self) -> usize {
        self.count.saturating_sub(self.people.len())
    }
}

impl Others {
    /// Whether it is there at all, and away on all nodes that it is on.
    pub fn status(&self, user: &UserId) -> Option<bool> {
        let of = self.nodes.values().filter_map(|there| there.people.get(user));
        of.map(|one| one.away).reduce(|one, other| one && other)
    }

    /// What it is called.
    pub fn name(&self, user: &UserId) -> Option<String> {
        let mut of = self.nodes.values().filter_map(|there| there.people.get(user));
        of.find_map(|one| one.name.clone())
    }

    /// Those whose names are known; somebody on two nodes comes twice.
    pub fn users(&self) -> impl Iterator<Item = &UserId> {
        self.nodes.values().flat_map(|there| there.people.keys())
    }

    /// Those of whom no name is known.
    pub fn unnamed(&self) -> usize {
        self.nodes.values().map(There::unnamed).sum()
    }

    /// Somebody is there.
    pub fn put(&mut self, node: Option<&NodeId>, person: &Person) {
        let there = self.nodes.entry(node.cloned()).or_default();
        if there.people.len() < KNOWN || there.people.contains_key(&person.user) {
            let one = One { name: person.name.clone(), away: person.away };
            there.people.insert(person.user.clone(), one);
        }
    }

    /// Somebody is there no more.
    pub fn take(&mut self, node: Option<&NodeId>, user: &UserId) {
        if let Some(there) = self.nodes.get_mut(&node.cloned()) {
            there.people.remove(user);
        }
    }

    /// Somebody turned away or back.
    pub fn turn(&mut self, node: Option<&NodeId>, user: &UserId, away: bool) {
        let there = self.nodes.get_mut(&node.cloned());
        if let Some(one) = there.and_then(|there| there.people.get_mut(user)) {
            one.away = away;
        }
    }

    /// How many the node says they are, after the moves that it says with it; of an older program, who
    /// says nothing, as many as are known. `were_all`: before them, all were known by name. False:
    /// they should be and are not, so something was missed.
    pub fn count(&mut self, node: Option<&NodeId>, count: usize, were_all: bool) -> bool {
        let there = self.nodes.entry(node.cloned()).or_default();
        if node.is_none() {
            there.count = there.people.len();
            return true;
        }
        there.count = count;
        let known = there.people.len();
        known == count || (known < count && (known >= KNOWN || !were_all))
    }

    /// All of the node who are known by name.
    pub fn people_of(&self, node: Option<&NodeId>) -> Vec<UserId> {
        let there = self.nodes.get(&node.cloned());
        there.map(|there| there.people.keys().cloned().collect()).unwrap_or_default()
    }

    /// All are asked anew.
    pub fn ask(&mut self) {
        self.nodes.values_mut().for_each(|there| there.answered = false);
    }

    /// The node answered: it has `count` people.
    pub fn answered(&mut self, node: &NodeId, count: usize) {
        let there = self.nodes.entry(Some(node.clone())).or_default();
        (there.count, there.answered) = (count, true);
    }

    /// Whether all those nodes answered.
    pub fn have_answered<'a>(&self, mut nodes: impl Iterator<Item = &'a NodeId>) -> bool {
        nodes.all(|node| self.nodes.get(&Some(node.clone())).is_some_and(|there| there.answered))
    }

    /// Those who did not answer.
    pub fn silent(&self) -> Vec<Option<NodeId>> {
        let silent = self.nodes.iter().filter(|(node, there)| node.is_some() && !there.answered);
        silent.map(|(node, _)| node.clone()).collect()
    }

    /// Those of whom something is known that do not live any more. Who runs an older program cannot
    /// be told apart: when any node has died since the last time.
    pub fn among(&self, dead: &HashSet<NodeId>, since: bool) -> Vec<Option<NodeId>> {
        let is_dead =
            |node: &&Option<NodeId>| node.as_ref().map_or(since, |node| dead.contains(node));
        self.nodes.keys().filter(is_dead).cloned().collect()
    }

    /// Whether the node has people of whom no name is known.
    pub fn has_unnamed(&self, node: Option<&NodeId>) -> bool {
        self.nodes.get(&node.cloned()).is_some_and(|there| there.unnamed() > 0)
    }

    /// Nothing is known of the node any more.
    pub fn forget(&mut self, node: Option<&NodeId>) {
        self.nodes.remove(&node.cloned());
    }
}
