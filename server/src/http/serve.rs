//! Listening: actix-web's application for HTTP, and sessions for what upgrades.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use actix_http::HttpService;
use actix_service::{ServiceFactoryExt, fn_service, map_config};
use actix_web::dev::AppConfig;
use actix_web::middleware::from_fn;
use actix_web::rt::net::TcpStream;
use actix_web::{App, web};

use super::connection::Setup;
use super::io::Io;
use super::{Api, Routes, Tls, Trust, admin, api, public, secured, upgrade};

/// What is served at an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Serving {
    /// What clients use.
    Clients,
    /// What operators use.
    Operators,
    /// Both.
    Everything,
}

/// What listens at an address.
#[derive(Clone)]
pub struct Listener {
    /// What it serves.
    pub serving: Serving,
    /// For the handlers.
    pub routes: web::Data<Routes>,
    /// For those of the API, where there is one.
    pub api: Option<web::Data<Api>>,
    /// What it knows about those who come.
    pub trust: Arc<Trust>,
    /// How the sockets of sessions are set up.
    pub setup: Setup,
    /// TLS, if it is spoken there.
    pub tls: Option<Arc<Tls>>,
}

/// Serves at `address` on `workers` threads; also says which address that is when its port is 0.
pub fn serve(
    address: SocketAddr,
    listener: Listener,
    workers: usize,
) -> io::Result<(actix_server::Server, SocketAddr)> {
    let socket = listen(address)?;
    let address = socket.local_addr()?;
    let factory = move || {
        let (serving, api) = (listener.serving, listener.api.clone());
        let app = App::new()
            .app_data(listener.routes.clone())
            .app_data(listener.trust.clone())
            .wrap(from_fn(secured::secured))
            .default_service(web::to(secured::not_found))
            .configure(move |config| {
                if serving != Serving::Operators {
                    public(config);
                }
                if serving != Serving::Clients {
                    admin(config);
                }
                if let Some(api) = api {
                    api::serve(config, api, serving);
                }
            });
        let (listener, tls) = (listener.clone(), listener.tls.clone());
        // Upgrades do not go through the application: its dispatcher would stay in between, with
        // two buffers of 8 KiB for each connection.
        let http = HttpService::build()
            .upgrade(fn_service(move |(request, framed)| {
                upgrade::upgrade(request, framed, listener.clone())
            }))
            .h1(map_config(app, |()| AppConfig::default()));
        fn_service(move |stream: TcpStream| {
            let tls = tls.clone();
            async move {
                let peer = stream.peer_addr().ok();
                let io = match tls {
                    None => Io::Plain(stream),
                    // In a box, or a plain connection would have room for it all its life.
                    Some(tls) => Box::pin(tls.accept(stream)).await.inspect_err(|error| {
                        tracing::debug!(?peer, %error, "no TLS handshake");
                    })?,
                };
                Ok::<_, actix_http::error::DispatchError>((io, peer))
            }
        })
        .and_then(http)
    };
    let server = actix_server::Server::build()
        .workers(workers)
        .disable_signals()
        .listen("moim", socket, factory)?
        .run();
    Ok((server, address))
}

/// A backlog for everybody who comes back at once after a restart.
const BACKLOG: i32 = 4_096;

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let domain = socket2::Domain::for_address(address);
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, Some(socket2::Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}
