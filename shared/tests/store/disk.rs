//! The file under SQLite: what survives, and what an operator is told when it cannot be used.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use moim_shared::position::Position;
use moim_shared::store::inbox::{Inbox, Token};
use moim_shared::store::sqlite::SqliteStore;
use moim_shared::store::{Access, Store, StoreError, Stored};

use crate::make::{all, at, named, nameless, room, user};
use crate::{file_in, fresh};

#[derive(QueryableByName, Debug, PartialEq)]
struct Cell {
    #[diesel(sql_type = Text)]
    t: String,
    #[diesel(sql_type = BigInt)]
    n: i64,
}

/// Another program that has the file open.
fn stranger(path: &Path) -> SqliteConnection {
    let mut conn = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
    conn.batch_execute("PRAGMA busy_timeout=5000").unwrap();
    conn
}

fn refusal(path: &Path) -> StoreError {
    let error = SqliteStore::open(path).err().expect("a store that cannot be opened");
    let part = path.file_name().unwrap().to_str().unwrap();
    assert!(error.to_string().contains(part), "it names the file: {error}");
    assert!(error.to_string().contains(';'), "it says what to do: {error}");
    error
}

#[tokio::test]
async fn a_store_that_is_opened_again_has_everything() {
    let (dir, store) = fresh();
    store.insert(all([named(0, "a", "x"), named(1, "a", "x"), nameless(2, "y")])).await.unwrap();
    store.admit(&room("r"), &user("mina"), None).await.unwrap();
    drop(store);
    let store = SqliteStore::open(&file_in(&dir)).unwrap();
    let page = store.history(&room("r"), Position::ZERO, 10, 1 << 20).await.unwrap();
    assert_eq!(page.envelopes.len(), 2);
    assert_eq!(store.insert(all([nameless(2, "y")])).await.unwrap(), [Stored::Again]);
    assert_eq!(store.access(&room("r"), &user("mina")).await.unwrap(), Access::Member);
}

#[tokio::test]
async fn a_text_can_be_read_in_any_sqlite_shell() {
    let (dir, store) = fresh();
    let mut binary = named(1, "b", "x");
    binary.binary = true;
    store.insert(all([nameless(0, "안녕"), binary])).await.unwrap();
    let cells: Vec<Cell> = diesel::sql_query(
        "SELECT typeof(body) || ' ' || ifnull(origin_id, '-') || ' ' || body AS t, seq AS n \
         FROM messages WHERE room = 'r' ORDER BY epoch, seq",
    )
    .load(&mut stranger(&file_in(&dir)))
    .unwrap();
    let cell = |t: &str, n| Cell { t: t.into(), n };
    assert_eq!(cells, [cell("text - 안녕", 0), cell("blob b x", 1)]);
}

#[tokio::test]
async fn a_ban_stands_above_a_grant() {
    let (dir, store) = fresh();
    let (r, mina) = (room("r"), user("mina"));
    store.admit(&r, &mina, None).await.unwrap();
    stranger(&file_in(&dir)).batch_execute("UPDATE members SET banned = TRUE").unwrap();
    assert_eq!(store.access(&r, &mina).await.unwrap(), Access::Banned);
    assert_eq!(store.admit(&r, &mina, None).await.unwrap(), Access::Banned);
}

#[tokio::test]
async fn what_an_inbox_cannot_read_keeps_nothing_else_from_it() {
    let (dir, store) = fresh();
    let mina = user("mina");
    for id in ["a", "b", "c"] {
        store.admit(&room(id), &mina, None).await.unwrap();
    }
    let newer = "UPDATE members SET role = 'emperor' WHERE room = 'b'";
    stranger(&file_in(&dir)).batch_execute(newer).unwrap();
    let pairs = ["a", "b", "c"].map(|id| (mina.clone(), room(id))).into();
    let entries = store.inbox_entries(pairs).await.unwrap();
    let rooms: Vec<&str> = entries.iter().map(|entry| entry.room.as_str()).collect();
    assert_eq!(rooms, ["a", "c"]);
    let (mut since, mut found) = (Token::ZERO, Vec::new());
    loop {
        let page = store.inbox_changes(&mina, Some(since), 1).await.unwrap();
        found.extend(page.entries.into_iter().map(|(entry, _)| entry.room.to_string()));
        since = page.next;
        if !page.more {
            break;
        }
    }
    found.sort_unstable();
    assert_eq!(found, ["a", "c"]);
}

#[test]
fn two_servers_never_share_a_file() {
    let (dir, store) = fresh();
    let error = refusal(&file_in(&dir));
    assert!(matches!(&error, StoreError::Unusable(why) if why.contains("moim.db.lock")), "{error}");
    drop(store);
    SqliteStore::open(&file_in(&dir)).unwrap();
}

#[test]
fn what_is_no_database_of_ours_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let text = dir.path().join("moim.db");
    std::fs::write(&text, "dear diary, ".repeat(1000)).unwrap();
    assert!(matches!(refusal(&text), StoreError::Unusable(_)));
    assert!(std::fs::read_to_string(&text).unwrap().starts_with("dear diary"));

    let other = dir.path().join("other.db");
    stranger(&other).batch_execute("CREATE TABLE recipes (name)").unwrap();
    assert!(matches!(refusal(&other), StoreError::Unusable(_)));

    let folder = dir.path().join("folder.db");
    std::fs::create_dir(&folder).unwrap();
    SqliteStore::open(&folder).err().expect("a folder is no file");
    let inside = text.join("moim.db");
    assert!(matches!(SqliteStore::open(&inside).err(), Some(StoreError::Unusable(_))));
}

#[tokio::test]
async fn a_damaged_file_is_refused_at_the_start() {
    let (dir, store) = fresh();
    let body = "x".repeat(500);
    store.insert(all((0..200).map(|n| nameless(n, &body)))).await.unwrap();
    drop(store);
    let mut bytes = std::fs::read(file_in(&dir)).unwrap();
    for page in bytes.chunks_mut(4096).skip(4) {
        page[..64].fill(0xa5);
    }
    std::fs::write(file_in(&dir), bytes).unwrap();
    assert!(matches!(refusal(&file_in(&dir)), StoreError::Unusable(_)));
}

#[test]
fn a_newer_schema_is_told_apart() {
    let (dir, store) = fresh();
    drop(store);
    let newer = "INSERT INTO __diesel_schema_migrations (version) VALUES ('29990101000000')";
    stranger(&file_in(&dir)).batch_execute(newer).unwrap();
    assert!(matches!(refusal(&file_in(&dir)), StoreError::Migration(_)));
}

#[tokio::test]
async fn readers_see_what_is_committed_while_a_write_waits() {
    let (dir, store) = fresh();
    store.insert(all([nameless(0, "x")])).await.unwrap();
    let mut other = stranger(&file_in(&dir));
    other.batch_execute("BEGIN IMMEDIATE").unwrap();
    let waiting = store.insert(all([nameless(1, "y")]));
    let reading = async {
        assert_eq!(store.head(&room("r")).await.unwrap(), Some(at(0)));
        other.batch_execute("COMMIT").unwrap();
    };
    let (stored, ()) = tokio::join!(waiting, reading);
    assert_eq!(stored.unwrap(), [Stored::New]);
    assert_eq!(store.head(&room("r")).await.unwrap(), Some(at(1)));
}

#[tokio::test]
async fn a_lock_that_stays_is_an_outage_that_ends_with_it() {
    let (dir, store) = fresh();
    let mut other = stranger(&file_in(&dir));
    other.batch_execute("BEGIN IMMEDIATE").unwrap();
    let error = store.insert(all([nameless(0, "x")])).await.unwrap_err();
    assert!(error.retryable() && error.to_string().contains("moim.db"), "{error}");
    assert_eq!(store.head(&room("r")).await.unwrap(), None, "nothing was stored");
    other.batch_execute("ROLLBACK").unwrap();
    assert_eq!(store.insert(all([nameless(0, "x")])).await.unwrap(), [Stored::New]);
}

/// Set in the child process of the test below, whose files may not grow beyond a size.
const SMALL_DISK: &str = "MOIM_TEST_SMALL_DISK";

#[tokio::test]
async fn a_disk_that_is_full_refuses_and_goes_on_when_there_is_room() {
    if let Some(path) = std::env::var_os(SMALL_DISK) {
        return fill_and_free(Path::new(&path)).await;
    }
    // The limit is a whole process's, so another process has it. The signal would end it.
    let dir = tempfile::tempdir().unwrap();
    let child = Command::new("sh")
        .args(["-c", r#"trap "" XFSZ; ulimit -S -f 2048; exec "$0" "$@""#])
        .arg(std::env::current_exe().unwrap())
        .args(["--nocapture", "--exact"])
        .arg("disk::a_disk_that_is_full_refuses_and_goes_on_when_there_is_room")
        .env(SMALL_DISK, file_in(&dir))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success(), "{said}{}", String::from_utf8_lossy(&child.stderr));
    assert!(said.contains("1 passed"), "{said}");
}

async fn fill_and_free(path: &Path) {
    let store = SqliteStore::open(path).unwrap();
    let body = "x".repeat(2000);
    let batch = |n: u64| all((n * 10..n * 10 + 10).map(|seq| nameless(seq, &body)));
    let mut stored = 0;
    let error = loop {
        match store.insert(batch(stored)).await {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
        assert!(stored < 10_000, "the limit does not hold");
    };
    assert!(error.retryable() && error.to_string().contains("moim.db"), "{error}");
    let head = store.head(&room("r")).await.unwrap();
    assert_eq!(head, Some(at(stored * 10 - 1)), "exactly what was answered for");

    let me = std::process::id().to_string();
    let freed = Command::new("prlimit").args(["--pid", &me, "--fsize=unlimited"]).status();
    assert!(freed.unwrap().success());
    let deadline = Instant::now() + Duration::from_secs(20);
    while let Err(error) = store.insert(batch(stored)).await {
        assert!(Instant::now() < deadline, "{error}");
    }
    drop(store);
    let store = SqliteStore::open(path).unwrap();
    let page = store.history(&room("r"), Position::ZERO, usize::MAX, usize::MAX).await.unwrap();
    assert_eq!(page.envelopes.len() as u64, (stored + 1) * 10);
}
