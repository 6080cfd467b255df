//! `/api/v1/me/rooms`: one's own rooms, and how far one has read and was given them.

use std::slice;

use actix_web::web;
use moim_shared::ids::{InstallationId, RoomId, UserId};
use moim_shared::position::Position;
use moim_shared::store::StoreError;
use moim_shared::store::rooms::OwnRoom;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::doors::enter;
use super::rooms::{InRoom, there};
use super::views::{RoleName, RoomView};
use super::{Api, Input, Json, Path, Query, RoomPaging, Table, Who, page, schema};
use crate::http::Problem;
use crate::refusal::{Code, Refusal};

pub(super) fn routes(table: &mut Table) {
    table.tag("me");
    table.add(__path_list, list, &[]);
    table.add(__path_move_cursor, move_cursor, &[403, 404]);
}

/// One's own rooms, by id.
#[derive(Serialize, ToSchema)]
struct OwnRooms {
    rooms: Vec<Own>,
    /// For `after`, when there are more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    next: Option<String>,
}

/// A room of one's own.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = OwnRoom)]
struct Own {
    room: RoomView,
    role: RoleName,
    /// May read and not send until then.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, schema_with = schema::time)]
    muted_until: Option<u64>,
    /// The room's end; `0-0`: nothing was ever said.
    #[schema(schema_with = schema::position)]
    head: Position,
    /// How far you have read; `0-0`: nothing.
    #[schema(schema_with = schema::position)]
    read: Position,
    /// Messages after that, counted up to 100.
    #[schema(maximum = 100)]
    unread: u32,
}

impl From<OwnRoom> for Own {
    fn from(own: OwnRoom) -> Self {
        let OwnRoom { room, member, head, read, unread } = own;
        let (role, muted_until) = (member.role.into(), member.muted_until);
        Self { room: room.into(), role, muted_until, head, read, unread }
    }
}

/// One's own rooms
#[utoipa::path(get, path = "/api/v1/me/rooms", operation_id = "listOwnRooms", params(RoomPaging),
    responses((status = 200, body = OwnRooms, description = "By id.")))]
async fn list(
    who: Who,
    Query(paging): Query<RoomPaging>,
    api: web::Data<Api>,
) -> Result<Json<OwnRooms>, Problem> {
    let limit = paging.limit()?;
    let rooms = api.rooms.rooms_of(&who.0.user, paging.after.as_ref(), limit + 1).await?;
    let rooms = page(rooms, limit, |own| own.room.id.to_string());
    let next = rooms.next;
    Ok(Json(OwnRooms { rooms: rooms.items.into_iter().map(Own::from).collect(), next }))
}

/// How far you have read, how far one of your devices was given messages, or both.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it is only described; `Moving` reads it")]
enum CursorMove {
    Read(ReadMove),
    Delivered(DeliveredMove),
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "see `CursorMove`")]
struct ReadMove {
    #[schema(schema_with = schema::position)]
    position: Position,
    #[schema(required = false, schema_with = schema::position)]
    delivered: Option<Position>,
    /// The device on which you did.
    #[schema(required = false, schema_with = schema::installation)]
    installation: Option<InstallationId>,
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "see `CursorMove`")]
struct DeliveredMove {
    #[schema(schema_with = schema::position)]
    delivered: Position,
    /// Whose it is; without it: of those devices that do not name themselves.
    #[schema(required = false, schema_with = schema::installation)]
    installation: Option<InstallationId>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Moving {
    #[serde(default, deserialize_with = "there")]
    position: Option<Position>,
    #[serde(default, deserialize_with = "there")]
    delivered: Option<Position>,
    #[serde(default, deserialize_with = "there")]
    installation: Option<InstallationId>,
}

impl Input for Moving {}

/// The cursors that stand.
#[derive(Debug, Serialize, ToSchema)]
struct Cursor {
    /// How far you have read; `0-0`: nothing.
    #[schema(schema_with = schema::position)]
    position: Position,
    /// How far the device was given messages, if you said that it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, schema_with = schema::position)]
    delivered: Option<Position>,
}

/// Say how far you have read, or a device was given messages
///
/// Cursors only move forward, and not past the room's end. `delivered` is for what came to a device
/// otherwise than through STOMP, in a push or a page of history; what its session was given is known.
#[utoipa::path(put, path = "/api/v1/me/rooms/{room}/cursor", operation_id = "moveCursor",
    params(InRoom), request_body = CursorMove,
    responses((status = 200, body = Cursor, description = "The cursors that stand now.")))]
async fn move_cursor(
    who: Who,
    Path(path): Path<InRoom>,
    Json(moving): Json<Moving>,
    api: web::Data<Api>,
) -> Result<Json<Cursor>, Problem> {
    let Moving { position, delivered, installation } = moving;
    if position.is_none() && delivered.is_none() {
        return Err(Refusal::new(Code::BadRequest, "say `position` or `delivered`").into());
    }
    enter(&api, &path.room, &who).await?;
    let cursors = &api.sessions.cursors;
    if let Some(delivered) = delivered {
        cursors.delivered_up_to(&path.room, &who.0, installation.clone(), delivered).await?;
    }
    // Nothing is before the start, so this one only tells where the cursor stands.
    let position = position.unwrap_or(Position::ZERO);
    let position = cursors.read_up_to(&path.room, &who.0, installation.clone(), position).await?;
    let delivered = match delivered {
        Some(_) => Some(stands(&api, &path.room, &who.0.user, installation.as_ref()).await?),
        None => None,
    };
    Ok(Json(Cursor { position, delivered }))
}

/// How far a device of `user` was given messages.
async fn stands(
    api: &Api,
    room: &RoomId,
    user: &UserId,
    installation: Option<&InstallationId>,
) -> Result<Position, StoreError> {
    let given = api.sessions.cursors.delivered_of(room, slice::from_ref(user)).await?;
    let own = given.into_iter().find(|given| given.device.as_ref() == installation);
    Ok(own.map_or(Position::ZERO, |given| given.position))
}
