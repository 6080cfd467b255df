//! `/api/v1/me/changes`: what changed in one's rooms, and the same as `/user/queue/inbox` tells it.

use actix_web::web;
use moim_shared::ids::{RoomId, UserId};
use moim_shared::position::Position;
use moim_shared::store::inbox::{Entry, Last, Token};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::views::{RoleName, RoomView};
use super::{Api, Json, Query, Table, Who, limit, schema};
use crate::http::Problem;

pub(super) fn routes(table: &mut Table) {
    table.tag("me");
    table.add(__path_list, list, &[]);
}

/// Since when.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Since {
    /// `next` of the answer before, or the `position` of a message of `/user/queue/inbox`; without
    /// it, or `0-0`: all your rooms.
    #[param(required = false, schema_with = schema::position)]
    since: Option<Position>,
    /// How many at most, about.
    #[param(required = false, nullable = false, minimum = 1, maximum = 200, default = 50)]
    limit: Option<usize>,
}

/// What changed.
#[derive(Serialize, ToSchema)]
struct Changes {
    /// What changed first is first. A room is there once, as it is now.
    changes: Vec<Change>,
    /// For `since`, now when there are more, else next time.
    #[schema(schema_with = schema::position)]
    next: Position,
    /// There are more now.
    more: bool,
    /// Everything since then is there. False: it is too long ago; forget what you have, these are
    /// all your rooms.
    recovered: bool,
}

/// One of your rooms as it is now, or one that is none any more.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum Change {
    Standing(Box<Standing>),
    Removal(Removal),
}

/// What it is.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum StandingKind {
    /// One of your rooms.
    Room,
    /// One that somebody else put you into since then.
    Invitation,
}

/// One of your rooms as it is now.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Standing {
    r#type: StandingKind,
    room: RoomView,
    role: RoleName,
    /// When you came, or were put in.
    #[schema(schema_with = schema::time)]
    joined_at: u64,
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
    /// What was said last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    last: Option<LastMessage>,
    /// When something of this changed.
    #[schema(schema_with = schema::time)]
    at: u64,
}

/// The last message of a room.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct LastMessage {
    #[schema(schema_with = schema::position)]
    position: Position,
    #[schema(schema_with = schema::user)]
    sender: UserId,
    /// The sender's name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    sender_name: Option<String>,
    #[schema(schema_with = schema::time)]
    timestamp: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    content_type: Option<String>,
    /// Its first 200 characters, if it is text.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    body: Option<String>,
}

/// What it is.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum RemovalKind {
    /// You are in this room no more: you left or were put out, or it is gone.
    Removal,
}

/// A room that is none of yours any more.
#[derive(Serialize, ToSchema)]
struct Removal {
    r#type: RemovalKind,
    room: RemovedRoom,
    /// Since when.
    #[schema(schema_with = schema::time)]
    at: u64,
}

/// Which one it was.
#[derive(Serialize, ToSchema)]
struct RemovedRoom {
    #[schema(schema_with = schema::room)]
    id: RoomId,
}

impl Change {
    fn new(entry: Entry, invitation: bool) -> Self {
        let Entry { room, at, standing, .. } = entry;
        let Some(standing) = standing else {
            let (r#type, room) = (RemovalKind::Removal, RemovedRoom { id: room });
            return Self::Removal(Removal { r#type, room, at });
        };
        let (own, last) = (standing.own, standing.last);
        Self::Standing(Box::new(Standing {
            r#type: if invitation { StandingKind::Invitation } else { StandingKind::Room },
            room: own.room.into(),
            role: own.member.role.into(),
            joined_at: own.member.joined_at,
            muted_until: own.member.muted_until,
            head: own.head,
            read: own.read,
            unread: own.unread,
            last: last.map(LastMessage::from),
            at,
        }))
    }
}

impl From<Last> for LastMessage {
    fn from(last: Last) -> Self {
        let Last { position, sender, sender_name, sent_at, content_type, preview } = last;
        Self { position, sender, sender_name, timestamp: sent_at, content_type, body: preview }
    }
}

/// A change as JSON, for `/user/queue/inbox`.
pub fn change_json(entry: &Entry, invitation: bool) -> Vec<u8> {
    // It is made of texts and numbers: there is nothing in it that JSON cannot say.
    serde_json::to_vec(&Change::new(entry.clone(), invitation)).unwrap_or_default()
}

/// What changed in your rooms
///
/// In one request, for an app that was away or is woken by a push: where each room ends, what of it
/// is unread, what was said last, rooms that you were put into, and those that you have no more. What
/// is told is how things are, so being told it twice changes nothing; the last half minute may be.
/// `next` is good for 30 days.
#[utoipa::path(get, path = "/api/v1/me/changes", operation_id = "listChanges", params(Since),
    responses((status = 200, body = Changes, description = "In the order of their last change.")))]
async fn list(
    who: Who,
    Query(asked): Query<Since>,
    api: web::Data<Api>,
) -> Result<Json<Changes>, Problem> {
    let limit = limit(asked.limit)?;
    let since = asked.since.map_or(Token::ZERO, Token::from);
    let found = api.inbox.inbox_changes(&who.0.user, Some(since), limit).await?;
    let change = |(entry, _): (Entry, Token)| {
        let invitation = found.recovered && entry.is_invitation(since);
        Change::new(entry, invitation)
    };
    let (next, more, recovered) = (found.next.position(), found.more, found.recovered);
    let changes = found.entries.into_iter().map(change).collect();
    Ok(Json(Changes { changes, next, more, recovered }))
}
