//! The TCP socket below a connection.

use std::any::Any;
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

use actix_web::dev::Extensions;
use actix_web::rt::net::TcpStream;
use socket2::{SockRef, TcpKeepalive};

/// The number of the socket, for the one who may have to cut it.
#[derive(Debug, Clone, Copy)]
pub struct Socket(pub RawFd);

/// What the kernel may hold for a client that does not read. With the default it grows to
/// megabytes for each, and a reader that stopped is noticed late.
const SEND_BUFFER: usize = 256 * 1024;

/// Sets a new connection up: small messages go at once, a peer that is gone or does not take
/// anything is found by the kernel too.
pub fn prepare(
    user_timeout: Duration,
    keepalive: Duration,
) -> impl Fn(&dyn Any, &mut Extensions) + Send + Clone {
    move |io, extensions| {
        let Some(stream) = io.downcast_ref::<TcpStream>() else { return };
        let socket = SockRef::from(stream);
        let probes = TcpKeepalive::new().with_time(keepalive).with_interval(keepalive / 4);
        let set = socket
            .set_tcp_nodelay(true)
            .and_then(|()| socket.set_tcp_keepalive(&probes))
            .and_then(|()| socket.set_tcp_user_timeout(Some(user_timeout)))
            .and_then(|()| socket.set_send_buffer_size(SEND_BUFFER));
        if let Err(error) = set {
            tracing::debug!(%error, "a socket option could not be set");
        }
        extensions.insert(Socket(stream.as_raw_fd()));
    }
}
