//! The service account that sends, as its key file has it
//! (<https://developers.google.com/identity/protocols/oauth2/service-account>).

use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper::Uri;
use serde_json::{Value, json};
use tokio_rustls::rustls::SignatureScheme;
use tokio_rustls::rustls::crypto::ring::sign::RsaSigningKey;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::sign::{Signer, SigningKey};

/// What the access token is for.
const SCOPE: &str = "https://www.googleapis.com/auth/firebase.messaging";

/// Where access tokens come from when the file does not say.
const TOKEN_URI: &str = "https://oauth2.googleapis.com/token";

/// How long an assertion is good, in seconds: the most that Google allows.
const LIFE: u64 = 3_600;

/// Where a key file comes from.
const MADE_BY: &str = "the Firebase console makes it: Project settings, Service accounts, \
    Generate new private key";

/// Why nothing can be sent, mostly because of the key file. Its text says what to do; nothing of the
/// key is in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct OpenError(String);

impl OpenError {
    /// It is not the file.
    #[allow(clippy::needless_pass_by_value, reason = "for map_err")]
    pub(super) fn tls(error: tokio_rustls::rustls::Error) -> Self {
        Self(format!("TLS cannot be used: {error}"))
    }
}

/// A service account that can sign.
pub(super) struct ServiceAccount {
    pub project: Arc<str>,
    pub token_uri: Uri,
    /// `token_uri` letter by letter.
    audience: String,
    email: String,
    key_id: Option<String>,
    signer: Box<dyn Signer>,
}

impl ServiceAccount {
    /// Reads the file and tries its key.
    pub fn read(path: &Path) -> Result<Self, OpenError> {
        let text = std::fs::read(path).map_err(|error| error.to_string());
        text.and_then(|text| Self::parse(&text)).map_err(|what| {
            let path = path.display();
            OpenError(format!("`{path}`, the key file of FCM, cannot be used: {what}"))
        })
    }

    /// Errors quote nothing: what stands in the wrong place may be the key.
    fn parse(text: &[u8]) -> Result<Self, String> {
        let file: Value = serde_json::from_slice(text).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            format!("it is not JSON (line {line}, column {column}); {MADE_BY}")
        })?;
        if file["type"] != "service_account" {
            let is = if file["project_info"].is_object() {
                "it is the google-services.json of an app"
            } else {
                "its `type` is not `service_account`"
            };
            return Err(format!("{is}; {MADE_BY}"));
        }
        let member = |name: &str| match file[name].as_str() {
            Some(text) if !text.trim().is_empty() => Ok(text),
            _ => Err(format!("it has no `{name}`; {MADE_BY}")),
        };
        let project = member("project_id")?;
        let plain = |c: char| c.is_ascii_alphanumeric() || "-.:_".contains(c);
        if !project.chars().all(plain) {
            return Err("its `project_id` is no project's".into());
        }
        let audience = file["token_uri"].as_str().unwrap_or(TOKEN_URI);
        let token_uri = audience
            .parse()
            .ok()
            .filter(|uri: &Uri| {
                uri.host().is_some() && matches!(uri.scheme_str(), Some("http" | "https"))
            })
            .ok_or("its `token_uri` is not an http:// or https:// URL")?;
        Ok(Self {
            project: project.into(),
            token_uri,
            audience: audience.into(),
            email: member("client_email")?.into(),
            key_id: file["private_key_id"].as_str().map(str::to_owned),
            signer: signer(member("private_key")?)?,
        })
    }

    /// A JWT that asks for an access token (RFC 7523), good for an hour from `now` on, in seconds
    /// since 1970.
    pub fn assertion(&self, now: u64) -> Result<String, String> {
        let mut header = json!({ "alg": "RS256", "typ": "JWT" });
        if let Some(id) = &self.key_id {
            header["kid"] = id.as_str().into();
        }
        let claims = json!({
            "iss": self.email,
            "scope": SCOPE,
            "aud": self.audience,
            "iat": now,
            "exp": now + LIFE,
        });
        let part = |json: Value| URL_SAFE_NO_PAD.encode(json.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let signature = self.signer.sign(signed.as_bytes()).map_err(|error| error.to_string())?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

/// What the errors of the key's own readers say is not passed on: it may quote it.
fn signer(pem: &str) -> Result<Box<dyn Signer>, String> {
    let der = PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(
        |_hidden| "its `private_key` is not a PEM text; was it copied with its line breaks, `\\n`?",
    )?;
    let key = RsaSigningKey::new(&der).map_err(|_hidden| {
        format!("its `private_key` is not an RSA key of 2,048 bits or more; {MADE_BY}")
    })?;
    key.choose_scheme(&[SignatureScheme::RSA_PKCS1_SHA256])
        .ok_or_else(|| "its `private_key` cannot sign RS256".into())
}
