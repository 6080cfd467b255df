//! What a client may read when it is refused: a closed table of codes, each with a text.

use std::borrow::Cow;

use moim_shared::ids::RoomId;

/// Why something was refused. The wire name never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// There is no such destination.
    UnknownDestination,
    /// The room is not this user's.
    NotAMember,
    /// The user may read but not send.
    Muted,
    /// The user was shut out of the room.
    Banned,
    /// Too many at once.
    RateLimited,
    /// Larger than a limit.
    TooLarge,
    /// Not what the protocol or this page allows.
    BadRequest,
    /// The name stands for another body already.
    NameReused,
    /// The room or the node has more waiting than it takes.
    Busy,
    /// Something that it needs is away.
    Unavailable,
    /// The token is not valid (any more).
    Expired,
}

impl Code {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::UnknownDestination,
        Self::NotAMember,
        Self::Muted,
        Self::Banned,
        Self::RateLimited,
        Self::TooLarge,
        Self::BadRequest,
        Self::NameReused,
        Self::Busy,
        Self::Unavailable,
        Self::Expired,
    ];

    /// The code on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnknownDestination => "unknown_destination",
            Self::NotAMember => "not_a_member",
            Self::Muted => "muted",
            Self::Banned => "banned",
            Self::RateLimited => "rate_limited",
            Self::TooLarge => "too_large",
            Self::BadRequest => "bad_request",
            Self::NameReused => "name_reused",
            Self::Busy => "busy",
            Self::Unavailable => "unavailable",
            Self::Expired => "expired",
        }
    }
}

/// A refusal as a client reads it. What an operator needs goes to the log, not in here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The code.
    pub code: Code,
    /// A sentence for the developer of the client.
    pub detail: Cow<'static, str>,
    /// When trying again may help, in ms from now.
    pub retry_after_ms: Option<u64>,
}

impl Refusal {
    /// A refusal that trying again does not change.
    pub fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { code, detail: detail.into(), retry_after_ms: None }
    }

    /// A refusal that trying again later may change.
    pub fn later(code: Code, detail: impl Into<Cow<'static, str>>, retry_after_ms: u64) -> Self {
        Self { code, detail: detail.into(), retry_after_ms: Some(retry_after_ms) }
    }

    /// The sender's name stands for another body.
    pub fn name_reused() -> Self {
        Self::new(Code::NameReused, "this origin-id stands for another body in this room already")
    }

    /// The user is not in the room, or there is no such room: which one is not told.
    pub fn not_a_member() -> Self {
        Self::new(Code::NotAMember, "you are not a member of this room")
    }

    /// The user was put out of the room, which is named: nothing that it asked says which.
    pub fn not_a_member_of(room: &RoomId) -> Self {
        Self::new(Code::NotAMember, format!("you are not a member of room `{room}` any more"))
    }

    /// The user may read and not send.
    pub fn muted() -> Self {
        Self::new(Code::Muted, "you are muted in this room")
    }

    /// The user was shut out.
    pub fn banned() -> Self {
        Self::new(Code::Banned, "you are banned from this room")
    }

    /// Whether the message is stored is not known; it may still be.
    pub fn unconfirmed() -> Self {
        Self::later(
            Code::Unavailable,
            "the message could not be confirmed in time and may still be stored; \
             send it again under the same origin-id",
            RETRY_MS,
        )
    }

    /// Nothing was done, since a store is away.
    pub fn unavailable() -> Self {
        Self::later(Code::Unavailable, "a store is away; nothing was done; try again", RETRY_MS)
    }

    /// More than the session's rate.
    pub fn rate_limited() -> Self {
        Self::later(Code::RateLimited, "more SENDs than the session may make", RETRY_MS)
    }

    /// Too much waits already.
    pub fn busy() -> Self {
        Self::later(Code::Busy, "too much is waiting already; nothing was done", RETRY_MS)
    }
}

const RETRY_MS: u64 = 2_000;
