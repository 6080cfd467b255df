//! What a session has to do for its frames, in order, and holds while it cannot be done yet.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{ActorFutureExt, AsyncContext, WrapFuture};
use actix_web_actors::ws::WebsocketContext;
use moim_shared::clock::now_ms;
use moim_shared::ids::{OriginId, RoomId};

use super::super::draft::Draft;
use super::Session;
use crate::hub::Undelivered;
use crate::refusal::Refusal;
use crate::room::{Ask, Commit, POST_OVERHEAD, Post, Reply};

/// Something that waits for its turn: for a room's gate, its mailbox, or the session's rate.
pub(super) enum Work {
    /// To be counted against the rate, and to be given to its room.
    Send(Box<Sending>),
    /// A SUBSCRIBE, to be counted against the rate, and to be given to its room.
    Join(RoomId, Ask, Instant),
    /// To be given to its room.
    Ask(RoomId, Ask, Instant),
    /// To be confirmed, as a part of a COMMIT, whose own RECEIPT comes behind it.
    Confirm(Option<Box<str>>, Arc<Commit>),
}

/// A SEND on its way to its room.
pub(super) struct Sending {
    draft: Draft,
    commit: Option<Arc<Commit>>,
    deadline: Instant,
    /// It was counted against the rate.
    counted: bool,
}

impl Sending {
    pub(super) fn work(draft: Draft, commit: Option<Arc<Commit>>, deadline: Instant) -> Work {
        Work::Send(Box::new(Self { draft, commit, deadline, counted: false }))
    }
}

/// How long a session waits before it tries again what could not be taken.
const HOLD: Duration = Duration::from_millis(5);

/// The longest wait between two tries: each also says that the client is not silent, and the
/// shortest heart-beat ends a session after 250 ms.
const HOLD_MOST: Duration = Duration::from_millis(100);

impl Session {
    /// True when it is done; else it is held, and everything behind it: nothing is read meanwhile,
    /// so the client's own socket holds it back.
    pub(super) fn do_or_hold(&mut self, work: Work, ctx: &mut WebsocketContext<Self>) -> bool {
        let Some((wait, work)) = self.try_one(work) else { return true };
        self.work.push_front(work);
        let hold = tokio::time::sleep(wait.min(HOLD_MOST)).into_actor(self);
        ctx.wait(hold.map(|(), session: &mut Self, ctx| {
            // It is us who do not listen.
            session.outbox.heard();
            session.work_off(ctx);
            session.pump(ctx);
        }));
        false
    }

    /// Does what was held, in order.
    pub(super) fn work_off(&mut self, ctx: &mut WebsocketContext<Self>) {
        while let Some(work) = self.work.pop_front() {
            if !self.do_or_hold(work, ctx) {
                return;
            }
        }
        self.work = VecDeque::new();
    }

    fn try_one(&mut self, work: Work) -> Option<(Duration, Work)> {
        match work {
            Work::Confirm(receipt, _commit) => {
                self.confirm(receipt.as_deref());
                None
            }
            Work::Send(sending) => self.try_send(sending),
            Work::Join(room, ask, deadline) => match self.bucket.take(Instant::now()) {
                Ok(()) => self.try_one(Work::Ask(room, ask, deadline)),
                Err(wait) => Some((wait, Work::Join(room, ask, deadline))),
            },
            Work::Ask(room, ask, deadline) => {
                let ask = match self.context.hub.room(&room).map(|handle| handle.ask(ask)) {
                    Some(Ok(())) => return None,
                    Some(Err(Undelivered(ask))) => *ask,
                    // The hub is going away with the process, and the session with it.
                    None => return None,
                };
                if Instant::now() >= deadline || self.outbox.is_closing() {
                    ask.refuse(&Refusal::busy());
                    return None;
                }
                Some((HOLD, Work::Ask(room, ask, deadline)))
            }
        }
    }

    fn try_send(&mut self, mut sending: Box<Sending>) -> Option<(Duration, Work)> {
        let now = Instant::now();
        let late = now >= sending.deadline || self.outbox.is_closing();
        if !sending.counted
            && let Err(wait) = self.bucket.take(now)
        {
            if late {
                return self.refuse_send(&sending, &Refusal::rate_limited());
            }
            return Some((wait.min(sending.deadline - now), Work::Send(sending)));
        }
        sending.counted = true;
        match self.post(sending) {
            Ok(ask) => self.try_one(ask),
            Err(sending) if late => self.refuse_send(&sending, &Refusal::busy()),
            Err(sending) => Some((HOLD, Work::Send(sending))),
        }
    }

    fn refuse_send(&self, sending: &Sending, refusal: &Refusal) -> Option<(Duration, Work)> {
        self.context.metrics.refused(refusal.code);
        self.outbox.refuse(sending.draft.receipt.as_deref(), refusal);
        if let Some(commit) = &sending.commit {
            commit.fail(refusal);
        }
        None
    }

    /// Takes room in the gate and makes a post of the draft; gives it back when there is none.
    fn post(&self, sending: Box<Sending>) -> Result<Work, Box<Sending>> {
        let draft = &sending.draft;
        let Some(who) = self.who.clone() else { return Err(sending) };
        let Some(handle) = self.context.hub.room(&draft.room) else { return Err(sending) };
        let Some(permit) = handle.gate.enter(POST_OVERHEAD + draft.bytes()) else {
            return Err(sending);
        };
        let Sending { draft, commit, deadline, .. } = *sending;
        let metrics = self.context.metrics.clone();
        let reply = Reply::new(self.outbox.clone(), draft.receipt, commit, metrics, permit);
        let post = Post {
            who,
            origin: draft.origin.unwrap_or_else(|| OriginId::made_by(&self.context.node)),
            sent_at: now_ms(),
            content_type: draft.content_type,
            binary: draft.binary,
            headers: draft.headers,
            body: draft.body,
            deadline,
            reply,
        };
        Ok(Work::Ask(draft.room, post.into(), deadline))
    }
}
