//! The room's actor: a thin shell that carries out what [`State`] decides.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use actix::{
    Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, Message, SpawnHandle,
    WrapFuture,
};
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use moim_shared::BoxFuture;
use moim_shared::backoff::Backoff;
use moim_shared::broker::{BrokerError, Placed};
use moim_shared::clock::now_ms;
use moim_shared::envelope::Envelope;
use moim_shared::ids::RoomId;
use moim_shared::position::Position;
use moim_shared::queue::Queue;
use moim_shared::signal::{Event, Signal};
use moim_shared::store::StoreError;
use moim_shared::trace::Step;

use super::access::admit;
use super::history::{History, HistoryError, Page};
use super::join::{Start, Survivor};
use super::recovery::is_covered;
use super::state::{Ask, Bounds, Effect, Look, Place, State, Untold};
use super::{Missed, Notice, Post};
use crate::metrics::Metrics;
use crate::nodes::Nodes;
use crate::outbox::CloseReason;

/// Messages in a room's mailbox. Bytes are bounded by its gate; this bounds the rest.
pub const MAILBOX: usize = 1_024;

/// Events that wait to be told.
const SIGNALS: usize = 256;

/// How often what is held is looked at, and what happened to those who watch.
const TICK: Duration = Duration::from_millis(200);

/// How long a room stays that nobody was let into.
const KNOCK: Duration = Duration::from_secs(1);

/// How long a room that left memory still forwards what was on its way to it.
const FAREWELL: Duration = Duration::from_secs(1);

/// Tries to read history before a subscriber is told to resume.
const HISTORY_TRIES: u32 = 6;

/// Who holds the rooms of this node.
pub trait Owner: Send + Sync {
    /// The room has nothing to do. True: from now on others are given a new one. False: something
    /// is on its way in.
    fn retire(&self, room: &RoomId, life: u64) -> bool;
    /// The room panicked; these subscribers want to go on in a new one.
    fn died(&self, room: &RoomId, life: u64, survivors: Vec<Survivor>);
    /// Came too late for a room that has retired.
    fn forward(&self, room: &RoomId, ask: Ask);
}

/// What the rooms of a node share.
pub struct RoomContext {
    /// Hot log and database.
    pub history: History,
    /// What must still reach the database.
    pub queue: Arc<dyn Queue>,
    /// Numbers.
    pub bounds: Bounds,
    /// How long an unused room stays in memory.
    pub idle: Duration,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Which nodes live.
    pub nodes: Arc<Nodes>,
    /// The node that they are on.
    pub place: Place,
}

/// See the module.
pub struct Room {
    id: RoomId,
    /// Which of the room's lives on this node it is.
    life: u64,
    state: State,
    context: Arc<RoomContext>,
    owner: Arc<dyn Owner>,
    /// The relay could not tell everything.
    missed: Arc<Missed>,
    /// What happened and is not told yet; nobody needs what does not fit.
    signals: VecDeque<Event>,
    signalling: bool,
    /// When the state is looked at next.
    tick: Option<(Instant, SpawnHandle)>,
    /// The broker is being asked to open the room.
    opening: Option<SpawnHandle>,
    unused_since: Option<Instant>,
    retired: bool,
}

impl Room {
    /// A room in its `life`th life, with the subscribers of the one before.
    pub fn new(
        id: RoomId,
        life: u64,
        context: Arc<RoomContext>,
        owner: Arc<dyn Owner>,
        missed: Arc<Missed>,
        survivors: Vec<Survivor>,
    ) -> Self {
        let mut state = State::new(id.clone(), context.bounds, context.place.clone(), survivors);
        state.on_nodes(&context.nodes.known());
        context.metrics.rooms.inc();
        Self {
            id,
            life,
            state,
            context,
            owner,
            missed,
            signals: VecDeque::new(),
            signalling: false,
            tick: None,
            opening: None,
            unused_since: None,
            retired: false,
        }
    }

    fn apply(
        &mut self,
        ctx: &mut Context<Self>,
        decide: impl FnOnce(&mut State, Instant) -> Vec<Effect>,
    ) {
        let now = Instant::now();
        let mut effects = decide(&mut self.state, now);
        if self.missed.take_published() {
            effects.extend(self.state.on_missed());
        }
        if self.missed.take_events() {
            effects.extend(self.state.on_events_missed());
        }
        if self.missed.take_nodes() {
            effects.extend(self.state.on_nodes(&self.context.nodes.known()));
        }
        if self.missed.take_touch() {
            effects.extend(self.state.on_lost_touch());
        }
        if self.missed.members() > self.state.members() {
            effects.extend(self.state.on_members_missed(self.missed.members()));
        }
        effects.extend(self.state.start_batch(self.context.queue.pressure(), now));
        for effect in effects {
            self.carry_out(effect, ctx);
        }
        self.count();
        self.tick_on(ctx);
    }

    fn count(&mut self) {
        let (metrics, counts) = (&self.context.metrics, self.state.counts());
        metrics.delivered(std::mem::take(&mut counts.delivered));
        metrics.holes.inc_by(std::mem::take(&mut counts.holes));
        metrics.epochs.inc_by(std::mem::take(&mut counts.epochs));
        if !counts.given.is_empty() {
            let now = now_ms();
            for (position, sent_at) in counts.given.drain(..) {
                metrics.given(&self.id, position, sent_at, now);
            }
        }
    }

    fn carry_out(&mut self, effect: Effect, ctx: &mut Context<Self>) {
        let context = self.context.clone();
        let room = self.id.clone();
        match effect {
            Effect::Open { wait } => {
                let open = async move {
                    pause(wait).await;
                    let head = context.history.broker.open(&room).await?;
                    let left = context.history.broker.unconfirmed(&room).await?;
                    if !left.is_empty() {
                        queue_again(context, room, left);
                    }
                    Ok(head)
                };
                self.opening = Some(self.run(ctx, open, |state, opened| state.on_opened(opened)));
            }
            Effect::Admit { who, wait } => {
                let asked = who.clone();
                let admit = async move {
                    pause(wait).await;
                    let History { broker, store } = &context.history;
                    admit(&**store, &**broker, &room, &asked).await
                };
                self.run(ctx, admit, move |state, access| state.on_admitted(&who, access));
            }
            Effect::Recheck { users, version, wait } => {
                let asked = users.clone();
                let recheck = async move {
                    pause(wait).await;
                    context.history.store.accesses(&room, &asked).await
                };
                self.run(ctx, recheck, move |state, known| {
                    state.on_rechecked(users, version, known)
                });
            }
            Effect::Signal(event) => {
                if self.signals.len() < SIGNALS {
                    self.signals.push_back(event);
                } else {
                    self.state.on_untold(Untold::of(&event), Instant::now());
                }
                self.signal_on(ctx);
            }
            Effect::Append { batch, wait } => {
                context.metrics.placed(batch.envelopes.len());
                let append = async move {
                    pause(wait).await;
                    let from = SystemTime::now();
                    let placed = context.history.broker.append(batch).await?;
                    let new = placed.iter().filter_map(|placed| match placed {
                        Placed::New(envelope) => Some(envelope),
                        _ => None,
                    });
                    context.metrics.traces.steps(Step::Append, new, from);
                    Ok(placed)
                };
                self.run(ctx, append, |state, placed| state.on_appended(placed));
            }
            Effect::Enqueue { number, envelopes, wait } => {
                let enqueue = async move {
                    pause(wait).await;
                    let from = SystemTime::now();
                    let traces = &context.metrics.traces;
                    let traced = if traces.are_on() { envelopes.clone() } else { Vec::new() };
                    context.queue.publish(envelopes).await?;
                    traces.steps(Step::Enqueue, &traced, from);
                    Ok(())
                };
                self.run(ctx, enqueue, move |state, confirmed| {
                    state.on_confirmed(number, confirmed)
                });
            }
            Effect::Fill { after } => {
                let fill = async move { read(&context, &room, after).await };
                self.run(ctx, fill, |state, filled| state.on_filled(filled));
            }
            Effect::Begin { join } => {
                let (start, head, deadline) = (join.start, self.state.at(), join.deadline);
                let begin = async move { begin(&context, &room, start, head, deadline).await };
                self.run(ctx, begin, move |state, begun| state.on_begun(join, begun));
            }
            Effect::Replay { key, after, outbox } => {
                let replay = async move {
                    let turn = poll_fn(|context| outbox.poll_turn(context)).await;
                    (read(&context, &room, after).await, turn)
                };
                // The turn ends when the page is in the outbox.
                self.run(ctx, replay, move |state, (page, _turn)| state.on_replayed(key, page));
            }
        }
    }

    /// Tells the nodes what happened, one after the other: their order is what it means.
    fn signal_on(&mut self, ctx: &mut Context<Self>) {
        while !self.signalling
            && let Some(event) = self.signals.pop_front()
        {
            let what = Untold::of(&event);
            let (context, signal) = (self.context.clone(), Signal::Event(self.id.clone(), event));
            let mut telling: LocalBoxFuture<'static, bool> = Box::pin(async move {
                let told = context.history.broker.signal(signal).await;
                if let Err(error) = &told {
                    tracing::debug!(%error, "an event of a room was not told");
                }
                told.is_ok()
            });
            // On one node it is done at once.
            if let Some(told) = (&mut telling).now_or_never() {
                self.signalled(what, told);
            } else {
                self.signalling = true;
                ctx.spawn(telling.into_actor(self).map(move |told, room: &mut Self, ctx| {
                    room.signalling = false;
                    room.signalled(what, told);
                    room.signal_on(ctx);
                    room.tick_on(ctx);
                }));
            }
        }
    }

    fn signalled(&mut self, what: Untold, told: bool) {
        if !told {
            self.state.on_untold(what, Instant::now());
        }
    }

    /// Looks again when there is something to look at.
    fn tick_on(&mut self, ctx: &mut Context<Self>) {
        let Some(look) = self.state.next_look() else { return };
        let now = Instant::now();
        let at = match look {
            Look::Soon => now + TICK,
            Look::At(at) => at.max(now + TICK),
        };
        if let Some((before, tick)) = self.tick {
            if before <= at {
                return;
            }
            ctx.cancel_future(tick);
        }
        let tick = ctx.run_later(at.saturating_duration_since(now), |room, ctx| {
            room.tick = None;
            room.apply(ctx, State::on_tick);
        });
        self.tick = Some((at, tick));
    }

    /// Runs something outside and gives its result to the state.
    fn run<T: 'static>(
        &self,
        ctx: &mut Context<Self>,
        work: impl Future<Output = T> + 'static,
        then: impl FnOnce(&mut State, T) -> Vec<Effect> + 'static,
    ) -> SpawnHandle {
        let done = work.into_actor(self).map(move |result, room: &mut Self, ctx| {
            room.apply(ctx, |state, _| then(state, result));
        });
        ctx.spawn(done)
    }

    /// Leaves memory when nobody needed it for a while.
    fn look_whether_unused(&mut self, ctx: &mut Context<Self>) {
        if !self.retired && self.state.holds_something() {
            self.apply(ctx, State::on_tick);
        }
        if !self.state.is_idle() {
            self.unused_since = None;
            return;
        }
        let since = *self.unused_since.get_or_insert_with(Instant::now);
        // A room that let nobody in was only knocked at.
        let long = if self.state.was_used() { self.context.idle } else { Duration::ZERO };
        if !self.retired && since.elapsed() >= long && self.owner.retire(&self.id, self.life) {
            self.retired = true;
            // What it opens now nobody would close.
            if let Some(opening) = self.opening.take() {
                ctx.cancel_future(opening);
            }
            ctx.run_later(FAREWELL, |_, ctx| ctx.stop());
        }
    }
}

impl Actor for Room {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
        self.apply(ctx, |state, _| state.start());
        let look = (self.context.idle / 2).max(Duration::from_millis(50));
        ctx.run_later(look.min(KNOCK), Self::look_whether_unused);
        ctx.run_interval(look, Self::look_whether_unused);
    }
}

impl Message for Ask {
    type Result = ();
}

impl Handler<Ask> for Room {
    type Result = ();

    fn handle(&mut self, ask: Ask, ctx: &mut Self::Context) {
        self.missed.taken();
        if self.retired {
            self.owner.forward(&self.id, ask);
        } else {
            self.unused_since = None;
            self.apply(ctx, |state, _| state.on_ask(ask));
        }
    }
}

impl Message for Notice {
    type Result = ();
}

impl Handler<Notice> for Room {
    type Result = ();

    fn handle(&mut self, notice: Notice, ctx: &mut Self::Context) {
        self.missed.taken();
        match notice {
            Notice::Published(published) => {
                self.apply(ctx, |state, _| state.on_published(&published));
            }
            Notice::MembersChanged(changed) => {
                self.apply(ctx, |state, _| state.on_members_changed(&changed));
            }
            Notice::Missed => self.apply(ctx, |state, _| state.on_lost_touch()),
            Notice::Event(event) => self.apply(ctx, |state, _| state.on_event(&event)),
            Notice::Nodes => {
                let known = self.context.nodes.known();
                self.apply(ctx, |state, _| state.on_nodes(&known));
            }
            Notice::Left => self.apply(ctx, |state, _| state.on_left()),
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.context.metrics.rooms.dec();
        let survivors = self.state.survivors();
        if !self.retired {
            self.owner.died(&self.id, self.life, survivors);
            return;
        }
        for survivor in survivors {
            survivor.outbox.close(CloseReason::COME_BACK);
        }
    }
}

impl From<Post> for Ask {
    fn from(post: Post) -> Self {
        Self::Post(post)
    }
}

async fn pause(wait: Duration) {
    if !wait.is_zero() {
        tokio::time::sleep(wait).await;
    }
}

/// Queues what has its place and perhaps no confirm, from a life of the room that ended in between.
/// Once too often is harmless.
fn queue_again(context: Arc<RoomContext>, room: RoomId, left: Vec<Arc<Envelope>>) {
    actix::spawn(async move {
        if let Err(error) = context.queue.publish(left).await {
            tracing::warn!(room.id = %room, %error, "what a room left behind was not queued");
        }
    });
}

/// Whether a subscription gets everything after its start, and which position that is. Tried again
/// until `deadline` when the store is away.
async fn begin(
    context: &RoomContext,
    room: &RoomId,
    start: Start,
    head: Position,
    deadline: Instant,
) -> Result<(bool, Position), StoreError> {
    let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));
    loop {
        let asked = tokio::time::timeout_at(deadline.into(), ask_start(context, room, start, head));
        match asked.await {
            Ok(Err(error)) if error.retryable() && Instant::now() < deadline => {
                tokio::time::sleep(backoff.wait()).await;
            }
            Ok(known) => return known,
            Err(_late) => return Err(StoreError::Unavailable("no answer in time".into())),
        }
    }
}

async fn ask_start(
    context: &RoomContext,
    room: &RoomId,
    start: Start,
    head: Position,
) -> Result<(bool, Position), StoreError> {
    let store = &context.history.store;
    match start {
        Start::Live | Start::Last(0) => Ok((true, head)),
        Start::Since(since) => {
            let broker = &context.history.broker;
            let away = |error: BrokerError| StoreError::Unavailable(error.to_string());
            // A log that never was longer cannot have been cut.
            let may_lack = head.seq >= context.bounds.log_max;
            let lacks = may_lack && broker.read(room, since, 1).await.map_err(away)?.lacks(since);
            // This node may not have heard yet what another one gave out.
            let end = if since > head { broker.head(room).await.map_err(away)? } else { head };
            let current = since.epoch == end.epoch;
            let epochs = if current { Vec::new() } else { store.epochs(room).await? };
            let covered = !lacks && is_covered(since, end, &epochs);
            Ok((covered, if covered { since } else { head }))
        }
        Start::Last(count) => Ok((true, store.before_last(room, count).await?)),
    }
}

/// A page of history, tried again a few times.
fn read<'a>(
    context: &'a RoomContext,
    room: &'a RoomId,
    after: Position,
) -> BoxFuture<'a, Result<Page, HistoryError>> {
    Box::pin(async move {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));
        loop {
            match context.history.page(room, after, context.bounds.page_bytes).await {
                Err(error) if error.retryable() && backoff.tries() < HISTORY_TRIES => {
                    if backoff.tries() == 0 {
                        tracing::warn!(room.id = %room, %error, "history cannot be read, trying again");
                    }
                    tokio::time::sleep(backoff.wait()).await;
                    if matches!(error, HistoryError::Broker(BrokerError::EpochRolled)) {
                        // Its log was lost: somebody has to begin another.
                        let _ = context.history.broker.open(room).await;
                    }
                }
                done => return done,
            }
        }
    })
}
