//! How this program asks others over HTTP now and then, on a thread that may block.

use std::time::Duration;

use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::roots::roots;

/// One that asks at `url`, and waits for so long in all.
pub fn agent(url: &str, patience: Duration) -> Agent {
    let roots = roots().iter().map(|root| Certificate::from_der(root).to_owned());
    let tls =
        TlsConfig::builder().root_certs(RootCerts::new_with_certs(&roots.collect::<Vec<_>>()));
    Agent::config_builder()
        .tls_config(tls.build())
        .timeout_global(Some(patience))
        .https_only(url.starts_with("https:"))
        .max_redirects(3)
        .proxy(None)
        .max_idle_connections(0)
        .user_agent(concat!("moim/", env!("CARGO_PKG_VERSION")))
        .build()
        .into()
}
