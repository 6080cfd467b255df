//! One upgraded connection: reads for the session's actor, writes what its outbox drains.
//!
//! After the upgrade the HTTP dispatcher and its buffers are gone. Reading uses a buffer of the
//! thread, so an idle connection holds none, and goes on while the client does not read.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_http::error::PayloadError;
use actix_web::rt::net::TcpStream;
use bytes::Bytes;
use futures_util::Stream;
use socket2::{SockRef, TcpKeepalive};

use crate::metrics::Metrics;
use crate::outbox::{Drain, Outbox};
use crate::refusal::{Code, Refusal};
use crate::session::Actor;

/// How the socket of a session is set up.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    /// A peer that takes nothing for so long is gone.
    pub user_timeout: Duration,
    /// A peer that says nothing for so long is asked whether it is there.
    pub keepalive: Duration,
}

/// What the kernel may hold for a client that does not read. With the default it grows to
/// megabytes for each, and a reader that stopped is noticed late.
const SEND_BUFFER: usize = 256 * 1024;

/// Read at once.
const READ: usize = 16 * 1024;

/// Read before CONNECT was accepted: a token of 16 KiB fits several times, and a thousand strangers
/// cannot fill the memory.
const UNPROVEN: usize = 128 * 1024;

/// Read in one turn, so that one client that sends much does not keep the thread, nor fill memory
/// with what its session had no time to look at.
const TURN: usize = 64 * 1024;

thread_local! {
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ].into_boxed_slice());
}

/// The client's bytes, as the actor's WebSocket codec reads them.
pub struct Inflow {
    stream: Rc<TcpStream>,
    /// What came in one go with the upgrade.
    early: Bytes,
    /// May be read in this turn.
    turn: Rc<Cell<usize>>,
    /// May be read before CONNECT was accepted; `None` after it.
    unproven: Option<usize>,
    outbox: Arc<Outbox>,
    ended: bool,
}

/// See the module. The future ends when the connection does.
pub struct Connection {
    stream: Rc<TcpStream>,
    actor: Actor,
    drain: Drain,
    outbox: Arc<Outbox>,
    turn: Rc<Cell<usize>>,
    metrics: Arc<Metrics>,
}

/// A socket with its options set, before the session starts.
pub struct Socket {
    stream: Rc<TcpStream>,
    turn: Rc<Cell<usize>>,
}

impl Socket {
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
        Self { stream: Rc::new(stream), turn: Rc::default() }
    }

    /// Its number, for the outbox.
    pub fn number(&self) -> RawFd {
        self.stream.as_raw_fd()
    }

    /// Its bytes, after those that came with the upgrade.
    pub fn inflow(&self, early: Bytes, outbox: Arc<Outbox>) -> Inflow {
        Inflow {
            stream: self.stream.clone(),
            early,
            turn: self.turn.clone(),
            unproven: Some(UNPROVEN),
            outbox,
            ended: false,
        }
    }

    /// The connection of `actor`, which reads this socket's inflow.
    pub fn connect(self, actor: Actor, outbox: Arc<Outbox>, metrics: Arc<Metrics>) -> Connection {
        metrics.connections.inc();
        let drain = Drain::new(outbox.clone());
        Connection { stream: self.stream, actor, drain, outbox, turn: self.turn, metrics }
    }
}

impl Inflow {
    /// Counts what a client says before it said who it is.
    fn count(&mut self, bytes: usize) {
        let Some(left) = self.unproven else { return };
        self.unproven = left.checked_sub(bytes).filter(|_| !self.outbox.is_connected());
        if self.unproven.is_none() && !self.outbox.is_connected() {
            let detail = "too much was sent before CONNECT was accepted";
            self.outbox.fail(None, &Refusal::new(Code::TooLarge, detail));
            self.ended = true;
        }
    }
}

impl Stream for Inflow {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if !self.early.is_empty() {
            return Poll::Ready(Some(Ok(std::mem::take(&mut self.early))));
        }
        while !self.ended {
            let left = self.turn.get();
            if left == 0 {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            let read = match ready!(self.stream.poll_read_ready(context)) {
                Ok(()) => BUFFER.with_borrow_mut(|buffer| {
                    let count = self.stream.try_read(buffer)?;
                    Ok(Bytes::copy_from_slice(&buffer[..count]))
                }),
                Err(error) => Err(error),
            };
            match read {
                Ok(bytes) if bytes.is_empty() => self.ended = true,
                Ok(bytes) => {
                    self.turn.set(left.saturating_sub(bytes.len()));
                    self.count(bytes.len());
                    return Poll::Ready(Some(Ok(bytes)));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // A link that broke has ended; why is of no use to anybody.
                Err(_) => self.ended = true,
            }
        }
        Poll::Ready(None)
    }
}

impl Future for Connection {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        this.turn.set(TURN);
        // The actor reads and fills the outbox. It writes nothing itself, and how it ended is seen
        // in the outbox.
        if let Poll::Ready(None) = this.actor.as_mut().poll_next(context) {
            this.outbox.peer_closed(false);
        }
        let stream = &this.stream;
        let write = |bytes: &[u8], context: &mut Context<'_>| loop {
            ready!(stream.poll_write_ready(context))?;
            match stream.try_write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        };
        // A write that fails and an outbox that is done end it alike.
        let _ended = ready!(this.drain.poll(context, write));
        Poll::Ready(())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Before the socket closes and its number is another's.
        self.outbox.socket_closes();
        self.metrics.connections.dec();
    }
}
