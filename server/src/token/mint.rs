//! Making tokens, such as this server takes: for accounts, for tests, for the command line.

use std::time::Duration;

use jsonwebtoken::{EncodingKey, Header};
use moim_shared::config::{Auth, Secret};
use moim_shared::ids::UserId;
use serde_json::{Value, json};

use super::claims::{MAX_ROOMS, Raw, is_id, shown_name};
use super::{Grant, MAX_TOKEN_BYTES, TokenError};

/// What a new token shall say.
#[derive(Debug, Clone)]
pub struct MintRequest<'a> {
    /// Whose it is.
    pub user: &'a UserId,
    /// The name to show, if any.
    pub name: Option<&'a str>,
    /// The rooms it opens.
    pub rooms: &'a Grant,
    /// How long it is good, from now.
    pub ttl: Duration,
    /// The log-in that it comes from, if it comes from one.
    pub sid: Option<&'a str>,
    /// When it says that it was made, in ms since 1970; without, now.
    pub made_at_ms: Option<u64>,
}

/// A token that a [`Verifier`](super::Verifier) with this secret and these rules takes until
/// `now_ms` plus `ttl`.
pub fn mint(
    secret: &Secret,
    auth: &Auth,
    request: &MintRequest<'_>,
    now_ms: u64,
) -> Result<String, TokenError> {
    let ttl_ms = u64::try_from(request.ttl.as_millis()).unwrap_or(u64::MAX);
    let mut claims = Raw::new();
    claims.insert("sub".into(), request.user.as_str().into());
    claims.insert("iat".into(), made_at(request.made_at_ms.unwrap_or(now_ms / 1_000 * 1_000)));
    // Up, so that it is never good for less than was asked.
    claims.insert("exp".into(), now_ms.saturating_add(ttl_ms).div_ceil(1_000).into());
    if let Some(name) = request.name.map(shown_name).transpose()?.flatten() {
        claims.insert("name".into(), name.into());
    }
    if let Some(rooms) = rooms(request.rooms)? {
        claims.insert("rooms".into(), rooms);
    }
    if let Some(sid) = request.sid {
        claims.insert("sid".into(), is_id(sid).then(|| sid.into()).ok_or(TokenError::BadId)?);
    }
    for (claim, text) in [("aud", &auth.audience), ("iss", &auth.issuer)] {
        if let Some(text) = text {
            claims.insert(claim.into(), text.as_str().into());
        }
    }
    let key = EncodingKey::from_secret(secret.as_bytes());
    let token =
        jsonwebtoken::encode(&Header::default(), &claims, &key).or(Err(TokenError::Signing))?;
    if token.len() > MAX_TOKEN_BYTES { Err(TokenError::TooLarge) } else { Ok(token) }
}

/// Whole seconds are written so, as everybody can read them; else with fractions (RFC 7519, 2).
fn made_at(ms: u64) -> Value {
    if ms.is_multiple_of(1_000) { (ms / 1_000).into() } else { (ms as f64 / 1_000.0).into() }
}

fn rooms(grant: &Grant) -> Result<Option<Value>, TokenError> {
    match grant {
        Grant::None => Ok(None),
        Grant::All => Ok(Some(json!("*"))),
        Grant::Rooms(rooms) if rooms.len() > MAX_ROOMS => Err(TokenError::BadRooms),
        Grant::Rooms(rooms) => {
            Ok(Some(rooms.iter().map(|room| Value::from(room.as_str())).collect()))
        }
    }
}
