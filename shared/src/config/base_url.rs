//! Where a service that speaks HTTP is.

use std::fmt;

/// An `http://` or `https://` URL that paths are put behind: a host, perhaps a port and a path, no
/// user, no query. Without a slash at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl(String);

impl BaseUrl {
    /// Reads it; slashes at the end fall away.
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let plain = |c: char| c.is_ascii_graphic() && !"@?#\\".contains(c);
        let fits = ["https", "http"].contains(&scheme)
            && !rest.is_empty()
            && !rest.starts_with(['/', ':'])
            && rest.chars().all(plain);
        fits.then(|| Self(text.trim_end_matches('/').into()))
    }

    /// Where Google serves Firebase Cloud Messaging.
    pub fn fcm() -> Self {
        Self("https://fcm.googleapis.com".into())
    }

    /// Where a collector there takes traces
    /// (<https://opentelemetry.io/docs/specs/otlp/#otlphttp-request>).
    pub fn traces(&self) -> String {
        format!("{self}/v1/traces")
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
