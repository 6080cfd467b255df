//! The table of close codes (RFC 6455, section 7.4): the code tells a client whether coming back
//! helps.

use std::fmt;

/// Why a session ends, as its client reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CloseReason {
    /// WebSocket close code.
    pub code: u16,
    /// A few words.
    text: &'static str,
    /// A number behind them.
    number: Option<u16>,
}

impl CloseReason {
    /// The whole table.
    pub const ALL: [Self; 6] =
        [Self::BYE, Self::PROTOCOL, Self::COME_BACK, Self::IDLE, Self::REVOKED, Self::TOO_SLOW];

    /// Both sides are done.
    pub const BYE: Self = Self::new(1000, "bye");
    /// After ERROR, which says more.
    pub const PROTOCOL: Self = Self::new(1002, "see the ERROR frame");
    /// Come back at once, to another node if this one goes.
    pub const COME_BACK: Self = Self::come_back(0);
    /// Said nothing for too long.
    pub const IDLE: Self = Self::new(4000, "idle");
    /// The token ended (`auth.close_on_exp`), was revoked, or the user was banned.
    pub const REVOKED: Self = Self::new(4001, "revoked");
    /// Did not read; come back and resume from the last position.
    pub const TOO_SLOW: Self = Self::new(4008, "too slow, resume");

    const fn new(code: u16, text: &'static str) -> Self {
        Self { code, text, number: None }
    }

    /// Come back after so many ms.
    pub const fn come_back(after_ms: u16) -> Self {
        Self { code: 1012, text: "retry_after_ms=", number: Some(after_ms) }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text)?;
        self.number.map_or(Ok(()), |number| write!(f, "{number}"))
    }
}
