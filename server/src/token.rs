//! Tokens: who a client is and what it may do, from a signed JWT (HS256). The clock is passed in.
//!
//! **Invariant**: no error here holds any part of the token.

mod claims;
mod mint;
mod proof;
mod secret;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use moim_shared::config::{Auth, Secret};
use moim_shared::ids::{RoomId, UserId};

use crate::refusal::{Code, Refusal};

pub use claims::{MAX_NAME_CHARS, MAX_ROOMS};
pub use mint::{MintRequest, mint};
pub use proof::Proof;
pub use secret::standalone_secret;

/// The longest token that is looked at, in bytes: room for many grants.
pub const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// What a good token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// `sub`.
    pub user: UserId,
    /// `name`, to be shown to people; trimmed, without control characters.
    pub name: Option<String>,
    /// `exp`, in ms since 1970. The token is taken for the skew longer.
    pub expires_at_ms: u64,
    /// `rooms`.
    pub grant: Grant,
}

/// The rooms a token opens by itself, whoever their members are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Grant {
    /// None: membership alone counts.
    #[default]
    None,
    /// Every room (`"*"`).
    All,
    /// These, sorted.
    Rooms(Arc<[RoomId]>),
}

/// Why a token is refused. The text is fit for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is not a JWT, or a claim has the wrong type.
    #[error("the token is malformed")]
    Malformed,
    /// Its header names another algorithm than HS256, or none.
    #[error("the token's header names no algorithm that is taken here (HS256)")]
    Algorithm,
    /// No secret of ours signed it.
    #[error("the token's signature is wrong")]
    Signature,
    /// It says no `exp`.
    #[error("the token has no `exp`")]
    NoExpiry,
    /// `exp` is past by more than the skew.
    #[error("the token has expired")]
    Expired,
    /// `nbf` is ahead by more than the skew.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// `aud` is not the one that is asked for.
    #[error("the token is for another audience")]
    Audience,
    /// `iss` is not the one that is asked for.
    #[error("the token is from another issuer")]
    Issuer,
    /// `sub` is missing or no user id.
    #[error("the token's `sub` is no user id")]
    BadSubject,
    /// `name` is too long, no text, or has control characters.
    #[error("the token's `name` is not allowed")]
    BadName,
    /// `rooms` is neither `"*"` nor a list of room ids, or too long.
    #[error("the token's `rooms` is neither `*` nor a list of room ids")]
    BadRooms,
    /// It is longer than [`MAX_TOKEN_BYTES`].
    #[error("the token is too large")]
    TooLarge,
    /// It could not be signed. Not the client's fault.
    #[error("the token could not be made")]
    Signing,
}

impl TokenError {
    /// As a client reads it.
    pub fn refusal(self) -> Refusal {
        let code = if self == Self::Expired { Code::Expired } else { Code::BadRequest };
        Refusal::new(code, self.to_string())
    }
}

/// Judges tokens. Made once at start; cheap to share behind an `Arc`.
pub struct Verifier {
    keys: Vec<DecodingKey>,
    validation: Validation,
    auth: Auth,
}

impl Verifier {
    /// A judge that takes what any of `secrets` signed: the current one, and during a rotation
    /// the one before.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a Secret>, auth: &Auth) -> Self {
        // The library would judge times by the system's clock; all claims are judged in `claims`.
        let mut validation = Validation::new(Algorithm::HS256);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        let keys = secrets.into_iter().map(|it| DecodingKey::from_secret(it.as_bytes())).collect();
        Self { keys, validation, auth: auth.clone() }
    }

    /// What the token says, if it is ours and good at `now_ms`.
    pub fn verify(&self, token: &str, now_ms: u64) -> Result<Claims, TokenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::TooLarge);
        }
        claims::judge(&self.signed(token)?, &self.auth, now_ms)
    }

    /// The claims of a token that one of our secrets signed.
    fn signed(&self, token: &str) -> Result<claims::Raw, TokenError> {
        let header = jsonwebtoken::decode_header(token).map_err(|err| header_error(err.kind()))?;
        // RFC 7515, 4.1.11: what is marked critical and not understood must be refused.
        if header.crit.is_some() {
            return Err(TokenError::Malformed);
        }
        for key in &self.keys {
            match jsonwebtoken::decode::<claims::Raw>(token, key, &self.validation) {
                Ok(data) => return Ok(data.claims),
                Err(err) => match err.kind() {
                    ErrorKind::InvalidSignature => {}
                    ErrorKind::InvalidAlgorithm => return Err(TokenError::Algorithm),
                    _ => return Err(TokenError::Malformed),
                },
            }
        }
        Err(TokenError::Signature)
    }
}

/// A header that is JSON but not of the library's shape mostly names an algorithm that it does not
/// know: `none` is one.
fn header_error(kind: &ErrorKind) -> TokenError {
    match kind {
        ErrorKind::Json(err) if err.is_data() => TokenError::Algorithm,
        _ => TokenError::Malformed,
    }
}

impl Grant {
    /// These rooms; each counts once.
    pub fn rooms(rooms: impl IntoIterator<Item = RoomId>) -> Self {
        let mut rooms: Vec<_> = rooms.into_iter().collect();
        rooms.sort_unstable();
        rooms.dedup();
        if rooms.is_empty() { Self::None } else { Self::Rooms(rooms.into()) }
    }

    /// True when it opens this room.
    pub fn covers(&self, room: &RoomId) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Rooms(rooms) => rooms.binary_search(room).is_ok(),
        }
    }
}
