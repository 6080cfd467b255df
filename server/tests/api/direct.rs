//! The one room of two people.

use serde_json::json;

use crate::SERVER;
use crate::caller::Caller;
use crate::support::{Client, Token, to_room};

#[tokio::test]
async fn a_pair_has_one_room_whoever_asks() {
    let (ann, bob) = (Caller::of(&SERVER, "d-ann"), Caller::of(&SERVER, "d-bob"));
    let made = ann.post("/rooms/direct", json!({ "user": "d-bob" })).await.ok(201);
    assert_eq!((&made["direct"], &made["visibility"]), (&json!(true), &json!("private")));
    let id = made["id"].as_str().unwrap();
    assert!(id.starts_with("dm~"));
    assert_eq!(ann.post("/rooms/direct", json!({ "user": "d-bob" })).await.ok(200), made);
    assert_eq!(bob.post("/rooms/direct", json!({ "user": "d-ann" })).await.ok(200), made);
    let other = ann.post("/rooms/direct", json!({ "user": "d-cat" })).await.ok(201);
    assert_ne!(other["id"], made["id"]);

    ann.post(&format!("/rooms/{id}/messages"), json!({ "body": "hi" })).await.ok(201);
    bob.post(&format!("/rooms/{id}/leave"), json!({})).await.ok(204);
    bob.get(&format!("/rooms/{id}/messages")).await.refused(403, "not_a_member");
    assert_eq!(ann.post("/rooms/direct", json!({ "user": "d-bob" })).await.ok(200), made);
    let seen = bob.get(&format!("/rooms/{id}/messages")).await.ok(200);
    assert_eq!(seen["messages"][0]["body"], "hi");
}

#[tokio::test]
async fn nobody_else_gets_into_it() {
    let ann = Caller::of(&SERVER, "e-ann");
    let made = ann.post("/rooms/direct", json!({ "user": "e-bob" })).await.ok(201);
    let path = format!("/rooms/{}", made["id"].as_str().unwrap());
    for token in [Token::of("e-eve").mint(), Token::of("e-eve").all_rooms().mint()] {
        let eve = Caller::with(&SERVER, &token);
        eve.get(&path).await.refused(403, "not_a_member");
        eve.get(&format!("{path}/messages")).await.refused(403, "not_a_member");
        eve.get(&format!("{path}/members")).await.refused(403, "not_a_member");
        eve.post(&format!("{path}/join"), json!({})).await.refused(403, "not_a_member");
        let say = eve.post(&format!("{path}/messages"), json!({ "body": "x" })).await;
        say.refused(403, "not_a_member");
    }
    ann.put(&format!("{path}/members/e-eve"), json!({})).await.refused(403, "bad_request");
    ann.call("PATCH", &path, json!({ "name": "ours" })).await.refused(403, "bad_request");
    ann.call("PATCH", &path, json!({ "visibility": "public" })).await.refused(403, "bad_request");
    ann.delete(&path).await.refused(403, "bad_request");
}

#[tokio::test]
async fn its_ids_are_nobodys_to_choose() {
    let ann = Caller::of(&SERVER, "f-ann");
    for id in ["dm~x", "dm~", ".", "..", "direct"] {
        ann.post("/rooms", json!({ "id": id })).await.refused(400, "bad_request");
    }
    ann.post("/rooms/direct", json!({ "user": "f-ann" })).await.refused(409, "bad_request");
    let mut client = Client::connect(&SERVER, "f-ann").await;
    client.subscribe_errors().await;
    client.send(to_room("dm~x", "hi").header("receipt", "1")).await;
    assert!(client.next_refusal().await.text().contains("not_a_member"));
    ann.get("/rooms/dm~x").await.refused(404, "unknown_destination");
}
