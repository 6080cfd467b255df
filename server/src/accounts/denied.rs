//! Why somebody is not let in, or not made or changed, and what of it the client reads.

use std::time::Duration;

use moim_shared::store::StoreError;

use crate::refusal::{Code, Refusal};
use crate::token::TokenError;

/// Why not.
#[derive(Debug, thiserror::Error)]
pub enum Denied {
    /// The name, the password, or both.
    #[error("the user or the password is wrong")]
    Wrong,
    /// The refresh token.
    #[error("the refresh token is unknown, used up or past its time; log in again")]
    Ended,
    /// Something in the request is not allowed. The text is for the client.
    #[error("{0}")]
    Invalid(String),
    /// The name belongs to somebody, or did.
    #[error("this name is taken")]
    Taken,
    /// Too many tries; how long to wait.
    #[error("too many tries; wait")]
    Throttled(Duration),
    /// Too many check their passwords right now.
    #[error("too many log in right now; try again")]
    Crowded,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A token could not be made.
    #[error(transparent)]
    Token(#[from] TokenError),
}

impl Denied {
    /// All that [`Denied::reason`] says.
    pub const REASONS: [&str; 7] =
        ["wrong", "ended", "invalid", "taken", "throttled", "crowded", "unavailable"];

    /// The same for those who count it.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Wrong => "wrong",
            Self::Ended => "ended",
            Self::Invalid(_) => "invalid",
            Self::Taken => "taken",
            Self::Throttled(_) => "throttled",
            Self::Crowded => "crowded",
            Self::Store(_) | Self::Token(_) => "unavailable",
        }
    }
}

impl From<Denied> for Refusal {
    fn from(denied: Denied) -> Self {
        let detail = denied.to_string();
        match denied {
            Denied::Wrong | Denied::Ended | Denied::Invalid(_) => {
                Self::new(Code::BadRequest, detail)
            }
            Denied::Taken => Self::new(Code::NameReused, detail),
            Denied::Throttled(wait) => {
                let ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
                Self::later(Code::RateLimited, detail, ms.max(1))
            }
            Denied::Crowded => Self { detail: detail.into(), ..Self::busy() },
            // Why is for the log.
            Denied::Store(_) | Denied::Token(_) => Self::unavailable(),
        }
    }
}
