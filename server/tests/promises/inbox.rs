//! P4, for inboxes: what was not heard of is found.

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
