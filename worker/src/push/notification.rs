//! What a device is told.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use moim_shared::push_token::PushToken;

use super::PushError;

/// Bytes that the keys and values of one notification may have together, as FCM has it for a single
/// device (<https://firebase.google.com/docs/cloud-messaging/concept-options>).
pub const DATA_MAX: usize = 4_096;

/// The longest that a provider keeps a notification for a device: 28 days.
pub const TTL_MAX: Duration = Duration::from_secs(28 * 24 * 3_600);

/// One notification for one device. Debug shows the keys of its data and no values.
#[derive(Clone, PartialEq, Eq)]
pub struct Notification {
    /// Which device.
    pub token: PushToken,
    /// What the app gets, at most [`DATA_MAX`] bytes. Keys that FCM keeps for itself are refused:
    /// `from`, `message_type`, `collapse_key`, and all that begin with `google` or `gcm`.
    pub data: BTreeMap<String, String>,
    /// How soon.
    pub urgency: Urgency,
    /// How long it waits for a device that is away, in whole seconds; more than [`TTL_MAX`] is as
    /// much as that. Zero is now or never.
    pub ttl: Duration,
    /// What of its kind it takes the place of, while it waits. `None`: each one counts.
    pub collapse: Option<Collapse>,
}

/// How soon a device is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// At once, also when it sleeps. Only for what the user is shown: who sends others like this is
    /// slowed down by Google.
    High,
    /// When it wakes up by itself.
    Normal,
}

/// Kinds of which a device needs only the latest. FCM keeps four kinds for a device, and lets through
/// 20 at once and then one each 3 minutes; hence a closed set, and hints only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Collapse {
    /// Something changed: ask the server what.
    Sync,
}

impl Notification {
    /// Bytes of its data, as [`DATA_MAX`] counts them.
    pub fn data_bytes(&self) -> usize {
        self.data.iter().map(|(key, value)| key.len() + value.len()).sum()
    }

    /// Whether a provider can take it at all; adapters ask this before they call.
    pub fn check(&self) -> Result<(), PushError> {
        let bytes = self.data_bytes();
        if bytes > DATA_MAX {
            return Err(PushError::Refused(format!(
                "its data has {bytes} bytes, and {DATA_MAX} are allowed"
            )));
        }
        match self.data.keys().find(|key| is_reserved(key)) {
            Some(key) => Err(PushError::Refused(format!("FCM keeps the key `{key}` for itself"))),
            None => Ok(()),
        }
    }
}

fn is_reserved(key: &str) -> bool {
    key.is_empty()
        || ["from", "message_type", "collapse_key"].contains(&key)
        || ["google", "gcm"].iter().any(|prefix| key.starts_with(prefix))
}

impl Collapse {
    /// The key on the wire.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Sync => "sync",
        }
    }
}

impl fmt::Debug for Notification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notification")
            .field("token", &self.token)
            .field("data", &self.data.keys())
            .field("urgency", &self.urgency)
            .field("ttl", &self.ttl)
            .field("collapse", &self.collapse)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(data: &[(&str, &str)]) -> Notification {
        Notification {
            token: PushToken::parse("fEx4mpl3:APA91b-zZ9qQ1").unwrap(),
            data: data.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(),
            urgency: Urgency::High,
            ttl: Duration::from_secs(60),
            collapse: None,
        }
    }

    #[test]
    fn keys_and_values_count_in_bytes_up_to_the_bound() {
        let exactly = of(&[("방", &"x".repeat(DATA_MAX - 3))]);
        assert_eq!((exactly.data_bytes(), exactly.check()), (DATA_MAX, Ok(())));
        let over = of(&[("방", &"x".repeat(DATA_MAX - 2))]).check().unwrap_err();
        assert!(over.to_string().contains("4097 bytes"), "{over}");
        assert!(!over.retryable());
    }

    #[test]
    fn keys_of_fcm_are_refused() {
        for key in
            ["from", "message_type", "collapse_key", "google.x", "googlex", "gcm", "gcm.n.e", ""]
        {
            assert!(matches!(of(&[(key, "x")]).check(), Err(PushError::Refused(_))), "{key}");
        }
        for key in ["xfrom", "type", "sender", "id", "messageType"] {
            assert_eq!(of(&[(key, "x")]).check(), Ok(()), "{key}");
        }
    }

    #[test]
    fn what_is_said_is_not_shown() {
        let shown = format!("{:?}", of(&[("body", "nobody may read this")]));
        assert!(shown.contains("body") && shown.contains("High"), "{shown}");
        assert!(!shown.contains("nobody") && !shown.contains("fEx4"), "{shown}");
    }
}
