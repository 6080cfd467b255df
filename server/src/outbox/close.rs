//! The table of close codes (RFC 6455, section 7.4): the code tells a client whether coming back
//! helps.

/// Why a session ends, as its client reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CloseReason {
    /// WebSocket close code.
    pub code: u16,
    /// A few words.
    pub text: &'static str,
}

impl CloseReason {
    /// The whole table.
    pub const ALL: [Self; 6] =
        [Self::BYE, Self::PROTOCOL, Self::COME_BACK, Self::IDLE, Self::REVOKED, Self::TOO_SLOW];

    /// Both sides are done.
    pub const BYE: Self = Self { code: 1000, text: "bye" };
    /// After ERROR, which says more.
    pub const PROTOCOL: Self = Self { code: 1002, text: "see the ERROR frame" };
    /// The node goes; come back at once, to another.
    pub const COME_BACK: Self = Self { code: 1012, text: "retry_after_ms=0" };
    /// Said nothing for too long.
    pub const IDLE: Self = Self { code: 4000, text: "idle" };
    /// The token ended (`auth.close_on_exp`), was revoked, or the user was banned.
    pub const REVOKED: Self = Self { code: 4001, text: "revoked" };
    /// Did not read; come back and resume from the last position.
    pub const TOO_SLOW: Self = Self { code: 4008, text: "too slow, resume" };
}
