//! P3, P4: the bus only wakes, the log is the truth. What the bus loses, nobody misses.

use std::sync::atomic::Ordering;

use moim_shared::config::Limits;
use rand::{RngExt, SeedableRng};

use crate::inside::Node;
use crate::seed::{chance, seeds};
use crate::support::*;

#[tokio::test]
async fn what_the_bus_loses_is_filled_from_the_log_and_from_the_database() {
    const COUNT: usize = 400;
    for seed in seeds() {
        for hot_log_keep in [256, 2] {
            let mut chance = chance(seed);
            let node = Node::start(Limits { hot_log_keep, ..Limits::default() });
            *node.lost.chance.lock().unwrap() = SeedableRng::seed_from_u64(chance.random());
            let mut ann = node.connect("ann").await;
            let mut bob = node.connect("bob").await;
            bob.subscribe_room("room").await;
            ann.send_room("room", "0").await;
            node.lost.percent.store(chance.random_range(20..80), Ordering::SeqCst);
            let mut n = 1;
            while n < COUNT - 1 {
                let some = (n + chance.random_range(1..20)).min(COUNT - 1);
                for n in n..some {
                    ann.send(to_room("room", n.to_string()).header("receipt", n)).await;
                }
                for n in n..some {
                    ann.receipt(&n.to_string()).await;
                }
                n = some;
            }
            assert!(node.lost.count.load(Ordering::SeqCst) > 0);
            // What is lost last is found with the next that is not.
            node.lost.percent.store(0, Ordering::SeqCst);
            ann.send_room("room", &n.to_string()).await;
            for n in 0..COUNT {
                let message = bob.next_message().await;
                assert_eq!(message.text(), n.to_string());
                assert!(message.at("position").ends_with(&format!("-{n}")), "{message:?}");
            }
            bob.sync().await;
            assert_eq!(bob.kept(), []);
        }
    }
}
