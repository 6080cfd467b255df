//! SQLite: the database of a node that stands alone.
//!
//! One thread writes and two read, each with its own connection, so that no caller's thread waits
//! for the disk. **Invariant**: an insert is answered after its COMMIT reached the disk.

mod accounts;
mod as_accounts;
mod as_rooms;
mod cursors;
mod fault;
mod file;
mod headers;
mod insert;
mod lane;
mod logins;
mod members;
#[cfg(test)]
mod plans;
mod purge;
mod rare;
mod read;
mod revocations;
mod rooms;
mod row;
mod write;

use std::path::Path;
use std::sync::Arc;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;

use self::file::Database;
use self::lane::{Inbox, Lane, Reply};
use self::write::{Command, Task, Writer};
use super::{Access, Epoch, HistoryPage, KnownName, Store, StoreError, Stored};
use crate::BoxFuture;
use crate::envelope::Envelope;
use crate::ids::{RoomId, UserId};
use crate::position::Position;

/// Commands that may wait for the writer; those of one queue go into one transaction.
const WRITES: usize = 512;
/// Questions that may wait for a reader.
const READS: usize = 512;
/// More would only take turns on the same disk.
const READERS: usize = 2;

/// A question to the database: it is given a connection, and says whether that is still good.
type Question = Box<dyn FnOnce(Result<&mut SqliteConnection, StoreError>) -> bool + Send>;

/// The database in one file.
pub struct SqliteStore {
    // The writer ends first, so that the last reader's end closes the file without a log to copy.
    writer: Lane<Box<dyn Command>>,
    readers: Lane<Question>,
    database: Arc<Database>,
}

impl SqliteStore {
    /// Opens the file, made with its folder when it is missing, and starts the threads. It blocks;
    /// dropping the store waits for what was handed over.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let database = Arc::new(Database::prepare(path)?);
        let no_thread = |error: std::io::Error| {
            StoreError::Unavailable(format!("no thread for the database: {error}"))
        };
        let file = database.clone();
        let writer = Lane::start("store-writer", 1, WRITES, move |inbox: &Inbox<_>| {
            write::serve(&file, inbox);
        });
        let file = database.clone();
        let readers = Lane::start("store-reader", READERS, READS, move |inbox: &Inbox<_>| {
            answer_questions(&file, inbox);
        });
        Ok(Self {
            writer: writer.map_err(no_thread)?,
            readers: readers.map_err(no_thread)?,
            database,
        })
    }

    async fn write<T: Send + 'static>(
        &self,
        weight: (usize, usize),
        work: impl FnMut(&mut Writer) -> QueryResult<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let command =
            |reply| -> Box<dyn Command> { Box::new(Task { weight, work, result: None, reply }) };
        self.writer.call(command).await
    }

    async fn read<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&mut SqliteConnection) -> QueryResult<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let database = self.database.clone();
        let question = |reply: Reply<T>| -> Question {
            Box::new(move |conn| {
                if reply.is_closed() {
                    return true;
                }
                let fault = |error| fault::of_statement(database.path(), &error);
                let result = conn.and_then(|conn| ask(conn).map_err(fault));
                let good = result.is_ok();
                let _ = reply.send(result);
                good
            })
        };
        self.readers.call(question).await
    }
}

fn answer_questions(database: &Database, inbox: &Inbox<Question>) {
    let mut slot = None;
    loop {
        let Some(question) = inbox.lock().blocking_recv() else { return };
        let conn = match slot.take() {
            Some(conn) => Ok(conn),
            None => database.reader(),
        };
        match conn {
            Ok(mut conn) => {
                if question(Ok(&mut conn)) {
                    slot = Some(conn);
                }
            }
            Err(error) => {
                question(Err(error));
            }
        }
    }
}

impl Store for SqliteStore {
    fn insert(
        &self,
        envelopes: Vec<Arc<Envelope>>,
    ) -> BoxFuture<'_, Result<Vec<Stored>, StoreError>> {
        Box::pin(async move {
            if !insert::all_fit(envelopes.iter().map(|envelope| &**envelope)) {
                return Err(StoreError::Refused("a position is beyond 2^63".into()));
            }
            if envelopes.is_empty() {
                return Ok(Vec::new());
            }
            let bytes = envelopes.iter().map(|envelope| envelope.weight()).sum();
            self.write((envelopes.len(), bytes), move |writer| {
                envelopes.iter().map(|envelope| insert::insert(writer, envelope)).collect()
            })
            .await
        })
    }

    fn history<'a>(
        &'a self,
        room: &'a RoomId,
        after: Position,
        limit: usize,
        bytes: usize,
    ) -> BoxFuture<'a, Result<HistoryPage, StoreError>> {
        let room = room.clone();
        Box::pin(self.read(move |conn| read::history(conn, &room, after, limit, bytes)))
    }

    fn history_back<'a>(
        &'a self,
        room: &'a RoomId,
        before: Option<Position>,
        limit: usize,
        bytes: usize,
    ) -> BoxFuture<'a, Result<HistoryPage, StoreError>> {
        let room = room.clone();
        Box::pin(self.read(move |conn| read::history_back(conn, &room, before, limit, bytes)))
    }

    fn before_last<'a>(
        &'a self,
        room: &'a RoomId,
        count: usize,
    ) -> BoxFuture<'a, Result<Position, StoreError>> {
        let room = room.clone();
        Box::pin(self.read(move |conn| read::before_last(conn, &room, count)))
    }

    fn head<'a>(&'a self, room: &'a RoomId) -> BoxFuture<'a, Result<Option<Position>, StoreError>> {
        let room = room.clone();
        Box::pin(self.read(move |conn| read::head(conn, &room)))
    }

    fn names<'a>(
        &'a self,
        room: &'a RoomId,
        count: usize,
        since: u64,
    ) -> BoxFuture<'a, Result<Vec<KnownName>, StoreError>> {
        let room = room.clone();
        Box::pin(self.read(move |conn| read::names(conn, &room, count, since)))
    }

    fn epochs<'a>(&'a self, room: &'a RoomId) -> BoxFuture<'a, Result<Vec<Epoch>, StoreError>> {
        let room = room.clone();
        Box::pin(self.read(move |conn| read::epochs(conn, &room)))
    }

    fn seal<'a>(
        &'a self,
        room: &'a RoomId,
        epoch: u64,
        last: u64,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        let room = room.clone();
        Box::pin(self.write((1, 0), move |writer| rare::seal(writer, &room, epoch, last)))
    }

    fn access<'a>(
        &'a self,
        room: &'a RoomId,
        user: &'a UserId,
    ) -> BoxFuture<'a, Result<Access, StoreError>> {
        let (room, user) = (room.clone(), user.clone());
        Box::pin(self.read(move |conn| read::access(conn, &room, &user)))
    }

    fn accesses<'a>(
        &'a self,
        room: &'a RoomId,
        users: &'a [UserId],
    ) -> BoxFuture<'a, Result<Vec<Access>, StoreError>> {
        let (room, users) = (room.clone(), users.to_vec());
        Box::pin(
            self.read(move |conn| {
                users.iter().map(|user| read::access(conn, &room, user)).collect()
            }),
        )
    }

    fn admit<'a>(
        &'a self,
        room: &'a RoomId,
        user: &'a UserId,
        name: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Access, StoreError>> {
        Box::pin(async move {
            // Whoever is known needs no write, and log-ins come in crowds.
            let (room, user, name) = (room.clone(), user.clone(), name.map(str::to_owned));
            let asked = (room.clone(), user.clone());
            if let Some(known) =
                self.read(move |conn| rare::known(conn, &asked.0, &asked.1)).await?
            {
                return Ok(known);
            }
            self.write((1, 0), move |writer| rare::admit(writer, &room, &user, name.as_deref()))
                .await
        })
    }

    fn tidy(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.read(|conn| conn.batch_execute("PRAGMA wal_checkpoint(TRUNCATE)")))
    }

    fn ping(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.read(read::ping))
    }
}
