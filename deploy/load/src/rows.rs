//! Compares what was sent with the rows of the server's database.

mod database;
mod postgres;
mod sqlite;

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::{Instant, sleep};

pub use self::database::Database;

/// How often a database is looked into that is written behind.
const LOOK: Duration = Duration::from_millis(100);

/// Names of rows and how often each stands.
pub type Copies = HashMap<String, u64>;

/// A named send, and whether it must have a row.
pub type Name = (String, bool);

/// What the database says about the named sends of a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RowsCheck {
    /// Named sends that have a row.
    pub stored: u64,
    /// Named sends that count and have none.
    pub missing: u64,
    /// Rows beyond the first of a name.
    pub doubled: u64,
    /// Where rows are written behind: from the last RECEIPT until all were seen to be there, or
    /// until that was given up.
    pub flush: Option<Duration>,
}

/// Looks for `names` among the rows of rooms that begin with `prefix`, which ends in `-`. In
/// Postgres the rows may come later: they are waited for, `patience` at most.
pub async fn check(
    database: &Database,
    prefix: &str,
    names: &[Name],
    last_receipt: Option<Instant>,
    patience: Duration,
) -> Result<RowsCheck, String> {
    match database {
        Database::Sqlite(file) => {
            let (file, prefix) = (file.clone(), prefix.to_owned());
            let shown = file.display().to_string();
            let read = move || sqlite::named(&file, &prefix).map_err(|error| error.to_string());
            let rows = tokio::task::spawn_blocking(read).await.map_err(|error| error.to_string());
            let rows = rows.flatten().map_err(|error| format!("cannot read {shown}: {error}"))?;
            Ok(compare(&rows, names))
        }
        Database::Postgres(url) => {
            let began = Instant::now();
            let due = names.iter().filter(|(_, must)| *must).count() as u64;
            let mut reader = None;
            loop {
                let last_look = began.elapsed() >= patience;
                match look(&mut reader, url, prefix, names, due).await {
                    Ok((seen, found)) if last_look || found.missing == 0 => {
                        let flush = Some(seen - last_receipt.unwrap_or(began));
                        return Ok(RowsCheck { flush, ..found });
                    }
                    Err(refusal) if last_look => return Err(refusal),
                    // It may be away for a while, too.
                    Ok(_) | Err(_) => sleep(LOOK).await,
                }
            }
        }
    }
}

/// One look at Postgres, and when it was answered; only when enough rows are there are their names
/// read.
async fn look(
    reader: &mut Option<postgres::Reader>,
    url: &str,
    prefix: &str,
    names: &[Name],
    due: u64,
) -> Result<(Instant, RowsCheck), String> {
    let open = match reader.take() {
        Some(open) => open,
        None => postgres::Reader::open(url).await?,
    };
    let count = open.count(prefix).await?;
    let seen = Instant::now();
    let found = if count < due {
        RowsCheck { stored: count, missing: due - count, ..RowsCheck::default() }
    } else {
        compare(&open.named(prefix).await?, names)
    };
    *reader = Some(open);
    Ok((seen, found))
}

fn compare(rows: &Copies, names: &[Name]) -> RowsCheck {
    let mut found = RowsCheck::default();
    for (name, must_be_there) in names {
        match rows.get(name) {
            Some(copies) => {
                found.stored += 1;
                found.doubled += copies.saturating_sub(1);
            }
            None => found.missing += u64::from(*must_be_there),
        }
    }
    found
}

/// The end of the range of all rooms that begin with `prefix`: `.` comes right after `-`.
fn end_of(prefix: &str) -> String {
    format!("{}.", prefix.trim_end_matches('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_stored_missing_or_doubled() {
        let rows = [("a", 1), ("b", 2)].map(|(name, copies)| (name.to_owned(), copies)).into();
        let names = [("a", true), ("b", true), ("c", true), ("d", false)];
        let names = names.map(|(name, must)| (name.to_owned(), must));
        let expected = RowsCheck { stored: 2, missing: 1, doubled: 1, flush: None };
        assert_eq!(compare(&rows, &names), expected);
    }

    #[tokio::test]
    async fn a_missing_file_is_told_by_name() {
        let database = "/nowhere/moim.db".parse().unwrap();
        let refusal = check(&database, "x-", &[], None, Duration::ZERO).await.unwrap_err();
        assert!(refusal.contains("/nowhere/moim.db"));
    }
}
