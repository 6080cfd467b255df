//! `/api/v1/auth`: accounts and their tokens.

use std::net::IpAddr;

use actix_web::{HttpRequest, HttpResponse, web};
use moim_shared::ids::{InstallationId, UserId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Api, Input, Json, Table, failure, schema};
use crate::accounts::{Denied, Logins, Password, RefreshToken, Tokens};
use crate::http::{Problem, client_of};
use crate::refusal::{Code, Refusal};

pub(super) fn routes(table: &mut Table) {
    table.tag("accounts");
    table.add(__path_register, register, &[403, 409, 429]);
    table.add(__path_login, login, &[401, 429]);
    table.add(__path_refresh, refresh, &[401, 429]);
    table.add(__path_logout, logout, &[]);
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Registration {
    #[schema(schema_with = schema::new_user)]
    user: UserId,
    #[schema(schema_with = schema::new_password)]
    password: String,
    #[schema(schema_with = schema::shown_name, required = false)]
    name: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Credentials {
    #[schema(schema_with = schema::user)]
    user: UserId,
    #[schema(schema_with = schema::password)]
    password: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Refresh {
    #[schema(schema_with = schema::refresh_token)]
    refresh_token: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Leaving {
    #[schema(schema_with = schema::refresh_token)]
    refresh_token: String,
    /// The device that gets no more pushes.
    #[schema(schema_with = schema::installation_or_null, required = false)]
    installation: Option<InstallationId>,
}

impl Input for Registration {}
impl Input for Credentials {}
impl Input for Refresh {}
impl Input for Leaving {}

fn refresh_token(text: &str) -> Result<RefreshToken, Problem> {
    let malformed = || Refusal::new(Code::BadRequest, "this is no refresh token");
    Ok(RefreshToken::parse(text).ok_or_else(malformed)?)
}

/// What a log-in is given.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct LoggedIn {
    #[schema(schema_with = schema::user)]
    user: UserId,
    /// A JWT, for `Authorization: Bearer …` here and in STOMP's CONNECT.
    access_token: String,
    /// For one use: it brings the next two.
    #[schema(schema_with = schema::refresh_token)]
    refresh_token: String,
    /// How long the access token is good, in seconds.
    expires_in: u64,
}

impl From<Tokens> for LoggedIn {
    fn from(tokens: Tokens) -> Self {
        Self {
            user: tokens.user,
            access_token: tokens.access,
            refresh_token: tokens.refresh.as_str().to_owned(),
            expires_in: tokens.expires_in.as_secs(),
        }
    }
}

/// Make an account
///
/// The name is never given to anybody else, also when the account is gone.
#[utoipa::path(post, path = "/api/v1/auth/register", operation_id = "register", security(()),
    request_body = Registration,
    responses((status = 201, body = LoggedIn, description = "Made, and logged in.")))]
async fn register(
    api: web::Data<Api>,
    request: HttpRequest,
    Json(asked): Json<Registration>,
) -> Result<HttpResponse, Problem> {
    if !api.registration {
        return Err(failure::forbidden("nobody may make an account here; ask its operator"));
    }
    let address = client_of(&request).address;
    let password = Password::new(asked.password);
    let name = asked.name.as_deref();
    let tokens = logins(&api)?.register(asked.user, password, name, address).await?;
    Ok(HttpResponse::Created().json(LoggedIn::from(tokens)))
}

/// Log in
#[utoipa::path(post, path = "/api/v1/auth/login", operation_id = "logIn", security(()),
    request_body = Credentials,
    responses((status = 200, body = LoggedIn, description = "Logged in.")))]
async fn login(
    api: web::Data<Api>,
    request: HttpRequest,
    Json(asked): Json<Credentials>,
) -> Result<Json<LoggedIn>, Problem> {
    let address = client_of(&request).address;
    let password = Password::new(asked.password);
    let known = logins(&api)?.log_in(&asked.user, password, address).await;
    Ok(Json(known.inspect_err(|denied| count(&api, address, denied))?.into()))
}

/// Change a refresh token for new tokens
///
/// The old one works for another 60 s, since the answer may be lost; of two answers, keep the last.
/// Used after that, it ends the log-in: somebody has a copy. More than 128 times an hour is too
/// often.
#[utoipa::path(post, path = "/api/v1/auth/refresh", operation_id = "refresh", security(()),
    request_body = Refresh,
    responses((status = 200, body = LoggedIn, description = "New tokens of the same log-in.")))]
async fn refresh(
    api: web::Data<Api>,
    request: HttpRequest,
    Json(asked): Json<Refresh>,
) -> Result<Json<LoggedIn>, Problem> {
    let address = client_of(&request).address;
    let known = logins(&api)?.refresh(&refresh_token(&asked.refresh_token)?).await;
    Ok(Json(known.inspect_err(|denied| count(&api, address, denied))?.into()))
}

fn count(api: &Api, address: IpAddr, denied: &Denied) {
    api.sessions.metrics.denied(denied.reason(), Some(address));
}

/// Log out
///
/// The log-in's access tokens end at once, and its sessions are closed with 4001. The device that
/// you name is removed with that, so that nothing is pushed to it any more. A token that is not good
/// any more is what is wanted; then nobody knows whose the device is, and it stays.
#[utoipa::path(post, path = "/api/v1/auth/logout", operation_id = "logOut", security(()),
    request_body = Leaving, responses((status = 204, description = "Logged out.")))]
async fn logout(api: web::Data<Api>, Json(asked): Json<Leaving>) -> Result<HttpResponse, Problem> {
    let token = refresh_token(&asked.refresh_token)?;
    logins(&api)?.log_out(&token, asked.installation.as_ref()).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Without accounts these routes are not there.
pub(super) fn logins(api: &Api) -> Result<&Logins, Problem> {
    api.logins.as_deref().ok_or_else(crate::http::secured::nothing_here)
}
