//! What was acknowledged and seen, against what the database has.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use moim_shared::position::Position;

use crate::chat::{Reader, Sender, Talk};
use crate::postgres::TestDatabase;
pub use crate::support::Row;
use crate::until;

fn name(row: &Row) -> (&str, &str) {
    (&row.sender, row.origin.as_deref().unwrap())
}

/// What may have happened to the positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Positions {
    /// The log lived all the time: one epoch without a hole, and each RECEIPT tells the row.
    Kept,
    /// Redis lost or may have lost something: what it had may be said again in a later epoch.
    Rolled,
}

/// A room in the database.
pub struct Table {
    pub rows: Vec<Row>,
    /// Numbers that are spent.
    pub marks: HashSet<Position>,
}

impl Table {
    pub async fn of(database: &TestDatabase, room: &str) -> Self {
        let client = database.client().await;
        let position = |row: &tokio_postgres::Row| {
            let (epoch, seq): (i64, i64) = (row.get("epoch"), row.get("seq"));
            Position::new(epoch.try_into().unwrap(), seq.try_into().unwrap())
        };
        let rows = "SELECT epoch, seq, sender, origin_id, body FROM messages WHERE room = $1
             ORDER BY epoch, seq";
        let rows = client.query(rows, &[&room]).await.unwrap();
        let rows = rows.iter().map(|row| Row {
            position: position(row),
            sender: row.get("sender"),
            origin: row.get("origin_id"),
            body: String::from_utf8(row.get("body")).unwrap(),
        });
        let marks = "SELECT epoch, seq FROM marks WHERE room = $1";
        let marks = client.query(marks, &[&room]).await.unwrap();
        Self { rows: rows.collect(), marks: marks.iter().map(position).collect() }
    }

    /// Where the last message stands.
    pub fn end(&self) -> Position {
        self.rows.last().map_or(Position::ZERO, |row| row.position)
    }
}

/// Rows of these rooms.
pub async fn count(database: &TestDatabase, rooms: &[String]) -> usize {
    let rows = "SELECT count(*) FROM messages WHERE room = ANY($1)";
    let count: i64 = database.client().await.query_one(rows, &[&rooms]).await.unwrap().get(0);
    count.try_into().unwrap()
}

/// Waits until the database has so many messages, and tells where the last one of each room stands.
pub async fn ends(
    database: &TestDatabase,
    rooms: &[String],
    total: usize,
    within: Duration,
) -> Vec<Position> {
    until(&format!("{total} rows"), within, async || {
        let count = count(database, rooms).await;
        assert!(count <= total, "{count} rows of {total} messages");
        count == total
    })
    .await;
    let mut ends = Vec::new();
    for room in rooms {
        ends.push(Table::of(database, room).await.end());
    }
    ends
}

/// All that was acknowledged is there once, and everybody saw all of it in one order.
pub async fn check(talk: &Talk, database: &TestDatabase, positions: Positions) {
    for (index, room) in talk.rooms.iter().enumerate() {
        let table = Table::of(database, room).await;
        assert_sent(&table, index, &talk.senders, positions);
        if positions == Positions::Kept {
            assert_dense(&table);
        }
        let readers = talk.readers.iter().filter(|reader| reader.index == index);
        let mut known: HashMap<Position, &Row> =
            table.rows.iter().map(|row| (row.position, row)).collect();
        for reader in readers {
            assert_seen(&table, reader, positions);
            // A position is one message, whoever saw it.
            for row in &reader.seen {
                let other = known.entry(row.position).or_insert(row);
                assert_eq!(*other, row, "two messages at one position: {}", reader.user);
            }
        }
    }
}

/// Every message of every sender once, in the sender's order, and no other.
fn assert_sent(table: &Table, room: usize, senders: &[Sender], positions: Positions) {
    let mut at: HashMap<(String, String), &Row> = HashMap::new();
    for row in &table.rows {
        let (sender, origin) = name(row);
        assert_eq!(at.insert((sender.into(), origin.into()), row), None, "twice");
    }
    let places: HashMap<Position, &Row> =
        table.rows.iter().map(|row| (row.position, row)).collect();
    for sender in senders {
        let mut before = None;
        for (n, sent) in sender.sent.iter().enumerate().filter(|(_, sent)| sent.room == room) {
            let row = at.remove(&(sender.user.clone(), n.to_string()));
            let row = row.unwrap_or_else(|| panic!("{} {n} has a RECEIPT and no row", sender.user));
            assert_eq!(row.body, sent.body);
            let told = sent.receipt.expect("a RECEIPT");
            match positions {
                Positions::Kept => assert_eq!(row.position, told, "{} {n}", sender.user),
                Positions::Rolled => {
                    let there = places.get(&told);
                    let other = there.is_some_and(|there| there.position != row.position);
                    assert!(!other, "{} {n}: its RECEIPT's position is {there:?}", sender.user);
                }
            }
            if positions == Positions::Kept && sender.refused == 0 {
                assert!(before < Some(row.position), "{} {n} is out of order", sender.user);
                before = Some(row.position);
            }
        }
    }
    assert!(at.is_empty(), "nobody sent these: {:?}", at.keys());
}

/// The numbers are used up without a hole, in one epoch.
fn assert_dense(table: &Table) {
    let Some(first) = table.rows.first() else { return };
    for (n, row) in table.rows.iter().enumerate() {
        let expected = Position::new(first.position.epoch, n as u64);
        assert_eq!(row.position, expected, "a hole, a mark or another epoch");
    }
    assert!(table.marks.is_empty(), "marks: {:?}", table.marks);
}

/// It saw every row, once and in order, but for what it was told that it may lack.
fn assert_seen(table: &Table, reader: &Reader, positions: Positions) {
    let who = &reader.user;
    let mut seen: BTreeMap<Position, &Row> = BTreeMap::new();
    for row in &reader.seen {
        assert_eq!(seen.insert(row.position, row), None, "{who}: twice");
    }
    if positions == Positions::Kept {
        assert!(reader.breaks.is_empty(), "{who} was not recovered: {:?}", reader.breaks);
    }
    let last = table.rows.last().map(|row| row.epoch());
    for row in &table.rows {
        match seen.remove(&row.position) {
            Some(seen) => assert_eq!(seen, row, "{who}"),
            None => {
                let told =
                    |(from, to): &(Position, Position)| (*from..=*to).contains(&row.position);
                assert!(
                    reader.breaks.iter().any(told),
                    "{who} did not see {}, and was told of {:?} only",
                    row.position,
                    reader.breaks
                );
            }
        }
    }
    // Shown, and then lost with Redis or said again: under the name that has its row elsewhere.
    let names: HashSet<(&str, &str)> = table.rows.iter().map(name).collect();
    for (position, row) in seen {
        assert_eq!(positions, Positions::Rolled, "{who} saw {row:?}, which is not there");
        let explained = table.marks.contains(&position) || Some(position.epoch) < last;
        assert!(explained, "{who} saw {row:?}, which is no row and no mark");
        assert!(names.contains(&name(row)), "{who} saw {row:?}, which nobody sent");
    }
}

impl Row {
    const fn epoch(&self) -> u64 {
        self.position.epoch
    }
}
