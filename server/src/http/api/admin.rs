//! `/admin/v1`: for operators, who show the token of the configuration.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, HttpResponse, web};
use moim_shared::ids::UserId;
use serde::Deserialize;
use subtle::ConstantTimeEq;
use utoipa::ToSchema;

use super::who::token;
use super::{Api, Input, Json, Table, schema};
use crate::accounts::Ends;
use crate::http::{Problem, secured};
use crate::refusal::{Code, Refusal};
use crate::token::is_id;

pub(super) fn routes(table: &mut Table) {
    table.tag("admin");
    table.add(__path_revoke, revoke, &[404]);
}

/// Somebody who may do what operators do.
pub(super) struct Operator;

impl FromRequest for Operator {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let wanted = request.app_data::<web::Data<Api>>().and_then(|api| api.admin_token.clone());
        let Some(wanted) = wanted else { return ready(Err(secured::nothing_here())) };
        let shown = token(request).unwrap_or_default();
        let same: bool = shown.as_bytes().ct_eq(wanted.as_str().as_bytes()).into();
        let wrong = || Problem::unauthorized("give the admin token: `Authorization: Bearer …`");
        ready(same.then_some(Self).ok_or_else(wrong))
    }
}

/// Whose tokens are to end: a user's, or one alone.
#[derive(Deserialize, ToSchema)]
#[serde(untagged, expecting = "give either `user`, a user id, or `jti`, a text, and nothing else")]
enum Revoking {
    /// All log-ins of the user, and all tokens that were made up to now.
    User(OfUser),
    /// This token.
    Token(OfToken),
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct OfUser {
    #[schema(schema_with = schema::user)]
    user: UserId,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct OfToken {
    /// `jti` of the token.
    #[schema(min_length = 1, max_length = 256)]
    jti: String,
}

impl Input for Revoking {}

/// End tokens before their time
///
/// They are refused at once on every node, and their sessions are closed with 4001. A user's log-ins
/// end with them, and its devices are removed; whoever knows the password can log in again.
#[utoipa::path(post, path = "/admin/v1/revocations", operation_id = "revoke",
    security(("admin" = [])), request_body = Revoking,
    responses((status = 204, description = "They have ended.")))]
async fn revoke(
    api: web::Data<Api>,
    _: Operator,
    Json(asked): Json<Revoking>,
) -> Result<HttpResponse, Problem> {
    match asked {
        Revoking::User(OfUser { user }) => api.ends.end_logins(&user).await?,
        Revoking::Token(OfToken { jti }) if is_id(&jti) => {
            api.ends.end(Ends::of_token(jti)).await?;
        }
        Revoking::Token(_) => {
            return Err(Refusal::new(Code::BadRequest, "no token has such a `jti`").into());
        }
    }
    Ok(HttpResponse::NoContent().finish())
}
