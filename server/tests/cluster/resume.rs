//! P4: who was on a node that died goes on at another.

use moim_shared::position::Position;

use crate::rig::Cluster;
use crate::support::*;

#[tokio::test]
async fn a_reader_of_a_killed_node_goes_on_at_another_without_gap_or_double() {
    let mut cluster = Cluster::start(2, 1).await;
    let room = room("resume");
    let mut ann = Client::connect(cluster.server(1), "ann").await;
    let mut bob = Client::connect(cluster.server(0), "bob").await;
    bob.subscribe_room(&room).await;
    let mut sent: Vec<String> = Vec::new();
    for n in 0..10 {
        ann.send_room(&room, &n.to_string()).await;
        sent.push(n.to_string());
    }
    let seen = bob.bodies(9).await;
    let since = bob.next_message().await;
    assert_eq!([&seen[..], &[since.text().to_owned()]].concat(), sent);
    cluster.kill_server(0);
    for n in 10..400 {
        ann.send_room(&room, &n.to_string()).await;
        sent.push(n.to_string());
    }
    let since: Position = since.at("position").parse().unwrap();
    let mut bob = Client::connect(cluster.server(1), "bob").await;
    let resumed = bob.subscribe_room_with(&room, |frame| frame.header("since", since)).await;
    assert_eq!(resumed.at("recovered"), "true");
    ann.send_room(&room, "live").await;
    sent.push("live".into());
    assert_eq!(bob.bodies(sent.len() - 10).await, sent[10..]);
    // A node that never had the room goes on there, too.
    let third = cluster.add_server().await;
    let mut cho = Client::connect(cluster.server(third), "cho").await;
    let resumed = cho.subscribe_room_with(&room, |frame| frame.header("since", "0-0")).await;
    assert_eq!(resumed.at("recovered"), "true");
    assert_eq!(cho.bodies(sent.len()).await, sent);
    for client in [&mut bob, &mut cho] {
        client.sync().await;
        assert_eq!(client.kept(), []);
    }
    cluster.end().await;
}
