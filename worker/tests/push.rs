//! What every adapter of push does (`push/contract.rs`), asked of each, and what the one of FCM does
//! besides, against a local double that is held against the documentation itself (`push/double.rs`).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step is a failed test")]

#[path = "push/access.rs"]
mod access;
#[path = "push/answers.rs"]
mod answers;
#[path = "push/contract.rs"]
mod contract;
#[path = "push/credentials.rs"]
mod credentials;
#[path = "push/double.rs"]
mod double;
#[path = "support/fcm_double.rs"]
mod fcm_double;
#[path = "push/rig.rs"]
mod rig;

use moim_worker::push::Push;
use moim_worker::push::recording::RecordingPush;

use contract::notification;
use rig::Rig;

macro_rules! every_push_keeps {
    ($($promise:ident),* $(,)?) => {
        mod recording {
            use super::*;
            $(
                #[tokio::test]
                async fn $promise() {
                    contract::$promise(&RecordingPush::default()).await;
                }
            )*
        }
        mod by_fcm {
            use super::*;
            $(
                #[tokio::test]
                async fn $promise() {
                    contract::$promise(&Rig::start()).await;
                }
            )*
        }
    };
}

every_push_keeps!(
    a_notification_arrives_once_and_as_it_was,
    data_up_to_the_bound_arrives_and_more_is_refused,
    keys_that_fcm_keeps_for_itself_are_refused,
    many_at_once_all_arrive,
    nothing_is_remembered_of_what_was_refused,
);

#[tokio::test]
async fn the_last_thousand_are_kept_and_the_oldest_goes_first() {
    let push = RecordingPush::default();
    for number in 0..RecordingPush::KEPT + 2 {
        push.send(notification("a", &number.to_string())).await.unwrap();
    }
    let recent = push.recent();
    assert_eq!(recent.len(), RecordingPush::KEPT);
    assert_eq!((&*recent[0].data["id"], &*recent.last().unwrap().data["id"]), ("2", "1001"));
}
