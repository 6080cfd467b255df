//! Refusals: on `/user/queue/errors` where a client asked for that, else ERROR and the end.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::SERVER;
use crate::support::*;

#[tokio::test]
async fn a_refusal_names_its_receipt_in_body_and_header_and_the_session_lives_on() {
    let room = room("refused");
    let token = Token::of("ann").rooms(&[&room]).mint();
    let mut ann = Client::connect_with(&SERVER, "1.2", &token).await;
    ann.subscribe_errors().await;
    ann.send(to_room("elsewhere", "x").header("receipt", "r-9")).await;
    let refusal = ann.expect("MESSAGE").await;
    assert_eq!(refusal.at("destination"), "/user/queue/errors");
    assert_eq!(refusal.at("subscription"), "errors");
    assert_eq!(refusal.at("content-type"), "application/json;charset=UTF-8");
    assert_eq!(refusal.at("receipt-id"), "r-9");
    assert!(!refusal.at("message-id").is_empty());
    let body = refusal.json();
    assert_eq!(body["receipt"], "r-9");
    assert_eq!(body["code"], "not_a_member");
    assert!(body["detail"].as_str().is_some_and(|detail| !detail.is_empty()));
    assert_eq!(body["retryAfterMs"], Value::Null);
    assert_eq!(body.as_object().unwrap().len(), 4, "{body}");

    ann.send(to_room("elsewhere", "x")).await;
    let refusal = ann.expect("MESSAGE").await;
    assert_eq!((refusal.get("receipt-id"), &refusal.json()["receipt"]), (None, &Value::Null));
    ann.send_room(&room, "still here").await;
}

#[tokio::test]
async fn each_refusal_has_its_code() {
    let room = room("codes");
    let token = Token::of("ann").rooms(&[&room]).mint();
    let mut ann = Client::connect_with(&SERVER, "1.2", &token).await;
    ann.subscribe_errors().await;
    let send = |destination: &str| frame("SEND").header("destination", destination).body("x");
    let subscribe =
        |destination: &str| frame("SUBSCRIBE").header("id", "s").header("destination", destination);
    let long = "x".repeat(65);
    for (bad, code) in [
        (send("/app/rooms/elsewhere"), "not_a_member"),
        (subscribe("/topic/rooms/elsewhere"), "not_a_member"),
        (send("/nowhere"), "unknown_destination"),
        (send(""), "unknown_destination"),
        (send("/topic/rooms"), "unknown_destination"),
        (send("/app/rooms/a/b/c"), "unknown_destination"),
        (send("/user/queue/errors"), "unknown_destination"),
        (send("/user/queue/inbox"), "unknown_destination"),
        (subscribe("/nowhere"), "unknown_destination"),
        (subscribe("/app/rooms/x"), "unknown_destination"),
        (send("/app/rooms/"), "bad_request"),
        (send("/app/rooms/a b"), "bad_request"),
        (send("/app/rooms/%20"), "bad_request"),
        (send("/app/rooms/é"), "bad_request"),
        (send(r"/app/rooms/a\cb"), "bad_request"),
        (send(&format!("/app/rooms/{long}")), "bad_request"),
        (subscribe("/topic/rooms/a*"), "bad_request"),
        (subscribe(&format!("/topic/rooms/{long}")), "bad_request"),
    ] {
        let shown = format!("{bad:?}");
        ann.send(bad.header("receipt", "r")).await;
        let refusal = ann.next_refusal().await;
        assert_eq!(refusal.json()["code"], code, "{shown}");
        assert_eq!(refusal.at("receipt-id"), "r", "{shown}");
    }
    ann.sync().await;
    assert_eq!(ann.kept(), [], "a refused frame gets no RECEIPT");
}

#[tokio::test]
async fn without_the_error_queue_a_refusal_is_error_and_1002() {
    let token = Token::of("ann").mint();
    for bad in [
        to_room("elsewhere", "x"),
        frame("SUBSCRIBE").header("id", "s").header("destination", "/topic/rooms/elsewhere"),
        frame("SEND").header("destination", "/nowhere"),
    ] {
        let mut ann = Client::connect_with(&SERVER, "1.2", &token).await;
        ann.send(bad.header("receipt", "r")).await;
        let error = ann.expect_error().await;
        assert_eq!(error.at("receipt-id"), "r");
        assert!(["not_a_member", "unknown_destination"].contains(&error.at("code")));
    }
    let mut ann = Client::connect_with(&SERVER, "1.2", &token).await;
    ann.send(to_room("elsewhere", "x")).await;
    assert_eq!(ann.expect_error().await.get("receipt-id"), None);
}

#[tokio::test]
async fn after_unsubscribe_from_the_error_queue_a_refusal_is_error_again() {
    let mut ann = Client::connect_with(&SERVER, "1.2", &Token::of("ann").mint()).await;
    ann.subscribe_errors().await;
    ann.send(frame("UNSUBSCRIBE").header("id", "errors")).await;
    ann.send(to_room("elsewhere", "x")).await;
    ann.expect_error().await;
}

#[tokio::test]
async fn of_two_subscriptions_to_the_error_queue_one_may_end() {
    let mut ann = Client::connect_with(&SERVER, "1.2", &Token::of("ann").mint()).await;
    ann.subscribe_errors().await;
    let other =
        frame("SUBSCRIBE").header("id", "other").header("destination", "/user/queue/errors");
    ann.send(other.header("receipt", "s")).await;
    ann.receipt("s").await;
    ann.send(frame("UNSUBSCRIBE").header("id", "other")).await;
    ann.send(to_room("elsewhere", "x")).await;
    assert_eq!(ann.next_message().await.at("subscription"), "errors");
}

#[tokio::test]
async fn the_error_queue_is_the_callers_own() {
    let nobody = Token::of("ann").mint();
    let mut ann = Client::connect_with(&SERVER, "1.2", &nobody).await;
    let mut again = Client::connect_with(&SERVER, "1.2", &nobody).await;
    ann.subscribe_errors().await;
    again.subscribe_errors().await;
    ann.send(to_room("elsewhere", "x").header("receipt", "mine")).await;
    assert_eq!(ann.next_refusal().await.at("receipt-id"), "mine");
    again.sync().await;
    assert_eq!(again.kept(), []);
}

#[tokio::test]
async fn a_broken_protocol_is_error_also_with_the_error_queue() {
    let mut ann = Client::connect(&SERVER, "ann").await;
    ann.subscribe_errors().await;
    ann.send(frame("COMMIT").header("transaction", "never").header("receipt", "r")).await;
    assert_eq!(ann.expect_error().await.at("receipt-id"), "r");
}

#[tokio::test]
async fn every_frame_that_asks_gets_its_receipt() {
    let room = room("receipts");
    let mut ann = Client::connect(&SERVER, "ann").await;
    let frames = [
        frame("SUBSCRIBE")
            .header("id", "0")
            .header("destination", format!("/topic/rooms/{room}"))
            .header("ack", "client"),
        to_room(&room, "x"),
        frame("BEGIN").header("transaction", "t"),
        frame("ABORT").header("transaction", "t"),
        frame("BEGIN").header("transaction", "t"),
        frame("COMMIT").header("transaction", "t"),
        frame("UNSUBSCRIBE").header("id", "0"),
    ];
    for (n, frame) in frames.into_iter().enumerate() {
        let receipt = format!("r-{n}");
        ann.send(frame.header("receipt", &receipt)).await;
        ann.receipt(&receipt).await;
    }
    assert_eq!(ann.bodies(1).await, ["x"]);
    ann.send(frame("DISCONNECT").header("receipt", r"with\ca\ncolon")).await;
    assert_eq!(ann.expect("RECEIPT").await.at("receipt-id"), r"with\ca\ncolon");
}

#[tokio::test]
async fn above_the_rate_a_send_is_refused_when_its_time_is_over() {
    let settings = [
        ("MOIM_LIMITS__SEND_RATE", "1"),
        ("MOIM_LIMITS__SEND_BURST", "1"),
        ("MOIM_LIMITS__SEND_DEADLINE", "200ms"),
    ];
    let server = Server::with(&settings);
    let mut ann = Client::connect(&server, "ann").await;
    ann.subscribe_errors().await;
    let began = Instant::now();
    ann.send(to_room("room", "one").header("receipt", "one")).await;
    ann.send(to_room("room", "two").header("receipt", "two")).await;
    ann.receipt("one").await;
    let refusal = ann.next_refusal().await;
    assert!(began.elapsed() >= Duration::from_millis(200), "it was not held");
    assert_eq!(refusal.at("receipt-id"), "two");
    let body = refusal.json();
    assert_eq!(body["code"], "rate_limited");
    assert!(body["retryAfterMs"].as_u64().is_some_and(|ms| ms > 0), "{body}");
    assert_eq!(body["receipt"], json!("two"));
    let mut bob = Client::connect(&server, "bob").await;
    for n in 0..2 {
        bob.send(to_room("room", "x").header("receipt", n)).await;
    }
    bob.receipt("0").await;
    let error = bob.expect_error().await;
    assert_eq!((error.at("code"), error.at("receipt-id")), ("rate_limited", "1"));
}
