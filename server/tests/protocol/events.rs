//! `/topic/rooms/{room}/events`: who is there, who types, how far people have read.

use std::time::Duration;

use moim_shared::clock::now_ms;
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

async fn say(client: &mut Client, room: &str, what: &str, body: &Value) {
    let receipt = client.next_receipt();
    let send = frame("SEND")
        .header("destination", format!("/app/rooms/{room}/{what}"))
        .header("receipt", &receipt)
        .body(body.to_string());
    client.send(send).await;
    client.receipt(&receipt).await;
}

/// A server where who goes is told of at once, and another where it is not within a test.
fn with_grace(grace: &str) -> Server {
    Server::with(&[("MOIM_PRESENCE_GRACE", grace)])
}

#[tokio::test]
async fn watchers_are_told_who_is_there_who_comes_and_who_goes() {
    let (server, room) = (with_grace("0s"), room("here"));
    let token = Token::of("ann").name("Ann 미나").all_rooms().mint();
    let mut ann = Client::connect_with(&server, "1.2", &token).await;
    ann.subscribe_room(&room).await;
    let mut bob = Client::connect(&server, "bob").await;
    let here = watch(&mut bob, &room).await;
    let users = json!([{ "user": "ann", "name": "Ann 미나" }]);
    assert_eq!(here, json!({ "type": "here", "users": users, "count": 1 }));
    let mut cho = Client::connect(&server, "cho").await;
    cho.subscribe_room(&room).await;
    let came = json!({
        "type": "presence", "arrived": [{ "user": "cho" }], "departed": [], "away": [], "back": [],
    });
    assert_eq!(told(&mut bob, "presence").await, came);
    ann.close().await;
    let gone = told(&mut bob, "presence").await;
    let [departed] = &gone["departed"].as_array().unwrap()[..] else { panic!("{gone}") };
    assert_eq!(departed["user"], "ann");
    let ago = now_ms() - departed["lastSeen"].as_u64().unwrap();
    assert!(ago < 60_000, "{ago} ms ago");
}

#[tokio::test]
async fn who_comes_back_within_the_grace_was_never_gone() {
    let (server, room) = (with_grace("10m"), room("back"));
    let mut ann = Client::connect(&server, "ann").await;
    ann.subscribe_room(&room).await;
    let mut bob = Client::connect(&server, "bob").await;
    watch(&mut bob, &room).await;
    ann.close().await;
    let mut again = Client::connect(&server, "ann").await;
    again.subscribe_room(&room).await;
    // What was told by then was told in front of this.
    let mut cho = Client::connect(&server, "cho").await;
    cho.subscribe_room(&room).await;
    let first = told(&mut bob, "presence").await;
    assert_eq!((&first["arrived"], &first["departed"]), (&json!([{ "user": "cho" }]), &json!([])));
    again.close().await;
    let mut late = Client::connect(&server, "late").await;
    assert_eq!(watch(&mut late, &room).await["count"], 2, "it is there until its grace ends");
}

#[tokio::test]
async fn a_person_is_away_when_all_its_sessions_are() {
    let (server, room) = (with_grace("0s"), room("away"));
    let (mut phone, mut laptop) =
        (Client::connect(&server, "ann").await, Client::connect(&server, "ann").await);
    phone.subscribe_room(&room).await;
    laptop.subscribe_room(&room).await;
    let mut bob = Client::connect(&server, "bob").await;
    watch(&mut bob, &room).await;
    turn(&mut phone, "away").await;
    turn(&mut laptop, "away").await;
    let ann = json!([{ "user": "ann" }]);
    let event = told(&mut bob, "presence").await;
    assert_eq!((&event["away"], &event["back"]), (&ann, &json!([])));
    let mut late = Client::connect(&server, "late").await;
    let here = watch(&mut late, &room).await;
    assert_eq!(here["users"], json!([{ "user": "ann", "away": true }]));
    turn(&mut laptop, "active").await;
    let event = told(&mut bob, "presence").await;
    assert_eq!((&event["away"], &event["back"]), (&json!([]), &ann));
}

/// Says whether its user is there.
async fn turn(client: &mut Client, state: &str) {
    let receipt = client.next_receipt();
    let send = frame("SEND").header("destination", "/app/presence").header("receipt", &receipt);
    client.send(send.body(json!({ "state": state }).to_string())).await;
    client.receipt(&receipt).await;
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
