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
    /// The same for those who count it: one of [`DENIALS`](crate::metrics::DENIALS).
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::DENIALS;

    #[test]
    fn whoever_counts_knows_every_reason() {
        let away = || StoreError::Unavailable(String::new());
        let all = [
            Denied::Wrong,
            Denied::Ended,
            Denied::Invalid(String::new()),
            Denied::Taken,
            Denied::Throttled(Duration::ZERO),
            Denied::Crowded,
            Denied::Store(away()),
            Denied::Token(TokenError::Expired),
        ];
        assert!(all.iter().all(|denied| DENIALS.contains(&denied.reason())));
    }
}
