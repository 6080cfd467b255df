//! P4, for inboxes: what was not heard of is found. And P6: nothing else waits for one.

use std::sync::atomic::Ordering;

use moim_shared::broker::Feed;
use moim_shared::config::Limits;

use crate::inside::Node;
use crate::support::*;

/// Somebody who reads its inbox, which knows the room.
async fn reader(node: &Node, room: &str) -> Client {
    let mut bob = node.connect("bob").await;
    bob.subscribe_room(room).await;
    bob.send(frame("UNSUBSCRIBE").header("id", room)).await;
    bob.subscribe("in", "/user/queue/inbox").await;
    bob
}

#[tokio::test]
async fn what_an_inbox_was_not_hinted_at_it_is_told_when_the_node_finds_out() {
    let node = Node::start(Limits::default());
    let mut bob = reader(&node, "room").await;
    let mut ann = node.connect("ann").await;
    let seen = ann.send_room("room", "heard of").await;
    let first = bob.next_message().await;
    assert_eq!(first.json()["head"], seen);
    node.lost.hints.store(true, Ordering::SeqCst);
    let before = node.lost.count.load(Ordering::SeqCst);
    let lost = ann.send_room("room", "nobody hints at this").await;
    while node.lost.count.load(Ordering::SeqCst) == before {
        bob.sync().await;
    }
    bob.sync().await;
    assert_eq!(bob.kept(), []);
    node.relay.missed_signals();
    let found = bob.next_message().await;
    assert_eq!(found.json()["head"], lost);
    // Nothing of it twice.
    node.relay.missed_signals();
    node.lost.hints.store(false, Ordering::SeqCst);
    let last = ann.send_room("room", "heard of").await;
    assert_eq!(bob.next_message().await.json()["head"], last);
}

/// The last message before the loss must not say that what was lost is known.
#[tokio::test]
async fn who_goes_on_elsewhere_is_told_what_its_node_was_not_hinted_at() {
    let node = Node::start(Limits::default());
    let mut bob = reader(&node, "one").await;
    let mut other = node.connect("bob").await;
    other.subscribe_room("two").await;
    bob.wait_for(|told| told.get("room") == Some("two")).await;
    let mut ann = node.connect("ann").await;
    node.lost.hints.store(true, Ordering::SeqCst);
    let before = node.lost.count.load(Ordering::SeqCst);
    let lost = ann.send_room("one", "nobody hints at this").await;
    while node.lost.count.load(Ordering::SeqCst) == before {
        bob.sync().await;
    }
    node.lost.hints.store(false, Ordering::SeqCst);
    ann.send_room("two", "heard of, later").await;
    let last = bob.wait_for(|told| told.get("room") == Some("two")).await;
    drop(bob);
    let mut bob = node.connect("bob").await;
    let since = |frame: Frame| frame.header("since", last.at("position"));
    bob.subscribe_with("in", "/user/queue/inbox", since).await;
    let found = bob.wait_for(|told| told.get("room") == Some("one")).await;
    assert_eq!(found.json()["head"], lost);
}

#[tokio::test]
async fn what_stands_behind_an_inbox_does_not_wait_for_the_database() {
    let node = Node::start(Limits::default());
    let mut bob = reader(&node, "room").await;
    bob.send(frame("UNSUBSCRIBE").header("id", "in")).await;
    bob.sync().await;
    let held = node.inbox.rooms.clone().acquire_many_owned(1_000).await.unwrap();
    let subscribe = |id: &str| {
        frame("SUBSCRIBE")
            .header("id", id)
            .header("destination", "/user/queue/inbox")
            .header("receipt", id)
    };
    bob.send(subscribe("left")).await;
    bob.send(subscribe("stays")).await;
    bob.send_room("room", "this does not wait").await;
    bob.send(frame("UNSUBSCRIBE").header("id", "left")).await;
    bob.sync().await;
    assert!(bob.kept().is_empty(), "neither reads yet");
    drop(held);
    // That the first was given up is no fault, and it is told nothing.
    assert!(bob.receipt("left").await.get("position").is_none());
    assert!(bob.receipt("stays").await.get("position").is_some());
    let last = bob.send_room("room", "heard of").await;
    bob.wait_for(|told| told.command == "MESSAGE" && told.json()["head"] == last).await;
    let of_the_first = |told: &Frame| told.get("subscription") == Some("left");
    assert!(!bob.kept().iter().any(of_the_first));
    // A session that ends meanwhile leaves nothing behind that others would wait for.
    let held = node.inbox.rooms.clone().acquire_many_owned(1_000).await.unwrap();
    let mut gone = node.connect("cat").await;
    gone.send(subscribe("in")).await;
    gone.sync().await;
    drop(gone);
    drop(held);
    let mut cat = node.connect("cat").await;
    assert_eq!(cat.subscribe("in", "/user/queue/inbox").await.at("recovered"), "true");
}

/// What it has no more would be in no list.
#[tokio::test]
async fn who_cannot_be_told_what_it_missed_resumes() {
    let node = Node::start(Limits::default());
    let mut bob = reader(&node, "room").await;
    let mut ann = node.connect("ann").await;
    ann.send_room("room", "heard of").await;
    let last = bob.next_message().await;
    node.inbox.forgets.store(true, Ordering::SeqCst);
    node.relay.missed_signals();
    bob.expect_close(4008).await;
    let mut bob = node.connect("bob").await;
    let since = |frame: Frame| frame.header("since", last.at("position"));
    let receipt = bob.subscribe_with("in", "/user/queue/inbox", since).await;
    assert_eq!((receipt.at("recovered"), receipt.at("position")), ("false", "0-0"));
}
