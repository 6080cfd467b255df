//! What names a device to its provider of pushes.

use std::fmt;
use std::sync::Arc;

use serde::de::Error as _;

/// A push token: printable ASCII, up to 4,096 bytes. Who knows it, and the credentials, can write to
/// the device, so only its last characters are shown.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PushToken(Arc<str>);

/// Text that is no push token. The text itself is not in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a push token is 1 to {max} printable ASCII characters without spaces", max = PushToken::MAX)]
pub struct BadPushToken;

impl PushToken {
    /// The most bytes of a token. Those of FCM have below 200 today; Google promises no bound.
    pub const MAX: usize = 4_096;

    /// Characters of its end that may be shown.
    const SHOWN: usize = 6;

    /// Checks `text`.
    pub fn parse(text: &str) -> Result<Self, BadPushToken> {
        let good = (1..=Self::MAX).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_graphic());
        if good { Ok(Self(text.into())) } else { Err(BadPushToken) }
    }

    /// All of it, for the provider and the store. Not for logs.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PushToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Of a short one the end would be most of it.
        let end = self.0.len() - Self::SHOWN.min(self.0.len() / 4);
        write!(f, "…{}", &self.0[end..])
    }
}

impl fmt::Debug for PushToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<'de> serde::Deserialize<'de> for PushToken {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(from)?;
        Self::parse(&text).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_of_a_token_is_shown() {
        let token = PushToken::parse("fEx4mpl3:APA91bHPRgkF-nobody-may-read-this-zZ9qQ1").unwrap();
        assert_eq!(format!("{token} {token:?}"), "…zZ9qQ1 …zZ9qQ1");
        assert_eq!(PushToken::parse("abc").unwrap().to_string(), "…");
    }

    #[test]
    fn a_token_is_printable_ascii_of_bounded_length() {
        assert!(PushToken::parse(&"x".repeat(PushToken::MAX)).is_ok());
        for bad in ["", "a b", "a\n", "토큰", &"x".repeat(PushToken::MAX + 1)] {
            assert_eq!(PushToken::parse(bad), Err(BadPushToken));
        }
    }
}
