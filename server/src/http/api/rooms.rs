//! `/api/v1/rooms`: rooms, and lists of them.

use actix_web::http::header;
use actix_web::{HttpResponse, web};
use moim_shared::clock::now_ms;
use moim_shared::ids::RoomId;
use moim_shared::membership::Member;
use moim_shared::signal::{Event, Signal};
use moim_shared::store::rooms::{Made, NewRoom, RoomChange};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::doors::see;
use super::views::{RoomView, Visibility};
use super::whole::whole;
use super::{Api, Input, Json, Path, Query, RoomPaging, Table, Who, page, schema};
use crate::http::Problem;
use crate::refusal::{Code, Refusal};
use crate::token::said_name;

pub(super) fn routes(table: &mut Table) {
    table.tag("rooms");
    table.add(__path_list, list, &[]);
    table.add(__path_create, whole(create), &[409]);
    table.add(__path_get, get, &[403, 404]);
    table.add(__path_change, whole(change), &[403, 404]);
    table.add(__path_delete, whole(delete), &[403, 404]);
}

/// A room in the path.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct InRoom {
    #[param(required = true, schema_with = schema::room)]
    pub(super) room: RoomId,
}

/// Rooms, by id.
#[derive(Serialize, ToSchema)]
struct Rooms {
    rooms: Vec<RoomView>,
    /// For `after`, when there are more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    next: Option<String>,
}

/// Public rooms and one's own
#[utoipa::path(get, path = "/api/v1/rooms", operation_id = "listRooms", params(RoomPaging),
    responses((status = 200, body = Rooms, description = "By id.")))]
async fn list(
    who: Who,
    Query(paging): Query<RoomPaging>,
    api: web::Data<Api>,
) -> Result<Json<Rooms>, Problem> {
    let limit = paging.limit()?;
    let rooms = api.rooms.rooms_visible(&who.0.user, paging.after.as_ref(), limit + 1).await?;
    let rooms = page(rooms, limit, |room| room.id.to_string());
    let next = rooms.next;
    Ok(Json(Rooms { rooms: rooms.items.into_iter().map(RoomView::from).collect(), next }))
}

/// A room to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewRoom)]
struct Wish {
    /// Made up when it is left out.
    #[schema(required = false, schema_with = schema::new_room)]
    id: Option<RoomId>,
    #[schema(required = false, schema_with = schema::shown_name)]
    name: Option<String>,
    /// `private` when it is left out.
    #[schema(required = false)]
    visibility: Option<Visibility>,
}

impl Input for Wish {}

/// Make a room
///
/// Whoever makes it is its owner.
#[utoipa::path(post, path = "/api/v1/rooms", operation_id = "createRoom", request_body = Wish,
    responses((status = 201, body = RoomView, description = "It is made.",
        headers(("Location" = String, description = "Where it is.")))))]
async fn create(
    who: Who,
    Json(wish): Json<Wish>,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let id = match wish.id {
        Some(id) => chosen(id)?,
        None => random_id()?,
    };
    let name = said_name(wish.name.as_deref()).map_err(bad)?;
    let visibility = wish.visibility.unwrap_or(Visibility::Private).into();
    let owner = Member::new(who.0.user.clone(), who.0.name.clone(), now_ms());
    match api.rooms.room_create(&NewRoom { id, name, visibility }, &owner).await? {
        Made::New(room) | Made::There(room) => {
            hint(&api, Signal::Own(owner.user, room.id.clone())).await;
            Ok(created(room.into()))
        }
        Made::Taken => {
            let detail = "a room has this id already, or had it once";
            Err(Refusal::new(Code::NameReused, detail).into())
        }
    }
}

/// Tells inboxes; one that is not told finds it out by itself.
async fn hint(api: &Api, signal: Signal) {
    if let Err(error) = api.broker.signal(signal).await {
        tracing::debug!(%error, "no inbox was told of a change");
    }
}

fn bad(detail: String) -> Problem {
    Refusal::new(Code::BadRequest, detail).into()
}

/// 201, and where the room is.
pub(super) fn created(room: RoomView) -> HttpResponse {
    let location = format!("/api/v1/rooms/{}", room.id());
    HttpResponse::Created().insert_header((header::LOCATION, location)).json(room)
}

/// An id that a path can say, and that means nothing else there.
fn chosen(id: RoomId) -> Result<RoomId, Problem> {
    if id.is_unsayable() || id.is_direct() {
        let detail = "this id has a meaning of its own; choose another one";
        return Err(Refusal::new(Code::BadRequest, detail).into());
    }
    Ok(id)
}

fn random_id() -> Result<RoomId, Problem> {
    let id = format!("{:032x}", rand::random::<u128>());
    RoomId::parse(&id).map_err(|error| super::failure::ours(&error))
}

/// A room
#[utoipa::path(get, path = "/api/v1/rooms/{room}", operation_id = "getRoom", params(InRoom),
    responses((status = 200, body = RoomView, description = "It is there.")))]
async fn get(
    who: Who,
    Path(path): Path<InRoom>,
    api: web::Data<Api>,
) -> Result<Json<RoomView>, Problem> {
    Ok(Json(see(&api, &path.room, &who).await?.into()))
}

/// What is to be otherwise. What is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RoomChange)]
struct Changed {
    #[serde(default, deserialize_with = "given")]
    #[schema(required = false, schema_with = schema::shown_name)]
    name: Option<Option<String>>,
    #[schema(required = false)]
    visibility: Option<Visibility>,
}

impl Input for Changed {}

/// What may be left out and, when it is there, is not `null`.
pub(super) fn there<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

/// Tells `null` from what was left out.
pub(super) fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(from).map(Some)
}

/// Change a room
///
/// Its admins name it; its owners say who may join.
#[utoipa::path(patch, path = "/api/v1/rooms/{room}", operation_id = "changeRoom",
    params(InRoom), request_body = Changed,
    responses((status = 200, body = RoomView, description = "It is so now.")))]
async fn change(
    who: Who,
    Path(path): Path<InRoom>,
    Json(changed): Json<Changed>,
    api: web::Data<Api>,
) -> Result<Json<RoomView>, Problem> {
    let name = changed.name.map(|name| said_name(name.as_deref())).transpose().map_err(bad)?;
    let change = RoomChange { name, visibility: changed.visibility.map(Into::into) };
    let room = api.rooms.room_update(&path.room, &who.0.user, &change).await??;
    hint(&api, Signal::Inbox(path.room.clone())).await;
    let signal = Signal::Event(path.room, Event::Changed);
    if let Err(error) = api.broker.signal(signal).await {
        tracing::debug!(room.id = %room.id, %error, "nobody was told of a room's change");
    }
    Ok(Json(room.into()))
}

/// Delete a room
///
/// With its members and messages. Its id is never given out again.
#[utoipa::path(delete, path = "/api/v1/rooms/{room}", operation_id = "deleteRoom", params(InRoom),
    responses((status = 204, description = "It is gone.")))]
async fn delete(
    who: Who,
    Path(path): Path<InRoom>,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    api.rooms.room_delete(&path.room, &who.0.user).await??;
    api.telling.of(&path.room).await;
    api.purge.notify_one();
    Ok(HttpResponse::NoContent().finish())
}
