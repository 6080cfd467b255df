//! `/api/v1/me`: whoever asks.

use serde::Serialize;
use utoipa::ToSchema;

use super::{Json, Table, Who, schema};

pub(super) fn routes(table: &mut Table) {
    table.tag("me");
    table.add(__path_get, get, &[]);
}

/// Whoever asks.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Me {
    #[schema(schema_with = schema::user)]
    user: moim_shared::ids::UserId,
    /// The name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    name: Option<String>,
}

/// Who the token is of
#[utoipa::path(get, path = "/api/v1/me", operation_id = "getMe",
    responses((status = 200, body = Me, description = "It is you.")))]
async fn get(who: Who) -> Json<Me> {
    Json(Me { user: who.0.user.clone(), name: who.0.name.clone() })
}
