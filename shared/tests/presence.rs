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
        many_users_are_asked_about_at_once_and_answered_in_their_order,
        who_is_away_with_every_session_is_away,
        nodes_that_live_are_known,
        whether_others_hear_is_known,
    ]
    SHORT => [
        a_node_that_is_silent_for_its_lease_takes_its_entries_with_it,
        a_node_that_is_silent_for_its_lease_does_not_live,
    ]
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
    let entry = Entry {
        node: node.clone(),
        session: 7,
        device: InstallationId::parse("pixel-9").ok(),
        away: true,
    };
    here.arrived(&mina, entry.clone()).await.unwrap();
    assert_eq!(there.sessions(&mina).await.unwrap(), std::slice::from_ref(&entry));
    let key = format!("{}:presence:{{one}}", redis.prefix);
    let _: u64 = redis.links.command("", cmd("DEL").arg(key)).await.unwrap();
    assert_eq!(there.sessions(&mina).await.unwrap(), []);
    here.renew(&node, true).await.unwrap();
    assert_eq!(there.sessions(&mina).await.unwrap(), [entry]);
    here.left(&mina, &node, 7).await.unwrap();
    assert_eq!(there.sessions(&mina).await.unwrap(), []);
}

#[tokio::test]
async fn what_an_older_program_wrote_is_read() {
    let redis = Redis::new();
    let (presence, node) = (redis.presence(LONG), NodeId::parse("one").unwrap());
    presence.renew(&node, true).await.unwrap();
    let key = format!("{}:presence:{{one}}", redis.prefix);
    let mut set = cmd("HSET");
    set.arg(key).arg("mina").arg("7 pixel-9\n8 ");
    let _: u64 = redis.links.command("", &set).await.unwrap();
    let found = presence.sessions(&UserId::parse("mina").unwrap()).await.unwrap();
    let found: Vec<_> = found.iter().map(|entry| (entry.session, entry.away)).collect();
    assert_eq!(found, [(7, false), (8, false)]);
}

/// How many commands Redis was given, by their names.
async fn calls(redis: &Redis, name: &str) -> u64 {
    let mut info = cmd("INFO");
    info.arg("commandstats");
    let stats: String = redis.links.command("", &info).await.unwrap();
    let line = stats.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{name}:calls=")));
    line.map_or(0, |line| line.split(',').next().unwrap().parse().unwrap())
}

#[tokio::test]
async fn a_page_of_members_costs_as_many_commands_as_there_are_nodes() {
    let redis = Redis::new();
    let presence = redis.presence(LONG);
    for node in ["one", "two"] {
        presence.renew(&NodeId::parse(node).unwrap(), true).await.unwrap();
    }
    let users: Vec<UserId> = (0..200).map(|n| UserId::parse(&format!("u{n}")).unwrap()).collect();
    let before = (calls(&redis, "hmget").await, calls(&redis, "hget").await);
    assert_eq!(presence.sessions_of(&users).await.unwrap().len(), users.len());
    let after = (calls(&redis, "hmget").await, calls(&redis, "hget").await);
    // Other tests ask beside this one, for few.
    assert!(after.0 - before.0 < 50 && after.1 - before.1 < 50, "{before:?} {after:?}");
}
