//! Who may see a room, and who may come in.

use moim_shared::ids::RoomId;
use moim_shared::membership::Denied;
use moim_shared::store::Access;
use moim_shared::store::rooms::{RoomInfo, Visibility};

use super::{Api, Who};
use crate::http::Problem;
use crate::refusal::{Code, Refusal};
use crate::room::admit;

/// The room, for somebody who may know of it: anybody if it is public, else its members and those
/// whom a grant would let in.
pub async fn see(api: &Api, room: &RoomId, who: &Who) -> Result<RoomInfo, Problem> {
    let info = api.rooms.room_get(room).await?.ok_or_else(no_room)?;
    if info.visibility == Visibility::Public {
        return Ok(info);
    }
    match api.store.access(room, &who.0.user).await? {
        Access::Member | Access::Muted { .. } => Ok(info),
        Access::None if who.0.grant.covers(room) && !info.direct => Ok(info),
        Access::Banned => Err(Refusal::banned().into()),
        Access::None => Err(Refusal::not_a_member().into()),
    }
}

/// Lets in who is a member, or is one from now on by a grant. To ask makes no room.
pub async fn enter(api: &Api, room: &RoomId, who: &Who) -> Result<(), Problem> {
    let mut access = api.store.access(room, &who.0.user).await?;
    if access == Access::None {
        api.rooms.room_get(room).await?.ok_or_else(no_room)?;
        access = admit(&*api.store, &*api.broker, room, &who.0).await?;
    }
    match access {
        Access::Member | Access::Muted { .. } => Ok(()),
        Access::Banned => Err(Refusal::banned().into()),
        Access::None => Err(Refusal::not_a_member().into()),
    }
}

/// 404.
pub fn no_room() -> Problem {
    Refusal::new(Code::UnknownDestination, "there is no such room").into()
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        let forbidden = |detail| {
            let refusal = Refusal::new(Code::BadRequest, detail);
            Self::new(actix_web::http::StatusCode::FORBIDDEN, refusal)
        };
        match denied {
            Denied::NoRoom => no_room(),
            Denied::NotAMember => Refusal::not_a_member().into(),
            Denied::Banned => Refusal::banned().into(),
            Denied::NotAllowed => forbidden("your role in this room does not allow this"),
            Denied::LastOwner => {
                Self::conflict("a room keeps an owner: make somebody else one first, or delete it")
            }
            Denied::Oneself => {
                Self::conflict("nobody kicks, bans or mutes itself; to go, leave the room")
            }
            Denied::NoMember => {
                Refusal::new(Code::UnknownDestination, "there is no such member").into()
            }
        }
    }
}
