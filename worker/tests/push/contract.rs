//! What every adapter of push must do.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::join_all;
use moim_shared::push_token::PushToken;
use moim_worker::push::recording::RecordingPush;
use moim_worker::push::{Collapse, DATA_MAX, Notification, Push, PushError, Urgency};

/// A push, and what came of it.
pub trait Observed {
    fn push(&self) -> &dyn Push;

    /// What is on its way to devices, the oldest first.
    fn arrived(&self) -> Vec<Notification>;
}

impl Observed for RecordingPush {
    fn push(&self) -> &dyn Push {
        self
    }

    fn arrived(&self) -> Vec<Notification> {
        self.recent()
    }
}

/// The message `id` for the device of this token.
pub fn notification(token: &str, id: &str) -> Notification {
    Notification {
        token: PushToken::parse(token).unwrap(),
        data: BTreeMap::from([("type".into(), "message".into()), ("id".into(), id.into())]),
        urgency: Urgency::High,
        ttl: Duration::from_secs(86_400),
        collapse: None,
    }
}

fn with(key: &str, value: String) -> Notification {
    let mut notification = notification("fEx4:APA91b-1", "r/1-1");
    notification.data = BTreeMap::from([(key.into(), value)]);
    notification
}

pub async fn a_notification_arrives_once_and_as_it_was(observed: &dyn Observed) {
    let shown = notification("fEx4:APA91b-1", "방/1-1");
    let hint = Notification {
        urgency: Urgency::Normal,
        ttl: Duration::ZERO,
        collapse: Some(Collapse::Sync),
        ..notification("fEx4:APA91b-2", "\"quoted\"\n")
    };
    for notification in [&shown, &hint] {
        observed.push().send(notification.clone()).await.unwrap();
    }
    assert_eq!(observed.arrived(), [shown, hint]);
}

pub async fn data_up_to_the_bound_arrives_and_more_is_refused(observed: &dyn Observed) {
    let exactly = with("body", "x".repeat(DATA_MAX - "body".len()));
    observed.push().send(exactly.clone()).await.unwrap();
    // Bytes count, and not characters.
    for over in ["x".repeat(DATA_MAX), "방".repeat(DATA_MAX / 3)] {
        let refused = observed.push().send(with("body", over)).await;
        assert!(matches!(refused, Err(PushError::Refused(_))), "{refused:?}");
    }
    assert_eq!(observed.arrived(), [exactly]);
}

pub async fn keys_that_fcm_keeps_for_itself_are_refused(observed: &dyn Observed) {
    for key in ["from", "message_type", "collapse_key", "google.c", "gcm.notification.x"] {
        let refused = observed.push().send(with(key, "x".into())).await;
        assert!(matches!(refused, Err(PushError::Refused(_))), "{key}: {refused:?}");
    }
    assert_eq!(observed.arrived(), []);
}

pub async fn many_at_once_all_arrive(observed: &dyn Observed) {
    let one = async |number: usize| {
        let notification = notification(&format!("fEx4:{number}"), &number.to_string());
        observed.push().send(notification).await.unwrap();
    };
    join_all((0..250).map(one)).await;
    let arrived = observed.arrived();
    let tokens: BTreeSet<&str> = arrived.iter().map(|each| each.token.expose()).collect();
    assert_eq!((arrived.len(), tokens.len()), (250, 250));
}

pub async fn nothing_is_remembered_of_what_was_refused(observed: &dyn Observed) {
    observed.push().send(with("from", "x".into())).await.unwrap_err();
    observed.push().send(notification("fEx4:APA91b-1", "r/1-1")).await.unwrap();
    assert_eq!(observed.arrived().len(), 1);
}
