//! A cluster as it runs: server and worker processes over Redis, RabbitMQ and Postgres, each of
//! which ends, stalls or forgets amid what people say.
//!
//! The services are those of `MOIM_TEST_REDIS_URL`, `MOIM_TEST_AMQP_URL` and
//! `MOIM_TEST_DATABASE_URL`; `MOIM_TEST_SERVICES_DIR` tells `deploy/services ctl` where they are.
//! They are flushed and stopped, so the tests go one after the other. Random ones print their seed,
//! see `promises`; `MOIM_TEST_BACKLOG` says how many messages wait for a database that is away.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[path = "../../../worker/tests/support/fcm_double.rs"]
mod fcm_double;
#[path = "../manifests/model.rs"]
#[allow(dead_code, reason = "a part of it is used")]
mod model;
#[path = "../../../shared/tests/support/postgres.rs"]
#[allow(dead_code, reason = "a part of it is used")]
mod postgres;
#[path = "../manifests/rendered.rs"]
#[allow(dead_code, reason = "a part of it is used")]
mod rendered;
#[path = "../promises/seed.rs"]
mod seed;
#[path = "../support/mod.rs"]
mod support;

mod agree;
mod chat;
mod crash;
mod database_away;
mod drain;
mod ephemeral;
mod inbox;
mod ledger;
mod members;
mod order;
mod poison;
mod presence;
mod push;
mod rabbitmq_away;
mod redis_lost;
mod resume;
mod rig;
mod rollout;
mod services;
mod start;
mod topologies;
mod trace;

use std::time::{Duration, Instant};

/// Waits until something is so that nobody tells of.
async fn until(what: &str, within: Duration, mut so: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + within;
    while !so().await {
        assert!(Instant::now() < end, "{what}: not within {within:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
