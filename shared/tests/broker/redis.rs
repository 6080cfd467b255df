//! What is the own of the broker in Redis, and rooms in it that share nothing with other tests.

use std::sync::Arc;
use std::time::Duration;

use moim_shared::BoxFuture;
use moim_shared::broker::redis::{Options, RedisBroker};
use moim_shared::broker::{Batch, Broker, BrokerError, Feed, Placed};
use moim_shared::envelope::Envelope;
use moim_shared::ids::RoomId;
use moim_shared::position::Position;
use moim_shared::queue::Queue;
use moim_shared::queue::memory::MemoryQueue;
use moim_shared::redis::{Links, Target};
use moim_shared::signal::{Channel, Signal};
use moim_shared::store::Store;
use moim_shared::store::sqlite::SqliteStore;
use redis::cmd;
use tempfile::TempDir;

use crate::rig::{Factory, Limits, Node, eventually, named, nameless, new, places, room, several};

#[path = "../support/services.rs"]
mod services;

const PLENTY: usize = 1 << 30;

/// Brokers in Redis under a prefix of their own, over SQLite: a database is a database.
pub struct Redis {
    pub links: Arc<Links>,
    options: Options,
    store: Arc<dyn Store>,
    _dir: TempDir,
}

impl Redis {
    pub fn new(limits: Limits) -> Self {
        let target = Target::parse(&Self::url()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(SqliteStore::open(&dir.path().join("moim.db")).unwrap());
        let options = Options {
            prefix: format!("test-{:x}", rand::random::<u64>()),
            keep: limits.keep,
            keep_bytes: 1 << 30,
            longest: 100_000,
            names: limits.names,
            names_age: limits.names_age,
            settle: Duration::from_millis(20),
            look: Duration::from_millis(100),
        };
        Self { links: Arc::new(Links::new(target).unwrap()), options, store, _dir: dir }
    }

    /// Where it is.
    pub fn url() -> String {
        services::service("MOIM_TEST_REDIS_URL")
    }

    /// Takes what is under the prefix out of Redis.
    pub async fn clear(&self) {
        let mut scan = cmd("KEYS");
        scan.arg(format!("{}*", self.options.prefix));
        let keys: Vec<String> = self.links.command("", &scan).await.unwrap();
        for key in keys {
            let _: u64 = self.links.command("", cmd("DEL").arg(key)).await.unwrap();
        }
    }

    fn key(&self, id: &str, part: &str) -> String {
        format!("{}:{{{id}}}:{part}", self.options.prefix)
    }

    /// A process that has no rooms.
    fn worker(&self) -> RedisBroker {
        RedisBroker::deaf(self.links.clone(), self.store.clone(), self.options.clone())
    }
}

impl Factory for Redis {
    fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    fn broker(&self, feed: Arc<dyn Feed>) -> Arc<dyn Broker> {
        let (links, store) = (self.links.clone(), self.store.clone());
        Arc::new(RedisBroker::new(links, store, feed, self.options.clone()).unwrap())
    }

    fn shows_at_once(&self) -> bool {
        true
    }

    /// As a replica that took over would: everything is there, and another Redis wrote it.
    fn lose<'a>(&'a self, room: &'a RoomId) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let mut other = cmd("HSET");
            other.arg(self.key(room.as_str(), "meta")).arg("run").arg("another");
            let _: u64 = self.links.command("", &other).await.unwrap();
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_is_said_again_is_placed_once() {
    let factory = Redis::new(Limits::PLENTY);
    let node = Node::new(&factory);
    let head = node.open("r").await;
    let batch = Batch {
        room: room("r"),
        epoch: head.epoch,
        members: head.members,
        speaker: Batch::next_number(),
        number: Batch::next_number(),
        name_all: false,
        envelopes: vec![nameless("r", "x"), named("r", "a", "y"), named("r", "a", "z")],
    };
    let first = node.broker.append(batch.clone()).await.unwrap();
    let again = node.broker.append(batch).await.unwrap();
    assert_eq!(format!("{first:?}"), format!("{again:?}"));
    let next = node.add("r", several("r", 1)).await;
    assert_eq!(next[0].position.seq, 2);
    node.hear("r", next[0].position).await;
    factory.clear().await;
}

/// The network held it back while the answer was waited for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_try_that_comes_in_after_a_later_batch_is_not_placed() {
    let factory = Redis::new(Limits::PLENTY);
    let node = Node::new(&factory);
    let head = node.open("r").await;
    let speaker = Batch::next_number();
    let batch = |body: &str| Batch {
        room: room("r"),
        epoch: head.epoch,
        members: head.members,
        speaker,
        number: Batch::next_number(),
        name_all: false,
        envelopes: vec![nameless("r", body)],
    };
    let (first, second) = (batch("x"), batch("y"));
    node.broker.append(first.clone()).await.unwrap();
    node.broker.append(second).await.unwrap();
    let late = node.broker.append(first).await;
    assert!(matches!(late, Err(BrokerError::Unavailable(_))), "{late:?}");
    assert_eq!(node.open("r").await.position.seq, 1);
    factory.clear().await;
}

/// A Redis that was restarted, or took over, does not know them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scripts_that_redis_does_not_know_run_all_the_same() {
    let factory = Redis::new(Limits::PLENTY);
    let node = Node::new(&factory);
    node.add("r", several("r", 1)).await;
    let forgotten: String = factory.links.command("", cmd("SCRIPT").arg("FLUSH")).await.unwrap();
    assert_eq!(forgotten, "OK");
    let said = node.add("r", several("r", 1)).await;
    assert_eq!(said[0].position.seq, 1);
    factory.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_part_that_is_missing_ends_the_life_of_a_log() {
    let factory = Redis::new(Limits::PLENTY);
    let node = Node::new(&factory);
    let mut epoch = 0;
    for part in ["log", "names", "meta"] {
        let said = node.say("r", vec![named("r", &format!("before-{part}"), "x")]).await;
        assert!(said[0].position.epoch > epoch);
        epoch = said[0].position.epoch;
        let mut lose = cmd("DEL");
        lose.arg(factory.key("r", part));
        let _: u64 = factory.links.command("", &lose).await.unwrap();
        let refused = node.append_as("r", epoch, epoch, several("r", 1)).await;
        assert!(refused.is_err(), "{part}: {refused:?}");
        let head = node.open("r").await;
        assert!(head.epoch > epoch, "without its {part}");
        assert_eq!(head.position, said[0].position, "what was said stays in front");
    }
    factory.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_life_continues_where_the_database_ends_and_closes_what_was_before() {
    let factory = Redis::new(Limits::PLENTY);
    let node = Node::new(&factory);
    let said = node.say("r", several("r", 3)).await;
    let pending = node.add("r", several("r", 2)).await;
    factory.lose(&room("r")).await;
    let next = node.say("r", several("r", 1)).await;
    let told = node.told("r");
    assert_eq!(told.last().unwrap().after, said[2].position, "where the database ends");
    let late = node.store.insert(pending).await.unwrap();
    assert!(late.iter().all(|it| *it == moim_shared::store::Stored::Late), "{late:?}");
    let page = node.read("r", said[2].position, PLENTY).await;
    assert_eq!((page.envelopes, page.upto), (next.clone(), Some(next[0].position)));
    let short = node.read("r", said[1].position, PLENTY).await;
    assert_eq!((short.upto, short.durable), (None, next[0].position));
    factory.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_who_open_a_lost_room_at_once_one_begins_its_life() {
    let factory = Arc::new(Redis::new(Limits::PLENTY));
    let nodes: Vec<Arc<Node>> = (0..6).map(|_| Arc::new(Node::new(&*factory))).collect();
    for _ in 0..4 {
        let opening = nodes.iter().map(|node| {
            let node = node.clone();
            tokio::spawn(async move { node.open("r").await })
        });
        let mut heads = Vec::new();
        for opened in opening.collect::<Vec<_>>() {
            heads.push(opened.await.unwrap());
        }
        assert!(heads.windows(2).all(|pair| pair[0] == pair[1]), "{heads:?}");
        nodes[0].say("r", several("r", 2)).await;
        factory.lose(&room("r")).await;
    }
    factory.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_nodes_at_full_speed_get_and_hear_one_order() {
    const NODES: usize = 8;
    const BATCHES: usize = 40;
    let factory = Redis::new(Limits::PLENTY);
    let nodes: Vec<Arc<Node>> = (0..NODES).map(|_| Arc::new(Node::new(&factory))).collect();
    let head = nodes[0].open("r").await;
    for node in &nodes {
        node.open("r").await;
    }
    let speakers = nodes.iter().enumerate().map(|(speaker, node)| {
        let node = node.clone();
        tokio::spawn(async move {
            let mut mine = Vec::new();
            for batch in 0..BATCHES {
                let envelopes = (0..=batch % 5)
                    .map(|n| nameless("r", &format!("{speaker}-{batch}-{n}")))
                    .collect();
                let placed =
                    node.append_as("r", head.epoch, head.members, envelopes).await.unwrap();
                mine.extend(placed.into_iter().map(new));
            }
            mine
        })
    });
    let mut all = Vec::new();
    for speaker in speakers.collect::<Vec<_>>() {
        let mine = speaker.await.unwrap();
        assert!(places(&mine).is_sorted());
        all.extend(mine);
    }
    all.sort_by_key(|envelope| envelope.position);
    let seqs: Vec<u64> = all.iter().map(|envelope| envelope.position.seq).collect();
    assert_eq!(seqs, (0..all.len() as u64).collect::<Vec<_>>(), "dense, none twice");
    let last = all.last().unwrap().position;
    for node in &nodes {
        assert_eq!(node.hear("r", last).await, all);
    }
    factory.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_node_says_is_heard_by_those_who_listen_and_no_others() {
    let factory = Redis::new(Limits::PLENTY);
    let (one, two, three) = (Node::new(&factory), Node::new(&factory), Node::new(&factory));
    two.broker.listen(&Channel::Nodes).await.unwrap();
    for node in [&one, &two] {
        node.open("r").await;
    }
    let version = one.broker.members_changed(&room("r"), &[]).await.unwrap();
    let event = Signal::Event(room("r"), moim_shared::signal::Event::Changed);
    one.broker.signal(event.clone()).await.unwrap();
    let said = one.say_under("r", version, several("r", 2)).await;
    for node in [&one, &two] {
        assert_eq!(node.hear("r", said[1].position).await, said);
        eventually(|| node.told_members("r") == [version]).await;
        eventually(|| node.told_signals() == [event.clone()]).await;
    }
    assert!(three.told("r").is_empty() && three.told_signals().is_empty());
    factory.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_not_told_finds_out_by_the_head() {
    let factory = Redis::new(Limits::PLENTY);
    let node = Node::new(&factory);
    let head = node.open("r").await;
    // A message that no channel told of.
    let mut add = cmd("XADD");
    add.arg(factory.key("r", "log")).arg(format!("{}-0", head.epoch)).arg("e");
    add.arg(moim_shared::wire::encode(&nameless("r", "x")));
    let _: String = factory.links.command("", &add).await.unwrap();
    let mut next = cmd("HSET");
    next.arg(factory.key("r", "meta")).arg("next").arg(1);
    let _: u64 = factory.links.command("", &next).await.unwrap();
    eventually(|| node.told_missed("r") > 0).await;
    assert_eq!(node.open("r").await.position, Position::new(head.epoch, 0));
    factory.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_is_bounded_also_while_nothing_becomes_durable() {
    let mut factory = Redis::new(Limits::PLENTY);
    factory.options.longest = 5;
    let node = Node::new(&factory);
    let added = node.add("r", several("r", 8)).await;
    let page = node.read("r", Position::ZERO, PLENTY).await;
    assert_eq!((page.upto, page.durable, page.base), (None, Position::ZERO, added[2].position));
    node.make_durable(&added[..6]).await;
    let page = node.read("r", Position::ZERO, PLENTY).await;
    assert_eq!((page.upto, page.durable), (None, added[5].position), "the database has it now");
    assert_eq!(node.read("r", added[5].position, PLENTY).await.envelopes, added[6..]);
    factory.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_have_been_forgotten_is_queued_again() {
    let factory = Redis::new(Limits::PLENTY);
    let node = Node::new(&factory);
    let said = node.add("r", several("r", 3)).await;
    node.make_durable(&said[1..2]).await;
    let other = node.add("s", several("s", 1)).await;
    let worker = factory.worker();
    let day = Duration::from_secs(86_400);
    assert_eq!(sweep(&worker, day, day).await, (Vec::new(), 0), "too young");
    let (queued, _) = sweep(&worker, Duration::ZERO, day).await;
    assert_eq!(queued, [said[0].clone(), said[2].clone(), other[0].clone()]);
    node.make_durable(&[said[0].clone(), said[2].clone()]).await;
    node.make_durable(&other).await;
    assert_eq!(sweep(&worker, Duration::ZERO, day).await, (Vec::new(), 0));
    factory.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_lost_life_left_is_queued_again_once() {
    let factory = Redis::new(Limits::PLENTY);
    let node = Node::new(&factory);
    let said = node.say("r", several("r", 2)).await;
    let left = node.add("r", several("r", 2)).await;
    factory.lose(&room("r")).await;
    node.open("r").await;
    let (worker, day) = (factory.worker(), Duration::from_secs(86_400));
    let (queued, _) = sweep(&worker, day, day).await;
    assert_eq!(queued, left, "what was durable ({}) is not", said.len());
    assert_eq!(sweep(&worker, day, day).await, (Vec::new(), 0));
    factory.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_nobody_uses_is_dropped_when_all_of_it_is_durable_and_the_room_goes_on() {
    let factory = Redis::new(Limits::PLENTY);
    let node = Node::new(&factory);
    let said = node.say("r", vec![named("r", "a", "x"), nameless("r", "y")]).await;
    let pending = node.add("s", several("s", 1)).await;
    let (worker, day) = (factory.worker(), Duration::from_secs(86_400));
    assert_eq!(sweep(&worker, day, Duration::ZERO).await, (Vec::new(), 0), "a node listens");
    for id in ["r", "s"] {
        node.broker.close(&room(id));
    }
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    let mut dropped = 0;
    while dropped == 0 {
        assert!(std::time::Instant::now() < deadline, "it is never dropped");
        dropped = sweep(&worker, day, Duration::ZERO).await.1;
    }
    assert_eq!(dropped, 1);
    assert_eq!(node.open("s").await.epoch, pending[0].position.epoch);
    let head = node.open("r").await;
    assert!(head.epoch > said[0].position.epoch);
    assert_eq!(head.position, said[1].position);
    let again = node.append("r", vec![named("r", "a", "x")]).await;
    let [Placed::Duplicate { position, pending: None }] = again[..] else { panic!("{again:?}") };
    assert_eq!(position, said[0].position, "the database remembers its names");
    let next = node.say("r", several("r", 1)).await;
    assert_eq!(node.told("r").last().unwrap().after, said[1].position);
    assert_eq!(next[0].position, Position::new(head.epoch, 0));
    factory.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_all_leads_and_another_when_it_is_gone() {
    let factory = Redis::new(Limits::PLENTY);
    let (one, two) = (factory.worker(), factory.worker());
    let lease = Duration::from_millis(300);
    assert!(one.lead("x", lease).await.unwrap());
    assert!(one.lead("x", lease).await.unwrap(), "it goes on");
    assert!(!two.lead("x", lease).await.unwrap());
    assert!(two.lead("y", lease).await.unwrap(), "something else");
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while !two.lead("x", lease).await.unwrap() {
        assert!(std::time::Instant::now() < deadline, "nobody leads");
        tokio::task::yield_now().await;
    }
    factory.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_epoch_that_is_ended_is_followed_by_a_larger_one() {
    let factory = Redis::new(Limits::PLENTY);
    let node = Node::new(&factory);
    let said = node.say("r", several("r", 1)).await;
    let epoch = said[0].position.epoch;
    node.broker.end_epoch(&room("r"), epoch + 1).await.unwrap();
    assert_eq!(node.open("r").await.epoch, epoch, "that is another one");
    node.broker.end_epoch(&room("r"), epoch).await.unwrap();
    assert!(node.open("r").await.epoch > epoch);
    factory.clear().await;
}

/// Looks through all logs once. What was queued, by room and position, and how many were dropped.
async fn sweep(
    worker: &RedisBroker,
    overdue: Duration,
    idle: Duration,
) -> (Vec<Arc<Envelope>>, usize) {
    let queue = Arc::new(MemoryQueue::new(PLENTY));
    let taken = tokio::spawn({
        let queue = queue.clone();
        async move {
            let mut taken = Vec::new();
            while let Some(delivery) = queue.receive().await {
                taken.extend(delivery.envelopes().iter().cloned());
                delivery.ack();
            }
            taken
        }
    });
    let (mut cursor, mut dropped) = (Some(0), 0);
    while let Some(at) = cursor {
        let swept = worker.sweep(at, overdue, idle, &*queue).await.unwrap();
        cursor = swept.next;
        dropped += swept.dropped;
    }
    queue.close();
    let mut taken = taken.await.unwrap();
    taken.sort_by_key(|envelope| (envelope.room.clone(), envelope.position));
    (taken, dropped)
}

/// Whoever waited for the lock must not close the epoch that was begun meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_opens_a_room_at_the_same_moment_closes_no_epoch_that_lives() {
    let factory = Redis::new(Limits::PLENTY);
    let nodes: Vec<Arc<Node>> = (0..4).map(|_| Arc::new(Node::new(&factory))).collect();
    for n in 0..20 {
        let id = format!("r{n}");
        let opening: Vec<_> = nodes
            .iter()
            .map(|node| {
                let (node, id) = (node.clone(), id.clone());
                tokio::spawn(async move { node.open(&id).await.epoch })
            })
            .collect();
        for opened in opening {
            opened.await.unwrap();
        }
        let added = nodes[0].add(&id, several(&id, 1)).await;
        let stored = factory.store.insert(added).await.unwrap();
        assert_eq!(stored, [moim_shared::store::Stored::New], "in room {id}");
    }
    factory.clear().await;
}

/// A worker that dies in between says again what it said already.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_that_nodes_made_are_remembered_for_whoever_asks_for_it() {
    let factory = Redis::new(Limits::PLENTY);
    let node = Node::new(&factory);
    let head = node.open("r").await;
    let late = vec![nameless("r", "x"), nameless("r", "x")];
    let batch = || Batch {
        room: room("r"),
        epoch: head.epoch,
        members: head.members,
        speaker: Batch::next_number(),
        number: Batch::next_number(),
        name_all: true,
        envelopes: late.clone(),
    };
    let first = node.broker.append(batch()).await.unwrap();
    assert!(first.iter().all(|placed| matches!(placed, Placed::New(_))), "{first:?}");
    let again = node.broker.append(batch()).await.unwrap();
    let known = |placed: &Placed| matches!(placed, Placed::Duplicate { pending: Some(_), .. });
    assert!(again.iter().all(known), "{again:?}");
    factory.clear().await;
}

/// What the database got while the log was cut is skipped, once nothing waits for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_was_cut_goes_on_in_front_of_what_never_came() {
    let mut factory = Redis::new(Limits::PLENTY);
    factory.options.longest = 5;
    let node = Node::new(&factory);
    let added = node.add("r", several("r", 8)).await;
    node.make_durable(&added[1..]).await;
    let page = node.read("r", Position::ZERO, PLENTY).await;
    assert!(page.lacks(Position::ZERO), "the first never came");
    let day = Duration::from_secs(86_400);
    sweep(&factory.worker(), day, day).await;
    let page = node.read("r", Position::ZERO, PLENTY).await;
    assert!(!page.lacks(Position::ZERO));
    assert_eq!(page.durable, added[7].position);
    factory.clear().await;
}
