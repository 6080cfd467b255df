//! What is told and not kept reaches the other nodes as well.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::timeout;

use crate::rig::Cluster;
use crate::support::*;

/// Within that time people are gone whose node is.
const GONE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn open_topics_and_the_queues_of_users_cross_nodes() {
    let cluster = Cluster::with(2, 0, &[("MOIM_OPEN_TOPICS", "true")]).await;
    let mut ann = Client::connect(cluster.server(0), "ann").await;
    let mut bob = Client::connect(cluster.server(1), "bob").await;
    bob.subscribe("t", "/topic/chat.general").await;
    bob.subscribe("q", "/queue/jobs").await;
    bob.subscribe("u", "/user/queue/news").await;
    for n in 0..50 {
        for to in ["/topic/chat.general", "/queue/jobs", "/user/bob/queue/news"] {
            ann.send(frame("SEND").header("destination", to).body(n.to_string())).await;
        }
    }
    let mut heard = [const { Vec::new() }; 3];
    for _ in 0..150 {
        let message = bob.next_message().await;
        let which = ["t", "q", "u"].iter().position(|id| *id == message.at("subscription"));
        heard[which.unwrap()].push(message.text().to_owned());
        assert_eq!(message.at("sender"), "ann");
    }
    let all: Vec<String> = (0..50).map(|n| n.to_string()).collect();
    assert!(heard.iter().all(|one| *one == all), "{heard:?}");
    cluster.end().await;
}

/// The next event of that type.
async fn told(client: &mut Client, kind: &str) -> Value {
    let event =
        |frame: &Frame| frame.get("subscription") == Some("events") && frame.json()["type"] == kind;
    client.wait_for(event).await.json()
}

/// Waits until that user is among those who came or went; others may be told of before.
async fn moved(client: &mut Client, which: &str, user: &str) {
    let moved = async {
        loop {
            let Event::Frame(frame) = client.event_within(GONE).await else { continue };
            let event = frame.json();
            let users = event[which].as_array().map(Vec::as_slice).unwrap_or_default();
            if event["type"] == "presence" && users.iter().any(|moved| moved["user"] == user) {
                return;
            }
        }
    };
    assert!(timeout(GONE, moved).await.is_ok(), "nobody tells that {user} {which}");
}

async fn say(client: &mut Client, room: &str, what: &str, body: &Value) {
    let to = format!("/app/rooms/{room}/{what}");
    client.send(frame("SEND").header("destination", to).body(body.to_string())).await;
    client.sync().await;
}

#[tokio::test]
async fn typing_reading_coming_and_going_are_told_on_other_nodes() {
    let cluster = Cluster::start(2, 1).await;
    let room = room("events");
    let mut bob = Client::connect(cluster.server(1), "bob").await;
    bob.subscribe_room(&room).await;
    bob.subscribe("events", &format!("/topic/rooms/{room}/events")).await;
    told(&mut bob, "here").await;
    let mut ann = Client::connect(cluster.server(0), "ann").await;
    ann.subscribe_room(&room).await;
    moved(&mut bob, "arrived", "ann").await;
    say(&mut ann, &room, "typing", &json!({ "typing": true })).await;
    let typing = json!({ "type": "typing", "user": "ann", "typing": true });
    assert_eq!(told(&mut bob, "typing").await, typing);
    let position = ann.send_room(&room, "hello").await;
    say(&mut ann, &room, "read", &json!({ "position": position })).await;
    let read = json!({ "type": "read", "user": "ann", "position": position });
    assert_eq!(told(&mut bob, "read").await, read);
    ann.close().await;
    moved(&mut bob, "departed", "ann").await;

    cluster.end().await;
}
