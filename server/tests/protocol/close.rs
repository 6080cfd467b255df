//! How sessions end.

use std::time::{Duration, Instant};

use tokio_tungstenite::tungstenite::Message;

use crate::SERVER;
use crate::support::*;

#[tokio::test]
async fn disconnect_with_a_receipt_gets_it_at_once_and_then_close_1000() {
    let mut ann = Client::connect(&SERVER, "ann").await;
    let began = Instant::now();
    ann.send(frame("DISCONNECT").header("receipt", "bye")).await;
    assert_eq!(ann.expect("RECEIPT").await.at("receipt-id"), "bye");
    assert!(began.elapsed() < Duration::from_millis(200), "{:?}", began.elapsed());
    ann.expect_close(1000).await;
}

#[tokio::test]
async fn disconnect_without_a_receipt_is_close_1000_and_no_error() {
    let mut ann = Client::connect(&SERVER, "ann").await;
    ann.send(frame("DISCONNECT")).await;
    ann.expect_close(1000).await;
}

#[tokio::test]
async fn what_was_sent_before_disconnect_is_still_stored() {
    let room = room("before");
    let mut bob = Client::connect(&SERVER, "bob").await;
    bob.subscribe_room(&room).await;
    let mut ann = Client::connect(&SERVER, "ann").await;
    ann.send_all((0..100).map(|n| to_room(&room, n.to_string())), DEADLINE).await;
    ann.send(frame("DISCONNECT").header("receipt", "bye")).await;
    ann.receipt("bye").await;
    ann.expect_close(1000).await;
    let expected: Vec<_> = (0..100).map(|n| n.to_string()).collect();
    assert_eq!(bob.bodies(100).await, expected);
}

#[tokio::test]
async fn frames_behind_disconnect_do_nothing() {
    let room = room("behind");
    let mut bob = Client::connect(&SERVER, "bob").await;
    bob.subscribe_room(&room).await;
    let mut ann = Client::connect(&SERVER, "ann").await;
    let both = [frame("DISCONNECT").bytes(), to_room(&room, "late").bytes()].concat();
    ann.send_text(&String::from_utf8(both).unwrap()).await;
    ann.expect_close(1000).await;
    bob.send_room(&room, "end").await;
    assert_eq!(bob.bodies(1).await, ["end"]);
}

#[tokio::test]
async fn a_clients_close_is_answered_and_the_connection_ends() {
    Client::connect(&SERVER, "ann").await.close().await;
    let mut ann = Client::connect(&SERVER, "ann").await;
    ann.message(Message::Close(None)).await;
    ann.expect_close(1000).await;
    // Also before CONNECT.
    Open::new(&SERVER).open().await.close().await;
}

#[tokio::test]
async fn after_error_the_connection_ends_also_when_the_client_does_not_answer_the_close() {
    let mut wire = Wire::upgraded(&SERVER).await;
    wire.text("NONSENSE\n\n\0").await;
    let error = wire.next().await;
    assert!(error.text().starts_with("ERROR\n"), "{error:?}");
    assert_eq!(wire.next().await.code(), 1002);
    assert_eq!(wire.read().await, None);
}

#[tokio::test]
async fn a_ping_is_answered() {
    let mut ann = Client::connect(&SERVER, "ann").await;
    ann.message(Message::Ping(b"are you there".to_vec().into())).await;
    assert_eq!(ann.event().await, Event::Pong(b"are you there".to_vec()));
}

#[tokio::test]
async fn who_leaves_without_a_word_harms_nobody() {
    let room = room("gone");
    let mut bob = Client::connect(&SERVER, "bob").await;
    bob.subscribe_room(&room).await;
    for polite in [true, false] {
        let mut ann = Client::connect(&SERVER, "ann").await;
        ann.subscribe_room(&room).await;
        if polite {
            ann.close().await
        } else {
            drop(ann)
        }
        bob.send_room(&room, "x").await;
        bob.next_message().await;
    }
    let mut wire = Wire::upgraded(&SERVER).await;
    wire.text("CONNECT\naccept-version:1.2\n").await;
    wire.shutdown().await;
    assert_eq!(wire.next().await.code(), 1000);
    assert_eq!(wire.read().await, None);
}

#[tokio::test]
async fn connecting_and_leaving_fast_and_often_works() {
    for n in 0..50 {
        let client = Open::new(&SERVER).open().await;
        if n % 2 == 0 {
            client.close().await;
        }
    }
    Client::connect(&SERVER, "ann").await.close().await;
}

#[tokio::test]
async fn a_reader_that_stops_is_closed_with_4008_and_the_others_get_everything() {
    const COUNT: usize = 400;
    let server = Server::with(&[
        ("MOIM_LIMITS__BODY_MAX", "32KiB"),
        ("MOIM_LIMITS__MESSAGE_MAX", "64KiB"),
        ("MOIM_LIMITS__OUTBOX_BYTES", "128KiB"),
    ]);
    let token = token("slow");
    let mut slow = Wire::with_receive_buffer(&server, 8 * 1024).await;
    assert_eq!(slow.upgrade("/ws", "").await.status, 101);
    slow.text(&format!("CONNECT\naccept-version:1.2\npasscode:{token}\n\n\0")).await;
    slow.next().await;
    slow.text("SUBSCRIBE\nid:0\ndestination:/topic/rooms/room\nreceipt:s\n\n\0").await;
    slow.next().await;
    let mut bob = Client::connect(&server, "bob").await;
    bob.subscribe_room("room").await;
    let mut ann = Client::connect(&server, "ann").await;
    let body = "x".repeat(16 * 1024);
    for _ in 0..COUNT {
        ann.send_room("room", &body).await;
        assert_eq!(bob.next_message().await.body.len(), body.len());
    }
    let mut whole = 0;
    let code = loop {
        let raw = slow.next().await;
        if raw.is(Opcode::Close) {
            break raw.code();
        }
        whole += 1;
    };
    assert_eq!(code, 4008);
    assert!(whole < COUNT, "it missed nothing");
}
