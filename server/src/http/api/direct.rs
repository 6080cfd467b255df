//! `/api/v1/rooms/direct`: the one room of two people.

use actix_web::{HttpResponse, web};
use moim_shared::clock::now_ms;
use moim_shared::ids::{IdError, RoomId, UserId};
use moim_shared::membership::Member;
use moim_shared::store::Access;
use moim_shared::store::rooms::Made;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use super::parts::sayable;
use super::rooms::created;
use super::views::RoomView;
use super::whole::whole;
use super::{Api, Input, Json, Table, Who, failure, schema};
use crate::http::Problem;

pub(super) fn routes(table: &mut Table) {
    table.tag("rooms");
    table.add(__path_open, whole(open), &[409]);
}

/// With whom.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Direct {
    #[schema(schema_with = schema::sayable_user)]
    user: UserId,
}

impl Input for Direct {}

/// The room of two people
///
/// It is made when it is not there yet, and is the same whoever of both asks.
#[utoipa::path(post, path = "/api/v1/rooms/direct", operation_id = "openDirectRoom",
    request_body = Direct,
    responses(
        (status = 200, body = RoomView, description = "It was there."),
        (status = 201, body = RoomView, description = "It is made.",
            headers(("Location" = String, description = "Where it is."))),
    ))]
async fn open(
    who: Who,
    Json(with): Json<Direct>,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let (me, other) = (&who.0.user, &with.user);
    sayable(other)?;
    if me == other {
        let detail = "a room of two people needs another one than you";
        return Err(Problem::conflict(detail));
    }
    let id = id_of(me, other).map_err(|error| failure::ours(&error))?;
    // Apps ask for it whenever they show it; mostly there is nothing to be done.
    if let Some(room) = api.rooms.room_get(&id).await?
        && let [Access::Member | Access::Muted { .. }, Access::Member | Access::Muted { .. }] =
            api.store.accesses(&id, &[me.clone(), other.clone()]).await?[..]
    {
        return Ok(HttpResponse::Ok().json(RoomView::from(room)));
    }
    let now = now_ms();
    let two =
        [Member::new(me.clone(), who.0.name.clone(), now), Member::new(other.clone(), None, now)];
    let made = api.rooms.room_direct(&id, &two).await?;
    api.telling.of(&id).await;
    match made {
        Made::New(room) => Ok(created(room.into())),
        Made::There(room) => Ok(HttpResponse::Ok().json(RoomView::from(room))),
        Made::Taken => Err(Problem::conflict("this room was taken by something else")),
    }
}

/// The same for both of them, and says of neither who it is.
fn id_of(one: &UserId, other: &UserId) -> Result<RoomId, IdError> {
    let (first, second) = if one < other { (one, other) } else { (other, one) };
    let hash = Sha256::new().chain_update(first.as_str()).chain_update([0]);
    let hash = hash.chain_update(second.as_str()).finalize();
    let hex: String = hash.iter().take(20).map(|byte| format!("{byte:02x}")).collect();
    RoomId::parse(&format!("{}{hex}", RoomId::DIRECT))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(one: &str, other: &str) -> String {
        id_of(&UserId::parse(one).unwrap(), &UserId::parse(other).unwrap()).unwrap().to_string()
    }

    #[test]
    fn a_pair_has_one_id_in_either_order() {
        // printf 'ann\0bob' | sha256sum
        assert_eq!(of("ann", "bob"), "dm~8f9622b42f75a84dd9b1188b1b1f0e1219531b4f");
        assert_eq!(of("bob", "ann"), of("ann", "bob"));
        assert_ne!(of("an", "nbob"), of("ann", "bob"));
    }
}
