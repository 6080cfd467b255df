//! What is Postgres' own: many processes, connections that end, and a schema that somebody migrates.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::{join, join_all};
use moim_shared::envelope::Envelope;
use moim_shared::ids::RoomId;
use moim_shared::position::Position;
use moim_shared::store::inbox::Inbox;
use moim_shared::store::postgres::{Options, PostgresStore, migrate};
use moim_shared::store::{Access, Store, StoreError, Stored};

use crate::fresh_postgres;
use crate::make::{EPOCH, all, at, named, nameless, room, user};
use crate::support::TestDatabase;

async fn open(database: &TestDatabase) -> PostgresStore {
    PostgresStore::open(database.url(), Options::default()).await.unwrap()
}

/// Everything of a room.
async fn places(store: &PostgresStore, id: &RoomId) -> Vec<Position> {
    let page = store.history(id, Position::ZERO, 1_000_000, 1 << 30).await.unwrap();
    page.envelopes.iter().map(|envelope| envelope.position).collect()
}

/// Asks until it is answered, as a worker does.
async fn answered<T, F: Future<Output = Result<T, StoreError>>>(ask: impl Fn() -> F) -> T {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(error) => {
                assert!(error.retryable(), "{error}");
                assert!(Instant::now() < deadline, "it does not heal: {error}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

#[tokio::test]
async fn it_heals_when_its_connections_are_ended_and_nothing_is_doubled() {
    let (database, store) = fresh_postgres().await;
    let admin = database.client().await;
    let done = AtomicBool::new(false);
    let r = room("r");
    let inserting = async {
        for n in 0..60 {
            let batch = all((0..20).map(|i| named(n * 20 + i, &format!("n{n}-{i}"), "x")));
            answered(|| store.insert(batch.clone())).await;
            let reached = answered(|| store.head(&r)).await;
            assert_eq!(reached, Some(at(n * 20 + 19)), "readers heal, too");
        }
        done.store(true, Ordering::Relaxed);
    };
    let ending = async {
        while !done.load(Ordering::Relaxed) {
            let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                 WHERE datname = current_database() AND pid <> pg_backend_pid()";
            admin.batch_execute(end).await.unwrap();
            tokio::time::sleep(Duration::from_millis(15)).await;
        }
    };
    join(inserting, ending).await;
    let expected: Vec<Position> = (0..1200).map(at).collect();
    assert_eq!(places(&store, &r).await, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn overlapping_batches_of_two_processes_store_every_row_once() {
    let (database, one) = fresh_postgres().await;
    let two = open(&database).await;
    let row = |n: u64| {
        let id = room(&format!("r{}", n % 7));
        Envelope { room: id, ..named(n / 7, &format!("n{n}"), "x") }
    };
    // Each batch of the one meets two of the other, which come in another order.
    let mut of_one: Vec<_> = (0..40).map(|n| all((n * 50..n * 50 + 100).map(row))).collect();
    let mut of_two: Vec<_> = (0..40).map(|n| all((n * 50..n * 50 + 100).rev().map(row))).collect();
    of_one.reverse();
    of_two.rotate_left(20);
    let store = async |store: &PostgresStore, batches: Vec<Vec<Arc<Envelope>>>| {
        let stored = join_all(batches.into_iter().map(|batch| store.insert(batch))).await;
        let stored: Vec<Stored> = stored.into_iter().flat_map(|stored| stored.unwrap()).collect();
        assert!(stored.iter().all(|stored| matches!(stored, Stored::New | Stored::Again)));
        stored.iter().filter(|stored| **stored == Stored::New).count()
    };
    let (new_of_one, new_of_two) = join(store(&one, of_one), store(&two, of_two)).await;
    assert_eq!(new_of_one + new_of_two, 2050, "each row is new to one of them");
    for n in 0..7 {
        let count = (n..2050).step_by(7).count() as u64;
        let expected: Vec<Position> = (0..count).map(at).collect();
        assert_eq!(places(&one, &room(&format!("r{n}"))).await, expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_that_cross_between_processes_are_each_given_once() {
    let (database, one) = fresh_postgres().await;
    let two = open(&database).await;
    // Names in the order of positions for the one, against it for the other.
    for round in 0..20 {
        let first = round * 100;
        let forth =
            all((0..20).map(|n| named(first + n, &format!("{round}-{n}"), &format!("{n}"))));
        let back = all((0..20).map(|n| {
            let of = 19 - n;
            named(first + 50 + n, &format!("{round}-{of}"), &format!("{of}"))
        }));
        let (forth, back) = join(one.insert(forth), two.insert(back)).await;
        let both = [forth.unwrap(), back.unwrap()].concat();
        let new = both.iter().filter(|stored| **stored == Stored::New).count();
        let marks = both.iter().filter(|s| matches!(s, Stored::Duplicate { .. })).count();
        assert_eq!((new, marks), (20, 20));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_an_epoch_began_no_row_comes_below_it_from_any_process() {
    let (database, one) = fresh_postgres().await;
    let others = [open(&database).await, open(&database).await];
    let r = room("r");
    for round in 0..25 {
        let epoch = EPOCH + round;
        let begun = AtomicBool::new(false);
        let begun = &begun;
        let r = &r;
        let inserting = others.iter().zip(0..).map(|(store, part)| async move {
            let (mut stored, mut late) = (Vec::new(), 0);
            for n in (part..).step_by(2) {
                let position = Position::new(epoch, n);
                let row = Envelope { position, ..nameless(0, "x") };
                let said_before = begun.load(Ordering::SeqCst);
                match store.insert(all([row])).await.unwrap()[..] {
                    [Stored::New] => {
                        assert!(!said_before, "{position} came below");
                        stored.push(position);
                    }
                    [Stored::Late] => late += 1,
                    ref other => panic!("{other:?}"),
                }
                if late == 2 {
                    break;
                }
            }
            stored
        });
        let beginning = async {
            while one.head(r).await.unwrap() < Some(Position::new(epoch, 4)) {}
            one.begin_epoch(r, epoch + 1).await.unwrap();
            begun.store(true, Ordering::SeqCst);
            let sealed = one.epochs(r).await.unwrap();
            (
                sealed.iter().find(|known| known.epoch == epoch).unwrap().sealed,
                places(&one, r).await,
            )
        };
        let (stored, (sealed, seen)) = join(join_all(inserting), beginning).await;
        let mut stored: Vec<Position> = stored.concat();
        stored.sort_unstable();
        assert_eq!(stored.last().map(|last| last.seq), sealed, "sealed at the last row");
        let seen: Vec<_> = seen.into_iter().filter(|position| position.epoch == epoch).collect();
        assert_eq!(seen, stored, "who looks after it sees all that will ever be there");
    }
}

#[tokio::test]
async fn what_waits_for_an_epoch_to_begin_is_late() {
    let (database, store) = fresh_postgres().await;
    store.insert(all([nameless(0, "x")])).await.unwrap();
    let mut admin = database.client().await;
    let beginning = admin.transaction().await.unwrap();
    beginning.batch_execute("SELECT pg_advisory_xact_lock(1836018029, 1)").await.unwrap();
    let waiting = store.insert(all([nameless(1, "x"), nameless(0, "x")]));
    let begin = async {
        let deadline = Instant::now() + Duration::from_secs(10);
        let waits = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted \
             AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        while beginning.query(waits, &[]).await.unwrap().is_empty() {
            assert!(Instant::now() < deadline, "it does not wait");
        }
        let begun = format!("INSERT INTO epochs VALUES ('r', {}, NULL, TRUE)", EPOCH + 1);
        beginning.batch_execute(&begun).await.unwrap();
        beginning.commit().await.unwrap();
    };
    let (stored, ()) = join(waiting, begin).await;
    assert_eq!(stored.unwrap(), [Stored::Late, Stored::Again]);
}

#[tokio::test]
async fn readers_do_not_wait_for_writers() {
    let (database, store) = fresh_postgres().await;
    store.insert(all([nameless(0, "x")])).await.unwrap();
    let mut admin = database.client().await;
    let holding = admin.transaction().await.unwrap();
    holding.batch_execute("LOCK TABLE messages, members IN EXCLUSIVE MODE").await.unwrap();
    let writing = join_all((1..20).map(|n| store.insert(all([nameless(n, "x")]))));
    let (r, mina) = (room("r"), user("mina"));
    let admitting = store.admit(&r, &mina, None);
    let reading = async {
        for _ in 0..20 {
            assert_eq!(store.head(&room("r")).await.unwrap(), Some(at(0)));
        }
        holding.commit().await.unwrap();
    };
    let ((written, admitted), ()) = join(join(writing, admitting), reading).await;
    assert!(written.iter().all(|stored| matches!(stored.as_deref(), Ok([Stored::New]))));
    assert_eq!(admitted, Ok(Access::Member));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_that_logs_in_on_many_nodes_is_let_in() {
    let (database, one) = fresh_postgres().await;
    let nodes = [one, open(&database).await, open(&database).await];
    let nodes = &nodes;
    let admitted = (0..2_000).map(|n| async move {
        let (id, who) = (room(&format!("r{}", n % 334)), user(&format!("u{n}")));
        nodes[n % 3].admit(&id, &who, None).await
    });
    let began = Instant::now();
    let admitted = tokio::time::timeout(Duration::from_secs(30), join_all(admitted)).await;
    for admitted in admitted.expect("all in time") {
        assert_eq!(admitted, Ok(Access::Member));
    }
    println!("2,000 were let in within {:?}", began.elapsed());
}

#[tokio::test]
async fn a_row_that_cannot_be_stored_is_refused_alone() {
    let (_database, store) = fresh_postgres().await;
    let bad = Envelope { sender_name: Some("a\0b".into()), ..nameless(1, "x") };
    let also_bad = Envelope { headers: vec![("a".into(), "\0".into())], ..nameless(2, "x") };
    let calls = [vec![nameless(0, "x")], vec![nameless(5, "x"), bad], vec![also_bad]];
    let calls = calls.into_iter().chain((6..30).map(|n| vec![nameless(n, "a\0b")]));
    let stored = join_all(calls.map(|batch| store.insert(all(batch)))).await;
    for (n, stored) in stored.into_iter().enumerate() {
        match n {
            1 | 2 => assert!(matches!(stored, Err(StoreError::Refused(_))), "{stored:?}"),
            _ => assert_eq!(stored.as_deref(), Ok(&[Stored::New][..])),
        }
    }
    let places = places(&store, &room("r")).await;
    assert_eq!(places, [0].into_iter().chain(6..30).map(at).collect::<Vec<_>>());
}

/// In a rolling upgrade.
#[tokio::test]
async fn a_cursor_that_an_older_program_moves_is_a_change_for_its_inbox() {
    let (database, store) = fresh_postgres().await;
    let (r, mina) = (room("r"), user("mina"));
    store.admit(&r, &mina, None).await.unwrap();
    let older = database.client().await;
    let pair = || vec![(mina.clone(), r.clone())];
    let mut last = store.inbox_entries(pair()).await.unwrap()[0].at;
    for seq in 1..3 {
        // The database's clock goes on.
        older.batch_execute("SELECT pg_sleep(0.002)").await.unwrap();
        let moves = format!(
            "INSERT INTO cursors (room, user_id, epoch, seq) VALUES ('r', 'mina', 1, {seq}) \
             ON CONFLICT (room, user_id) DO UPDATE SET epoch = excluded.epoch, seq = excluded.seq"
        );
        older.batch_execute(&moves).await.unwrap();
        let now = store.inbox_entries(pair()).await.unwrap()[0].at;
        assert!(now > last, "move {seq}");
        last = now;
    }
}

#[tokio::test]
async fn a_schema_that_is_older_or_newer_is_told_apart() {
    let database = TestDatabase::empty().await;
    let opening = || PostgresStore::open(database.url(), Options::default());
    let older = opening().await.unwrap_err();
    assert!(
        matches!(&older, StoreError::Migration(why) if why.contains("moim-server migrate")),
        "{older}"
    );
    // Many nodes at once: one does it, and the others find it done.
    let done = join_all(
        (0..8).map(|_| async { migrate(database.url(), &Options::default()).await.unwrap() }),
    )
    .await;
    assert_eq!(done.iter().filter(|done| !done.is_empty()).count(), 1, "{done:?}");
    opening().await.unwrap();
    let newer = "INSERT INTO __diesel_schema_migrations (version) VALUES ('29990101000000')";
    database.client().await.batch_execute(newer).await.unwrap();
    for newer in [
        opening().await.unwrap_err(),
        migrate(database.url(), &Options::default()).await.unwrap_err(),
    ] {
        assert!(matches!(&newer, StoreError::Migration(why) if why.contains("newer")), "{newer}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_and_a_user_who_may_not_are_told_without_the_password() {
    let database = TestDatabase::empty().await;
    let host = database.url().split('@').next_back().unwrap().to_owned();
    let open = async |url: String| PostgresStore::open(&url, Options::default()).await;
    let gone = open("postgres://ann:s3cret@127.0.0.1:1/moim".into()).await.unwrap_err();
    assert!(gone.retryable() && gone.to_string().contains("127.0.0.1:1/moim"), "{gone}");
    let stranger = open(format!("postgres://nobody_of_ours:s3cret@{host}")).await.unwrap_err();
    let nowhere = open(database.url().replacen("moim_test", "missing", 1)).await.unwrap_err();
    let unreadable = open("postgres://ann:s3cret@127.0.0.1:port/moim".into()).await.unwrap_err();
    for error in [&gone, &stranger, &nowhere, &unreadable] {
        assert!(!error.to_string().contains("s3cret"), "{error}");
        assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
    }
    for error in [&stranger, &nowhere, &unreadable] {
        assert!(matches!(error, StoreError::Misconfigured(_)), "{error}");
    }
}
