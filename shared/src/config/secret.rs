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

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
