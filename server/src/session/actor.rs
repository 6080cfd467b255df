//! The session's actor: a thin shell around [`Protocol`]. It only reads; what it has to say goes
//! into its outbox.

mod connecting;
mod login;
mod there;
mod work;

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use actix::{ActorFutureExt, AsyncContext, StreamHandler, WrapFuture};
use actix_http::error::PayloadError;
use actix_http::ws::Codec;
use actix_web::Error;
use actix_web_actors::ws::{self, ProtocolError, WebsocketContext};
use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::LocalBoxStream;
use moim_shared::broker::Broker;
use moim_shared::ids::{InstallationId, NodeId};
use moim_shared::presence::Presence;
use moim_shared::signal::Channel;
use moim_shared::store::devices::Devices;

use self::there::Told;
use self::work::{HOLD_MOST, Inbox, Sending, Work};
use super::bucket::Bucket;
use super::connect::Upgrade;
use super::destination::{Destinations, Source};
use super::inbound::{Inbound, not_text, too_large};
use super::protocol::{Acked, Action, Protocol, Rules, Violation};
use super::transaction::Held;
use super::{Limits, subscriptions};
use crate::accounts::Logins;
use crate::hub::Hub;
use crate::inbox::Inboxes;
use crate::metrics::Metrics;
use crate::outbox::{CloseReason, Outbox, Subscription};
use crate::reaper::Reaper;
use crate::refusal::{Code, Refusal};
use crate::registry::Registry;
use crate::room::{Ask, Commit, Cursors, Gate, Identity, Join, Notice, Start};
use crate::seen::LastSeen;
use crate::stomp::{Frame, Incoming};
use crate::token::Verifier;
use crate::topics::Topics;

/// What the sessions of a node share.
pub struct SessionContext {
    /// This node.
    pub node: NodeId,
    /// This run of it, as presence knows it.
    pub run: NodeId,
    /// Its rooms.
    pub hub: Arc<Hub>,
    /// Open topics.
    pub topics: Arc<Topics>,
    /// The sessions of this node.
    pub registry: Arc<Registry>,
    /// The inboxes that are read here.
    pub inboxes: Arc<Inboxes>,
    /// Tells other nodes.
    pub broker: Arc<dyn Broker>,
    /// How far people have read.
    pub cursors: Arc<Cursors>,
    /// Where can be sent and subscribed to.
    pub destinations: Destinations,
    /// Whether a client may connect without saying who it is.
    pub anonymous: bool,
    /// Who is connected.
    pub presence: Arc<dyn Presence>,
    /// When people were last there.
    pub seen: Arc<LastSeen>,
    /// Where pushes go to.
    pub devices: Arc<dyn Devices>,
    /// Checks tokens.
    pub verifier: Verifier,
    /// Checks passwords; none without accounts.
    pub logins: Option<Arc<Logins>>,
    /// What a session may do.
    pub limits: Limits,
    /// Bounds of outboxes.
    pub outbox: crate::outbox::Bounds,
    /// Looks after sessions from outside.
    pub reaper: Reaper,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// `auth.close_on_exp`, and the skew that a token outlives its end by.
    pub close_on_exp: Option<Duration>,
    /// The next session's number.
    pub sessions: AtomicU64,
}

impl SessionContext {
    /// The subscription does not read the channel any more. Takes back what it listened for.
    fn ignore(&self, channel: Channel, subscription: &Arc<Subscription>) {
        subscription.end();
        match &channel {
            Channel::Topic(topic) => self.topics.leave(topic, subscription),
            Channel::User(user) => self.registry.unsubscribe(user, subscription),
            Channel::Room(_) | Channel::Inbox(_) | Channel::Nodes => {}
        }
        self.broker.ignore(&channel);
    }

    /// The number of a new session.
    pub fn next_session(&self) -> u64 {
        self.sessions.fetch_add(1, Ordering::Relaxed)
    }
}

/// See the module.
pub struct Session {
    context: Arc<SessionContext>,
    outbox: Arc<Outbox>,
    inbound: Inbound,
    protocol: Protocol,
    upgrade: Option<Box<Upgrade>>,
    who: Option<Arc<Identity>>,
    /// The registered device that it is on, if it named one.
    device: Option<InstallationId>,
    /// What presence was told of it; one at a time is told.
    told: Rc<Cell<Told>>,
    bucket: Bucket,
    /// In order; nothing more is read while something is in here.
    work: VecDeque<Work>,
    /// Something is waited for; nothing else is done meanwhile.
    waiting: bool,
    /// Bounds the cursors that are being moved; most sessions move none at a time.
    moves: Option<Arc<Gate>>,
    /// Bounds the SUBSCRIBEs to its inbox that are being carried out.
    entering: Option<Arc<Gate>>,
}

/// The actor, as the connection polls it: it never writes, and ends when there is nothing more to
/// read.
pub type Actor = LocalBoxStream<'static, Result<Bytes, Error>>;

/// Starts the session of an upgraded connection, which reads `inflow`.
pub fn start<S>(
    context: Arc<SessionContext>,
    upgrade: Upgrade,
    outbox: Arc<Outbox>,
    inflow: S,
) -> Actor
where
    S: Stream<Item = Result<Bytes, PayloadError>> + 'static,
{
    let limits = context.limits;
    let codec = Codec::new().max_size(limits.message_max);
    let session = Session {
        inbound: Inbound::new(limits.frames, limits.message_max),
        protocol: Protocol::new(),
        upgrade: Some(Box::new(upgrade)),
        who: None,
        device: None,
        told: Rc::default(),
        bucket: Bucket::new(limits.send_rate, limits.send_burst, Instant::now()),
        work: VecDeque::new(),
        waiting: false,
        moves: None,
        entering: None,
        outbox,
        context,
    };
    Box::pin(WebsocketContext::with_codec(session, inflow, codec))
}

impl actix::Actor for Session {
    type Context = WebsocketContext<Self>;
}

impl StreamHandler<Result<ws::Message, ProtocolError>> for Session {
    fn handle(&mut self, message: Result<ws::Message, ProtocolError>, ctx: &mut Self::Context) {
        self.outbox.heard();
        self.note_proof();
        let control = matches!(
            message,
            Ok(ws::Message::Close(_) | ws::Message::Ping(_) | ws::Message::Pong(_))
        );
        if !self.outbox.hears() && !control {
            return;
        }
        let taken = match message {
            Ok(ws::Message::Text(text)) => {
                self.inbound.message(text.into_bytes(), false);
                Ok(())
            }
            Ok(ws::Message::Binary(bytes)) => {
                self.inbound.message(bytes, true);
                Ok(())
            }
            Ok(ws::Message::Continuation(item)) => self.inbound.fragment(item),
            Ok(ws::Message::Ping(payload)) => {
                // A closing session answers nobody.
                let _ = self.outbox.pong(&payload);
                Ok(())
            }
            Ok(ws::Message::Pong(_) | ws::Message::Nop) => Ok(()),
            Ok(ws::Message::Close(_)) => return self.outbox.peer_closed(true),
            Err(ProtocolError::Overflow) => Err(too_large()),
            // The only other thing that the library puts in here is text that is no UTF-8; a
            // socket that failed ends the stream as well.
            Err(ProtocolError::Io(_)) => Err(not_text()),
            Err(error) => Err(Refusal::new(Code::BadRequest, format!("WebSocket: {error}"))),
        };
        match taken {
            Ok(()) => self.pump(ctx),
            Err(refusal) => self.fail(None, &refusal),
        }
    }

    fn finished(&mut self, _: &mut Self::Context) {
        // The client's side ended; what it sent before goes on.
        self.outbox.peer_closed(false);
    }
}

impl Session {
    /// Carries out what was read, until something has to wait.
    fn pump(&mut self, ctx: &mut WebsocketContext<Self>) {
        while self.work.is_empty() && !self.waiting && self.outbox.hears() {
            match self.inbound.next() {
                Ok(None) => return,
                Ok(Some(Incoming::Heartbeat)) => {}
                Ok(Some(Incoming::Frame(frame))) => self.on_frame(frame, ctx),
                Err(error) => {
                    let code =
                        if error.kind.too_large() { Code::TooLarge } else { Code::BadRequest };
                    let refusal = Refusal::new(code, error.to_string());
                    self.fail(error.receipt.as_deref(), &refusal);
                }
            }
        }
    }

    fn on_frame(&mut self, frame: Frame, ctx: &mut WebsocketContext<Self>) {
        let receipt: Option<Box<str>> = frame.headers.get("receipt").map(Into::into);
        let binary = self.inbound.binary;
        let SessionContext { limits, destinations, metrics, .. } = &*self.context;
        let rules = Rules { limits, destinations, subscriptions: &metrics.subscriptions };
        match self.protocol.on_frame(frame, binary, &rules) {
            Ok(action) => self.carry_out(action, ctx),
            Err(Violation::Fatal(refusal)) => self.fail(receipt.as_deref(), &refusal),
            Err(Violation::Refused(refusal)) => {
                self.outbox.refuse(receipt.as_deref(), &refusal);
            }
        }
    }

    fn carry_out(&mut self, action: Action, ctx: &mut WebsocketContext<Self>) {
        let deadline = Instant::now() + jittered(self.context.limits.send_deadline);
        match action {
            Action::Connect(headers) => self.connect(&headers, ctx),
            Action::Join { room, subscription, start, receipt } => {
                let Some(join) = self.join(subscription, start, receipt, deadline) else { return };
                _ = self.do_or_hold(Work::Join(room, Ask::Join(join), deadline), ctx);
            }
            Action::Watch { room, subscription, receipt } => {
                let join = self.join(subscription, Start::Live, receipt, deadline);
                let Some(join) = join else { return };
                _ = self.do_or_hold(Work::Join(room, Ask::Watch(join), deadline), ctx);
            }
            Action::Listen { topic, subscription, receipt } => {
                _ = self.do_or_hold(Work::Listen(topic, subscription, receipt), ctx);
            }
            Action::Queue { queue, subscription, receipt } => {
                _ = self.do_or_hold(Work::Queue(queue, subscription, receipt), ctx);
            }
            Action::Inbox { subscription, since, receipt } => {
                let inbox = Inbox { since, subscription, receipt };
                _ = self.do_or_hold(Work::Inbox(inbox), ctx);
            }
            Action::Errors { subscription, receipt } => {
                self.outbox.tell_errors(Some(subscription));
                self.confirm(receipt.as_deref());
            }
            Action::Leave { entry, receipt } => {
                if let Some(entry) = entry {
                    self.leave(&entry);
                }
                self.confirm(receipt.as_deref());
            }
            Action::Send(draft) => {
                _ = self.do_or_hold(Sending::work(&self.outbox, draft, None, deadline), ctx);
            }
            Action::Commit { held, receipt } => {
                // Its RECEIPT goes out when the last part has let go of it.
                let outbox = &self.outbox;
                let commit = Arc::new(Commit::new(outbox.clone(), receipt));
                self.work.extend(held.into_iter().map(|held| match held {
                    Held::Send(draft) => {
                        Sending::work(outbox, draft, Some(commit.clone()), deadline)
                    }
                    Held::Ack(acked, receipt) => Work::Acked(acked, receipt, commit.clone()),
                }));
                self.work_off(ctx);
            }
            Action::Ack { acked, receipt } => {
                self.acked(acked);
                self.confirm(receipt.as_deref());
            }
            Action::Confirm { receipt } => self.confirm(receipt.as_deref()),
            Action::Disconnect { receipt } => {
                self.confirm(receipt.as_deref());
                self.outbox.close(CloseReason::BYE);
            }
        }
    }

    /// What the client sent after it was given messages shows that it has them.
    fn note_proof(&mut self) {
        if self.outbox.is_away() || !self.outbox.is_proof() {
            return;
        }
        let Some(who) = self.who.as_ref().filter(|who| !who.anonymous) else { return };
        for (room, position) in self.protocol.take_proved() {
            self.context.cursors.delivered(&room, &who.user, self.device.as_ref(), position);
        }
    }

    fn acked(&self, acked: Option<Acked>) {
        if let (Some((room, position)), Some(who), false) =
            (acked, &self.who, self.outbox.is_away())
        {
            self.context.cursors.delivered(&room, &who.user, self.device.as_ref(), position);
        }
    }

    fn confirm(&self, receipt: Option<&str>) {
        if let Some(receipt) = receipt {
            // A session that closes has nobody to tell.
            let _ = self.outbox.receipt(receipt);
        }
    }

    fn fail(&self, receipt: Option<&str>, refusal: &Refusal) {
        self.outbox.fail(receipt, refusal);
    }

    fn leave(&self, entry: &subscriptions::Entry) {
        entry.subscription.end();
        match &entry.source {
            Source::Errors => self.outbox.tell_errors(self.protocol.errors()),
            Source::Topic(topic) => {
                self.context.ignore(Channel::Topic(topic.clone()), &entry.subscription);
            }
            Source::Queue(_) => {
                if let Some(who) = &self.who {
                    self.context.ignore(Channel::User(who.user.clone()), &entry.subscription);
                }
            }
            Source::Inbox => {
                if let Some(who) = &self.who {
                    self.context.inboxes.leave(&who.user, &entry.subscription);
                }
            }
            Source::Room(room) | Source::Events(room) => {
                if let Some(handle) = self.context.hub.find(room) {
                    handle.tell(Notice::Left);
                }
            }
        }
    }

    /// A SUBSCRIBE to a room; none for somebody nobody knows, who is told so.
    fn join(
        &self,
        subscription: Arc<Subscription>,
        start: Start,
        receipt: Option<Box<str>>,
        deadline: Instant,
    ) -> Option<Join> {
        let who = self.who.clone()?;
        let known = !who.anonymous;
        let join = Join::new(who, self.outbox.clone(), subscription, start, receipt, deadline);
        if known {
            return Some(join);
        }
        join.refuse(&Refusal::not_a_member());
        None
    }

    /// Does nothing else until the work is done: what is read meanwhile waits its turn. It has to
    /// have a deadline of its own.
    fn wait_for<T: 'static>(
        &mut self,
        ctx: &mut WebsocketContext<Self>,
        work: impl Future<Output = T> + 'static,
        then: impl FnOnce(&mut Self, T, &mut WebsocketContext<Self>) + 'static,
    ) {
        self.waiting = true;
        let outbox = self.outbox.clone();
        let work = async move {
            tokio::pin!(work);
            loop {
                match tokio::time::timeout(HOLD_MOST, &mut work).await {
                    Ok(done) => return done,
                    // It is us who do not listen.
                    Err(_) => outbox.heard(),
                }
            }
        };
        let done = work.into_actor(self).map(|done, session: &mut Self, ctx| {
            session.waiting = false;
            // It is us who did not listen.
            session.outbox.heard();
            then(session, done, ctx);
            session.work_off(ctx);
            session.pump(ctx);
        });
        ctx.wait(done);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        for entry in self.protocol.take_subscriptions() {
            self.leave(&entry);
        }
        self.context.metrics.ended(&self.outbox);
        let Some(who) = self.who.take() else { return };
        tracing::debug!(session.id = self.outbox.session(), user.id = %who.user,
            code = self.outbox.close_code(), "a session ends");
        let was_there = self.context.registry.leave(&who.user, self.outbox.session());
        if was_there && !who.anonymous {
            self.context.seen.note(&who.user);
        }
        self.context.metrics.sessions.dec();
        self.told.set(Told::Gone);
        let (context, session) = (self.context.clone(), self.outbox.session());
        if actix::System::is_registered() && actix::Arbiter::try_current().is_some() {
            actix::spawn(async move {
                if let Err(error) = context.presence.left(&who.user, &context.run, session).await {
                    tracing::warn!(session.id = session, %error,
                        "presence was not told of a departure");
                }
            });
        }
    }
}

/// Up to a tenth longer, so that many who are refused together do not come back together.
fn jittered(span: Duration) -> Duration {
    span.mul_f64(1.0 + rand::random::<f64>() / 10.0)
}
