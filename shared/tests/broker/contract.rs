//! The contract of `Broker`: each function is one of its sentences, for any adapter that a
//! factory makes over a database without rooms.

use std::collections::HashSet;
use std::sync::Arc;

use moim_shared::broker::{BrokerError, Placed};
use moim_shared::envelope::Envelope;
use moim_shared::position::Position;

use crate::rig::{Factory, Node, eventually, named, nameless, new, places, room, several};

const PLENTY: usize = 1 << 30;

pub async fn a_room_that_never_had_a_message_stands_before_everything(factory: &dyn Factory) {
    let node = Node::new(factory);
    let head = node.open("r").await;
    assert_eq!(head.position, Position::ZERO);
    assert!(head.epoch > 0);
    let page = node.read("r", Position::ZERO, PLENTY).await;
    assert!(page.envelopes.is_empty());
    assert_eq!(page.upto, Some(Position::ZERO));
}

pub async fn places_are_dense_from_zero_in_the_order_given(factory: &dyn Factory) {
    let node = Node::new(factory);
    let epoch = node.open("r").await.epoch;
    let first = node.add("r", several("r", 3)).await;
    let second = node.add("r", several("r", 2)).await;
    let other = node.add("other", several("other", 1)).await;
    let all = [first, second].concat();
    let expected: Vec<Position> = (0..5).map(|seq| Position::new(epoch, seq)).collect();
    assert_eq!(places(&all), expected);
    let bodies: Vec<&[u8]> = all.iter().map(|envelope| &*envelope.body).collect();
    assert_eq!(bodies, [b"0", b"1", b"2", b"0", b"1"]);
    assert_eq!(other[0].position.seq, 0, "rooms do not share numbers");
}

pub async fn appenders_side_by_side_get_one_order(factory: &dyn Factory) {
    const TASKS: usize = 6;
    const BATCHES: usize = 12;
    let node = Arc::new(Node::new(factory));
    for id in ["r", "s"] {
        node.open(id).await;
    }
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let node = node.clone();
            tokio::spawn(async move {
                let mut mine = Vec::new();
                for batch in 0..BATCHES {
                    let id = if (task + batch) % 2 == 0 { "r" } else { "s" };
                    mine.extend(node.say(id, several(id, 1 + (task + batch) % 4)).await);
                    tokio::task::yield_now().await;
                }
                mine
            })
        })
        .collect();
    let mut all: Vec<Arc<Envelope>> = Vec::new();
    for task in tasks {
        let mine = task.await.unwrap();
        for id in ["r", "s"] {
            let own: Vec<u64> = in_room(&mine, id).map(|envelope| envelope.position.seq).collect();
            assert!(own.is_sorted(), "a later batch stands later");
        }
        all.extend(mine);
    }
    for id in ["r", "s"] {
        let mut appended: Vec<_> = in_room(&all, id).cloned().collect();
        appended.sort_by_key(|envelope| envelope.position);
        let seqs: Vec<u64> = appended.iter().map(|envelope| envelope.position.seq).collect();
        assert_eq!(seqs, (0..appended.len() as u64).collect::<Vec<_>>());
        let last = appended.last().unwrap().position;
        assert_eq!(node.hear(id, last).await, appended, "told in the one order");
    }
}

fn in_room<'a>(
    envelopes: &'a [Arc<Envelope>],
    id: &'a str,
) -> impl Iterator<Item = &'a Arc<Envelope>> {
    envelopes.iter().filter(move |envelope| envelope.room == room(id))
}

pub async fn a_batch_of_another_epoch_is_refused_and_nothing_is_written(factory: &dyn Factory) {
    let node = Node::new(factory);
    let head = node.open("r").await;
    for epoch in [head.epoch - 1, head.epoch + 1] {
        let batch = vec![named("r", "a", "x")];
        let refused = node.append_as("r", epoch, head.members, batch).await;
        assert_eq!(refused.unwrap_err(), BrokerError::EpochRolled);
    }
    nothing_was_written(&node).await;
}

pub async fn a_batch_checked_under_older_memberships_is_refused_and_nothing_is_written(
    factory: &dyn Factory,
) {
    let node = Node::new(factory);
    let head = node.open("r").await;
    let now = node.broker.members_changed(&room("r"), &[]).await.unwrap();
    assert!(now > head.members);
    let batch = vec![named("r", "a", "x")];
    let refused = node.append_as("r", head.epoch, head.members, batch).await;
    assert_eq!(refused.unwrap_err(), BrokerError::MembersChanged { now });
    assert_eq!(node.open("r").await.members, now);
    nothing_was_written(&node).await;
}

/// Neither a number nor the name `a` was spent.
async fn nothing_was_written(node: &Node) {
    let added = node.add("r", vec![named("r", "a", "another body")]).await;
    assert_eq!(added[0].position.seq, 0);
}

pub async fn a_name_that_came_before_is_one_message_in_one_batch_and_over_batches(
    factory: &dyn Factory,
) {
    let node = Node::new(factory);
    let batch = vec![named("r", "a", "x"), named("r", "a", "x"), nameless("r", "y")];
    let placed = node.append("r", batch).await;
    let [Placed::New(first), Placed::Duplicate { position, .. }, Placed::New(third)] = &placed[..]
    else {
        panic!("{placed:?}");
    };
    assert_eq!(*position, first.position);
    assert_eq!(third.position, first.position.next(), "a duplicate spends no number");
    let again = node.append("r", vec![named("r", "a", "x"), nameless("r", "z")]).await;
    let [Placed::Duplicate { position, .. }, Placed::New(fourth)] = &again[..] else {
        panic!("{again:?}");
    };
    assert_eq!((*position, fourth.position), (first.position, third.position.next()));
}

pub async fn a_duplicate_brings_the_first_one_until_that_is_durable(factory: &dyn Factory) {
    let node = Node::new(factory);
    let added = node.add("r", vec![nameless("r", "w"), named("r", "a", "x")]).await;
    let retry = || vec![Envelope { sent_at: 1, ..named("r", "a", "x") }];
    match &node.append("r", retry()).await[..] {
        [Placed::Duplicate { position, pending: Some(first) }] => {
            assert_eq!((*position, first), (added[1].position, &added[1]));
        }
        other => panic!("{other:?}"),
    }
    node.make_durable(&added).await;
    match &node.append("r", retry()).await[..] {
        [Placed::Duplicate { position, pending: None }] => assert_eq!(*position, added[1].position),
        other => panic!("{other:?}"),
    }
}

pub async fn a_name_with_another_body_is_refused_and_spends_no_number(factory: &dyn Factory) {
    let node = Node::new(factory);
    let batch = vec![named("r", "a", "x"), named("r", "a", "y"), nameless("r", "z")];
    let placed = node.append("r", batch).await;
    let [Placed::New(_), Placed::NameReused, Placed::New(third)] = &placed[..] else {
        panic!("{placed:?}");
    };
    assert_eq!(third.position.seq, 1);
    node.make_durable(&[new(placed[0].clone())]).await;
    let later = node.append("r", vec![named("r", "a", "y")]).await;
    assert!(matches!(later[..], [Placed::NameReused]), "durable or not: {later:?}");
}

pub async fn a_name_is_the_senders_own_in_each_room(factory: &dyn Factory) {
    let node = Node::new(factory);
    let of = |id: &str, sender: &str| Envelope {
        sender: moim_shared::ids::UserId::parse(sender).unwrap(),
        ..named(id, "a", sender)
    };
    node.add("r", vec![of("r", "mina"), of("r", "jun")]).await;
    node.add("s", vec![of("s", "mina")]).await;
}

/// For a factory whose rooms remember three names.
pub async fn names_are_remembered_up_to_a_number(factory: &dyn Factory) {
    let node = Node::new(factory);
    let first = node.add("r", vec![named("r", "a", "x")]).await;
    node.add("r", vec![named("r", "b", "x"), named("r", "c", "x")]).await;
    let known = node.append("r", vec![named("r", "a", "x")]).await;
    assert!(
        matches!(known[..], [Placed::Duplicate { position, .. }] if position == first[0].position)
    );
    node.add("r", vec![named("r", "d", "x")]).await;
    let forgotten = node.append("r", vec![named("r", "a", "x")]).await;
    assert!(matches!(forgotten[..], [Placed::New(_)]), "{forgotten:?}");
}

/// For a factory whose rooms remember names for less than a second.
pub async fn names_are_remembered_up_to_an_age(factory: &dyn Factory) {
    let node = Node::new(factory);
    let first = node.add("r", vec![named("r", "a", "x")]).await;
    // Nothing else is said meanwhile: a name grows old by itself.
    let again = retry_until_new(&node, "a").await;
    assert_eq!(again.position, first[0].position.next());
    // Young again: it is known now by its second place.
    let known = node.append("r", vec![named("r", "a", "x")]).await;
    let [Placed::Duplicate { position, .. }] = known[..] else { panic!("{known:?}") };
    assert_eq!(position, again.position);
}

async fn retry_until_new(node: &Node, name: &str) -> Arc<Envelope> {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    loop {
        assert!(std::time::Instant::now() < deadline, "the name is never forgotten");
        if let Placed::New(envelope) = node.append("r", vec![named("r", name, "x")]).await.remove(0)
        {
            return envelope;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

pub async fn names_outlive_the_process_with_their_messages(factory: &dyn Factory) {
    let before = Node::new(factory);
    let said = before.say("r", vec![named("r", "a", "x")]).await;
    drop(before);
    let after = Node::new(factory);
    let placed = after.append("r", vec![named("r", "a", "x"), named("r", "a", "y")]).await;
    let [Placed::Duplicate { position, pending: None }, Placed::NameReused] = placed[..] else {
        panic!("{placed:?}");
    };
    assert_eq!(position, said[0].position);
}

pub async fn what_became_visible_is_told_once_in_order_and_in_one_chain(factory: &dyn Factory) {
    let node = Node::new(factory);
    let mut said = Vec::new();
    for count in [1, 3, 2] {
        said.extend(node.say("r", several("r", count)).await);
    }
    node.make_durable(&said).await; // saying it again changes nothing
    let last = said.last().unwrap().position;
    assert_eq!(node.hear("r", last).await, said);
    assert_eq!(node.told("r")[0].after, Position::ZERO);
    assert_eq!(node.open("r").await.position, last);
}

pub async fn a_room_that_is_not_open_is_not_told_of(factory: &dyn Factory) {
    let node = Node::new(factory);
    let head = node.open("r").await;
    let mut hidden = node.add("r", several("r", 1)).await;
    if factory.shows_at_once() {
        node.hear("r", hidden[0].position).await;
    }
    let told = node.told("r").len();
    node.broker.close(&room("r"));
    let placed = node.append_as("r", head.epoch, head.members, several("r", 1)).await;
    hidden.extend(placed.unwrap().into_iter().map(new));
    node.make_durable(&hidden).await;
    let head = node.open("r").await;
    assert_eq!(head.position, hidden[1].position, "it stands where it went meanwhile");
    let after = node.say("r", several("r", 1)).await;
    eventually(|| node.told("r").len() > told).await;
    let last = &node.told("r")[told..];
    assert_eq!((last[0].after, last[0].upto), (head.position, after[0].position));
    assert_eq!(last.len(), 1);
}

/// For a factory whose rooms remember one name.
pub async fn a_duplicates_mark_spends_a_number_and_shows_nothing(factory: &dyn Factory) {
    let node = Node::new(factory);
    let said = node.say("r", vec![named("r", "a", "x"), named("r", "b", "x")]).await;
    // Nobody remembers the name but the database, which keeps the second as a mark.
    let second = node.say("r", vec![named("r", "a", "x"), nameless("r", "y")]).await;
    assert_eq!((second[0].position.seq, second[1].position.seq), (2, 3));
    let mut shown = [said.clone(), second.clone()].concat();
    if !factory.shows_at_once() {
        shown.remove(2);
    }
    assert_eq!(node.hear("r", second[1].position).await, shown);
    let page = node.read("r", said[1].position, PLENTY).await;
    assert_eq!(page.envelopes, [second[1].clone()]);
    assert_eq!(page.upto, Some(second[1].position));
    let next = node.say("r", vec![named("r", "c", "x")]).await;
    assert_eq!(next[0].position.seq, 4);
}

pub async fn pages_are_bounded_by_bytes_and_resume_from_every_position(factory: &dyn Factory) {
    let node = Node::new(factory);
    let bodies = [10, 2_000, 0, 300, 5_000, 1, 1, 700];
    let batch = bodies.map(|size| nameless("r", &"x".repeat(size))).to_vec();
    let said = node.say("r", batch).await;
    let last = said.last().unwrap().position;
    node.hear("r", last).await;
    let weight =
        |page: &[Arc<Envelope>]| -> usize { page.iter().map(|envelope| envelope.weight()).sum() };
    for bytes in [1, 1_000, 2_500, 6_000, PLENTY] {
        for start in 0..=said.len() {
            let mut after =
                start.checked_sub(1).map_or(Position::ZERO, |before| said[before].position);
            let mut read = Vec::new();
            while after < last {
                let page = node.read("r", after, bytes).await;
                let upto = page.upto.expect("the log reaches back");
                assert!(upto > after, "each page is a step");
                assert!(!page.envelopes.is_empty(), "one at least");
                assert!(page.envelopes.len() == 1 || weight(&page.envelopes) <= bytes);
                read.extend(page.envelopes);
                after = upto;
            }
            assert_eq!(read, said[start..]);
        }
    }
    let end = node.read("r", last, PLENTY).await;
    assert!(end.envelopes.is_empty());
    assert_eq!((end.upto, end.durable), (Some(last), last));
}

/// For a factory that keeps four durable messages.
pub async fn a_log_is_trimmed_below_the_durable_mark_but_for_the_last(factory: &dyn Factory) {
    let node = Node::new(factory);
    let said = node.add("r", several("r", 10)).await;
    let pending = node.add("r", several("r", 10)).await;
    node.make_durable(&said).await;
    node.hear("r", said[9].position).await;
    eventually_trimmed(&node, said[4].position).await;
    for behind in [Position::ZERO, said[0].position, said[4].position] {
        let page = node.read("r", behind, PLENTY).await;
        assert_eq!(page.upto, None, "the log does not reach back to {behind}");
        assert!(page.envelopes.is_empty());
        assert_eq!(page.durable, said[9].position);
    }
    let page = node.read("r", said[5].position, PLENTY).await;
    assert_eq!(page.envelopes[..4], said[6..]);
    // What is not durable is not trimmed for that: it must be found still.
    if factory.shows_at_once() {
        let page = node.read("r", said[9].position, PLENTY).await;
        assert_eq!(page.envelopes, pending);
    }
    node.make_durable(&pending).await;
    let heard = node.hear("r", pending[9].position).await;
    assert_eq!(heard, [said, pending].concat());
}

async fn eventually_trimmed(node: &Node, after: Position) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while node.read("r", after, PLENTY).await.upto.is_some() {
        assert!(std::time::Instant::now() < deadline, "it is never trimmed");
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
}

pub async fn a_log_continues_after_close_and_open(factory: &dyn Factory) {
    let node = Node::new(factory);
    let said = node.say("r", several("r", 3)).await;
    node.broker.close(&room("r"));
    let head = node.open("r").await;
    assert_eq!((head.epoch, head.position), (said[2].position.epoch, said[2].position));
    let more = node.say("r", several("r", 1)).await;
    assert_eq!(more[0].position, said[2].position.next());
    let again = node.open("r").await;
    assert_eq!(again.position, more[0].position, "opening an open room is harmless");
}

pub async fn a_close_forgets_nothing_that_is_not_durable(factory: &dyn Factory) {
    let node = Node::new(factory);
    let pending = node.add("r", vec![named("r", "a", "x")]).await;
    node.broker.close(&room("r"));
    let again = node.append("r", vec![named("r", "a", "x"), nameless("r", "y")]).await;
    let [Placed::Duplicate { pending: Some(first), .. }, Placed::New(next)] = &again[..] else {
        panic!("{again:?}");
    };
    assert_eq!((first, next.position), (&pending[0], pending[0].position.next()));
}

pub async fn a_log_continues_in_the_next_process(factory: &dyn Factory) {
    let before = Node::new(factory);
    let said = before.say("r", several("r", 3)).await;
    drop(before);
    let after = Node::new(factory);
    let head = after.open("r").await;
    assert_eq!(head.position, said[2].position);
    let more = after.say("r", several("r", 1)).await;
    assert!(more[0].position > said[2].position);
    assert_eq!(after.hear("r", more[0].position).await, more);
}

pub async fn a_lost_log_starts_a_larger_epoch_from_zero(factory: &dyn Factory) {
    let node = Node::new(factory);
    let mut epochs = vec![node.open("r").await.epoch];
    let said = node.say("r", several("r", 2)).await;
    for _ in 0..3 {
        factory.lose(&room("r")).await;
        let head = node.open("r").await;
        assert!(head.epoch > *epochs.last().unwrap());
        assert!(head.position >= said[1].position, "what was shown stays in front");
        epochs.push(head.epoch);
        let added = node.say("r", several("r", 1)).await;
        assert_eq!(added[0].position, Position::new(head.epoch, 0));
    }
    let stale = node.append_as("r", epochs[0], 0, several("r", 1)).await;
    assert_eq!(stale.unwrap_err(), BrokerError::EpochRolled);
    let seen: HashSet<u64> = epochs.iter().copied().collect();
    assert_eq!(seen.len(), epochs.len());
}
