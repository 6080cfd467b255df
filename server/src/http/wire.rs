//! The TCP stream below a connection, as actix-http sees it: a stream like any other, which also
//! tells the session's outbox when everything was written, and when the socket is about to close.

use std::cell::OnceCell;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::rt::net::TcpStream;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::outbox::Outbox;

/// What the kernel may hold for a client that does not read. With the default it grows to
/// megabytes for each, and a reader that stopped is noticed late.
const SEND_BUFFER: usize = 256 * 1024;

/// How a new connection is set up.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    /// A peer that takes nothing for so long is gone.
    pub user_timeout: Duration,
    /// A peer that says nothing for so long is asked whether it is there.
    pub keepalive: Duration,
}

/// See the module.
pub struct Wire {
    stream: TcpStream,
    link: Link,
}

/// From the connection's requests to its wire.
#[derive(Clone)]
pub struct Link {
    socket: RawFd,
    outbox: Rc<OnceCell<Arc<Outbox>>>,
}

impl Link {
    /// The number of the socket.
    pub const fn socket(&self) -> RawFd {
        self.socket
    }

    /// From now on this outbox is told. A connection is upgraded once.
    pub fn attach(&self, outbox: Arc<Outbox>) {
        // A second one cannot be: the first upgrade ends HTTP on the connection.
        let _ = self.outbox.set(outbox);
    }
}

impl Wire {
    /// Sets the socket up: small messages go at once, a dead peer is found by the kernel too.
    pub fn new(stream: TcpStream, setup: Setup) -> Self {
        let socket = SockRef::from(&stream);
        let probes =
            TcpKeepalive::new().with_time(setup.keepalive).with_interval(setup.keepalive / 4);
        let set = socket
            .set_tcp_nodelay(true)
            .and_then(|()| socket.set_tcp_keepalive(&probes))
            .and_then(|()| socket.set_tcp_user_timeout(Some(setup.user_timeout)))
            .and_then(|()| socket.set_send_buffer_size(SEND_BUFFER));
        if let Err(error) = set {
            tracing::debug!(%error, "a socket option could not be set");
        }
        let link = Link { socket: stream.as_raw_fd(), outbox: Rc::default() };
        Self { stream, link }
    }

    /// For the connection's requests.
    pub fn link(&self) -> Link {
        self.link.clone()
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        // actix-http gives its whole buffer each time, so taking all of it empties it.
        if let (Poll::Ready(Ok(count)), Some(outbox)) = (&written, self.link.outbox.get())
            && *count == bytes.len()
        {
            outbox.flushed();
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        // Runs before the stream's own drop closes the socket.
        if let Some(outbox) = self.link.outbox.get() {
            outbox.socket_closes();
        }
    }
}
