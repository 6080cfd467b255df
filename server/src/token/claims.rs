//! What the claims of a signed token must be. Pure: JSON and a clock in, [`Claims`] out.

use moim_shared::config::Auth;
use moim_shared::ids::{RoomId, UserId};
use serde_json::{Map, Value};

use super::{Claims, Grant, TokenError};

/// The longest `name`, in characters.
pub const MAX_NAME_CHARS: usize = 128;

/// The most rooms that a token may list.
pub const MAX_ROOMS: usize = 1_000;

/// The longest `jti` and `sid`, in bytes.
pub const MAX_ID_BYTES: usize = 256;

/// Claims as they stand in the token.
pub(super) type Raw = Map<String, Value>;

/// Judges the claims of a token whose signature is right.
pub(super) fn judge(raw: &Raw, auth: &Auth, now_ms: u64) -> Result<Claims, TokenError> {
    let skew_ms = auth.skew.as_millis();
    let expires_at_ms = time(raw, "exp")?.ok_or(TokenError::NoExpiry)?;
    // RFC 7519, 4.1.4: on `exp` itself a token is already refused.
    if now_ms >= expires_at_ms.saturating_add(skew_ms) {
        return Err(TokenError::Expired);
    }
    if time(raw, "nbf")?.is_some_and(|start| now_ms.saturating_add(skew_ms) < start) {
        return Err(TokenError::NotYetValid);
    }
    // One from the future would outlive what is revoked by time.
    let issued_at_ms = time(raw, "iat")?;
    if issued_at_ms.is_some_and(|made| now_ms.saturating_add(skew_ms) < made) {
        return Err(TokenError::NotYetValid);
    }
    if let Some(audience) = &auth.audience
        && !is_or_holds(raw.get("aud"), audience)
    {
        return Err(TokenError::Audience);
    }
    if let Some(issuer) = &auth.issuer
        && raw.get("iss").and_then(Value::as_str) != Some(issuer)
    {
        return Err(TokenError::Issuer);
    }
    let user = raw.get("sub").and_then(Value::as_str).and_then(|sub| UserId::parse(sub).ok());
    Ok(Claims {
        user: user.ok_or(TokenError::BadSubject)?,
        name: name(raw.get("name"))?,
        expires_at_ms,
        grant: grant(raw.get("rooms"))?,
        jti: id(raw.get("jti"))?,
        sid: id(raw.get("sid"))?,
        issued_at_ms,
    })
}

/// A name as it may be shown: trimmed, and without what nobody sees; nothing when nothing is left.
pub(super) fn shown_name(name: &str) -> Result<Option<String>, TokenError> {
    let seen = name.replace(is_unseen, "");
    let name = seen.trim();
    if name.contains(char::is_control) || name.chars().count() > MAX_NAME_CHARS {
        return Err(TokenError::BadName);
    }
    Ok((!name.is_empty()).then(|| name.to_owned()))
}

/// A name that somebody gives itself or a room; the error says what it may be. Stricter than for
/// tokens, whose makers may not know better.
pub fn said_name(name: Option<&str>) -> Result<Option<String>, String> {
    let Some(name) = name else { return Ok(None) };
    let bad = |letter: char| letter.is_control() || is_unseen(letter);
    if name.contains(bad) || name.chars().count() > MAX_NAME_CHARS {
        return Err(format!(
            "a name has at most {MAX_NAME_CHARS} characters, and none that control or are unseen"
        ));
    }
    let name = name.trim();
    Ok((!name.is_empty()).then(|| name.to_owned()))
}

/// What turns the text around it, breaks its line, or has no width: in a name it makes one look like
/// another, or what stands behind it. Joiners (U+200C, U+200D) are spelling in Persian and in emoji.
fn is_unseen(letter: char) -> bool {
    matches!(letter,
        '\u{200b}' | '\u{200e}' | '\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{2064}'
        | '\u{2066}'..='\u{2069}'
        | '\u{feff}')
}

/// A NumericDate (seconds, fractions allowed: RFC 7519, 2) in ms.
fn time(raw: &Raw, claim: &str) -> Result<Option<u64>, TokenError> {
    let Some(value) = raw.get(claim) else { return Ok(None) };
    let whole = value.as_u64().map(|seconds| seconds.saturating_mul(1_000));
    // Casting a float keeps within u64; what is negative becomes 1970.
    let millis = whole.or_else(|| value.as_f64().map(|seconds| (seconds * 1_000.0).round() as u64));
    millis.map(Some).ok_or(TokenError::Malformed)
}

/// The name of a token or a log-in.
fn id(claim: Option<&Value>) -> Result<Option<String>, TokenError> {
    match claim {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(id)) if is_id(id) => Ok(Some(id.clone())),
        Some(_) => Err(TokenError::BadId),
    }
}

/// Whether a token or a log-in may be called that.
pub fn is_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= MAX_ID_BYTES && !id.contains(char::is_control)
}

/// RFC 7519, 4.1.3: `aud` is one text or a list of them.
fn is_or_holds(claim: Option<&Value>, wanted: &str) -> bool {
    match claim {
        Some(Value::String(one)) => one == wanted,
        Some(Value::Array(many)) => many.iter().any(|one| one.as_str() == Some(wanted)),
        _ => false,
    }
}

fn name(claim: Option<&Value>) -> Result<Option<String>, TokenError> {
    match claim {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(name)) => shown_name(name),
        Some(_) => Err(TokenError::BadName),
    }
}

fn grant(claim: Option<&Value>) -> Result<Grant, TokenError> {
    match claim {
        None | Some(Value::Null) => Ok(Grant::None),
        Some(Value::String(star)) if star == "*" => Ok(Grant::All),
        Some(Value::Array(rooms)) if rooms.len() <= MAX_ROOMS => {
            let ids: Option<Vec<_>> =
                rooms.iter().map(|room| RoomId::parse(room.as_str()?).ok()).collect();
            ids.map(Grant::rooms).ok_or(TokenError::BadRooms)
        }
        Some(_) => Err(TokenError::BadRooms),
    }
}
