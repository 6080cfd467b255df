//! What every queue must do (`queue/contract.rs`), asked of each adapter, and what the one in
//! RabbitMQ does besides (`queue/amqp.rs`).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step is a failed test")]

#[path = "queue/amqp.rs"]
mod amqp;
#[path = "queue/broker.rs"]
mod broker;
#[path = "queue/contract.rs"]
mod contract;
#[path = "queue/proxy.rs"]
mod proxy;

use std::sync::Arc;

use moim_shared::queue::memory::MemoryQueue;

use broker::Rig;

macro_rules! memory_keeps {
    ($($promise:ident),* $(,)?) => { $(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $promise() {
            contract::$promise(Arc::new(MemoryQueue::new(contract::BOUND))).await;
        }
    )* };
}

macro_rules! amqp_keeps {
    ($($promise:ident),* $(,)?) => { $(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $promise() {
            let rig = Rig::start().await;
            super::contract::$promise(rig.queue()).await;
            rig.end().await;
        }
    )* };
}

macro_rules! every_queue_keeps {
    ($($promise:ident),* $(,)?) => {
        mod memory {
            use super::*;
            memory_keeps!($($promise),*);
        }
        mod in_rabbitmq {
            use super::*;
            amqp_keeps!($($promise),*);
        }
    };
}

every_queue_keeps!(
    what_is_published_is_delivered_whole,
    one_consumer_sees_the_order_of_publishing,
    what_is_dropped_unsettled_comes_again_first_and_in_order,
    what_is_acknowledged_never_comes_again,
    what_is_buried_never_comes_again_and_the_rest_is_done,
    dropping_a_publish_does_not_take_it_back,
    a_closed_queue_takes_nothing_and_ends_for_every_consumer,
    a_close_wakes_every_consumer_that_waits,
    a_consumer_that_stops_waiting_takes_nothing_with_it,
    many_publishers_and_consumers_lose_and_double_nothing,
);

memory_keeps!(
    a_publish_is_confirmed_after_the_ack_and_not_before,
    it_is_full_at_its_bound_and_free_after_the_ack,
    a_closed_queue_drains_and_then_ends_for_every_consumer,
);
