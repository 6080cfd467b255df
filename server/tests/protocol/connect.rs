//! From the upgrade to CONNECTED.

use crate::SERVER;
use crate::support::*;

const ALL: &str = "1.0,1.1,1.2";

#[tokio::test]
async fn the_highest_sub_protocol_is_chosen_in_any_order_and_connected_names_the_same_version() {
    for (offered, chosen, version) in [
        ("v10.stomp, v11.stomp, v12.stomp", "v12.stomp", "1.2"),
        ("v12.stomp,v11.stomp,v10.stomp", "v12.stomp", "1.2"),
        ("v10.stomp,v11.stomp", "v11.stomp", "1.1"),
        ("v10.stomp", "v10.stomp", "1.0"),
        ("chat,v11.stomp", "v11.stomp", "1.1"),
    ] {
        let mut client = Open::new(&SERVER).protocols(offered).open().await;
        assert_eq!(client.protocol.as_deref(), Some(chosen), "{offered}");
        let connected = client.log_in(ALL, &token("ann")).await;
        assert_eq!(connected.at("version"), version, "{offered}");
    }
}

#[tokio::test]
async fn a_client_that_offers_in_ascending_order_and_accepts_only_what_was_chosen_gets_in() {
    let mut client = Open::new(&SERVER).protocols("v10.stomp, v11.stomp, v12.stomp").open().await;
    let connected = client.log_in("1.2", &token("ann")).await;
    assert_eq!(connected.at("version"), "1.2");
}

#[tokio::test]
async fn sub_protocols_in_several_headers_are_one_list() {
    let mut wire = Wire::connect(&SERVER).await;
    let lines = "Sec-WebSocket-Protocol: v10.stomp\r\nSec-WebSocket-Protocol: v12.stomp\r\n";
    let answer = wire.upgrade("/ws", lines).await;
    assert_eq!(answer.status, 101);
    assert_eq!(answer.get("sec-websocket-protocol"), Some("v12.stomp"));
}

#[tokio::test]
async fn without_a_known_sub_protocol_none_is_answered_and_the_client_gets_in() {
    for lines in ["", "Sec-WebSocket-Protocol: mqtt, v13.stomp\r\n"] {
        let mut wire = Wire::connect(&SERVER).await;
        let answer = wire.upgrade("/ws", lines).await;
        assert_eq!((answer.status, answer.get("sec-websocket-protocol")), (101, None), "{lines}");
        let token = token("ann");
        wire.text(&format!("CONNECT\naccept-version:1.2\nAuthorization:{token}\n\n\0")).await;
        assert!(wire.next().await.text().starts_with("CONNECTED\nversion:1.2\n"), "{lines}");
    }
}

#[tokio::test]
async fn extensions_are_declined() {
    let mut wire = Wire::connect(&SERVER).await;
    let offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";
    let answer = wire.upgrade("/ws", offer).await;
    assert_eq!((answer.status, answer.get("sec-websocket-extensions")), (101, None));
}

#[tokio::test]
async fn the_highest_accepted_version_is_spoken() {
    for (accepted, version) in [
        ("1.0", "1.0"),
        ("1.1", "1.1"),
        ("1.2", "1.2"),
        ("1.0,1.1,1.2", "1.2"),
        ("1.2,1.1,1.0", "1.2"),
        ("1.1, 1.0", "1.1"),
        ("2.0,1.1", "1.1"),
    ] {
        let mut client = Open::new(&SERVER).open().await;
        let connected = client.log_in(accepted, &token("ann")).await;
        assert_eq!(connected.at("version"), version, "{accepted}");
    }
}

#[tokio::test]
async fn without_accept_version_it_is_1_0_also_under_a_higher_sub_protocol() {
    for protocols in [None, Some("v12.stomp")] {
        let open = Open::new(&SERVER);
        let open = if let Some(offered) = protocols { open.protocols(offered) } else { open };
        let mut client = open.open().await;
        client.send(frame("CONNECT").header("passcode", token("ann"))).await;
        assert_eq!(client.expect("CONNECTED").await.at("version"), "1.0", "{protocols:?}");
    }
}

#[tokio::test]
async fn no_version_in_common_is_an_error_that_lists_ours() {
    let mut client = Open::new(&SERVER).open().await;
    let connect = frame("CONNECT").header("accept-version", "2.0,1.3").header("passcode", "x");
    client.send(connect).await;
    assert_eq!(client.expect_error().await.at("version"), "1.0,1.1,1.2");
}

#[tokio::test]
async fn escapes_are_read_as_the_senders_version_says() {
    let room = room("escapes");
    let mut reader = Client::connect(&SERVER, "reader").await;
    reader.subscribe_room(&room).await;
    for (version, sent, comes) in [
        ("1.0", r"a\cb", r"a\\cb"),
        ("1.1", r"a\cb", r"a\cb"),
        ("1.2", r"a\cb", r"a\cb"),
        ("1.2", r"a\rb", r"a\rb"),
        ("1.1", r"a\\b", r"a\\b"),
    ] {
        let mut ann = Client::connect_with(&SERVER, version, &token("ann")).await;
        ann.send_room_with(&room, "x", |send| send.header("note", sent)).await;
        assert_eq!(reader.next_message().await.at("note"), comes, "{version} {sent}");
    }
}

#[tokio::test]
async fn connected_says_version_heart_beat_and_user_in_headers_that_every_client_can_read() {
    for version in ["1.0", "1.1", "1.2"] {
        let mut client = Open::new(&SERVER).open().await;
        let connected = client.log_in(version, &token("mina@example.com")).await;
        assert_eq!(connected.at("user-name"), "mina@example.com");
        assert_eq!(connected.at("heart-beat"), "0,0");
        assert!(connected.at("server").starts_with("moim/"));
        assert!(!connected.at("session").is_empty());
        assert!(connected.body.is_empty());
    }
}

#[tokio::test]
async fn stomp_is_connect_and_host_is_optional() {
    for command in ["CONNECT", "STOMP"] {
        for host in [None, Some("chat.example.org")] {
            let mut client = Open::new(&SERVER).open().await;
            let connect = frame(command)
                .header("accept-version", "1.2")
                .header("Authorization", format!("Bearer {}", token("ann")));
            let connect = host.into_iter().fold(connect, |frame, host| frame.header("host", host));
            client.send(connect).await;
            client.expect("CONNECTED").await;
        }
    }
}

#[tokio::test]
async fn crlf_line_ends_are_read_in_1_2() {
    let room = room("crlf");
    let mut client = Open::new(&SERVER).open().await;
    let token = token("ann");
    let connect =
        format!("CONNECT\r\naccept-version:1.2\r\nAuthorization:Bearer {token}\r\n\r\n\0");
    client.send_text(&connect).await;
    assert_eq!(client.expect("CONNECTED").await.at("version"), "1.2");
    client
        .send_text(&format!(
            "SUBSCRIBE\r\nid:0\r\ndestination:/topic/rooms/{room}\r\nreceipt:s\r\n\r\n\0\r\n"
        ))
        .await;
    assert_eq!(client.expect("RECEIPT").await.at("receipt-id"), "s");
}

#[tokio::test]
async fn the_same_endpoint_is_at_ws_and_at_ws_websocket() {
    for path in ["/ws", "/ws/websocket"] {
        let mut client = Open::new(&SERVER).path(path).open().await;
        client.log_in("1.2", &token("ann")).await;
    }
    assert_eq!(Open::new(&SERVER).path("/ws/other").answered().await.err(), Some(404));
}

#[tokio::test]
async fn a_frame_before_connect_is_an_error() {
    for command in ["SEND", "SUBSCRIBE", "DISCONNECT", "BEGIN", "ACK", "COMMIT"] {
        let mut client = Open::new(&SERVER).open().await;
        let early = frame(command)
            .header("destination", "/topic/rooms/early")
            .header("id", "0")
            .header("transaction", "t")
            .header("receipt", "r");
        client.send(early).await;
        assert_eq!(client.expect_error().await.at("receipt-id"), "r", "{command}");
    }
}

#[tokio::test]
async fn frames_right_behind_a_refused_connect_do_nothing() {
    let room = room("behind");
    let mut reader = Client::connect(&SERVER, "reader").await;
    reader.subscribe_room(&room).await;
    let mut client = Open::new(&SERVER).open().await;
    let connect = frame("CONNECT").header("accept-version", "1.2").header("passcode", "wrong");
    let text = [connect.bytes(), to_room(&room, "stowaway").bytes()].concat();
    client.send_text(&String::from_utf8(text).unwrap()).await;
    client.expect_error().await;
    reader.send_room(&room, "first").await;
    assert_eq!(reader.bodies(1).await, ["first"]);
}

#[tokio::test]
async fn a_second_connect_is_an_error() {
    for command in ["CONNECT", "STOMP"] {
        let mut client = Client::connect(&SERVER, "ann").await;
        let again = frame(command).header("accept-version", "1.2").header("passcode", token("bob"));
        client.send(again).await;
        client.expect_error().await;
    }
}

#[tokio::test]
async fn frames_pipelined_behind_connect_are_read_in_the_version_it_negotiates() {
    let room = room("pipelined");
    let mut client = Open::new(&SERVER).open().await;
    let token = token("ann");
    let text = format!(
        "CONNECT\naccept-version:1.2\nAuthorization:{token}\n\n\0\
         SUBSCRIBE\nid:a\\cb\ndestination:/topic/rooms/{room}\nreceipt:s\n\n\0\
         SEND\ndestination:/app/rooms/{room}\n\nhello\0"
    );
    client.send_text(&text).await;
    client.expect("CONNECTED").await;
    client.expect("RECEIPT").await;
    assert_eq!(client.expect("MESSAGE").await.at("subscription"), r"a\cb");
}
