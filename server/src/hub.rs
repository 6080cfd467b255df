//! The rooms of this node: finds them, makes them, and makes them again when they died.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use actix::{Actor, Addr, Arbiter, ArbiterHandle, Context, Handler, Message};
use moim_shared::ids::RoomId;
use parking_lot::RwLock;

use crate::nodes::is_deaf;
use crate::outbox::CloseReason;
use crate::room::{Ask, Gate, Missed, Notice, Owner, Room, RoomContext, Survivor};

/// A room's way in. Shared, not cloned: a cloned address starts with a free slot in the mailbox,
/// so cloning one for each message would have no bound.
pub struct Handle {
    addr: Addr<Room>,
    /// Bytes that wait in the room.
    pub gate: Arc<Gate>,
    missed: Arc<Missed>,
    life: u64,
}

/// The mailbox is full or its room is gone; here is the message back.
pub struct Undelivered(pub Box<Ask>);

impl Handle {
    /// Puts into the room's mailbox.
    pub fn ask(&self, ask: impl Into<Ask>) -> Result<(), Undelivered> {
        self.put(ask.into()).map_err(|ask| Undelivered(Box::new(ask)))
    }

    /// Tells the room; one that has no room for it finds out that it missed something.
    pub fn tell(&self, notice: Notice) {
        if let Err(notice) = self.put(notice) {
            self.missed.note(&notice);
            // The mailbox may have been emptied in between, and then nobody would look. A full one
            // has something left to be handled after this.
            let _ = self.put(Notice::Left);
        }
    }

    fn put<M>(&self, message: M) -> Result<(), M>
    where
        M: Message<Result = ()> + Send + 'static,
        Room: Handler<M>,
    {
        self.missed.put();
        self.addr.try_send(message).map_err(|error| {
            self.missed.taken();
            error.into_inner()
        })
    }
}

const SHARDS: usize = 16;

/// A room that died this often in a row without a quiet moment is not born again with its
/// subscribers: something that they read kills it.
const LIVES: u32 = 3;

/// A room that lives that long had its quiet moment.
const QUIET: Duration = Duration::from_secs(60);

type Shard = RwLock<HashMap<RoomId, Arc<Handle>>>;

/// See the module.
pub struct Hub {
    rooms: [Shard; SHARDS],
    hasher: RandomState,
    context: Arc<RoomContext>,
    node_gate: Arc<Gate>,
    room_pending: usize,
    lives: AtomicU64,
    deaths: RwLock<HashMap<RoomId, (u32, Instant)>>,
    /// Rooms that are born again outside of a session's thread live here.
    home: ArbiterHandle,
    closing: AtomicBool,
    me: OnceLock<Weak<Hub>>,
}

impl Hub {
    /// A hub without rooms. Bytes that wait are bounded for each room and for the node.
    pub fn new(
        context: Arc<RoomContext>,
        room_pending: usize,
        node_pending: usize,
        home: ArbiterHandle,
    ) -> Arc<Self> {
        let hub = Arc::new(Self {
            rooms: std::array::from_fn(|_| Shard::default()),
            hasher: RandomState::new(),
            context,
            node_gate: Arc::new(Gate::new(node_pending)),
            room_pending,
            lives: AtomicU64::new(0),
            deaths: RwLock::default(),
            home,
            closing: AtomicBool::new(false),
            me: OnceLock::new(),
        });
        // Set once, right here.
        let _ = hub.me.set(Arc::downgrade(&hub));
        hub
    }

    /// The room, made on the calling session's thread when this node does not have it yet: where
    /// its first user is, so that most of its work needs no other thread.
    pub fn room(&self, id: &RoomId) -> Option<Arc<Handle>> {
        if let Some(handle) = self.find(id) {
            return Some(handle);
        }
        let home = Arbiter::try_current().unwrap_or_else(|| self.home.clone());
        let mut shard = self.shard(id).write();
        match shard.get(id).filter(|handle| handle.addr.connected()) {
            Some(handle) => Some(handle.clone()),
            None => {
                let handle = Arc::new(self.give_birth(id, &home, Vec::new())?);
                shard.insert(id.clone(), handle.clone());
                Some(handle)
            }
        }
    }

    /// The room, if this node has it.
    pub fn find(&self, id: &RoomId) -> Option<Arc<Handle>> {
        self.shard(id).read().get(id).filter(|handle| handle.addr.connected()).cloned()
    }

    /// Other nodes live than before.
    pub fn nodes_changed(&self) {
        for shard in &self.rooms {
            let rooms: Vec<Arc<Handle>> = shard.read().values().cloned().collect();
            rooms.iter().for_each(|handle| handle.tell(Notice::Nodes));
        }
    }

    /// Whether this node alone does not hear what is said on others.
    pub fn is_deaf_alone(&self) -> bool {
        // It may hear again since that was looked at.
        self.context.nodes.is_deaf_alone() && is_deaf(&*self.context.history.broker)
    }

    /// Messages that wait in the mailboxes of all rooms.
    pub fn waiting(&self) -> usize {
        let of = |shard: &Shard| -> usize {
            shard.read().values().map(|handle| handle.missed.waiting()).sum()
        };
        self.rooms.iter().map(of).sum()
    }

    /// Bytes that wait in all rooms.
    pub fn pending_bytes(&self) -> usize {
        self.node_gate.used()
    }

    /// The process ends: who dies now is not born again.
    pub fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }

    fn shard(&self, id: &RoomId) -> &Shard {
        &self.rooms[self.hasher.hash_one(id) as usize % SHARDS]
    }

    fn give_birth(
        &self,
        id: &RoomId,
        home: &ArbiterHandle,
        survivors: Vec<Survivor>,
    ) -> Option<Handle> {
        let owner: Arc<dyn Owner> = self.me.get()?.upgrade()?;
        let life = self.lives.fetch_add(1, Ordering::Relaxed);
        let missed = Arc::new(Missed::default());
        let gate = Arc::new(Gate::inside(self.node_gate.clone(), self.room_pending));
        let room =
            Room::new(id.clone(), life, self.context.clone(), owner, missed.clone(), survivors);
        let addr = Room::start_in_arbiter(home, move |_: &mut Context<Room>| room);
        Some(Handle { addr, gate, missed, life })
    }
}

impl Owner for Hub {
    fn retire(&self, room: &RoomId, life: u64) -> bool {
        let mut shard = self.shard(room).write();
        if let Some(handle) = shard.get(room).filter(|handle| handle.life == life) {
            // A SEND is on its way in; a later one must not overtake it through a new life.
            if handle.gate.used() > 0 {
                return false;
            }
            shard.remove(room);
            // Under the lock: a new life cannot open the room before this one has closed it.
            self.context.history.broker.close(room);
            self.deaths.write().remove(room);
        }
        true
    }

    fn died(&self, room: &RoomId, life: u64, survivors: Vec<Survivor>) {
        if self.closing.load(Ordering::Relaxed) {
            return;
        }
        let deaths = {
            let mut deaths = self.deaths.write();
            let now = Instant::now();
            deaths.retain(|_, (_, last)| now.duration_since(*last) < QUIET);
            let (count, last) = deaths.entry(room.clone()).or_insert((0, now));
            (*count, *last) = (*count + 1, now);
            *count
        };
        self.context.metrics.dropped("room_died");
        tracing::error!(room.id = %room, subscribers = survivors.len(), deaths,
            "room `{room}` died and is born again");
        let survivors = if deaths > LIVES {
            for survivor in survivors {
                survivor.outbox.close(CloseReason::COME_BACK);
            }
            Vec::new()
        } else {
            survivors
        };
        let mut shard = self.shard(room).write();
        if shard.get(room).is_some_and(|handle| handle.life == life) {
            shard.remove(room);
        }
        if survivors.is_empty() {
            self.context.history.broker.close(room);
            return;
        }
        if let Some(handle) = self.give_birth(room, &self.home, survivors) {
            shard.insert(room.clone(), Arc::new(handle));
        }
    }

    fn forward(&self, room: &RoomId, ask: Ask) {
        let Some(handle) = self.room(room) else { return };
        // Dropped, a SEND answers for itself that nobody knows; a SUBSCRIBE has to be refused.
        if let Err(Undelivered(ask)) = handle.ask(ask) {
            ask.refuse(&crate::refusal::Refusal::busy());
        }
    }
}
