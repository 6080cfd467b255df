//! What nobody can read is put aside, and everything else goes on.

use crate::chat::Talk;
use crate::ledger::{Positions, check};
use crate::rig::Cluster;
use crate::seed::chance;

#[tokio::test]
async fn bytes_that_are_no_messages_are_put_aside_with_the_reason_and_stop_nobody() {
    let mut cluster = Cluster::start(1, 1).await;
    let mut talk = Talk::new(&cluster, &mut chance(rand::random()), 2, 2, 1);
    talk.through(&mut cluster, async |cluster, mut watch| {
        watch.receipts(100).await;
        cluster.publish(b"\xff nothing that anybody wrote").await;
        watch.receipts(100).await;
        let (bytes, why) = cluster.dead_letter().await;
        assert_eq!(bytes, b"\xff nothing that anybody wrote");
        assert!(!why.is_empty());
        println!("put aside: {why}");
    })
    .await;
    check(&talk, &cluster.database, Positions::Kept).await;
    cluster.end().await;
}
