//! One upgraded connection: reads for the session's actor, writes what its outbox drains.
//!
//! After the upgrade the HTTP dispatcher and its buffers are gone, and reading goes on while the
//! client does not read.

use std::os::fd::{AsRawFd, RawFd};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

use super::inflow::Inflow;
use super::io::Io;
use crate::metrics::Metrics;
use crate::outbox::{Bounds, Drain, Outbox};
use crate::session::Actor;

/// How the socket of a session is set up.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    /// A peer that takes nothing for so long is gone.
    pub user_timeout: Duration,
    /// A peer that says nothing for so long is asked whether it is there.
    pub keepalive: Duration,
    /// The largest WebSocket message that is read.
    pub message_max: usize,
}

/// What the kernel may hold for a client that does not read. With the default it grows to
/// megabytes for each, and a reader that stopped is noticed late.
const SEND_BUFFER: usize = 256 * 1024;

/// A socket with its options set, before the session starts.
pub struct Socket {
    stream: Rc<Io>,
    number: RawFd,
    setup: Setup,
}

/// See the module. The future ends when the connection does.
pub struct Connection {
    stream: Rc<Io>,
    actor: Actor,
    drain: Drain,
    outbox: Arc<Outbox>,
    metrics: Arc<Metrics>,
}

impl Socket {
    /// Sets the socket up: small messages go at once, a dead peer is found by the kernel too.
    pub fn new(mut stream: Io, setup: Setup) -> Self {
        let socket = SockRef::from(stream.socket());
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
        let number = stream.socket().as_raw_fd();
        Self { stream: Rc::new(stream), number, setup }
    }

    /// The outbox of its session. Only while the bytes on the wire are those of the outbox may
    /// others write past the connection.
    pub fn outbox(&self, session: u64, bounds: Bounds) -> Outbox {
        let outbox = Outbox::new(session, bounds, Some(self.number));
        if self.stream.is_plain() { outbox } else { outbox.without_line() }
    }

    /// What it reads, after what came with the upgrade.
    pub fn inflow(&self, early: &[u8], outbox: Arc<Outbox>) -> Inflow {
        Inflow::new(self.stream.clone(), early, self.setup.message_max, outbox)
    }

    /// The connection of `actor`, which reads this socket's inflow.
    pub fn connect(self, actor: Actor, outbox: Arc<Outbox>, metrics: Arc<Metrics>) -> Connection {
        metrics.connections.inc();
        let drain = Drain::new(outbox.clone());
        Connection { stream: self.stream, actor, drain, outbox, metrics }
    }
}

impl Future for Connection {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        // The actor reads and fills the outbox. It writes nothing itself, and how it ended is seen
        // in the outbox.
        if let Poll::Ready(None) = this.actor.as_mut().poll_next(context) {
            this.outbox.peer_closed(false);
        }
        let stream = &this.stream;
        let write = |bytes: &[u8], context: &mut Context<'_>| stream.write(context, bytes);
        let done = match this.drain.poll(context, write) {
            Poll::Ready(Ok(())) => stream.finish(context),
            // What TLS keeps back goes out too, or it would wait for the next message.
            Poll::Pending => match stream.flush(context) {
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                _ => Poll::Pending,
            },
            failed => failed,
        };
        // A write that fails and an outbox that is done end it alike.
        done.map(drop)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Before the socket closes and its number is another's.
        self.outbox.socket_closes();
        self.metrics.connections.dec();
    }
}
