//! STOMP frames and WebSocket messages do not have to match on the way in.

use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame as RawFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use crate::SERVER;
use crate::support::*;

fn every_byte(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n % 256) as u8).collect()
}

async fn in_room(name: &str) -> (Client, String) {
    let room = room(name);
    let mut client = Client::connect(&SERVER, "ann").await;
    client.subscribe_room(&room).await;
    (client, room)
}

#[tokio::test]
async fn a_binary_body_of_1023_kib_with_every_byte_value_comes_back() {
    let (mut ann, room) = in_room("large").await;
    let body = every_byte(1023 * 1024);
    ann.send(to_room(&room, &body).with_length().binary()).await;
    let message = ann.next_message().await;
    assert!(message.body == body && message.binary);
    let text = "é".repeat(1023 * 512);
    ann.send(to_room(&room, &text).with_length()).await;
    let message = ann.next_message().await;
    assert!(message.text() == text && !message.binary);
}

#[tokio::test]
async fn a_frame_in_parts_of_8_or_16_kib_is_put_together() {
    let (mut ann, room) = in_room("parts").await;
    for size in [8 * 1024, 16 * 1024, 1] {
        let length = if size == 1 { 300 } else { 200_000 };
        let text: String = (0..length).map(|n| char::from(b'a' + (n % 26) as u8)).collect();
        for part in to_room(&room, &text).bytes().chunks(size) {
            ann.send_text(std::str::from_utf8(part).unwrap()).await;
        }
        let message = ann.next_message().await;
        assert!(message.text() == text && !message.binary);
        let bytes = every_byte(length);
        for part in to_room(&room, &bytes).with_length().bytes().chunks(size) {
            ann.send_binary(part).await;
        }
        let message = ann.next_message().await;
        assert!(message.body == bytes && message.binary);
    }
}

#[tokio::test]
async fn head_body_and_nul_may_come_in_three_messages() {
    let (mut ann, room) = in_room("three").await;
    for _ in 0..2 {
        ann.send_binary(format!("SEND\ndestination:/app/rooms/{room}\n\n").as_bytes()).await;
        ann.send_binary(b"hello").await;
        ann.send_binary(b"\0\n").await;
        assert_eq!(ann.next_message().await.text(), "hello");
    }
}

#[tokio::test]
async fn several_frames_may_come_in_one_message_with_line_ends_between() {
    let (mut ann, room) = in_room("several").await;
    let one = |body: &str| String::from_utf8(to_room(&room, body).bytes()).unwrap();
    let text = format!("\n\r\n{}\n{}\r\n\r\n{}{}\n", one("a"), one("b"), one("c"), one("d"));
    ann.send_text(&text).await;
    assert_eq!(ann.bodies(4).await, ["a", "b", "c", "d"]);
    // One and a half, and the other half.
    let both = format!("{}{}", one("e"), one("f"));
    let (first, second) = both.split_at(both.len() - 10);
    ann.send_text(first).await;
    ann.send_text(second).await;
    assert_eq!(ann.bodies(2).await, ["e", "f"]);
}

#[tokio::test]
async fn websocket_fragments_are_one_message_also_with_a_ping_between() {
    let (mut ann, room) = in_room("fragments").await;
    for kind in [Data::Text, Data::Binary] {
        // Cut inside of a character: only the whole has to be text.
        let bytes = to_room(&room, "héllo").with_length().bytes();
        let middle = bytes.len() - 5;
        assert_eq!(bytes[middle - 1], 0xc3);
        let parts = [&bytes[..5], &bytes[5..middle], &bytes[middle..]];
        for (n, part) in parts.into_iter().enumerate() {
            let opcode = OpCode::Data(if n == 0 { kind } else { Data::Continue });
            ann.message(Message::Frame(RawFrame::message(part.to_vec(), opcode, n == 2))).await;
            if n == 0 {
                ann.message(Message::Ping(b"between".to_vec().into())).await;
            }
        }
        assert_eq!(ann.event().await, Event::Pong(b"between".to_vec()));
        let message = ann.next_message().await;
        assert_eq!((message.text(), message.binary), ("héllo", matches!(kind, Data::Binary)));
    }
}

#[tokio::test]
async fn one_byte_at_a_time_works_from_the_handshake_on() {
    let room = room("bytes");
    let mut wire = Wire::connect(&SERVER).await;
    let request = format!(
        "GET /ws HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
        SERVER.address
    );
    for byte in request.bytes() {
        wire.write(&[byte]).await;
    }
    assert_eq!(wire.answer().await.status, 101);
    let token = token("ann");
    let frames = [
        format!("CONNECT\naccept-version:1.2\nAuthorization:{token}\n\n\0"),
        format!("SUBSCRIBE\nid:0\ndestination:/topic/rooms/{room}\n\n\0"),
        format!("SEND\ndestination:/app/rooms/{room}\n\nhello\0"),
    ];
    for frame in frames {
        for byte in encode(Opcode::Text, frame.as_bytes(), true, true) {
            wire.write(&[byte]).await;
        }
    }
    assert!(wire.next().await.text().starts_with("CONNECTED\n"));
    assert!(wire.next().await.text().ends_with("\n\nhello\0"));
}

#[tokio::test]
async fn content_length_0_is_fine_on_frames_without_a_body() {
    let room = room("zero");
    let mut ann = Client::connect(&SERVER, "ann").await;
    ann.subscribe_room_with(&room, Frame::with_length).await;
    for command in ["BEGIN", "ABORT", "UNSUBSCRIBE", "DISCONNECT"] {
        let receipt = format!("r-{command}");
        let sent = frame(command)
            .header("id", &room)
            .header("transaction", "t")
            .header("receipt", &receipt)
            .with_length();
        ann.send(sent).await;
        assert_eq!(ann.expect("RECEIPT").await.at("receipt-id"), receipt);
    }
}
