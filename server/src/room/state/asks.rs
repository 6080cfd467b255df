//! Who may come in: SUBSCRIBEs and SENDs wait here until the room is open and their user is known.

use std::sync::Arc;
use std::time::{Duration, Instant};

use moim_shared::position::Position;
use moim_shared::store::{Access, StoreError};

use super::life::Typing;
use super::{Admitted, Effect, State};
use crate::outbox::{Outbox, Subscription};
use crate::refusal::Refusal;
use crate::room::access::Identity;
use crate::room::gate::Permit;
use crate::room::join::{Join, Start, Survivor};
use crate::room::post::{OVERHEAD, Post};

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
        self.asking.reset();
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
            if self.asking.tries() == 0 {
                tracing::warn!(room.id = %self.room, %error, "a membership cannot be read, trying on");
            }
            self.loading.insert(who.user.clone(), false);
            vec![Effect::Admit { who: who.clone(), wait: self.asking.wait() }]
        } else {
            self.loading.remove(&who.user);
            Vec::new()
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
            Start::Since(since) if self.is_near(since) => self.begin(join, Ok((true, since))),
            Start::Since(_) | Start::Last(_) => {
                self.beginning += 1;
                vec![Effect::Begin { join }]
            }
        }
    }

    /// Whether it was given out, and any log reaches there.
    fn is_near(&self, since: Position) -> bool {
        let behind = self.at.seq.checked_sub(since.seq);
        since.epoch == self.at.epoch && behind.is_some_and(|behind| behind < self.bounds.log_max)
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
                let from = match join.start {
                    // Given out by a node that is in front of this one: it has what comes until then.
                    Start::Since(_) if recovered => from,
                    // The database may be in front of the room: what is not visible yet comes live.
                    _ => from.min(self.at),
                };
                join.accept(if recovered { self.at.max(from) } else { from }, recovered);
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
            self.replays += 1;
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
