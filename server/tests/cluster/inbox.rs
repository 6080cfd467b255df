//! P4, for inboxes: every device of a user is told the same, on whichever node it is.

use serde_json::{Value, json};

use crate::rig::Cluster;
use crate::support::*;

const INBOX: &str = "/user/queue/inbox";

fn asks(cluster: &Cluster, node: usize, user: &str, start: &str) -> Ask {
    cluster.server(node).ask(start).token(&Token::of(user).mint())
}

/// A device of Bob's that reads his inbox.
async fn device(cluster: &Cluster, node: usize, since: Option<&str>) -> Client {
    let token = Token::of("bob").mint();
    let mut client = Client::connect_with(cluster.server(node), "1.2", &token).await;
    let with = |frame: Frame| match since {
        Some(since) => frame.header("since", since),
        None => frame,
    };
    let receipt = client.subscribe_with("in", INBOX, with).await;
    assert_eq!(receipt.at("recovered"), "true");
    client
}

/// The next of a room that is as wanted.
async fn told(client: &mut Client, room: &str, wanted: impl Fn(&Value) -> bool) -> Frame {
    let of_room = |frame: &Frame| frame.get("room") == Some(room) && wanted(&frame.json());
    client.wait_for(of_room).await
}

fn made(cluster: &Cluster, name: &str) -> String {
    let id = room(name);
    let room = json!({ "id": id });
    asks(cluster, 2, "ann", "POST /api/v1/rooms").json(&room).expect(201);
    put_in(cluster, &id);
    id
}

fn put_in(cluster: &Cluster, id: &str) {
    let put = format!("PUT /api/v1/rooms/{id}/members/bob");
    asks(cluster, 2, "ann", &put).json(&json!({})).expect(200);
}

#[tokio::test]
async fn devices_on_two_nodes_are_told_the_same_of_what_a_third_says() {
    let cluster = Cluster::start(3, 2).await;
    let id = made(&cluster, "shared");
    let (mut phone, mut tablet) =
        (device(&cluster, 0, None).await, device(&cluster, 1, None).await);
    let ann = Token::of("ann").mint();
    let mut ann = Client::connect_with(cluster.server(2), "1.2", &ann).await;
    let first = ann.send_room(&id, "one").await;
    let last = ann.send_room(&id, "two").await;
    for device in [&mut phone, &mut tablet] {
        // Two workers may store the second first, and it is told then.
        let both = |told: &Value| told["head"] == last && told["unread"] == 2;
        assert_eq!(told(device, &id, both).await.json()["last"]["body"], "two");
    }
    // Read on one, it is on the other.
    let path = format!("PUT /api/v1/me/rooms/{id}/cursor");
    let read = |position: &str| json!({ "position": position });
    asks(&cluster, 0, "bob", &path).json(&read(&first)).expect(200);
    for device in [&mut phone, &mut tablet] {
        let told = told(device, &id, |told| told["read"] == first).await.json();
        assert_eq!(told["unread"], 1);
    }
    // An invitation, a first message in it, and the end of that.
    let other = made(&cluster, "other");
    for device in [&mut phone, &mut tablet] {
        told(device, &other, |told| told["type"] == "invitation").await;
    }
    let hello = ann.send_room(&other, "hello").await;
    let mut seen = String::new();
    for device in [&mut phone, &mut tablet] {
        seen = told(device, &other, |told| told["head"] == hello).await.at("position").to_owned();
    }
    let member = format!("DELETE /api/v1/rooms/{other}/members/bob");
    asks(&cluster, 2, "ann", &member).expect(204);
    for device in [&mut phone, &mut tablet] {
        told(device, &other, |told| told["type"] == "removal").await;
    }
    // On from there at another node, as after a disconnect.
    tablet.close().await;
    let meanwhile = ann.send_room(&id, "meanwhile").await;
    let mut tablet = device(&cluster, 0, Some(&seen)).await;
    told(&mut tablet, &id, |told| told["head"] == meanwhile).await;
    told(&mut tablet, &other, |told| told["type"] == "removal").await;
    let path = format!("GET /api/v1/me/changes?since={seen}");
    let changes = asks(&cluster, 1, "bob", &path).expect(200);
    let changes = changes["changes"].as_array().unwrap();
    let of = |room: &str| changes.iter().find(|it| it["room"]["id"] == room).unwrap();
    assert_eq!((&of(&id)["head"], &of(&other)["type"]), (&json!(meanwhile), &json!("removal")));
    cluster.end().await;
}

/// Who is killed tells nobody; its work comes to another, which does.
#[tokio::test]
async fn what_was_stored_by_a_worker_that_was_killed_is_told() {
    let mut cluster = Cluster::start(3, 1).await;
    let id = made(&cluster, "killed");
    let mut phone = device(&cluster, 0, None).await;
    let ann = Token::of("ann").mint();
    let mut ann = Client::connect_with(cluster.server(2), "1.2", &ann).await;
    let mut last = String::new();
    for n in 0..50 {
        last = ann.send_room(&id, &n.to_string()).await;
        if n == 25 {
            cluster.kill_worker(0);
        }
    }
    cluster.start_missing().await;
    told(&mut phone, &id, |told| told["head"] == last).await;
    cluster.end().await;
}
