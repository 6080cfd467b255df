//! The one thread that writes. Everything that waits goes into one transaction: group commit.
//!
//! **Invariant**: a command is answered with success only after the COMMIT that it was in.

use std::collections::HashMap;

use diesel::connection::{SimpleConnection, TransactionManager};
use diesel::prelude::*;
use diesel::result::Error;

use super::file::Database;
use super::rows::insert;
use super::{epochs, fault};
use crate::envelope::Envelope;
use crate::ids::RoomId;
use crate::store::lane::{Inbox, Reply};
use crate::store::{StoreError, Stored};

/// Where a transaction stops taking more commands: what one fsync is shared by.
const MAX_ROWS: usize = 4096;
const MAX_BYTES: usize = 8 << 20;
/// A log that grew to this could not start over, since there was always somebody reading; four
/// times what it has at a checkpoint.
const MAX_LOG: u64 = 128 << 20;
/// Rooms whose newest epoch the writer remembers.
const MAX_ROOMS: usize = 65_536;

/// What commands write through.
pub(super) struct Writer {
    /// The connection, inside a transaction.
    pub(super) conn: SqliteConnection,
    epochs: HashMap<RoomId, u64>,
    log_limit: u64,
}

impl Writer {
    /// Through this connection.
    pub(super) fn new(conn: SqliteConnection) -> Self {
        Self { conn, epochs: HashMap::new(), log_limit: MAX_LOG }
    }

    /// Stores one envelope.
    pub(super) fn insert(&mut self, envelope: &Envelope) -> QueryResult<Stored> {
        let (room, epoch) = (&envelope.room, envelope.position.epoch);
        let sealed = self.is_new_epoch(room, epoch) && epochs::note(&mut self.conn, room, epoch)?;
        if sealed {
            self.forget_epoch(room);
        }
        insert::insert(&mut self.conn, envelope, sealed)
    }

    /// True when this connection has not written to the epoch yet, as far as it remembers.
    fn is_new_epoch(&mut self, room: &RoomId, epoch: u64) -> bool {
        if self.epochs.get(room) == Some(&epoch) {
            return false;
        }
        if self.epochs.len() >= MAX_ROOMS {
            self.epochs.clear();
        }
        self.epochs.insert(room.clone(), epoch);
        true
    }

    /// The room's epochs are looked at again with its next row.
    pub(super) fn forget_epoch(&mut self, room: &RoomId) {
        self.epochs.remove(room);
    }

    /// Copies the log into the file and cuts it off, waiting for the readers: what SQLite's own
    /// checkpoints never do, so that under steady reading the log would grow without end.
    fn trim_log(&mut self, size: u64) {
        if size < self.log_limit {
            self.log_limit = MAX_LOG;
            return;
        }
        if let Err(error) = self.conn.batch_execute("PRAGMA wal_checkpoint(TRUNCATE)") {
            tracing::warn!(log_bytes = size, "the log cannot be cut off yet: {error}");
        }
        // Not again at once when a reader held out.
        self.log_limit = size.saturating_add(MAX_LOG);
    }
}

/// Something to be written, and somebody who waits for it.
pub(super) trait Command: Send {
    /// Rows and bytes, roughly.
    fn weight(&self) -> (usize, usize);
    /// Nobody waits any more.
    fn is_abandoned(&self) -> bool;
    /// Writes. It may be called again when the transaction was rolled back.
    fn run(&mut self, writer: &mut Writer) -> QueryResult<()>;
    /// Tells who waits.
    fn answer(self: Box<Self>, outcome: Result<(), StoreError>);
}

/// A [`Command`] made of a function.
pub(super) struct Task<T, F> {
    pub(super) weight: (usize, usize),
    pub(super) work: F,
    pub(super) result: Option<T>,
    pub(super) reply: Reply<T>,
}

impl<T, F> Command for Task<T, F>
where
    T: Send,
    F: FnMut(&mut Writer) -> QueryResult<T> + Send,
{
    fn weight(&self) -> (usize, usize) {
        self.weight
    }

    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    fn run(&mut self, writer: &mut Writer) -> QueryResult<()> {
        self.result = Some((self.work)(writer)?);
        Ok(())
    }

    fn answer(self: Box<Self>, outcome: Result<(), StoreError>) {
        let result = match (outcome, self.result) {
            (Ok(()), Some(result)) => Ok(result),
            (Ok(()), None) => Err(StoreError::Refused("committed without a result".into())),
            (Err(error), _) => Err(error),
        };
        // Who waited may have gone meanwhile.
        let _ = self.reply.send(result);
    }
}

/// Writes what comes in until the inbox is closed.
pub(super) fn serve(database: &Database, inbox: &Inbox<Box<dyn Command>>) {
    let mut writer = None;
    while let Some(group) = next_group(inbox) {
        write(database, &mut writer, group);
        if let Some(writer) = &mut writer {
            writer.trim_log(database.log_size());
        }
    }
}

/// Waits for a command and takes those that stand behind it.
fn next_group(inbox: &Inbox<Box<dyn Command>>) -> Option<Vec<Box<dyn Command>>> {
    let first = inbox.wait()?;
    let (mut rows, mut bytes) = first.weight();
    let mut group = vec![first];
    while rows < MAX_ROWS && bytes < MAX_BYTES {
        let Some(command) = inbox.try_next() else { break };
        let more = command.weight();
        (rows, bytes) = (rows + more.0, bytes + more.1);
        group.push(command);
    }
    group.retain(|command| !command.is_abandoned());
    Some(group)
}

fn write(database: &Database, writer: &mut Option<Writer>, mut group: Vec<Box<dyn Command>>) {
    if group.is_empty() {
        return;
    }
    let outcome = commit(database, writer, &mut group);
    let at_fault = matches!(outcome, Err(StoreError::Refused(_) | StoreError::Unusable(_)));
    if at_fault && group.len() > 1 {
        // One of them is wrong: by itself it harms nobody else.
        for command in group {
            write(database, writer, vec![command]);
        }
        return;
    }
    if let Err(error) = &outcome {
        tracing::warn!(commands = group.len(), "nothing was written: {error}");
    }
    for command in group {
        command.answer(outcome.clone());
    }
}

/// All or nothing. After any failure the connection is thrown away, and with it whatever state it
/// was left in; the next attempt opens another.
fn commit(
    database: &Database,
    slot: &mut Option<Writer>,
    group: &mut [Box<dyn Command>],
) -> Result<(), StoreError> {
    let mut writer = match slot.take() {
        Some(writer) => writer,
        None => Writer::new(database.writer()?),
    };
    transaction(&mut writer, group)
        .map_err(|error| fault::of_statement(database.path(), &error))?;
    *slot = Some(writer);
    Ok(())
}

fn transaction(writer: &mut Writer, group: &mut [Box<dyn Command>]) -> QueryResult<()> {
    type Transactions = <SqliteConnection as Connection>::TransactionManager;

    // Not `immediate_transaction`: when SQLite itself has rolled back (disk full), that one tells
    // of its own rollback's failure and not of the cause.
    Transactions::begin_transaction_sql(&mut writer.conn, "BEGIN IMMEDIATE")?;
    for command in group.iter_mut() {
        command.run(writer)?;
    }
    Transactions::commit_transaction(&mut writer.conn).map_err(|error| match error {
        Error::RollbackErrorOnCommit { commit_error, .. } => *commit_error,
        other => other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writer() -> (tempfile::TempDir, Database, Writer) {
        let dir = tempfile::tempdir().unwrap();
        let database = Database::prepare(&dir.path().join("moim.db")).unwrap();
        let conn = database.writer().unwrap();
        (dir, database, Writer::new(conn))
    }

    #[test]
    fn a_log_that_grew_too_long_is_cut_off() {
        let (_dir, database, mut writer) = writer();
        let room = "INSERT INTO rooms (id, created_at) VALUES ('r', 0)";
        writer.conn.batch_execute(room).unwrap();
        writer.trim_log(MAX_LOG - 1);
        assert!(database.log_size() > 0);
        writer.trim_log(MAX_LOG);
        assert_eq!(database.log_size(), 0);
    }

    #[test]
    fn a_wrong_command_takes_nobody_with_it() {
        let (_dir, database, writer) = writer();
        let command = |sql: &'static str| {
            let (reply, answer) = tokio::sync::oneshot::channel();
            let work = move |writer: &mut Writer| writer.conn.batch_execute(sql);
            let task = Task { weight: (1, 0), work, result: None, reply };
            (Box::new(task) as Box<dyn Command>, answer)
        };
        let (good, stored) = command("INSERT INTO rooms (id, created_at) VALUES ('r', 0)");
        let (bad, refused) = command("INSERT INTO nowhere VALUES (1)");
        write(&database, &mut Some(writer), vec![good, bad]);
        assert_eq!(stored.blocking_recv().unwrap(), Ok(()));
        assert!(matches!(refused.blocking_recv().unwrap(), Err(StoreError::Refused(_))));
    }
}
