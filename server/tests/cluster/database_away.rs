//! P6: chat goes on without the database, and what waited for it gets there.

use std::time::{Duration, Instant};

use crate::chat::{Talk, percentile};
use crate::ledger::{Positions, check, count};
use crate::rig::Cluster;
use crate::seed::{chance, number};
use crate::services::Services;

const ROOMS: usize = 3;
const SENDERS: usize = 4;

/// A bound for a machine that has other things to do; what is measured is printed.
const SLOW: Duration = Duration::from_secs(1);

#[tokio::test]
async fn without_the_database_chat_goes_on_and_all_of_it_is_stored_when_it_is_back() {
    let settings = [
        // As usual: what waits for long is queued again.
        ("MOIM_WORKER__SWEEP_EVERY", "10s"),
        ("MOIM_WORKER__SWEEP_AFTER", "30s"),
        ("MOIM_LIMITS__QUEUE_MAX_BYTES", "4GiB"),
    ];
    let backlog = number("MOIM_TEST_BACKLOG").unwrap_or(4_000) as usize;
    let mut cluster = Cluster::with(2, 2, &settings).await;
    let mut talk = Talk::new(&cluster, &mut chance(rand::random()), ROOMS, SENDERS, 1);
    talk.last += Duration::from_millis(backlog as u64 * 2);
    let rooms = talk.rooms.clone();
    let away = talk.through(&mut cluster, async |cluster, mut watch| {
        // From now on the nodes know all of them.
        watch.said(SENDERS * ROOMS).await;
        Services::here().stop("postgres").await;
        let began = Instant::now();
        watch.receipts(backlog).await;
        println!("{backlog} RECEIPTs without the database took {:?}", began.elapsed());
        for node in 0..2 {
            cluster.is_ready_and(node, "degraded", Duration::from_secs(10)).await;
        }
        Services::here().start("postgres").await;
        let stored = count(&cluster.database, &rooms).await;
        println!("{stored} rows are there when it is back");
        (began, Instant::now())
    });
    let (away, back) = away.await;
    println!("all of it is stored and read {:?} after the database came back", back.elapsed());
    let waits = talk.senders.iter().flat_map(|sender| &sender.waits);
    let waits = waits.filter(|(sent, _)| (away..back).contains(sent));
    let mut waits: Vec<Duration> = waits.map(|(_, wait)| *wait).collect();
    waits.sort_unstable();
    let p99 = percentile(&waits, 99);
    println!("meanwhile RECEIPTs took {:?} (p50), {p99:?} (p99)", percentile(&waits, 50));
    assert!(p99 < SLOW, "p99 {p99:?}");
    let cut: Vec<_> = talk.readers.iter().filter(|one| one.resumed > 0).collect();
    assert!(cut.is_empty(), "links were cut: {:?}", cut[0].closes);
    assert!(talk.senders.iter().all(|one| one.refused == 0), "SENDs were refused");
    check(&talk, &cluster.database, Positions::Kept).await;
    cluster.end().await;
}
