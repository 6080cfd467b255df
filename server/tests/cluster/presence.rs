//! Who is there, over nodes: counted once, whichever of them it is on and however they end.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::timeout;

use crate::rig::Cluster;
use crate::support::*;
use crate::until;

/// A node counts as dead by then: its lease, as seen by another one, and what it takes to look.
const DEAD: Duration = Duration::from_secs(20);

/// A grace that ends within no test, and one that a test can wait for.
const LONG: &str = "10m";
const SHORT: &str = "1s";

async fn cluster(servers: usize, grace: &str) -> Cluster {
    Cluster::with(servers, 1, &[("MOIM_PRESENCE_GRACE", grace)]).await
}

/// Comes to read the room.
async fn come(cluster: &Cluster, server: usize, user: &str, room: &str) -> Client {
    let mut client = Client::connect(cluster.server(server), user).await;
    client.subscribe_room(room).await;
    client
}

/// Watches the room; who is there, by their names.
async fn watch(cluster: &Cluster, server: usize, user: &str, room: &str) -> (Client, Vec<Value>) {
    let mut client = Client::connect(cluster.server(server), user).await;
    client.subscribe("events", &format!("/topic/rooms/{room}/events")).await;
    let mut here = event(&mut client, DEADLINE).await;
    assert_eq!(here["type"], "here");
    let mut users = std::mem::take(here["users"].as_array_mut().unwrap());
    assert_eq!(here["count"], users.len());
    users.sort_by_key(|user| user["user"].to_string());
    (client, users)
}

/// The next event of who is there.
async fn event(client: &mut Client, within: Duration) -> Value {
    let next = async {
        loop {
            let Event::Frame(frame) = client.event_within(within).await else { continue };
            if frame.get("subscription") == Some("events") {
                let event = frame.json();
                if event["type"] == "presence" || event["type"] == "here" {
                    return event;
                }
            }
        }
    };
    timeout(within, next).await.expect("an event of who is there")
}

fn people(users: &[&str]) -> Vec<Value> {
    users.iter().map(|user| json!({ "user": user })).collect()
}

/// That they came, in any number of events, and nothing else.
async fn came(client: &mut Client, users: &[&str]) {
    let mut arrived = Vec::new();
    while arrived.len() < users.len() {
        let event = event(client, DEADLINE).await;
        for other in ["departed", "away", "back"] {
            assert_eq!(event[other], json!([]), "{event}");
        }
        arrived.extend(event["arrived"].as_array().unwrap().clone());
    }
    arrived.sort_by_key(|user| user["user"].to_string());
    assert_eq!(arrived, people(users));
}

/// That this one went.
async fn went(client: &mut Client, user: &str, within: Duration) -> Value {
    let event = event(client, within).await;
    assert_eq!(event["arrived"], json!([]), "{event}");
    let [departed] = &event["departed"].as_array().unwrap()[..] else { panic!("{event}") };
    assert_eq!(departed["user"], user);
    departed.clone()
}

/// A member as a server tells of it.
fn member(cluster: &Cluster, server: usize, room: &str, user: &str) -> Value {
    let ask = cluster.server(server).ask(&format!("GET /api/v1/rooms/{room}/members"));
    let members = ask.token(&token(user)).expect(200);
    let all = members["members"].as_array().unwrap();
    all.iter().find(|one| one["user"] == user).unwrap().clone()
}

#[tokio::test]
async fn a_watcher_sees_who_reads_the_room_on_any_node_each_person_once() {
    let cluster = cluster(3, SHORT).await;
    let room = room("merged");
    let _ann = come(&cluster, 0, "ann", &room).await;
    let phone = come(&cluster, 1, "bob", &room).await;
    let (mut watcher, here) = watch(&cluster, 2, "jun", &room).await;
    assert_eq!(here, people(&["ann", "bob"]));
    let laptop = come(&cluster, 0, "bob", &room).await;
    let _cho = come(&cluster, 2, "cho", &room).await;
    came(&mut watcher, &["cho"]).await;
    phone.close().await;
    let _dan = come(&cluster, 1, "dan", &room).await;
    came(&mut watcher, &["dan"]).await;
    // Its phone's grace ends before that of this one.
    laptop.close().await;
    let departed = went(&mut watcher, "bob", DEADLINE).await;
    assert!(departed["lastSeen"].as_u64().is_some(), "{departed}");
    let (_, here) = watch(&cluster, 1, "kim", &room).await;
    assert_eq!(here, people(&["ann", "cho", "dan"]));
    cluster.end().await;
}

#[tokio::test]
async fn who_drops_and_comes_back_to_another_node_was_never_gone() {
    let cluster = cluster(2, LONG).await;
    let room = room("dropped");
    let (mut watcher, _) = watch(&cluster, 1, "jun", &room).await;
    let ann = come(&cluster, 0, "ann", &room).await;
    came(&mut watcher, &["ann"]).await;
    ann.close().await;
    let mut again = come(&cluster, 1, "ann", &room).await;
    again.send_room(&room, "back").await;
    let _bob = come(&cluster, 0, "bob", &room).await;
    came(&mut watcher, &["bob"]).await;
    cluster.end().await;
}

#[tokio::test]
async fn people_of_a_killed_node_depart_on_the_others_and_are_offline() {
    let mut cluster = cluster(2, SHORT).await;
    let room = room("killed");
    let (mut watcher, _) = watch(&cluster, 0, "jun", &room).await;
    let before = come(&cluster, 0, "cho", &room).await;
    came(&mut watcher, &["cho"]).await;
    before.close().await;
    went(&mut watcher, "cho", DEADLINE).await;
    let (_cho, _bob) =
        (come(&cluster, 1, "cho", &room).await, come(&cluster, 1, "bob", &room).await);
    came(&mut watcher, &["bob", "cho"]).await;
    assert_eq!(member(&cluster, 0, &room, "cho")["presence"], "online");
    let _elsewhere = come(&cluster, 0, "bob", &room).await;
    let online = |cluster: &Cluster| member(cluster, 0, &room, "cho")["here"] == true;
    assert!(online(&cluster));
    cluster.kill_server(1);
    went(&mut watcher, "cho", DEAD).await;
    until("it is offline", DEAD, async || !online(&cluster)).await;
    let cho = member(&cluster, 0, &room, "cho");
    assert_eq!(cho["presence"], "offline");
    assert!(cho["lastSeen"].as_u64().is_some(), "when it left before that: {cho}");
    let bob = member(&cluster, 0, &room, "bob");
    assert_eq!((&bob["presence"], bob.get("lastSeen")), (&json!("online"), None));
    cluster.end().await;
}

#[tokio::test]
async fn a_node_that_starts_again_under_its_name_has_none_of_the_people_before() {
    let mut cluster = cluster(1, SHORT).await;
    let room = room("renamed");
    let (mut watcher, _) = watch(&cluster, 0, "jun", &room).await;
    cluster.settings.push(("MOIM_NODE_ID".into(), "named".into()));
    let named = cluster.add_server().await;
    let _ann = come(&cluster, named, "ann", &room).await;
    came(&mut watcher, &["ann"]).await;
    cluster.kill_server(named);
    cluster.start_server(named).await;
    went(&mut watcher, "ann", DEAD).await;
    cluster.end().await;
}

#[tokio::test]
async fn away_is_told_on_other_nodes_and_by_their_rest() {
    let cluster = cluster(2, SHORT).await;
    let room = room("away");
    let (mut watcher, _) = watch(&cluster, 1, "jun", &room).await;
    let mut ann = come(&cluster, 0, "ann", &room).await;
    came(&mut watcher, &["ann"]).await;
    for (state, which, presence) in [("away", "away", "away"), ("active", "back", "online")] {
        let body = json!({ "state": state }).to_string();
        ann.send(frame("SEND").header("destination", "/app/presence").body(body)).await;
        assert_eq!(event(&mut watcher, DEADLINE).await[which], json!(people(&["ann"])));
        let is = |cluster: &Cluster| member(cluster, 1, &room, "ann")["presence"] == presence;
        until(presence, DEADLINE, async || is(&cluster)).await;
    }
    cluster.end().await;
}

#[tokio::test]
async fn a_node_that_is_told_to_end_keeps_when_its_people_were_last_there() {
    let mut cluster = cluster(2, SHORT).await;
    let room = room("drained");
    let _ann = come(&cluster, 1, "ann", &room).await;
    cluster.terminate_server(1).await;
    let offline = |cluster: &Cluster| member(cluster, 0, &room, "ann")["presence"] == "offline";
    until("it is offline", DEAD, async || offline(&cluster)).await;
    let ann = member(&cluster, 0, &room, "ann");
    assert!(ann["lastSeen"].as_u64().is_some(), "{ann}");
    cluster.end().await;
}
