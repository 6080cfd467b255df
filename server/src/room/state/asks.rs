//! Who may come in: SUBSCRIBEs and SENDs wait here until the room is open and their user is known.

use std::sync::Arc;
use std::time::{Duration, Instant};

use moim_shared::position::Position;
use moim_shared::store::{Access, StoreError};

use super::{Admitted, Effect, State};
use crate::outbox::{Outbox, Subscription};
use crate::refusal::Refusal;
use crate::room::access::Identity;
use crate::room::join::{Join, Start};
use crate::room::post::Post;
use crate::room::recovery::is_covered;

/// Something that needs an open room and a member.
#[derive(Debug)]
pub enum Ask {
    /// A SUBSCRIBE.
    Join(Join),
    /// A SEND.
    Post(Post),
}

impl Ask {
    fn who(&self) -> &Arc<Identity> {
        match self {
            Self::Join(join) => &join.who,
            Self::Post(post) => &post.who,
        }
    }

    fn deadline(&self) -> Instant {
        match self {
            Self::Join(join) => join.deadline,
            Self::Post(post) => post.deadline,
        }
    }

    /// Says no.
    pub fn refuse(self, refusal: &Refusal) {
        match self {
            Self::Join(join) => join.refuse(refusal),
            Self::Post(post) => post.reply.refused(refusal),
        }
    }
}

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
        if self.loading.contains_key(&who.user) {
            self.asks.push_back(ask);
            return Vec::new();
        }
        if self.access.contains(&who.user) {
            return self.let_in(ask);
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
        if access == Access::Member {
            if self.access.len() >= KNOWN_USERS {
                self.access.clear();
            }
            self.access.insert(who.user.clone());
        }
        let (theirs, others) =
            std::mem::take(&mut self.asks).into_iter().partition(|ask| ask.who().user == who.user);
        self.asks = others;
        let mut effects = Vec::new();
        for ask in theirs {
            // Another session of the same user may hold a grant where this one had none.
            let by_grant = ask.who().grant.covers(&self.room) && !who.grant.covers(&self.room);
            match access {
                Access::Member | Access::Muted { .. } => effects.extend(self.let_in(ask)),
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

    /// The broker told of other memberships.
    pub fn on_members_changed(&mut self, version: u64) -> Vec<Effect> {
        if self.open && version > self.members { self.recheck(version) } else { Vec::new() }
    }

    /// The memberships changed: what was let in and has no place yet is asked about again, in
    /// front of what waits.
    pub(super) fn recheck(&mut self, version: u64) -> Vec<Effect> {
        self.members = version;
        self.access.clear();
        let posts = std::mem::take(&mut self.pending).into_iter().map(Ask::Post);
        let asks = std::mem::take(&mut self.asks);
        posts.chain(asks).flat_map(|ask| self.on_ask(ask)).collect()
    }

    fn let_in(&mut self, ask: Ask) -> Vec<Effect> {
        self.used = true;
        match ask {
            // It was ended while it waited; there is nobody to tell.
            Ask::Join(join) if join.subscription.is_ended() => Vec::new(),
            Ask::Join(join) => self.on_join(join),
            Ask::Post(post) => {
                self.pending.push_back(post);
                Vec::new()
            }
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
                self.insert(join.outbox.clone(), join.subscription.clone(), from)
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
        self.add_subscriber(key, outbox, subscription, from, replaying);
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
