//! What a room decides, without a runtime: events in, effects out, and what clients read.

mod asks;
mod batches;
mod fanout;
mod interleavings;
mod life;
mod members;
mod people;
mod traces;

use std::sync::Arc;
use std::time::{Duration, Instant};

use moim_shared::broker::{Batch, Head, MembersChanged, Placed, Published};
use moim_shared::envelope::Envelope;
use moim_shared::ids::{NodeId, OriginId, RoomId, UserId};
use moim_shared::position::Position;
use moim_shared::queue::{Pressure, QueueError};
use moim_shared::store::Access;

use super::Gate;
use super::access::Identity;
use super::history::Page;
use super::join::{Join, Start, Survivor};
use super::post::{Commit, Post, Reply};
use super::state::{Ask, Bounds, Effect, Look, Place, State};
use crate::metrics::Metrics;
use crate::outbox::tests::BOUNDS as OUTBOX;
use crate::outbox::tests::reader::{Frame, Read, Reader};
use crate::outbox::{AckMode, Outbox, Subscription};
use crate::stomp::Version;
use crate::token::{Grant, Proof};

const EPOCH: u64 = 1_767_225_600_000;
const BOUNDS: Bounds =
    Bounds { batch_bytes: 100_000, batch: 3, page_bytes: 100_000, log_max: 1_000 };

/// A node with no other, where who goes is gone at once.
fn place() -> Place {
    let run = NodeId::parse("one").unwrap();
    Place { run, alone: true, grace: Duration::ZERO, clock: (Instant::now(), EPOCH) }
}

fn room() -> RoomId {
    RoomId::parse("r").unwrap()
}

const fn at(seq: u64) -> Position {
    Position::new(EPOCH, seq)
}

fn head(position: Position) -> Head {
    Head { position, epoch: EPOCH, members: 0 }
}

fn identity(user: &str, grant: Grant) -> Arc<Identity> {
    Arc::new(Identity {
        user: UserId::parse(user).unwrap(),
        name: None,
        grant,
        proof: Proof::default(),
        anonymous: false,
    })
}

/// A room that is open.
fn opened(position: Position) -> State {
    let mut state = State::new(room(), BOUNDS, place(), Vec::new());
    assert!(matches!(state.start()[..], [Effect::Open { .. }]));
    assert!(state.on_opened(Ok(head(position))).is_empty());
    state
}

/// A connected client and what it reads.
struct Client {
    who: Arc<Identity>,
    outbox: Arc<Outbox>,
    reader: Reader,
    gate: Arc<Gate>,
}

impl Client {
    fn new(user: &str) -> Self {
        Self::with(user, Grant::None, OUTBOX.bytes)
    }

    fn with(user: &str, grant: Grant, bytes: usize) -> Self {
        let bounds = crate::outbox::Bounds { bytes, ..OUTBOX };
        let outbox = Arc::new(Outbox::new(1, bounds, None));
        let subscription = Subscription::new(0, None, "/q", AckMode::Auto, Version::V1_2);
        outbox.tell_errors(Some(Arc::new(subscription)));
        let reader = Reader::new(outbox.clone());
        Self { who: identity(user, grant), outbox, reader, gate: Arc::new(Gate::new(1 << 20)) }
    }

    fn reply(&self, receipt: &str, commit: Option<Arc<Commit>>) -> Reply {
        let permit = self.gate.enter(1).unwrap();
        let metrics = Arc::new(Metrics::new());
        let (outbox, began) = (self.outbox.clone(), Instant::now());
        Reply::new(outbox, Some(receipt.into()), commit, began, metrics, permit)
    }

    /// A SEND whose body and receipt are `name`.
    fn post(&self, name: &str) -> Post {
        Post {
            who: self.who.clone(),
            origin: OriginId::parse(name).unwrap(),
            sent_at: EPOCH,
            content_type: None,
            binary: false,
            headers: Vec::new(),
            body: name.to_owned().into(),
            deadline: Instant::now() + Duration::from_secs(3_600),
            unsure: false,
            reply: self.reply(name, None),
        }
    }

    fn send(&self, state: &mut State, name: &str) -> Vec<Effect> {
        state.on_ask(Ask::Post(self.post(name)))
    }

    /// A SEND of one whose membership is known already, or becomes it.
    fn send_in(&self, state: &mut State, name: &str) {
        let effects = self.send(state, name);
        self.let_in(state, effects);
    }

    fn let_in(&self, state: &mut State, effects: Vec<Effect>) -> Vec<Effect> {
        match &effects[..] {
            [Effect::Admit { who, .. }] => state.on_admitted(who, Ok(Access::Member)),
            _ => effects,
        }
    }

    fn join(&self, start: Start, receipt: Option<&str>) -> (Join, Arc<Subscription>) {
        let subscription = Arc::new(Subscription::new(
            1,
            Some("s"),
            "/topic/rooms/r",
            AckMode::Auto,
            Version::V1_2,
        ));
        let join = Join::new(
            self.who.clone(),
            self.outbox.clone(),
            subscription.clone(),
            start,
            receipt.map(Into::into),
            Instant::now() + Duration::from_secs(3_600),
        );
        (join, subscription)
    }

    /// Subscribes as a member; what is left to do comes back.
    fn subscribe(&self, state: &mut State, start: Start) -> (Vec<Effect>, Arc<Subscription>) {
        let (join, subscription) = self.join(start, Some("join"));
        let effects = state.on_ask(Ask::Join(join));
        (self.let_in(state, effects), subscription)
    }

    fn live(user: &str, state: &mut State) -> Self {
        let mut client = Self::new(user);
        let (effects, _) = client.subscribe(state, Start::Live);
        assert!(effects.is_empty());
        assert_eq!(client.reader.frame().get("recovered"), Some("true"));
        client
    }

    /// What it was shown since the last call.
    fn shown(&mut self) -> Vec<Position> {
        positions(&self.reader.frames())
    }

    /// The codes and receipts of refusals since the last call.
    fn refusals(&mut self) -> Vec<(String, String)> {
        let refusal = |frame: Frame| {
            let body: serde_json::Value = serde_json::from_slice(&frame.body).unwrap();
            let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
            (text("receipt"), text("code"))
        };
        self.reader.frames().into_iter().map(refusal).collect()
    }
}

fn positions(frames: &[Frame]) -> Vec<Position> {
    frames.iter().map(|frame| frame.get("position").unwrap().parse().unwrap()).collect()
}

fn message(position: Position) -> Arc<Envelope> {
    Arc::new(Envelope {
        room: room(),
        position,
        origin: OriginId::made_by(&NodeId::random()),
        sender: UserId::parse("mina").unwrap(),
        sender_name: None,
        sent_at: EPOCH,
        content_type: None,
        binary: false,
        headers: Vec::new(),
        body: position.to_string().into(),
    })
}

fn messages(seqs: impl IntoIterator<Item = u64>) -> Vec<Arc<Envelope>> {
    seqs.into_iter().map(|seq| message(at(seq))).collect()
}

/// The messages `first..=last`, which follow `first - 1`.
fn published(first: u64, last: u64) -> Published {
    let after = first.checked_sub(1).map_or(Position::ZERO, at);
    let envelopes = messages(first..=last).into();
    Published { room: room(), after, upto: at(last), envelopes }
}

fn page(first: u64, last: u64) -> Page {
    Page { envelopes: messages(first..=last), upto: at(last) }
}

/// The batch that the room appends now.
/// The next batch is started, if it may be.
fn start(state: &mut State, pressure: Pressure) -> Option<Effect> {
    state.start_batch(pressure, Instant::now())
}

/// The queue answered for the batch that waits longest.
fn confirmed(state: &mut State, answer: Result<(), QueueError>) -> Vec<Effect> {
    let number = state.unconfirmed().expect("a batch at the queue");
    state.on_confirmed(number, answer)
}

fn appended(effects: Vec<Effect>) -> Batch {
    let mut effects = effects.into_iter();
    match (effects.next(), effects.next()) {
        (Some(Effect::Append { batch, .. }), None) => batch,
        other => panic!("{other:?}"),
    }
}

fn next_batch(state: &mut State) -> Batch {
    appended(start(state, Pressure::Free).into_iter().collect())
}

/// The users who are asked about again, in the order of their names.
fn rechecked(effects: &[Effect]) -> Vec<UserId> {
    match effects {
        [Effect::Recheck { users, .. }] => {
            let mut users = users.clone();
            users.sort();
            users
        }
        other => panic!("{other:?}"),
    }
}

/// Memberships of these users changed; of nobody's in particular when there are none.
fn changed(version: u64, users: &[&Client]) -> MembersChanged {
    let users = users.iter().map(|client| client.who.user.clone()).collect();
    MembersChanged { version, users }
}

/// Places for all of a batch, from `first` on.
fn placed(batch: &Batch, first: u64) -> Vec<Placed> {
    let place = |(seq, envelope): (u64, &Envelope)| {
        Placed::New(Arc::new(Envelope { position: at(seq), ..envelope.clone() }))
    };
    (first..).zip(&batch.envelopes).map(place).collect()
}

fn names(batch: &Batch) -> Vec<&str> {
    batch.envelopes.iter().map(|envelope| envelope.origin.as_str()).collect()
}
