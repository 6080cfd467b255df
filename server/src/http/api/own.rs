//! `/api/v1/me/rooms`: one's own rooms, and how far one has read them.

use actix_web::web;
use moim_shared::position::Position;
use moim_shared::store::rooms::OwnRoom;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::doors::enter;
use super::rooms::InRoom;
use super::views::{RoleName, RoomView};
use super::{Api, Input, Json, Path, Query, RoomPaging, Table, Who, page, schema};
use crate::http::Problem;

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

/// How far somebody has read.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Cursor {
    #[schema(schema_with = schema::position)]
    position: Position,
}

impl Input for Cursor {}

/// Say how far you have read
///
/// A cursor only moves forward, and not past the room's end.
#[utoipa::path(put, path = "/api/v1/me/rooms/{room}/cursor", operation_id = "moveCursor",
    params(InRoom), request_body = Cursor,
    responses((status = 200, body = Cursor, description = "The cursor that stands now.")))]
async fn move_cursor(
    who: Who,
    Path(path): Path<InRoom>,
    Json(cursor): Json<Cursor>,
    api: web::Data<Api>,
) -> Result<Json<Cursor>, Problem> {
    enter(&api, &path.room, &who).await?;
    let cursors = &api.sessions.cursors;
    let position = cursors.read_up_to(&path.room, &who.0, None, cursor.position).await?;
    Ok(Json(Cursor { position }))
}
