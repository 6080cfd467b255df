//! SQLite: the database of a node that stands alone.
//!
//! One thread writes and two read, each with its own connection, so that no caller's thread waits
//! for the disk. **Invariant**: an insert is answered after its COMMIT reached the disk.

mod epochs;
mod fault;
mod file;
mod given;
mod heads;
pub(crate) mod look;
mod message;
mod moves;
#[cfg(test)]
mod plans;
#[path = "rows/mod.rs"]
#[allow(clippy::duplicate_mod, reason = "once for each database")]
mod rows;
mod turns;
mod write;

use std::path::Path;
use std::sync::Arc;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sqlite::Sqlite as Db;

use self::file::Database;
use self::write::{Command, Task, Writer};
use super::heads::{self as touched, Grace};
use super::lane::{Inbox, Lane, Reply};
use super::{Load, StoreError, Stored};
use crate::clock::now_ms;
use crate::envelope::Envelope;
use crate::ids::RoomId;

// What the rows are compiled against.
type Adapter = SqliteStore;
type Conn = SqliteConnection;

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
    grace: Grace,
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
            grace: Grace::unset(),
        })
    }

    async fn write<T: Send + 'static>(
        &self,
        weight: (usize, usize),
        mut work: impl FnMut(&mut SqliteConnection) -> QueryResult<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.write_by(weight, move |writer| work(&mut writer.conn)).await
    }

    /// Writes where many processes each take what no other has: here is one.
    async fn take<T: Send + 'static>(
        &self,
        weight: (usize, usize),
        work: impl FnMut(&mut SqliteConnection) -> QueryResult<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.write(weight, work).await
    }

    async fn write_by<T: Send + 'static>(
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

    async fn insert_rows(&self, envelopes: Vec<Arc<Envelope>>) -> Result<Vec<Stored>, StoreError> {
        let bytes = envelopes.iter().map(|envelope| envelope.weight()).sum();
        let grace = self.grace.of(&envelopes, now_ms());
        self.write_by((envelopes.len(), bytes), move |writer| {
            let stored: QueryResult<Vec<Stored>> =
                envelopes.iter().map(|envelope| writer.insert(envelope)).collect();
            let stored = stored?;
            let heads = touched::heads(&envelopes, &stored, grace.is_some());
            heads::move_on(&mut writer.conn, &heads, grace)?;
            Ok(stored)
        })
        .await
    }

    async fn close_below(&self, epochs: Vec<(RoomId, u64)>) -> Result<(), StoreError> {
        self.write_by((epochs.len(), 0), move |writer| {
            epochs.iter().try_for_each(|(room, epoch)| epochs::begin(writer, room, *epoch))
        })
        .await
    }

    async fn purge_part(&self, room: RoomId, rows: usize) -> Result<usize, StoreError> {
        self.write_by((rows, 0), move |writer| {
            let removed = rows::purge::part(&mut writer.conn, &room, rows)?;
            if removed == 0 {
                // Of a row that was still on its way, the writer writes its epoch again.
                writer.forget_epoch(&room);
                rows::purge::end(&mut writer.conn, &room)?;
            }
            Ok(removed)
        })
        .await
    }

    async fn leave_tidy(&self) -> Result<(), StoreError> {
        self.read(|conn| conn.batch_execute("PRAGMA wal_checkpoint(TRUNCATE)")).await
    }

    fn load_of_each(&self) -> Vec<Load> {
        vec![self.writer.load(), self.readers.load()]
    }
}

fn answer_questions(database: &Database, inbox: &Inbox<Question>) {
    let mut slot = None;
    loop {
        let Some(question) = inbox.wait() else { return };
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
