//! P1, P2, P3, P8: processes end amid what people say.

use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use tokio::time::sleep;

use crate::chat::{Talk, Watch};
use crate::ledger::{Positions, check};
use crate::rig::Cluster;
use crate::seed::{chance, seeds};

/// Processes of a cluster.
const SERVERS: usize = 3;
const WORKERS: usize = 2;

/// What is killed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Server,
    Worker,
    Both,
}

/// A moment that is amid sends.
async fn some_moment(chance: &mut StdRng, watch: &mut Watch) {
    watch.receipts(chance.random_range(20..300)).await;
    sleep(Duration::from_micros(chance.random_range(0..15_000))).await;
}

#[tokio::test]
async fn kills_of_servers_and_workers_amid_sends_lose_nothing_double_nothing_and_keep_the_order() {
    for seed in seeds() {
        let mut cluster = Cluster::start(SERVERS, WORKERS).await;
        let mut chance = chance(seed);
        let mut talk = Talk::new(&cluster, &mut chance, 3, 4, 2);
        talk.through(&mut cluster, async |cluster, mut watch| {
            // Each server once at least: whoever is connected is cut off.
            let mut servers: Vec<usize> = (0..SERVERS).collect();
            servers.shuffle(&mut chance);
            let mut servers = servers.into_iter().cycle();
            let mut ends =
                [End::Server, End::Server, End::Worker, End::Worker, End::Both, End::Both];
            ends.shuffle(&mut chance);
            for end in ends {
                some_moment(&mut chance, &mut watch).await;
                if end != End::Server {
                    cluster.kill_worker(chance.random_range(0..WORKERS));
                }
                if end != End::Worker {
                    cluster.kill_server(servers.next().unwrap());
                }
                some_moment(&mut chance, &mut watch).await;
                cluster.start_missing().await;
            }
        })
        .await;
        assert!(talk.senders.iter().any(|one| one.again > 0), "no end came amid sends");
        assert!(talk.readers.iter().any(|one| one.resumed > 0), "nobody resumed");
        check(&talk, &cluster.database, Positions::Kept).await;
        cluster.end().await;
    }
}

#[tokio::test]
async fn a_rolling_restart_of_all_servers_and_workers_loses_nothing() {
    for seed in seeds() {
        let mut cluster = Cluster::start(SERVERS, WORKERS).await;
        let mut chance = chance(seed);
        let mut talk = Talk::new(&cluster, &mut chance, 3, 4, 2);
        talk.through(&mut cluster, async |cluster, mut watch| {
            for server in 0..SERVERS {
                some_moment(&mut chance, &mut watch).await;
                cluster.terminate_server(server).await;
                cluster.start_missing().await;
            }
            for worker in 0..WORKERS {
                some_moment(&mut chance, &mut watch).await;
                cluster.terminate_worker(worker).await;
                cluster.start_missing().await;
            }
        })
        .await;
        assert!(talk.readers.iter().any(|one| one.resumed > 0), "nobody resumed");
        for reader in &talk.readers {
            let told = reader.closes.iter().all(|(code, _)| *code == 1012);
            assert!(told && reader.cut == 0, "{} cut, {:?}", reader.cut, reader.closes);
        }
        check(&talk, &cluster.database, Positions::Kept).await;
        cluster.end().await;
    }
}
