//! P5: memory is for rooms that somebody uses; P3, P4: those that left it go on where they were.

use std::time::Duration;

use moim_shared::config::{Limits, Span};
use moim_shared::position::Position;

use crate::inside::Node;
use crate::support::*;
use crate::until;

#[tokio::test]
async fn idle_rooms_leave_memory_and_continue_where_they_were() {
    const ROOMS: usize = 50;
    let server = Server::with(&[("MOIM_LIMITS__ROOM_IDLE", "300ms")]);
    let mut ann = Client::connect(&server, "ann").await;
    let room = |n: usize| format!("room-{n}");
    let mut last = Vec::new();
    for n in 0..ROOMS {
        ann.send_room(&room(n), "one").await;
        last.push(ann.send_room(&room(n), "two").await);
    }
    until("no room is left", Duration::from_secs(10), || server.metric("moim_rooms") == Some(0.0))
        .await;

    for (n, last) in last.iter().enumerate() {
        let last: Position = last.parse().unwrap();
        let mut bob = Client::connect(&server, "bob").await;
        let first = Position::new(last.epoch, 0);
        let receipt = bob.subscribe_room_with(&room(n), |frame| frame.header("since", first)).await;
        assert_eq!(receipt.at("recovered"), "true");
        assert_eq!(receipt.at("position"), last.to_string());
        assert_eq!(ann.send_room(&room(n), "three").await, last.next().to_string());
        assert_eq!(bob.bodies(2).await, ["two", "three"]);
    }
    // The names are remembered too.
    let again = |frame: Frame| frame.header("origin-id", "name");
    let first = ann.send_room_with("room-0", "named", again).await;
    until("no room is left", Duration::from_secs(10), || server.metric("moim_rooms") == Some(0.0))
        .await;
    assert_eq!(ann.send_room_with("room-0", "named", again).await, first);
}

#[tokio::test]
async fn a_room_with_a_subscriber_stays() {
    let server = Server::with(&[("MOIM_LIMITS__ROOM_IDLE", "100ms")]);
    let mut ann = Client::connect(&server, "ann").await;
    ann.subscribe_room("kept").await;
    for round in 0..3 {
        ann.send_room("left", "x").await;
        until("only the used room is left", Duration::from_secs(5), || {
            server.metric("moim_rooms") == Some(1.0)
        })
        .await;
        let mut bob = Client::connect(&server, "bob").await;
        bob.send_room("kept", &round.to_string()).await;
        assert_eq!(ann.bodies(1).await, [round.to_string()]);
    }
}

/// Rooms that come and go while they are used: nothing falls between two lives.
#[tokio::test]
async fn a_room_that_is_used_as_it_leaves_loses_nothing() {
    let server = Server::with(&[("MOIM_LIMITS__ROOM_IDLE", "100ms")]);
    let mut ann = Client::connect(&server, "ann").await;
    let mut since = Position::ZERO;
    for n in 0..40 {
        // About when the room looks whether it is used.
        let pause = Duration::from_millis(85 + n % 5 * 10);
        tokio::time::sleep(pause).await;
        let mut bob = Client::connect(&server, "bob").await;
        let resumed = bob.subscribe_room_with("room", |frame| frame.header("since", since)).await;
        assert_eq!(resumed.at("recovered"), "true", "{since}");
        let position: Position = ann.send_room("room", &n.to_string()).await.parse().unwrap();
        assert!(n == 0 || position == since.next(), "{position} after {since}");
        assert_eq!(bob.bodies(1).await, [n.to_string()]);
        since = position;
    }
}

#[tokio::test]
async fn a_room_does_not_leave_while_a_subscription_is_on_its_way_in() {
    let idle = Span::millis(100);
    let node = Node::start(Limits { room_idle: idle, ..Limits::default() });
    let mut ann = node.connect("ann").await;
    let mut bob = node.connect("bob").await;
    ann.send_room("room", "0").await;
    let held = node.before_last.clone().acquire_many_owned(1_000).await.unwrap();
    let subscribing = bob.subscribe_room_with("room", |frame| frame.header("history", 1));
    let waiting = async {
        // Long enough for a room that nobody uses to leave.
        tokio::time::sleep(idle.get() * 5).await;
        drop(held);
    };
    tokio::join!(subscribing, waiting);
    for n in 1..20 {
        ann.send_room("room", &n.to_string()).await;
        tokio::time::sleep(idle.get()).await;
    }
    let expected: Vec<_> = (0..20).map(|n| n.to_string()).collect();
    assert_eq!(bob.bodies(20).await, expected);
}
