//! Push through Firebase Cloud Messaging, HTTP v1
//! (<https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages/send>).
//!
//! Over TLS it speaks HTTP/2, so that many sends share a connection; over `http://`, HTTP/1.1. Its
//! connections live in the runtime that called [`Push::send`].

mod access;
mod account;
mod google;
mod judge;
mod message;
mod pause;
mod web;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::{Request, Uri};
use moim_shared::BoxFuture;
use moim_shared::config::BaseUrl;
use moim_shared::roots::roots;
use tokio::sync::Semaphore;

pub use self::account::OpenError;

use self::access::{Access, Pass};
use self::account::ServiceAccount;
use self::google::Google;
use self::judge::{Fault, Scope, judge};
use self::pause::Pause;
use self::web::Web;
use super::{Notification, Push, PushError, Sent};

/// How an [`FcmPush`] calls.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Sends under way at once.
    pub concurrency: usize,
    /// How long FCM, and the server of access tokens, may take for an answer. Google asks for 10 s
    /// at least, which is what FCM allows its own parts.
    pub timeout: Duration,
    /// How long nothing is tried after it was found that nobody can be reached.
    pub misconfigured: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            concurrency: 100,
            timeout: Duration::from_secs(15),
            misconfigured: Duration::from_secs(10),
        }
    }
}

/// Sends as one service account. A send takes as long as it waits for its turn, and at most four
/// times [`Options::timeout`] after that: access token and message, and both again when FCM does not
/// take the token.
pub struct FcmPush {
    access: Access<Google>,
    web: Web,
    endpoint: BaseUrl,
    turns: Semaphore,
    /// For the whole project.
    pause: Pause,
    misconfigured: Duration,
}

impl FcmPush {
    /// With the service account of this key file, which is read now, and again whenever an access
    /// token is needed. Nobody is called yet.
    pub fn open(
        credentials: &Path,
        endpoint: &BaseUrl,
        options: Options,
    ) -> Result<Self, OpenError> {
        let account = ServiceAccount::read(credentials)?;
        let web = Web::new(roots(), options.timeout).map_err(OpenError::tls)?;
        let google = Google::new(credentials, account, web.clone());
        Ok(Self {
            access: Access::new(google, options.misconfigured),
            web,
            endpoint: endpoint.clone(),
            turns: Semaphore::new(options.concurrency.max(1)),
            pause: Pause::default(),
            misconfigured: options.misconfigured,
        })
    }

    /// Gets an access token without sending anything, and says of which project.
    pub async fn may_send(&self) -> Result<Arc<str>, PushError> {
        Ok(self.access.pass().await?.project)
    }

    /// Sends, with one more try when the access token is not taken: it may have been revoked.
    async fn deliver(&self, message: Bytes) -> Result<Sent, PushError> {
        let pass = self.access.pass().await?;
        let done = match self.call(&pass, message.clone()).await {
            Err(fault) if fault.scope == Scope::Access => {
                self.access.refused(&pass);
                let pass = self.access.pass().await?;
                self.call(&pass, message).await
            }
            done => done,
        };
        done.map_err(|Fault { error, scope }| {
            if scope != Scope::Message {
                self.hold(&error);
            }
            error
        })
    }

    async fn call(&self, pass: &Pass, message: Bytes) -> Result<Sent, Fault> {
        let url = format!("{}/v1/projects/{}/messages:send", self.endpoint, pass.project);
        let uri: Uri = url.parse().map_err(|error| Fault {
            error: PushError::Misconfigured(format!("`{url}` is no URL: {error}")),
            scope: Scope::Project,
        })?;
        let mut request = Request::post(uri);
        if let Some(headers) = request.headers_mut() {
            headers.insert(AUTHORIZATION, pass.bearer.clone());
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let answer = self.web.call(request, message).await.map_err(|trouble| Fault {
            error: PushError::Later { after: None, unsure: trouble.unsure, why: trouble.why },
            scope: Scope::Message,
        })?;
        judge(&answer, SystemTime::now())
    }

    /// Lets nobody call for a while.
    fn hold(&self, error: &PushError) {
        let time = match error {
            PushError::Later { after, .. } => after.unwrap_or_default(),
            _ => self.misconfigured,
        };
        // Many find out at once, and one line is enough.
        if self.pause.hold(Instant::now(), time, error) {
            tracing::warn!(?time, "no push goes out for a while: {error}");
        }
    }
}

impl Push for FcmPush {
    fn send(&self, notification: Notification) -> BoxFuture<'_, Result<Sent, PushError>> {
        Box::pin(async move {
            notification.check()?;
            self.pause.check(Instant::now())?;
            // The semaphore is never closed.
            let _turn = self.turns.acquire().await;
            // Those in front may have learned something.
            self.pause.check(Instant::now())?;
            self.deliver(message::json(&notification)).await
        })
    }

    fn rests(&self) -> Option<Duration> {
        self.pause.rest(Instant::now())
    }
}
