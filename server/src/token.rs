//! Tokens: who a client is and what it may do, from a signed JWT: HS256 with a secret of ours, or
//! RS, PS, ES and EdDSA with public keys of others. The clock is passed in.
//!
//! **Invariant**: no error here holds any part of the token.

mod claims;
mod jwks;
mod key_source;
mod mint;
mod proof;
mod revoked;
mod secret;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation};
use moim_shared::config::{Auth, Secret};
use moim_shared::ids::{RoomId, UserId};

use crate::refusal::{Code, Refusal};
use key_source::Known;

pub use claims::{MAX_ID_BYTES, MAX_NAME_CHARS, MAX_ROOMS, is_id, said_name};
pub use key_source::{KeySource, Looked, Unread, look};
pub use mint::{MintRequest, mint};
pub use proof::Proof;
pub use revoked::Revoked;
pub use secret::{look_at_secret, standalone_secret};

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
    /// `jti`: this token, and no other.
    pub jti: Option<String>,
    /// `sid`: the log-in that it comes from.
    pub sid: Option<String>,
    /// `iat`, in ms since 1970; not in the future by more than the skew.
    pub issued_at_ms: Option<u64>,
}

impl Claims {
    /// By which it is found again when it is revoked.
    pub fn proof(&self) -> Proof {
        Proof {
            login: self.sid.as_deref().map(Into::into),
            token: self.jti.as_deref().map(Into::into),
            issued_at_ms: self.issued_at_ms,
        }
    }
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
    /// Its header names no algorithm, or one that is not taken, or not with that key.
    #[error("the token's header names no algorithm that is taken here")]
    Algorithm,
    /// No secret of ours signed it, nor the key that it names.
    #[error("the token's signature is wrong")]
    Signature,
    /// Its header names no key that is known.
    #[error("no key of the name (`kid`) in the token's header is known")]
    UnknownKey,
    /// The key that it names is not known, and may be a good one all the same.
    #[error("the key that the token names is not known yet; try again")]
    KeysAway,
    /// It says no `exp`.
    #[error("the token has no `exp`")]
    NoExpiry,
    /// `exp` is past by more than the skew.
    #[error("the token has expired")]
    Expired,
    /// `nbf` or `iat` is ahead by more than the skew.
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
    /// `jti` or `sid` is empty, too long, no text, or has control characters.
    #[error("the token's `jti` or `sid` is not allowed")]
    BadId,
    /// It was revoked: by a log-out, another password, an operator.
    #[error("the token has been revoked")]
    Revoked,
    /// It is longer than [`MAX_TOKEN_BYTES`].
    #[error("the token is too large")]
    TooLarge,
    /// It could not be signed. Not the client's fault.
    #[error("the token could not be made")]
    Signing,
}

/// Judges tokens. Made once at start; cheap to share behind an `Arc`.
pub struct Verifier {
    secrets: Vec<DecodingKey>,
    keys: Option<KeySource>,
    auth: Auth,
    revoked: Arc<Revoked>,
}

impl Verifier {
    /// A judge that takes what any of `secrets` signed: the current one, and during a rotation
    /// the one before.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a Secret>, auth: &Auth) -> Self {
        let secrets = secrets.into_iter().map(|it| DecodingKey::from_secret(it.as_bytes()));
        let revoked = Arc::default();
        Self { secrets: secrets.collect(), keys: None, auth: auth.clone(), revoked }
    }

    /// The same, which refuses these.
    #[must_use]
    pub fn with_revoked(self, revoked: Arc<Revoked>) -> Self {
        Self { revoked, ..self }
    }

    /// The same, which also takes what these keys signed.
    #[must_use]
    pub fn with_keys(self, keys: KeySource) -> Self {
        Self { keys: Some(keys), ..self }
    }

    /// What is wrong with the public keys, if there are to be any: for probes.
    pub fn keys_trouble(&self) -> Option<Arc<str>> {
        self.keys.as_ref().and_then(KeySource::trouble)
    }

    /// What the token says, if it is good at `now_ms`. A key that is not known may be a new one:
    /// [`Verifier::verify_fresh`] finds out.
    pub fn verify(&self, token: &str, now_ms: u64) -> Result<Claims, TokenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::TooLarge);
        }
        let claims = claims::judge(&self.signed(token)?, &self.auth, now_ms)?;
        if self.is_revoked(&claims.user, &claims.proof()) {
            return Err(TokenError::Revoked);
        }
        Ok(claims)
    }

    /// Whether a token of the user that was good when it was shown has been revoked since.
    pub fn is_revoked(&self, user: &UserId, proof: &Proof) -> bool {
        self.revoked.holds(user, proof)
    }

    /// The same, but keys that are not known yet are looked for first, which may take two seconds.
    pub async fn verify_fresh(&self, token: &str, now_ms: u64) -> Result<Claims, TokenError> {
        match (self.verify(token, now_ms), &self.keys) {
            (Err(TokenError::UnknownKey | TokenError::KeysAway), Some(keys)) => {
                let looked = keys.look().await;
                // Also without a look: somebody else's may have ended since the first check.
                match self.verify(token, now_ms) {
                    Err(TokenError::UnknownKey) if !looked => Err(TokenError::KeysAway),
                    known => known,
                }
            }
            (done, _) => done,
        }
    }

    /// The claims of a token whose signature is right. The algorithm says which keys may have made
    /// it, so a public key is never taken for a secret.
    fn signed(&self, token: &str) -> Result<claims::Raw, TokenError> {
        let header = jsonwebtoken::decode_header(token).map_err(|err| header_error(err.kind()))?;
        // RFC 7515, 4.1.11: what is marked critical and not understood must be refused.
        if header.crit.is_some() {
            return Err(TokenError::Malformed);
        }
        match (header.alg, &self.keys) {
            (Algorithm::HS256, _) => first_of(token, header.alg, &self.secrets),
            (Algorithm::HS384 | Algorithm::HS512, _) | (_, None) => Err(TokenError::Algorithm),
            (_, Some(keys)) => signed_by(token, &header, &keys.known()),
        }
    }
}

/// The claims of a token that one of these public keys signed.
fn signed_by(token: &str, header: &Header, known: &Known) -> Result<claims::Raw, TokenError> {
    let named: Vec<_> = known.keys.named(header.kid.as_deref()).collect();
    if named.is_empty() {
        let sure = known.trouble.is_none();
        return Err(if sure { TokenError::UnknownKey } else { TokenError::KeysAway });
    }
    let fit = named.iter().filter_map(|key| key.for_use(header.alg)).collect::<Vec<_>>();
    if fit.is_empty() {
        return Err(TokenError::Algorithm);
    }
    first_of(token, header.alg, fit)
}

/// The claims of a token that one of these keys signed, by this algorithm.
fn first_of<'a>(
    token: &str,
    algorithm: Algorithm,
    keys: impl IntoIterator<Item = &'a DecodingKey>,
) -> Result<claims::Raw, TokenError> {
    // The library would judge times by the system's clock; all claims are judged in `claims`.
    let mut validation = Validation::new(algorithm);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    for key in keys {
        match jsonwebtoken::decode::<claims::Raw>(token, key, &validation) {
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

/// When a client may try again whose key is not known yet.
const RETRY_MS: u64 = 2_000;

impl From<TokenError> for Refusal {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Expired | TokenError::Revoked => {
                Self::new(Code::Expired, error.to_string())
            }
            TokenError::KeysAway => Self::later(Code::Unavailable, error.to_string(), RETRY_MS),
            _ => Self::new(Code::BadRequest, error.to_string()),
        }
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
