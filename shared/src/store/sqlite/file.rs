//! The file: its lock, its connections, and what must hold before anything is stored in it.

use std::fs::{DirBuilder, File, TryLockError};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use diesel::connection::SimpleConnection;
use diesel::migration::{MigrationSource, MigrationVersion};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use diesel::sqlite::Sqlite;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::fault;
use crate::store::StoreError;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/sqlite");

/// `PRAGMA application_id` of a database of ours; the first migration writes it.
const OURS: i64 = 0x4d6f_696d;

/// Up to this size the whole file is checked at the start; a larger one would keep a node from
/// coming up for seconds, and shows its damage when a page of it is read.
const CHECKED_SIZE: u64 = 64 << 20;

/// A database file that this process alone may serve.
#[derive(Debug)]
pub(super) struct Database {
    path: PathBuf,
    log: PathBuf,
    url: String,
    /// Held, not read: its end frees the file for the next process. Who only looks has none.
    _lock: Option<File>,
}

impl Database {
    /// Makes the folder and the file when they are missing, makes sure that they are ours and
    /// whole, and brings the schema up to date.
    pub(super) fn prepare(path: &Path) -> Result<Self, StoreError> {
        let path = absolute(path)?;
        if let Some(folder) = path.parent() {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
            made.map_err(|error| unusable(folder, &error))?;
        }
        refuse_folder(&path)?;
        let lock = lock(&path)?;
        make(&path)?;
        let database =
            Self { url: url(&path)?, log: beside(&path, "-wal"), path, _lock: Some(lock) };
        let mut conn = database.establish("rwc")?;
        database.run(&mut conn, "PRAGMA busy_timeout=5000")?;
        database.check(&mut conn)?;
        database.migrate(&mut conn)?;
        Ok(database)
    }

    /// Looks at the file that another process may serve, and says what its migrations lack. Nothing
    /// when it is not there yet.
    pub(super) fn look(path: &Path) -> Result<Option<Vec<String>>, StoreError> {
        let path = absolute(path)?;
        refuse_folder(&path)?;
        match std::fs::metadata(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unusable(&path, &error)),
            Ok(file) if file.len() == 0 => return Ok(None),
            Ok(_) => {}
        }
        let database = Self { url: url(&path)?, log: beside(&path, "-wal"), path, _lock: None };
        let mut conn = database.establish("rw")?;
        database.run(&mut conn, "PRAGMA busy_timeout=2000; PRAGMA query_only=ON")?;
        database.belongs(&mut conn)?;
        database.is_whole(&mut conn)?;
        let pending = database.pending(&mut conn)?;
        Ok(Some(pending))
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// A connection that writes. A commit has reached the disk when it returns.
    pub(super) fn writer(&self) -> Result<SqliteConnection, StoreError> {
        let mut conn = self.establish("rw")?;
        // A checkpoint every 32 MiB copies a page once to which many rows went, and is still no
        // pause that a RECEIPT would notice.
        let pragmas = "PRAGMA busy_timeout=2000; PRAGMA foreign_keys=ON; \
             PRAGMA synchronous=FULL; PRAGMA cache_size=-32768; PRAGMA temp_store=MEMORY; \
             PRAGMA wal_autocheckpoint=8192";
        self.run(&mut conn, pragmas)?;
        Ok(conn)
    }

    /// How long the log is that commits are appended to.
    pub(super) fn log_size(&self) -> u64 {
        std::fs::metadata(&self.log).map_or(0, |log| log.len())
    }

    /// A connection that only reads. Not memory-mapped: a failing disk shall be an error, not the
    /// end of the process.
    pub(super) fn reader(&self) -> Result<SqliteConnection, StoreError> {
        let mut conn = self.establish("rw")?;
        self.run(
            &mut conn,
            "PRAGMA busy_timeout=2000; PRAGMA query_only=ON; PRAGMA cache_size=-8192",
        )?;
        Ok(conn)
    }

    fn establish(&self, mode: &str) -> Result<SqliteConnection, StoreError> {
        SqliteConnection::establish(&format!("{}?mode={mode}", self.url))
            .map_err(|error| fault::of_connection(&self.path, &error))
    }

    fn run(&self, conn: &mut SqliteConnection, sql: &str) -> Result<(), StoreError> {
        conn.batch_execute(sql).map_err(|error| fault::of_statement(&self.path, &error))
    }

    fn belongs(&self, conn: &mut SqliteConnection) -> Result<(), StoreError> {
        let id = self.number(conn, "SELECT application_id AS n FROM pragma_application_id")?;
        let tables = self.number(conn, "SELECT count(*) AS n FROM sqlite_master")?;
        if id != OURS && tables > 0 {
            return Err(StoreError::Unusable(format!(
                "{} belongs to another program; name another folder in MOIM_DATA_DIR",
                self.path.display()
            )));
        }
        Ok(())
    }

    fn check(&self, conn: &mut SqliteConnection) -> Result<(), StoreError> {
        self.belongs(conn)?;
        self.run(conn, "PRAGMA journal_mode=WAL")?;
        if self.text(conn, "SELECT journal_mode AS t FROM pragma_journal_mode")? != "wal" {
            return Err(StoreError::Unusable(format!(
                "{} is on a file system without shared memory (a network share?); \
                 name a folder on a local disk in MOIM_DATA_DIR",
                self.path.display()
            )));
        }
        self.is_whole(conn)
    }

    fn is_whole(&self, conn: &mut SqliteConnection) -> Result<(), StoreError> {
        if std::fs::metadata(&self.path).is_ok_and(|file| file.len() <= CHECKED_SIZE) {
            let found =
                self.text(conn, "SELECT quick_check AS t FROM pragma_quick_check LIMIT 1")?;
            if found != "ok" {
                return Err(fault::classify(&self.path, &format!("malformed: {found}")));
            }
        }
        Ok(())
    }

    fn migrate(&self, conn: &mut SqliteConnection) -> Result<(), StoreError> {
        self.pending(conn)?;
        let done = conn.run_pending_migrations(MIGRATIONS);
        done.map(drop).map_err(|error| fault::classify(&self.path, &error.to_string()))
    }

    /// The migrations that are still to be done. One that nobody here knows is an error.
    fn pending(&self, conn: &mut SqliteConnection) -> Result<Vec<String>, StoreError> {
        let fault = |error: Box<dyn std::error::Error + Send + Sync>| {
            fault::classify(&self.path, &error.to_string())
        };
        let known = MigrationSource::<Sqlite>::migrations(&MIGRATIONS).map_err(fault)?;
        let applied = conn.applied_migrations().map_err(fault)?;
        let is_known = |version: &MigrationVersion<'_>| {
            known.iter().any(|ours| ours.name().version() == *version)
        };
        if let Some(version) = applied.iter().find(|version| !is_known(version)) {
            return Err(StoreError::Migration(format!(
                "{} has migration {version}, which this program does not know; \
                 start the newer program that wrote it",
                self.path.display()
            )));
        }
        let missing = known.iter().map(|ours| ours.name().version().to_string());
        let applied: Vec<_> = applied.iter().map(ToString::to_string).collect();
        Ok(missing.filter(|version| !applied.contains(version)).collect())
    }

    fn number(&self, conn: &mut SqliteConnection, sql: &str) -> Result<i64, StoreError> {
        #[derive(QueryableByName)]
        struct Number {
            #[diesel(sql_type = BigInt)]
            n: i64,
        }
        let row: QueryResult<Number> = diesel::sql_query(sql).get_result(conn);
        row.map(|row| row.n).map_err(|error| fault::of_statement(&self.path, &error))
    }

    fn text(&self, conn: &mut SqliteConnection, sql: &str) -> Result<String, StoreError> {
        #[derive(QueryableByName)]
        struct Word {
            #[diesel(sql_type = Text)]
            t: String,
        }
        let row: QueryResult<Word> = diesel::sql_query(sql).get_result(conn);
        row.map(|row| row.t).map_err(|error| fault::of_statement(&self.path, &error))
    }
}

fn absolute(path: &Path) -> Result<PathBuf, StoreError> {
    std::path::absolute(path).map_err(|error| unusable(path, &error))
}

fn refuse_folder(path: &Path) -> Result<(), StoreError> {
    if !path.is_dir() {
        return Ok(());
    }
    Err(StoreError::Unusable(format!(
        "{} is a directory and not a database; move it away, or name another folder in \
         MOIM_DATA_DIR",
        path.display()
    )))
}

/// Tries to write a file into the folder, or into the one in which it would be made.
pub(super) fn try_folder(folder: &Path) -> Result<(), StoreError> {
    let folder = absolute(folder)?;
    let there = folder.ancestors().find(|one| one.exists()).unwrap_or(&folder);
    let name = there.join(format!(".moim-doctor.{}", std::process::id()));
    let tried = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&name)
        .and_then(|mut file| file.write_all(&[0; 4096]).and_then(|()| file.sync_all()));
    // It is there unless it could not be made.
    let _ = std::fs::remove_file(&name);
    tried.map_err(|error| unusable(&folder, &error))
}

/// Keeps a second server away from the same data: SQLite alone would let both in, and each would
/// continue the rooms' orders by itself.
fn lock(path: &Path) -> Result<File, StoreError> {
    let name = beside(path, ".lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&name)
        .map_err(|error| unusable(&name, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Unusable(format!(
            "{} is in use by another server, which holds {}; stop that one, or name another \
             folder in MOIM_DATA_DIR",
            path.display(),
            name.display()
        ))),
        Err(TryLockError::Error(error)) => Err(unusable(&name, &error)),
    }
}

/// Makes the file when it is missing, for nobody else to read: SQLite would make it for everybody,
/// and gives its log the mode of the file.
fn make(path: &Path) -> Result<(), StoreError> {
    match File::options().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(unusable(path, &error)),
        _ => Ok(()),
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn unusable(path: &Path, error: &std::io::Error) -> StoreError {
    let path = path.display();
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            StoreError::Unavailable(format!("{path}: {error}; free some disk space"))
        }
        _ => StoreError::Unusable(format!(
            "{path}: {error}; name a folder in MOIM_DATA_DIR that this user may write to"
        )),
    }
}

/// The path as a URL, since only a URL can say that a missing file is not to be made anew: a
/// database that was deleted under a running server shall not come back empty.
fn url(path: &Path) -> Result<String, StoreError> {
    let Some(text) = path.to_str() else {
        return Err(StoreError::Unusable(format!(
            "{} is not UTF-8; name another folder in MOIM_DATA_DIR",
            path.display()
        )));
    };
    Ok(format!("file://{}", text.replace('%', "%25").replace('?', "%3f").replace('#', "%23")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_makes_is_for_nobody_else_and_what_was_there_keeps_its_mode() {
        use std::os::unix::fs::PermissionsExt;

        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("data");
        let path = folder.join("moim.db");
        let database = Database::prepare(&path).unwrap();
        let mut conn = database.writer().unwrap();
        database.run(&mut conn, "PRAGMA user_version=7").unwrap();
        assert_eq!(mode(&folder), 0o700);
        for suffix in ["", "-wal", "-shm", ".lock"] {
            assert_eq!(mode(&beside(&path, suffix)), 0o600, "{suffix}");
        }
        drop((conn, database));
        for path in [&folder, &path] {
            let wide = mode(path) | 0o040;
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(wide)).unwrap();
        }
        Database::prepare(&path).unwrap();
        assert_eq!((mode(&folder), mode(&path)), (0o740, 0o640));
    }

    #[test]
    fn migrations_go_down_and_up_again() {
        let dir = tempfile::tempdir().unwrap();
        let database = Database::prepare(&dir.path().join("a b#c?d%e.db")).unwrap();
        let mut conn = database.writer().unwrap();
        conn.revert_all_migrations(MIGRATIONS).unwrap();
        let tables = "SELECT count(*) AS n FROM sqlite_master WHERE name NOT LIKE '\\_\\_%' \
             ESCAPE '\\' AND name NOT LIKE 'sqlite%'";
        assert_eq!(database.number(&mut conn, tables), Ok(0));
        conn.run_pending_migrations(MIGRATIONS).unwrap();
        assert!(database.check(&mut conn).is_ok());
    }
}
