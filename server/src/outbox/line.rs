//! The socket below an outbox, as far as others than its owner may touch it.
//!
//! The connection's own task is woken, polled and touches a good deal of memory for each message
//! that it writes. While it has nothing to write, whoever delivers can write to the socket itself,
//! which costs little more than the system call. Both sides hold the outbox's lock for it.

use std::os::fd::RawFd;

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, Shutdown, send, shutdown};

/// See the module.
#[derive(Debug, Default)]
pub struct Line {
    /// Taken away before the socket closes: the number may be another connection's after that.
    socket: Option<RawFd>,
    /// The socket may be cut and not be written to: its bytes are made by the connection.
    closed: bool,
    /// Whatever the connection's task was given, it has written.
    clear: bool,
}

/// What became of bytes that were written past the connection's task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// So many were taken; the rest is for the task.
    Bytes(usize),
    /// The connection is broken.
    Broken,
}

impl Line {
    /// The line over `socket`, whose task still has the upgrade's answer to write.
    pub const fn new(socket: Option<RawFd>) -> Self {
        Self { socket, closed: false, clear: false }
    }

    /// Nobody but the task may write, ever.
    pub const fn close(&mut self) {
        self.closed = true;
    }

    /// The task was given something to write.
    pub const fn busy(&mut self) {
        self.clear = false;
    }

    /// The task has written all that it was given.
    pub const fn flushed(&mut self) {
        self.clear = true;
    }

    /// The socket closes.
    pub const fn gone(&mut self) {
        self.socket = None;
    }

    /// Whether [`Line::send`] keeps the order.
    pub const fn is_clear(&self) -> bool {
        self.clear && !self.closed && self.socket.is_some()
    }

    /// Writes what the socket takes at once; never waits.
    pub fn send(&mut self, bytes: &[u8]) -> Sent {
        let Some(socket) = self.socket else { return Sent::Bytes(0) };
        match send(socket, bytes, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL) {
            Ok(sent) => Sent::Bytes(sent),
            Err(Errno::EAGAIN | Errno::EINTR | Errno::ENOBUFS) => Sent::Bytes(0),
            Err(_) => Sent::Broken,
        }
    }

    /// Cuts it: the task finds out, whatever it waits for.
    pub fn cut(&self) {
        if let Some(socket) = self.socket {
            // An error means that it is gone already.
            let _ = shutdown(socket, Shutdown::Both);
        }
    }
}
