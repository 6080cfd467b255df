//! `/api/v1/rooms/{room}/members`: who is in a room, coming and going.

use std::collections::HashMap;

use actix_web::{HttpResponse, web};
use moim_shared::ids::{RoomId, UserId};
use moim_shared::membership::{Change, Denied};
use moim_shared::position::Position;
use moim_shared::presence::Status;
use moim_shared::store::rooms::Reader;
use moim_shared::store::{Access, StoreError};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::doors::enter;
use super::parts::sayable;
use super::rooms::{InRoom, given};
use super::views::{MemberView, RoleName, Time};
use super::whole::whole;
use super::{Api, Input, Json, Path, Query, Table, UserPaging, Who, page, schema};
use crate::http::Problem;

pub(super) fn routes(table: &mut Table) {
    table.tag("rooms");
    table.add(__path_join, whole(join), &[403, 404]);
    table.add(__path_leave, whole(leave), &[403, 404, 409]);
    table.add(__path_list, list, &[403, 404]);
    table.add(__path_put, whole(put), &[403, 404, 409]);
    table.add(__path_kick, whole(kick), &[403, 404, 409]);
}

/// A member in the path.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct OfRoom {
    #[param(required = true, schema_with = schema::room)]
    room: RoomId,
    #[param(required = true, schema_with = schema::sayable_user)]
    user: UserId,
}

/// Come into a public room
#[utoipa::path(post, path = "/api/v1/rooms/{room}/join", operation_id = "joinRoom", params(InRoom),
    responses((status = 200, body = MemberView, description = "You are in it.")))]
async fn join(
    who: Who,
    Path(path): Path<InRoom>,
    api: web::Data<Api>,
) -> Result<Json<MemberView>, Problem> {
    let (room, me) = (&path.room, &who.0.user);
    // Apps join at every start; mostly there is nothing to be done.
    let known = api.store.access(room, me).await?;
    if matches!(known, Access::None | Access::Banned) {
        let join = Change::Join { name: who.0.name.clone() };
        match api.rooms.member_change(room, me, me, join).await? {
            Err(Denied::NotAMember) => enter(&api, room, &who).await?,
            joined => drop(joined?),
        }
        api.telling.of(room).await;
    }
    show(&api, room, me).await
}

/// Go
#[utoipa::path(post, path = "/api/v1/rooms/{room}/leave", operation_id = "leaveRoom",
    params(InRoom), responses((status = 204, description = "You are not in it any more.")))]
async fn leave(
    who: Who,
    Path(path): Path<InRoom>,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let (room, me) = (&path.room, &who.0.user);
    api.rooms.member_change(room, me, me, Change::Leave).await??;
    api.telling.of(room).await;
    Ok(HttpResponse::NoContent().finish())
}

/// Members, by their ids.
#[derive(Serialize, ToSchema)]
struct Members {
    members: Vec<MemberView>,
    /// For `after`, when there are more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    next: Option<String>,
}

/// Who is in a room
///
/// For its members. Those who are banned are in the list too.
#[utoipa::path(get, path = "/api/v1/rooms/{room}/members", operation_id = "listMembers",
    params(InRoom, UserPaging), responses((status = 200, body = Members, description = "By id.")))]
async fn list(
    who: Who,
    Path(path): Path<InRoom>,
    Query(paging): Query<UserPaging>,
    api: web::Data<Api>,
) -> Result<Json<Members>, Problem> {
    let limit = paging.limit()?;
    enter(&api, &path.room, &who).await?;
    let members = api.rooms.members_list(&path.room, paging.after.as_ref(), limit + 1).await?;
    let members = page(members, limit, |reader| reader.member.user.to_string());
    let next = members.next;
    Ok(Json(Members { members: views(&api, &path.room, members.items).await?, next }))
}

/// What is to be otherwise. What is left out stays; for somebody new: a plain member.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = MemberChange)]
struct Changed {
    #[schema(required = false)]
    role: Option<RoleName>,
    /// May read and not send until then, in ms since 1970; `null`: may send again.
    #[serde(default, deserialize_with = "given")]
    #[schema(required = false, schema_with = schema::time_or_null)]
    muted_until: Option<Option<Time>>,
    /// May neither read nor send; with that it has no role.
    #[schema(required = false)]
    banned: Option<bool>,
}

impl Input for Changed {}

/// Add, promote, mute or ban
///
/// Owners may do everything, admins act on plain members, and only owners give roles.
#[utoipa::path(put, path = "/api/v1/rooms/{room}/members/{user}", operation_id = "putMember",
    params(OfRoom), request_body = Changed,
    responses((status = 200, body = MemberView, description = "It is so now.")))]
async fn put(
    who: Who,
    Path(path): Path<OfRoom>,
    Json(changed): Json<Changed>,
    api: web::Data<Api>,
) -> Result<Json<MemberView>, Problem> {
    sayable(&path.user)?;
    let Changed { role, muted_until, banned } = changed;
    let muted_until = muted_until.map(|until| until.map(|Time(ms)| ms));
    let change = Change::Put { role: role.map(Into::into), muted_until, banned };
    api.rooms.member_change(&path.room, &who.0.user, &path.user, change).await??;
    api.telling.of(&path.room).await;
    show(&api, &path.room, &path.user).await
}

/// Kick
///
/// A ban stays.
#[utoipa::path(delete, path = "/api/v1/rooms/{room}/members/{user}", operation_id = "kickMember",
    params(OfRoom), responses((status = 204, description = "It is not in it any more.")))]
async fn kick(
    who: Who,
    Path(path): Path<OfRoom>,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    api.rooms.member_change(&path.room, &who.0.user, &path.user, Change::Kick).await??;
    api.telling.of(&path.room).await;
    Ok(HttpResponse::NoContent().finish())
}

/// The row as it is now; it may have gone in between.
async fn show(api: &Api, room: &RoomId, user: &UserId) -> Result<Json<MemberView>, Problem> {
    let reader = api.rooms.member_get(room, user).await?.ok_or(Denied::NoMember)?;
    let view = views(api, room, vec![reader]).await?.pop();
    Ok(Json(view.ok_or(Denied::NoMember)?))
}

/// The rows, with how those people are there: asked for all of them together.
async fn views(api: &Api, room: &RoomId, readers: Vec<Reader>) -> Result<Vec<MemberView>, Problem> {
    let users: Vec<UserId> = readers.iter().map(|reader| reader.member.user.clone()).collect();
    let sessions = &api.sessions;
    let statuses: Vec<Option<Status>> = match sessions.presence.sessions_of(&users).await {
        Ok(found) => found.iter().map(|entries| Some(Status::of(entries))).collect(),
        Err(error) => {
            tracing::debug!(%error, "nobody knows who is connected");
            vec![None; users.len()]
        }
    };
    let offline = |status: &Option<Status>| *status == Some(Status::Offline);
    let offline = users.iter().zip(&statuses).filter(|(_, status)| offline(status));
    let offline: Vec<UserId> = offline.map(|(user, _)| user.clone()).collect();
    let seen = sessions.seen.of(&offline).await?;
    let given = furthest(api, room, &users).await?;
    let views = readers.into_iter().zip(statuses).map(|(reader, status)| {
        let last_seen = seen.get(&reader.member.user).copied();
        let delivered = given.get(&reader.member.user).copied().unwrap_or_default();
        MemberView::new(reader, delivered, status, last_seen)
    });
    Ok(views.collect())
}

/// How far the devices of these were given messages.
type Given = HashMap<UserId, Position>;

async fn furthest(api: &Api, room: &RoomId, users: &[UserId]) -> Result<Given, StoreError> {
    let mut furthest = Given::new();
    for given in api.sessions.cursors.delivered_of(room, users).await? {
        let stands = furthest.entry(given.user).or_default();
        *stands = given.position.max(*stands);
    }
    Ok(furthest)
}
