//! What a session has to do for its frames, in order, and holds while it cannot be done yet.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{ActorFutureExt, AsyncContext, WrapFuture};
use actix_web_actors::ws::WebsocketContext;
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use moim_shared::backoff::Backoff;
use moim_shared::broker::BrokerError;
use moim_shared::clock::now_ms;
use moim_shared::ids::{OriginId, RoomId};
use moim_shared::position::Position;
use moim_shared::signal::{Channel, Flash, Signal, Topic};
use serde::Deserialize;

use super::super::destination::Target;
use super::super::draft::Draft;
use super::super::protocol::Acked;
use super::Session;
use crate::hub::Undelivered;
use crate::inbox::Wish;
use crate::outbox::{Outbox, Owed, Subscription};
use crate::refusal::{Code, Refusal};
use crate::room::{Answer, Ask, Commit, Gate, Identity, POST_OVERHEAD, Post, Reply, Typing};

/// Something that waits for its turn: for a room's gate, its mailbox, or the session's rate.
pub(super) enum Work {
    /// To be counted against the rate, and to be given to its room.
    Send(Box<Sending>),
    /// A SUBSCRIBE, to be counted against the rate, and to be given to its room.
    Join(RoomId, Ask, Instant),
    /// To be given to its room.
    Ask(RoomId, Ask, Instant),
    /// To read an open topic from now on.
    Listen(Topic, Arc<Subscription>, Option<Box<str>>),
    /// To read a queue of the user from now on.
    Queue(Topic, Arc<Subscription>, Option<Box<str>>),
    /// To read the user's inbox from now on.
    Inbox(Inbox),
    /// An ACK, to be confirmed as a part of a COMMIT, whose own RECEIPT comes behind it.
    Acked(Option<Acked>, Option<Box<str>>, Arc<Commit>),
}

/// A SUBSCRIBE to the user's inbox.
pub(super) struct Inbox {
    /// After what; `None`: what comes.
    pub(super) since: Option<Position>,
    pub(super) subscription: Arc<Subscription>,
    pub(super) receipt: Option<Box<str>>,
}

/// What became of a try.
pub(super) enum Tried {
    Done,
    /// It could not be taken yet: again after this long.
    Later(Duration, Box<Work>),
    /// It goes on by itself and gives its own answer; what stands behind it waits.
    Under(LocalBoxFuture<'static, ()>),
}

impl Tried {
    fn later(wait: Duration, work: Work) -> Self {
        Self::Later(wait, Box::new(work))
    }
}

fn unheard(error: &BrokerError) -> Refusal {
    tracing::warn!(%error, "nobody could be told");
    Refusal::unavailable()
}

/// A SEND on its way.
pub(super) struct Sending {
    pub(super) draft: Draft,
    pub(super) commit: Option<Arc<Commit>>,
    /// When it was read; one of a transaction, when its COMMIT was.
    began: Instant,
    deadline: Instant,
    /// It was counted against the rate.
    counted: bool,
    _owed: Owed,
}

impl Sending {
    pub(super) fn work(
        outbox: &Arc<Outbox>,
        draft: Draft,
        commit: Option<Arc<Commit>>,
        deadline: Instant,
    ) -> Work {
        let (began, owed) = (Instant::now(), Owed::new(outbox.clone()));
        Work::Send(Box::new(Self { draft, commit, began, deadline, counted: false, _owed: owed }))
    }
}

/// How long a session waits before it tries again what could not be taken.
const HOLD: Duration = Duration::from_millis(5);

/// Cursors of one session that are being moved.
const MOVES: usize = 16;

/// SUBSCRIBEs of one session to its inbox that are being carried out.
const ENTERING: usize = 4;

/// The longest wait between two tries: each also says that the client is not silent, and the
/// shortest heart-beat ends a session after 250 ms.
pub(super) const HOLD_MOST: Duration = Duration::from_millis(100);

impl Session {
    /// True when it is done; else it is held, and everything behind it: nothing is read meanwhile,
    /// so the client's own socket holds it back.
    pub(super) fn do_or_hold(&mut self, work: Work, ctx: &mut WebsocketContext<Self>) -> bool {
        let (wait, work) = match self.try_one(work) {
            Tried::Done => return true,
            Tried::Under(mut way) => {
                // On one node it is done at once.
                if (&mut way).now_or_never().is_some() {
                    return true;
                }
                self.wait_for(ctx, way, |_, (), _| ());
                return false;
            }
            Tried::Later(wait, work) => (wait, *work),
        };
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

    fn try_one(&mut self, work: Work) -> Tried {
        if matches!(work, Work::Listen(..) | Work::Queue(..))
            && let Err(wait) = self.bucket.take(Instant::now())
        {
            return Tried::later(wait, work);
        }
        match work {
            Work::Acked(acked, receipt, _commit) => {
                self.acked(acked);
                self.confirm(receipt.as_deref());
                Tried::Done
            }
            Work::Send(sending) => self.try_send(sending),
            Work::Join(room, ask, deadline) => match self.bucket.take(Instant::now()) {
                Ok(()) => self.try_one(Work::Ask(room, ask, deadline)),
                Err(wait) => Tried::later(wait, Work::Join(room, ask, deadline)),
            },
            Work::Listen(topic, subscription, receipt) => {
                self.context.topics.subscribe(&topic, self.outbox.clone(), subscription.clone());
                self.listen(Channel::Topic(topic), subscription, receipt)
            }
            Work::Queue(queue, subscription, receipt) => {
                let Some(who) = &self.who else { return Tried::Done };
                if who.anonymous {
                    subscription.end();
                    let answer = Answer::new(self.outbox.clone(), receipt, None);
                    answer.refuse(&Refusal::not_a_member());
                    return Tried::Done;
                }
                let user = who.user.clone();
                let registry = &self.context.registry;
                registry.subscribe(&user, queue, &self.outbox, subscription.clone());
                self.listen(Channel::User(user), subscription, receipt)
            }
            Work::Inbox(inbox) => self.read_inbox(inbox),
            Work::Ask(room, mut ask, deadline) => {
                // Without one the hub is going away with the process, and the session with it.
                let Some(handle) = self.context.hub.room(&room) else { return Tried::Done };
                let fits = ask.needs().is_none_or(|bytes| {
                    handle.gate.enter(bytes).map(|permit| ask.hold(permit)).is_some()
                });
                if fits {
                    match handle.ask(ask) {
                        Ok(()) => return Tried::Done,
                        Err(Undelivered(back)) => ask = *back,
                    }
                }
                if Instant::now() >= deadline || self.outbox.is_closing() {
                    ask.refuse(&Refusal::busy());
                    return Tried::Done;
                }
                Tried::later(HOLD, Work::Ask(room, ask, deadline))
            }
        }
    }

    /// What is told on the channel reaches this node from now on; the RECEIPT says so.
    fn listen(
        &self,
        channel: Channel,
        subscription: Arc<Subscription>,
        receipt: Option<Box<str>>,
    ) -> Tried {
        let answer = Answer::new(self.outbox.clone(), receipt, None);
        let (context, patience) = (self.context.clone(), self.context.limits.send_deadline);
        Tried::Under(Box::pin(async move {
            let heard = tokio::time::timeout(patience, context.broker.listen(&channel)).await;
            let refusal = match heard {
                Ok(Ok(())) => return answer.done(),
                Ok(Err(error)) => unheard(&error),
                Err(_late) => Refusal::unavailable(),
            };
            context.ignore(channel, &subscription);
            answer.refuse(&refusal);
        }))
    }

    /// The inbox is read from when the RECEIPT says so, which comes with it.
    fn read_inbox(&mut self, work: Inbox) -> Tried {
        let Some(who) = self.who.clone() else { return Tried::Done };
        let entering = self.entering.get_or_insert_with(|| Arc::new(Gate::new(ENTERING)));
        let Some(place) = entering.enter(1) else {
            // Each of those in there has its time.
            return Tried::later(HOLD, Work::Inbox(work));
        };
        if let Err(wait) = self.bucket.take(Instant::now()) {
            return Tried::later(wait, Work::Inbox(work));
        }
        let Inbox { since, subscription, receipt } = work;
        if who.anonymous {
            subscription.end();
            let answer = Answer::new(self.outbox.clone(), receipt, None);
            answer.refuse(&Refusal::not_a_member());
            return Tried::Done;
        }
        let (context, outbox) = (self.context.clone(), self.outbox.clone());
        // Beside the session: the store may be slow, and what it sends next does not wait for that.
        actix::spawn(async move {
            let _place = place;
            let (asked, user) = (receipt.clone(), who.user.clone());
            let (patience, to) = (context.limits.send_deadline, subscription.clone());
            let wish = Wish { user, outbox: outbox.clone(), subscription: to, since, receipt };
            let Err(refusal) = context.inboxes.enter(wish, patience).await else { return };
            if !subscription.is_ended() {
                subscription.end();
                outbox.refuse(asked.as_deref(), &refusal);
            } else if let Some(asked) = asked {
                // An UNSUBSCRIBE overtook it: nothing is wrong. A session that closes has nobody to
                // tell.
                let _ = outbox.receipt(&asked);
            }
        });
        Tried::Done
    }

    /// Work that ends in its answer, in time.
    fn under_way(
        &self,
        answer: Answer,
        work: impl Future<Output = Result<(), Refusal>> + 'static,
    ) -> Tried {
        let patience = self.context.limits.send_deadline;
        Tried::Under(Box::pin(async move {
            let done = tokio::time::timeout(patience, work).await;
            answer.give(done.unwrap_or_else(|_late| Err(Refusal::unavailable())));
        }))
    }

    fn try_send(&mut self, mut sending: Box<Sending>) -> Tried {
        let now = Instant::now();
        let late = now >= sending.deadline || self.outbox.is_closing();
        if !sending.counted
            && let Err(wait) = self.bucket.take(now)
        {
            if late {
                return self.refuse_send(&sending, &Refusal::rate_limited());
            }
            return Tried::later(wait.min(sending.deadline - now), Work::Send(sending));
        }
        sending.counted = true;
        let Some(who) = self.who.clone() else { return Tried::Done };
        let room = match &sending.draft.target {
            Target::Topic(_) | Target::User(..) => return self.tell(&who, *sending),
            _ if who.anonymous => return self.refuse_send(&sending, &Refusal::not_a_member()),
            Target::Read(room) => return self.move_cursor(room.clone(), who, sending, late, false),
            Target::Delivered(room) => {
                return self.move_cursor(room.clone(), who, sending, late, true);
            }
            Target::Presence => {
                self.be_there(*sending);
                return Tried::Done;
            }
            Target::Typing(room) => return self.type_in(room.clone(), who, *sending),
            Target::Room(room) => room.clone(),
        };
        match self.post(&room, who, sending) {
            Ok(ask) => self.try_one(ask),
            Err(sending) if late => self.refuse_send(&sending, &Refusal::busy()),
            Err(sending) => Tried::later(HOLD, Work::Send(sending)),
        }
    }

    /// To an open topic, or to a user's queue.
    fn tell(&self, who: &Identity, sending: Sending) -> Tried {
        let Sending { draft, commit, .. } = sending;
        let Draft { target, content_type, binary, headers, body, receipt, .. } = draft;
        let flash = Arc::new(Flash {
            sender: who.user.clone(),
            sender_name: who.name.clone(),
            sent_at: now_ms(),
            content_type,
            binary,
            headers,
            body,
        });
        let answer = Answer::new(self.outbox.clone(), receipt, commit);
        let signal = match target {
            Target::Topic(topic) => Signal::Topic(topic, flash),
            // They are people's own.
            Target::User(..) if who.anonymous => {
                answer.refuse(&Refusal::not_a_member());
                return Tried::Done;
            }
            Target::User(user, queue) => Signal::User(user, queue, flash),
            Target::Room(_)
            | Target::Typing(_)
            | Target::Read(_)
            | Target::Delivered(_)
            | Target::Presence => return Tried::Done,
        };
        let broker = self.context.broker.clone();
        self.under_way(answer, async move {
            broker.signal(signal).await.map_err(|error| unheard(&error))
        })
    }

    /// How far somebody has read, or this device was given messages.
    fn move_cursor(
        &mut self,
        room: RoomId,
        who: Arc<Identity>,
        sending: Box<Sending>,
        late: bool,
        delivered: bool,
    ) -> Tried {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct UpTo {
            position: String,
        }
        let up_to = serde_json::from_slice::<UpTo>(&sending.draft.body).ok();
        let Some(position) = up_to.and_then(|up_to| up_to.position.parse::<Position>().ok()) else {
            let refusal =
                Refusal::new(Code::BadRequest, r#"the body is {"position":"<epoch-seq>"}"#);
            return self.refuse_send(&sending, &refusal);
        };
        let moves = self.moves.get_or_insert_with(|| Arc::new(Gate::new(MOVES)));
        let Some(place) = moves.enter(1) else {
            if late {
                return self.refuse_send(&sending, &Refusal::busy());
            }
            return Tried::later(HOLD, Work::Send(sending));
        };
        let Sending { draft, commit, deadline, .. } = *sending;
        let answer = Answer::new(self.outbox.clone(), draft.receipt, commit);
        let (cursors, device) = (self.context.cursors.clone(), self.device.clone());
        // Beside the session: nothing that it does next depends on it, and the store may be slow.
        actix::spawn(async move {
            let _place = place;
            let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));
            let moved = async {
                loop {
                    let moved = if delivered {
                        cursors.delivered_up_to(&room, &who, device.clone(), position).await
                    } else {
                        cursors.read_up_to(&room, &who, device.clone(), position).await.map(drop)
                    };
                    match moved {
                        Err(refusal) if refusal.code == Code::Unavailable => {
                            tokio::time::sleep(backoff.wait()).await;
                        }
                        done => return done,
                    }
                }
            };
            let moved = tokio::time::timeout_at(deadline.into(), moved).await;
            answer.give(moved.unwrap_or_else(|_late| Err(Refusal::unavailable())));
        });
        Tried::Done
    }

    fn type_in(&mut self, room: RoomId, who: Arc<Identity>, sending: Sending) -> Tried {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Keys {
            typing: bool,
        }
        let keys = match &*sending.draft.body {
            [] => Ok(Keys { typing: true }),
            body => serde_json::from_slice(body),
        };
        let Ok(Keys { typing }) = keys else {
            let refusal = Refusal::new(Code::BadRequest, r#"the body is {"typing":true|false}"#);
            return self.refuse_send(&sending, &refusal);
        };
        let deadline = sending.deadline;
        let answer = Answer::new(self.outbox.clone(), sending.draft.receipt, sending.commit);
        let (at, sent_at) = (Instant::now(), now_ms());
        let typing =
            Ask::Typing(Typing { who, typing, at, sent_at, answer, deadline, permit: None });
        self.try_one(Work::Ask(room, typing, deadline))
    }

    pub(super) fn refuse_send(&self, sending: &Sending, refusal: &Refusal) -> Tried {
        self.outbox.refuse(sending.draft.receipt.as_deref(), refusal);
        if let Some(commit) = &sending.commit {
            commit.fail(refusal);
        }
        Tried::Done
    }

    /// Takes room in the gate and makes a post of the draft; gives it back when there is none.
    fn post(
        &self,
        room: &RoomId,
        who: Arc<Identity>,
        sending: Box<Sending>,
    ) -> Result<Work, Box<Sending>> {
        let draft = &sending.draft;
        let Some(handle) = self.context.hub.room(room) else { return Err(sending) };
        let Some(permit) = handle.gate.enter(POST_OVERHEAD + draft.bytes()) else {
            return Err(sending);
        };
        let Sending { draft, commit, began, deadline, .. } = *sending;
        let (outbox, metrics) = (self.outbox.clone(), self.context.metrics.clone());
        let reply = Reply::new(outbox, draft.receipt, commit, began, metrics, permit);
        let post = Post {
            who,
            origin: draft.origin.unwrap_or_else(|| OriginId::made_by(&self.context.node)),
            sent_at: now_ms(),
            content_type: draft.content_type,
            binary: draft.binary,
            headers: draft.headers,
            body: draft.body,
            deadline,
            unsure: false,
            reply,
        };
        Ok(Work::Ask(room.clone(), post.into(), deadline))
    }
}
