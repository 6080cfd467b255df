//! What every broker must do (`broker/{contract,asides}.rs`), asked of the in-process one and of the one
//! in Redis; and what is their own.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step is a failed test")]

#[path = "broker/asides.rs"]
mod asides;
#[path = "broker/contract.rs"]
mod contract;
#[path = "broker/deaf.rs"]
mod deaf;
#[path = "broker/memory.rs"]
mod memory;
#[path = "broker/redis.rs"]
mod redis;
#[path = "broker/rig.rs"]
mod rig;

use std::time::Duration;

use self::memory::Memory;
use self::redis::Redis;
use self::rig::Limits;

/// A test of each promise for each adapter.
macro_rules! all_keep {
    ($($contract:ident: [$($promise:ident $(with $limits:expr)?),* $(,)?])*) => {
        mod in_memory {
            use super::*;
            $($( keeps!($contract, $promise, Memory, $($limits)?); )*)*
        }
        mod in_redis {
            use super::*;
            $($( keeps!($contract, $promise, Redis, $($limits)?); )*)*
        }
    };
}

macro_rules! keeps {
    ($contract:ident, $promise:ident, $factory:ident, $($limits:expr)?) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $promise() {
            #[allow(unused_mut, unused_assignments, reason = "most promises need no limits")]
            let mut limits = Limits::PLENTY;
            $( limits = $limits; )?
            let factory = $factory::new(limits);
            $contract::$promise(&factory).await;
            factory.clear().await;
        }
    };
}

all_keep!(
    contract: [
    a_room_that_never_had_a_message_stands_before_everything,
    places_are_dense_from_zero_in_the_order_given,
    appenders_side_by_side_get_one_order,
    a_batch_of_another_epoch_is_refused_and_nothing_is_written,
    a_batch_checked_under_older_memberships_is_refused_and_nothing_is_written,
    a_name_that_came_before_is_one_message_in_one_batch_and_over_batches,
    a_duplicate_brings_the_first_one_until_that_is_durable,
    a_name_with_another_body_is_refused_and_spends_no_number,
    a_name_is_the_senders_own_in_each_room,
    names_are_remembered_up_to_a_number with Limits { names: 3, ..Limits::PLENTY },
    names_are_remembered_up_to_an_age
        with Limits { names_age: Duration::from_millis(500), ..Limits::PLENTY },
    names_outlive_the_process_with_their_messages,
    what_became_visible_is_told_once_in_order_and_in_one_chain,
    a_room_that_is_not_open_is_not_told_of,
    a_duplicates_mark_spends_a_number_and_shows_nothing
        with Limits { names: 1, ..Limits::PLENTY },
    pages_are_bounded_by_bytes_and_resume_from_every_position,
    a_log_is_trimmed_below_the_durable_mark_but_for_the_last
        with Limits { keep: 4, ..Limits::PLENTY },
    a_log_continues_after_close_and_open,
    a_close_forgets_nothing_that_is_not_durable,
    a_log_continues_in_the_next_process,
    a_lost_log_starts_a_larger_epoch_from_zero,
    ]
    asides: [
    a_head_is_known_of_rooms_that_are_open_closed_or_were_never_used,
    reading_back_is_bounded_and_says_how_far_it_went,
    pages_backwards_meet_without_a_hole_or_a_double,
    what_the_log_no_longer_has_is_for_the_database with Limits { keep: 4, ..Limits::PLENTY },
    reading_back_shows_no_marks_and_nothing_that_is_not_visible
        with Limits { names: 1, ..Limits::PLENTY },
    a_change_of_members_is_told_to_who_has_the_room_open,
    signals_are_told_in_the_order_of_their_caller,
    what_is_durable_is_told_to_inboxes_that_listen,
    ]
);
