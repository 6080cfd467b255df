//! What every queue must do (`queue/contract.rs`), asked of the in-process one.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step is a failed test")]

#[path = "queue/contract.rs"]
mod contract;

use std::sync::Arc;

use moim_shared::queue::memory::MemoryQueue;

macro_rules! memory_keeps {
    ($($promise:ident),* $(,)?) => { $(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $promise() {
            contract::$promise(Arc::new(MemoryQueue::new(contract::BOUND))).await;
        }
    )* };
}

memory_keeps!(
    what_is_published_is_delivered_whole,
    a_publish_is_confirmed_after_the_ack_and_not_before,
    one_consumer_sees_the_order_of_publishing,
    what_is_dropped_unsettled_comes_again_first_and_in_order,
    what_is_acknowledged_never_comes_again,
    dropping_a_publish_does_not_take_it_back,
    it_is_full_at_its_bound_and_free_after_the_ack,
    a_closed_queue_drains_and_then_ends_for_every_consumer,
    a_close_wakes_every_consumer_that_waits,
    a_consumer_that_stops_waiting_takes_nothing_with_it,
    many_publishers_and_consumers_lose_and_double_nothing,
);
