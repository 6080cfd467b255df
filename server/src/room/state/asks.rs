//! Who may come in: SUBSCRIBEs and SENDs wait here until the room is open and their user is known.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use moim_shared::broker::MembersChanged;
use moim_shared::ids::UserId;
use moim_shared::position::Position;
use moim_shared::store::{Access, StoreError};

use super::fanout::Gone;
use super::life::Typing;
use super::{Admitted, Effect, State};
use crate::outbox::{CloseReason, Outbox, Subscription};
use crate::refusal::Refusal;
use crate::room::access::Identity;
use crate::room::gate::Permit;
use crate::room::join::{Join, Start, Survivor};
use crate::room::post::{OVERHEAD, Post};
use crate::room::recovery::is_covered;

/// Something that needs an open room and a member.
#[derive(Debug)]
pub enum Ask {
    /// A SUBSCRIBE.
    Join(Join),
    /// A SUBSCRIBE to the room's events.
    Watch(Join),
    /// A SEND.
    Post(Post),
    /// A SEND to `typing`.
    Typing(Typing),
}

impl Ask {
    fn who(&self) -> &Arc<Identity> {
        match self {
            Self::Join(join) | Self::Watch(join) => &join.who,
            Self::Post(post) => &post.who,
            Self::Typing(typing) => &typing.who,
        }
    }

    fn deadline(&self) -> Instant {
        match self {
            Self::Join(join) | Self::Watch(join) => join.deadline,
            Self::Post(post) => post.deadline,
            Self::Typing(typing) => typing.deadline,
        }
    }

    /// Bytes that it needs in the room's gate and does not have there yet: a SEND to the room came
    /// with its own.
    pub fn needs(&self) -> Option<usize> {
        let receipt = match self {
            Self::Post(_) => return None,
            Self::Join(join) | Self::Watch(join) if join.permit.is_none() => {
                join.receipt.as_deref()
            }
            Self::Typing(typing) if typing.permit.is_none() => typing.answer.receipt(),
            Self::Join(_) | Self::Watch(_) | Self::Typing(_) => return None,
        };
        Some(OVERHEAD + receipt.map_or(0, str::len))
    }

    /// It has its room in the gate.
    pub fn hold(&mut self, permit: Permit) {
        match self {
            Self::Join(join) | Self::Watch(join) => join.permit = Some(permit),
            Self::Typing(typing) => typing.permit = Some(permit),
            Self::Post(_) => {}
        }
    }

    /// Says no.
    pub fn refuse(self, refusal: &Refusal) {
        match self {
            Self::Join(join) | Self::Watch(join) => join.refuse(refusal),
            Self::Post(post) => post.reply.refused(refusal),
            Self::Typing(typing) => typing.answer.refuse(refusal),
        }
    }
}

/// Users who are asked about again at once.
const RECHECKED: usize = 500;

/// More users than this are not remembered: the memory starts over.
const KNOWN_USERS: usize = 10_000;

impl State {
    /// A SUBSCRIBE or a SEND arrived.
    pub fn on_ask(&mut self, ask: Ask) -> Vec<Effect> {
        if !self.open {
            self.asks.push_back(ask);
            return Vec::new();
        }
        let who = ask.who().clone();
        // Behind an ask of the same user that waits, so that its order is kept.
        if self.loading.contains_key(&who.user) || self.stale.contains_key(&who.user) {
            self.asks.push_back(ask);
            return Vec::new();
        }
        if let Some(muted) = self.access.get(&who.user) {
            return self.let_in(ask, *muted);
        }
        self.asks.push_back(ask);
        self.loading.insert(who.user.clone(), false);
        vec![Effect::Admit { who, wait: Duration::ZERO }]
    }

    /// The store said what a user may do.
    pub fn on_admitted(&mut self, who: &Arc<Identity>, admitted: Admitted) -> Vec<Effect> {
        let access = match admitted {
            Ok(access) => access,
            Err(error) => return self.ask_again(who, &error),
        };
        self.backoff.reset();
        if self.loading.get(&who.user) == Some(&true) {
            // It may have been read before the change.
            self.loading.insert(who.user.clone(), false);
            return vec![Effect::Admit { who: who.clone(), wait: Duration::ZERO }];
        }
        self.loading.remove(&who.user);
        let muted = self.remember(&who.user, access).flatten();
        let (theirs, others) =
            std::mem::take(&mut self.asks).into_iter().partition(|ask| ask.who().user == who.user);
        self.asks = others;
        let mut effects = Vec::new();
        for ask in theirs {
            // Another session of the same user may hold a grant where this one had none.
            let by_grant = ask.who().grant.covers(&self.room) && !who.grant.covers(&self.room);
            match access {
                Access::Member | Access::Muted { .. } => effects.extend(self.let_in(ask, muted)),
                Access::Banned => ask.refuse(&Refusal::banned()),
                Access::None if by_grant => effects.extend(self.on_ask(ask)),
                Access::None => ask.refuse(&Refusal::not_a_member()),
            }
        }
        effects
    }

    fn ask_again(&mut self, who: &Arc<Identity>, error: &StoreError) -> Vec<Effect> {
        if self.asks.iter().any(|ask| ask.who().user == who.user) {
            if self.backoff.tries() == 0 {
                tracing::warn!(room.id = %self.room, %error, "a membership cannot be read, trying on");
            }
            self.loading.insert(who.user.clone(), false);
            vec![Effect::Admit { who: who.clone(), wait: self.backoff.wait() }]
        } else {
            self.loading.remove(&who.user);
            Vec::new()
        }
    }

    /// Remembers a member; until when it is muted.
    fn remember(&mut self, user: &UserId, access: Access) -> Option<Option<u64>> {
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

    /// What was put back may be of somebody whose membership changed while it was away.
    pub(super) fn recheck_pending(&mut self) -> Vec<Effect> {
        let posts = std::mem::take(&mut self.pending);
        posts.into_iter().flat_map(|post| self.on_ask(Ask::Post(post))).collect()
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
                if self.backoff.tries() == 0 {
                    tracing::warn!(room.id = %self.room, %error,
                        "the members cannot be read, trying on");
                }
                let (version, wait) = (self.members, self.backoff.wait());
                return vec![Effect::Recheck { users, version, wait }];
            }
        };
        self.backoff.reset();
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
            self.life.left(&reader.who().user);
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

    fn let_in(&mut self, ask: Ask, muted: Option<u64>) -> Vec<Effect> {
        self.used = true;
        match ask {
            // It was ended while it waited: there is nothing to come, and still an answer to give.
            Ask::Join(mut join) | Ask::Watch(mut join) if join.subscription.is_ended() => {
                join.accept(self.at, true);
                Vec::new()
            }
            Ask::Join(join) => self.on_join(join),
            Ask::Watch(join) => self.on_watch(join),
            Ask::Post(post) if muted.is_some_and(|until| post.sent_at < until) => {
                post.reply.refused(&Refusal::muted());
                Vec::new()
            }
            Ask::Post(post) => {
                self.pending.push_back(post);
                Vec::new()
            }
            Ask::Typing(typing) if muted.is_some_and(|until| typing.sent_at < until) => {
                typing.answer.refuse(&Refusal::muted());
                Vec::new()
            }
            Ask::Typing(typing) => self.on_typing(typing),
        }
    }

    fn on_join(&mut self, join: Join) -> Vec<Effect> {
        match join.start {
            Start::Live => self.begin(join, Ok((true, self.at))),
            Start::Since(since) if since.epoch == self.at.epoch || since > self.at => {
                let recovered = is_covered(since, self.at, &[]);
                self.begin(join, Ok((recovered, since)))
            }
            Start::Since(_) | Start::Last(_) => {
                self.beginning += 1;
                vec![Effect::Begin { join }]
            }
        }
    }

    /// It is known whether a subscription gets everything after its start, and which that is; if
    /// not, it gets what came after it was asked for.
    pub fn on_begun(
        &mut self,
        join: Join,
        begun: Result<(bool, Position), StoreError>,
    ) -> Vec<Effect> {
        self.beginning = self.beginning.saturating_sub(1);
        if !self.access.contains_key(&join.who.user) {
            // It may have been put out meanwhile.
            return self.on_ask(Ask::Join(join));
        }
        self.begin(join, begun)
    }

    fn begin(
        &mut self,
        mut join: Join,
        begun: Result<(bool, Position), StoreError>,
    ) -> Vec<Effect> {
        match begun {
            Ok((recovered, from)) => {
                // The database may be in front of the room: what is not visible yet comes live.
                let from = from.min(self.at);
                join.accept(if recovered { self.at } else { from }, recovered);
                let who = join.who.clone();
                self.insert(who, join.outbox.clone(), join.subscription.clone(), from)
            }
            Err(error) => {
                tracing::warn!(room.id = %self.room, %error, "a subscription cannot begin");
                join.refuse(&Refusal::unavailable());
                Vec::new()
            }
        }
    }

    /// A subscriber that has everything up to `from`.
    pub(super) fn insert(
        &mut self,
        who: Arc<Identity>,
        outbox: Arc<Outbox>,
        subscription: Arc<Subscription>,
        from: Position,
    ) -> Vec<Effect> {
        let key = self.next_key;
        self.next_key += 1;
        let replaying = from < self.at;
        let mut effects = Vec::new();
        if replaying {
            effects.push(Effect::Replay { key, after: from, outbox: outbox.clone() });
        }
        let subscriber = Survivor { who, outbox, subscription, at: Some(from) };
        self.add_subscriber(key, subscriber, replaying);
        effects
    }

    pub(super) fn expire_asks(&mut self, now: Instant) {
        if self.asks.iter().all(|ask| ask.deadline() > now) {
            return;
        }
        let (late, rest) =
            std::mem::take(&mut self.asks).into_iter().partition(|ask| ask.deadline() <= now);
        self.asks = rest;
        for ask in late {
            ask.refuse(&Refusal::unavailable());
        }
    }
}
