//! What went wrong, from SQLite's words to [`StoreError`].
//!
//! Diesel hides SQLite's result code, but its texts are fixed: one function reads them.

use std::path::Path;

use diesel::ConnectionError;
use diesel::result::Error;

use crate::store::StoreError;

/// Another program holds it, the disk is full or does not answer: may pass by itself.
const AWAY: [(&str, &str); 8] = [
    ("database or disk is full", "free some disk space"),
    ("database is locked", "another program holds its lock: end that program's transaction"),
    ("table is locked", "another program holds its lock: end that program's transaction"),
    ("locking protocol", "another program holds its lock: end that program's transaction"),
    ("disk I/O error", "see the system's log about this disk"),
    ("unable to open database file", "check that the file and its folder are there"),
    ("out of memory", "give the process more memory"),
    ("interrupted", "try again"),
];

/// It stays like this until somebody does something.
const BROKEN: [(&str, &str); 5] = [
    ("file is not a database", "move it away, or put the right file there"),
    ("malformed", "put a backup in its place, or try `sqlite3 moim.db .recover`"),
    ("readonly database", "let this user write to the file and to its folder"),
    ("read-only file system", "let this user write to the file and to its folder"),
    ("large file support is disabled", "move it to another file system"),
];

/// Tells by the text what kind of failure it is; the answer names the file and what to do.
pub(super) fn classify(file: &Path, text: &str) -> StoreError {
    let file = file.display();
    let known = |list: &[(&str, &'static str)]| {
        list.iter().find(|(words, _)| text.contains(words)).map(|(_, advice)| *advice)
    };
    if let Some(advice) = known(&BROKEN) {
        StoreError::Unusable(format!("{file}: {text}; {advice}"))
    } else if let Some(advice) = known(&AWAY) {
        StoreError::Unavailable(format!("{file}: {text}; {advice}"))
    } else {
        StoreError::Refused(format!("{file}: {text}"))
    }
}

/// [`classify`] for a statement.
pub(super) fn of_statement(file: &Path, error: &Error) -> StoreError {
    match error {
        // Rows are written by this program alone, so one that cannot be read was changed outside.
        Error::DeserializationError(cause) => StoreError::Unusable(format!(
            "{}: a row is not as it was written: {cause}; correct it, or put a backup in its place",
            file.display()
        )),
        other => classify(file, &other.to_string()),
    }
}

/// [`classify`] for opening a connection.
pub(super) fn of_connection(file: &Path, error: &ConnectionError) -> StoreError {
    classify(file, &error.to_string())
}

#[cfg(test)]
mod tests {
    use diesel::connection::SimpleConnection;
    use diesel::{Connection, SqliteConnection};

    use super::*;

    fn failure(conn: &mut SqliteConnection, sql: &str) -> StoreError {
        let error = conn.batch_execute(sql).expect_err(sql);
        of_statement(Path::new("moim.db"), &error)
    }

    #[test]
    fn a_full_database_and_a_held_lock_are_away() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        let mut one = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
        one.batch_execute("PRAGMA max_page_count=2; CREATE TABLE a (x)").unwrap();
        let full = failure(&mut one, "INSERT INTO a VALUES (zeroblob(100000))");
        assert!(full.retryable() && full.to_string().contains("free some disk"), "{full}");

        one.batch_execute("BEGIN EXCLUSIVE").unwrap();
        let mut two = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
        let locked = failure(&mut two, "SELECT * FROM a");
        assert!(locked.retryable() && locked.to_string().contains("another program"), "{locked}");
    }

    #[test]
    fn a_text_file_damage_and_a_write_to_a_reader_need_somebody() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        std::fs::write(&path, "dear diary, ".repeat(100)).unwrap();
        let mut text = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
        let text = failure(&mut text, "SELECT * FROM sqlite_master");
        assert!(matches!(&text, StoreError::Unusable(why) if why.contains("moim.db")), "{text}");

        let mut reader = SqliteConnection::establish(":memory:").unwrap();
        reader.batch_execute("CREATE TABLE a (x); PRAGMA query_only=ON").unwrap();
        let refused = failure(&mut reader, "INSERT INTO a VALUES (1)");
        assert!(matches!(refused, StoreError::Unusable(_)), "{refused}");

        for text in ["database disk image is malformed", "malformed database schema (a)"] {
            assert!(matches!(classify(Path::new("a"), text), StoreError::Unusable(_)), "{text}");
        }
    }

    #[test]
    fn a_wrong_statement_is_the_programs_own_fault() {
        let mut conn = SqliteConnection::establish(":memory:").unwrap();
        let wrong = failure(&mut conn, "SELECT * FROM nowhere");
        assert!(matches!(wrong, StoreError::Refused(_)), "{wrong}");
    }
}
