//! Where the server listens, and how.

use std::net::SocketAddr;
use std::sync::Arc;

use actix_web::web;
use moim_shared::config::Config;
use moim_shared::process::{StartError, no_signal};
use tokio::signal::unix::{SignalKind, signal};

use crate::http::{self, Api, Routes, Serving};

/// Serves what clients and operators use, where the configuration says; also says where clients
/// come.
pub(super) fn listen(
    config: &Config,
    routes: &web::Data<Routes>,
    api: web::Data<Api>,
    tls: Option<Arc<http::Tls>>,
) -> Result<(Vec<actix_server::Server>, SocketAddr), StartError> {
    let limits = &config.limits;
    let setup = http::Setup {
        user_timeout: limits.tcp_user_timeout.get(),
        keepalive: limits.tcp_keepalive.get(),
        message_max: limits.message_max.get(),
    };
    let workers = config
        .workers
        .or_else(|| std::thread::available_parallelism().ok().map(std::num::NonZero::get))
        .unwrap_or(1);
    let serving =
        if config.admin_listen.is_some() { Serving::Clients } else { Serving::Everything };
    let trust = |secure| Arc::new(http::Trust { proxies: config.trusted_proxies.clone(), secure });
    let routes = routes.clone();
    let clients =
        http::Listener { serving, routes, api: Some(api), trust: trust(tls.is_some()), setup, tls };
    let operators = http::Listener {
        serving: Serving::Operators,
        trust: trust(false),
        tls: None,
        ..clients.clone()
    };
    let (public, address) = http::serve(config.listen, clients, workers)
        .map_err(|error| cannot_listen(config.listen, "MOIM_LISTEN", &error))?;
    let mut servers = vec![public];
    if let Some(address) = config.admin_listen {
        let (admin, _) = http::serve(address, operators, 1)
            .map_err(|error| cannot_listen(address, "MOIM_ADMIN_LISTEN", &error))?;
        servers.push(admin);
    }
    Ok((servers, address))
}

/// TLS as configured; from here on its certificate is kept fresh.
pub(super) fn tls(config: &Config) -> Result<Option<Arc<http::Tls>>, StartError> {
    // Heard in any case: by itself it would end the process, and operators send it to whatever runs.
    let mut hangup = signal(SignalKind::hangup()).map_err(no_signal)?;
    let Some(tls) = open_tls(config)? else {
        actix_rt::spawn(async move { while hangup.recv().await.is_some() {} });
        return Ok(None);
    };
    let tls = Arc::new(tls);
    actix_rt::spawn(tls.clone().keep_fresh(async move || _ = hangup.recv().await));
    Ok(Some(tls))
}

/// What the files hold, if any are named.
pub(super) fn open_tls(config: &Config) -> Result<Option<http::Tls>, StartError> {
    let (Some(cert), Some(key)) = (&config.tls_cert, &config.tls_key) else { return Ok(None) };
    let tls = http::Tls::open(cert, key).map_err(|error| {
        StartError::Usage(format!("{error}; give PEM files that belong together"))
    })?;
    Ok(Some(tls))
}

fn cannot_listen(address: SocketAddr, key: &str, error: &std::io::Error) -> StartError {
    StartError::Usage(format!("cannot listen on {address}: {error}; choose another with {key}"))
}
