//! Bodies of other shapes: `envelope: json`, and the templates of apps written for other servers.

use serde_json::json;

use crate::SERVER;
use crate::support::*;

#[tokio::test]
async fn envelope_json_puts_the_whole_message_into_the_body() {
    let room = room("envelope");
    let token = Token::of("ann").name("Ann").all_rooms().mint();
    let mut ann = Client::connect_with(&SERVER, "1.2", &token).await;
    let mut plain = Client::connect(&SERVER, "bob").await;
    plain.subscribe_room(&room).await;
    ann.subscribe_room_with(&room, |frame| frame.header("envelope", "json")).await;
    let named =
        |frame: Frame| frame.header("origin-id", "o-1").header("content-type", "text/plain");
    let position = ann.send_room_with(&room, "hello \"you\"", named).await;
    let message = ann.next_message().await;
    assert_eq!(message.at("content-type"), "application/json;charset=UTF-8");
    assert_eq!(message.at("position"), position);
    let mut body = message.json();
    assert!(body["timestamp"].take().as_u64().is_some());
    assert_eq!(
        body,
        json!({
            "room": room, "position": position, "sender": "ann", "senderName": "Ann",
            "timestamp": null, "contentType": "text/plain", "originId": "o-1", "body": "hello \"you\"",
        })
    );
    assert_eq!(plain.next_message().await.text(), "hello \"you\"", "others see it as it was sent");
}

#[tokio::test]
async fn envelope_json_has_bytes_in_base64_in_a_text_message() {
    let room = room("bytes");
    let mut ann = Client::connect(&SERVER, "ann").await;
    ann.subscribe_room_with(&room, |frame| frame.header("envelope", "json")).await;
    let receipt = ann.next_receipt();
    let send = to_room(&room, [0, 255]).with_length().binary().header("receipt", &receipt);
    ann.send(send).await;
    ann.receipt(&receipt).await;
    let message = ann.next_message().await;
    assert!(!message.binary);
    assert_eq!(message.json()["bodyBase64"], "AP8=");
    assert!(message.json().get("body").is_none());
}

#[tokio::test]
async fn a_replay_has_the_shape_that_was_asked_for() {
    let room = room("replayed");
    let mut ann = Client::connect(&SERVER, "ann").await;
    ann.send_room(&room, "old").await;
    let json = |frame: Frame| frame.header("since", "0-0").header("envelope", "json");
    ann.subscribe_room_with(&room, json).await;
    assert_eq!(ann.next_message().await.json()["body"], "old");
}

#[tokio::test]
async fn another_envelope_is_refused() {
    let mut ann = Client::connect(&SERVER, "ann").await;
    ann.subscribe_errors().await;
    let subscribe = frame("SUBSCRIBE")
        .header("id", "x")
        .header("destination", "/topic/rooms/lobby")
        .header("envelope", "xml");
    ann.send(subscribe).await;
    assert_eq!(ann.next_refusal().await.json()["code"], "bad_request");
}

/// The app that this project comes from: the room in the JSON, the sender's name in the answer.
const ORIGIN: &str = r#"[
    { send = "/pub/chat/message", room = "/roomId", body = "/content" },
    { send = "/app/chat/{room}" },
    { subscribe = "/sub/chat/room/{room}", message = { roomId = "{room}", sender = "{senderName}", content = "{body}" } },
    { subscribe = "/topic/chat/{room}" },
]"#;

#[tokio::test]
async fn an_app_of_another_server_keeps_its_destinations_and_bodies() {
    let server = Server::with(&[("MOIM_TEMPLATES", ORIGIN)]);
    let token = Token::of("ann").name("Ann").all_rooms().mint();
    let mut app = Client::connect_with(&server, "1.1,1.2", &token).await;
    let mut new = Client::connect(&server, "bob").await;
    new.subscribe_room("42").await;
    let subscribe = frame("SUBSCRIBE").header("id", "s").header("destination", "/sub/chat/room/42");
    app.send(subscribe.header("receipt", "s")).await;
    app.receipt("s").await;
    for room in [json!("42"), json!(42)] {
        let body = json!({ "type": "TALK", "roomId": room, "content": "hello" }).to_string();
        app.send(frame("SEND").header("destination", "/pub/chat/message").body(body)).await;
        let message = app.next_message().await;
        assert_eq!(message.at("destination"), "/sub/chat/room/42");
        let shape = json!({ "roomId": "42", "sender": "Ann", "content": "hello" });
        assert_eq!(message.json(), shape);
        assert_eq!(new.next_message().await.text(), "hello");
    }
    let sent = frame("SEND").header("destination", "/app/chat/42").body("{\"a\":1}");
    new.send(sent).await;
    assert_eq!(new.next_message().await.text(), "{\"a\":1}");
    let shape = json!({ "roomId": "42", "sender": "bob", "content": "{\"a\":1}" });
    assert_eq!(app.next_message().await.json(), shape);
}

#[tokio::test]
async fn a_legacy_body_that_names_no_room_is_refused() {
    let server = Server::with(&[("MOIM_TEMPLATES", ORIGIN)]);
    let mut app = Client::connect(&server, "ann").await;
    app.subscribe_errors().await;
    for body in
        ["", "no json", "{}", r#"{"roomId":"a b","content":"x"}"#, r#"{"roomId":"a"}"#, "[1]"]
    {
        app.send(frame("SEND").header("destination", "/pub/chat/message").body(body)).await;
        assert_eq!(app.next_refusal().await.json()["code"], "bad_request", "{body}");
    }
}
