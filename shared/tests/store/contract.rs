//! The contract of `Store`, for any database that holds no room yet.

use std::collections::HashMap;
use std::sync::Arc;

use moim_shared::envelope::Envelope;
use moim_shared::ids::RoomId;
use moim_shared::position::Position;
use moim_shared::store::{Access, Epoch, Store, Stored};
use proptest::prelude::*;

use crate::make::{EPOCH, all, at, named, nameless, room, user};

const PLENTY: usize = 1 << 30;

async fn insert(store: &dyn Store, envelopes: Vec<Envelope>) -> Vec<Stored> {
    store.insert(all(envelopes)).await.unwrap()
}

/// Everything of room `r`.
async fn shown(store: &dyn Store) -> Vec<Arc<Envelope>> {
    let page = store.history(&room("r"), Position::ZERO, 100_000, PLENTY).await.unwrap();
    assert!(!page.more);
    page.envelopes
}

fn places(envelopes: &[Arc<Envelope>]) -> Vec<Position> {
    envelopes.iter().map(|envelope| envelope.position).collect()
}

pub async fn what_is_inserted_is_read_back_whole(store: &dyn Store) {
    let bodies: Vec<Vec<u8>> = vec![
        b"hello".to_vec(),
        Vec::new(),
        "만나서 반가워요".into(),
        b"a\0b".to_vec(),
        vec![0xff, 0xfe, 0],
        vec![b'x'; 1 << 20],
    ];
    let mut sent = Vec::new();
    for (seq, body) in (0..).zip(bodies) {
        for binary in [false, true] {
            let seq = seq * 2 + u64::from(binary);
            let mut envelope = named(seq, &format!("name-{seq}"), "");
            envelope.body = body.clone().into();
            envelope.binary = binary;
            envelope.sender_name = binary.then(|| "미나 ☂".to_owned());
            envelope.content_type = binary.then(|| "image/png".to_owned());
            envelope.headers = vec![("app:x".into(), "1\n2\\".into()), (String::new(), "é".into())];
            sent.push(envelope);
        }
    }
    insert(store, sent.clone()).await;
    assert_eq!(shown(store).await, all(sent));
}

pub async fn answers_come_in_the_order_given(store: &dyn Store) {
    insert(store, vec![named(1, "a", "x")]).await;
    let stored =
        insert(store, vec![nameless(7, "x"), named(9, "a", "x"), named(1, "a", "x")]).await;
    assert_eq!(stored, [Stored::New, Stored::Duplicate { first: at(1) }, Stored::Again]);
    assert_eq!(places(&shown(store).await), [at(1), at(7)]);
}

pub async fn inserting_again_changes_nothing(store: &dyn Store) {
    let batch = || vec![named(0, "a", "x"), nameless(1, "y"), named(2, "a", "other")];
    assert_eq!(insert(store, batch()).await, [Stored::New; 3]);
    let before = places(&shown(store).await);
    assert_eq!(insert(store, batch()).await, [Stored::Again; 3]);
    assert_eq!(places(&shown(store).await), before);
}

pub async fn a_name_that_came_again_with_its_body_is_a_mark(store: &dyn Store) {
    insert(store, vec![named(0, "a", "x")]).await;
    for _ in 0..2 {
        let again = insert(store, vec![named(5, "a", "x")]).await;
        assert_eq!(again, [Stored::Duplicate { first: at(0) }]);
    }
    assert_eq!(places(&shown(store).await), [at(0)]);
    assert_eq!(store.head(&room("r")).await.unwrap(), Some(at(5)), "a mark spends its number");
}

pub async fn a_name_with_another_body_is_a_message_of_its_own(store: &dyn Store) {
    insert(store, vec![named(0, "a", "x")]).await;
    assert_eq!(insert(store, vec![named(1, "a", "y")]).await, [Stored::New]);
    let rows = shown(store).await;
    assert_eq!(places(&rows), [at(0), at(1)]);
    assert_eq!(rows[1].body, "y");
    assert!(rows[0].origin.is_given() && !rows[1].origin.is_given());
}

pub async fn the_same_name_twice_in_one_insert_is_one_message(store: &dyn Store) {
    let stored = insert(
        store,
        vec![named(0, "a", "x"), named(1, "a", "x"), named(2, "a", "y"), named(0, "a", "x")],
    )
    .await;
    let first = at(0);
    assert_eq!(stored, [Stored::New, Stored::Duplicate { first }, Stored::New, Stored::Again]);
    assert_eq!(places(&shown(store).await), [at(0), at(2)]);
}

pub async fn a_name_is_the_senders_own_in_each_room(store: &dyn Store) {
    let mut other_sender = named(1, "a", "x");
    other_sender.sender = user("juno");
    let mut other_room = named(0, "a", "x");
    other_room.room = room("R");
    let stored = insert(store, vec![named(0, "a", "x"), other_sender, other_room]).await;
    assert_eq!(stored, [Stored::New; 3]);
}

pub async fn messages_without_a_name_never_meet(store: &dyn Store) {
    let one = nameless(0, "x");
    let mut two = one.clone();
    two.position = at(1);
    assert_eq!(insert(store, vec![one, two]).await, [Stored::New; 2]);
    let rows = shown(store).await;
    assert!(rows.iter().all(|row| !row.origin.is_given()));
    assert_ne!(rows[0].origin, rows[1].origin);
}

pub async fn history_is_bounded_by_rows_and_by_bytes(store: &dyn Store) {
    let body = "x".repeat(1000);
    insert(store, (0..10).map(|seq| nameless(seq, &body)).collect()).await;
    let weight = shown(store).await[0].weight();
    let page = async |after, limit, bytes| {
        let page = store.history(&room("r"), after, limit, bytes).await.unwrap();
        (page.envelopes.len(), page.more)
    };
    assert_eq!(page(Position::ZERO, 3, PLENTY).await, (3, true));
    assert_eq!(page(Position::ZERO, 10, PLENTY).await, (10, false));
    assert_eq!(page(at(6), 3, PLENTY).await, (3, false));
    assert_eq!(page(Position::ZERO, 10, 4 * weight).await, (4, true));
    assert_eq!(page(Position::ZERO, 10, 1).await, (1, true), "one at least");
    assert_eq!(page(at(9), 10, PLENTY).await, (0, false));
    let nowhere = store.history(&room("nowhere"), Position::ZERO, 10, PLENTY).await.unwrap();
    assert!(nowhere.envelopes.is_empty() && !nowhere.more);
}

pub async fn history_goes_on_over_epochs_without_a_gap(store: &dyn Store) {
    let mut sent = Vec::new();
    for (epoch, seq) in [(EPOCH, 0), (EPOCH, 1), (EPOCH + 1, 0), (EPOCH + 5, 0), (EPOCH + 5, 1)] {
        sent.push(Envelope { position: Position::new(epoch, seq), ..nameless(0, "x") });
    }
    insert(store, sent.clone()).await;
    for limit in 1..7 {
        let (mut after, mut seen) = (Position::ZERO, Vec::new());
        loop {
            let page = store.history(&room("r"), after, limit, PLENTY).await.unwrap();
            assert!(page.envelopes.len() <= limit);
            seen.extend(places(&page.envelopes));
            let Some(last) = seen.last().filter(|_| page.more) else { break };
            after = *last;
        }
        assert_eq!(seen, places(&all(sent.clone())), "in pages of {limit}");
    }
}

pub async fn a_position_far_in_the_future_is_after_everything(store: &dyn Store) {
    insert(store, vec![nameless(0, "x")]).await;
    let ends =
        [Position::new(u64::MAX, u64::MAX), Position::new(EPOCH, u64::MAX), at(1 << 63), at(0)];
    for after in ends {
        let page = store.history(&room("r"), after, 10, PLENTY).await.unwrap();
        assert!(page.envelopes.is_empty() && !page.more, "{after}");
    }
    let beyond = store.insert(all([nameless(u64::MAX, "x")])).await;
    assert!(beyond.is_err_and(|error| !error.retryable()), "no place in the table");
}

pub async fn before_last_counts_messages_from_the_end(store: &dyn Store) {
    assert_eq!(store.before_last(&room("r"), 3).await.unwrap(), Position::ZERO);
    insert(store, vec![named(0, "a", "x"), nameless(1, "x"), named(2, "a", "x")]).await;
    insert(store, (3..6).map(|seq| nameless(seq, "x")).collect()).await;
    let before = async |count| store.before_last(&room("r"), count).await.unwrap();
    assert_eq!(before(0).await, at(5));
    assert_eq!(before(2).await, at(3));
    assert_eq!(before(4).await, at(0), "the mark at 2 is no message");
    assert_eq!(before(5).await, Position::ZERO, "no more than that");
    assert_eq!(before(usize::MAX).await, Position::ZERO);
}

pub async fn names_come_newest_first_within_bounds(store: &dyn Store) {
    let sent = vec![
        named(0, "a", "x"),
        nameless(1, "x"),
        named(2, "b", "y"),
        named(3, "a", "x"),
        named(4, "a", "other"),
        named(5, "c", "z"),
    ];
    let hash = sent[5].body_hash();
    insert(store, sent).await;
    let names = async |count, since| {
        let names = store.names(&room("r"), count, since).await.unwrap();
        names.iter().map(|name| name.origin.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names(10, 0).await, ["c", "b", "a"], "neither a mark nor a name lost to another");
    assert_eq!(names(2, 0).await, ["c", "b"]);
    assert_eq!(names(10, EPOCH + 2).await, ["c", "b"]);
    assert_eq!(names(0, 0).await, [""; 0]);
    assert_eq!(names(10, u64::MAX).await, [""; 0]);
    let last = store.names(&room("r"), 1, 0).await.unwrap().remove(0);
    assert_eq!((last.position, last.body_hash, last.sent_at), (at(5), hash, EPOCH + 5));
    assert_eq!(last.sender, user("mina"));
}

/// The room's epochs and their last numbers.
async fn epochs(store: &dyn Store) -> Vec<(u64, Option<u64>)> {
    let epochs = store.epochs(&room("r")).await.unwrap();
    epochs.iter().map(|known| (known.epoch, known.sealed)).collect()
}

fn of_epoch(epoch: u64, envelope: Envelope) -> Envelope {
    Envelope { position: Position::new(epoch, envelope.position.seq), ..envelope }
}

pub async fn epochs_are_known_with_their_first_row_and_sealed_by_a_later_one(store: &dyn Store) {
    let r = room("r");
    assert_eq!(store.epochs(&r).await.unwrap(), []);
    assert_eq!(store.head(&r).await.unwrap(), None);
    let rows = vec![of_epoch(EPOCH + 9, nameless(4, "x")), nameless(7, "x"), named(3, "a", "x")];
    insert(store, rows).await;
    insert(store, vec![of_epoch(EPOCH + 4, named(2, "a", "x"))]).await;
    assert_eq!(store.head(&r).await.unwrap(), Some(Position::new(EPOCH + 9, 4)));
    assert_eq!(epochs(store).await, [(EPOCH, None), (EPOCH + 4, None), (EPOCH + 9, None)]);

    store.begin_epoch(&r, EPOCH + 4).await.unwrap();
    assert_eq!(epochs(store).await, [(EPOCH, Some(7)), (EPOCH + 4, None), (EPOCH + 9, None)]);
    for _ in 0..2 {
        store.begin_epoch(&r, EPOCH + 12).await.unwrap();
        let sealed = [(EPOCH, Some(7)), (EPOCH + 4, Some(2)), (EPOCH + 9, Some(4))];
        assert_eq!(epochs(store).await[..3], sealed, "at a row or a mark");
        let last = store.epochs(&r).await.unwrap()[3];
        assert_eq!(last, Epoch { epoch: EPOCH + 12, sealed: None, begun: true });
    }
    store.begin_epoch(&r, EPOCH + 13).await.unwrap();
    assert_eq!(epochs(store).await[3..], [(EPOCH + 13, None)], "nothing was in the one before");
}

pub async fn a_row_of_a_closed_epoch_is_late_unless_it_is_there(store: &dyn Store) {
    insert(store, vec![named(0, "a", "x"), named(1, "a", "x"), nameless(2, "x")]).await;
    store.begin_epoch(&room("r"), EPOCH + 1).await.unwrap();
    let known = epochs(store).await;
    let next = of_epoch(EPOCH + 1, nameless(0, "x"));
    let batch =
        || vec![nameless(2, "x"), named(1, "a", "x"), named(3, "a", "x"), named(4, "b", "x")];
    let stored = insert(store, [batch(), vec![next]].concat()).await;
    let first = at(0);
    let again = [Stored::Again, Stored::Duplicate { first }, Stored::Late, Stored::Late];
    assert_eq!(stored, [&again[..], &[Stored::New]].concat());
    assert_eq!(insert(store, batch()).await, again);
    assert_eq!(places(&shown(store).await), [at(0), at(2), Position::new(EPOCH + 1, 0)]);
    assert_eq!(epochs(store).await, known, "a late row opens nothing again");
    let anew = of_epoch(EPOCH + 1, named(1, "b", "x"));
    assert_eq!(insert(store, vec![anew]).await, [Stored::New], "sent again it has its place");
}

pub async fn many_rooms_begin_at_once(store: &dyn Store) {
    let ids: Vec<_> = (0..50).map(|n| room(&format!("r{n}"))).collect();
    let row = |id: &RoomId| Envelope { room: id.clone(), ..nameless(3, "x") };
    insert(store, ids.iter().take(40).map(row).collect()).await;
    let begun: Vec<_> = ids.iter().map(|id| (id.clone(), EPOCH + 1)).collect();
    store.begin_epochs(&begun).await.unwrap();
    store.begin_epochs(&[]).await.unwrap();
    for (n, id) in ids.iter().enumerate() {
        let known = store.epochs(id).await.unwrap();
        let new = Epoch { epoch: EPOCH + 1, sealed: None, begun: true };
        assert_eq!(known.last(), Some(&new));
        let old: Vec<_> = known.iter().rev().skip(1).map(|old| old.sealed).collect();
        assert_eq!(old, if n < 40 { vec![Some(3)] } else { Vec::new() });
    }
    let late =
        insert(store, ids.iter().map(|id| Envelope { position: at(4), ..row(id) }).collect());
    assert_eq!(late.await[..40], [Stored::Late; 40]);
}

pub async fn a_grant_makes_a_member_once(store: &dyn Store) {
    let (r, mina) = (room("r"), user("mina"));
    assert_eq!(store.access(&r, &mina).await.unwrap(), Access::None);
    for name in [Some("Mina"), None] {
        assert_eq!(store.admit(&r, &mina, name).await.unwrap(), Access::Member);
        assert_eq!(store.access(&r, &mina).await.unwrap(), Access::Member);
    }
    assert_eq!(store.access(&r, &user("juno")).await.unwrap(), Access::None);
    assert_eq!(store.access(&room("s"), &mina).await.unwrap(), Access::None);
}

pub async fn an_empty_insert_is_answered(store: &dyn Store) {
    assert_eq!(insert(store, Vec::new()).await, []);
    store.ping().await.unwrap();
}

pub async fn inserts_from_many_tasks_get_their_own_answers(store: &dyn Store) {
    let task = async |task: u64| {
        let mine = (0..20).map(|n| named(task * 20 + n, &format!("{task}-{}", n % 15), "x"));
        let stored = insert(store, mine.collect()).await;
        assert_eq!(stored[..15], [Stored::New; 15]);
        for (n, stored) in (0..).zip(&stored[15..]) {
            assert_eq!(*stored, Stored::Duplicate { first: at(task * 20 + n) });
        }
    };
    futures_util::future::join_all((0..50).map(task)).await;
    assert_eq!(shown(store).await.len(), 50 * 15);
}

/// Batches of messages, each of them delivered any number of times: position, name, body.
pub fn deliveries() -> impl Strategy<Value = Vec<Vec<(u64, Option<u8>, u8)>>> {
    let message = (proptest::option::weighted(0.8, 0..4_u8), 0..2_u8);
    proptest::collection::vec(message, 1..24).prop_flat_map(|messages| {
        let one = (0..messages.len()).prop_map(move |n| (n as u64, messages[n].0, messages[n].1));
        proptest::collection::vec(proptest::collection::vec(one, 1..8), 1..12)
    })
}

#[expect(clippy::map_entry, reason = "the rules read better as a chain of cases")]
pub async fn every_position_is_covered_once(
    store: &dyn Store,
    deliveries: Vec<Vec<(u64, Option<u8>, u8)>>,
) {
    // What became of each position, by the rules as they are told.
    let mut rows: HashMap<u64, Option<u8>> = HashMap::new();
    let mut marks: HashMap<u64, Stored> = HashMap::new();
    let mut names: HashMap<u8, (u64, u8)> = HashMap::new();
    for batch in deliveries {
        let mut expected = Vec::new();
        for &(seq, name, body) in &batch {
            let holder = name.and_then(|name| names.get(&name).copied());
            expected.push(if rows.contains_key(&seq) {
                Stored::Again
            } else if let Some((first, same)) = holder
                && same == body
            {
                *marks.entry(seq).or_insert(Stored::Duplicate { first: at(first) })
            } else {
                rows.insert(seq, name.filter(|_| holder.is_none()));
                if let (Some(name), None) = (name, holder) {
                    names.insert(name, (seq, body));
                }
                Stored::New
            });
        }
        let envelopes = batch.iter().map(|&(seq, name, body)| match name {
            Some(name) => named(seq, &format!("n{name}"), &format!("b{body}")),
            None => nameless(seq, &format!("b{body}")),
        });
        assert_eq!(insert(store, envelopes.collect()).await, expected);
    }
    let stored = shown(store).await;
    let mut left = rows.clone();
    for row in &stored {
        let name = left.remove(&row.position.seq).expect("a row at a position that has one");
        let kept = row.origin.is_given().then(|| row.origin.to_string());
        assert_eq!(kept, name.map(|name| format!("n{name}")));
    }
    assert!(left.is_empty(), "{left:?} have no row");
    assert!(marks.keys().all(|seq| !rows.contains_key(seq)));
    let head = rows.keys().chain(marks.keys()).max().map(|seq| at(*seq));
    assert_eq!(store.head(&room("r")).await.unwrap(), head);
}

pub async fn what_is_older_than_it_is_kept_goes_in_parts_but_for_a_rooms_last(store: &dyn Store) {
    let grant = async |id: &str| store.admit(&room(id), &user("mina"), None).await.unwrap();
    for id in ["r", "s", "t"] {
        grant(id).await;
    }
    let of = |id: &str, seq: u64| Envelope { room: room(id), ..nameless(seq, "x") };
    // Sent at EPOCH and their number.
    let rows = (0..10).map(|seq| of("r", seq)).chain((0..4).map(|seq| of("s", seq)));
    store.insert(all(rows.chain([of("t", 0)]))).await.unwrap();
    let (mut after, mut parts) = (None, 0);
    loop {
        let part = store.expire(after.as_ref(), EPOCH + 7, 3).await.unwrap();
        assert!(part.removed <= 3);
        parts += 1;
        if part.done {
            break;
        }
        after = part.after;
    }
    assert!(parts > 3, "in parts");
    let left = async |id: &str| -> Vec<u64> {
        let page = store.history(&room(id), Position::ZERO, 100, 1 << 20).await.unwrap();
        page.envelopes.iter().map(|envelope| envelope.position.seq).collect()
    };
    assert_eq!(left("r").await, [7, 8, 9]);
    assert_eq!(left("s").await, [3], "it tells where the room stands");
    assert_eq!(left("t").await, [0]);
}
