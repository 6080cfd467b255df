//! Compares what was sent with the rows of the server's SQLite file, opened for reading only.

use std::collections::HashMap;
use std::path::Path;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

/// What the database says about the named sends of a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RowsCheck {
    /// Named sends that have a row.
    pub stored: u64,
    /// Named sends that count and have none.
    pub missing: u64,
    /// Rows beyond the first of a name.
    pub doubled: u64,
}

#[derive(QueryableByName)]
struct Named {
    #[diesel(sql_type = Text)]
    origin_id: String,
    #[diesel(sql_type = BigInt)]
    copies: i64,
}

/// Looks for `names` (and whether each must be there) among the rows of rooms that begin with
/// `prefix`, which ends in `-`.
pub fn check<'a>(
    database: &Path,
    prefix: &str,
    names: impl Iterator<Item = (String, bool)> + 'a,
) -> Result<RowsCheck, String> {
    let stored = named_rows(database, prefix)
        .map_err(|error| format!("cannot read {}: {error}", database.display()))?;
    let mut result = RowsCheck::default();
    for (name, must_be_there) in names {
        match stored.get(&name) {
            Some(copies) => {
                result.stored += 1;
                result.doubled += copies.saturating_sub(1);
            }
            None => result.missing += u64::from(must_be_there),
        }
    }
    Ok(result)
}

fn named_rows(
    database: &Path,
    prefix: &str,
) -> Result<HashMap<String, u64>, Box<dyn std::error::Error>> {
    let path = database.to_str().ok_or("the path is not UTF-8")?;
    let encoded = path.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    let mut connection = SqliteConnection::establish(&format!("file:{encoded}?mode=ro"))?;
    diesel::sql_query("PRAGMA busy_timeout = 5000").execute(&mut connection)?;
    // `.` comes right after `-`, so this is the range of all names with the prefix.
    let end = format!("{}.", prefix.trim_end_matches('-'));
    let rows = diesel::sql_query(
        "SELECT origin_id, COUNT(*) AS copies FROM messages \
         WHERE room >= ? AND room < ? AND origin_id IS NOT NULL GROUP BY room, origin_id",
    )
    .bind::<Text, _>(prefix)
    .bind::<Text, _>(&end)
    .load::<Named>(&mut connection)?;
    Ok(rows.into_iter().map(|row| (row.origin_id, row.copies.unsigned_abs())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_stored_missing_or_doubled() {
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
        let names = [("a", true), ("b2", true), ("c", true), ("d", false)];
        let names = names.into_iter().map(|(name, must)| (name.to_owned(), must));
        let result = check(&file, "load-1-", names).unwrap();
        assert_eq!(result, RowsCheck { stored: 2, missing: 1, doubled: 1 });
    }

    #[test]
    fn a_missing_file_is_told_by_name() {
        let refusal = check(Path::new("/nowhere/moim.db"), "x-", std::iter::empty()).unwrap_err();
        assert!(refusal.contains("/nowhere/moim.db"));
    }
}
