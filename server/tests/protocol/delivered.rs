//! How far devices were given messages: by what their sessions show, and as they say.

use std::time::Duration;

use serde_json::{Value, json};

use crate::SERVER;
use crate::support::*;

/// Somebody who watches the room.
async fn watcher(room: &str) -> Client {
    let mut watcher = Client::connect(&SERVER, "watcher").await;
    let events = frame("SUBSCRIBE")
        .header("id", "events")
        .header("destination", format!("/topic/rooms/{room}/events"))
        .header("receipt", "events");
    watcher.send(events).await;
    watcher.wait_for(|frame| frame.command == "RECEIPT").await;
    watcher
}

/// How far `user` was given messages, as the watcher is told next.
async fn told(watcher: &mut Client, user: &str) -> String {
    let of_user = |told: &Value| told["type"] == "delivered" && told["user"] == user;
    let told = watcher.wait_for(|frame| frame.command == "MESSAGE" && of_user(&frame.json()));
    told.await.json()["position"].as_str().unwrap().to_owned()
}

async fn say(client: &mut Client, destination: &str, body: &Value) {
    let receipt = client.next_receipt();
    let said = frame("SEND").header("destination", destination).header("receipt", &receipt);
    client.send(said.body(body.to_string())).await;
    client.wait_for(|frame| frame.get("receipt-id") == Some(&receipt)).await;
}

#[tokio::test]
async fn what_was_written_to_a_session_and_followed_by_a_sign_of_it_is_delivered() {
    let room = room("proof");
    let mut watcher = watcher(&room).await;
    let mut ann = Client::connect(&SERVER, "ann").await;
    let mut bob = Open::new(&SERVER).open().await;
    let connect = frame("CONNECT").header("accept-version", "1.2").header("device", "phone");
    bob.send(connect.header("Authorization", format!("Bearer {}", token("bob")))).await;
    bob.expect("CONNECTED").await;
    bob.subscribe_room(&room).await;
    let first = ann.send_room(&room, "one").await;
    assert_eq!(bob.bodies(1).await, ["one"]);
    bob.sync().await;
    assert_eq!(told(&mut watcher, "bob").await, first);
    // Without a word of the client: the WebSocket of its device answers.
    let second = ann.send_room(&room, "two").await;
    let reading = async {
        assert_eq!(bob.bodies(1).await, ["two"]);
        bob.event_within(Duration::from_secs(20)).await
    };
    tokio::select! {
        position = told(&mut watcher, "bob") => assert_eq!(position, second),
        event = reading => panic!("{event:?}"),
    }
}

#[tokio::test]
async fn who_is_away_was_given_nothing_until_it_is_back() {
    let room = room("away");
    let mut watcher = watcher(&room).await;
    let (mut ann, mut bob) =
        (Client::connect(&SERVER, "ann").await, Client::connect(&SERVER, "bob").await);
    bob.subscribe_room(&room).await;
    say(&mut bob, "/app/presence", &json!({ "state": "away" })).await;
    ann.send_room(&room, "one").await;
    assert_eq!(bob.bodies(1).await, ["one"]);
    bob.sync().await;
    let mut cho = Client::connect(&SERVER, "cho").await;
    cho.subscribe_room(&room).await;
    let second = ann.send_room(&room, "two").await;
    assert_eq!(cho.bodies(1).await, ["two"]);
    assert_eq!(bob.bodies(1).await, ["two"]);
    bob.sync().await;
    cho.sync().await;
    // Told of Cho, who came later, and not of Bob.
    let next = watcher.wait_for(|frame| frame.json()["type"] == "delivered").await.json();
    assert_eq!((&next["user"], &next["position"]), (&json!("cho"), &json!(second)));
    say(&mut bob, "/app/presence", &json!({ "state": "active" })).await;
    bob.sync().await;
    assert_eq!(told(&mut watcher, "bob").await, second);
}

#[tokio::test]
async fn an_ack_says_up_to_where_messages_came_in_and_a_nack_nothing() {
    let room = room("acked");
    let mut watcher = watcher(&room).await;
    let (mut ann, mut bob) =
        (Client::connect(&SERVER, "ann").await, Client::connect(&SERVER, "bob").await);
    bob.subscribe_room_with(&room, |frame| frame.header("ack", "client")).await;
    let mut acks = Vec::new();
    let mut positions = Vec::new();
    for n in 0..4 {
        positions.push(ann.send_room(&room, &n.to_string()).await);
        let message = bob.wait_for(|frame| frame.command == "MESSAGE").await;
        acks.push(message.at("ack").to_owned());
    }
    // What it says beside that proves nothing here.
    bob.sync().await;
    bob.send(frame("NACK").header("id", &acks[0])).await;
    bob.send(frame("ACK").header("id", &acks[1])).await;
    assert_eq!(told(&mut watcher, "bob").await, positions[1]);
    // Beyond what it was given it cannot say.
    let beyond = acks[3].replace(&positions[3], &format!("{}9", positions[3]));
    bob.send(frame("BEGIN").header("transaction", "t")).await;
    bob.send(frame("ACK").header("id", &beyond).header("transaction", "t")).await;
    bob.send(frame("COMMIT").header("transaction", "t")).await;
    assert_eq!(told(&mut watcher, "bob").await, positions[3]);
}

#[tokio::test]
async fn an_app_may_say_how_far_it_was_given_messages() {
    let room = room("says");
    let mut watcher = watcher(&room).await;
    let (mut ann, mut bob) =
        (Client::connect(&SERVER, "ann").await, Client::connect(&SERVER, "bob").await);
    let first = ann.send_room(&room, "one").await;
    let delivered = format!("/app/rooms/{room}/delivered");
    say(&mut bob, &delivered, &json!({ "position": first })).await;
    assert_eq!(told(&mut watcher, "bob").await, first);
    // Not past the end.
    let second = ann.send_room(&room, "two").await;
    let far = format!("{}0-0", second.split('-').next().unwrap());
    say(&mut bob, &delivered, &json!({ "position": far })).await;
    assert_eq!(told(&mut watcher, "bob").await, second);
    bob.subscribe_errors().await;
    for (destination, body) in [(&*delivered, "{}"), ("/app/presence", "{\"state\":\"asleep\"}")] {
        let bad = frame("SEND").header("destination", destination).header("receipt", "bad");
        bob.send(bad.body(body)).await;
        assert_eq!(bob.next_refusal().await.json()["code"], "bad_request");
    }
    let mut eve = Client::connect_with(&SERVER, "1.2", &Token::of("eve").mint()).await;
    eve.subscribe_errors().await;
    let foreign = frame("SEND").header("destination", &delivered).header("receipt", "no");
    eve.send(foreign.body(json!({ "position": first }).to_string())).await;
    assert_eq!(eve.next_refusal().await.json()["code"], "not_a_member");
}
