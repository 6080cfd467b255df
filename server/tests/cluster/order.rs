//! P3, P4: one order, on every node.

use std::time::Duration;

use serde_json::Value;

use crate::chat::Talk;
use crate::ledger::{Positions, Table, check, ends};
use crate::rig::Cluster;
use crate::seed::chance;
use crate::services::redis;
use crate::support::*;

#[tokio::test]
async fn members_on_three_nodes_see_one_order_and_every_row_comes_to_the_database() {
    let mut cluster = Cluster::start(3, 2).await;
    let mut talk = Talk::new(&cluster, &mut chance(rand::random()), 3, 3, 3);
    talk.through(&mut cluster, async |_, mut watch| watch.receipts(1_500).await).await;
    check(&talk, &cluster.database, Positions::Kept).await;
    for room in &talk.rooms {
        let table = Table::of(&cluster.database, room).await;
        let positions: Vec<String> =
            table.rows.iter().map(|row| row.position.to_string()).collect();
        for server in cluster.servers() {
            let mut client = Client::connect(server, "late").await;
            let receipt = client.subscribe_room(room).await;
            assert_eq!(receipt.at("position"), positions.last().unwrap());
            assert_eq!(history(server, room), positions);
        }
    }
    cluster.end().await;
}

/// Each of them finds that there is no log yet, and only one may begin it.
#[tokio::test]
async fn rooms_that_all_nodes_open_at_the_same_moment_begin_once() {
    let cluster = Cluster::start(3, 1).await;
    let rooms: Vec<String> = (0..40).map(|_| room("new")).collect();
    let mut clients = Vec::new();
    for server in cluster.servers() {
        let mut client = Client::connect(server, "ann").await;
        let subscribe = |room| {
            frame("SUBSCRIBE")
                .header("id", room)
                .header("destination", format!("/topic/rooms/{room}"))
                .header("receipt", room)
        };
        client.send_all(rooms.iter().map(subscribe), DEADLINE).await;
        clients.push(client);
    }
    for room in &rooms {
        for client in &mut clients {
            client.receipt(room).await;
        }
        clients[0].send_room(room, "first").await;
        for client in &mut clients {
            assert_eq!(client.bodies(1).await, ["first"]);
        }
    }
    ends(&cluster.database, &rooms, rooms.len(), Duration::from_secs(20)).await;
    let begun = "SELECT room FROM epochs GROUP BY room HAVING count(*) > 1";
    let twice = cluster.database.client().await.query(begun, &[]).await.unwrap();
    assert!(twice.is_empty(), "{} rooms began twice", twice.len());
    cluster.end().await;
}

/// The positions of a room's history, as a node pages through it.
fn history(server: &Server, room: &str) -> Vec<String> {
    let (mut positions, mut after) = (Vec::new(), "0-0".to_owned());
    loop {
        let ask = format!("GET /api/v1/rooms/{room}/messages?after={after}&limit=100");
        let page = server.ask(&ask).token(&token("late")).expect(200);
        assert_eq!(page["recovered"], true);
        let messages = page["messages"].as_array().unwrap();
        positions.extend(messages.iter().map(|one| one["position"].as_str().unwrap().to_owned()));
        match &page["next"] {
            Value::String(next) => after.clone_from(next),
            _ => return positions,
        }
    }
}

#[tokio::test]
async fn nodes_whose_bus_is_cut_again_and_again_miss_nothing() {
    let mut cluster = Cluster::start(2, 1).await;
    let mut talk = Talk::new(&cluster, &mut chance(rand::random()), 3, 3, 3);
    let cut = talk.through(&mut cluster, async |_, mut watch| {
        let mut cut = 0;
        for _ in 0..5 {
            watch.receipts(200).await;
            cut += redis::<u64>(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
        }
        watch.receipts(200).await;
        cut
    });
    assert!(cut.await >= 5, "nobody's bus was cut");
    check(&talk, &cluster.database, Positions::Kept).await;
    assert!(talk.readers.iter().all(|reader| reader.resumed == 0), "links were cut, too");
    cluster.is_ready_and(0, "ok", Duration::from_secs(5)).await;
    cluster.end().await;
}
