//! `/topic/rooms/{room}/events`: who is there, who types, how far people have read.

use std::time::Duration;

use serde_json::{Value, json};

use crate::SERVER;
use crate::support::*;

/// Watches the room; the first thing told is who is there.
async fn watch(client: &mut Client, room: &str) -> Value {
    let receipt = client.next_receipt();
    let subscribe = frame("SUBSCRIBE")
        .header("id", "events")
        .header("destination", format!("/topic/rooms/{room}/events"))
        .header("receipt", &receipt);
    client.send(subscribe).await;
    client.receipt(&receipt).await;
    told(client, "here").await
}

/// The next event of that type.
async fn told(client: &mut Client, kind: &str) -> Value {
    let event =
        |frame: &Frame| frame.get("subscription") == Some("events") && frame.json()["type"] == kind;
    let frame = client.wait_for(event).await;
    assert_eq!(frame.at("content-type"), "application/json;charset=UTF-8");
    frame.json()
}

/// Waits until that user is among those who came or went; others may be told of with it.
async fn moved(client: &mut Client, which: &str, user: &str) {
    loop {
        let event = told(client, "presence").await;
        let users = event[which].as_array().unwrap();
        if users.iter().any(|moved| moved["user"] == user) {
            return;
        }
    }
}

async fn say(client: &mut Client, room: &str, what: &str, body: &Value) {
    let receipt = client.next_receipt();
    let send = frame("SEND")
        .header("destination", format!("/app/rooms/{room}/{what}"))
        .header("receipt", &receipt)
        .body(body.to_string());
    client.send(send).await;
    client.receipt(&receipt).await;
}

#[tokio::test]
async fn watchers_are_told_who_is_there_who_comes_and_who_goes() {
    let room = room("here");
    let token = Token::of("ann").name("Ann 미나").all_rooms().mint();
    let mut ann = Client::connect_with(&SERVER, "1.2", &token).await;
    ann.subscribe_room(&room).await;
    let mut bob = Client::connect(&SERVER, "bob").await;
    let here = watch(&mut bob, &room).await;
    let users = json!([{ "user": "ann", "name": "Ann 미나" }]);
    assert_eq!(here, json!({ "type": "here", "users": users, "count": 1 }));
    let mut cho = Client::connect(&SERVER, "cho").await;
    cho.subscribe_room(&room).await;
    moved(&mut bob, "arrived", "cho").await;
    ann.close().await;
    moved(&mut bob, "departed", "ann").await;
}

#[tokio::test]
async fn typing_is_told_and_ends_when_nothing_more_is_heard() {
    let room = room("typing");
    let (mut ann, mut bob) =
        (Client::connect(&SERVER, "ann").await, Client::connect(&SERVER, "bob").await);
    watch(&mut bob, &room).await;
    say(&mut ann, &room, "typing", &json!({ "typing": true })).await;
    say(&mut ann, &room, "typing", &json!({ "typing": true })).await;
    assert_eq!(told(&mut bob, "typing").await["typing"], true);
    say(&mut ann, &room, "typing", &json!({ "typing": false })).await;
    assert_eq!(
        told(&mut bob, "typing").await,
        json!({
            "type": "typing", "user": "ann", "typing": false,
        }),
        "the second one was throttled"
    );
    say(&mut ann, &room, "typing", &json!({ "typing": true })).await;
    assert_eq!(told(&mut bob, "typing").await["typing"], true);
    let ended =
        |event: &Event| matches!(event, Event::Frame(frame) if frame.json()["typing"] == false);
    loop {
        if ended(&bob.event_within(Duration::from_secs(10)).await) {
            break;
        }
    }
}

#[tokio::test]
async fn a_read_cursor_moves_forward_only_and_not_beyond_the_end() {
    let room = room("read");
    let (mut ann, mut bob) =
        (Client::connect(&SERVER, "ann").await, Client::connect(&SERVER, "bob").await);
    ann.subscribe_room(&room).await;
    watch(&mut bob, &room).await;
    let first = ann.send_room(&room, "one").await;
    let second = ann.send_room(&room, "two").await;
    for said in [&first, &second] {
        say(&mut ann, &room, "read", &json!({ "position": said })).await;
        let event = json!({ "type": "read", "user": "ann", "position": said });
        assert_eq!(told(&mut bob, "read").await, event);
    }
    // Back it does not go, and there is nothing to tell.
    say(&mut ann, &room, "read", &json!({ "position": first })).await;
    let third = ann.send_room(&room, "three").await;
    let far = format!("{}0-0", second.split('-').next().unwrap());
    say(&mut ann, &room, "read", &json!({ "position": far })).await;
    assert_eq!(told(&mut bob, "read").await["position"], *third);
}

#[tokio::test]
async fn events_are_for_members_and_well_formed_bodies() {
    let room = room("closed");
    let mut owner = Client::connect(&SERVER, "owner").await;
    owner.subscribe_room(&room).await;
    let mut eve = Client::connect_with(&SERVER, "1.2", &Token::of("eve").mint()).await;
    eve.subscribe_errors().await;
    let to = |what: &str, body: &str| {
        frame("SEND").header("destination", format!("/app/rooms/{room}/{what}")).body(body)
    };
    let subscribe = frame("SUBSCRIBE")
        .header("id", "e")
        .header("destination", format!("/topic/rooms/{room}/events"));
    for frame in [subscribe, to("typing", ""), to("read", "{\"position\":\"1-1\"}")] {
        eve.send(frame).await;
        assert_eq!(eve.next_refusal().await.json()["code"], "not_a_member");
    }
    owner.subscribe_errors().await;
    for (what, body) in [
        ("typing", "{"),
        ("typing", "{\"typing\":1}"),
        ("typing", "{\"typing\":true,\"more\":1}"),
        ("read", ""),
        ("read", "{}"),
        ("read", "{\"position\":\"x\"}"),
        ("read", "{\"position\":5}"),
    ] {
        owner.send(to(what, body)).await;
        assert_eq!(owner.next_refusal().await.json()["code"], "bad_request", "{what} {body}");
    }
    owner.send(to("dance", "{}")).await;
    assert_eq!(owner.next_refusal().await.json()["code"], "unknown_destination");
}
