//! What a room decides. Pure: no actix, no tokio, the clock is passed in; what has to be done
//! outside comes back as [`Effect`]s, and their results come in as events.

mod asks;
mod batch;
mod fanout;
mod gathered;
mod life;
mod members;
mod people;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use moim_shared::backoff::Backoff;
use moim_shared::broker::{Batch, BrokerError, Head};
use moim_shared::envelope::Envelope;
use moim_shared::ids::{RoomId, UserId};
use moim_shared::position::Position;
use moim_shared::signal::Event;
use moim_shared::store::{Access, StoreError};

pub use self::asks::Ask;
use self::batch::{Appending, Confirming};
use self::fanout::{Filling, Subscriber};
use self::life::Life;
pub use self::life::Typing;
use self::people::People;
pub use self::people::{Place, Untold};
use super::access::Identity;
use super::join::{Join, Survivor};
use super::post::Post;
use crate::outbox::Outbox;
use crate::refusal::Refusal;

/// The numbers of a room.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Bytes of a batch, about: one batch is in flight, the next one gathers meanwhile.
    pub batch_bytes: usize,
    /// Messages of a batch.
    pub batch: usize,
    /// Bytes of a page of history, about.
    pub page_bytes: usize,
    /// Messages that a hot log holds at most; what stands farther back may be on its way to the
    /// database.
    pub log_max: u64,
}

/// What is to be done outside.
#[derive(Debug)]
pub enum Effect {
    /// Open the room at the broker, after a wait.
    Open { wait: Duration },
    /// Find out what a user may do, using the grant if its token has one, after a wait.
    Admit { who: Arc<Identity>, wait: Duration },
    /// Find out what these users may do, as of a version at least, after a wait.
    Recheck { users: Vec<UserId>, version: u64, wait: Duration },
    /// Tell all nodes.
    Signal(Event),
    /// Append, after a wait.
    Append { batch: Batch, wait: Duration },
    /// Hand to the queue, after a wait.
    Enqueue { number: u64, envelopes: Vec<Arc<Envelope>>, wait: Duration },
    /// Read on after a hole.
    Fill { after: Position },
    /// Find out where a subscription starts.
    Begin { join: Join },
    /// Read on for a subscriber, when its outbox has room.
    Replay { key: u64, after: Position, outbox: Arc<Outbox> },
}

/// When a tick has something to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// The next one has.
    Soon,
    /// One after that time.
    At(Instant),
}

/// What happened, for the numbers of the node.
#[derive(Debug, Default)]
pub struct Counts {
    /// Messages put into outboxes.
    pub delivered: u64,
    /// Those of them that are new, and when they were sent, in ms since 1970.
    pub given: Vec<(Position, u64)>,
    /// Pages of what the room was not told of, and read.
    pub holes: u64,
    /// Epochs that came after another.
    pub epochs: u64,
}

/// The state of a room on this node.
pub struct State {
    room: RoomId,
    bounds: Bounds,
    /// False until the broker said where the room stands, and while it is asked again.
    open: bool,
    /// What was told since the broker was asked may be missing from its answer.
    ask_again: bool,
    /// The last position that live subscribers were given.
    at: Position,
    epoch: u64,
    members: u64,
    /// As whom this life of the room says its batches.
    speaker: u64,
    /// Users known to be members, as of version `members`, and until when they are muted.
    access: HashMap<UserId, Option<u64>>,
    /// Users who have to be asked about again, and the version with which that came up.
    stale: HashMap<UserId, u64>,
    /// Some of them are being asked about.
    rechecking: bool,
    /// The newest version that was told while the room was not open.
    members_seen: u64,
    /// What waits for the room to open or for a user's access, in order.
    asks: VecDeque<Ask>,
    /// Users whose access is being found out, and whether it changed since it was asked.
    loading: HashMap<UserId, bool>,
    /// Subscriptions whose start is being found out.
    beginning: usize,
    /// Pages that are being read for subscribers who are behind, or were.
    replays: usize,
    pending: VecDeque<Post>,
    appending: Option<Appending>,
    confirming: VecDeque<Confirming>,
    subscribers: Vec<Subscriber>,
    life: Life,
    survivors: Vec<Survivor>,
    next_key: u64,
    /// A hole is being filled.
    filling: Option<Filling>,
    /// The newest position that was told while the room was not open.
    seen: Position,
    /// Waits of tries at broker and queue, and at the database.
    backoff: Backoff,
    asking: Backoff,
    counts: Counts,
    /// Somebody was let in.
    used: bool,
}

impl State {
    /// A room that was not opened yet, and the subscribers that it takes over.
    pub fn new(room: RoomId, bounds: Bounds, place: Place, survivors: Vec<Survivor>) -> Self {
        Self {
            life: Life::new(People::new(&room, place)),
            room,
            bounds,
            open: false,
            ask_again: false,
            at: Position::ZERO,
            epoch: 0,
            members: 0,
            speaker: Batch::next_number(),
            access: HashMap::new(),
            stale: HashMap::new(),
            rechecking: false,
            members_seen: 0,
            asks: VecDeque::new(),
            loading: HashMap::new(),
            beginning: 0,
            replays: 0,
            pending: VecDeque::new(),
            appending: None,
            confirming: VecDeque::new(),
            subscribers: Vec::new(),
            survivors,
            next_key: 0,
            filling: None,
            seen: Position::ZERO,
            backoff: Backoff::new(Duration::from_millis(20), Duration::from_secs(2)),
            asking: Backoff::new(Duration::from_millis(20), Duration::from_secs(2)),
            counts: Counts::default(),
            used: false,
        }
    }

    /// The first thing to do.
    pub fn start(&self) -> Vec<Effect> {
        vec![Effect::Open { wait: Duration::ZERO }]
    }

    /// The broker said where the room stands, or is away.
    pub fn on_opened(&mut self, opened: Result<Head, BrokerError>) -> Vec<Effect> {
        let head = match opened {
            Ok(head) => head,
            Err(error) => {
                if self.backoff.tries() == 0 {
                    tracing::warn!(room.id = %self.room, %error,
                        "room `{}` cannot be opened, trying on", self.room);
                }
                return vec![Effect::Open { wait: self.backoff.wait() }];
            }
        };
        self.backoff.reset();
        if std::mem::take(&mut self.ask_again) {
            return vec![Effect::Open { wait: Duration::ZERO }];
        }
        self.open = true;
        if self.epoch != head.epoch {
            self.counts.epochs += u64::from(self.epoch > 0);
            self.epoch = head.epoch;
            // Versions of another life are not to be compared.
            self.members = 0;
        }
        let mut effects = Vec::new();
        let members = head.members.max(std::mem::take(&mut self.members_seen));
        let inherited = !self.survivors.is_empty();
        if !self.has_live_subscribers() {
            self.at = self.at.max(head.position);
        }
        let newest = head.position.max(self.seen);
        if newest > self.at {
            effects.extend(self.fill(newest));
        }
        while let Some(survivor) = self.survivors.pop() {
            let Survivor { who, outbox, subscription, at } = survivor;
            match at {
                Some(at) => effects.extend(self.insert(who, outbox, subscription, at)),
                None => effects.extend(self.watch(who, outbox, subscription)),
            }
        }
        if inherited {
            self.life.people.say_anew();
        }
        // Nobody knows whom the life before this one still let in.
        if self.members != members || inherited {
            effects.extend(self.recheck_all(members));
        }
        for ask in std::mem::take(&mut self.asks) {
            effects.extend(self.on_ask(ask));
        }
        effects
    }

    /// The broker does not know what it could not tell: it is asked where the room stands.
    pub fn on_lost_touch(&mut self) -> Vec<Effect> {
        if !self.open {
            self.ask_again = true;
            return Vec::new();
        }
        self.open = false;
        let mut effects = self.on_events_missed();
        effects.push(Effect::Open { wait: Duration::ZERO });
        effects
    }

    /// Time went by: what was held too long is refused.
    pub fn on_tick(&mut self, now: Instant) -> Vec<Effect> {
        self.expire_asks(now);
        self.expire_posts(now);
        self.forget_ended();
        self.live_on(now)
    }

    /// Somebody left, or turned away or back.
    pub fn on_left(&mut self) -> Vec<Effect> {
        self.forget_ended();
        Vec::new()
    }

    /// When a tick has something to look at.
    pub fn next_look(&self) -> Option<Look> {
        let soon = !self.asks.is_empty()
            || !self.pending.is_empty()
            || self.appending.is_some()
            || !self.confirming.is_empty()
            || self.life.is_moving();
        if soon { Some(Look::Soon) } else { self.life.people.next_end().map(Look::At) }
    }

    /// Whether something is held that a tick must look at.
    pub fn holds_something(&self) -> bool {
        self.next_look().is_some()
    }

    /// Whether nobody needs the room.
    pub fn is_idle(&mut self) -> bool {
        self.forget_ended();
        self.subscribers.is_empty()
            && self.life.is_unwatched()
            && self.survivors.is_empty()
            && !self.holds_something()
            && self.beginning == 0
            && self.replays == 0
            && self.filling.is_none()
    }

    /// Subscribers and where they stand, for the room that is born after this one died. Whoever
    /// was on the way in is told to try again.
    pub fn survivors(&mut self) -> Vec<Survivor> {
        for ask in self.asks.drain(..) {
            ask.refuse(&Refusal::unavailable());
        }
        let mut survivors = std::mem::take(&mut self.survivors);
        survivors.extend(self.subscribers.drain(..).map(Subscriber::into_survivor));
        survivors.extend(self.life.survivors());
        survivors
    }

    /// What is to be counted since somebody took it.
    pub const fn counts(&mut self) -> &mut Counts {
        &mut self.counts
    }

    /// Whether anybody was ever let in.
    pub const fn was_used(&self) -> bool {
        self.used
    }

    /// The version of the memberships that it knows.
    pub const fn members(&self) -> u64 {
        self.members
    }

    /// Where the room stands for its live subscribers.
    pub const fn at(&self) -> Position {
        self.at
    }
}

/// What the store said of a user.
pub type Admitted = Result<Access, StoreError>;
