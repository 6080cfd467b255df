//! The rows of a server's SQLite file, opened for reading only.

use std::path::Path;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::{Copies, end_of};

#[derive(QueryableByName)]
struct Named {
    #[diesel(sql_type = Text)]
    origin_id: String,
    #[diesel(sql_type = BigInt)]
    copies: i64,
}

/// The names of rows in rooms that begin with `prefix`, which ends in `-`, and how often each stands.
pub fn named(database: &Path, prefix: &str) -> Result<Copies, Box<dyn std::error::Error>> {
    let path = database.to_str().ok_or("the path is not UTF-8")?;
    let encoded = path.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    let mut connection = SqliteConnection::establish(&format!("file:{encoded}?mode=ro"))?;
    diesel::sql_query("PRAGMA busy_timeout = 5000").execute(&mut connection)?;
    let rows = diesel::sql_query(
        "SELECT origin_id, COUNT(*) AS copies FROM messages \
         WHERE room >= ? AND room < ? AND origin_id IS NOT NULL GROUP BY room, origin_id",
    )
    .bind::<Text, _>(prefix)
    .bind::<Text, _>(end_of(prefix))
    .load::<Named>(&mut connection)?;
    Ok(rows.into_iter().map(|row| (row.origin_id, row.copies.unsigned_abs())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_rooms_of_the_run() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("moim.db");
        let mut connection = SqliteConnection::establish(file.to_str().unwrap()).unwrap();
        diesel::connection::SimpleConnection::batch_execute(
            &mut connection,
            "PRAGMA journal_mode = WAL;
             CREATE TABLE messages (room TEXT, origin_id TEXT);
             INSERT INTO messages VALUES
                ('load-1-0', 'a'), ('load-1-0', 'b'), ('load-1-7', 'b2'), ('load-1-7', 'b2'),
                ('load-1-0', NULL), ('load-10-0', 'c'), ('other', 'c');",
        )
        .unwrap();
        let rows = named(&file, "load-1-").unwrap();
        let expected = [("a", 1), ("b", 1), ("b2", 2)];
        assert_eq!(rows, expected.map(|(name, copies)| (name.to_owned(), copies)).into());
    }
}
