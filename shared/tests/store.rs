//! What every database must do (`store/contract.rs`), asked of SQLite; and what is SQLite's own.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step is a failed test")]

#[path = "store/contract.rs"]
mod contract;
#[path = "store/disk.rs"]
mod disk;
#[path = "store/make.rs"]
mod make;

use std::path::PathBuf;

use moim_shared::store::sqlite::SqliteStore;
use tempfile::TempDir;

/// A store in a folder of its own.
fn fresh() -> (TempDir, SqliteStore) {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&file_in(&dir)).unwrap();
    (dir, store)
}

fn file_in(dir: &TempDir) -> PathBuf {
    dir.path().join("data").join("moim.db")
}

macro_rules! sqlite_keeps {
    ($($promise:ident),* $(,)?) => { $(
        #[tokio::test]
        async fn $promise() {
            let (_dir, store) = fresh();
            contract::$promise(&store).await;
        }
    )* };
}

sqlite_keeps!(
    what_is_inserted_is_read_back_whole,
    answers_come_in_the_order_given,
    inserting_again_changes_nothing,
    a_name_that_came_again_with_its_body_is_a_mark,
    a_name_with_another_body_is_a_message_of_its_own,
    the_same_name_twice_in_one_insert_is_one_message,
    a_name_is_the_senders_own_in_each_room,
    messages_without_a_name_never_meet,
    history_is_bounded_by_rows_and_by_bytes,
    history_goes_on_over_epochs_without_a_gap,
    a_position_far_in_the_future_is_after_everything,
    before_last_counts_messages_from_the_end,
    names_come_newest_first_within_bounds,
    epochs_are_known_with_their_first_row_and_sealed_once,
    a_grant_makes_a_member_once,
    an_empty_insert_is_answered,
    inserts_from_many_tasks_get_their_own_answers,
);

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(24))]

    #[test]
    fn every_position_is_covered_once_and_every_name_has_one_row(
        deliveries in contract::deliveries()
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (_dir, store) = fresh();
        runtime.block_on(contract::every_position_is_covered_once(&store, deliveries));
    }
}
