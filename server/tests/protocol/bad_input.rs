//! What is no STOMP or no WebSocket gets a clear answer, and costs the others nothing.

use crate::SERVER;
use crate::support::*;

/// ERROR has to be the answer to these bytes in one message, and it names the receipt.
async fn refused(what: &str, message: &[u8], binary: bool, receipt: Option<&str>) -> Frame {
    let mut ann = Client::connect(&SERVER, "ann").await;
    if binary {
        ann.send_binary(message).await;
    } else {
        ann.send_text(std::str::from_utf8(message).unwrap()).await;
    }
    let error = ann.expect_error().await;
    assert_eq!(error.get("receipt-id"), receipt, "{what}");
    error
}

#[tokio::test]
async fn what_is_no_frame_is_an_error() {
    for (what, text, receipt) in [
        ("an unknown command", "HELLO\nreceipt:r\n\n\0", Some("r")),
        ("a command in small letters", "send\nreceipt:r\n\n\0", Some("r")),
        ("HTTP", "GET / HTTP/1.1\n\n\0", None),
        ("a header without a colon", "SEND\nreceipt:r\nnonsense\n\n\0", Some("r")),
        ("a header without a name", "SEND\nreceipt:r\n:x\n\n\0", Some("r")),
        ("NUL in a header", "SEND\nreceipt:r\nx:\0\n\n\0", Some("r")),
        ("an undefined escape", "SEND\nreceipt:r\nx:\\t\n\n\0", Some("r")),
        ("a lone backslash", "SEND\nreceipt:r\nx:a\\\n\n\0", Some("r")),
        ("a length that is too short", "SEND\nreceipt:r\ncontent-length:1\n\nabc\0", Some("r")),
        ("a length that is no number", "SEND\nreceipt:r\ncontent-length:x\n\nabc\0", Some("r")),
        ("a negative length", "SEND\nreceipt:r\ncontent-length:-1\n\nabc\0", Some("r")),
        ("a body on SUBSCRIBE", "SUBSCRIBE\nreceipt:r\nid:0\ndestination:/x\n\nbody\0", Some("r")),
        ("a frame of a server", "MESSAGE\nreceipt:r\ndestination:/topic/rooms/a\n\nx\0", Some("r")),
        ("CONNECTED", "CONNECTED\nversion:1.2\nreceipt:r\n\n\0", Some("r")),
    ] {
        let error = refused(what, text.as_bytes(), false, receipt).await;
        assert_eq!(error.at("code"), "bad_request", "{what}");
    }
}

#[tokio::test]
async fn headers_that_are_not_utf8_are_an_error() {
    refused("a header", b"SEND\nreceipt:r\nx:\xff\n\n\0", true, Some("r")).await;
    refused("a command", b"\xff\xfe\n\n\0", true, None).await;
}

#[tokio::test]
async fn a_text_message_that_is_not_utf8_is_an_error_whole_and_in_fragments() {
    // In the body, where STOMP itself takes any bytes.
    let send = to_room(&room("text"), b"\xff").with_length().bytes();
    let (first, rest) = send.split_at(20);
    let whole = encode(Opcode::Text, &send, true, true);
    let fragments =
        [encode(Opcode::Text, first, false, true), encode(Opcode::Continuation, rest, true, true)];
    for (what, bytes) in [("whole", whole), ("in fragments", fragments.concat())] {
        let mut wire = Wire::upgraded(&SERVER).await;
        wire.text(&format!("CONNECT\naccept-version:1.2\npasscode:{}\n\n\0", token("ann"))).await;
        assert!(wire.next().await.text().starts_with("CONNECTED\n"));
        wire.write(&bytes).await;
        assert!(wire.next().await.text().starts_with("ERROR\n"), "{what}");
        assert_eq!(wire.next().await.code(), 1002, "{what}");
    }
}

#[tokio::test]
async fn what_is_no_websocket_ends_with_1002() {
    let mut reserved = encode(Opcode::Text, b"\n", true, true);
    reserved[0] |= 0x40;
    let mut unknown = encode(Opcode::Text, b"\n", true, true);
    unknown[0] = 0x83;
    for (what, bytes) in [
        ("unmasked", encode(Opcode::Text, b"\n", true, false)),
        ("an unknown opcode", unknown),
        ("a continuation of nothing", encode(Opcode::Continuation, b"\n", true, true)),
        (
            "a start inside a message",
            [encode(Opcode::Text, b"\n", false, true), encode(Opcode::Text, b"\n", true, true)]
                .concat(),
        ),
        ("a control frame too long", encode(Opcode::Ping, &[b'x'; 126], true, true)),
    ] {
        let mut wire = Wire::upgraded(&SERVER).await;
        wire.write(&bytes).await;
        let error = wire.next().await;
        assert!(error.text().starts_with("ERROR\n"), "{what}: {error:?}");
        assert_eq!(wire.next().await.code(), 1002, "{what}");
        assert_eq!(wire.read().await, None, "{what}");
    }
}

#[tokio::test]
async fn a_request_that_is_no_upgrade_is_refused_in_http() {
    let plain = SERVER.get("/ws");
    assert_eq!((plain.status, plain.get("upgrade")), (426, Some("websocket")));
    let mut wire = Wire::connect(&SERVER).await;
    wire.write(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n").await;
    assert_eq!(wire.answer().await.status, 400);
}

#[tokio::test]
async fn bad_input_of_one_costs_the_others_nothing() {
    let room = room("others");
    let mut bob = Client::connect(&SERVER, "bob").await;
    bob.subscribe_room(&room).await;
    for n in 0..20 {
        let mut ann = Client::connect(&SERVER, "ann").await;
        ann.subscribe_room(&room).await;
        let good = String::from_utf8(to_room(&room, n.to_string()).bytes()).unwrap();
        ann.send_text(&format!("{good}NONSENSE\n\n\0{good}")).await;
        ann.wait_for(|frame| frame.command == "ERROR").await;
        assert_eq!(bob.bodies(1).await, [n.to_string()]);
    }
    bob.send_room(&room, "end").await;
    assert_eq!(bob.bodies(1).await, ["end"]);
}
