//! `PersistMessages` over a real database and a real broker.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step is a failed test")]

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use moim_shared::broker::memory::{Bounds, MemoryBroker};
use moim_shared::broker::{Batch, Broker, Feed, MembersChanged, Placed, Published};
use moim_shared::envelope::Envelope;
use moim_shared::ids::{NodeId, OriginId, RoomId, UserId};
use moim_shared::position::Position;
use moim_shared::queue::Queue;
use moim_shared::queue::memory::MemoryQueue;
use moim_shared::signal::Signal;
use moim_shared::store::Store;
use moim_shared::store::sqlite::SqliteStore;
use moim_worker::jobs::PersistMessages;
use moim_worker::runner::{self, Job, Options};
use tempfile::TempDir;

struct Told(Mutex<Sender<Published>>);

impl Feed for Told {
    fn published(&self, published: Published) {
        self.0.lock().unwrap().send(published).unwrap();
    }

    fn members_changed(&self, _: &RoomId, _: MembersChanged) {}

    fn signalled(&self, _: Signal) {}

    fn missed(&self, _: &RoomId) {}

    fn missed_signals(&self) {}
}

struct Rig {
    store: Arc<dyn Store>,
    broker: Arc<MemoryBroker>,
    told: Receiver<Published>,
    job: Arc<PersistMessages>,
    _dir: TempDir,
}

impl Rig {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> =
            Arc::new(SqliteStore::open(&dir.path().join("moim.db")).unwrap());
        let (tell, told) = channel();
        let bounds = Bounds {
            keep: 1_000,
            keep_bytes: 1 << 20,
            names: 100,
            names_age: Duration::from_secs(3_600),
        };
        let broker =
            Arc::new(MemoryBroker::new(store.clone(), Arc::new(Told(Mutex::new(tell))), bounds));
        let queue = Arc::new(MemoryQueue::new(1 << 20));
        let job = Arc::new(PersistMessages::new(store.clone(), broker.clone(), queue));
        Self { store, broker, told, job, _dir: dir }
    }

    async fn place(&self, id: &str, name: Option<&str>, body: &str) -> Arc<Envelope> {
        let head = self.broker.open(&room(id)).await.unwrap();
        let batch = Batch {
            room: room(id),
            epoch: head.epoch,
            members: head.members,
            speaker: Batch::next_number(),
            number: Batch::next_number(),
            name_all: false,
            envelopes: vec![envelope(id, name, body)],
        };
        match self.broker.append(batch).await.unwrap().remove(0) {
            Placed::New(envelope) => envelope,
            other => panic!("{other:?}"),
        }
    }

    async fn rows(&self, id: &str) -> Vec<Arc<Envelope>> {
        let page = self.store.history(&room(id), Position::ZERO, 10_000, 1 << 30).await.unwrap();
        page.envelopes
    }

    /// What the broker made visible since the last call.
    fn told(&self, id: &str) -> Vec<Arc<Envelope>> {
        let told = self.told.try_iter().filter(|published| published.room == room(id));
        told.flat_map(|published| published.envelopes.to_vec()).collect()
    }
}

/// What tells messages apart: a row does not keep the name that a node made.
fn seen(envelopes: &[Arc<Envelope>]) -> Vec<(Position, &[u8])> {
    envelopes.iter().map(|envelope| (envelope.position, &*envelope.body)).collect()
}

fn room(id: &str) -> RoomId {
    RoomId::parse(id).unwrap()
}

fn envelope(id: &str, name: Option<&str>, body: &str) -> Envelope {
    let made = || OriginId::made_by(&NodeId::random());
    Envelope {
        room: room(id),
        position: Position::ZERO,
        origin: name.map_or_else(made, |name| OriginId::parse(name).unwrap()),
        sender: UserId::parse("mina").unwrap(),
        sender_name: None,
        sent_at: moim_shared::clock::now_ms(),
        content_type: None,
        binary: false,
        headers: Vec::new(),
        body: body.to_owned().into(),
    }
}

#[actix_rt::test]
async fn rows_are_there_and_then_the_broker_knows() {
    let rig = Rig::new();
    let batch = [
        rig.place("r", None, "1").await,
        rig.place("s", None, "2").await,
        rig.place("r", None, "3").await,
    ];
    assert!(rig.told("r").is_empty());
    rig.job.run(&batch).await.unwrap();
    let in_r = [batch[0].clone(), batch[2].clone()];
    assert_eq!(seen(&rig.rows("r").await), seen(&in_r));
    assert_eq!(seen(&rig.rows("s").await), seen(&batch[1..2]));
    let told: Vec<Published> = rig.told.try_iter().collect();
    assert_eq!(told.len(), 2, "each room once");
    let told_r = told.iter().find(|published| published.room == room("r")).unwrap();
    assert_eq!(*told_r.envelopes, in_r);
}

#[actix_rt::test]
async fn the_same_delivery_twice_changes_nothing() {
    let rig = Rig::new();
    let batch = [rig.place("r", Some("a"), "1").await, rig.place("r", None, "2").await];
    for _ in 0..2 {
        rig.job.run(&batch).await.unwrap();
    }
    assert_eq!(seen(&rig.rows("r").await), seen(&batch));
    assert_eq!(rig.told("r"), batch, "shown once");
}

#[actix_rt::test]
async fn a_name_that_the_broker_forgot_is_stored_as_a_mark_and_not_shown() {
    let rig = Rig::new();
    let first = rig.place("r", Some("a"), "1").await;
    rig.job.run(std::slice::from_ref(&first)).await.unwrap();
    rig.broker.lose(&room("r"));
    let again = rig.place("r", Some("a"), "1").await;
    let other = rig.place("r", None, "2").await;
    rig.job.run(&[again, other.clone()]).await.unwrap();
    assert_eq!(seen(&rig.rows("r").await), seen(&[first.clone(), other.clone()]));
    assert_eq!(rig.told("r"), [first, other]);
}

#[actix_rt::test]
async fn the_order_of_a_room_is_kept_whatever_lane_is_quicker() {
    const EACH: usize = 60;
    let rig = Rig::new();
    let queue = Arc::new(MemoryQueue::new(1 << 20));
    let options = Options { lanes: 3, batch: 5, ..Options::default() };
    let running = runner::start(rig.job.clone(), queue.clone(), options);
    let mut confirms = Vec::new();
    let mut placed = (Vec::new(), Vec::new());
    for n in 0..EACH {
        for (id, all) in [("r", &mut placed.0), ("s", &mut placed.1)] {
            let envelope = rig.place(id, None, &n.to_string()).await;
            all.push(envelope.clone());
            let queue = queue.clone();
            confirms.push(tokio::spawn(async move { queue.publish(vec![envelope]).await }));
        }
    }
    for confirm in confirms {
        let confirmed = tokio::time::timeout(Duration::from_secs(10), confirm).await;
        assert_eq!(confirmed.unwrap().unwrap(), Ok(()));
    }
    queue.close();
    assert!(running.ended(Duration::from_secs(10)).await);
    assert_eq!(queue.bytes(), 0, "nothing is left in the queue");
    let told: Vec<Published> = rig.told.try_iter().collect();
    for (id, all) in [("r", placed.0), ("s", placed.1)] {
        let shown: Vec<_> = told
            .iter()
            .filter(|published| published.room == room(id))
            .flat_map(|published| published.envelopes.to_vec())
            .collect();
        assert_eq!(shown, all);
        assert_eq!(seen(&rig.rows(id).await), seen(&all));
    }
}
