//! The database: the truth. The same functions on every database.
//!
//! **Invariant**: what [`Store::insert`] answered for survives a power cut.

pub mod accounts;
pub mod cursors;
pub mod devices;
mod headers;
mod heads;
pub mod inbox;
mod lane;
pub mod last_seen;
pub mod postgres;
pub mod pushes;
pub mod rooms;
mod schema;
pub mod sqlite;

use std::sync::Arc;

use crate::BoxFuture;
use crate::envelope::Envelope;
use crate::ids::{OriginId, RoomId, UserId};
use crate::position::Position;

/// Why the database did not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Away, locked, full: the same call may succeed later.
    #[error("the database is away: {0}")]
    Unavailable(String),
    /// What this process was told of it does not work: its address, a password, a certificate.
    #[error("the database cannot be used as configured: {0}")]
    Misconfigured(String),
    /// Its schema is older or newer than this program.
    #[error("the database has another schema: {0}")]
    Migration(String),
    /// It cannot be used as it is: not a database, damaged, not writable.
    #[error("the database cannot be used: {0}")]
    Unusable(String),
    /// The statement is wrong for this database: a fault of the program.
    #[error("the database refused a statement: {0}")]
    Refused(String),
}

impl StoreError {
    /// Whether the same call may succeed later.
    pub const fn retryable(&self) -> bool {
        match self {
            Self::Unavailable(_) => true,
            Self::Misconfigured(_) | Self::Migration(_) | Self::Unusable(_) | Self::Refused(_) => {
                false
            }
        }
    }
}

/// What became of an envelope at its insert. All but [`Stored::Late`] are durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// A new row.
    New,
    /// The row was there already at this position.
    Again,
    /// The sender's name stands at another position; this one is kept as a duplicate's mark.
    Duplicate {
        /// Where the first one stands.
        first: Position,
    },
    /// Nothing was stored: its epoch was closed before it came. To be sent again under the current
    /// one.
    Late,
}

/// What a user may do in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Read and send.
    Member,
    /// Read; send again from then on, in ms since 1970.
    Muted {
        /// When.
        until: u64,
    },
    /// Neither; stands above every grant.
    Banned,
    /// Not a member, or there is no such room.
    None,
}

/// A name of the past, as the broker remembers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownName {
    /// Who said it.
    pub sender: UserId,
    /// The name.
    pub origin: OriginId,
    /// Where its message stands.
    pub position: Position,
    /// [`Envelope::body_hash`] of its message.
    pub body_hash: u64,
    /// When it was sent, in ms since 1970.
    pub sent_at: u64,
}

/// One life of a room's log, as the database knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Epoch {
    /// When it began.
    pub epoch: u64,
    /// Its last number, once nothing can be added to it any more.
    pub sealed: Option<u64>,
    /// [`Store::begin_epochs`] was said for it, so that nothing can be added below it any more. In
    /// SQLite always true: its one process begins an epoch when what is below is durable.
    pub begun: bool,
}

/// What became of messages that are older than they are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expired {
    /// So many are gone.
    pub removed: usize,
    /// After which room to go on.
    pub after: Option<RoomId>,
    /// That was all.
    pub done: bool,
}

/// A page of a room's messages.
#[derive(Debug, Clone, Default)]
pub struct HistoryPage {
    /// The messages, in order.
    pub envelopes: Vec<Arc<Envelope>>,
    /// True when there may be more behind it, in the direction that was asked for.
    pub more: bool,
}

/// The database.
pub trait Store: Send + Sync + 'static {
    /// Stores envelopes of any rooms in one transaction, idempotent by position and by name. Of an
    /// epoch that is closed only what is there already is answered for; the rest is
    /// [`Stored::Late`]. Postgres: a later one of its room is begun. SQLite: it is sealed.
    /// Answers in the order given. After an error nothing may be taken as stored, though a call
    /// that ran out of time may still be carried out; the same call again is safe.
    fn insert(
        &self,
        envelopes: Vec<Arc<Envelope>>,
    ) -> BoxFuture<'_, Result<Vec<Stored>, StoreError>>;

    /// Messages after `after` in order, up to `limit` rows and about `bytes` (one at least).
    fn history<'a>(
        &'a self,
        room: &'a RoomId,
        after: Position,
        limit: usize,
        bytes: usize,
    ) -> BoxFuture<'a, Result<HistoryPage, StoreError>>;

    /// Messages before `before` (of all when `None`) in order, the last up to `limit` rows and about
    /// `bytes` (one at least).
    fn history_back<'a>(
        &'a self,
        room: &'a RoomId,
        before: Option<Position>,
        limit: usize,
        bytes: usize,
    ) -> BoxFuture<'a, Result<HistoryPage, StoreError>>;

    /// The position after which exactly the room's last `count` messages stand; `0-0` when it has
    /// no more than that.
    fn before_last<'a>(
        &'a self,
        room: &'a RoomId,
        count: usize,
    ) -> BoxFuture<'a, Result<Position, StoreError>>;

    /// The last position that the room has a row or a mark at.
    fn head<'a>(&'a self, room: &'a RoomId) -> BoxFuture<'a, Result<Option<Position>, StoreError>>;

    /// The room's latest names: at most `count`, sent at `since` (ms since 1970) or later.
    fn names<'a>(
        &'a self,
        room: &'a RoomId,
        count: usize,
        since: u64,
    ) -> BoxFuture<'a, Result<Vec<KnownName>, StoreError>>;

    /// The room's epochs in order. One that has rows but was never sealed is there with `None`.
    fn epochs<'a>(&'a self, room: &'a RoomId) -> BoxFuture<'a, Result<Vec<Epoch>, StoreError>>;

    /// Closes everything of the room before `epoch`: an older epoch that is not sealed is sealed at
    /// its last row or mark, one without any is forgotten, and a row of one that comes after this is
    /// [`Stored::Late`], whichever process brings it. Idempotent. `epoch` itself is known after it,
    /// with or without a row, unless a later one was begun before.
    fn begin_epoch<'a>(
        &'a self,
        room: &'a RoomId,
        epoch: u64,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move { self.begin_epochs(&[(room.clone(), epoch)]).await })
    }

    /// [`Store::begin_epoch`] for many rooms, each once. After an error it may be done for some.
    fn begin_epochs<'a>(
        &'a self,
        epochs: &'a [(RoomId, u64)],
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Removes up to about `rows` messages that were sent before `before` (ms since 1970), of rooms
    /// after `after`; the last one of a room stays. To be called until it is done.
    fn expire<'a>(
        &'a self,
        after: Option<&'a RoomId>,
        before: u64,
        rows: usize,
    ) -> BoxFuture<'a, Result<Expired, StoreError>>;

    /// What the user may do in the room.
    fn access<'a>(
        &'a self,
        room: &'a RoomId,
        user: &'a UserId,
    ) -> BoxFuture<'a, Result<Access, StoreError>>;

    /// The same for many users at once, in their order.
    fn accesses<'a>(
        &'a self,
        room: &'a RoomId,
        users: &'a [UserId],
    ) -> BoxFuture<'a, Result<Vec<Access>, StoreError>>;

    /// A token's grant was used: creates the room if there is none, makes the user a member unless
    /// it is one or is banned, and says what it may do now. No grant opens a room that was deleted
    /// or one of two people.
    fn admit<'a>(
        &'a self,
        room: &'a RoomId,
        user: &'a UserId,
        name: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Access, StoreError>>;

    /// Leaves nothing beside the database's own file, for those who copy it after a clean stop. Not
    /// needed for safety.
    fn tidy(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Whether the database answers now.
    fn ping(&self) -> BoxFuture<'_, Result<(), StoreError>>;

    /// How busy its ways to the database are.
    fn loads(&self) -> Vec<Load>;
}

/// How busy one way to the database is: some connections with what waits for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Which.
    pub lane: &'static str,
    /// Connections that it has at most.
    pub connections: usize,
    /// Those that are being used.
    pub used: usize,
    /// Calls that wait for one.
    pub waiting: usize,
    /// Calls that got no answer in time.
    pub late: u64,
}
