//! Subscriptions: ids, ends, what they start with.

use crate::SERVER;
use crate::support::*;

fn subscribe(id: &str, room: &str) -> Frame {
    frame("SUBSCRIBE").header("id", id).header("destination", format!("/topic/rooms/{room}"))
}

#[tokio::test]
async fn subscribe_needs_an_id_but_not_in_1_0() {
    let room = room("id");
    let bare = || frame("SUBSCRIBE").header("destination", format!("/topic/rooms/{room}"));
    for version in ["1.1", "1.2"] {
        let mut ann = Client::connect_with(&SERVER, version, &token("ann")).await;
        ann.send(bare().header("receipt", "r")).await;
        assert_eq!(ann.expect_error().await.at("receipt-id"), "r", "{version}");
    }
    let mut ann = Client::connect_with(&SERVER, "1.0", &token("ann")).await;
    ann.send(bare().header("receipt", "r")).await;
    ann.expect("RECEIPT").await;
    ann.send(to_room(&room, "hello")).await;
    let message = ann.next_message().await;
    assert_eq!((message.text(), message.get("subscription")), ("hello", None));
    let leave = frame("UNSUBSCRIBE").header("destination", format!("/topic/rooms/{room}"));
    ann.send(leave.header("receipt", "left")).await;
    ann.receipt("left").await;
    ann.send_room(&room, "unheard").await;
    ann.send(frame("DISCONNECT").header("receipt", "bye")).await;
    assert_eq!(ann.expect("RECEIPT").await.at("receipt-id"), "bye");
}

#[tokio::test]
async fn an_id_may_not_be_used_twice_at_once() {
    let (one, other) = (room("one"), room("other"));
    let mut ann = Client::connect(&SERVER, "ann").await;
    ann.subscribe_room_with(&one, |frame| frame).await;
    ann.send(subscribe(&one, &other).header("receipt", "r")).await;
    assert_eq!(ann.expect_error().await.at("receipt-id"), "r");
    let mut ann = Client::connect(&SERVER, "ann").await;
    ann.subscribe_room(&one).await;
    ann.send(frame("UNSUBSCRIBE").header("id", &one)).await;
    ann.subscribe_room(&one).await;
}

#[tokio::test]
async fn two_subscriptions_to_one_room_both_get_every_message() {
    let room = room("twice");
    let mut ann = Client::connect(&SERVER, "ann").await;
    for id in ["a", "b"] {
        ann.send(subscribe(id, &room).header("receipt", id)).await;
        ann.receipt(id).await;
    }
    ann.send_room(&room, "both").await;
    let mut ids = Vec::new();
    for _ in 0..2 {
        let message = ann.next_message().await;
        assert_eq!(message.text(), "both");
        ids.push(message.at("subscription").to_owned());
    }
    ids.sort();
    assert_eq!(ids, ["a", "b"]);
    ann.send(frame("UNSUBSCRIBE").header("id", "a")).await;
    ann.send_room(&room, "one").await;
    assert_eq!(ann.next_message().await.at("subscription"), "b");
    ann.send_room(&room, "more").await;
    assert_eq!(ann.next_message().await.at("subscription"), "b");
    ann.sync().await;
    assert_eq!(ann.kept(), []);
}

#[tokio::test]
async fn after_the_receipt_of_unsubscribe_nothing_comes() {
    let room = room("left");
    let mut bob = Client::connect(&SERVER, "bob").await;
    let mut ann = Client::connect(&SERVER, "ann").await;
    ann.subscribe_room(&room).await;
    bob.send_all((0..100).map(|n| to_room(&room, n.to_string())), DEADLINE).await;
    ann.next_message().await;
    ann.send(frame("UNSUBSCRIBE").header("id", &room).header("receipt", "left")).await;
    ann.receipt("left").await;
    while !ann.kept().is_empty() {
        ann.expect("MESSAGE").await; // came before the RECEIPT
    }
    bob.send_room(&room, "unheard").await;
    ann.sync().await;
    assert_eq!(ann.kept(), []);
}

#[tokio::test]
async fn unsubscribe_needs_an_id_and_forgives_an_unknown_one() {
    let mut ann = Client::connect(&SERVER, "ann").await;
    ann.send(frame("UNSUBSCRIBE").header("id", "never").header("receipt", "r")).await;
    ann.expect("RECEIPT").await;
    ann.send(frame("UNSUBSCRIBE").header("receipt", "r2")).await;
    assert_eq!(ann.expect_error().await.at("receipt-id"), "r2");
}

#[tokio::test]
async fn a_message_shows_the_destination_exactly_as_it_was_subscribed() {
    let room = room("Exactly.As_It~Is-");
    let mut ann = Client::connect(&SERVER, "ann").await;
    ann.subscribe_room(&room).await;
    ann.send(to_room(&room, "x")).await;
    assert_eq!(ann.next_message().await.at("destination"), format!("/topic/rooms/{room}"));
}

#[tokio::test]
async fn a_frame_without_what_it_needs_is_an_error() {
    for bad in [
        frame("SUBSCRIBE").header("id", "0"),
        frame("SEND").body("x"),
        frame("BEGIN"),
        frame("COMMIT"),
        frame("ABORT"),
        frame("ACK"),
        frame("SUBSCRIBE")
            .header("id", "0")
            .header("destination", "/topic/rooms/a")
            .header("ack", "maybe"),
    ] {
        let mut ann = Client::connect(&SERVER, "ann").await;
        let command = bad.command.clone();
        ann.send(bad.header("receipt", "r")).await;
        assert_eq!(ann.expect_error().await.at("receipt-id"), "r", "{command}");
    }
}

#[tokio::test]
async fn history_gives_the_last_so_many_and_then_what_comes() {
    let room = room("history");
    let mut ann = Client::connect(&SERVER, "ann").await;
    for n in 0..10 {
        ann.send_room(&room, &n.to_string()).await;
    }
    for (asked, expected) in [("3", vec!["7", "8", "9"]), ("0", vec![]), ("1", vec!["9"])] {
        let mut bob = Client::connect(&SERVER, "bob").await;
        let receipt = bob.subscribe_room_with(&room, |frame| frame.header("history", asked)).await;
        assert_eq!(receipt.at("recovered"), "true");
        assert_eq!(bob.bodies(expected.len()).await, expected);
        bob.sync().await;
        assert_eq!(bob.kept(), []);
    }
    let mut bob = Client::connect(&SERVER, "bob").await;
    bob.subscribe_room_with(&room, |frame| frame.header("history", 1_000)).await;
    assert_eq!(bob.bodies(10).await.len(), 10);
    ann.send_room(&room, "live").await;
    assert_eq!(bob.bodies(1).await, ["live"]);
}

#[tokio::test]
async fn history_above_1000_or_not_a_number_is_refused() {
    let room = room("history");
    let mut ann = Client::connect(&SERVER, "ann").await;
    ann.subscribe_errors().await;
    for bad in ["1001", "-1", "many", "", "99999999999999999999999"] {
        ann.send(subscribe("h", &room).header("history", bad).header("receipt", "r")).await;
        let refusal = ann.next_refusal().await;
        assert_eq!(refusal.json()["code"], "bad_request", "{bad}");
        assert_eq!(refusal.at("receipt-id"), "r");
    }
    ann.subscribe_room(&room).await;
}

#[tokio::test]
async fn since_beats_history() {
    let room = room("beats");
    let mut ann = Client::connect(&SERVER, "ann").await;
    let mut positions = Vec::new();
    for n in 0..5 {
        positions.push(ann.send_room(&room, &n.to_string()).await);
    }
    let both = |frame: Frame| frame.header("history", 1).header("since", &positions[1]);
    ann.subscribe_room_with(&room, both).await;
    assert_eq!(ann.bodies(3).await, ["2", "3", "4"]);
}

#[tokio::test]
async fn who_subscribes_and_leaves_at_once_gets_both_receipts_and_stays() {
    let room = room("there-and-back");
    for destination in [
        format!("/topic/rooms/{room}"),
        format!("/topic/rooms/{room}/events"),
        format!("/topic/{room}"),
        format!("/user/queue/{room}"),
    ] {
        let mut client = Client::connect(&SERVER, "ann").await;
        for round in 0..20 {
            let subscribe = frame("SUBSCRIBE")
                .header("id", "x")
                .header("destination", &destination)
                .header("receipt", format!("in-{round}"));
            let leave =
                frame("UNSUBSCRIBE").header("id", "x").header("receipt", format!("out-{round}"));
            let both = [subscribe.bytes(), leave.bytes()].concat();
            client.send_text(&String::from_utf8(both).unwrap()).await;
            client.receipt(&format!("in-{round}")).await;
            client.receipt(&format!("out-{round}")).await;
        }
        client.send_room(&room, "nobody reads this here").await;
        let heard = client.kept();
        assert!(heard.iter().all(|frame| frame.get("position").is_none()), "{heard:?}");
    }
}
