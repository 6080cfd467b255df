//! Redis as several processes.

use std::time::Duration;

use crate::chat::Talk;
use crate::ledger::{Positions, check};
use crate::rig::Cluster;
use crate::seed::chance;
use crate::services::{Topology, redis_at};

async fn talks_over(topology: &'static str) {
    let redis = Topology::start(topology).await;
    let mut cluster = Cluster::with(2, 1, &[("MOIM_REDIS_URL", &redis.url)]).await;
    let mut talk = Talk::new(&cluster, &mut chance(rand::random()), 6, 3, 1);
    talk.through(&mut cluster, async |_, mut watch| watch.receipts(500).await).await;
    check(&talk, &cluster.database, Positions::Kept).await;
    cluster.is_ready_and(0, "ok", Duration::from_secs(5)).await;
    cluster.end().await;
}

#[tokio::test]
async fn people_talk_over_redis_sentinel() {
    talks_over("redis-sentinel").await;
}

#[tokio::test]
async fn people_talk_over_redis_cluster() {
    talks_over("redis-cluster").await;
}

/// The case that looks contiguous and is not: the replica that takes over lacks the last messages,
/// and would give out their positions to others.
#[tokio::test]
async fn after_a_failover_to_a_stale_replica_no_position_is_given_out_twice_and_nothing_is_lost() {
    let redis = Topology::start("redis-sentinel").await;
    let mut cluster = Cluster::with(2, 1, &[("MOIM_REDIS_URL", &redis.url)]).await;
    let mut talk = Talk::new(&cluster, &mut chance(rand::random()), 3, 3, 2);
    let replica = redis.services.redis_url("redis-2");
    talk.through(&mut cluster, async |_, mut watch| {
        watch.receipts(300).await;
        // From now on it hears nothing of its master.
        redis_at::<()>(&replica, &["CONFIG", "SET", "masterauth", "wrong"]).await;
        let cut: u64 = redis_at(&replica, &["CLIENT", "KILL", "TYPE", "master"]).await;
        assert_eq!(cut, 1);
        watch.receipts(200).await;
        redis.services.kill("redis-1").await;
        watch.receipts(300).await;
        let role: Vec<redis::Value> = redis_at(&replica, &["ROLE"]).await;
        assert_eq!(role[0], redis::Value::BulkString(b"master".to_vec()));
    })
    .await;
    check(&talk, &cluster.database, Positions::Rolled).await;
    for reader in &talk.readers {
        assert!(reader.breaks.is_empty(), "{} was not recovered: {:?}", reader.user, reader.breaks);
    }
    cluster.end().await;
}
