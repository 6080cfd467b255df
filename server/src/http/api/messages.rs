//! `/api/v1/rooms/{room}/messages`: what was said in a room, and saying more.

use actix_web::{HttpRequest, HttpResponse, web};
use moim_shared::config::Limits;
use moim_shared::ids::OriginId;
use moim_shared::position::Position;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::doors::{enter, no_room};
use super::rooms::{InRoom, there};
use super::saying::{self, Saying};
use super::{Api, Input, Json, Path, Query, Table, Who, limit, schema};
use crate::http::Problem;
use crate::refusal::{Code, Refusal};
use crate::room::{HistoryError, Reading};
use crate::shape::envelope_json;

pub(super) fn routes(table: &mut Table) {
    table.tag("messages");
    table.add(__path_list, list, &[403, 404]);
    table.add(__path_say, say, &[403, 404, 409, 429]);
}

/// Bytes of a page, about.
const PAGE_BYTES: usize = 1 << 20;

/// Which messages.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Which {
    /// Those before this position.
    #[param(required = false, schema_with = schema::position)]
    before: Option<Position>,
    /// Those after this position.
    #[param(required = false, schema_with = schema::position)]
    after: Option<Position>,
    /// How many at most.
    #[param(required = false, nullable = false, minimum = 1, maximum = 200, default = 50)]
    limit: Option<usize>,
}

impl Which {
    fn checked(&self) -> Result<(Reading, usize), Problem> {
        let limit = limit(self.limit)?;
        let reading = match (self.before, self.after) {
            (Some(_), Some(_)) => return Err(bad("say `before` or `after`, not both")),
            (None, Some(after)) => Reading::After(after),
            (before, None) => Reading::Before(before),
        };
        Ok((reading, limit))
    }
}

fn bad(detail: impl Into<std::borrow::Cow<'static, str>>) -> Problem {
    Refusal::new(Code::BadRequest, detail).into()
}

/// A page of messages.
#[derive(Serialize, ToSchema)]
struct Messages {
    /// In order.
    #[schema(value_type = Vec<Message>)]
    messages: Vec<Value>,
    /// For the parameter that was given (`before` when there was none), when there may be more.
    #[schema(required = true, schema_with = schema::position_or_null)]
    next: Option<Position>,
    /// Every number from the page's beginning to the room's end is accounted for.
    recovered: bool,
}

/// A message. It has either `body` or `bodyBase64`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is only described; `shape` writes it")]
struct Message {
    #[schema(schema_with = schema::room)]
    room: String,
    #[schema(schema_with = schema::position)]
    position: String,
    #[schema(schema_with = schema::user)]
    sender: String,
    /// The sender's name for people.
    #[schema(rename = "senderName", required = false, nullable = false)]
    sender_name: Option<String>,
    #[schema(schema_with = schema::time)]
    timestamp: u64,
    #[schema(rename = "contentType", required = false, nullable = false)]
    content_type: Option<String>,
    /// The sender's name for it, if it gave one.
    #[schema(rename = "originId", required = false, nullable = false)]
    origin_id: Option<String>,
    /// What was said, if it is text.
    #[schema(required = false, nullable = false)]
    body: Option<String>,
    /// What was said, if it is none.
    #[schema(rename = "bodyBase64", required = false, nullable = false)]
    body_base64: Option<String>,
}

/// What was said in a room
///
/// For its members. The latest messages, or those before or after a position.
#[utoipa::path(get, path = "/api/v1/rooms/{room}/messages", operation_id = "listMessages",
    params(InRoom, Which), responses((status = 200, body = Messages, description = "In order.")))]
async fn list(
    who: Who,
    Path(path): Path<InRoom>,
    Query(which): Query<Which>,
    api: web::Data<Api>,
) -> Result<Json<Messages>, Problem> {
    let (reading, limit) = which.checked()?;
    enter(&api, &path.room, &who).await?;
    let part = api.history.part(&path.room, reading, limit, PAGE_BYTES).await?;
    let messages = part.envelopes.iter().map(|envelope| envelope_json(envelope)).collect();
    Ok(Json(Messages { messages, next: part.next, recovered: part.recovered }))
}

impl From<HistoryError> for Problem {
    fn from(error: HistoryError) -> Self {
        match error {
            HistoryError::Broker(error) => error.into(),
            HistoryError::Store(error) => error.into(),
            HistoryError::Cut => Refusal::unavailable().into(),
        }
    }
}

/// A message to be sent: either a text or bytes.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it is only described; `Said` reads it")]
enum NewMessage {
    Text(NewText),
    Bytes(NewBytes),
}

#[derive(ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "see `NewMessage`")]
struct NewText {
    body: String,
    #[schema(required = false, schema_with = schema::content_type)]
    content_type: Option<String>,
}

#[derive(ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "see `NewMessage`")]
struct NewBytes {
    #[schema(schema_with = schema::base64)]
    body_base64: String,
    #[schema(required = false, schema_with = schema::content_type)]
    content_type: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Said {
    #[serde(default, deserialize_with = "there")]
    body: Option<String>,
    #[serde(default, deserialize_with = "there")]
    body_base64: Option<String>,
    #[serde(default, deserialize_with = "there")]
    content_type: Option<String>,
}

impl Input for Said {
    /// A text of line ends and quotes is twice as long in JSON.
    fn most(limits: &Limits) -> usize {
        2 * limits.body_max.get() + 16 * 1024
    }
}

/// Where a message is.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = StoredMessage)]
struct Stored {
    #[schema(schema_with = schema::room)]
    room: moim_shared::ids::RoomId,
    #[schema(schema_with = schema::position)]
    position: Position,
    /// The name that you gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, value_type = Option<String>, nullable = false)]
    origin_id: Option<OriginId>,
}

/// How a message is named.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "it is only described; `origin` reads it")]
struct Naming {
    /// The message's `origin-id`.
    #[param(rename = "Idempotency-Key", required = false, schema_with = schema::origin)]
    key: Option<String>,
}

/// Say something
///
/// It is answered when the message is durable. Under the same `Idempotency-Key` the same message may
/// be sent again: it is stored once, and the answer is the same.
#[utoipa::path(post, path = "/api/v1/rooms/{room}/messages", operation_id = "sendMessage",
    params(InRoom, Naming),
    request_body = NewMessage,
    responses((status = 201, body = Stored, description = "It is durable.")))]
async fn say(
    who: Who,
    Path(path): Path<InRoom>,
    request: HttpRequest,
    Json(message): Json<Said>,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let origin = origin(&request)?;
    let most = api.limits.body_max.get();
    let saying = Saying::of(message.body, message.body_base64, message.content_type, most)?;
    match saying::say(&api, &path.room, who.0.clone(), origin.clone(), saying).await {
        Ok(position) => Ok(HttpResponse::Created().json(Stored {
            room: path.room,
            position,
            origin_id: origin,
        })),
        Err(refusal) if refusal.code == Code::NotAMember => {
            // The room tells nobody whether it is there; this API does.
            api.rooms.room_get(&path.room).await?.ok_or_else(no_room)?;
            Err(refusal.into())
        }
        Err(refusal) => Err(refusal.into()),
    }
}

/// `Idempotency-Key`.
fn origin(request: &HttpRequest) -> Result<Option<OriginId>, Problem> {
    let Some(key) = request.headers().get("Idempotency-Key") else { return Ok(None) };
    let origin = OriginId::parse(key.to_str().unwrap_or_default());
    origin.map(Some).map_err(|error| bad(format!("Idempotency-Key: {error}")))
}
