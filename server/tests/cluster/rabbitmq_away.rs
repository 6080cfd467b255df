//! P1: without RabbitMQ a RECEIPT waits, and what has its place is delivered all the same.

use std::time::Duration;

use crate::chat::Talk;
use crate::ledger::{Positions, check};
use crate::rig::Cluster;
use crate::seed::chance;
use crate::services::Services;
use crate::support::*;

/// For a RabbitMQ that starts, and those who come back to it.
const BACK: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_restart_of_rabbitmq_amid_sends_delays_receipts_and_loses_nothing() {
    let mut cluster = Cluster::start(2, 2).await;
    let mut talk = Talk::new(&cluster, &mut chance(rand::random()), 3, 3, 2);
    talk.through(&mut cluster, async |_, mut watch| {
        watch.receipts(300).await;
        Services::here().restart("rabbitmq").await;
        watch.receipts(300).await;
    })
    .await;
    check(&talk, &cluster.database, Positions::Kept).await;
    assert!(talk.readers.iter().all(|one| one.resumed == 0), "links were cut");
    cluster.end().await;
}

#[tokio::test]
async fn while_rabbitmq_is_away_messages_are_delivered_and_their_receipts_come_later() {
    // Longer than RabbitMQ takes to start.
    let settings = [("MOIM_LIMITS__SEND_DEADLINE", "60s")];
    let mut cluster = Cluster::with(2, 2, &settings).await;
    let mut talk = Talk::new(&cluster, &mut chance(rand::random()), 3, 3, 2);
    talk.through(&mut cluster, async |cluster, mut watch| {
        let room = room("waiting");
        let mut ann = Client::connect(cluster.server(0), "ann").await;
        let mut bob = Client::connect(cluster.server(1), "bob").await;
        bob.subscribe_room(&room).await;
        ann.send_room(&room, "before").await;
        assert_eq!(bob.bodies(1).await, ["before"]);
        watch.receipts(300).await;
        Services::here().kill("rabbitmq").await;
        for node in 0..2 {
            cluster.is_ready_and(node, "degraded", Duration::from_secs(10)).await;
        }
        let mut heard = Vec::new();
        for n in 0..20 {
            let (name, text) = (format!("meanwhile-{n}"), n.to_string());
            ann.send(to_room(&room, &text).header("receipt", &name)).await;
            let message = bob.next_message().await;
            assert_eq!(message.text(), text);
            heard.push((name, message.at("position").to_owned()));
        }
        ann.sync().await;
        assert_eq!(ann.kept(), [], "a RECEIPT for what RabbitMQ does not have");
        Services::here().start("rabbitmq").await;
        for _ in 0..heard.len() {
            let Event::Frame(receipt) = ann.event_within(BACK).await else { panic!("no RECEIPT") };
            let of = (receipt.at("receipt-id").to_owned(), receipt.at("position").to_owned());
            assert!(heard.contains(&of), "{of:?} of {heard:?}");
        }
        watch.receipts(300).await;
    })
    .await;
    check(&talk, &cluster.database, Positions::Kept).await;
    assert!(talk.readers.iter().all(|one| one.resumed == 0), "links were cut");
    cluster.end().await;
}
