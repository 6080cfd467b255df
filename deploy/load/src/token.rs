//! Tokens for the users of a test, signed with the server's own secret (HS256).

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;

/// How long a token of a test is good for.
const LIFE: Duration = Duration::from_secs(24 * 3600);
const SECRET_MIN: usize = 32;

#[derive(Serialize)]
struct Claims<'a> {
    sub: &'a str,
    name: &'a str,
    exp: u64,
    rooms: [&'a str; 1],
}

/// Signs tokens.
pub struct Mint(EncodingKey);

impl Mint {
    /// From the secret's text, as `MOIM_JWT_SECRET` takes it.
    pub fn new(secret: &str) -> Result<Self, String> {
        if secret.len() < SECRET_MIN {
            return Err(format!("the secret has {} bytes; it needs {SECRET_MIN}", secret.len()));
        }
        Ok(Self(EncodingKey::from_secret(secret.as_bytes())))
    }

    /// From the file that holds it; a line end after it does not count.
    pub fn from_file(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            format!(
                "cannot read the secret {}: {error}; start the server once so that it makes one, \
                 or give --secret",
                path.display()
            )
        })?;
        Self::new(text.trim_end_matches(['\r', '\n']))
    }

    /// A token of `user` that grants `room`.
    pub fn token(&self, user: &str, room: &str) -> Result<String, String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let claims = Claims { sub: user, name: user, exp: (now + LIFE).as_secs(), rooms: [room] };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.0)
            .map_err(|error| format!("cannot sign a token: {error}"))
    }
}

/// The secret as servers take it from their environment.
fn environment() -> Option<String> {
    std::env::var("MOIM_JWT_SECRET").ok().filter(|secret| !secret.is_empty())
}

/// Where the secret comes from, first given wins; what is said on the command line counts before
/// the environment.
pub fn mint(
    secret: Option<&str>,
    file: Option<&PathBuf>,
    data_dir: Option<&PathBuf>,
) -> Result<Mint, String> {
    match (secret, file, data_dir) {
        (Some(secret), _, _) => Mint::new(secret),
        (None, Some(file), _) => Mint::from_file(file),
        (None, None, dir) => match (dir.map(|dir| dir.join("jwt-secret")), environment()) {
            (Some(file), given) if given.is_none() || file.exists() => Mint::from_file(&file),
            (_, Some(secret)) => Mint::new(&secret),
            _ => {
                Err("no secret to sign tokens with: give --data-dir, --secret-file, --secret, or \
                      MOIM_JWT_SECRET in the environment"
                    .into())
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_secret_is_refused_and_says_how_long_it_must_be() {
        let refusal = Mint::new("short").err().unwrap();
        assert!(refusal.contains("32"), "{refusal}");
    }

    #[test]
    fn a_token_carries_user_and_room() {
        let secret = "0123456789abcdef0123456789abcdef";
        let token = Mint::new(secret).unwrap().token("ann", "kitchen").unwrap();
        let claims = jsonwebtoken::decode::<serde_json::Value>(
            token,
            &jsonwebtoken::DecodingKey::from_secret(secret.as_bytes()),
            &jsonwebtoken::Validation::new(Algorithm::HS256),
        )
        .unwrap()
        .claims;
        assert_eq!(claims["sub"], "ann");
        assert_eq!(claims["rooms"][0], "kitchen");
    }
}
