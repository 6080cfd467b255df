//! What is the in-process broker's own: nothing is visible before it is durable.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use moim_shared::BoxFuture;
use moim_shared::broker::BrokerError;
use moim_shared::broker::memory::{Bounds, MemoryBroker};
use moim_shared::broker::{Broker, Durable, Feed};
use moim_shared::envelope::Envelope;
use moim_shared::ids::{RoomId, UserId};
use moim_shared::position::Position;
use moim_shared::store::sqlite::SqliteStore;
use moim_shared::store::{
    Access, Epoch, Expired, HistoryPage, KnownName, Load, Store, StoreError, Stored,
};
use parking_lot::Mutex;
use tempfile::TempDir;

use crate::rig::{Factory, Limits, Node, room, several};

/// In-process brokers over SQLite.
pub struct Memory {
    limits: Limits,
    store: Arc<Sealing>,
    latest: Mutex<Option<Arc<MemoryBroker>>>,
    _dir: TempDir,
}

impl Memory {
    pub fn new(limits: Limits) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let inner = SqliteStore::open(&dir.path().join("moim.db")).unwrap();
        let store = Arc::new(Sealing { inner, refuses: AtomicBool::new(false) });
        Self { limits, store, latest: Mutex::default(), _dir: dir }
    }

    /// Nothing is left outside.
    pub async fn clear(&self) {}
}

impl Factory for Memory {
    fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    fn broker(&self, feed: Arc<dyn Feed>) -> Arc<dyn Broker> {
        let Limits { keep, names, names_age } = self.limits;
        let bounds = Bounds { keep, keep_bytes: 1 << 30, names, names_age };
        let broker = Arc::new(MemoryBroker::new(self.store.clone(), feed, bounds));
        *self.latest.lock() = Some(broker.clone());
        broker
    }

    fn shows_at_once(&self) -> bool {
        false
    }

    fn lose<'a>(&'a self, room: &'a RoomId) -> BoxFuture<'a, ()> {
        self.latest.lock().as_ref().unwrap().lose(room);
        Box::pin(std::future::ready(()))
    }
}

/// A database that can be made to refuse the end of an epoch.
struct Sealing {
    inner: SqliteStore,
    refuses: AtomicBool,
}

#[tokio::test]
async fn nothing_is_visible_before_it_is_durable_and_then_in_order() {
    let factory = Memory::new(Limits::PLENTY);
    let node = Node::new(&factory);
    let added = node.add("r", several("r", 4)).await;
    let hidden = async |node: &Node| {
        assert_eq!(node.open("r").await.position, Position::ZERO);
        assert!(node.told("r").is_empty());
        assert!(node.read("r", Position::ZERO, 1 << 20).await.envelopes.is_empty());
    };
    hidden(&node).await;
    node.make_durable(&added[1..2]).await;
    node.make_durable(&added[3..]).await;
    hidden(&node).await;
    node.make_durable(&added[..1]).await;
    assert_eq!(node.hear("r", added[1].position).await, added[..2]);
    assert_eq!(node.open("r").await.position, added[1].position);
    node.make_durable(&added[2..3]).await;
    assert_eq!(node.hear("r", added[3].position).await, added);
}

#[tokio::test]
async fn a_close_drops_a_durable_log_and_no_other() {
    let factory = Memory::new(Limits::PLENTY);
    let node = Node::new(&factory);
    let head = node.open("r").await;
    let pending = node.add("r", several("r", 1)).await;
    node.broker.close(&room("r"));
    let kept = node.append_as("r", head.epoch, 0, several("r", 1)).await;
    assert!(kept.is_ok(), "what is not durable is nowhere else: {kept:?}");
    let rest = kept.unwrap().into_iter().map(crate::rig::new).collect::<Vec<_>>();
    node.make_durable(&[pending, rest].concat()).await;
    node.broker.close(&room("r"));
    let dropped = node.append_as("r", head.epoch, 0, several("r", 1)).await;
    assert_eq!(dropped.unwrap_err(), BrokerError::EpochRolled);
}

#[tokio::test]
async fn a_seal_that_the_database_refused_is_written_later() {
    let factory = Memory::new(Limits::PLENTY);
    let node = Node::new(&factory);
    let said = node.say("r", several("r", 1)).await;
    factory.lose(&room("r")).await;
    factory.store.refuses.store(true, Ordering::Relaxed);
    let next = node.add("r", several("r", 2)).await;
    node.store.insert(next.clone()).await.unwrap();
    let durable = Durable { position: next[0].position, shown: true };
    let refused = node.broker.mark_durable(&room("r"), &[durable]).await;
    assert!(refused.is_err_and(|error| error.retryable()));
    factory.store.refuses.store(false, Ordering::Relaxed);
    node.make_durable(&next[1..]).await;
    let epochs = node.store.epochs(&room("r")).await.unwrap();
    assert_eq!(epochs[0], Epoch { epoch: said[0].position.epoch, sealed: Some(0), begun: true });
}

#[tokio::test]
async fn voids_that_a_crash_left_are_never_used_again() {
    let factory = Memory::new(Limits::PLENTY);
    let before = Node::new(&factory);
    let added = before.add("r", several("r", 3)).await;
    before.store.insert(vec![added[0].clone(), added[2].clone()]).await.unwrap();
    drop(before);
    let after = Node::new(&factory);
    assert_eq!(after.open("r").await.position, added[2].position);
    let more = after.say("r", several("r", 1)).await;
    assert_eq!(more[0].position, added[2].position.next());
}

#[tokio::test]
async fn an_epoch_that_was_left_is_sealed_when_it_is_durable_to_its_end() {
    let factory = Memory::new(Limits::PLENTY);
    let node = Node::new(&factory);
    let said = node.say("r", several("r", 2)).await;
    let pending = node.add("r", several("r", 2)).await;
    factory.lose(&room("r")).await;
    let next = node.add("r", several("r", 1)).await;
    node.make_durable(&next).await;
    node.make_durable(&pending[..1]).await;
    let old = said[0].position.epoch;
    assert_eq!(sealed(&node, old).await, None, "a row of it may still come");
    node.make_durable(&pending[1..]).await;
    let heard = node.hear("r", next[0].position).await;
    assert_eq!(heard, [said, pending.clone(), next].concat(), "the old epoch comes first");
    assert_eq!(sealed(&node, old).await, Some(pending[1].position.seq));
}

async fn sealed(node: &Node, epoch: u64) -> Option<u64> {
    let epochs = node.store.epochs(&room("r")).await.unwrap();
    epochs.iter().find(|known| known.epoch == epoch).and_then(|known| known.sealed)
}

impl Store for Sealing {
    fn begin_epochs<'a>(
        &'a self,
        epochs: &'a [(RoomId, u64)],
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        if self.refuses.load(Ordering::Relaxed) {
            return Box::pin(std::future::ready(Err(StoreError::Unavailable("asked to".into()))));
        }
        self.inner.begin_epochs(epochs)
    }

    fn loads(&self) -> Vec<Load> {
        self.inner.loads()
    }

    fn insert(
        &self,
        envelopes: Vec<Arc<Envelope>>,
    ) -> BoxFuture<'_, Result<Vec<Stored>, StoreError>> {
        self.inner.insert(envelopes)
    }

    fn history<'a>(
        &'a self,
        room: &'a RoomId,
        after: Position,
        limit: usize,
        bytes: usize,
    ) -> BoxFuture<'a, Result<HistoryPage, StoreError>> {
        self.inner.history(room, after, limit, bytes)
    }

    fn history_back<'a>(
        &'a self,
        room: &'a RoomId,
        before: Option<Position>,
        limit: usize,
        bytes: usize,
    ) -> BoxFuture<'a, Result<HistoryPage, StoreError>> {
        self.inner.history_back(room, before, limit, bytes)
    }

    fn before_last<'a>(
        &'a self,
        room: &'a RoomId,
        count: usize,
    ) -> BoxFuture<'a, Result<Position, StoreError>> {
        self.inner.before_last(room, count)
    }

    fn head<'a>(&'a self, room: &'a RoomId) -> BoxFuture<'a, Result<Option<Position>, StoreError>> {
        self.inner.head(room)
    }

    fn names<'a>(
        &'a self,
        room: &'a RoomId,
        count: usize,
        since: u64,
    ) -> BoxFuture<'a, Result<Vec<KnownName>, StoreError>> {
        self.inner.names(room, count, since)
    }

    fn epochs<'a>(&'a self, room: &'a RoomId) -> BoxFuture<'a, Result<Vec<Epoch>, StoreError>> {
        self.inner.epochs(room)
    }

    fn expire<'a>(
        &'a self,
        after: Option<&'a RoomId>,
        before: u64,
        rows: usize,
    ) -> BoxFuture<'a, Result<Expired, StoreError>> {
        self.inner.expire(after, before, rows)
    }

    fn access<'a>(
        &'a self,
        room: &'a RoomId,
        user: &'a UserId,
    ) -> BoxFuture<'a, Result<Access, StoreError>> {
        self.inner.access(room, user)
    }

    fn accesses<'a>(
        &'a self,
        room: &'a RoomId,
        users: &'a [UserId],
    ) -> BoxFuture<'a, Result<Vec<Access>, StoreError>> {
        self.inner.accesses(room, users)
    }

    fn admit<'a>(
        &'a self,
        room: &'a RoomId,
        user: &'a UserId,
        name: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Access, StoreError>> {
        self.inner.admit(room, user, name)
    }

    fn ping(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        self.inner.ping()
    }
}
