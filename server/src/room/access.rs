//! Who somebody is, and what its token opens.

use moim_shared::ids::{RoomId, UserId};
use moim_shared::store::{Access, Store, StoreError};

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

/// What the user may do; a grant that was never used becomes a membership.
pub async fn admit(store: &dyn Store, room: &RoomId, who: &Identity) -> Result<Access, StoreError> {
    match store.access(room, &who.user).await? {
        Access::None if who.grant.covers(room) => {
            store.admit(room, &who.user, who.name.as_deref()).await
        }
        known => Ok(known),
    }
}
