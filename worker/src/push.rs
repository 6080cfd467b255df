//! The seam to what wakes devices that are not connected.
//!
//! One call of [`Push::send`] is one notification to one device, which the device's push token
//! names. It carries data only: what is shown, and whether, is the app's own.
//!
//! What an adapter promises:
//!
//! - It calls its provider at most once, and again only where the provider said that it did not take
//!   it. Waiting and trying again are the caller's: [`PushError`] says which of them helps.
//! - `Ok` means that the provider has taken it, not that the device has it. In between it may wait
//!   for the device as long as [`Notification::ttl`], and come in any order.
//! - After [`PushError::Later`] with `unsure`, and when the future is dropped, it may have been taken
//!   all the same. Whoever sends it again puts something into the data by which the app shows it
//!   once.
//! - While the provider wants no calls, or takes none of ours, there are none: `send` answers at
//!   once.
//! - Neither tokens nor data are in what it logs or in its errors.

pub mod fcm;
mod notification;
pub mod recording;

use std::fmt;
use std::time::Duration;

use moim_shared::BoxFuture;

pub use self::notification::{Collapse, DATA_MAX, Notification, TTL_MAX, Urgency};

/// Wakes devices. See the module for what it promises.
pub trait Push: Send + Sync + 'static {
    /// Hands `notification` to the provider. Many may be under way at once; beyond the adapter's
    /// bound they wait for their turn.
    fn send(&self, notification: Notification) -> BoxFuture<'_, Result<Sent, PushError>>;

    /// How long the provider wants no calls, or takes none of ours: until then nothing need be tried.
    fn rests(&self) -> Option<Duration> {
        None
    }
}

/// It was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// The provider's name for it, for asking the provider about it. Not every answer has one.
    pub name: Option<String>,
}

/// Why it was not taken, by what is to be done about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// The token reaches nobody any more: forget it, unless the device has another one by now.
    #[error("the token is of no use: {0}")]
    TokenGone(Gone),
    /// Send it again later, as long as it is of use.
    #[error("not now: {why}")]
    Later {
        /// Not before this. `None`: as it suits the caller, but not below 10 s at first, and longer
        /// each time.
        after: Option<Duration>,
        /// It may have been taken all the same.
        unsure: bool,
        /// For people.
        why: String,
    },
    /// No device can be reached before somebody changes the credentials or the project: keep it, and
    /// tell the operator.
    #[error("nobody can be reached: {0}")]
    Misconfigured(String),
    /// The notification itself is not allowed: never send it again. The token is good as far as
    /// anybody knows.
    #[error("it can never be sent: {0}")]
    Refused(String),
}

/// Why a token is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Gone {
    /// The app was removed, or has another token, or was not used for 270 days.
    Unregistered,
    /// It is of an app of another Firebase project. Many of these at once are wrong credentials
    /// rather than wrong tokens.
    OtherProject,
    /// It is no token at all.
    Invalid,
}

impl PushError {
    /// Whether sending the same again may succeed.
    pub const fn retryable(&self) -> bool {
        match self {
            Self::Later { .. } | Self::Misconfigured(_) => true,
            Self::TokenGone(_) | Self::Refused(_) => false,
        }
    }
}

impl Gone {
    /// As metrics have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unregistered => "unregistered",
            Self::OtherProject => "other_project",
            Self::Invalid => "invalid",
        }
    }
}

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unregistered => "it is not registered any more",
            Self::OtherProject => "it belongs to another Firebase project",
            Self::Invalid => "it is not a registration token",
        })
    }
}
