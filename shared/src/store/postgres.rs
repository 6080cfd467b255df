//! Postgres: the database of many nodes, without libpq.
//!
//! A few threads, each with a connection of its own: some insert messages, some write what is rare,
//! the others read, so that none waits behind the other two. A connection that fails is thrown away
//! and made again, so that the store heals by itself when its server was away.
//!
//! **Invariant**: an insert is answered after its COMMIT, and no batch takes another with it.
//! Whatever reads before it writes runs `SERIALIZABLE`, and again when another transaction came in
//! between: several processes write as if one after another, as with SQLite's one writer.

mod address;
mod epochs;
mod fault;
mod given;
mod heads;
mod insert;
mod link;
pub(crate) mod look;
mod message;
mod migrate;
mod moves;
#[path = "rows/mod.rs"]
#[allow(clippy::duplicate_mod, reason = "once for each database")]
mod rows;
mod session;
mod turns;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use diesel::QueryResult;
use diesel::pg::Pg as Db;
use diesel_async::AsyncPgConnection;
use diesel_async::async_connection_wrapper::AsyncConnectionWrapper;

use self::address::Address;
use self::link::{Link, Server, Transaction};
pub use self::migrate::migrate;
use self::session::OnThisThread;
use super::heads::{self as touched, Grace};
use super::lane::{Inbox, Lane, Reply};
use super::{Load, StoreError, Stored};
use crate::clock::now_ms;
use crate::envelope::Envelope;
use crate::ids::RoomId;

// What the rows are compiled against.
type Adapter = PostgresStore;
type Conn = AsyncConnectionWrapper<AsyncPgConnection, OnThisThread>;

/// Calls that may wait for the threads of one kind.
const WAITING: usize = 512;

/// For the rest it is enough to be one after another, seen from outside.
const RARE: Transaction =
    Transaction { begin: "BEGIN ISOLATION LEVEL SERIALIZABLE", idempotent: false };
/// Where many processes each take what no other has.
const TAKE: Transaction = Transaction { begin: turns::BEGIN, idempotent: false };
const INSERT: Transaction = Transaction { begin: epochs::BEGIN_SHARED, idempotent: true };
const ALONE: Transaction = Transaction { begin: epochs::BEGIN_ALONE, idempotent: true };

/// Readers see one view of the data in all statements of a transaction.
const READER: &str = "SET default_transaction_isolation = 'repeatable read'";

/// How it is worked with.
#[derive(Debug, Clone)]
pub struct Options {
    /// Connections of this process: three at least.
    pub connections: usize,
    /// Within which a connection is made.
    pub connect_timeout: Duration,
    /// Within which the server must have carried out a statement, or gives it up.
    pub statement_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connections: 8,
            connect_timeout: Duration::from_secs(4),
            statement_timeout: Duration::from_secs(10),
        }
    }
}

/// How long threads are waited for at the end.
const FAREWELL: Duration = Duration::from_secs(2);

/// Something for a thread to do with its connection.
type Job = Box<dyn FnOnce(&mut Link) + Send>;

/// The database on a Postgres server.
pub struct PostgresStore {
    inserts: Lane<Job>,
    writers: Lane<Job>,
    readers: Lane<Job>,
    server: Arc<Server>,
    grace: Grace,
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PostgresStore").field(&self.server.address.shown).finish()
    }
}

impl PostgresStore {
    /// Starts the threads and looks whether the schema is this program's; [`migrate`] makes it so.
    /// Dropping the store waits for what was handed over.
    pub async fn open(url: &str, options: Options) -> Result<Self, StoreError> {
        let address = Address::parse(url, options.connect_timeout)?;
        let connections = options.connections.max(3);
        let quarter = (connections / 4).max(1);
        let server = Arc::new(Server::new(address, options));
        let lane = |name, threads, setup| {
            let server = server.clone();
            let serve = move |inbox: &Inbox<Job>| {
                let mut link = Link::new(server.clone(), setup);
                loop {
                    let Some(job) = inbox.wait() else { break };
                    job(&mut link);
                }
                link.close();
            };
            let lane = Lane::start(name, threads, WAITING, serve).map_err(|error| {
                StoreError::Unavailable(format!("no thread for the database: {error}"))
            });
            // A server that hangs does not keep the process.
            lane.map(|lane| lane.leaves_after(FAREWELL))
        };
        let store = Self {
            inserts: lane("store-insert", quarter, "")?,
            writers: lane("store-write", quarter, "")?,
            // Somebody waits for it: no longer than for a statement that begins at once.
            readers: lane("store-read", connections - 2 * quarter, READER)?
                .answers_within(server.options.statement_timeout + link::GRACE),
            server: server.clone(),
            grace: Grace::unset(),
        };
        let applied = store.read(migrate::applied).await?;
        migrate::check(&applied, &server.address)?;
        Ok(store)
    }

    async fn read<T: Send + 'static>(
        &self,
        mut ask: impl FnMut(&mut Conn) -> QueryResult<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        call(&self.readers, move |link| link.read(&mut ask)).await
    }

    async fn write<T: Send + 'static>(
        &self,
        _weight: (usize, usize),
        mut work: impl FnMut(&mut Conn) -> QueryResult<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        call(&self.writers, move |link| link.transact(RARE, &mut work)).await
    }

    /// Writes where many processes each take what no other has.
    async fn take<T: Send + 'static>(
        &self,
        _weight: (usize, usize),
        mut work: impl FnMut(&mut Conn) -> QueryResult<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        call(&self.writers, move |link| link.transact(TAKE, &mut work)).await
    }

    async fn insert_rows(&self, envelopes: Vec<Arc<Envelope>>) -> Result<Vec<Stored>, StoreError> {
        let grace = self.grace.of(&envelopes, now_ms());
        call(&self.inserts, move |link| {
            link.transact(INSERT, |conn| {
                let stored = insert::insert(conn, &envelopes)?;
                let heads = touched::heads(&envelopes, &stored, grace.is_some());
                heads::move_on(conn, &heads, grace)?;
                Ok(stored)
            })
        })
        .await
    }

    async fn close_below(&self, mut epochs: Vec<(RoomId, u64)>) -> Result<(), StoreError> {
        epochs.sort_unstable();
        for part in epochs.chunks(epochs::AT_ONCE).map(<[_]>::to_vec) {
            call(&self.writers, move |link| {
                link.transact(ALONE, |conn| epochs::begin(conn, &part))
            })
            .await?;
        }
        Ok(())
    }

    async fn purge_part(&self, room: RoomId, rows: usize) -> Result<usize, StoreError> {
        let of = room.clone();
        let removed = self.write((rows, 0), move |conn| rows::purge::part(conn, &of, rows)).await?;
        if removed == 0 {
            call(&self.writers, move |link| {
                link.transact(ALONE, |conn| rows::purge::end(conn, &room))
            })
            .await?;
        }
        Ok(removed)
    }

    async fn leave_tidy(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn load_of_each(&self) -> Vec<Load> {
        vec![self.inserts.load(), self.writers.load(), self.readers.load()]
    }
}

/// Has a thread of the lane do something, and waits for it.
async fn call<T: Send + 'static>(
    lane: &Lane<Job>,
    work: impl FnOnce(&mut Link) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let job = |reply: Reply<T>| -> Job {
        Box::new(move |link| {
            if !reply.is_closed() {
                // Who waited may have gone meanwhile.
                let _ = reply.send(work(link));
            }
        })
    };
    lane.call(job).await
}
