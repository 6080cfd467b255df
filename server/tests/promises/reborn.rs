//! A room that panics is born again from the broker, with its subscribers, who miss nothing.

use std::sync::atomic::Ordering;

use moim_shared::config::Limits;

use crate::inside::Node;
use crate::support::*;

fn named(n: usize) -> Frame {
    to_room("room", n.to_string()).header("origin-id", n).header("receipt", n)
}

/// Everything up to `count` once, in order, at dense positions.
async fn assert_all(client: &mut Client, count: usize) {
    for n in 0..count {
        let message = client.next_message().await;
        assert_eq!(message.text(), n.to_string());
        assert!(message.at("position").ends_with(&format!("-{n}")), "{message:?}");
    }
    client.sync().await;
    assert_eq!(client.kept(), []);
}

#[derive(Debug, Clone, Copy)]
enum When {
    BeforeItIsPlaced,
    WhenItIsPlaced,
}

async fn a_room_dies_over_a_send(when: When) -> (Node, Client, Client, Client) {
    let node = Node::start(Limits::default());
    let mut ann = node.connect("ann").await;
    let mut bob = node.connect("bob").await;
    let mut cho = node.connect("cho").await;
    ann.subscribe_errors().await;
    bob.subscribe_room("room").await;
    for n in 0..10 {
        ann.send(named(n)).await;
        ann.receipt(&n.to_string()).await;
    }
    cho.subscribe_room_with("room", |frame| frame.header("since", "0-0")).await;
    match when {
        When::BeforeItIsPlaced => node.panics.append.store(1, Ordering::SeqCst),
        When::WhenItIsPlaced => node.panics.appended.store(1, Ordering::SeqCst),
    }
    ann.send(named(10)).await;
    let refusal = ann.next_refusal().await;
    assert_eq!(refusal.at("receipt-id"), "10");
    assert_eq!(refusal.json()["code"], "unavailable");
    assert!(refusal.json()["retryAfterMs"].is_u64());
    (node, ann, bob, cho)
}

#[tokio::test]
async fn a_room_that_panics_goes_on_with_its_subscribers_and_loses_nothing() {
    for when in [When::BeforeItIsPlaced, When::WhenItIsPlaced] {
        let (_node, mut ann, mut bob, mut cho) = a_room_dies_over_a_send(when).await;
        // Again under the same name, and on.
        for n in 10..30 {
            ann.send(named(n)).await;
        }
        for n in 10..30 {
            let receipt = ann.receipt(&n.to_string()).await;
            assert!(receipt.at("position").ends_with(&format!("-{n}")), "{when:?}: {receipt:?}");
        }
        assert_all(&mut bob, 30).await;
        assert_all(&mut cho, 30).await;
    }
}

/// The sender of what was under way never comes back; the others go on.
#[tokio::test]
async fn what_a_room_left_half_done_holds_nobody_up() {
    let (_node, ann, mut bob, mut cho) = a_room_dies_over_a_send(When::WhenItIsPlaced).await;
    drop(ann);
    for n in 11..30 {
        cho.send(named(n)).await;
    }
    for n in 11..30 {
        cho.receipt(&n.to_string()).await;
    }
    // It has its place, so it is shown there.
    assert_all(&mut bob, 30).await;
    assert_all(&mut cho, 30).await;
}

#[tokio::test]
async fn a_room_that_panics_while_it_reads_for_one_goes_on_for_all() {
    let node = Node::start(Limits::default());
    let mut ann = node.connect("ann").await;
    let mut bob = node.connect("bob").await;
    bob.subscribe_room("room").await;
    for n in 0..10 {
        ann.send(named(n)).await;
        ann.receipt(&n.to_string()).await;
    }
    node.panics.read.store(1, Ordering::SeqCst);
    let mut cho = node.connect("cho").await;
    let receipt = cho.subscribe_room_with("room", |frame| frame.header("since", "0-0")).await;
    assert_eq!(receipt.at("recovered"), "true");
    let all: Vec<_> = (0..20).map(|n| n.to_string()).collect();
    assert_eq!(cho.bodies(10).await, all[..10]);
    for n in 10..20 {
        cho.send(named(n)).await;
        cho.receipt(&n.to_string()).await;
    }
    assert_eq!(cho.bodies(10).await, all[10..]);
    cho.sync().await;
    assert_eq!(cho.kept(), []);
    assert_all(&mut bob, 20).await;
    assert_eq!(node.panics.read.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_subscribe_that_is_under_way_when_the_room_dies_is_answered() {
    let node = Node::start(Limits::default());
    let mut ann = node.connect("ann").await;
    let mut bob = node.connect("bob").await;
    ann.subscribe_errors().await;
    bob.subscribe_errors().await;
    ann.send(named(0)).await;
    ann.receipt("0").await;
    let held = node.before_last.clone().acquire_many_owned(1_000).await.unwrap();
    let subscribe = frame("SUBSCRIBE")
        .header("id", "0")
        .header("destination", "/topic/rooms/room")
        .header("history", 1)
        .header("receipt", "subscribed");
    bob.send(subscribe.clone()).await;
    // It has come that far when the room answers what came behind it.
    bob.send(named(1)).await;
    bob.receipt("1").await;
    node.panics.append.store(1, Ordering::SeqCst);
    ann.send(named(2)).await;
    assert_eq!(ann.next_refusal().await.at("receipt-id"), "2");
    let refusal = bob.next_refusal().await;
    assert_eq!(refusal.at("receipt-id"), "subscribed");
    assert_eq!(refusal.json()["code"], "unavailable");
    drop(held);
    bob.send(frame("UNSUBSCRIBE").header("id", "0")).await;
    bob.send(subscribe).await;
    assert_eq!(bob.receipt("subscribed").await.at("recovered"), "true");
    assert_eq!(bob.bodies(1).await, ["1"]);
    ann.send(named(2)).await;
    ann.receipt("2").await;
    assert_eq!(bob.bodies(1).await, ["2"]);
}

#[tokio::test]
async fn a_room_that_panics_again_and_again_ends_its_subscribers_instead_of_looping() {
    let node = Node::start(Limits::default());
    let mut ann = node.connect("ann").await;
    ann.send(named(0)).await;
    ann.receipt("0").await;
    let mut other = node.connect("dan").await;
    other.subscribe_room("other").await;
    let mut bob = node.connect("bob").await;
    bob.subscribe_room("room").await;
    node.panics.read.store(u32::MAX, Ordering::SeqCst);
    let mut cho = node.connect("cho").await;
    cho.subscribe_room_with("room", |frame| frame.header("since", "0-0")).await;
    for client in [&mut cho, &mut bob] {
        let reason = client.expect_close(1012).await;
        assert!(reason.starts_with("retry_after_ms="), "{reason}");
    }
    let tries = u32::MAX - node.panics.read.load(Ordering::SeqCst);
    assert!((2..10).contains(&tries), "{tries} tries");
    // Others notice nothing, and the room itself serves when what killed it is gone.
    other.send_room("other", "x").await;
    assert_eq!(other.bodies(1).await, ["x"]);
    node.panics.read.store(0, Ordering::SeqCst);
    let mut cho = node.connect("cho").await;
    cho.subscribe_room_with("room", |frame| frame.header("since", "0-0")).await;
    ann.send(named(1)).await;
    ann.receipt("1").await;
    assert_all(&mut cho, 2).await;
}
