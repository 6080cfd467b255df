//! P1, P3, P4: Redis loses everything, or goes for a while, amid what people say.

use std::time::Duration;

use crate::chat::{Talk, Watch};
use crate::ledger::{Positions, Table, check};
use crate::rig::Cluster;
use crate::seed::chance;
use crate::services::{Services, redis};

async fn flush(_: &mut Cluster, mut watch: Watch) {
    for _ in 0..3 {
        watch.receipts(300).await;
        redis::<()>(&["FLUSHALL"]).await;
    }
    watch.receipts(300).await;
}

#[tokio::test]
async fn what_was_acknowledged_survives_the_loss_of_everything_in_redis() {
    let mut cluster = Cluster::start(2, 2).await;
    let mut talk = Talk::new(&cluster, &mut chance(rand::random()), 3, 3, 2);
    talk.through(&mut cluster, flush).await;
    check(&talk, &cluster.database, Positions::Rolled).await;
    assert_rolled(&talk, &cluster).await;
    cluster.end().await;
}

#[tokio::test]
async fn a_restart_of_redis_loses_nothing_and_cuts_no_link() {
    let mut cluster = Cluster::start(2, 2).await;
    let mut talk = Talk::new(&cluster, &mut chance(rand::random()), 3, 3, 2);
    talk.through(&mut cluster, async |_, mut watch| {
        watch.receipts(300).await;
        Services::here().restart("redis").await;
        watch.receipts(300).await;
    })
    .await;
    check(&talk, &cluster.database, Positions::Rolled).await;
    assert_rolled(&talk, &cluster).await;
    cluster.end().await;
}

#[tokio::test]
async fn while_redis_is_away_sends_wait_or_are_refused_links_stay_and_nodes_are_ready() {
    let mut cluster = Cluster::start(2, 2).await;
    let mut talk = Talk::new(&cluster, &mut chance(rand::random()), 3, 3, 2);
    talk.through(&mut cluster, async |cluster, mut watch| {
        watch.receipts(300).await;
        let services = Services::here();
        services.kill("redis").await;
        for node in 0..2 {
            cluster.is_ready_and(node, "degraded", Duration::from_secs(10)).await;
        }
        watch.refusal().await;
        services.start("redis").await;
        for node in 0..2 {
            cluster.is_ready_and(node, "ok", Duration::from_secs(20)).await;
        }
        watch.receipts(300).await;
    })
    .await;
    let refused: usize = talk.senders.iter().map(|sender| sender.refused).sum();
    assert!(refused > 0, "nobody was told to come back later");
    check(&talk, &cluster.database, Positions::Rolled).await;
    assert_rolled(&talk, &cluster).await;
    cluster.end().await;
}

/// Redis was lost, and nobody noticed anything but a larger epoch.
async fn assert_rolled(talk: &Talk, cluster: &Cluster) {
    for reader in &talk.readers {
        println!(
            "{}: resumed {} closes {:?} breaks {:?}",
            reader.user, reader.resumed, reader.closes, reader.breaks
        );
        assert!(reader.breaks.is_empty(), "{} was not recovered", reader.user);
    }
    for room in &talk.rooms {
        let table = Table::of(&cluster.database, room).await;
        let mut epochs: Vec<u64> = table.rows.iter().map(|row| row.position.epoch).collect();
        epochs.dedup();
        println!("{room}: epochs {epochs:?} marks {}", table.marks.len());
        assert!(epochs.len() > 1 && epochs.is_sorted(), "{room}: {epochs:?}");
    }
}
