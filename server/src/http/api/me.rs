//! `/api/v1/me`: whoever asks.

use actix_web::{HttpRequest, HttpResponse, web};
use moim_shared::ids::UserId;
use moim_shared::store::accounts::Account;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::{LoggedIn, logins};
use super::{Api, Input, Json, Table, Who, schema};
use crate::accounts::Password;
use crate::http::{Problem, client_of};
use crate::refusal::{Code, Refusal};

pub(super) fn routes(table: &mut Table) {
    table.tag("me");
    table.add(__path_get, get, &[]);
}

/// Those that need an account.
pub(super) fn account_routes(table: &mut Table) {
    table.tag("me");
    table.add(__path_rename, rename, &[404]);
    table.add(__path_delete, delete, &[404, 429]);
    table.add(__path_change_password, change_password, &[404, 429]);
}

/// Whoever asks.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Me {
    #[schema(schema_with = schema::user)]
    user: UserId,
    /// The name for people: the account's, or the token's where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    name: Option<String>,
    /// When the account was made, in ms since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    created_at: Option<u64>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Renaming {
    // Null has to be said.
    #[serde(deserialize_with = "Option::deserialize")]
    #[schema(schema_with = schema::shown_name, required = true)]
    name: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Deletion {
    #[schema(schema_with = schema::password)]
    password: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct PasswordChange {
    #[schema(schema_with = schema::password)]
    current_password: String,
    #[schema(schema_with = schema::new_password)]
    new_password: String,
}

impl Input for Renaming {}
impl Input for Deletion {}
impl Input for PasswordChange {}

impl From<Account> for Me {
    fn from(account: Account) -> Self {
        Self { user: account.user, name: account.name, created_at: Some(account.created_at) }
    }
}

/// Who you are
#[utoipa::path(get, path = "/api/v1/me", operation_id = "getMe",
    responses((status = 200, body = Me, description = "You.")))]
async fn get(api: web::Data<Api>, Who(who): Who) -> Result<Json<Me>, Problem> {
    let account = match &api.logins {
        Some(logins) => logins.account(&who.user).await?,
        None => None,
    };
    let by_token = || Me { user: who.user.clone(), name: who.name.clone(), created_at: None };
    Ok(Json(account.map_or_else(by_token, Me::from)))
}

/// Change your name for people
///
/// New access tokens have it, and so have the messages that are sent with them.
#[utoipa::path(patch, path = "/api/v1/me", operation_id = "renameMe", request_body = Renaming,
    responses((status = 200, body = Me, description = "You, as you are called now.")))]
async fn rename(
    api: web::Data<Api>,
    Who(who): Who,
    Json(asked): Json<Renaming>,
) -> Result<Json<Me>, Problem> {
    let account = logins(&api)?.rename(&who.user, asked.name.as_deref()).await?;
    Ok(Json(account.ok_or_else(no_account)?.into()))
}

/// Delete your account
///
/// You leave every room, your tokens end, your devices are removed, and nobody ever gets your user
/// name.
#[utoipa::path(delete, path = "/api/v1/me", operation_id = "deleteMe", request_body = Deletion,
    responses((status = 204, description = "Gone.")))]
async fn delete(
    api: web::Data<Api>,
    request: HttpRequest,
    Who(who): Who,
    Json(asked): Json<Deletion>,
) -> Result<HttpResponse, Problem> {
    let address = client_of(&request).address;
    let logins = logins(&api)?;
    logins.account(&who.user).await?.ok_or_else(no_account)?;
    logins.delete(&who.user, Password::new(asked.password), address).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Change your password
///
/// Every other log-in ends at once, with its tokens and sessions; here are tokens for a new one. All
/// devices are removed, so that nothing is pushed to where you are logged out: put yours again.
#[utoipa::path(put, path = "/api/v1/me/password", operation_id = "changePassword",
    request_body = PasswordChange,
    responses((status = 200, body = LoggedIn, description = "Changed, and logged in anew.")))]
async fn change_password(
    api: web::Data<Api>,
    request: HttpRequest,
    Who(who): Who,
    Json(asked): Json<PasswordChange>,
) -> Result<Json<LoggedIn>, Problem> {
    let address = client_of(&request).address;
    let (current, new) = (asked.current_password, asked.new_password);
    let logins = logins(&api)?;
    logins.account(&who.user).await?.ok_or_else(no_account)?;
    let (current, new) = (Password::new(current), Password::new(new));
    Ok(Json(logins.change_password(&who.user, current, new, address).await?.into()))
}

fn no_account() -> Problem {
    Refusal::new(Code::UnknownDestination, "this user has no account here").into()
}
