//! BEGIN, COMMIT, ABORT.

use crate::SERVER;
use crate::support::*;

async fn in_room(name: &str) -> (Client, String) {
    let room = room(name);
    let mut client = Client::connect(&SERVER, "ann").await;
    client.subscribe_room(&room).await;
    client.send(frame("BEGIN").header("transaction", "t")).await;
    (client, room)
}

fn held(room: &str, body: &str) -> Frame {
    to_room(room, body).header("transaction", "t")
}

#[tokio::test]
async fn sends_are_held_until_commit_and_then_go_in_order() {
    let (mut ann, room) = in_room("held").await;
    ann.send(held(&room, "a").header("receipt", "a")).await;
    ann.send(held(&room, "b").header("receipt", "b")).await;
    ann.send_room(&room, "outside").await;
    assert_eq!(ann.bodies(1).await, ["outside"]);
    ann.sync().await;
    assert_eq!(ann.kept(), [], "neither messages nor RECEIPTs before COMMIT");
    ann.send(frame("COMMIT").header("transaction", "t")).await;
    assert_eq!(ann.bodies(2).await, ["a", "b"]);
    let first = ann.receipt("a").await.at("position").to_owned();
    assert_ne!(ann.receipt("b").await.at("position"), first);
}

#[tokio::test]
async fn the_receipt_of_commit_comes_after_those_of_its_sends() {
    let (_, one) = in_room("one").await;
    let other = room("other");
    let mut ann = Client::connect(&SERVER, "ann").await;
    ann.send(frame("BEGIN").header("transaction", "t")).await;
    for n in 0..10 {
        let room = if n % 2 == 0 { &one } else { &other };
        ann.send(held(room, "x").header("receipt", n)).await;
    }
    ann.send(frame("COMMIT").header("transaction", "t").header("receipt", "commit")).await;
    let mut receipts = Vec::new();
    for _ in 0..11 {
        receipts.push(ann.expect("RECEIPT").await.at("receipt-id").to_owned());
    }
    assert_eq!(receipts.last().map(String::as_str), Some("commit"), "{receipts:?}");
    receipts.pop();
    receipts.sort();
    assert_eq!(receipts, (0..10).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn abort_drops_what_was_held() {
    let (mut ann, room) = in_room("dropped").await;
    ann.send(held(&room, "dropped").header("receipt", "never")).await;
    ann.send(frame("ABORT").header("transaction", "t").header("receipt", "abort")).await;
    assert_eq!(ann.expect("RECEIPT").await.at("receipt-id"), "abort");
    ann.send_room(&room, "end").await;
    assert_eq!(ann.bodies(1).await, ["end"]);
    ann.sync().await;
    assert_eq!(ann.kept(), []);
}

#[tokio::test]
async fn a_session_that_ends_drops_what_was_held() {
    let (mut ann, room) = in_room("gone").await;
    ann.send(held(&room, "dropped")).await;
    ann.close().await;
    let mut bob = Client::connect(&SERVER, "bob").await;
    bob.subscribe_room_with(&room, |frame| frame.header("since", "0-0")).await;
    bob.send_room(&room, "end").await;
    assert_eq!(bob.bodies(1).await, ["end"]);
}

#[tokio::test]
async fn transactions_are_apart_and_a_name_is_free_again_after_its_end() {
    let (mut ann, room) = in_room("apart").await;
    ann.send(frame("BEGIN").header("transaction", "u")).await;
    ann.send(held(&room, "t")).await;
    ann.send(to_room(&room, "u").header("transaction", "u")).await;
    ann.send(frame("ABORT").header("transaction", "t")).await;
    ann.send(frame("BEGIN").header("transaction", "t")).await;
    ann.send(held(&room, "second t")).await;
    ann.send(frame("COMMIT").header("transaction", "t")).await;
    ann.send(frame("COMMIT").header("transaction", "u")).await;
    assert_eq!(ann.bodies(2).await, ["second t", "u"]);
}

#[tokio::test]
async fn a_transaction_that_was_not_begun_or_begun_twice_is_an_error() {
    for (command, name) in [("COMMIT", "x"), ("ABORT", "x"), ("SEND", "x"), ("BEGIN", "t")] {
        let (mut ann, room) = in_room("unknown").await;
        let bad = frame(command)
            .header("destination", format!("/app/rooms/{room}"))
            .header("transaction", name)
            .header("receipt", "r");
        ann.send(bad).await;
        assert_eq!(ann.expect_error().await.at("receipt-id"), "r", "{command}");
    }
}

#[tokio::test]
async fn a_refused_send_refuses_its_commit_too() {
    let room = room("partly");
    let token = Token::of("ann").rooms(&[&room]).mint();
    let mut ann = Client::connect_with(&SERVER, "1.2", &token).await;
    ann.subscribe_errors().await;
    ann.send(frame("BEGIN").header("transaction", "t")).await;
    ann.send(held(&room, "good").header("receipt", "good")).await;
    ann.send(held("elsewhere", "bad").header("receipt", "bad")).await;
    ann.send(frame("COMMIT").header("transaction", "t").header("receipt", "commit")).await;
    ann.receipt("good").await;
    let mut refused = [ann.next_refusal().await, ann.next_refusal().await];
    refused.sort_by_key(|refusal| refusal.at("receipt-id").to_owned());
    assert_eq!(refused.each_ref().map(|refusal| refusal.at("receipt-id")), ["bad", "commit"]);
    assert!(refused.iter().all(|refusal| refusal.json()["code"] == "not_a_member"));
}

#[tokio::test]
async fn a_transaction_holds_1000_frames_and_no_more() {
    let (mut ann, room) = in_room("frames").await;
    ann.send_all((0..1_000).map(|_| held(&room, "x")), DEADLINE).await;
    ann.sync().await;
    ann.send(held(&room, "one more").header("receipt", "r")).await;
    let error = ann.expect_error().await;
    assert_eq!((error.at("code"), error.at("receipt-id")), ("too_large", "r"));
}

#[tokio::test]
async fn a_transaction_holds_4_mib_and_no_more() {
    let (mut ann, room) = in_room("bytes").await;
    let mib = "x".repeat(1 << 20);
    ann.send_all((0..4).map(|_| held(&room, &mib)), DEADLINE).await;
    ann.sync().await;
    ann.send(held(&room, "x").header("receipt", "r")).await;
    let error = ann.expect_error().await;
    assert_eq!((error.at("code"), error.at("receipt-id")), ("too_large", "r"));
}

#[tokio::test]
async fn a_commit_waits_for_parts_of_every_kind() {
    let room = room("parts");
    let mut ann = Client::connect(&SERVER, "ann").await;
    ann.subscribe_errors().await;
    let first = ann.send_room(&room, "first").await;
    ann.send(frame("BEGIN").header("transaction", "t")).await;
    let position = format!("{{\"position\":\"{first}\"}}");
    let parts = [
        (format!("/app/rooms/{room}"), "hello"),
        (format!("/app/rooms/{room}/typing"), "{\"typing\":true}"),
        (format!("/app/rooms/{room}/read"), &*position),
        (format!("/topic/{room}"), "x"),
        ("/user/bob/queue/x".to_owned(), "x"),
    ];
    for (number, (destination, body)) in parts.iter().enumerate() {
        let send = frame("SEND")
            .header("destination", destination)
            .header("transaction", "t")
            .header("receipt", format!("part-{number}"));
        ann.send(send.body(body)).await;
    }
    ann.sync().await;
    assert!(ann.kept().is_empty(), "nothing before COMMIT");
    ann.send(frame("COMMIT").header("transaction", "t").header("receipt", "all")).await;
    let mut receipts = Vec::new();
    while receipts.last().map(String::as_str) != Some("all") {
        receipts.push(ann.expect("RECEIPT").await.at("receipt-id").to_owned());
    }
    receipts.sort();
    assert_eq!(receipts, ["all", "part-0", "part-1", "part-2", "part-3", "part-4"]);
}
