//! Tokens: good ones through the library, forged ones by hand.

use std::time::{Duration, SystemTime};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use moim_server::token::{Grant, MintRequest, mint};
use moim_shared::clock::now_ms;
use moim_shared::config::{Auth, Secret};
use moim_shared::ids::{RoomId, UserId};
use serde_json::{Value, json};

/// The secret of every test server.
pub const SECRET: &str = "a secret for tests, of more than 32 bytes";

/// A token of that user which opens every room.
pub fn token(user: &str) -> String {
    Token::of(user).all_rooms().mint()
}

/// A token in the making.
pub struct Token {
    user: UserId,
    name: Option<String>,
    grant: Grant,
    ttl: Duration,
    now_ms: u64,
    auth: Auth,
    secret: String,
}

impl Token {
    /// Opens no room, unless the user is a member.
    pub fn of(user: &str) -> Self {
        Self {
            user: UserId::parse(user).unwrap(),
            name: None,
            grant: Grant::None,
            ttl: Duration::from_secs(3_600),
            now_ms: now_ms(),
            auth: Auth::default(),
            secret: SECRET.into(),
        }
    }

    pub fn name(mut self, name: &str) -> Self {
        self.name = Some(name.into());
        self
    }

    pub fn all_rooms(mut self) -> Self {
        self.grant = Grant::All;
        self
    }

    pub fn rooms(mut self, rooms: &[&str]) -> Self {
        self.grant = Grant::rooms(rooms.iter().map(|room| RoomId::parse(room).unwrap()));
        self
    }

    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// As if it had been made that long ago.
    pub fn made_ago(mut self, ago: Duration) -> Self {
        self.now_ms -= u64::try_from(ago.as_millis()).unwrap();
        self
    }

    pub fn secret(mut self, secret: &str) -> Self {
        self.secret = secret.into();
        self
    }

    pub fn audience(mut self, audience: &str) -> Self {
        self.auth.audience = Some(audience.into());
        self
    }

    pub fn issuer(mut self, issuer: &str) -> Self {
        self.auth.issuer = Some(issuer.into());
        self
    }

    pub fn mint(&self) -> String {
        let secret = Secret::new(self.secret.clone()).unwrap();
        let request = MintRequest {
            user: &self.user,
            name: self.name.as_deref(),
            rooms: &self.grant,
            ttl: self.ttl,
            sid: None,
            made_at_ms: None,
        };
        mint(&secret, &self.auth, &request, self.now_ms).unwrap()
    }
}

/// A token with the right secret, and whatever header and claims.
pub fn forged(algorithm: Algorithm, claims: &Value) -> String {
    let mut all = json!({ "sub": "ann", "rooms": "*", "exp": in_an_hour() });
    for (name, value) in claims.as_object().unwrap() {
        all[name] = value.clone();
        if value.is_null() {
            all.as_object_mut().unwrap().remove(name);
        }
    }
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    jsonwebtoken::encode(&Header::new(algorithm), &all, &key).unwrap()
}

fn in_an_hour() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs() + 3_600
}
