//! Who somebody is, and what its token opens.

use moim_shared::broker::Broker;
use moim_shared::ids::{RoomId, UserId};
use moim_shared::signal::Signal;
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
pub async fn admit(
    store: &dyn Store,
    broker: &dyn Broker,
    room: &RoomId,
    who: &Identity,
) -> Result<Access, StoreError> {
    match store.access(room, &who.user).await? {
        Access::None if who.grant.covers(room) => {
            let access = store.admit(room, &who.user, who.name.as_deref()).await?;
            let own = Signal::Own(who.user.clone(), room.clone());
            if let Err(error) = broker.signal(own).await {
                tracing::debug!(room.id = %room, %error, "no inbox was told of a membership");
            }
            Ok(access)
        }
        known => Ok(known),
    }
}
