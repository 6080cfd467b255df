//! Access tokens for assertions of a service account, whose key is made on the spot.

use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use rsa::RsaPrivateKey;
use rsa::pkcs1::{EncodeRsaPrivateKey, EncodeRsaPublicKey};
use rsa::pkcs8::EncodePrivateKey;
use serde_json::{Value, json};

const EMAIL: &str = "push@moim-test.iam.gserviceaccount.com";
const KEY_ID: &str = "0123456789abcdef0123456789abcdef01234567";
const SCOPE: &str = "https://www.googleapis.com/auth/firebase.messaging";
const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// How access tokens are given.
#[derive(Debug, Clone)]
pub enum Grants {
    /// For good assertions.
    Good,
    /// To nobody: this status, and this text as the body.
    Refused(u16, String),
    /// The connection is cut.
    Cut,
    /// After so long.
    Slow(Duration),
}

/// It takes a while to find one, so there is one for all.
fn key() -> &'static RsaPrivateKey {
    static KEY: OnceLock<RsaPrivateKey> = OnceLock::new();
    KEY.get_or_init(|| RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2_048).unwrap())
}

/// Where tokens are asked for.
pub fn token_uri(address: SocketAddr) -> String {
    format!("http://{address}/token")
}

/// A key file as the Firebase console makes it.
pub fn credentials(project: &str, token_uri: &str) -> Value {
    json!({
        "type": "service_account",
        "project_id": project,
        "private_key_id": KEY_ID,
        "private_key": pem(key().to_pkcs8_der().unwrap().as_bytes()),
        "client_email": EMAIL,
        "client_id": "123456789012345678901",
        "auth_uri": "https://accounts.google.com/o/oauth2/auth",
        "token_uri": token_uri,
        "auth_provider_x509_cert_url": "https://www.googleapis.com/oauth2/v1/certs",
        "universe_domain": "googleapis.com",
    })
}

/// RFC 7468.
fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap());
    let lines: Vec<_> = lines.collect();
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"))
}

/// An assertion of these claims, with the right key.
pub fn sign(algorithm: Algorithm, claims: &Value) -> String {
    let der = key().to_pkcs1_der().unwrap();
    let key = match algorithm {
        Algorithm::HS256 => EncodingKey::from_secret(b"not that kind of key"),
        _ => EncodingKey::from_rsa_der(der.as_bytes()),
    };
    jsonwebtoken::encode(&Header::new(algorithm), claims, &key).unwrap()
}

/// Claims that are good now.
pub fn claims(token_uri: &str) -> Value {
    json!({
        "iss": EMAIL, "scope": SCOPE, "aud": token_uri, "iat": now(), "exp": now() + 3_600,
    })
}

/// Whether a token is given for this form; otherwise the error, and what is said of it.
pub fn check(form: &[u8], token_uri: &str) -> Result<(), [String; 2]> {
    let field = |name: &str| {
        let mut fields = form_urlencoded::parse(form);
        fields.find(|(field, _)| field == name).map(|(_, value)| value.into_owned())
    };
    if field("grant_type").as_deref() != Some(GRANT_TYPE) {
        return Err(["unsupported_grant_type".into(), "Invalid grant_type".into()]);
    }
    check_assertion(&field("assertion").unwrap_or_default(), token_uri)
        .map_err(|text| ["invalid_grant".into(), text])
}

/// Strict where Google is not: no padding in base64url, all claims there.
pub fn check_assertion(assertion: &str, token_uri: &str) -> Result<(), String> {
    let public = key().to_public_key().to_pkcs1_der().unwrap();
    let mut wanted = Validation::new(Algorithm::RS256);
    wanted.set_audience(&[token_uri]);
    wanted.set_issuer(&[EMAIL]);
    wanted.set_required_spec_claims(&["iss", "aud", "exp"]);
    wanted.leeway = 0;
    let read = jsonwebtoken::decode::<Value>(
        assertion,
        &DecodingKey::from_rsa_der(public.as_bytes()),
        &wanted,
    );
    let read = read.map_err(|error| format!("Invalid JWT: {error}"))?;
    let claims = read.claims;
    let time = |name: &str| claims[name].as_u64().ok_or(format!("Invalid JWT: no {name}"));
    let (from, to) = (time("iat")?, time("exp")?);
    if claims["scope"] != SCOPE {
        return Err("Invalid scope".into());
    }
    if from.abs_diff(now()) > 60 || to <= from || to - from > 3_600 {
        return Err("Invalid JWT: Token must be a short-lived token".into());
    }
    match read.header.kid {
        Some(id) if id != KEY_ID => Err("Invalid JWT: unknown key".into()),
        _ => Ok(()),
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}
