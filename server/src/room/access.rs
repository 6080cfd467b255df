//! Who a session is, and what its token opens.

use moim_shared::ids::UserId;

use crate::token::{Grant, Proof};

/// Who a session is, as its token said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// `sub`.
    pub user: UserId,
    /// `name`, for people.
    pub name: Option<String>,
    /// `rooms`: what it opens without prior membership.
    pub grant: Grant,
    /// By which token.
    pub proof: Proof,
    /// Nobody knows who it is: for open topics only.
    pub anonymous: bool,
}
