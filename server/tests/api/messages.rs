//! Saying something in a room, and who hears it.

use serde_json::json;

use crate::SERVER;
use crate::caller::Caller;
use crate::support::{Client, Server, Token, room};

/// A room of `ann`, and the path of its messages.
async fn founded() -> (Caller<'static>, String, String) {
    let (ann, id) = (Caller::with(&SERVER, &Token::of("ann").name("안나").mint()), room("said"));
    ann.post("/rooms", json!({ "id": id })).await.ok(201);
    let path = format!("/rooms/{id}/messages");
    (ann, id, path)
}

#[tokio::test]
async fn a_message_is_durable_when_it_is_answered_and_reads_back_whole() {
    let (ann, id, path) = founded().await;
    let headers = [("Content-Type", "application/json"), ("Idempotency-Key", "k-1")];
    let body = json!({ "body": "hello \"you\" ☂\n", "contentType": "text/plain; charset=utf-8" });
    let stored = ann.raw("POST", &path, &headers, body.to_string().as_bytes()).await.ok(201);
    assert_eq!((&stored["room"], &stored["originId"]), (&json!(id), &json!("k-1")));
    let bytes = ann.post(&path, json!({ "bodyBase64": "AP8=" })).await.ok(201);
    assert!(bytes.get("originId").is_none());
    let page = ann.get(&path).await.ok(200);
    assert_eq!((&page["next"], &page["recovered"]), (&json!(null), &json!(true)));
    let [first, second] = &page["messages"].as_array().unwrap()[..] else { panic!("{page}") };
    let at = first["timestamp"].as_u64().unwrap();
    assert!(at > 1_700_000_000_000);
    let expected = json!({
        "room": id, "position": stored["position"], "sender": "ann", "senderName": "안나",
        "timestamp": at, "contentType": "text/plain;charset=utf-8", "originId": "k-1",
        "body": "hello \"you\" ☂\n",
    });
    assert_eq!(*first, expected);
    assert_eq!(second["bodyBase64"], "AP8=");
    for absent in ["body", "contentType", "originId"] {
        assert!(second.get(absent).is_none(), "{absent}");
    }
}

#[tokio::test]
async fn what_is_said_here_is_heard_over_stomp_and_the_other_way() {
    let (ann, id, path) = founded().await;
    let mut client = Client::connect_with(&SERVER, "1.2", &Token::of("ann").mint()).await;
    client.subscribe_room(&id).await;
    let stored = ann.post(&path, json!({ "body": "over http" })).await.ok(201);
    let heard = client.next_message().await;
    assert_eq!(
        (heard.text(), heard.at("position")),
        ("over http", stored["position"].as_str().unwrap())
    );
    let position = client.send_room(&id, "over stomp").await;
    let page = ann.get(&path).await.ok(200);
    assert_eq!(page["messages"][1]["body"], "over stomp");
    assert_eq!(page["messages"][1]["position"], position);
}

#[tokio::test]
async fn the_same_key_is_one_message() {
    let (ann, id, path) = founded().await;
    let say = async |key: &str, body: &str| {
        let headers = [("Content-Type", "application/json"), ("Idempotency-Key", key)];
        ann.raw("POST", &path, &headers, json!({ "body": body }).to_string().as_bytes()).await
    };
    let first = say("a", "x").await.ok(201);
    assert_eq!(say("a", "x").await.ok(201), first);
    say("a", "y").await.refused(409, "name_reused");
    assert_ne!(say("b", "x").await.ok(201)["position"], first["position"]);
    let mut client = Client::connect_with(&SERVER, "1.2", &Token::of("ann").mint()).await;
    let again = client.send_room_with(&id, "x", |frame| frame.header("origin-id", "a")).await;
    assert_eq!(again, first["position"].as_str().unwrap(), "it is the name of STOMP");
    assert_eq!(ann.get(&path).await.ok(200)["messages"].as_array().unwrap().len(), 2);
    for bad in ["", "a b", "a:b", &"x".repeat(129), "ä"] {
        say(bad, "x").await.refused(400, "bad_request");
    }
    let many = futures_util::future::join_all((0..8).map(|_| say("c", "z"))).await;
    let places: Vec<_> = many.iter().map(|answer| answer.ok(201)["position"].clone()).collect();
    assert!(places.iter().all(|place| *place == places[0]), "{places:?}");
}

#[tokio::test]
async fn only_members_speak_and_read_and_a_grant_makes_one() {
    let (ann, id, path) = founded().await;
    ann.post(&path, json!({ "body": "x" })).await.ok(201);
    let eve = Caller::of(&SERVER, "eve");
    eve.get(&path).await.refused(403, "not_a_member");
    eve.post(&path, json!({ "body": "x" })).await.refused(403, "not_a_member");
    eve.get("/rooms/nowhere/messages").await.refused(404, "unknown_destination");
    let nowhere = eve.post("/rooms/nowhere/messages", json!({ "body": "x" })).await;
    nowhere.refused(404, "unknown_destination");
    let granted = Caller::with(&SERVER, &Token::of("gil").rooms(&[&id]).mint());
    assert_eq!(granted.get(&path).await.ok(200)["messages"].as_array().unwrap().len(), 1);
    granted.post(&path, json!({ "body": "y" })).await.ok(201);
    let members = ann.get(&format!("/rooms/{id}/members")).await.ok(200);
    assert_eq!(members["members"][1]["user"], "gil");
}

#[tokio::test]
async fn to_ask_for_a_room_makes_none_and_to_speak_in_it_does() {
    let id = room("granted");
    let all = Caller::with(&SERVER, &Token::of("gil").all_rooms().mint());
    for path in ["", "/messages", "/members"] {
        all.get(&format!("/rooms/{id}{path}")).await.refused(404, "unknown_destination");
    }
    all.post(&format!("/rooms/{id}/messages"), json!({ "body": "x" })).await.ok(201);
    assert_eq!(all.get(&format!("/rooms/{id}")).await.ok(200)["visibility"], "private");
}

#[tokio::test]
async fn a_body_is_bounded_as_in_stomp() {
    let server = Server::with(&[("MOIM_LIMITS__BODY_MAX", "4KiB")]);
    let ann = Caller::of(&server, "ann");
    ann.post("/rooms", json!({ "id": "r" })).await.ok(201);
    let say = async |body: serde_json::Value| ann.post("/rooms/r/messages", body).await;
    say(json!({ "body": "\"".repeat(4_096) })).await.ok(201);
    say(json!({ "body": "x".repeat(4_097) })).await.refused(413, "too_large");
    say(json!({ "body": "x".repeat(100_000) })).await.refused(413, "too_large");
    say(json!({ "bodyBase64": "AAAA".repeat(1_366) })).await.refused(413, "too_large");
    say(json!({ "body": "" })).await.ok(201);
    let page = ann.get("/rooms/r/messages").await.ok(200);
    assert_eq!(page["messages"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn each_user_has_a_rate_of_its_own() {
    let settings = [("MOIM_LIMITS__SEND_RATE", "1"), ("MOIM_LIMITS__SEND_BURST", "3")];
    let server = Server::with(&settings);
    let (ann, bob) = (Caller::of(&server, "ann"), Caller::of(&server, "bob"));
    ann.post("/rooms", json!({ "id": "r", "visibility": "public" })).await.ok(201);
    bob.post("/rooms/r/join", json!({})).await.ok(200);
    for _ in 0..3 {
        ann.post("/rooms/r/messages", json!({ "body": "x" })).await.ok(201);
    }
    let refused = ann.post("/rooms/r/messages", json!({ "body": "x" })).await;
    let problem = refused.refused(429, "rate_limited");
    assert!((1..=1_000).contains(&problem["retryAfterMs"].as_u64().unwrap()), "{problem}");
    bob.post("/rooms/r/messages", json!({ "body": "x" })).await.ok(201);
}
