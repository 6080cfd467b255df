//! A notification as FCM reads it
//! (<https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages>).

use bytes::Bytes;
use serde_json::json;

use crate::push::{Notification, TTL_MAX, Urgency};

/// The body of `messages:send`. Data only: with a `notification` in it Android would show that by
/// itself, and not ask the app.
pub(super) fn json(notification: &Notification) -> Bytes {
    let mut android = json!({
        "priority": match notification.urgency {
            Urgency::High => "high",
            Urgency::Normal => "normal",
        },
        "ttl": format!("{}s", notification.ttl.min(TTL_MAX).as_secs()),
    });
    if let Some(collapse) = notification.collapse {
        android["collapse_key"] = collapse.key().into();
    }
    let message = json!({
        "token": notification.token.expose(),
        "data": notification.data,
        "android": android,
    });
    json!({ "message": message }).to_string().into()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;
    use moim_shared::push_token::PushToken;

    use crate::push::Collapse;

    #[test]
    fn a_notification_is_data_for_one_token() {
        let mut notification = Notification {
            token: PushToken::parse("fEx4:APA9").unwrap(),
            data: BTreeMap::from([("type".into(), "read".into()), ("unread".into(), "7".into())]),
            urgency: Urgency::Normal,
            ttl: Duration::from_millis(86_400_999),
            collapse: Some(Collapse::Sync),
        };
        let read = |notification: &Notification| {
            serde_json::from_slice::<serde_json::Value>(&json(notification)).unwrap()
        };
        let expected = serde_json::json!({ "message": {
            "token": "fEx4:APA9",
            "data": { "type": "read", "unread": "7" },
            "android": { "priority": "normal", "ttl": "86400s", "collapse_key": "sync" },
        } });
        assert_eq!(read(&notification), expected);

        notification.urgency = Urgency::High;
        notification.ttl = Duration::MAX;
        notification.collapse = None;
        let android = serde_json::json!({ "priority": "high", "ttl": "2419200s" });
        assert_eq!(read(&notification)["message"]["android"], android);
    }
}
