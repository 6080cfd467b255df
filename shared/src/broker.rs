//! The seam that gives a room its one order.
//!
//! A broker keeps a *hot log* per room: it hands out positions, remembers the names of sends,
//! holds what is not durable yet plus the last few hundred, and tells every node that opened the
//! room what was appended. It may be lost as a whole; [`crate::queue`] and [`crate::store`] may not.

pub mod memory;
pub mod redis;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::BoxFuture;
use crate::envelope::Envelope;
use crate::ids::{RoomId, UserId};
use crate::position::Position;
use crate::queue::Queue;
use crate::signal::{Channel, Signal};

/// Where a room stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The newest position that subscribers may see; `0-0` in a room that never had a message.
    pub position: Position,
    /// The epoch that the next position belongs to.
    pub epoch: u64,
    /// The version of the room's memberships: it grows with every change of one.
    pub members: u64,
}

/// Sends of one room that go into its order together.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The room, which this node has opened.
    pub room: RoomId,
    /// The epoch in which the node believes the room to be.
    pub epoch: u64,
    /// The version of the memberships against which the sends were checked.
    pub members: u64,
    /// Who says it: one of this process, who says one batch after the other.
    pub speaker: u64,
    /// Larger than that of any batch before it of this speaker, and the same when the batch is said
    /// again because its answer was lost: then it is not placed twice, however late the first try
    /// comes in.
    pub number: u64,
    /// Names that nodes made are remembered too: whoever says it may do so again under another
    /// number.
    pub name_all: bool,
    /// The messages in their order; their positions are not looked at.
    pub envelopes: Vec<Envelope>,
}

impl Batch {
    /// A number that no batch of this process had, nor any speaker.
    pub fn next_number() -> u64 {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        NEXT.fetch_add(1, Ordering::Relaxed)
    }
}

/// What became of one message of a batch.
#[derive(Debug, Clone)]
pub enum Placed {
    /// It has this place now; here it is with it, ready for the queue.
    New(Arc<Envelope>),
    /// The name was there before with the same body: the first one, which is queued again when it
    /// is not durable yet, and its position.
    Duplicate {
        /// Where the first one stands.
        position: Position,
        /// The first one, while it is not known to be durable.
        pending: Option<Arc<Envelope>>,
    },
    /// The name was there before with another body.
    NameReused,
}

/// Why a batch was not appended. Nothing of it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BrokerError {
    /// Another epoch has begun; open the room again.
    #[error("the room is in another epoch")]
    EpochRolled,
    /// The memberships changed since they were checked; check again under this version.
    #[error("the memberships changed")]
    MembersChanged {
        /// The version now.
        now: u64,
    },
    /// The broker, or what it needs to open a room, is away.
    #[error("the broker is away: {0}")]
    Unavailable(String),
}

impl BrokerError {
    /// Whether the same call may succeed later without anything else being done first.
    pub const fn retryable(&self) -> bool {
        match self {
            Self::Unavailable(_) => true,
            Self::EpochRolled | Self::MembersChanged { .. } => false,
        }
    }
}

/// Messages that became visible, in their order.
#[derive(Debug, Clone)]
pub struct Published {
    /// The room.
    pub room: RoomId,
    /// The head before them.
    pub after: Position,
    /// The head now. Numbers without a message (marks, voids) may stand before it.
    pub upto: Position,
    /// The messages.
    pub envelopes: Arc<[Arc<Envelope>]>,
}

/// Memberships that are not what they were.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MembersChanged {
    /// The version of the room's memberships now.
    pub version: u64,
    /// Whose changed with this version; none: perhaps anybody's.
    pub users: Arc<[UserId]>,
}

/// Where a broker tells a node what became visible in the rooms that the node has open.
///
/// Called from any thread, inside the broker's own path: it must not block, and what it cannot
/// take at once it must find again by [`Broker::read`]. Telling is at most once; the log is the
/// truth.
pub trait Feed: Send + Sync {
    /// Messages became visible.
    fn published(&self, published: Published);

    /// Memberships of an open room changed.
    fn members_changed(&self, room: &RoomId, changed: MembersChanged);

    /// Something that is told and not kept.
    fn signalled(&self, signal: Signal);

    /// Nobody knows what of the room was not told: it is to be opened again.
    fn missed(&self, room: &RoomId);

    /// Nobody knows what was signalled and not told: what signals are hints for is to be looked at.
    fn missed_signals(&self);
}

/// A part of a room's log.
#[derive(Debug, Clone, Default)]
pub struct LogPage {
    /// Messages after the asked position, in order.
    pub envelopes: Vec<Arc<Envelope>>,
    /// Everything visible up to here is in the page or in front of it; what lies behind it is to
    /// be asked for next. `None`: the log no longer reaches back to the asked position.
    pub upto: Option<Position>,
    /// Everything up to here is in the database.
    pub durable: Position,
    /// The log holds everything after this. Behind `durable`, when the log was cut while the
    /// database was away: what stands between the two is on its way there.
    pub base: Position,
}

impl LogPage {
    /// Whether something after `since` is neither in the log any more nor in the database yet.
    pub fn lacks(&self, since: Position) -> bool {
        self.upto.is_none() && self.durable < self.base && since < self.base
    }
}

/// The end of a room's log, or what stands before some position in it.
#[derive(Debug, Clone, Default)]
pub struct LogTail {
    /// Messages, in order.
    pub envelopes: Vec<Arc<Envelope>>,
    /// Everything visible after this, and before what was asked for, is in `envelopes`. `None`:
    /// the log knows nothing of that part, the database everything.
    pub after: Option<Position>,
}

/// The place of a message that reached the database, or of one that never will.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Durable {
    /// The position.
    pub position: Position,
    /// False for a duplicate's mark: the number is spent, there is nothing to show.
    pub shown: bool,
}

/// What a look through logs came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Messages that were queued again.
    pub queued: usize,
    /// Logs that were dropped.
    pub dropped: usize,
    /// Where to go on.
    pub next: Option<u64>,
}

/// Why a process is not told what it has to be told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unheard {
    /// The broker is away; the links stay, and go on when it is back.
    #[error("{0}")]
    Away(String),
    /// It answers but says nothing: others of this kind may serve, this process does not.
    #[error("it answers, but what is published does not come back")]
    Deaf,
}

/// One order per room, for all nodes.
pub trait Broker: Send + Sync + 'static {
    /// Makes the room's log exist and starts telling this node's [`Feed`] about it. A log that is
    /// lost starts a new epoch, larger than any before it; a log that continues keeps its own.
    /// Opening an open room is harmless and says where it stands.
    fn open<'a>(&'a self, room: &'a RoomId) -> BoxFuture<'a, Result<Head, BrokerError>>;

    /// Stops telling this node's feed about the room. The log of a room that nobody has open and
    /// that is durable to its head may be dropped.
    fn close(&self, room: &RoomId);

    /// Places a batch: all checks first (epoch, memberships, names), then everything, in the
    /// order given, at consecutive positions. The first position of an epoch is `epoch-0`.
    /// On an error nothing was written.
    ///
    /// Names are remembered up to a number and an age; the same name twice inside one batch counts
    /// like twice in two.
    fn append(&self, batch: Batch) -> BoxFuture<'_, Result<Vec<Placed>, BrokerError>>;

    /// The newest position that subscribers may see, also of a room that is not open.
    fn head<'a>(&'a self, room: &'a RoomId) -> BoxFuture<'a, Result<Position, BrokerError>>;

    /// What the log holds after `after`, up to `bytes` (one message at least).
    fn read<'a>(
        &'a self,
        room: &'a RoomId,
        after: Position,
        bytes: usize,
    ) -> BoxFuture<'a, Result<LogPage, BrokerError>>;

    /// The last messages that the log holds before `before` (of all when `None`), up to `limit`
    /// and about `bytes` (one at least).
    fn read_back<'a>(
        &'a self,
        room: &'a RoomId,
        before: Option<Position>,
        limit: usize,
        bytes: usize,
    ) -> BoxFuture<'a, Result<LogTail, BrokerError>>;

    /// Messages that the log holds and that are not durable. A room that opens its log queues them
    /// again, since the room before it may have died between the two; whoever waits for what
    /// stands behind them would wait for ever. Where somebody else looks after that: nothing.
    fn unconfirmed<'a>(
        &'a self,
        _room: &'a RoomId,
    ) -> BoxFuture<'a, Result<Vec<Arc<Envelope>>, BrokerError>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    /// These positions are in the database. The durable mark is the end of the contiguous prefix;
    /// the log is trimmed below it, but for the last few hundred. Those who listen to
    /// [`Channel::Inbox`] of the room are told of it with a [`Signal::Inbox`].
    fn mark_durable<'a>(
        &'a self,
        room: &'a RoomId,
        durable: &'a [Durable],
    ) -> BoxFuture<'a, Result<(), BrokerError>>;

    /// Ends this epoch of the room: it goes on in another, and what was not placed in this one never
    /// is. Nothing when it is another epoch by now.
    fn end_epoch<'a>(
        &'a self,
        _room: &'a RoomId,
        _epoch: u64,
    ) -> BoxFuture<'a, Result<(), BrokerError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Looks through some logs of all nodes, from `cursor` on, which begins at 0: hands to `queue`
    /// again what was sent longer than `overdue` ago and is not known to be durable, and drops logs
    /// of which nothing is needed for `idle`. For one of all processes, see [`Broker::lead`], while
    /// the database is there and nothing waits in the queue: what waits is not forgotten.
    /// Where to go on, or `None` at the end.
    fn sweep<'a>(
        &'a self,
        _cursor: u64,
        _overdue: Duration,
        _idle: Duration,
        _queue: &'a dyn Queue,
    ) -> BoxFuture<'a, Result<Swept, BrokerError>> {
        Box::pin(std::future::ready(Ok(Swept::default())))
    }

    /// Whether this process is the one of all that does `what`, for the `lease` from now on.
    fn lead<'a>(
        &'a self,
        _what: &'a str,
        _lease: Duration,
    ) -> BoxFuture<'a, Result<bool, BrokerError>> {
        Box::pin(std::future::ready(Ok(true)))
    }

    /// Whether this process is told what it has to be told. An error says what is wrong.
    fn hearing(&self) -> Result<(), Unheard> {
        Ok(())
    }

    /// For how long this process was told nothing, although it speaks to itself all the time.
    fn silence(&self) -> Duration {
        Duration::ZERO
    }

    /// Memberships of the room changed: batches that were checked before are refused from now on,
    /// and the feed of whoever has the room open is told. `users`: whose; none: perhaps anybody's.
    fn members_changed<'a>(
        &'a self,
        room: &'a RoomId,
        users: &'a [UserId],
    ) -> BoxFuture<'a, Result<u64, BrokerError>>;

    /// Tells the feeds of all nodes, this one too, that listen to the signal's channel: at most
    /// once, those of one caller on one channel in the order of its calls. Nothing is kept.
    fn signal(&self, signal: Signal) -> BoxFuture<'_, Result<(), BrokerError>>;

    /// This node wants what is signalled on the channel, from when this returns, or after an error
    /// from when the broker is back. Said twice, it has to be taken back twice. A room's own channel
    /// and that of all nodes need no call: opening the room says the one, and the other is always
    /// wanted.
    fn listen<'a>(&'a self, channel: &'a Channel) -> BoxFuture<'a, Result<(), BrokerError>>;

    /// Takes one [`Broker::listen`] back.
    fn ignore(&self, channel: &Channel);
}
