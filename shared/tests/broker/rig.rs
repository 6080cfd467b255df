//! What the contract needs of an adapter, and a node that uses it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use moim_shared::BoxFuture;
use moim_shared::broker::{
    Batch, Broker, BrokerError, Durable, Feed, Head, LogPage, MembersChanged, Placed, Published,
};
use moim_shared::envelope::Envelope;
use moim_shared::ids::{NodeId, OriginId, RoomId, UserId};
use moim_shared::position::Position;
use moim_shared::signal::Signal;
use moim_shared::store::{Store, Stored};
use parking_lot::Mutex;

/// What brokers of one factory keep.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Messages below the durable mark.
    pub keep: usize,
    /// Names of a room.
    pub names: usize,
    /// For how long.
    pub names_age: Duration,
}

impl Limits {
    /// More than a test needs.
    pub const PLENTY: Self =
        Self { keep: 10_000, names: 10_000, names_age: Duration::from_secs(3_600) };
}

/// Brokers over one database. A node that is made later comes after the one before.
pub trait Factory: Send + Sync {
    fn store(&self) -> Arc<dyn Store>;
    fn broker(&self, feed: Arc<dyn Feed>) -> Arc<dyn Broker>;
    /// Whether a message is visible when it has its place, or only when it is durable.
    fn shows_at_once(&self) -> bool;
    /// What the latest broker knows of the room is lost; the database is not.
    fn lose<'a>(&'a self, room: &'a RoomId) -> BoxFuture<'a, ()>;
}

/// What a node was told.
#[derive(Default)]
pub struct Heard {
    published: Mutex<Vec<Published>>,
    members: Mutex<Vec<(RoomId, u64)>>,
    signals: Mutex<Vec<Signal>>,
    missed: Mutex<Vec<RoomId>>,
    missed_signals: AtomicUsize,
}

impl Feed for Heard {
    fn published(&self, published: Published) {
        self.published.lock().push(published);
    }

    fn members_changed(&self, room: &RoomId, changed: MembersChanged) {
        self.members.lock().push((room.clone(), changed.version));
    }

    fn signalled(&self, signal: Signal) {
        self.signals.lock().push(signal);
    }

    fn missed(&self, room: &RoomId) {
        self.missed.lock().push(room.clone());
    }

    fn missed_signals(&self) {
        self.missed_signals.fetch_add(1, Ordering::SeqCst);
    }
}

/// A broker, its database, and what it told.
pub struct Node {
    pub broker: Arc<dyn Broker>,
    pub store: Arc<dyn Store>,
    heard: Arc<Heard>,
}

impl Node {
    pub fn new(factory: &dyn Factory) -> Self {
        let heard = Arc::new(Heard::default());
        Self { broker: factory.broker(heard.clone()), store: factory.store(), heard }
    }

    /// Versions of the room's memberships that it was told of.
    pub fn told_members(&self, id: &str) -> Vec<u64> {
        let heard = self.heard.members.lock();
        heard.iter().filter(|(told, _)| *told == room(id)).map(|(_, version)| *version).collect()
    }

    /// Signals that it was told.
    pub fn told_signals(&self) -> Vec<Signal> {
        self.heard.signals.lock().clone()
    }

    /// How often it was told that it may have missed signals.
    pub fn told_missed_signals(&self) -> usize {
        self.heard.missed_signals.load(Ordering::SeqCst)
    }

    /// How often it was told that it may have missed something of the room.
    pub fn told_missed(&self, id: &str) -> usize {
        self.heard.missed.lock().iter().filter(|missed| **missed == room(id)).count()
    }

    pub async fn open(&self, id: &str) -> Head {
        self.broker.open(&room(id)).await.unwrap()
    }

    /// Appends to a room that is opened for it.
    pub async fn append(&self, id: &str, envelopes: Vec<Envelope>) -> Vec<Placed> {
        let head = self.open(id).await;
        self.append_as(id, head.epoch, head.members, envelopes).await.unwrap()
    }

    /// Appends as one who believes the room to be so.
    pub async fn append_as(
        &self,
        id: &str,
        epoch: u64,
        members: u64,
        envelopes: Vec<Envelope>,
    ) -> Result<Vec<Placed>, BrokerError> {
        let batch = Batch {
            room: room(id),
            epoch,
            members,
            speaker: Batch::next_number(),
            number: Batch::next_number(),
            name_all: false,
            envelopes,
        };
        self.broker.append(batch).await
    }

    /// Appends and stores what is new, checked under that version of the memberships.
    pub async fn say_under(
        &self,
        id: &str,
        members: u64,
        envelopes: Vec<Envelope>,
    ) -> Vec<Arc<Envelope>> {
        let epoch = self.open(id).await.epoch;
        let placed = self.append_as(id, epoch, members, envelopes).await.unwrap();
        let added: Vec<_> = placed.into_iter().map(new).collect();
        self.make_durable(&added).await;
        added
    }

    /// Appends what is new.
    pub async fn add(&self, id: &str, envelopes: Vec<Envelope>) -> Vec<Arc<Envelope>> {
        self.append(id, envelopes).await.into_iter().map(new).collect()
    }

    /// Stores messages of one room and tells the broker, as a worker does.
    pub async fn make_durable(&self, envelopes: &[Arc<Envelope>]) {
        let stored = self.store.insert(envelopes.to_vec()).await.unwrap();
        let durable: Vec<Durable> = envelopes
            .iter()
            .zip(stored)
            .map(|(envelope, stored)| Durable {
                position: envelope.position,
                shown: !matches!(stored, Stored::Duplicate { .. }),
            })
            .collect();
        if let Some(first) = envelopes.first() {
            self.broker.mark_durable(&first.room, &durable).await.unwrap();
        }
    }

    /// Appends what is new and makes it durable.
    pub async fn say(&self, id: &str, envelopes: Vec<Envelope>) -> Vec<Arc<Envelope>> {
        let added = self.add(id, envelopes).await;
        self.make_durable(&added).await;
        added
    }

    pub async fn read(&self, id: &str, after: Position, bytes: usize) -> LogPage {
        self.broker.read(&room(id), after, bytes).await.unwrap()
    }

    /// What was told of a room so far.
    pub fn told(&self, id: &str) -> Vec<Published> {
        let heard = self.heard.published.lock();
        heard.iter().filter(|published| published.room == room(id)).cloned().collect()
    }

    /// What was told of a room once it was told up to `upto`. The parts are seen to be a chain.
    pub async fn hear(&self, id: &str, upto: Position) -> Vec<Arc<Envelope>> {
        eventually(|| self.told(id).last().is_some_and(|last| last.upto >= upto)).await;
        let told = self.told(id);
        for pair in told.windows(2) {
            assert_eq!(pair[0].upto, pair[1].after, "a gap or a double in what was told");
        }
        told.iter().flat_map(|published| published.envelopes.iter().cloned()).collect()
    }
}

/// Waits for something that happens by itself.
pub async fn eventually(mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !is_so() {
        assert!(Instant::now() < deadline, "it never came to be");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

pub fn room(id: &str) -> RoomId {
    RoomId::parse(id).unwrap()
}

/// A message of Mina's that has no name.
pub fn nameless(id: &str, body: &str) -> Envelope {
    Envelope {
        room: room(id),
        position: Position::ZERO,
        origin: OriginId::made_by(&NodeId::random()),
        sender: UserId::parse("mina").unwrap(),
        sender_name: None,
        sent_at: moim_shared::clock::now_ms(),
        content_type: None,
        binary: false,
        headers: Vec::new(),
        body: body.to_owned().into(),
    }
}

pub fn named(id: &str, name: &str, body: &str) -> Envelope {
    Envelope { origin: OriginId::parse(name).unwrap(), ..nameless(id, body) }
}

/// Messages `0`, `1`, ... without names.
pub fn several(id: &str, count: usize) -> Vec<Envelope> {
    (0..count).map(|n| nameless(id, &n.to_string())).collect()
}

pub fn new(placed: Placed) -> Arc<Envelope> {
    match placed {
        Placed::New(envelope) => envelope,
        other => panic!("not new: {other:?}"),
    }
}

pub fn places(envelopes: &[Arc<Envelope>]) -> Vec<Position> {
    envelopes.iter().map(|envelope| envelope.position).collect()
}
