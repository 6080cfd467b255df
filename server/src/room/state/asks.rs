//! Who may come in: SUBSCRIBEs and SENDs wait here until the room is open and their user is known.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use moim_shared::ids::UserId;
use moim_shared::position::Position;
use moim_shared::store::{Access, StoreError};

use super::fanout::Subscriber;
use super::life::Typing;
use super::{Admitted, Effect, State};
use crate::outbox::{CloseReason, Outbox, Subscription};
use crate::refusal::Refusal;
use crate::room::access::Identity;
use crate::room::event::Told;
use crate::room::join::{Join, Start, Survivor};
use crate::room::post::Post;
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

    /// Says no.
    pub fn refuse(self, refusal: &Refusal) {
        match self {
            Self::Join(join) | Self::Watch(join) => join.refuse(refusal),
            Self::Post(post) => post.reply.refused(refusal),
            Self::Typing(typing) => typing.answer.refuse(refusal),
        }
    }
}

/// More users than this are not remembered: the memory starts over.
const KNOWN_USERS: usize = 10_000;

impl State {
    /// A SUBSCRIBE or a SEND arrived.
    pub fn on_ask(&mut self, ask: Ask) -> Vec<Effect> {
        if !self.open || self.rechecking.is_some() {
            self.asks.push_back(ask);
            return Vec::new();
        }
        let who = ask.who().clone();
        // Behind an ask of the same user that waits, so that its order is kept.
        if self.loading.contains_key(&who.user) {
            self.asks.push_back(ask);
            return Vec::new();
        }
        if let Some(muted) = self.access.get(&who.user) {
            return self.let_in(ask, *muted);
        }
        self.asks.push_back(ask);
        self.loading.insert(who.user.clone(), self.members);
        vec![Effect::Admit { who, wait: Duration::ZERO }]
    }

    /// The store said what a user may do.
    pub fn on_admitted(&mut self, who: &Arc<Identity>, admitted: Admitted) -> Vec<Effect> {
        let access = match admitted {
            Ok(access) => access,
            Err(error) => return self.ask_again(who, &error),
        };
        self.backoff.reset();
        if self.loading.get(&who.user).is_some_and(|asked| *asked != self.members) {
            // It may have been read before the change.
            self.loading.insert(who.user.clone(), self.members);
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
            self.loading.insert(who.user.clone(), self.members);
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
    pub fn on_members_changed(&mut self, version: u64) -> Vec<Effect> {
        if self.open && version > self.members { self.recheck(version) } else { Vec::new() }
    }

    /// The memberships changed: everybody who is known here is asked about again, and what was let
    /// in and has no place yet waits for that, in front of what waits already.
    pub(super) fn recheck(&mut self, version: u64) -> Vec<Effect> {
        self.members = version;
        self.tell(&Told::Members);
        let posts = std::mem::take(&mut self.pending).into_iter().map(Ask::Post);
        self.asks = posts.chain(std::mem::take(&mut self.asks)).collect();
        if self.rechecking.is_some() {
            // Its answer finds the version changed and asks again.
            return Vec::new();
        }
        self.ask_about_everybody()
    }

    fn ask_about_everybody(&mut self) -> Vec<Effect> {
        let readers = self.subscribers.iter().map(|subscriber| &subscriber.who().user);
        let users = readers.chain(self.life.users()).chain(self.access.keys());
        let users: BTreeSet<UserId> = users.cloned().collect();
        self.rechecking = Some(self.members);
        vec![Effect::Recheck { users: users.into_iter().collect(), wait: Duration::ZERO }]
    }

    /// The store said what everybody may do.
    pub fn on_rechecked(
        &mut self,
        users: Vec<UserId>,
        accesses: Result<Vec<Access>, StoreError>,
    ) -> Vec<Effect> {
        let accesses = match accesses {
            Ok(accesses) => accesses,
            Err(error) => {
                if self.backoff.tries() == 0 {
                    tracing::warn!(room.id = %self.room, %error,
                        "the members cannot be read, trying on");
                }
                return vec![Effect::Recheck { users, wait: self.backoff.wait() }];
            }
        };
        self.backoff.reset();
        if self.rechecking != Some(self.members) {
            return self.ask_about_everybody();
        }
        self.rechecking = None;
        self.access.clear();
        let known: HashMap<UserId, Access> = users.into_iter().zip(accesses).collect();
        for (user, access) in &known {
            self.remember(user, *access);
        }
        self.evict(&known);
        std::mem::take(&mut self.asks).into_iter().flat_map(|ask| self.on_ask(ask)).collect()
    }

    /// Ends the subscriptions of those who are no members any more; a ban ends the session.
    fn evict(&mut self, known: &HashMap<UserId, Access>) {
        let out = |user: &UserId| matches!(known.get(user), Some(Access::Banned | Access::None));
        let banned = |user: &UserId| matches!(known.get(user), Some(Access::Banned));
        for outbox in self.subscribers.iter().filter(|it| banned(&it.who().user)) {
            outbox.outbox().close(CloseReason::REVOKED);
        }
        let readers = self.subscribers.extract_if(.., |it| out(&it.who().user));
        let mut gone: Vec<_> = readers.map(Subscriber::into_ends).collect();
        if !gone.is_empty() {
            self.life.stir();
        }
        gone.extend(self.life.evict(out));
        for (outbox, subscription) in gone {
            // Before the refusal: a session that is told nothing more has nothing more to come.
            subscription.end();
            outbox.refuse(None, &Refusal::not_a_member());
        }
    }

    fn let_in(&mut self, ask: Ask, muted: Option<u64>) -> Vec<Effect> {
        self.used = true;
        match ask {
            // It was ended while it waited; there is nobody to tell.
            Ask::Join(join) | Ask::Watch(join) if join.subscription.is_ended() => Vec::new(),
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
