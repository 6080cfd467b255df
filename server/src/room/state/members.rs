//! Who is still in: what a change of memberships does to those whom the room knows.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use moim_shared::broker::MembersChanged;
use moim_shared::ids::UserId;
use moim_shared::store::{Access, StoreError};

use super::fanout::Gone;
use super::{Ask, Effect, State};
use crate::outbox::{CloseReason, Outbox};
use crate::refusal::Refusal;
use crate::room::post::Post;

/// Users who are asked about again at once.
const RECHECKED: usize = 500;

/// More users than this are not remembered: the memory starts over.
const KNOWN_USERS: usize = 10_000;

impl State {
    /// Remembers a member; until when it is muted.
    pub(super) fn remember(&mut self, user: &UserId, access: Access) -> Option<Option<u64>> {
        let muted = match access {
            Access::Member => None,
            Access::Muted { until } => Some(until),
            Access::Banned | Access::None => return None,
        };
        if self.access.len() >= KNOWN_USERS {
            self.access.clear();
        }
        self.access.insert(user.clone(), muted);
        Some(muted)
    }

    /// The broker told of other memberships.
    pub fn on_members_changed(&mut self, changed: &MembersChanged) -> Vec<Effect> {
        let MembersChanged { version, users } = changed;
        if !self.open {
            self.members_seen = self.members_seen.max(*version);
            return Vec::new();
        }
        if *version <= self.members {
            return Vec::new();
        }
        // With a version in between that nobody told of, it may be anybody.
        if *version > self.members + 1 || users.is_empty() {
            return self.recheck_all(*version);
        }
        self.members = *version;
        self.recheck(users.iter().cloned().collect())
    }

    /// The memberships are of this version; whose changed was missed.
    pub fn on_members_missed(&mut self, version: u64) -> Vec<Effect> {
        if self.open { self.recheck_all(version) } else { Vec::new() }
    }

    /// The memberships are of this version, and nobody said whose changed.
    pub(super) fn recheck_all(&mut self, version: u64) -> Vec<Effect> {
        if version < self.members {
            return Vec::new();
        }
        self.members = version;
        let readers = self.subscribers.iter().map(|subscriber| &subscriber.who().user);
        let waiting = self.pending.iter().map(|post| &post.who.user);
        let known = self.access.keys().chain(self.loading.keys());
        let users = readers.chain(self.life.users()).chain(known).chain(waiting);
        let users = users.cloned().collect();
        self.recheck(users)
    }

    /// What was put back may be of somebody whose membership changed while it was away: it waits in
    /// front of what came after it.
    pub(super) fn recheck_pending(&mut self) -> Vec<Effect> {
        let waits = |post: &Post| {
            self.stale.contains_key(&post.who.user) || self.loading.contains_key(&post.who.user)
        };
        let (held, rest): (Vec<Post>, Vec<Post>) =
            std::mem::take(&mut self.pending).into_iter().partition(waits);
        let mut effects = Vec::new();
        for post in rest {
            effects.extend(self.on_ask(Ask::Post(post)));
        }
        for post in held.into_iter().rev() {
            self.asks.push_front(Ask::Post(post));
        }
        effects
    }

    /// What these users may do is asked again; what was let in of theirs and has no place yet waits
    /// for the answer, in front of what waits already. Nobody else waits.
    fn recheck(&mut self, users: HashSet<UserId>) -> Vec<Effect> {
        self.life.members_changed();
        for user in &users {
            self.access.remove(user);
            if let Some(changed) = self.loading.get_mut(user) {
                *changed = true;
            }
        }
        let (theirs, others): (VecDeque<Post>, VecDeque<Post>) = std::mem::take(&mut self.pending)
            .into_iter()
            .partition(|post| users.contains(&post.who.user));
        self.pending = others;
        for post in theirs.into_iter().rev() {
            self.asks.push_front(Ask::Post(post));
        }
        for user in users {
            self.stale.insert(user, self.members);
        }
        self.ask_about_stale()
    }

    fn ask_about_stale(&mut self) -> Vec<Effect> {
        if self.rechecking || self.stale.is_empty() {
            return Vec::new();
        }
        self.rechecking = true;
        let users = self.stale.keys().take(RECHECKED).cloned().collect();
        vec![Effect::Recheck { users, version: self.members, wait: Duration::ZERO }]
    }

    /// The store said what these users may do, as of `version` at least.
    pub fn on_rechecked(
        &mut self,
        users: Vec<UserId>,
        version: u64,
        accesses: Result<Vec<Access>, StoreError>,
    ) -> Vec<Effect> {
        let accesses = match accesses {
            Ok(accesses) => accesses,
            Err(error) => {
                if self.asking.tries() == 0 {
                    tracing::warn!(room.id = %self.room, %error,
                        "the members cannot be read, trying on");
                }
                let (version, wait) = (self.members, self.asking.wait());
                return vec![Effect::Recheck { users, version, wait }];
            }
        };
        self.asking.reset();
        self.rechecking = false;
        let mut known = HashMap::new();
        for (user, access) in users.into_iter().zip(accesses) {
            // One that changed again since is asked about again.
            if self.stale.get(&user).is_some_and(|came_up| *came_up <= version) {
                self.stale.remove(&user);
                self.remember(&user, access);
                known.insert(user, access);
            }
        }
        self.evict(&known);
        let asks = std::mem::take(&mut self.asks);
        let mut effects: Vec<_> = asks.into_iter().flat_map(|ask| self.on_ask(ask)).collect();
        effects.extend(self.ask_about_stale());
        effects
    }

    /// Ends the subscriptions of those who are no members any more; a ban ends the session.
    fn evict(&mut self, known: &HashMap<UserId, Access>) {
        let out = |user: &UserId| matches!(known.get(user), Some(Access::Banned | Access::None));
        if !known.keys().any(out) {
            return;
        }
        let mut gone: Vec<Gone> = Vec::new();
        for reader in self.subscribers.extract_if(.., |it| out(&it.who().user)) {
            self.life.people.put_out(&reader.who().user, reader.was_away());
            gone.push(reader.into_gone());
        }
        gone.extend(self.life.evict(out));
        let mut told: Vec<Arc<Outbox>> = Vec::new();
        for Gone { who, outbox, subscription } in gone {
            // Before the refusal: a session that is told so has nothing more to come.
            subscription.end();
            if matches!(known.get(&who.user), Some(Access::Banned)) {
                outbox.close(CloseReason::REVOKED);
            } else if !told.iter().any(|known| Arc::ptr_eq(known, &outbox)) {
                outbox.refuse(None, &Refusal::not_a_member_of(&self.room));
                told.push(outbox);
            }
        }
    }
}
