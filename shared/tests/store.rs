//! What every database must do (`store/*contract.rs`), asked of SQLite and Postgres; and what is each
//! one's own.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step is a failed test")]

#[path = "store/accounts_contract.rs"]
mod accounts_contract;
#[path = "store/back_contract.rs"]
mod back_contract;
#[path = "store/contract.rs"]
mod contract;
#[path = "store/devices_contract.rs"]
mod devices_contract;
#[path = "store/disk.rs"]
mod disk;
#[path = "store/inbox_contract.rs"]
mod inbox_contract;
#[path = "store/last_seen_contract.rs"]
mod last_seen_contract;
#[path = "store/make.rs"]
mod make;
#[path = "store/members_contract.rs"]
mod members_contract;
#[path = "store/postgres.rs"]
mod postgres;
#[path = "store/pushes_contract.rs"]
mod pushes_contract;
#[path = "store/rooms_contract.rs"]
mod rooms_contract;
#[path = "support/postgres.rs"]
mod support;

use std::path::PathBuf;

use moim_shared::store::postgres::{Options, PostgresStore};
use moim_shared::store::sqlite::SqliteStore;
use tempfile::TempDir;

use self::support::TestDatabase;

/// A store in a folder of its own.
fn fresh() -> (TempDir, SqliteStore) {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&file_in(&dir)).unwrap();
    (dir, store)
}

fn file_in(dir: &TempDir) -> PathBuf {
    dir.path().join("data").join("moim.db")
}

/// A store over a database of its own.
async fn fresh_postgres() -> (TestDatabase, PostgresStore) {
    let database = TestDatabase::migrated().await;
    let store = PostgresStore::open(database.url(), Options::default()).await.unwrap();
    (database, store)
}

macro_rules! both_keep {
    ($contract:ident: $($promise:ident),* $(,)?) => { $(
        mod $promise {
            #[tokio::test]
            async fn on_sqlite() {
                let (_dir, store) = crate::fresh();
                crate::$contract::$promise(&store).await;
            }

            #[tokio::test]
            async fn on_postgres() {
                let (_database, store) = crate::fresh_postgres().await;
                crate::$contract::$promise(&store).await;
            }
        }
    )* };
}

both_keep!(
    contract:
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
    epochs_are_known_with_their_first_row_and_sealed_by_a_later_one,
    a_row_of_a_closed_epoch_is_late_unless_it_is_there,
    many_rooms_begin_at_once,
    a_grant_makes_a_member_once,
    an_empty_insert_is_answered,
    what_is_older_than_it_is_kept_goes_in_parts_but_for_a_rooms_last,
    inserts_from_many_tasks_get_their_own_answers,
);

both_keep!(
    back_contract:
    both_ways_show_the_same_in_pages_of_any_size,
    back_is_bounded_by_rows_and_by_bytes,
    back_from_anywhere_shows_what_stands_before,
);

both_keep!(
    rooms_contract:
    a_room_that_is_made_has_its_owner_and_its_id_is_taken,
    of_many_who_make_a_room_at_once_one_does,
    a_direct_room_is_the_same_for_both_and_brings_back_who_left,
    a_direct_room_brings_back_nobody_who_is_banned,
    an_id_of_another_kind_is_taken_for_a_direct_room,
    admins_name_a_room_and_owners_open_it,
    a_direct_room_can_be_neither_named_nor_opened,
    a_deleted_room_is_there_for_nobody,
    a_deleted_room_is_purged_in_parts_and_no_other,
    public_rooms_and_ones_own_are_visible_in_pages,
    ones_own_rooms_come_in_pages_with_where_one_stands,
    unread_ends_at_its_bound,
    no_grant_makes_a_room_that_no_path_can_say,
    no_grant_opens_a_room_of_two_people,
    a_room_that_a_grant_made_has_no_owner,
);

both_keep!(
    members_contract:
    who_is_put_in_is_called_as_its_account_is,
    what_is_so_already_is_answered_with_the_row,
    a_change_binds_what_may_be_done,
    a_change_that_is_denied_changes_nothing,
    of_two_last_owners_who_leave_at_once_one_stays,
    members_come_in_pages_with_how_far_they_read,
    who_vanishes_leaves_every_room_and_an_owner_in_it,
    a_cursor_moves_forward_only_and_for_members_only,
    who_leaves_takes_its_cursor_along,
    who_went_muted_comes_back_muted,
    changes_are_kept_until_they_were_told,
    cursors_move_together,
    each_device_has_a_cursor_for_what_it_was_given,
);

both_keep!(
    inbox_contract:
    all_that_changes_a_room_for_its_members_is_a_change,
    an_entry_says_all_of_how_it_is,
    changes_come_in_pages_in_their_order,
    whoever_goes_on_hears_the_last_changes_again,
    a_token_nobody_can_go_on_from_brings_all_rooms,
    removals_are_told_until_they_are_forgotten_and_who_comes_back_is_new,
    who_never_was_a_member_is_not_told_of_a_ban,
    many_are_asked_about_at_once_and_answered_in_their_order,
);

both_keep!(
    accounts_contract:
    a_name_is_given_out_once_for_ever,
    an_account_is_read_back_and_renamed_until_it_is_deleted,
    a_name_is_somebodys_who_came_and_nobodys_whom_others_put_in,
    a_password_is_changed_by_who_knows_it_and_ends_all_log_ins,
    a_log_in_begins_only_under_the_password_that_stands,
    log_ins_that_end_first_give_way,
    a_rotated_token_works_for_the_grace_and_then_ends_the_log_in,
    a_token_past_its_time_or_unknown_is_refused,
    of_one_log_in_the_last_few_tokens_are_known,
    however_often_a_thief_changes_it_a_token_is_known_for_an_hour,
    a_log_in_is_not_renewed_without_end_within_an_hour,
    of_two_that_came_of_one_token_only_one_lives_on,
    a_log_in_ends_with_any_of_its_tokens,
    all_log_ins_of_a_user_end_with_its_tokens,
    revocations_grow_and_are_forgotten_after_their_time,
);

both_keep!(
    devices_contract:
    a_device_is_read_back_as_it_was_put_last,
    a_device_that_is_deleted_is_gone_and_no_other,
    a_token_belongs_to_who_put_it_last,
    of_many_who_put_one_token_at_once_one_has_it,
    the_device_not_seen_for_longest_gives_way,
    devices_of_many_users_are_those_with_a_token,
    a_token_that_is_gone_takes_no_newer_one_with_it,
    that_a_device_was_seen_is_noted_once_a_day,
    tokens_of_devices_not_seen_for_long_are_forgotten_in_parts,
    what_ends_all_log_ins_of_a_user_ends_its_devices,
);

both_keep!(
    pushes_contract:
    what_is_stored_is_due_once_in_rooms_with_devices,
    every_message_of_a_burst_has_its_grace,
    what_waited_for_the_database_waits_for_what_was_given_of_it_too,
    before_devices_are_told_nothing_becomes_due,
    a_round_goes_on_where_its_last_page_was_kept,
    of_two_who_have_a_round_the_later_one_keeps,
    a_page_says_what_a_member_has_and_its_devices_want,
    a_push_is_sent_with_what_is_known_then_and_once,
    whoever_lets_a_push_lie_loses_it_to_others,
    what_waits_is_told_with_what_came_after,
    other_devices_that_were_told_are_told_that_it_was_read,
    what_was_read_while_it_was_sent_is_told_too,
    what_is_shown_after_it_was_told_that_it_was_read_is_told_again,
    what_was_told_of_a_message_is_known_until_it_is_forgotten,
    of_many_who_claim_at_once_each_push_is_one_s,
);

both_keep!(
    last_seen_contract:
    a_time_is_kept_and_moves_forward_only,
    of_many_who_keep_the_same_the_newest_stands,
    who_ends_its_account_was_never_seen,
);

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(24))]

    #[test]
    fn every_position_is_covered_once_and_every_name_has_one_row(
        deliveries in contract::deliveries()
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (_dir, store) = fresh();
        runtime.block_on(contract::every_position_is_covered_once(&store, deliveries.clone()));
        runtime.block_on(async {
            let (_database, store) = fresh_postgres().await;
            contract::every_position_is_covered_once(&store, deliveries).await;
        });
    }
}
