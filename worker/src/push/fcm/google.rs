//! Access tokens from Google, or whoever `token_uri` of the key file names, for an assertion that the
//! service account signs (RFC 7523).

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Request, StatusCode, Uri};
use moim_shared::clock::now_ms;
use parking_lot::Mutex;
use serde_json::Value;

use super::access::{Granted, Grants};
use super::account::ServiceAccount;
use super::judge::pause;
use super::web::{Answer, Web};
use crate::push::PushError;

/// A token is believed to live so long when that is not said.
const LIVES: u64 = 300;

/// Asks with the service account of a key file.
pub(super) struct Google {
    path: PathBuf,
    /// The last one that could be used.
    account: Mutex<Arc<ServiceAccount>>,
    web: Web,
}

impl Google {
    /// `account` is what was in the file.
    pub fn new(path: &Path, account: ServiceAccount, web: Web) -> Self {
        Self { path: path.into(), account: Mutex::new(Arc::new(account)), web }
    }

    /// The account as the file has it now. One that cannot be used, such as half a file, does not
    /// end a good one.
    /// Read where it is needed, though that blocks: it is a few KB, once an hour.
    fn account(&self) -> Arc<ServiceAccount> {
        match ServiceAccount::read(&self.path) {
            Ok(account) => {
                let account = Arc::new(account);
                *self.account.lock() = account.clone();
                account
            }
            Err(error) => {
                tracing::error!("{error}; what was in it before is used");
                self.account.lock().clone()
            }
        }
    }
}

impl Grants for Google {
    async fn grant(&self) -> Result<Granted, PushError> {
        let account = self.account();
        let assertion = account
            .assertion(now_ms() / 1_000)
            .map_err(|error| PushError::Misconfigured(format!("nothing can be signed: {error}")))?;
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer")
            .append_pair("assertion", &assertion)
            .finish();
        let request = Request::post(account.token_uri.clone())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        let answer = self.web.call(request, form.into()).await.map_err(|trouble| {
            let why = format!("no access token from {}: {}", account.token_uri, trouble.why);
            PushError::Later { after: None, unsure: false, why }
        })?;
        granted(&answer, &account.token_uri, &account.project)
    }
}

/// What the answer means. Nothing of a good one is in an error.
fn granted(answer: &Answer, uri: &Uri, project: &Arc<str>) -> Result<Granted, PushError> {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let status = answer.status;
    if status.is_success() {
        let bearer = body["access_token"].as_str().map(|token| format!("Bearer {token}"));
        let bearer = bearer.and_then(|bearer| HeaderValue::try_from(bearer).ok());
        let mut bearer = bearer.ok_or_else(|| {
            PushError::Misconfigured(format!("{uri} answered {status} without an access token"))
        })?;
        bearer.set_sensitive(true);
        let lives = Duration::from_secs(body["expires_in"].as_u64().unwrap_or(LIVES));
        return Ok(Granted { bearer, project: project.clone(), lives });
    }
    let text = |name: &str| body[name].as_str().unwrap_or_default();
    let why = format!(
        "{uri} gives no access token: {} {}: {}",
        status.as_u16(),
        text("error"),
        text("error_description")
    );
    let passes = status.is_server_error()
        || [StatusCode::TOO_MANY_REQUESTS, StatusCode::REQUEST_TIMEOUT].contains(&status);
    Err(if passes {
        PushError::Later { after: pause(&answer.headers, SystemTime::now()), unsure: false, why }
    } else {
        PushError::Misconfigured(format!(
            "{why}; is the key of the service account still valid, and this machine's clock right?"
        ))
    })
}
