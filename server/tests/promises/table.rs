//! The database as it lies on the disk.

use std::path::Path;

use diesel::connection::SimpleConnection;
use diesel::{Connection, SqliteConnection};
use moim_shared::ids::RoomId;
use moim_shared::position::Position;
use moim_shared::store::Store;
use moim_shared::store::sqlite::SqliteStore;

pub use crate::support::Row;

/// The table, when no server runs on the file any more. To be opened once: a child that another
/// test starts holds this one's lock for a moment after its end.
pub struct Table(SqliteStore);

impl Table {
    pub fn open(database: &Path) -> Self {
        Self(SqliteStore::open(database).unwrap())
    }

    /// All rows of a room, in their order.
    pub async fn rows(&self, room: &str) -> Vec<Row> {
        let Self(store) = self;
        let room = RoomId::parse(room).unwrap();
        let mut rows = Vec::new();
        let mut after = Position::ZERO;
        loop {
            let page = store.history(&room, after, 1_000, 1 << 20).await.unwrap();
            rows.extend(page.envelopes.iter().map(|envelope| Row {
                position: envelope.position,
                sender: envelope.sender.to_string(),
                origin: envelope.origin.is_given().then(|| envelope.origin.to_string()),
                body: String::from_utf8(envelope.body.to_vec()).unwrap(),
            }));
            let Some(last) = rows.last() else { return rows };
            after = last.position;
            if !page.more {
                // Nothing stands behind the last row: no mark of a duplicate either.
                assert_eq!(store.head(&room).await.unwrap(), Some(after));
                return rows;
            }
        }
    }
}

/// The numbers are used up without a hole, in one epoch.
#[track_caller]
pub fn assert_dense(rows: &[Row]) {
    for (n, row) in rows.iter().enumerate() {
        let expected = Position::new(rows[0].position.epoch, n as u64);
        assert_eq!(row.position, expected, "a hole, a mark or another epoch");
    }
}

/// Another program's connection to the database.
pub struct Other(SqliteConnection);

impl Other {
    pub fn open(database: &Path) -> Self {
        let mut conn = SqliteConnection::establish(database.to_str().unwrap()).unwrap();
        conn.batch_execute("PRAGMA busy_timeout=5000").unwrap();
        Self(conn)
    }

    pub fn execute(&mut self, sql: &str) {
        self.0.batch_execute(sql).unwrap();
    }

    /// Lets nobody write.
    pub fn hold(&mut self) {
        self.execute("BEGIN IMMEDIATE");
    }

    pub fn release(&mut self) {
        self.execute("ROLLBACK");
    }
}
