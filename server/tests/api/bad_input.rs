//! What no honest client says, to every route of rooms.

use std::time::Duration;

use serde_json::json;

use crate::SERVER;
use crate::caller::Caller;
use crate::support::{Token, room};

/// Every route, with a body that it takes.
fn routes(room: &str) -> Vec<(&'static str, String, &'static str)> {
    vec![
        ("GET", "/rooms".into(), ""),
        ("POST", "/rooms".into(), "{}"),
        ("GET", format!("/rooms/{room}"), ""),
        ("PATCH", format!("/rooms/{room}"), "{}"),
        ("DELETE", format!("/rooms/{room}"), ""),
        ("POST", "/rooms/direct".into(), r#"{"user":"bob"}"#),
        ("POST", format!("/rooms/{room}/join"), ""),
        ("POST", format!("/rooms/{room}/leave"), ""),
        ("GET", format!("/rooms/{room}/members"), ""),
        ("PUT", format!("/rooms/{room}/members/bob"), "{}"),
        ("DELETE", format!("/rooms/{room}/members/bob"), ""),
        ("GET", format!("/rooms/{room}/messages"), ""),
        ("POST", format!("/rooms/{room}/messages"), r#"{"body":"x"}"#),
        ("GET", "/me/devices".into(), ""),
        ("PUT", "/me/devices/phone".into(), r#"{"platform":"android"}"#),
        ("DELETE", "/me/devices/phone".into(), ""),
        ("GET", "/me/rooms".into(), ""),
        ("PUT", format!("/me/rooms/{room}/cursor"), r#"{"position":"0-0"}"#),
    ]
}

#[tokio::test]
async fn every_route_asks_for_a_good_token() {
    let hour = Duration::from_secs(3_600);
    let expired = Token::of("ann").ttl(hour).made_ago(3 * hour).mint();
    let foreign = Token::of("ann").secret("another secret, of more than 32 bytes").mint();
    let callers = [
        (Caller::nobody(&SERVER), "bad_request"),
        (Caller::with(&SERVER, &expired), "expired"),
        (Caller::with(&SERVER, &foreign), "bad_request"),
        (Caller::with(&SERVER, "x.y.z"), "bad_request"),
        (Caller::with(&SERVER, &"x".repeat(5_000)), "bad_request"),
    ];
    for (method, path, body) in routes("lobby") {
        for (caller, code) in &callers {
            caller.json(method, &path, body).await.refused(401, code);
        }
    }
}

#[tokio::test]
async fn a_body_that_is_not_what_a_route_takes_is_refused() {
    let (ann, id) = (Caller::of(&SERVER, "ann"), room("bodies"));
    ann.post("/rooms", json!({ "id": id })).await.ok(201);
    let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
    let nested = format!(r#"{{"body":{deep}}}"#);
    let any = [
        "",
        "{",
        "null",
        "[]",
        "3",
        "\"x\"",
        "{\"__proto__\":1}",
        "{\"x\":1}",
        "\u{0}",
        "{}{}",
        &deep,
        &nested,
        "{\"a\":1e999}",
    ];
    let many = "x".repeat(200_000);
    for (method, path, good) in routes(&id).iter().filter(|(.., body)| !body.is_empty()) {
        for bad in any {
            ann.json(method, path, bad).await.refused(400, "bad_request");
        }
        let plain = ann.raw(method, path, &[("Content-Type", "text/plain")], good.as_bytes()).await;
        plain.refused(415, "bad_request");
        ann.raw(method, path, &[], good.as_bytes()).await.refused(415, "bad_request");
        let not_text = [b"{\"name\":\"".as_slice(), &[0xff, 0xfe], b"\"}"].concat();
        let headers = [("Content-Type", "application/json")];
        ann.raw(method, path, &headers, &not_text).await.refused(400, "bad_request");
        if !path.ends_with("/messages") {
            let huge = format!(r#"{{"name":"{many}"}}"#);
            ann.json(method, path, &huge).await.refused(413, "too_large");
        }
    }
    ann.get(&format!("/rooms/{id}")).await.ok(200);
}

#[tokio::test]
async fn fields_of_the_wrong_kind_are_refused() {
    let (ann, id) = (Caller::of(&SERVER, "ann"), room("fields"));
    ann.post("/rooms", json!({ "id": id })).await.ok(201);
    let (at, member) = (format!("/rooms/{id}"), format!("/rooms/{id}/members/bob"));
    let messages = format!("/rooms/{id}/messages");
    let long = "x".repeat(129);
    let bad = [
        ("POST", "/rooms", json!({ "id": 5 })),
        ("POST", "/rooms", json!({ "id": "" })),
        ("POST", "/rooms", json!({ "id": "a/b" })),
        ("POST", "/rooms", json!({ "id": "a b" })),
        ("POST", "/rooms", json!({ "id": "a'\"" })),
        ("POST", "/rooms", json!({ "id": "방" })),
        ("POST", "/rooms", json!({ "id": "a\u{0}" })),
        ("POST", "/rooms", json!({ "id": "x".repeat(65) })),
        ("POST", "/rooms", json!({ "name": 5 })),
        ("POST", "/rooms", json!({ "name": long })),
        ("POST", "/rooms", json!({ "name": "a\u{0}b" })),
        ("POST", "/rooms", json!({ "name": "a\nb" })),
        ("POST", "/rooms", json!({ "visibility": "secret" })),
        ("POST", "/rooms", json!({ "visibility": true })),
        ("POST", "/rooms", json!({ "owner": "bob" })),
        ("PATCH", &at, json!({ "name": long })),
        ("PATCH", &at, json!({ "id": "other" })),
        ("PATCH", &at, json!({ "direct": true })),
        ("POST", "/rooms/direct", json!({})),
        ("POST", "/rooms/direct", json!({ "user": "a b" })),
        ("POST", "/rooms/direct", json!({ "user": ["bob"] })),
        ("PUT", &member, json!({ "role": "king" })),
        ("PUT", &member, json!({ "role": 1 })),
        ("PUT", &member, json!({ "mutedUntil": "tomorrow" })),
        ("PUT", &member, json!({ "mutedUntil": -1 })),
        ("PUT", &member, json!({ "mutedUntil": 1.5 })),
        ("PUT", &member, json!({ "banned": "yes" })),
        ("PUT", &member, json!({ "user": "eve" })),
        ("POST", &messages, json!({})),
        ("POST", &messages, json!({ "body": 5 })),
        ("POST", &messages, json!({ "body": "x", "bodyBase64": "AA==" })),
        ("POST", &messages, json!({ "bodyBase64": "not base64" })),
        ("POST", &messages, json!({ "body": "x", "sender": "bob" })),
        ("POST", &messages, json!({ "body": "x", "contentType": "a\nb:c" })),
        ("POST", &messages, json!({ "body": "x", "contentType": "x".repeat(300) })),
    ];
    for (method, path, body) in bad {
        ann.call(method, path, body).await.refused(400, "bad_request");
    }
    for huge in ["1e400", "99999999999999999999999999", "9007199254740992", "-0.5"] {
        let body = format!(r#"{{"mutedUntil":{huge}}}"#);
        ann.json("PUT", &member, &body).await.refused(400, "bad_request");
    }
    let twice = r#"{"name":"a","name":"b"}"#;
    ann.json("PATCH", &at, twice).await.refused(400, "bad_request");
    let members = ann.get(&format!("/rooms/{id}/members")).await.ok(200);
    assert_eq!(members["members"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_strange_path_names_no_room() {
    let ann = Caller::of(&SERVER, "ann");
    for (segment, status) in [
        ("a%2Fb", 400),
        ("%00", 400),
        ("a%00", 400),
        ("..", 404),
        ("%2e%2e", 404),
        ("..%2f..%2fetc%2fpasswd", 400),
        ("%27%20OR%201=1--", 400),
        ("%22", 400),
        ("'", 400),
        ("%F0%9F%92%A9", 400),
        ("%ff", 400),
        ("%", 400),
        (&"x".repeat(65), 400),
        (&"x".repeat(4_000), 400),
        ("a:b", 400),
        ("a;b", 400),
        ("*", 400),
    ] {
        for more in ["", "/members", "/messages"] {
            let answer = ann.get(&format!("/rooms/{segment}{more}")).await;
            let code = if status == 404 { "unknown_destination" } else { "bad_request" };
            answer.refused(status, code);
        }
    }
    for path in ["/rooms/a/b", "/rooms//members", "/rooms/", "/rooms/a/members/b/c"] {
        let answer = ann.get(path).await;
        assert!(matches!(answer.status, 400 | 404), "{path}: {answer:?}");
    }
    for user in ["a%2Fb", "%00", "a%20b", "a%5Cb", &"x".repeat(129)] {
        let answer = ann.put(&format!("/rooms/lobby/members/{user}"), json!({})).await;
        answer.refused(400, "bad_request");
    }
}

#[tokio::test]
async fn a_method_that_a_path_does_not_have_is_refused() {
    let ann = Caller::of(&SERVER, "ann");
    for (method, path) in [
        ("PUT", "/rooms"),
        ("POST", "/rooms/lobby"),
        ("GET", "/rooms/lobby/join"),
        ("PATCH", "/rooms/lobby/messages"),
        ("DELETE", "/me/rooms/lobby/cursor"),
    ] {
        ann.raw(method, path, &[], b"").await.refused(405, "bad_request");
    }
}
