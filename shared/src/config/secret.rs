//! Text that must not be shown.

use std::fmt;

/// A signing secret: the UTF-8 bytes of a text, at least 32 of them. Debug shows `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The fewest bytes of a secret: as many as HMAC-SHA-256 gives out (RFC 7518, 3.2).
    pub const MIN_BYTES: usize = 32;

    /// The text as a secret, byte for byte; `None` when it is too short.
    pub fn new(text: impl Into<String>) -> Option<Self> {
        let text = text.into();
        (text.len() >= Self::MIN_BYTES).then_some(Self(text))
    }

    /// The bytes that sign.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// What operators show to `/admin`: any text that fits a header. Debug shows `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct AdminToken(String);

impl AdminToken {
    /// `None` when it is empty or does not fit a header.
    pub fn new(text: impl Into<String>) -> Option<Self> {
        let text = text.into();
        let fits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then_some(Self(text))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A URL that may hold a password. Debug shows `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct ServiceUrl(String);

impl ServiceUrl {
    /// `None` when it has no scheme. What else is wrong with it says who connects.
    pub fn new(text: impl Into<String>) -> Option<Self> {
        let text = text.into();
        let fits = text.contains("://") && text.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then_some(Self(text))
    }

    /// The text, with its password.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ServiceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
