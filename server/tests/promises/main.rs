//! What Moim promises, each against the real binary with what would break it: a kill, a held or
//! full database, readers that stop, rooms that panic, clients that misbehave.
//!
//! Random ones print their seed and take it from `MOIM_TEST_SEED`; `MOIM_TEST_SEEDS` says how many
//! seeds, counted on from there, are tried.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[path = "../support/mod.rs"]
mod support;

mod aside;
mod bounds;
mod crash;
mod durable;
mod feed;
mod idle;
mod inbox;
mod inside;
mod isolation;
mod load;
mod reader;
mod reborn;
mod same_name;
mod seed;
mod slow;
mod start;
mod table;

use std::time::{Duration, Instant};

/// Waits until something is seen that nobody tells of.
async fn until(what: &str, within: Duration, mut seen: impl FnMut() -> bool) {
    let end = Instant::now() + within;
    while !seen() {
        assert!(Instant::now() < end, "{what}: not within {within:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
