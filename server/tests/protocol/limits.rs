//! The bounds that are promised by number.

use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame as RawFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use crate::SERVER;
use crate::support::*;

const MIB: usize = 1 << 20;

#[tokio::test]
async fn a_session_has_256_subscriptions_and_no_more() {
    let room = room("many");
    let subscribe = |id: usize| {
        frame("SUBSCRIBE").header("id", id).header("destination", format!("/topic/rooms/{room}"))
    };
    let mut ann = Client::connect(&SERVER, "ann").await;
    ann.send_all((0..256).map(subscribe), DEADLINE).await;
    ann.sync().await;
    ann.send(frame("UNSUBSCRIBE").header("id", 0)).await;
    ann.send(subscribe(256).header("receipt", "fits")).await;
    ann.receipt("fits").await;
    ann.send(subscribe(257).header("receipt", "r")).await;
    let error = ann.expect_error().await;
    assert_eq!((error.at("code"), error.at("receipt-id")), ("too_large", "r"));
}

#[tokio::test]
async fn a_body_has_1_mib_and_no_more() {
    let room = room("body");
    let mut ann = Client::connect(&SERVER, "ann").await;
    ann.subscribe_room(&room).await;
    ann.send(to_room(&room, "x".repeat(MIB)).with_length()).await;
    assert_eq!(ann.next_message().await.body.len(), MIB);

    let too_large = "x".repeat(MIB + 1);
    let announced = to_room(&room, &too_large).header("receipt", "r").with_length();
    let unannounced = to_room(&room, &too_large).header("receipt", "r");
    for send in [announced, unannounced] {
        let mut ann = Client::connect(&SERVER, "ann").await;
        ann.send(send).await;
        let error = ann.expect_error().await;
        assert_eq!((error.at("code"), error.at("receipt-id")), ("too_large", "r"));
    }
}

#[tokio::test]
async fn a_body_that_is_announced_too_large_is_refused_before_it_comes() {
    for length in ["1048577", "99999999999999999999999999"] {
        let mut ann = Client::connect(&SERVER, "ann").await;
        ann.send_text(&format!(
            "SEND\ndestination:/app/rooms/a\nreceipt:r\ncontent-length:{length}\n\n"
        ))
        .await;
        let error = ann.expect_error().await;
        assert_eq!((error.at("code"), error.at("receipt-id")), ("too_large", "r"));
    }
}

#[tokio::test]
async fn a_websocket_message_has_1_2_mib_and_no_more_however_it_is_fragmented() {
    let limit = 1228 * 1024;
    // Two frames of together as much as a message may hold.
    let room = room("message");
    let mut ann = Client::connect(&SERVER, "ann").await;
    ann.subscribe_room(&room).await;
    let first = to_room(&room, "x".repeat(MIB)).bytes();
    let rest = limit - first.len() - to_room(&room, "").bytes().len();
    let both = [first, to_room(&room, "y".repeat(rest)).bytes()].concat();
    assert_eq!(both.len(), limit);
    ann.send_binary(&both).await;
    assert_eq!(ann.next_message().await.body.len(), MIB);
    assert_eq!(ann.next_message().await.body.len(), rest);

    let mut ann = Client::connect(&SERVER, "ann").await;
    ann.send_binary(&vec![b'\n'; limit + 1]).await;
    assert_eq!(ann.expect_error().await.at("code"), "too_large");

    let mut ann = Client::connect(&SERVER, "ann").await;
    for n in 0..3 {
        let opcode = OpCode::Data(if n == 0 { Data::Binary } else { Data::Continue });
        let part = vec![b'\n'; limit / 2];
        ann.message(Message::Frame(RawFrame::message(part, opcode, n == 2))).await;
    }
    assert_eq!(ann.expect_error().await.at("code"), "too_large");
}

#[tokio::test]
async fn a_frame_has_64_headers_and_16_kib_of_them_and_no_more() {
    let room = room("headers");
    let many = |count: usize| {
        (0..count).fold(to_room(&room, "x"), |frame, n| frame.header(&format!("h{n}"), n))
    };
    let long = |length: usize| to_room(&room, "x").header("long", "x".repeat(length));
    let mut ann = Client::connect(&SERVER, "ann").await;
    ann.subscribe_room(&room).await;
    ann.send(many(63)).await;
    assert_eq!(ann.next_message().await.at("h62"), "62");
    ann.send(long(16_000)).await;
    assert_eq!(ann.next_message().await.at("long").len(), 16_000);
    for bad in [many(64), long(16 * 1024)] {
        let mut ann = Client::connect(&SERVER, "ann").await;
        ann.send(bad).await;
        assert_eq!(ann.expect_error().await.at("code"), "too_large");
    }
}

#[tokio::test]
async fn headers_without_an_end_are_refused_at_their_bound_also_before_connect() {
    let mut ann = Open::new(&SERVER).open().await;
    ann.send_text(&format!("CONNECT\nx:{}", "x".repeat(17 * 1024))).await;
    assert_eq!(ann.expect_error().await.at("code"), "too_large");
}

#[tokio::test]
async fn sixteen_transactions_may_be_open_and_no_more() {
    let mut ann = Client::connect(&SERVER, "ann").await;
    for n in 0..16 {
        ann.send(frame("BEGIN").header("transaction", n)).await;
    }
    ann.sync().await;
    ann.send(frame("BEGIN").header("transaction", "more")).await;
    assert_eq!(ann.expect_error().await.at("code"), "too_large");
}

#[tokio::test]
async fn who_opens_and_does_not_say_connect_in_time_is_closed() {
    let server = Server::with(&[("MOIM_LIMITS__CONNECT_TIMEOUT", "300ms")]);
    let mut quiet = Open::new(&server).open().await;
    let mut beating = Open::new(&server).open().await;
    beating.send_text("\n").await;
    let mut half = Open::new(&server).open().await;
    half.send_text("CONNECT\naccept-version:1.2\n").await;
    for client in [&mut quiet, &mut beating, &mut half] {
        client.expect_close(4000).await;
    }
    let mut ann = Client::connect(&server, "ann").await;
    // Another one has had its time, and this one, which is older, stays.
    Open::new(&server).open().await.expect_close(4000).await;
    ann.send_room("room", "hello").await;
}

#[tokio::test]
async fn connections_above_the_bound_are_answered_503() {
    let server = Server::with(&[("MOIM_LIMITS__CONNECTIONS_MAX", "2")]);
    let ann = Client::connect(&server, "ann").await;
    let mut bob = Client::connect(&server, "bob").await;
    assert_eq!(Open::new(&server).answered().await.err(), Some(503));
    ann.close().await;
    bob.send_room("room", "hello").await;
    // The place is free when the connection has ended on the server's side too.
    let end = std::time::Instant::now() + DEADLINE;
    while Open::new(&server).answered().await.is_err() {
        assert!(std::time::Instant::now() < end, "the place is never free again");
    }
}

#[tokio::test]
async fn limits_are_configurable() {
    let server = Server::with(&[
        ("MOIM_LIMITS__SUBSCRIPTIONS", "1"),
        ("MOIM_LIMITS__BODY_MAX", "1KiB"),
        ("MOIM_LIMITS__HISTORY_MAX", "5"),
        ("MOIM_LIMITS__HEART_BEAT_MIN", "1s"),
    ]);
    let mut ann = Client::connect(&server, "ann").await;
    ann.subscribe_errors().await;
    let second = frame("SUBSCRIBE").header("id", "0").header("destination", "/topic/rooms/a");
    ann.send(second.header("history", 6)).await;
    assert_eq!(ann.next_refusal().await.json()["code"], "bad_request");
    let second = frame("SUBSCRIBE").header("id", "0").header("destination", "/topic/rooms/a");
    ann.send(second).await;
    ann.expect_error().await;
    let mut ann = Client::connect(&server, "ann").await;
    ann.send(to_room("a", "x".repeat(1025))).await;
    ann.expect_error().await;
    let mut ann = Open::new(&server).open().await;
    let connect = frame("CONNECT").header("passcode", token("ann")).header("heart-beat", "1,1");
    ann.send(connect).await;
    assert_eq!(ann.expect("CONNECTED").await.at("heart-beat"), "1000,1000");
}
