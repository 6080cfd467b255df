//! What a SEND becomes for those who read.

use std::time::Duration;

use moim_shared::clock::now_ms;

use crate::SERVER;
use crate::support::*;

#[tokio::test]
async fn a_message_names_its_room_position_sender_and_time() {
    let room = room("message");
    let token = Token::of("ann").name("Ann Lee: é").all_rooms().mint();
    let mut ann = Client::connect_with(&SERVER, "1.2", &token).await;
    ann.subscribe_room(&room).await;
    let before = now_ms();
    let position = ann
        .send_room_with(&room, "hello", |send| {
            send.header("origin-id", "first").header("color", "red")
        })
        .await;
    let message = ann.next_message().await;
    assert_eq!(message.at("destination"), format!("/topic/rooms/{room}"));
    assert_eq!(message.at("subscription"), room);
    assert_eq!(message.at("message-id"), format!("{room}/{position}"));
    assert_eq!(message.at("position"), position);
    assert_eq!(message.at("room"), room);
    assert_eq!(message.at("sender"), "ann");
    assert_eq!(message.at("sender-name"), "Ann%20Lee%3A%20%C3%A9");
    assert_eq!(message.at("origin-id"), "first");
    assert_eq!(message.at("color"), "red");
    let sent: u64 = message.at("timestamp").parse().unwrap();
    assert!((before..=now_ms()).contains(&sent), "{sent}");
    assert_eq!(message.text(), "hello");
    assert_eq!(message.get("content-type"), None);
    assert_eq!(message.get("receipt"), None);
    assert_eq!(message.get("ack"), None);
}

#[tokio::test]
async fn the_first_seq_of_an_epoch_is_0_and_positions_follow() {
    let room = room("positions");
    let mut ann = Client::connect(&SERVER, "ann").await;
    let head = ann.subscribe_room(&room).await;
    assert_eq!(head.at("position"), "0-0", "an empty room");
    let first = ann.send_room(&room, "a").await;
    let (epoch, seq) = first.split_once('-').unwrap();
    assert_eq!(seq, "0");
    assert!(epoch.parse::<u64>().unwrap() > 0);
    assert_eq!(ann.send_room(&room, "b").await, format!("{epoch}-1"));
}

#[tokio::test]
async fn a_send_to_the_topic_is_a_send_to_the_room() {
    let room = room("topic");
    let mut ann = Client::connect(&SERVER, "ann").await;
    ann.subscribe_room(&room).await;
    let send = frame("SEND").header("destination", format!("/topic/rooms/{room}")).body("hello");
    ann.send(send).await;
    assert_eq!(ann.next_message().await.text(), "hello");
}

#[tokio::test]
async fn text_stays_text_and_binary_stays_binary_message_by_message() {
    let room = room("binary");
    let mut reader = Client::connect(&SERVER, "reader").await;
    reader.subscribe_room(&room).await;
    let mut ann = Client::connect(&SERVER, "ann").await;
    let plain = || to_room(&room, "héllo").with_length();
    let octets = "application/octet-stream";
    let cases = [
        ("text", plain(), false),
        ("binary message", plain().binary(), true),
        ("not UTF-8", to_room(&room, [0xff, 0xfe, b'x']).with_length().binary(), true),
        ("octet-stream", plain().header("content-type", octets), true),
        (
            "octet-stream in capitals",
            plain().header("content-type", "Application/Octet-Stream"),
            true,
        ),
        (
            "octet-stream with more",
            plain().header("content-type", "application/octet-stream; a=b"),
            true,
        ),
        ("text again", plain().header("content-type", "text/plain"), false),
    ];
    for (what, send, binary) in cases {
        let body = send.body.clone();
        ann.send(send).await;
        let message = reader.next_message().await;
        assert_eq!((message.binary, message.body), (binary, body), "{what}");
    }
}

#[tokio::test]
async fn a_content_type_loses_its_white_space() {
    let room = room("content-type");
    let mut ann = Client::connect(&SERVER, "ann").await;
    ann.subscribe_room(&room).await;
    ann.send(to_room(&room, "{}").header("content-type", "application/json; charset=UTF-8")).await;
    let message = ann.next_message().await;
    assert_eq!(message.at("content-type"), "application/json;charset=UTF-8");
}

#[tokio::test]
async fn a_body_may_hold_nul_when_its_length_is_given_and_be_empty() {
    let room = room("nul");
    let mut ann = Client::connect(&SERVER, "ann").await;
    ann.subscribe_room(&room).await;
    for body in [&b"a\0b\0"[..], b"\0", b"", b"\n\n\0\n"] {
        ann.send(to_room(&room, body).with_length()).await;
        assert_eq!(ann.next_message().await.body, body);
    }
}

#[tokio::test]
async fn custom_headers_come_back_in_1_1_and_1_2_and_are_left_out_where_1_0_cannot_say_them() {
    let room = room("custom");
    let mut readers = Vec::new();
    for version in ["1.0", "1.1", "1.2"] {
        let mut reader = Client::connect_with(&SERVER, version, &token("reader")).await;
        reader.subscribe_room(&room).await;
        readers.push(reader);
    }
    let mut ann = Client::connect(&SERVER, "ann").await;
    ann.send(
        to_room(&room, "x")
            .header("colon", r"a\cb")
            .header("line", r"a\nb")
            .header("slash", r"a\\b")
            .header("return", r"a\rb")
            .header(r"na\cme", "value")
            .header("plain", "value"),
    )
    .await;
    let [old, middle, new] = &mut readers[..] else { unreachable!() };
    let old = old.next_message().await;
    assert_eq!(old.at("plain"), "value");
    for name in ["colon", "line", "slash", "return", "na:me", "na?me", r"na\cme"] {
        assert_eq!(old.get(name), None, "{name} in 1.0");
    }
    for (version, message) in
        [("1.1", middle.next_message().await), ("1.2", new.next_message().await)]
    {
        for (name, value) in [
            ("colon", r"a\cb"),
            ("line", r"a\nb"),
            ("slash", r"a\\b"),
            (r"na\cme", "value"),
            ("plain", "value"),
        ] {
            assert_eq!(message.get(name), Some(value), "{name} in {version}");
        }
        let carriage_return = (version == "1.2").then_some(r"a\rb");
        assert_eq!(message.get("return"), carriage_return, "in {version}");
    }
}

#[tokio::test]
async fn a_sender_cannot_speak_in_the_servers_name_and_gives_no_secret_away() {
    let room = room("forged");
    let mut ann = Client::connect(&SERVER, "ann").await;
    ann.subscribe_room(&room).await;
    let mut send = to_room(&room, "x");
    for name in [
        "sender",
        "Sender",
        "sender-name",
        "position",
        "timestamp",
        "message-id",
        "subscription",
        "room",
        "recovered",
        "ack",
        "receipt-id",
        "redelivered",
        "login",
        "passcode",
        "Authorization",
        "heart-beat",
    ] {
        send = send.header(name, "forged");
    }
    ann.send(send).await;
    let message = ann.next_message().await;
    assert_eq!(message.at("sender"), "ann");
    assert!(!message.headers.iter().any(|(_, value)| value == "forged"), "{message:?}");
}

#[tokio::test]
async fn the_first_of_repeated_headers_counts() {
    let (one, other) = (room("one"), room("other"));
    let mut ann = Client::connect(&SERVER, "ann").await;
    ann.subscribe_room(&one).await;
    ann.send(to_room(&one, "x").header("destination", format!("/app/rooms/{other}"))).await;
    assert_eq!(ann.next_message().await.at("room"), one);
}

#[tokio::test]
async fn all_read_one_order_and_the_senders_own() {
    let room = room("order");
    let mut readers = Vec::new();
    for user in ["ann", "bob", "cho"] {
        let mut reader = Client::connect(&SERVER, user).await;
        reader.subscribe_room(&room).await;
        readers.push(reader);
    }
    for n in 0..50 {
        for (who, reader) in readers.iter_mut().enumerate() {
            reader.send(to_room(&room, format!("{who}:{n}"))).await;
        }
    }
    let first = readers[0].bodies(150).await;
    for who in 0..3 {
        let own: Vec<_> =
            first.iter().filter(|body| body.starts_with(&format!("{who}:"))).collect();
        let expected: Vec<_> = (0..50).map(|n| format!("{who}:{n}")).collect();
        assert_eq!(own, expected.iter().collect::<Vec<_>>());
    }
    assert_eq!(readers[1].bodies(150).await, first);
    assert_eq!(readers[2].bodies(150).await, first);
}

#[tokio::test]
async fn sends_above_the_rate_are_held_and_none_is_lost() {
    const COUNT: usize = 5_000;
    let server =
        Server::with(&[("MOIM_LIMITS__SEND_RATE", "2000"), ("MOIM_LIMITS__SEND_BURST", "500")]);
    let mut ann = Client::connect(&server, "ann").await;
    ann.subscribe_room("flood").await;
    let began = std::time::Instant::now();
    let sends = (0..COUNT).map(|n| to_room("flood", n.to_string()).header("receipt", n));
    ann.send_all(sends, Duration::from_secs(20)).await;
    let expected: Vec<String> = (0..COUNT).map(|n| n.to_string()).collect();
    assert_eq!(ann.bodies(COUNT).await, expected);
    for n in &expected {
        ann.receipt(n).await;
    }
    let least = Duration::from_millis(2_200);
    assert!(began.elapsed() >= least, "the rate did not hold: {:?}", began.elapsed());
}
