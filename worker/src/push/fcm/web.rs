//! HTTP as FCM and the server of access tokens want it.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::http::request::Builder;
use hyper::{HeaderMap, StatusCode};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::{ClientConfig, Error as TlsError, RootCertStore};

/// The most of a body that is read. Answers have a few hundred bytes.
const BODY_MAX: usize = 64 << 10;

/// An address that does not answer by then is away.
const CONNECT: Duration = Duration::from_secs(5);

/// A connection in use on which nothing comes is asked whether it still is one.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
const KEEP_ALIVE_ANSWER: Duration = Duration::from_secs(10);

/// Clones share their connections.
#[derive(Clone)]
pub(super) struct Web {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    timeout: Duration,
}

/// What was answered. A body of a success that did not come whole is empty.
#[derive(Debug)]
pub(super) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// There was no answer.
#[derive(Debug)]
pub(super) struct Trouble {
    /// The request may have been seen.
    pub unsure: bool,
    pub why: String,
}

impl Web {
    /// Trusts these authorities. `timeout` is for a call as a whole.
    pub fn new(roots: &[CertificateDer<'static>], timeout: Duration) -> Result<Self, TlsError> {
        let mut trusted = RootCertStore::empty();
        // One that cannot be read trusts nobody.
        trusted.add_parsable_certificates(roots.iter().cloned());
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(trusted)
            .with_no_client_auth();
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_connect_timeout(Some(CONNECT));
        http.set_nodelay(true);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(config)
            .https_or_http()
            .enable_http1()
            .enable_http2()
            .wrap_connector(http);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .http2_keep_alive_interval(KEEP_ALIVE)
            .http2_keep_alive_timeout(KEEP_ALIVE_ANSWER)
            .build(connector);
        Ok(Self { client, timeout })
    }

    /// Asks, and waits for the whole answer.
    pub async fn call(&self, request: Builder, body: Bytes) -> Result<Answer, Trouble> {
        let until = Instant::now() + self.timeout;
        let late = || Trouble { unsure: true, why: format!("no answer in {:?}", self.timeout) };
        let request = request
            .body(Full::new(body))
            .map_err(|error| Trouble { unsure: false, why: told(&error) })?;
        let head = match timeout_at(until, self.client.request(request)).await {
            Ok(head) => {
                head.map_err(|error| Trouble { unsure: !error.is_connect(), why: told(&error) })?
            }
            Err(_) => return Err(late()),
        };
        let (parts, body) = head.into_parts();
        let body = match timeout_at(until, Limited::new(body, BODY_MAX).collect()).await {
            Ok(Ok(body)) => body.to_bytes(),
            _ if parts.status.is_success() => Bytes::new(),
            Ok(Err(error)) => return Err(Trouble { unsure: true, why: told(&*error) }),
            Err(_) => return Err(late()),
        };
        Ok(Answer { status: parts.status, headers: parts.headers, body })
    }
}

/// An error with what is behind it: hyper's own text alone says little.
fn told(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut behind = error.source();
    while let Some(error) = behind {
        text = format!("{text}: {error}");
        behind = error.source();
    }
    text
}

#[cfg(test)]
mod tests;
