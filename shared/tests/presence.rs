//! What every presence must do (`presence/contract.rs`), asked of the in-process one and of
//! the one in Redis; and what is the own of that.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step is a failed test")]

#[path = "presence/contract.rs"]
mod contract;

#[path = "support/services.rs"]
mod services;

use std::sync::Arc;
use std::time::Duration;

use moim_shared::ids::{InstallationId, NodeId, UserId};
use moim_shared::presence::memory::MemoryPresence;
use moim_shared::presence::redis::RedisPresence;
use moim_shared::presence::{Entry, Presence};
use moim_shared::redis::{Links, Target};
use redis::cmd;

const LONG: Duration = Duration::from_secs(3_600);
/// Long against a pause of this machine, short against patience.
const SHORT: Duration = Duration::from_millis(600);

/// A test of each promise for each adapter.
macro_rules! both_keep {
    ($($lease:expr => [$($promise:ident),* $(,)?])*) => {
        mod in_memory {
            use super::*;
            $($(
                #[tokio::test]
                async fn $promise() {
                    contract::$promise(&MemoryPresence::new($lease)).await;
                }
            )*)*
        }
        mod in_redis {
            use super::*;
            $($(
                #[tokio::test]
                async fn $promise() {
                    contract::$promise(&Redis::new().presence($lease)).await;
                }
            )*)*
        }
    };
}

both_keep!(
    LONG => [
        who_arrived_is_there_until_it_left,
        saying_it_twice_is_harmless,
        a_user_may_have_several_sessions_on_several_nodes,
        users_do_not_see_each_others_sessions,
    ]
    SHORT => [a_node_that_is_silent_for_its_lease_takes_its_entries_with_it]
);

/// Presences under a prefix of their own.
struct Redis {
    links: Arc<Links>,
    prefix: String,
}

impl Redis {
    fn new() -> Self {
        let target = Target::parse(&services::service("MOIM_TEST_REDIS_URL")).unwrap();
        let prefix = format!("test-{:x}", rand::random::<u64>());
        Self { links: Arc::new(Links::new(target).unwrap()), prefix }
    }

    fn presence(&self, lease: Duration) -> RedisPresence {
        RedisPresence::new(self.links.clone(), &self.prefix, lease)
    }
}

#[tokio::test]
async fn what_one_process_says_another_is_told_also_after_redis_lost_it() {
    let redis = Redis::new();
    let (here, there) = (redis.presence(LONG), redis.presence(LONG));
    let (mina, node) = (UserId::parse("mina").unwrap(), NodeId::parse("one").unwrap());
    let entry =
        Entry { node: node.clone(), session: 7, device: InstallationId::parse("pixel-9").ok() };
    here.arrived(&mina, entry.clone()).await.unwrap();
    assert_eq!(there.sessions(&mina).await.unwrap(), std::slice::from_ref(&entry));
    let key = format!("{}:presence:{{one}}", redis.prefix);
    let _: u64 = redis.links.command("", cmd("DEL").arg(key)).await.unwrap();
    assert_eq!(there.sessions(&mina).await.unwrap(), []);
    here.renew(&node).await.unwrap();
    assert_eq!(there.sessions(&mina).await.unwrap(), [entry]);
    here.left(&mina, &node, 7).await.unwrap();
    assert_eq!(there.sessions(&mina).await.unwrap(), []);
}
