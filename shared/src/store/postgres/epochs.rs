//! The lives of a room's log, as many processes see them.
//!
//! A row is late when a later epoch of its room is begun. So that no row slips in below while that
//! is looked at, who inserts holds one advisory lock shared and who begins epochs holds it alone: an insert
//! either is committed before an epoch begins, and counts for where the one before is sealed, or
//! sees that it has begun. Shared holders do not wait for each other; epochs begin rarely.

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Text};

use super::Conn;
use super::rows::row::{signed, unsigned};
use crate::ids::RoomId;

/// Begins a transaction that inserts. Nothing is read in it that another could change before its
/// end but what this lock and the tables' own keys keep. The key is "moim" and a number.
pub(super) const BEGIN_SHARED: &str =
    "BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock_shared(1836018029, 1)";

/// Begins a transaction while which nobody inserts.
pub(super) const BEGIN_ALONE: &str =
    "BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock(1836018029, 1)";

/// Rooms whose epochs one transaction begins, while inserts wait.
pub(super) const AT_ONCE: usize = 2_000;

/// The newest epoch that is begun of each of the rooms.
macro_rules! newest {
    () => {
        "(SELECT room, max(epoch) AS epoch FROM epochs WHERE begun AND room = ANY($1) \
         GROUP BY room) AS newest"
    };
}

const BEGIN: &str = "INSERT INTO epochs (room, epoch, begun) \
     SELECT room, epoch, TRUE FROM UNNEST($1, $2) AS given (room, epoch) \
     ON CONFLICT (room, epoch) DO UPDATE SET begun = TRUE WHERE NOT epochs.begun";

const SEAL: &str = concat!(
    "UPDATE epochs SET sealed_last = ended.last FROM (SELECT old.room, old.epoch, greatest( \
     (SELECT seq FROM messages AS m WHERE m.room = old.room AND m.epoch = old.epoch \
     ORDER BY seq DESC LIMIT 1), \
     (SELECT seq FROM marks AS m WHERE m.room = old.room AND m.epoch = old.epoch \
     ORDER BY seq DESC LIMIT 1)) AS last \
     FROM epochs AS old JOIN ",
    newest!(),
    " USING (room) WHERE old.epoch < newest.epoch AND old.sealed_last IS NULL) AS ended \
     WHERE epochs.room = ended.room AND epochs.epoch = ended.epoch AND ended.last IS NOT NULL"
);

const FORGET: &str = concat!(
    "DELETE FROM epochs USING ",
    newest!(),
    " WHERE epochs.room = newest.room AND epochs.epoch < newest.epoch AND sealed_last IS NULL"
);

/// Begins an epoch of each room and closes what is below. Nobody inserts meanwhile.
pub(super) fn begin(conn: &mut Conn, epochs: &[(RoomId, u64)]) -> QueryResult<()> {
    let rooms: Vec<&str> = epochs.iter().map(|(room, _)| room.as_str()).collect();
    let numbers: Vec<i64> = epochs.iter().map(|(_, epoch)| signed(*epoch)).collect();
    diesel::sql_query(BEGIN)
        .bind::<Array<Text>, _>(&rooms)
        .bind::<Array<BigInt>, _>(&numbers)
        .execute(conn)?;
    for close in [SEAL, FORGET] {
        diesel::sql_query(close).bind::<Array<Text>, _>(&rooms).execute(conn)?;
    }
    Ok(())
}

/// An epoch that is not simply going on.
#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = Text)]
    room: String,
    #[diesel(sql_type = BigInt)]
    epoch: i64,
    #[diesel(sql_type = Bool)]
    closed: bool,
}

const LOOK: &str = "SELECT * FROM (SELECT room, epoch, \
     EXISTS (SELECT FROM epochs AS e WHERE e.room = given.room AND e.epoch = given.epoch) AS known, \
     EXISTS (SELECT FROM epochs AS e WHERE e.room = given.room AND e.epoch > given.epoch \
     AND e.begun) AS closed FROM UNNEST($1, $2) AS given (room, epoch)) AS given \
     WHERE closed OR NOT known";

const ADD: &str = "INSERT INTO epochs (room, epoch) \
     SELECT * FROM UNNEST($1, $2) ON CONFLICT DO NOTHING";

/// Those of the epochs, given in order and each once, that are closed; the others are known after
/// this.
pub(super) fn look(conn: &mut Conn, epochs: &[(&str, u64)]) -> QueryResult<Vec<(String, u64)>> {
    let (rooms, numbers) = columns(epochs.iter().map(|(room, epoch)| (*room, signed(*epoch))));
    let found: Vec<Found> = diesel::sql_query(LOOK)
        .bind::<Array<Text>, _>(&rooms)
        .bind::<Array<BigInt>, _>(&numbers)
        .load(conn)?;
    let (closed, mut new): (Vec<Found>, Vec<Found>) =
        found.into_iter().partition(|found| found.closed);
    if !new.is_empty() {
        // In order, so that two who add the same do not wait for each other.
        new.sort_unstable_by(|a, b| (&a.room, a.epoch).cmp(&(&b.room, b.epoch)));
        let (rooms, numbers) = columns(new.iter().map(|new| (new.room.as_str(), new.epoch)));
        diesel::sql_query(ADD)
            .bind::<Array<Text>, _>(&rooms)
            .bind::<Array<BigInt>, _>(&numbers)
            .execute(conn)?;
    }
    Ok(closed.into_iter().map(|found| (found.room, unsigned(found.epoch))).collect())
}

fn columns<'a>(epochs: impl Iterator<Item = (&'a str, i64)>) -> (Vec<&'a str>, Vec<i64>) {
    epochs.unzip()
}
