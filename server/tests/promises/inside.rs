//! A node inside of the test: the server's own parts over a broker and a store that fail as asked.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use actix_web::web;
use moim_server::http::{self, Listener, Routes, Serving, Trust};
use moim_server::hub::Hub;
use moim_server::inbox::Inboxes;
use moim_server::metrics::Metrics;
use moim_server::nodes::Nodes;
use moim_server::outbox;
use moim_server::reaper::Reaper;
use moim_server::registry::Registry;
use moim_server::relay::Relay;
use moim_server::room::{Bounds, Cursors, History, Place, RoomContext};
use moim_server::seen::LastSeen;
use moim_server::session::{Destinations, SessionContext};
use moim_server::token::Verifier;
use moim_server::topics::Topics;
use moim_shared::BoxFuture;
use moim_shared::broker::memory::{self, MemoryBroker};
use moim_shared::broker::{
    Batch, Broker, BrokerError, Durable, Feed, Head, LogPage, LogTail, MembersChanged, Placed,
    Published,
};
use moim_shared::clock::now_ms;
use moim_shared::config::{Auth, Limits, Origins, Secret};
use moim_shared::envelope::Envelope;
use moim_shared::health::Health;
use moim_shared::ids::{NodeId, RoomId, UserId};
use moim_shared::position::Position;
use moim_shared::presence::memory::MemoryPresence;
use moim_shared::queue::Queue;
use moim_shared::queue::memory::MemoryQueue;
use moim_shared::signal::{Channel, Signal};
use moim_shared::store::inbox::{Changes, Entry, Inbox, Token};
use moim_shared::store::sqlite::SqliteStore;
use moim_shared::store::{
    Access, Epoch, Expired, HistoryPage, KnownName, Load, Store, StoreError, Stored,
};
use moim_worker::jobs::PersistMessages;
use moim_worker::runner;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tempfile::TempDir;
use tokio::sync::{Semaphore, oneshot};

use crate::support::{Client, Open, SECRET, token};

/// How often each of these still panics, on the thread of the room that calls it.
#[derive(Default)]
pub struct Panics {
    /// Before the batch has places.
    pub append: AtomicU32,
    /// When the batch has places that nobody was told of.
    pub appended: AtomicU32,
    pub read: AtomicU32,
}

fn trip(left: &AtomicU32, what: &str) {
    let one_less = |left: u32| left.checked_sub(1);
    let tripped = left.try_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok();
    assert!(!tripped, "as asked, in {what}");
}

struct PanickingBroker {
    broker: MemoryBroker,
    panics: Arc<Panics>,
}

impl Broker for PanickingBroker {
    fn open<'a>(&'a self, room: &'a RoomId) -> BoxFuture<'a, Result<Head, BrokerError>> {
        self.broker.open(room)
    }

    fn close(&self, room: &RoomId) {
        self.broker.close(room);
    }

    fn append(&self, batch: Batch) -> BoxFuture<'_, Result<Vec<Placed>, BrokerError>> {
        Box::pin(async {
            trip(&self.panics.append, "append");
            let placed = self.broker.append(batch).await;
            trip(&self.panics.appended, "append, when it was done");
            placed
        })
    }

    fn read<'a>(
        &'a self,
        room: &'a RoomId,
        after: Position,
        bytes: usize,
    ) -> BoxFuture<'a, Result<LogPage, BrokerError>> {
        Box::pin(async move {
            trip(&self.panics.read, "read");
            self.broker.read(room, after, bytes).await
        })
    }

    fn head<'a>(&'a self, room: &'a RoomId) -> BoxFuture<'a, Result<Position, BrokerError>> {
        self.broker.head(room)
    }

    fn read_back<'a>(
        &'a self,
        room: &'a RoomId,
        before: Option<Position>,
        limit: usize,
        bytes: usize,
    ) -> BoxFuture<'a, Result<LogTail, BrokerError>> {
        self.broker.read_back(room, before, limit, bytes)
    }

    fn unconfirmed<'a>(
        &'a self,
        room: &'a RoomId,
    ) -> BoxFuture<'a, Result<Vec<Arc<Envelope>>, BrokerError>> {
        self.broker.unconfirmed(room)
    }

    fn signal(&self, signal: Signal) -> BoxFuture<'_, Result<(), BrokerError>> {
        self.broker.signal(signal)
    }

    fn listen<'a>(&'a self, channel: &'a Channel) -> BoxFuture<'a, Result<(), BrokerError>> {
        self.broker.listen(channel)
    }

    fn ignore(&self, channel: &Channel) {
        self.broker.ignore(channel);
    }

    fn mark_durable<'a>(
        &'a self,
        room: &'a RoomId,
        durable: &'a [Durable],
    ) -> BoxFuture<'a, Result<(), BrokerError>> {
        self.broker.mark_durable(room, durable)
    }

    fn members_changed<'a>(
        &'a self,
        room: &'a RoomId,
        users: &'a [UserId],
    ) -> BoxFuture<'a, Result<u64, BrokerError>> {
        self.broker.members_changed(room, users)
    }
}

/// Loses some of what it is to tell, without a word.
struct LossyFeed {
    relay: Arc<Relay>,
    lost: Arc<Loss>,
}

impl Feed for LossyFeed {
    fn published(&self, published: Published) {
        let Loss { percent, chance, count, .. } = &*self.lost;
        if chance.lock().unwrap().random_ratio(percent.load(Ordering::SeqCst), 100) {
            count.fetch_add(1, Ordering::SeqCst);
        } else {
            self.relay.published(published);
        }
    }

    fn members_changed(&self, room: &RoomId, changed: MembersChanged) {
        self.relay.members_changed(room, changed);
    }

    fn signalled(&self, signal: Signal) {
        let hint = matches!(signal, Signal::Inbox(_) | Signal::Own(..));
        if hint && self.lost.hints.load(Ordering::SeqCst) {
            self.lost.count.fetch_add(1, Ordering::SeqCst);
            return;
        }
        self.relay.signalled(signal);
    }

    fn missed(&self, room: &RoomId) {
        self.relay.missed(room);
    }

    fn missed_signals(&self) {
        self.relay.missed_signals();
    }
}

/// How much of what the broker publishes is lost on its way to the rooms.
pub struct Loss {
    pub percent: AtomicU32,
    pub chance: Mutex<StdRng>,
    /// Whether hints for inboxes are lost.
    pub hints: AtomicBool,
    /// So many were lost.
    pub count: AtomicU32,
}

/// Answers `before_last` only when it may.
struct SlowStore {
    store: Arc<SqliteStore>,
    before_last: Arc<Semaphore>,
}

impl Store for SlowStore {
    fn loads(&self) -> Vec<Load> {
        self.store.loads()
    }

    fn insert(
        &self,
        envelopes: Vec<Arc<Envelope>>,
    ) -> BoxFuture<'_, Result<Vec<Stored>, StoreError>> {
        self.store.insert(envelopes)
    }

    fn history<'a>(
        &'a self,
        room: &'a RoomId,
        after: Position,
        limit: usize,
        bytes: usize,
    ) -> BoxFuture<'a, Result<HistoryPage, StoreError>> {
        self.store.history(room, after, limit, bytes)
    }

    fn history_back<'a>(
        &'a self,
        room: &'a RoomId,
        before: Option<Position>,
        limit: usize,
        bytes: usize,
    ) -> BoxFuture<'a, Result<HistoryPage, StoreError>> {
        self.store.history_back(room, before, limit, bytes)
    }

    fn before_last<'a>(
        &'a self,
        room: &'a RoomId,
        count: usize,
    ) -> BoxFuture<'a, Result<Position, StoreError>> {
        Box::pin(async move {
            let _may = self.before_last.acquire().await;
            self.store.before_last(room, count).await
        })
    }

    fn head<'a>(&'a self, room: &'a RoomId) -> BoxFuture<'a, Result<Option<Position>, StoreError>> {
        self.store.head(room)
    }

    fn names<'a>(
        &'a self,
        room: &'a RoomId,
        count: usize,
        since: u64,
    ) -> BoxFuture<'a, Result<Vec<KnownName>, StoreError>> {
        self.store.names(room, count, since)
    }

    fn epochs<'a>(&'a self, room: &'a RoomId) -> BoxFuture<'a, Result<Vec<Epoch>, StoreError>> {
        self.store.epochs(room)
    }

    fn begin_epochs<'a>(
        &'a self,
        epochs: &'a [(RoomId, u64)],
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.store.begin_epochs(epochs)
    }

    fn expire<'a>(
        &'a self,
        after: Option<&'a RoomId>,
        before: u64,
        rows: usize,
    ) -> BoxFuture<'a, Result<Expired, StoreError>> {
        self.store.expire(after, before, rows)
    }

    fn access<'a>(
        &'a self,
        room: &'a RoomId,
        user: &'a UserId,
    ) -> BoxFuture<'a, Result<Access, StoreError>> {
        self.store.access(room, user)
    }

    fn accesses<'a>(
        &'a self,
        room: &'a RoomId,
        users: &'a [UserId],
    ) -> BoxFuture<'a, Result<Vec<Access>, StoreError>> {
        self.store.accesses(room, users)
    }

    fn admit<'a>(
        &'a self,
        room: &'a RoomId,
        user: &'a UserId,
        name: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Access, StoreError>> {
        self.store.admit(room, user, name)
    }

    fn ping(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        self.store.ping()
    }
}

/// What is wrong with inboxes in the database.
pub struct InboxFaults {
    /// Permits for `inbox_rooms`; many, until a test takes them.
    pub rooms: Arc<Semaphore>,
    /// Nobody knows any more what changed since some time, as when the clock jumped.
    pub forgets: AtomicBool,
}

struct FaultyInbox {
    store: Arc<SqliteStore>,
    faults: Arc<InboxFaults>,
}

impl Inbox for FaultyInbox {
    fn inbox_rooms<'a>(
        &'a self,
        user: &'a UserId,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<RoomId>, StoreError>> {
        Box::pin(async move {
            let _may = self.faults.rooms.acquire().await;
            self.store.inbox_rooms(user, limit).await
        })
    }

    fn inbox_changes<'a>(
        &'a self,
        user: &'a UserId,
        since: Option<Token>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Changes, StoreError>> {
        Box::pin(async move {
            let mut changes = self.store.inbox_changes(user, since, limit).await?;
            changes.recovered &= !self.faults.forgets.load(Ordering::SeqCst);
            Ok(changes)
        })
    }

    fn inbox_entries(
        &self,
        pairs: Vec<(UserId, RoomId)>,
    ) -> BoxFuture<'_, Result<Vec<Entry>, StoreError>> {
        self.store.inbox_entries(pairs)
    }

    fn inbox_forget(&self, before: u64, most: usize) -> BoxFuture<'_, Result<usize, StoreError>> {
        self.store.inbox_forget(before, most)
    }
}

/// See the module. Ends with its owner.
pub struct Node {
    address: SocketAddr,
    pub panics: Arc<Panics>,
    /// Permits for `before_last`; many, until a test takes them.
    pub before_last: Arc<Semaphore>,
    pub inbox: Arc<InboxFaults>,
    pub lost: Arc<Loss>,
    pub relay: Arc<Relay>,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Node {
    pub fn start(limits: Limits) -> Self {
        let panics = Arc::new(Panics::default());
        let before_last = Arc::new(Semaphore::new(1_000));
        let inbox = Arc::new(InboxFaults {
            rooms: Arc::new(Semaphore::new(1_000)),
            forgets: AtomicBool::new(false),
        });
        let lost = Arc::new(Loss {
            percent: AtomicU32::new(0),
            chance: Mutex::new(StdRng::seed_from_u64(0)),
            hints: AtomicBool::new(false),
            count: AtomicU32::new(0),
        });
        let (end, ends) = oneshot::channel();
        let (tell, told) = std::sync::mpsc::channel();
        let relay = Arc::new(Relay::default());
        let faults = (before_last.clone(), inbox.clone());
        let node = (panics.clone(), faults, lost.clone(), relay.clone());
        let thread = std::thread::spawn(move || {
            let serving = serve(limits, node, move |address| tell.send(address).unwrap(), ends);
            actix_rt::System::new().block_on(serving);
        });
        let address = told.recv().unwrap();
        Self {
            address,
            panics,
            before_last,
            inbox,
            lost,
            relay,
            end: Some(end),
            thread: Some(thread),
        }
    }

    pub async fn connect(&self, user: &str) -> Client {
        let mut client = Open::at(self.address).open().await;
        client.log_in("1.2", &token(user)).await;
        client
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.end.take().unwrap().send(());
        let ended = self.thread.take().unwrap().join();
        assert!(std::thread::panicking() || ended.is_ok());
    }
}

type Parts = (Arc<Panics>, (Arc<Semaphore>, Arc<InboxFaults>), Arc<Loss>, Arc<Relay>);

async fn serve(
    limits: Limits,
    (panics, (before_last, faults), lost, relay): Parts,
    listens: impl FnOnce(SocketAddr),
    ends: oneshot::Receiver<()>,
) {
    let data = TempDir::new().unwrap();
    let database = Arc::new(SqliteStore::open(&data.path().join("moim.db")).unwrap());
    let metrics = Arc::new(Metrics::new());
    let store = Arc::new(SlowStore { store: database.clone(), before_last });
    let feed = Arc::new(LossyFeed { relay: relay.clone(), lost });
    let bounds = memory::Bounds {
        keep: limits.hot_log_keep,
        keep_bytes: limits.hot_log_bytes.get(),
        names: limits.names_max,
        names_age: limits.names_age.get(),
    };
    let broker = MemoryBroker::new(store.clone(), feed, bounds);
    let broker = Arc::new(PanickingBroker { broker, panics });
    let queue = Arc::new(MemoryQueue::new(limits.queue_max_bytes.get()));
    let job = Arc::new(PersistMessages::new(store.clone(), broker.clone(), queue.clone()));
    let persist = runner::start(job, queue.clone(), runner::Options::default());
    let (run, lease) = (NodeId::random(), Duration::from_secs(10));
    let presence = Arc::new(MemoryPresence::new(lease));
    let rooms = Arc::new(RoomContext {
        history: History { broker: broker.clone(), store: store.clone() },
        queue: queue.clone(),
        bounds: Bounds {
            batch_bytes: 1 << 20,
            batch: 1_024,
            page_bytes: 256 << 10,
            log_max: 100_000,
        },
        idle: limits.room_idle.get(),
        metrics: metrics.clone(),
        nodes: Arc::new(Nodes::new(presence.clone(), run.clone(), lease)),
        place: Place {
            run: run.clone(),
            alone: true,
            grace: Duration::from_secs(5),
            clock: (Instant::now(), now_ms()),
        },
    });
    let hub = Hub::new(
        rooms,
        limits.room_pending_bytes.get(),
        limits.node_pending_bytes.get(),
        actix_rt::Arbiter::current(),
    );
    let topics = Arc::new(Topics::default());
    let registry = Arc::new(Registry::default());
    let outbox_bytes = limits.outbox_bytes.get();
    let kept = Arc::new(FaultyInbox { store: database.clone(), faults });
    let inboxes = Inboxes::new(broker.clone(), kept, http::api::change_json, outbox_bytes);
    actix_rt::spawn(inboxes.clone().keep_listening());
    actix_rt::spawn(inboxes.clone().keep_telling());
    relay.connect(&hub, topics.clone(), registry.clone(), Arc::default(), &inboxes);
    let secret = Secret::new(SECRET).unwrap();
    let sessions = Arc::new(SessionContext {
        node: run.clone(),
        run,
        hub: hub.clone(),
        topics,
        registry,
        inboxes,
        cursors: Arc::new(Cursors::new(broker.clone(), database.clone(), database.clone())),
        seen: Arc::new(LastSeen::new(database.clone())),
        devices: database,
        broker,
        destinations: Destinations::default(),
        anonymous: false,
        presence,
        verifier: Verifier::new([&secret], &Auth::default()),
        logins: None,
        limits: (&limits).into(),
        outbox: outbox::Bounds {
            bytes: limits.outbox_bytes.get(),
            age: limits.outbox_age.get(),
            connect: limits.connect_timeout.get(),
        },
        reaper: Reaper::start(metrics.clone()).unwrap(),
        metrics: metrics.clone(),
        close_on_exp: None,
        sessions: AtomicU64::new(1),
    });
    let routes = web::Data::new(Routes {
        sessions,
        origins: Origins::default(),
        connections_max: 1_000,
        health: Arc::new(Health::default()),
        metrics,
        queue: queue.clone(),
        store,
    });
    let setup = http::Setup {
        user_timeout: limits.tcp_user_timeout.get(),
        keepalive: limits.tcp_keepalive.get(),
        message_max: limits.message_max.get(),
    };
    let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let listener = Listener {
        serving: Serving::Clients,
        routes,
        api: None,
        trust: Arc::new(Trust::default()),
        setup,
        tls: None,
    };
    let (server, address) = http::serve(anywhere, listener, 2).unwrap();
    let handle = server.handle();
    actix_rt::spawn(server);
    listens(address);
    // A test that panicked says nothing.
    let _ = ends.await;
    hub.close();
    queue.close();
    assert!(persist.ended(Duration::from_secs(10)).await);
    handle.stop(false).await;
}
